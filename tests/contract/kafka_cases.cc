// Kafka in the contract suites, over a real broker.
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/steady_time.h"
#include "tests/contract/kafka_place.h"
#include "tests/contract/sink_contract.h"
#include "tests/contract/source_contract.h"

namespace millrace {
namespace {

std::vector<std::string> SomeValues(const std::string& prefix, size_t count) {
  std::vector<std::string> values;
  values.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    values.push_back(absl::StrCat(prefix, "-", i, std::string(i % 37, '.')));
  }
  return values;
}

class KafkaSource : public SourceUnderTest {
 public:
  KafkaSource() : topic_(NewTopic(2)) {
    source_ = TextSource("kafka", "raw",
                         {{"bootstrap.servers", Broker().bootstrap_servers()}, {"topic", topic_}});
  }

  const proto::Source& source() const override { return source_; }
  std::vector<std::string> Expected(size_t partition) const override {
    return values_.at(partition);
  }
  bool can_append() const override { return true; }
  bool prefetches() const override { return true; }
  void Append(size_t partition, const std::vector<std::string>& values) override {
    Produce(topic_, static_cast<int32_t>(partition), values);
    values_[partition].insert(values_[partition].end(), values.begin(), values.end());
  }

 protected:
  std::string topic_;
  proto::Source source_;
  std::map<size_t, std::vector<std::string>> values_;
};

class PlainTopic : public KafkaSource {
 public:
  PlainTopic() {
    Append(0, SomeValues("a", 2000));
    Append(1, SomeValues("b", 50));
  }
};

// Transactions leave gaps: control records everywhere, also at the end, and records that were
// aborted.
class TransactionalTopic : public KafkaSource {
 public:
  TransactionalTopic() {
    auto producer =
        kafka::NewTransactionalProducer(Broker().bootstrap_servers(), "contract-" + topic_);
    EXPECT_OK(producer);
    producer_ = *std::move(producer);
    for (int i = 0; i < 5; ++i) {
      Append(0, SomeValues(absl::StrCat("a", i), 20));
      Abort(0);
      Append(1, SomeValues(absl::StrCat("b", i), 3));
    }
    Abort(0);
  }

  void Append(size_t partition, const std::vector<std::string>& values) override {
    EXPECT_OK(producer_->Begin());
    Send(partition, values);
    EXPECT_OK(producer_->Commit());
    WaitForMarker(partition);
    values_[partition].insert(values_[partition].end(), values.begin(), values.end());
  }

 private:
  void Abort(size_t partition) {
    EXPECT_OK(producer_->Begin());
    Send(partition, SomeValues("aborted", 10));
    EXPECT_OK(producer_->Flush());
    EXPECT_OK(producer_->Abort());
    WaitForMarker(partition);
  }

  // The coordinator answers before the end of the transaction is in the partition's log.
  void WaitForMarker(size_t partition) {
    absl::Time deadline = SteadyNow() + absl::Seconds(30);
    while (SteadyNow() < deadline) {
      auto topic = Admin().DescribeTopic(topic_, absl::Seconds(30));
      ASSERT_OK(topic);
      const auto& found = topic->partitions[partition];
      if (found.stable_end == found.high_watermark) {
        return;
      }
    }
    FAIL() << "the transaction does not end";
  }

  void Send(size_t partition, const std::vector<std::string>& values) {
    for (const std::string& value : values) {
      EXPECT_OK(producer_->Send(topic_, static_cast<int32_t>(partition), value));
    }
  }

  std::unique_ptr<kafka::TransactionalProducer> producer_;
};

template <typename T>
SourceCase Source(const std::string& name) {
  return {name, []() -> std::unique_ptr<SourceUnderTest> { return std::make_unique<T>(); }};
}

INSTANTIATE_TEST_SUITE_P(Kafka, SourceContract,
                         testing::Values(Source<PlainTopic>("plain"),
                                         Source<TransactionalTopic>("transactions")),
                         [](const auto& info) { return info.param.name; });

class KafkaSink : public SinkUnderTest {
 public:
  KafkaSink() : topic_(NewTopic(1)) {
    sink_ = TextSink("kafka", "raw",
                     {{"bootstrap.servers", Broker().bootstrap_servers()}, {"topic", topic_}});
  }

  const proto::Sink& sink() const override { return sink_; }
  proto::Sink UpsertSink() const override {
    proto::Sink sink = sink_;
    sink.clear_columns();
    AddSinkColumn(&sink, "key", proto::TYPE_TEXT);
    AddSinkColumn(&sink, "value", proto::TYPE_TEXT);
    sink.add_key_columns(0);
    sink.set_mode(proto::SINK_UPSERT);
    return sink;
  }
  std::vector<std::string> Visible() const override {
    StableEnd(topic_);
    return VisibleNow();
  }
  std::vector<std::string> VisibleNow() const override {
    std::vector<std::string> out;
    for (const PlainRecord& record : Consume(topic_)) {
      if (!record.key.has_value()) {
        out.push_back(record.value.value_or("<null>"));
      } else {
        out.push_back(record.value.has_value() ? *record.key + "=" + *record.value
                                               : *record.key + " deleted");
      }
    }
    return out;
  }

 private:
  std::string topic_;
  proto::Sink sink_;
};

SinkCase RawTopic() {
  return {"raw", [] { return std::unique_ptr<SinkUnderTest>(std::make_unique<KafkaSink>()); }};
}

INSTANTIATE_TEST_SUITE_P(Kafka, SinkContract, testing::Values(RawTopic()),
                         [](const auto& info) { return info.param.name; });
INSTANTIATE_TEST_SUITE_P(Kafka, LargeBatchContract, testing::Values(RawTopic()),
                         [](const auto& info) { return info.param.name; });
INSTANTIATE_TEST_SUITE_P(Kafka, SharedSessionContract, testing::Values(RawTopic()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace millrace
