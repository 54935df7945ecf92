#include "tests/contract/kafka_place.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/steady_time.h"

namespace millrace {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(30);

std::unique_ptr<KafkaBroker> broker;
std::unique_ptr<kafka::KafkaAdmin> admin;

class EndBroker : public testing::Environment {
 public:
  void TearDown() override {
    admin.reset();
    broker.reset();
  }
};
[[maybe_unused]] testing::Environment* const kEndBroker =
    testing::AddGlobalTestEnvironment(new EndBroker());

}  // namespace

KafkaBroker& Broker() {
  if (broker == nullptr) {
    KafkaBrokerOptions options;
    // How often it looks for transactions that have been open too long; 10 s by default.
    options.server_properties["transaction.abort.timed.out.transaction.cleanup.interval.ms"] =
        "100";
    // How often it looks for what can be compacted; 15 s by default.
    options.server_properties["log.cleaner.backoff.ms"] = "100";
    auto started = KafkaBroker::Start(options);
    MILLRACE_CHECK(started.ok()) << started.status();
    broker = *std::move(started);
    auto connected =
        kafka::KafkaAdmin::Create({{"bootstrap.servers", broker->bootstrap_servers()}});
    MILLRACE_CHECK(connected.ok()) << connected.status();
    admin = *std::move(connected);
  }
  return *broker;
}

kafka::KafkaAdmin& Admin() {
  Broker();
  return *admin;
}

std::string NewTopic(int32_t partitions, const std::map<std::string, std::string>& config) {
  static std::atomic<int> next{0};
  std::string name = absl::StrCat("topic-", next++);
  absl::Status status = Admin().CreateTopic(
      {.name = name, .partitions = partitions, .replication = 1, .config = config}, kTimeout);
  MILLRACE_CHECK(status.ok()) << status;
  return name;
}

void Produce(const std::string& topic, int32_t partition, const std::vector<std::string>& values) {
  auto producer = kafka::NewKafkaRecordProducer(
      {{"bootstrap.servers", Broker().bootstrap_servers()}}, topic, kTimeout);
  MILLRACE_CHECK(producer.ok()) << producer.status();
  for (const std::string& value : values) {
    absl::Status sent = (*producer)->Send(std::nullopt, value, partition);
    MILLRACE_CHECK(sent.ok()) << sent;
  }
  absl::Status flushed = (*producer)->Flush(kTimeout);
  MILLRACE_CHECK(flushed.ok()) << flushed;
}

int64_t StableEnd(const std::string& topic, int32_t partition) {
  const absl::Time deadline = SteadyNow() + kTimeout;
  while (true) {
    auto description = Admin().DescribeTopic(topic, kTimeout);
    MILLRACE_CHECK(description.ok()) << description.status();
    const auto& found = description->partitions[static_cast<size_t>(partition)];
    if (found.stable_end == found.high_watermark) {
      return found.stable_end;
    }
    MILLRACE_CHECK(SteadyNow() < deadline) << "the transaction in " << topic << " does not end";
  }
}

std::vector<PlainRecord> Consume(const std::string& topic) {
  std::vector<PlainRecord> records;
  absl::Time deadline = SteadyNow() + kTimeout;
  absl::Status status = kafka::ConsumeKafka(
      {{"bootstrap.servers", Broker().bootstrap_servers()}}, {.topic = topic}, kTimeout,
      [&](const kafka::KafkaRecordView& view) {
        PlainRecord record{
            .partition = view.partition, .offset = view.offset, .timestamp_ms = view.timestamp_ms};
        record.key =
            view.key.has_value() ? std::make_optional(std::string(*view.key)) : std::nullopt;
        record.value =
            view.value.has_value() ? std::make_optional(std::string(*view.value)) : std::nullopt;
        records.push_back(record);
        return true;
      },
      [&] { return SteadyNow() > deadline; });
  MILLRACE_CHECK(status.ok() && SteadyNow() < deadline) << status;
  std::sort(records.begin(), records.end(), [](const PlainRecord& a, const PlainRecord& b) {
    return std::tie(a.partition, a.offset) < std::tie(b.partition, b.offset);
  });
  return records;
}

}  // namespace millrace
