// What the simulation of Kafka does is what Kafka does: one test of TransactionalLog for both. A
// simulated history (driver/coordinator/job_simulation_test.cc) is worth as much as this.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>

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

  absl::StatusOr<std::optional<std::string>> ReadOffset(const OffsetName& offset,
                                                        bool stable) override {
    return kafka::ReadOffsetMetadata(Broker().bootstrap_servers(), offset.group,
                                     {offsets_topic_, offset.partition}, stable, read_timeout_);
  }
  absl::Status ExpireGroup(const std::string& group) override {
    return Admin().DeleteGroup(group, kTimeout);
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
    absl::Status Produce(const std::string& topic, const std::string& value) override {
      absl::Status sent = client_->Send(topic, 0, value);
      return sent.ok() ? client_->Flush() : sent;
    }
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

// What the test does differently with the two: how time passes.
struct Place {
  std::string name;
  std::function<std::unique_ptr<driver::TransactionalLog>()> open;
  std::function<void(driver::TransactionalLog&, absl::Duration)> pass_time;
  std::function<std::string()> new_topic;
  // A read that is in vain does not go on for longer.
  std::function<void(driver::TransactionalLog&, absl::Duration)> set_read_timeout;
};

using Values = std::vector<std::string>;
using Producer = driver::TransactionalLog::Producer;
using Fate = driver::TransactionalLog::Fate;

class KafkaConformance : public testing::TestWithParam<Place> {
 protected:
  KafkaConformance() : log_(GetParam().open()), topic_(GetParam().new_topic()) {
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
    ASSERT_OK(producer.Produce(topic_, value));
    ASSERT_OK(log_->ReadOffset({group_}, /*stable=*/true));  // as is required
    ASSERT_OK(producer.SendOffset({group_}, "with " + value));
  }
  void Write(Producer& producer, const std::string& value) {
    Prepare(producer, value);
    ASSERT_OK(producer.Commit());
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
  void ExpectOffset(const std::optional<std::string>& expected, bool stable = true) {
    auto found = log_->ReadOffset({group_}, stable);
    ASSERT_OK(found);
    EXPECT_EQ(*found, expected);
  }
  void ExpectUnstable() {
    GetParam().set_read_timeout(*log_, kShort);
    const absl::Status status = log_->ReadOffset({group_}, /*stable=*/true).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    GetParam().set_read_timeout(*log_, kTimeout);
  }

  // REQUIRES: a transaction.
  void ExpectFenced(Producer& producer) {
    const absl::Status sent = producer.SendOffset({group_}, "of the fenced");
    EXPECT_TRUE(absl::IsAborted(sent)) << sent;
    EXPECT_FALSE(producer.Commit().ok());
  }

  std::unique_ptr<driver::TransactionalLog> log_;
  std::string topic_;
  std::string id_;
  std::string group_;
};

TEST_P(KafkaConformance, RecordsAndOffsetsComeTogether) {
  auto producer = Open();
  ExpectOffset(std::nullopt);
  ExpectEnds({0, 0});
  Write(*producer, "a");
  ExpectOffset("with a");  // at once
  ExpectEnds({2, 2});      // the record, and the end of the transaction
  Write(*producer, "b");
  ExpectOffset("with b");
  ExpectEnds({4, 4});
  ExpectVisible({"a", "b"});
}

TEST_P(KafkaConformance, AStableReadIsNeverOld) {
  auto producer = Open();
  for (int i = 0; i < 50; ++i) {
    Write(*producer, absl::StrCat(i));
    ExpectOffset(absl::StrCat("with ", i));
  }
}

TEST_P(KafkaConformance, WhatIsAbortedIsNotSeen) {
  auto producer = Open();
  Write(*producer, "a");
  Prepare(*producer, "b");
  ASSERT_OK(producer->Abort());
  ExpectEnds({4, 4});
  ExpectVisible({"a"});
  ExpectOffset("with a");
  Write(*producer, "c");
  ExpectEnds({6, 6});
  ExpectVisible({"a", "c"});
}

TEST_P(KafkaConformance, AMarkerAloneIsATransaction) {
  auto producer = Open();
  ASSERT_OK(producer->Begin());
  ASSERT_OK(producer->SendOffset({group_}, "claimed"));
  ASSERT_OK(producer->Commit());
  ExpectOffset("claimed");
  ExpectEnds({0, 0});
}

TEST_P(KafkaConformance, OffsetsOfTwoPartitionsAreApart) {
  auto producer = Open();
  Write(*producer, "a");
  ExpectOffset("with a");
  ASSERT_OK(producer->Begin());
  ASSERT_OK(producer->SendOffset({group_, 1}, "of another"));
  ExpectOffset("with a");  // not held up by the open one
  ASSERT_OK(producer->Commit());
  ExpectOffset("with a");
  auto found = log_->ReadOffset({group_, 1}, /*stable=*/true);
  ASSERT_OK(found);
  EXPECT_EQ(*found, "of another");
}

TEST_P(KafkaConformance, AnOpenTransactionHoldsTheStableOffsetAndTheReaders) {
  auto first = Open();
  auto second = Open(id_ + "-second");
  Prepare(*first, "a");
  ASSERT_OK(second->Begin());
  ASSERT_OK(second->Produce(topic_, "b"));
  ASSERT_OK(second->Commit());
  ExpectEnds({0, 3});
  ExpectVisible({});
  ASSERT_OK(first->Commit());
  ExpectEnds({4, 4});
  ExpectVisible({"a", "b"});
}

TEST_P(KafkaConformance, OffsetsOfAnOpenTransactionAreUnstable) {
  auto producer = Open();
  Write(*producer, "a");
  ExpectOffset("with a");
  Prepare(*producer, "b");
  ExpectUnstable();
  ExpectOffset("with a", /*stable=*/false);
  ASSERT_OK(producer->Commit());
  ExpectOffset("with b");
  Prepare(*producer, "c");
  ExpectUnstable();
  ASSERT_OK(producer->Abort());
  ExpectOffset("with b");
}

TEST_P(KafkaConformance, TheLastInitFencesAndEndsWhatIsOpen) {
  auto first = Open();
  Write(*first, "a");
  Prepare(*first, "b");
  ExpectEnds({2, 3});
  auto second = Open();
  ExpectOffset("with a");
  ExpectEnds({4, 4});
  ExpectFenced(*first);
  Write(*second, "c");
  ExpectVisible({"a", "c"});
  ExpectOffset("with c");
  // Whoever comes last owns it, also one that was here before.
  ASSERT_OK(first->Init());
  ASSERT_OK(second->Begin());
  ExpectFenced(*second);
  Write(*first, "d");
  ExpectVisible({"a", "c", "d"});
}

TEST_P(KafkaConformance, ACommitOfAFencedProducerIsRefused) {
  auto first = Open();
  Prepare(*first, "a");
  auto second = Open();
  const absl::Status status = first->Commit();
  EXPECT_TRUE(absl::IsAborted(status)) << status;
  ExpectEnds({2, 2});
  ExpectVisible({});
  ExpectOffset(std::nullopt);
}

TEST_P(KafkaConformance, ACrashLeavesATransactionOpen) {
  auto producer = Open();
  Prepare(*producer, "a");
  producer.reset();
  ExpectEnds({0, 1});
  ExpectUnstable();
  producer = Open();
  ExpectOffset(std::nullopt);
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

TEST_P(KafkaConformance, TheMarkerTellsWhatBecameOfACommitThatWasCarriedOut) {
  auto producer = Open();
  Prepare(*producer, "a");
  producer->LoseAnswerOfCommit(Fate::kCarriedOut);
  EXPECT_TRUE(absl::IsUnavailable(producer->Commit()));
  ExpectEnds({2, 2});
  auto next = Open();
  ExpectOffset("with a");
  Write(*next, "b");
  ExpectVisible({"a", "b"});
}

TEST_P(KafkaConformance, TheMarkerTellsWhatBecameOfACommitThatWasLost) {
  auto producer = Open();
  Write(*producer, "a");
  Prepare(*producer, "b");
  producer->LoseAnswerOfCommit(Fate::kLost);
  const absl::Status status = producer->Commit();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  ExpectEnds({2, 3});
  ExpectUnstable();
  producer = Open();
  ExpectOffset("with a");
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
  ExpectOffset("with a");
  const absl::Status status = producer->Commit();
  EXPECT_TRUE(absl::IsAborted(status)) << status;
  ASSERT_OK(producer->Init());
  Write(*producer, "c");
  ExpectVisible({"a", "c"});
}

TEST_P(KafkaConformance, AnExpiredOffsetIsNoneAndTheRecordsStay) {
  auto producer = Open();
  Write(*producer, "a");
  ExpectOffset("with a");
  ASSERT_OK(log_->ExpireGroup(group_));
  ExpectOffset(std::nullopt);
  ExpectOffset(std::nullopt, /*stable=*/false);
  ExpectVisible({"a"});
  Write(*producer, "b");
  ExpectOffset("with b");
  ExpectVisible({"a", "b"});
}

Place Simulation() {
  return {.name = "simulation",
          .open = [] { return std::make_unique<driver::SimulatedKafka>(); },
          .pass_time =
              [](driver::TransactionalLog& log, absl::Duration duration) {
                dynamic_cast<driver::SimulatedKafka&>(log).PassTime(duration);
              },
          .new_topic = [] { return std::string("topic"); },
          .set_read_timeout = [](driver::TransactionalLog&, absl::Duration) {}};
}

Place RealBroker() {
  return {.name = "broker",
          .open = [] { return std::make_unique<BrokerLog>(); },
          .pass_time = [](driver::TransactionalLog&, absl::Duration) {},  // it does by itself
          .new_topic = [] { return NewTopic(1); },
          .set_read_timeout =
              [](driver::TransactionalLog& log, absl::Duration timeout) {
                dynamic_cast<BrokerLog&>(log).set_read_timeout(timeout);
              }};
}

INSTANTIATE_TEST_SUITE_P(Kafka, KafkaConformance, testing::Values(Simulation(), RealBroker()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace millrace
