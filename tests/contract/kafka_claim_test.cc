// Claims of Kafka sink shards over a real broker: who may write, and what became of a commit whose
// answer never came. docs/exactly-once.md §3.
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/failpoint.h"
#include "common/base/failure_kind.h"
#include "common/base/steady_time.h"
#include "tests/contract/kafka_place.h"
#include "tests/contract/tables.h"

namespace millrace {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(30);
constexpr int64_t kTimeUs = 1700000000000000;

absl::Time Soon() { return SteadyNow() + kTimeout; }

using Strings = std::vector<std::string>;

// One shard of one job through its epochs, and what its driver's journal would say.
class KafkaClaim : public testing::Test {
 protected:
  KafkaClaim() : topic_(NewTopic(1)), context_(NewShard()) {
    context_.epoch = Epoch(0);
    sink_ = TextSink("kafka", "raw",
                     {{"bootstrap.servers", Broker().bootstrap_servers()}, {"topic", topic_}});
  }
  void TearDown() override { SetFailpointHandler(nullptr); }

  absl::StatusOr<std::unique_ptr<SinkWriter>> TryOpen(const SinkContext& context) {
    return (*Connectors().Sink("kafka"))->CreateWriter(sink_, context);
  }
  // In the next epoch.
  std::unique_ptr<SinkWriter> Open() {
    context_.epoch = context_.epoch.Next();
    auto writer = TryOpen(context_);
    EXPECT_OK(writer);
    if (!writer.ok()) {
      return nullptr;
    }
    context_.marker = (*writer)->marker();  // EpochOpened
    return *std::move(writer);
  }

  void Write(SinkWriter& writer, int64_t batch, const std::string& value) {
    context_.planned_batch = std::max(context_.planned_batch, BatchId(batch));
    EXPECT_OK(writer.Write(BatchId(batch), kTimeUs, TextRows({{value}})));
    EXPECT_OK(writer.Prepare(BatchId(batch), Soon()));
  }
  void Commit(SinkWriter& writer, int64_t through) {
    auto marker = writer.Commit(BatchId(through), Soon());
    ASSERT_OK(marker);
    context_.marker = *marker;
    context_.committed_batch = BatchId(through);
  }
  void WriteAndCommit(SinkWriter& writer, int64_t batch, const std::string& value) {
    Write(writer, batch, value);
    Commit(writer, batch);
  }

  // What readers of committed records see.
  Strings Visible() const {
    StableEnd(topic_);
    Strings values;
    for (const PlainRecord& record : Consume(topic_)) {
      values.push_back(*record.value);
    }
    return values;
  }

  std::string ShardName() const {
    return absl::StrCat("millrace-", context_.incarnation, "-", context_.sink, "-", context_.shard);
  }

  // Calls `fn` at the first hit of a failpoint.
  static void At(const std::string& failpoint, std::function<void()> fn) {
    auto done = std::make_shared<bool>(false);
    SetFailpointHandler([=](const char* name) {
      if (name == failpoint && !*done) {
        *done = true;
        fn();
      }
    });
  }

  std::string topic_;
  SinkContext context_;
  proto::Sink sink_;
};

void ExpectAborted(const absl::Status& status, const std::string& says) {
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), says)) << status;
}

TEST_F(KafkaClaim, AHigherEpochFencesAWriterInTheMidstOfItsCommit) {
  auto lower = Open();
  WriteAndCommit(*lower, 1, "one");
  Write(*lower, 2, "two of the lower");
  std::unique_ptr<SinkWriter> higher;
  At("kafka_sink.before_commit", [&] { higher = Open(); });
  absl::Status status = lower->Commit(BatchId(2), Soon()).status();
  ExpectAborted(status, "a higher epoch has claimed it, 2");
  EXPECT_EQ(Visible(), Strings{"one"});
  ASSERT_NE(higher, nullptr);
  EXPECT_EQ(higher->committed(), BatchId(1));
  WriteAndCommit(*higher, 2, "two");
  // It has given up for good and does not take the shard back.
  EXPECT_EQ(lower->Commit(BatchId(2), Soon()).status(), status);
  WriteAndCommit(*higher, 3, "three");
  EXPECT_EQ(Visible(), (Strings{"one", "two", "three"}));
}

TEST_F(KafkaClaim, AHigherEpochFencesAClaim) {
  std::unique_ptr<SinkWriter> higher;
  SinkContext lower = context_;
  lower.epoch = Epoch(1);
  context_.epoch = Epoch(1);
  At("kafka_sink.before_claimed", [&] { higher = Open(); });
  EXPECT_EQ(TryOpen(lower).status().code(), absl::StatusCode::kAborted);
  ASSERT_NE(higher, nullptr);
  WriteAndCommit(*higher, 1, "one");
  EXPECT_EQ(Visible(), Strings{"one"});
}

// In Kafka the last init wins, not the highest epoch.
TEST_F(KafkaClaim, AZombieThatInitsLastGivesUpAndTheOwnerClaimsAgain) {
  auto first = Open();
  WriteAndCommit(*first, 1, "one");
  SinkContext zombie = context_;  // of epoch 1, as before batch 2 was planned
  auto owner = Open();
  WriteAndCommit(*owner, 2, "two");
  Write(*owner, 3, "three");
  ExpectAborted(TryOpen(zombie).status(), "a higher epoch has claimed it, 2; epoch 1 gives up");
  ExpectAborted(owner->Commit(BatchId(3), Soon()).status(), "another writer has taken the shard");
  EXPECT_EQ(Visible(), (Strings{"one", "two"}));
  owner = Open();
  EXPECT_EQ(owner->committed(), BatchId(2));
  Write(*owner, 2, "two again");
  Write(*owner, 3, "three");
  Commit(*owner, 3);
  EXPECT_EQ(Visible(), (Strings{"one", "two", "three"}));
}

// As a broker makes it that creates topics by itself.
TEST_F(KafkaClaim, AMarkerTopicWithTooFewPartitionsIsGrown) {
  (*sink_.mutable_options())["marker_topic"] = NewTopic(1);
  auto writer = Open();
  WriteAndCommit(*writer, 1, "one");
  auto next = Open();
  EXPECT_EQ(next->committed(), BatchId(1));
  WriteAndCommit(*next, 2, "two");
  EXPECT_EQ(Visible(), (Strings{"one", "two"}));
}

// Epochs share partitions of the marker topic, and the markers of old ones stay in the others.
TEST_F(KafkaClaim, FindsTheLastMarkerThroughManyEpochs) {
  Strings expected;
  for (int64_t batch = 1; batch <= 20; ++batch) {
    auto writer = Open();
    EXPECT_EQ(writer->committed(), BatchId(batch - 1));
    expected.push_back(absl::StrCat(batch));
    WriteAndCommit(*writer, batch, expected.back());
  }
  EXPECT_EQ(Visible(), expected);
}

TEST_F(KafkaClaim, EndsWhatACrashedWriterLeftOpen) {
  auto writer = Open();
  WriteAndCommit(*writer, 1, "one");
  writer.reset();
  // The same, had it died between the records and the commit.
  auto crashed = kafka::NewTransactionalProducer(Broker().bootstrap_servers(), ShardName());
  ASSERT_OK(crashed);
  ASSERT_OK((*crashed)->Begin());
  ASSERT_OK((*crashed)->Send(topic_, 0, "never committed"));
  ASSERT_OK((*crashed)->Flush());
  crashed->reset();
  auto description = Admin().DescribeTopic(topic_, kTimeout);
  ASSERT_OK(description);
  EXPECT_LT(description->partitions[0].stable_end, description->partitions[0].high_watermark);
  writer = Open();
  EXPECT_EQ(writer->committed(), BatchId(1));
  EXPECT_EQ(Visible(), Strings{"one"});  // waits until the end is stable
  WriteAndCommit(*writer, 2, "two");
  EXPECT_EQ(Visible(), (Strings{"one", "two"}));
}

TEST_F(KafkaClaim, RefusesAMarkerOfTheFuture) {
  auto writer = Open();
  SinkContext old_copy = context_;
  WriteAndCommit(*writer, 1, "one");
  old_copy.epoch = Epoch(2);
  absl::Status status = TryOpen(old_copy).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "batch 1 is out")) << status;
}

TEST_F(KafkaClaim, AnExpiredMarkerIsClaimedAgainWhenNothingIsInDoubt) {
  auto writer = Open();
  WriteAndCommit(*writer, 1, "one");
  writer.reset();
  ASSERT_OK(Admin().DeleteGroup(ShardName(), kTimeout));
  writer = Open();
  EXPECT_EQ(writer->committed(), BatchId(1));
  Write(*writer, 1, "one again");
  Write(*writer, 2, "two");
  Commit(*writer, 2);
  EXPECT_EQ(Visible(), (Strings{"one", "two"}));
}

TEST_F(KafkaClaim, AnExpiredMarkerWithABatchInDoubtNeedsAWord) {
  auto writer = Open();
  WriteAndCommit(*writer, 1, "one");
  Write(*writer, 2, "two");
  ASSERT_OK(writer->Commit(BatchId(2), Soon()));  // which the journal does not hear of
  writer.reset();
  ASSERT_OK(Admin().DeleteGroup(ShardName(), kTimeout));
  context_.epoch = Epoch(2);
  absl::Status status = TryOpen(context_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "batches 2 to 2")) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "on_lost_marker")) << status;
  (*sink_.mutable_options())["on_lost_marker"] = "written";
  writer = Open();
  EXPECT_EQ(writer->committed(), BatchId(2));
  Write(*writer, 2, "two again");
  Write(*writer, 3, "three");
  Commit(*writer, 3);
  EXPECT_EQ(Visible(), (Strings{"one", "two", "three"}));
}

TEST_F(KafkaClaim, AnExpiredMarkerOfABatchThatWasNotWritten) {
  auto writer = Open();
  WriteAndCommit(*writer, 1, "one");
  Write(*writer, 2, "two");
  writer.reset();
  ASSERT_OK(Admin().DeleteGroup(ShardName(), kTimeout));
  (*sink_.mutable_options())["on_lost_marker"] = "not_written";
  writer = Open();
  EXPECT_EQ(writer->committed(), BatchId(1));
  WriteAndCommit(*writer, 2, "two");
  EXPECT_EQ(Visible(), (Strings{"one", "two"}));
}

// The broker gets the commit and its answer comes too late.
TEST_F(KafkaClaim, ACommitInDoubtThatWentThroughIsNotMadeAgain) {
  auto writer = Open();
  WriteAndCommit(*writer, 1, "one");
  Write(*writer, 2, "two");
  At("kafka_sink.before_commit", [] { Broker().Pause(); });
  absl::Status status = writer->Commit(BatchId(2), SteadyNow() + absl::Milliseconds(500)).status();
  Broker().Resume();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_EQ(StableEnd(topic_), 4) << "the broker has carried out what it had been sent";
  EXPECT_EQ(writer->committed(), BatchId(1)) << "which the writer does not know";
  bool resolved = false;
  At("kafka_sink.doubt_resolved", [&] { resolved = true; });
  Commit(*writer, 2);
  EXPECT_TRUE(resolved);
  EXPECT_EQ(Visible(), (Strings{"one", "two"}));
  WriteAndCommit(*writer, 3, "three");
  EXPECT_EQ(Visible(), (Strings{"one", "two", "three"}));
}

// A woken zombie with a commit in doubt takes the shard in order to find out, and gives up.
TEST_F(KafkaClaim, DoubtEndsWithTheMarkerOfAHigherEpoch) {
  auto writer = Open();
  Write(*writer, 1, "one");
  At("kafka_sink.before_commit", [] { Broker().Pause(); });
  absl::Status status = writer->Commit(BatchId(1), SteadyNow() + absl::Milliseconds(500)).status();
  Broker().Resume();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_EQ(StableEnd(topic_), 2);
  auto owner = Open();
  EXPECT_EQ(owner->committed(), BatchId(1));
  ExpectAborted(writer->Commit(BatchId(1), Soon()).status(), "a higher epoch has claimed it, 2");
  Write(*owner, 2, "two");
  ExpectAborted(owner->Commit(BatchId(2), Soon()).status(), "another writer has taken the shard");
  owner = Open();
  WriteAndCommit(*owner, 2, "two");
  EXPECT_EQ(Visible(), (Strings{"one", "two"}));
}

TEST_F(KafkaClaim, AHigherEpochFencesAWriterWhoseRowsAreInItsTransaction) {
  (*sink_.mutable_options())["max_held"] = "1 B";
  auto lower = Open();
  Write(*lower, 1, "one of the lower");
  auto higher = Open();
  EXPECT_EQ(higher->committed(), BatchId(0));
  ExpectAborted(lower->Write(BatchId(1), kTimeUs, TextRows({{"more of it"}})),
                "a higher epoch has claimed it, 2");
  ExpectAborted(lower->Commit(BatchId(1), Soon()).status(), "a higher epoch has claimed it, 2");
  WriteAndCommit(*higher, 1, "one");
  EXPECT_EQ(Visible(), Strings{"one"});
}

TEST_F(KafkaClaim, ACommitInDoubtOfRowsThatAreNowhereElseMayHaveGoneThrough) {
  (*sink_.mutable_options())["max_held"] = "1 B";
  auto writer = Open();
  Write(*writer, 1, "one");
  EXPECT_EQ(writer->held_bytes(), 0);
  At("kafka_sink.before_commit", [] { Broker().Pause(); });
  absl::Status status = writer->Commit(BatchId(1), SteadyNow() + absl::Milliseconds(500)).status();
  Broker().Resume();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_EQ(StableEnd(topic_), 2) << "the broker has carried out what it had been sent";
  Commit(*writer, 1);
  WriteAndCommit(*writer, 2, "two");
  EXPECT_EQ(Visible(), (Strings{"one", "two"}));
}

// This test and the next one are last in the file, since tests after them would wait for the
// broker.
TEST_F(KafkaClaim, ACommitThatWasLostWithRowsThatWereNowhereElseEndsTheEpoch) {
  (*sink_.mutable_options())["max_held"] = "200 B";
  auto writer = Open();
  WriteAndCommit(*writer, 1, "one");
  Write(*writer, 2, std::string(300, 'x'));
  Write(*writer, 2, "two");
  EXPECT_GT(writer->held_bytes(), 0) << "of which the rest must not go out alone";
  At("kafka_sink.before_commit", [] { Broker().Kill(); });
  absl::Status status = writer->Commit(BatchId(2), SteadyNow() + absl::Milliseconds(500)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  ASSERT_OK(Broker().Restart());
  status = writer->Commit(BatchId(2), Soon()).status();
  ExpectAborted(status, "rows of batch 2 were in that transaction");
  EXPECT_EQ(FailureKindOf(status), FailureKind::kEnvironment) << status;
  EXPECT_EQ(writer->Commit(BatchId(2), Soon()).status(), status);
  EXPECT_EQ(Visible(), Strings{"one"});
  writer = Open();
  EXPECT_EQ(writer->committed(), BatchId(1));
  WriteAndCommit(*writer, 2, "two");
  EXPECT_EQ(Visible(), (Strings{"one", "two"}));
}

TEST_F(KafkaClaim, ACommitInDoubtThatWasLostIsMadeAgain) {
  auto writer = Open();
  WriteAndCommit(*writer, 1, "one");
  Write(*writer, 2, "two");
  At("kafka_sink.before_commit", [] { Broker().Kill(); });
  absl::Status status = writer->Commit(BatchId(2), SteadyNow() + absl::Milliseconds(500)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_GT(writer->held_bytes(), 0) << "held until it is known to be out";
  ASSERT_OK(Broker().Restart());
  Commit(*writer, 2);
  EXPECT_EQ(Visible(), (Strings{"one", "two"}));
  WriteAndCommit(*writer, 3, "three");
  EXPECT_EQ(Visible(), (Strings{"one", "two", "three"}));
}

}  // namespace
}  // namespace millrace
