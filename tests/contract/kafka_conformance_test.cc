// What the simulation of Kafka does is what Kafka does: one test of TransactionalLog for both. A
// simulated history (driver/coordinator/job_simulation_test.cc) is worth as much as this.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/steady_time.h"
#include "driver/coordinator/testing/simulated_kafka.h"
#include "tests/contract/kafka_place.h"
#include "tests/contract/tables.h"

namespace millrace {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(30);
constexpr absl::Duration kShort = absl::Milliseconds(500);  // for what gets no answer

// The broker of this test program through librdkafka. Topics must have been made.
class BrokerLog : public driver::TransactionalLog {
 public:
  BrokerLog() : offsets_topic_(NewTopic(2)) {}

  std::unique_ptr<Producer> NewProducer(const std::string& transactional_id,
                                        absl::Duration transaction_timeout) override {
    return std::make_unique<BrokerProducer>(transactional_id, transaction_timeout, offsets_topic_);
  }

  absl::StatusOr<Ends> EndsOf(const std::string& topic) override {
    auto found = Admin().DescribeTopic(topic, kTimeout);
    if (!found.ok()) {
      return found.status();
    }
    return Ends{found->partitions[0].stable_end, found->partitions[0].high_watermark};
  }

  absl::StatusOr<std::vector<std::string>> ReadCommitted(const std::string& topic) override {
    std::vector<std::string> values;
    for (const PlainRecord& record : Consume(topic)) {
      values.push_back(*record.value);
    }
    return values;
  }

  absl::StatusOr<std::vector<PlacedRecord>> ReadThrough(const std::string& topic, int64_t first,
                                                        int64_t last) override {
    const absl::Time deadline = SteadyNow() + read_timeout_;
    while (true) {
      const absl::StatusOr<Ends> ends = EndsOf(topic);
      if (!ends.ok()) {
        return ends.status();
      }
      if (ends->stable > last) {
        break;
      }
      if (SteadyNow() >= deadline) {
        return absl::UnavailableError("an open transaction is in the way");
      }
    }
    std::vector<PlacedRecord> records;
    for (const PlainRecord& record : Consume(topic)) {
      if (record.offset >= first && record.offset <= last) {
        records.push_back({record.offset, {record.key, *record.value}});
      }
    }
    return records;
  }

  absl::StatusOr<std::optional<std::string>> ReadOffset(const OffsetName& offset) override {
    return kafka::ReadOffsetMetadata(Broker().bootstrap_servers(), offset.group,
                                     {offsets_topic_, offset.partition}, /*stable=*/true,
                                     read_timeout_);
  }

  void set_read_timeout(absl::Duration timeout) { read_timeout_ = timeout; }

 private:
  class BrokerProducer : public Producer {
   public:
    BrokerProducer(std::string id, absl::Duration timeout, std::string offsets_topic)
        : id_(std::move(id)), timeout_(timeout), offsets_topic_(std::move(offsets_topic)) {}

    absl::Status Init() override {
      client_.reset();
      auto client = kafka::NewTransactionalProducer(Broker().bootstrap_servers(), id_, timeout_);
      if (!client.ok()) {
        return client.status();
      }
      client_ = *std::move(client);
      return absl::OkStatus();
    }
    absl::Status Begin() override { return client_->Begin(); }
    absl::Status Produce(const std::string& topic, const Record& record) override {
      const absl::Status sent = record.key.has_value()
                                    ? client_->SendKeyed(topic, 0, *record.key, record.value)
                                    : client_->Send(topic, 0, record.value);
      return sent.ok() ? client_->Flush() : sent;
    }
    int64_t LastOffset() const override { return client_->last_offset(); }
    absl::Status SendOffset(const OffsetName& offset, const std::string& metadata) override {
      return client_->SendOffset(offset.group, {offsets_topic_, offset.partition}, metadata);
    }
    absl::Status Commit() override {
      const std::optional<Fate> fate = std::exchange(fate_, std::nullopt);
      if (!fate.has_value()) {
        return client_->Commit(kTimeout);
      }
      if (fate == Fate::kCarriedOut) {
        Broker().Pause();
        const absl::Status status = client_->Commit(kShort);
        Broker().Resume();
        return status;
      }
      Broker().Kill();
      const absl::Status status = client_->Commit(kShort);
      client_.reset();  // it would try again by itself
      EXPECT_OK(Broker().Restart());
      return status;
    }
    absl::Status Abort() override { return client_->Abort(); }
    void LoseAnswerOfCommit(Fate fate) override { fate_ = fate; }

   private:
    const std::string id_;
    const absl::Duration timeout_;
    const std::string offsets_topic_;
    std::unique_ptr<kafka::TransactionalProducer> client_;
    std::optional<Fate> fate_;
  };

  const std::string offsets_topic_;
  absl::Duration read_timeout_ = kTimeout;
};

// What the test does differently with the two.
struct Place {
  std::string name;
  std::function<std::unique_ptr<driver::TransactionalLog>()> open;
  std::function<void(driver::TransactionalLog&, absl::Duration)> pass_time;
  // For "rows", or for "marks", which is compacted.
  std::function<std::string(const std::string&)> new_topic;
  std::function<void(driver::TransactionalLog&, const std::string&)> compact;
  // A read that is in vain does not go on for longer.
  std::function<void(driver::TransactionalLog&, absl::Duration)> set_read_timeout;
};

using Values = std::vector<std::string>;
using Producer = driver::TransactionalLog::Producer;
using Fate = driver::TransactionalLog::Fate;
using Record = driver::TransactionalLog::Record;
using PlacedRecord = driver::TransactionalLog::PlacedRecord;

// Rows in one topic, and marks in another, as a session keeps them: `out` comes in one transaction
// with rows, and a claim reads up to its own record.
class KafkaConformance : public testing::TestWithParam<Place> {
 protected:
  KafkaConformance()
      : log_(GetParam().open()),
        topic_(GetParam().new_topic("rows")),
        marks_(GetParam().new_topic("marks")) {
    static std::atomic<int> next{0};
    id_ = absl::StrCat("conformance-", GetParam().name, "-", next++);
    group_ = "group-" + id_;
  }

  std::unique_ptr<Producer> Open(const std::string& id,
                                 absl::Duration transaction_timeout = absl::Seconds(60)) {
    auto producer = log_->NewProducer(id, transaction_timeout);
    EXPECT_OK(producer->Init());
    return producer;
  }
  std::unique_ptr<Producer> Open() { return Open(id_); }

  // Up to the commit.
  void Prepare(Producer& producer, const std::string& value) {
    ASSERT_OK(producer.Begin());
    ASSERT_OK(producer.Produce(topic_, {std::nullopt, value}));
    ASSERT_OK(producer.Produce(marks_, {"out", value}));
  }
  void Write(Producer& producer, const std::string& value) {
    Prepare(producer, value);
    ASSERT_OK(producer.Commit());
  }
  // A transaction that holds nothing but a claim; where that lies.
  int64_t Claim(Producer& producer) {
    EXPECT_OK(producer.Begin());
    EXPECT_OK(producer.Produce(marks_, {absl::StrCat("claim/", ++claims_), ""}));
    EXPECT_OK(producer.Commit());
    return producer.LastOffset();
  }
  // Claims, and expects this to be the last `out` before the claim.
  void ClaimAndExpectOut(Producer& producer, const std::optional<std::string>& expected) {
    auto found = log_->ReadThrough(marks_, 0, Claim(producer));
    ASSERT_OK(found);
    std::optional<std::string> out;
    for (const PlacedRecord& placed : *found) {
      if (placed.record.key == "out") {
        out = placed.record.value;
      }
    }
    EXPECT_EQ(out, expected);
  }

  // Transactions that are over take a moment to be seen.
  void ExpectEnds(driver::TransactionalLog::Ends expected) {
    const absl::Time deadline = SteadyNow() + kTimeout;
    auto found = log_->EndsOf(topic_);
    while (found.ok() && *found != expected && SteadyNow() < deadline) {
      found = log_->EndsOf(topic_);
    }
    ASSERT_OK(found);
    EXPECT_EQ(found->stable, expected.stable);
    EXPECT_EQ(found->last, expected.last);
  }
  void ExpectVisible(const Values& expected) {
    auto found = log_->ReadCommitted(topic_);
    ASSERT_OK(found);
    EXPECT_EQ(*found, expected);
  }
  void ExpectInTheWay(int64_t last) {
    GetParam().set_read_timeout(*log_, kShort);
    const absl::Status status = log_->ReadThrough(marks_, 0, last).status();
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    GetParam().set_read_timeout(*log_, kTimeout);
  }

  // REQUIRES: a transaction. Its records may or may not be taken.
  void ExpectFenced(Producer& producer) {
    EXPECT_FALSE(producer.Commit().ok());
    EXPECT_FALSE(producer.Begin().ok()) << "for good";
  }

  // As versions before sessions kept their marks.
  void WriteWithOffset(Producer& producer, const std::string& value) {
    ASSERT_OK(producer.Begin());
    ASSERT_OK(producer.Produce(topic_, {std::nullopt, value}));
    ASSERT_OK(log_->ReadOffset({group_}));  // as is required
    ASSERT_OK(producer.SendOffset({group_}, "with " + value));
  }
  void ExpectOffset(const std::optional<std::string>& expected, int32_t partition = 0) {
    auto found = log_->ReadOffset({group_, partition});
    ASSERT_OK(found);
    EXPECT_EQ(*found, expected);
  }
  void ExpectUnstable() {
    GetParam().set_read_timeout(*log_, kShort);
    const absl::Status status = log_->ReadOffset({group_}).status();
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    GetParam().set_read_timeout(*log_, kTimeout);
  }

  std::unique_ptr<driver::TransactionalLog> log_;
  std::string topic_;
  std::string marks_;
  std::string id_;
  std::string group_;
  int claims_ = 0;
};

TEST_P(KafkaConformance, RecordsOfAllTopicsComeTogether) {
  auto producer = Open();
  ExpectEnds({0, 0});
  Prepare(*producer, "a");
  ExpectVisible({});
  ASSERT_OK(producer->Commit());
  ExpectEnds({2, 2});  // the record, and the end of the transaction
  Write(*producer, "b");
  ExpectEnds({4, 4});
  ExpectVisible({"a", "b"});
  ClaimAndExpectOut(*producer, "b");
}

TEST_P(KafkaConformance, AReadThroughARecordOfItsOwnIsNeverOld) {
  auto producer = Open();
  for (int i = 0; i < 20; ++i) {
    Write(*producer, absl::StrCat(i));
    ClaimAndExpectOut(*producer, absl::StrCat(i));
  }
}

TEST_P(KafkaConformance, AReadBeginsAndEndsWhereItIsTold) {
  auto producer = Open();
  Write(*producer, "a");
  const int64_t a = producer->LastOffset();
  Write(*producer, "b");
  const int64_t b = producer->LastOffset();
  const int64_t claim = Claim(*producer);
  EXPECT_LT(a, b);
  EXPECT_LT(b, claim);
  auto found = log_->ReadThrough(marks_, b, b);
  ASSERT_OK(found);
  EXPECT_EQ(*found, (std::vector<PlacedRecord>{{b, {"out", "b"}}}));
  found = log_->ReadThrough(marks_, a + 1, claim);
  ASSERT_OK(found);
  EXPECT_EQ(*found, (std::vector<PlacedRecord>{{b, {"out", "b"}}, {claim, {"claim/1", ""}}}));
}

TEST_P(KafkaConformance, WhatIsAbortedIsNotSeen) {
  auto producer = Open();
  Write(*producer, "a");
  Prepare(*producer, "b");
  ASSERT_OK(producer->Abort());
  ExpectEnds({4, 4});
  ExpectVisible({"a"});
  ClaimAndExpectOut(*producer, "a");
  Write(*producer, "c");
  ExpectEnds({6, 6});
  ExpectVisible({"a", "c"});
}

TEST_P(KafkaConformance, AnOpenTransactionHoldsTheStableOffsetAndTheReaders) {
  auto first = Open();
  auto second = Open(id_ + "-second");
  Prepare(*first, "a");
  ASSERT_OK(second->Begin());
  ASSERT_OK(second->Produce(topic_, {std::nullopt, "b"}));
  ASSERT_OK(second->Commit());
  ExpectEnds({0, 3});
  ExpectVisible({});
  ASSERT_OK(first->Commit());
  ExpectEnds({4, 4});
  ExpectVisible({"a", "b"});
}

// So a claim waits for strangers whose transactions began before it in the same partition.
TEST_P(KafkaConformance, AReadWaitsForOpenTransactionsThatBeganBeforeItsEnd) {
  auto stranger = Open(id_ + "-stranger");
  auto producer = Open();
  Write(*producer, "a");
  Prepare(*stranger, "of a stranger");
  const int64_t claim = Claim(*producer);
  ExpectInTheWay(claim);
  ASSERT_OK(stranger->Abort());
  auto found = log_->ReadThrough(marks_, claim, claim);
  ASSERT_OK(found);
  EXPECT_EQ(found->size(), 1u);
  Prepare(*stranger, "of a stranger");
  found = log_->ReadThrough(marks_, claim, claim);
  ASSERT_OK(found);
  EXPECT_EQ(found->size(), 1u) << "it began after that";
}

TEST_P(KafkaConformance, TheLastInitFencesAndEndsWhatIsOpen) {
  auto first = Open();
  Write(*first, "a");
  Prepare(*first, "b");
  ExpectEnds({2, 3});
  auto second = Open();
  ClaimAndExpectOut(*second, "a");
  ExpectEnds({4, 4});
  ExpectFenced(*first);
  Write(*second, "c");
  ExpectVisible({"a", "c"});
  ClaimAndExpectOut(*second, "c");
  // Whoever comes last owns it, also one that was here before.
  ASSERT_OK(first->Init());
  ASSERT_OK(second->Begin());
  (void)second->Produce(topic_, {std::nullopt, "of the fenced"});
  ExpectFenced(*second);
  Write(*first, "d");
  ExpectVisible({"a", "c", "d"});
}

// What a claim rests on: if its transaction is committed, nobody has come in between.
TEST_P(KafkaConformance, AClaimFailsIfAnotherHasComeSinceItsInit) {
  auto first = Open();
  auto second = Open();
  ASSERT_OK(first->Begin());
  (void)first->Produce(marks_, {"claim/first", ""});
  EXPECT_FALSE(first->Commit().ok());
  Write(*second, "a");
  ASSERT_OK(first->Init());
  ClaimAndExpectOut(*first, "a");
}

TEST_P(KafkaConformance, ACommitOfAFencedProducerIsRefused) {
  auto first = Open();
  Prepare(*first, "a");
  auto second = Open();
  const absl::Status status = first->Commit();
  EXPECT_TRUE(absl::IsAborted(status)) << status;
  ExpectEnds({2, 2});
  ExpectVisible({});
  ClaimAndExpectOut(*second, std::nullopt);
}

TEST_P(KafkaConformance, ACrashLeavesATransactionOpen) {
  auto producer = Open();
  Prepare(*producer, "a");
  producer.reset();
  ExpectEnds({0, 1});
  producer = Open();
  ClaimAndExpectOut(*producer, std::nullopt);
  ExpectEnds({2, 2});
  ExpectVisible({});
}

TEST_P(KafkaConformance, ACommitInDoubtMayBeAskedForAgain) {
  auto producer = Open();
  Prepare(*producer, "a");
  producer->LoseAnswerOfCommit(Fate::kCarriedOut);
  const absl::Status status = producer->Commit();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  ASSERT_OK(producer->Commit());
  ExpectEnds({2, 2});
  Write(*producer, "b");
  ExpectEnds({4, 4});
  ExpectVisible({"a", "b"});
}

TEST_P(KafkaConformance, TheLogTellsWhatBecameOfACommitThatWasCarriedOut) {
  auto producer = Open();
  Prepare(*producer, "a");
  producer->LoseAnswerOfCommit(Fate::kCarriedOut);
  EXPECT_TRUE(absl::IsUnavailable(producer->Commit()));
  ExpectEnds({2, 2});
  auto next = Open();
  ClaimAndExpectOut(*next, "a");
  Write(*next, "b");
  ExpectVisible({"a", "b"});
}

TEST_P(KafkaConformance, TheLogTellsWhatBecameOfACommitThatWasLost) {
  auto producer = Open();
  Write(*producer, "a");
  Prepare(*producer, "b");
  producer->LoseAnswerOfCommit(Fate::kLost);
  const absl::Status status = producer->Commit();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  ExpectEnds({2, 3});
  producer = Open();
  ClaimAndExpectOut(*producer, "a");
  ExpectEnds({4, 4});
  Write(*producer, "b");
  ExpectVisible({"a", "b"});
}

TEST_P(KafkaConformance, ATransactionThatIsOpenForTooLongIsAbortedAndItsProducerFenced) {
  auto producer = Open(id_, absl::Seconds(1));
  Write(*producer, "a");
  Prepare(*producer, "b");
  GetParam().pass_time(*log_, absl::Seconds(2));
  ExpectEnds({4, 4});
  const absl::Status status = producer->Commit();
  EXPECT_TRUE(absl::IsAborted(status)) << status;
  ASSERT_OK(producer->Init());
  ClaimAndExpectOut(*producer, "a");
  Write(*producer, "c");
  ExpectVisible({"a", "c"});
}

TEST_P(KafkaConformance, CompactionKeepsTheLastRecordOfEachKeyWhereItWas) {
  auto producer = Open();
  std::vector<PlacedRecord> written;
  const auto note = [&](const std::string& key, const std::string& value) {
    ASSERT_OK(producer->Begin());
    ASSERT_OK(producer->Produce(marks_, {key, value}));
    ASSERT_OK(producer->Commit());
    written.push_back({producer->LastOffset(), {key, value}});
  };
  note("claim/1", "");
  for (int i = 0; i < 50; ++i) {
    note("out", absl::StrCat(i));
    if (i == 25) {
      // An aborted record supersedes none.
      ASSERT_OK(producer->Begin());
      ASSERT_OK(producer->Produce(marks_, {"claim/1", "aborted"}));
      ASSERT_OK(producer->Abort());
      note("claim/2", "");
    }
  }
  const int64_t last = written.back().offset;
  GetParam().compact(*log_, marks_);
  const PlacedRecord superseded = written[1];  // the first `out`
  absl::StatusOr<std::vector<PlacedRecord>> found;
  const absl::Time deadline = SteadyNow() + kTimeout;
  do {
    found = log_->ReadThrough(marks_, 0, last);
    ASSERT_OK(found);
  } while (std::count(found->begin(), found->end(), superseded) > 0 && SteadyNow() < deadline);
  EXPECT_EQ(std::count(found->begin(), found->end(), superseded), 0) << "nothing was compacted";
  std::set<std::string> keys;
  for (auto record = written.rbegin(); record != written.rend(); ++record) {
    if (keys.insert(*record->record.key).second) {
      EXPECT_EQ(std::count(found->begin(), found->end(), *record), 1) << *record->record.key;
    }
  }
  for (const PlacedRecord& record : *found) {
    EXPECT_EQ(std::count(written.begin(), written.end(), record), 1) << "at " << record.offset;
  }
}

// The tests from here on are about offsets, which only claims of former shards read.
TEST_P(KafkaConformance, RecordsAndOffsetsComeTogether) {
  auto producer = Open();
  ExpectOffset(std::nullopt);
  for (int i = 0; i < 20; ++i) {
    WriteWithOffset(*producer, absl::StrCat(i));
    ASSERT_OK(producer->Commit());
    ExpectOffset(absl::StrCat("with ", i));  // at once
  }
  ExpectEnds({40, 40});
}

TEST_P(KafkaConformance, OffsetsOfAnOpenTransactionAreUnstable) {
  auto producer = Open();
  WriteWithOffset(*producer, "a");
  ExpectUnstable();
  ASSERT_OK(producer->Commit());
  ExpectOffset("with a");
  WriteWithOffset(*producer, "b");
  ExpectUnstable();
  ASSERT_OK(producer->Abort());
  ExpectOffset("with a");
}

TEST_P(KafkaConformance, OffsetsOfTwoPartitionsAreApart) {
  auto producer = Open();
  WriteWithOffset(*producer, "a");
  ASSERT_OK(producer->Commit());
  ExpectOffset("with a");
  ASSERT_OK(producer->Begin());
  ASSERT_OK(producer->SendOffset({group_, 1}, "of another"));
  ExpectOffset("with a");  // not held up by the open one
  ASSERT_OK(producer->Commit());
  ExpectOffset("with a");
  ExpectOffset("of another", 1);
}

TEST_P(KafkaConformance, AnInitEndsTheOffsetsThatWereLeftOpen) {
  auto producer = Open();
  WriteWithOffset(*producer, "a");
  ASSERT_OK(producer->Commit());
  WriteWithOffset(*producer, "b");
  producer.reset();
  ExpectUnstable();
  producer = Open();
  ExpectOffset("with a");
}

Place Simulation() {
  return {.name = "simulation",
          .open = [] { return std::make_unique<driver::SimulatedKafka>(); },
          .pass_time =
              [](driver::TransactionalLog& log, absl::Duration duration) {
                dynamic_cast<driver::SimulatedKafka&>(log).PassTime(duration);
              },
          .new_topic = [](const std::string& name) { return name; },
          .compact =
              [](driver::TransactionalLog& log, const std::string& topic) {
                dynamic_cast<driver::SimulatedKafka&>(log).Compact(topic, [] { return true; });
              },
          .set_read_timeout = [](driver::TransactionalLog&, absl::Duration) {}};
}

// Time passes by itself, and compaction comes by itself, once there are segments that nobody writes
// to.
Place RealBroker() {
  return {.name = "broker",
          .open = [] { return std::make_unique<BrokerLog>(); },
          .pass_time = [](driver::TransactionalLog&, absl::Duration) {},
          .new_topic =
              [](const std::string& name) {
                return name != "marks" ? NewTopic(1)
                                       : NewTopic(1, {{"cleanup.policy", "compact"},
                                                      {"segment.bytes", "1000"},
                                                      {"min.cleanable.dirty.ratio", "0.01"}});
              },
          .compact = [](driver::TransactionalLog&, const std::string&) {},
          .set_read_timeout =
              [](driver::TransactionalLog& log, absl::Duration timeout) {
                dynamic_cast<BrokerLog&>(log).set_read_timeout(timeout);
              }};
}

INSTANTIATE_TEST_SUITE_P(Kafka, KafkaConformance, testing::Values(Simulation(), RealBroker()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace millrace
