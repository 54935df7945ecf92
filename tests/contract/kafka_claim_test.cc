// Claims of the Kafka sink's places over a real broker: who may write, and what became of a commit
// whose answer never came. What a crash or a pause at each step leaves is in kafka_crash_test.cc;
// docs/exactly-once.md §3.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/failure_kind.h"
#include "common/base/steady_time.h"
#include "tests/contract/kafka_life.h"

namespace millrace {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(30);

absl::Time Soon() { return SteadyNow() + kTimeout; }

class KafkaClaim : public KafkaLife {};

TEST_F(KafkaClaim, AHigherEpochFencesASessionInTheMidstOfItsCommit) {
  auto lower = life_.Open();
  WriteAndCommit(*lower, 1, "one");
  Write(*lower, 2, "two of the lower");
  std::unique_ptr<SinkMember> higher;
  At("kafka_sink.before_commit", [&] { higher = life_.Open(); });
  const absl::Status status = lower->Commit(2);
  ExpectAborted(status, "a higher epoch has claimed it, 2");
  EXPECT_EQ(Visible(), Strings{"one"});
  ASSERT_NE(higher, nullptr);
  EXPECT_EQ(higher->mark().batch, BatchId(1));
  WriteAndCommit(*higher, 2, "two");
  // It has given up for good and does not take the place back.
  EXPECT_EQ(lower->Commit(2), status);
  WriteAndCommit(*higher, 3, "three");
  EXPECT_EQ(Visible(), (Strings{"one", "two", "three"}));
}

TEST_F(KafkaClaim, AHigherEpochFencesAClaim) {
  life_.BeginEpoch();
  const SinkContext lower = life_.ContextOf(0);
  std::unique_ptr<SinkMember> higher;
  At("kafka_sink.before_claimed", [&] { higher = life_.Open(); });
  EXPECT_EQ(life_.Claim(lower).status().code(), absl::StatusCode::kAborted);
  ASSERT_NE(higher, nullptr);
  higher = life_.Open();  // whom the lower one may have stopped in order to find out
  WriteAndCommit(*higher, 1, "one");
  EXPECT_EQ(Visible(), Strings{"one"});
}

// In Kafka the last init wins, not the highest epoch.
TEST_F(KafkaClaim, AZombieThatInitsLastGivesUpAndTheOwnerClaimsAgain) {
  auto first = life_.Open();
  WriteAndCommit(*first, 1, "one");
  const SinkContext zombie = life_.ContextOf(0);  // of epoch 1, before batch 2 was planned
  auto owner = life_.Open();
  WriteAndCommit(*owner, 2, "two");
  Write(*owner, 3, "three");
  ExpectAborted(life_.Claim(zombie).status(), "a higher epoch has claimed it, 2; epoch 1 gives up");
  EXPECT_EQ(owner->Commit(3).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(Visible(), (Strings{"one", "two"}));
  owner = life_.Open();
  EXPECT_EQ(owner->mark().batch, BatchId(2));
  Write(*owner, 3, "three");
  Commit(*owner, 3);
  EXPECT_EQ(Visible(), (Strings{"one", "two", "three"}));
}

// The claim of the higher epoch must fail then: what it would read might lack a batch that is yet
// to come. It begins again, and reads that batch.
TEST_F(KafkaClaim, ALowerEpochThatComesBetweenInitAndClaimIsFound) {
  auto first = life_.Open();
  WriteAndCommit(*first, 1, "one");
  const SinkContext lower = life_.ContextOf(0);
  life_.context.planned_batch = BatchId(2);
  At("kafka_sink.before_claimed", [&] {
    auto zombie = life_.Claim(lower);
    ASSERT_OK(zombie);
    const auto shard = (*zombie)->AddShard(0, 0);
    ASSERT_OK(shard);
    ASSERT_OK((*shard)->Write({.id = BatchId(2)}, TextRows({{"two"}})));
    ASSERT_OK((*zombie)->Prepare(BatchId(2), Soon()));
    ASSERT_OK((*zombie)->Commit(BatchId(2), Soon()));
  });
  auto higher = life_.Open();
  EXPECT_EQ(higher->mark().written, Epoch(1));
  EXPECT_EQ(higher->mark().batch, BatchId(2));
  Write(*higher, 2, "two");
  Write(*higher, 3, "three");
  Commit(*higher, 3);
  EXPECT_EQ(Visible(), (Strings{"one", "two", "three"}));
}

TEST_F(KafkaClaim, FindsTheLastMarkThroughManyEpochs) {
  Strings expected;
  for (int64_t batch = 1; batch <= 20; ++batch) {
    auto member = life_.Open();
    EXPECT_EQ(member->mark().batch, BatchId(batch - 1));
    EXPECT_EQ(member->mark().written, Epoch(batch - 1));
    expected.push_back(absl::StrCat(batch));
    WriteAndCommit(*member, batch, expected.back());
  }
  EXPECT_EQ(Visible(), expected);
}

TEST_F(KafkaClaim, EndsWhatACrashedSessionLeftOpen) {
  auto member = life_.Open();
  WriteAndCommit(*member, 1, "one");
  member.reset();
  // The same, had it died between the records and the commit.
  auto crashed = kafka::NewTransactionalProducer(Broker().bootstrap_servers(), PlaceName());
  ASSERT_OK(crashed);
  ASSERT_OK((*crashed)->Begin());
  ASSERT_OK((*crashed)->Send(topic_, 0, "never committed"));
  ASSERT_OK((*crashed)->Flush());
  crashed->reset();
  auto description = Admin().DescribeTopic(topic_, kTimeout);
  ASSERT_OK(description);
  EXPECT_LT(description->partitions[0].stable_end, description->partitions[0].high_watermark);
  member = life_.Open();
  EXPECT_EQ(member->mark().batch, BatchId(1));
  EXPECT_EQ(Visible(), Strings{"one"});  // waits until the end is stable
  WriteAndCommit(*member, 2, "two");
  EXPECT_EQ(Visible(), (Strings{"one", "two"}));
}

TEST_F(KafkaClaim, RefusesAMarkOfTheFuture) {
  auto member = life_.Open();
  SinkContext old_copy = life_.ContextOf(0);
  WriteAndCommit(*member, 1, "one");
  old_copy.epoch = Epoch(2);
  const absl::Status status = life_.Claim(old_copy).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "batch 1 is out")) << status;
}

// As after a restore of the cluster from a copy.
TEST_F(KafkaClaim, RefusesAMarkThatIsOlderThanTheJournaledOne) {
  auto member = life_.Open();
  WriteAndCommit(*member, 1, "one");
  WriteAndCommit(*member, 2, "two");
  member.reset();
  auto log = kafka::NewTransactionalProducer(Broker().bootstrap_servers(), "restored-" + topic_);
  ASSERT_OK(log);
  ASSERT_OK((*log)->Begin());
  ASSERT_OK((*log)->SendKeyed(LogTopic(), 0, KeyPrefix() + "out", "1:1:1"));
  ASSERT_OK((*log)->Commit());
  const absl::Status status = life_.TryOpenEpoch({{0}}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "has lost what it had acknowledged")) << status;
}

// A slot's log is one partition, which the journal knows.
TEST_F(KafkaClaim, SlotsShareTheLogOfTheirJob) {
  SinkMembers members = life_.OpenEpoch({{0}, {1}, {2}, {3}, {4}});
  for (uint32_t slot = 0; slot < 5; ++slot) {
    Write(*members[slot], 1, absl::StrCat("of ", slot), slot);
    ASSERT_OK(members[slot]->Commit(1));
  }
  auto log = Admin().DescribeTopic(LogTopic(), kTimeout);
  ASSERT_OK(log);
  EXPECT_EQ(log->partitions.size(), 4u);
  auto config = Admin().TopicConfig(LogTopic(), kTimeout);
  ASSERT_OK(config);
  EXPECT_EQ((*config)["cleanup.policy"], "compact");
  members = life_.OpenEpoch({{4}, {3}, {2}, {1}, {0}});
  for (const auto& member : members) {
    EXPECT_EQ(member->mark().written, Epoch(1));
    EXPECT_EQ(member->mark().batch, BatchId(1));
  }
}

TEST_F(KafkaClaim, ALogThatWasMadeBeforehandMayHaveOnePartition) {
  const std::string log = NewTopic(1, {{"cleanup.policy", "compact"}});
  SetOption("marker_topic", log);
  SinkMembers members = life_.OpenEpoch({{0}, {1}});
  Write(*members[0], 1, "zero", 0);
  Write(*members[1], 1, "one", 1);
  ASSERT_OK(members[0]->Commit(1));
  members = life_.OpenEpoch({{0}, {1}});
  EXPECT_EQ(members[0]->mark().batch, BatchId(1));
  EXPECT_EQ(members[1]->mark().batch, BatchId(0));
  EXPECT_GT(StableEnd(log), 0);
  EXPECT_TRUE(absl::IsNotFound(Admin().DescribeTopic(LogTopic(), kTimeout).status()));
}

TEST_F(KafkaClaim, ALostLogIsMadeAnewWhenNothingIsInDoubt) {
  auto member = life_.Open();
  WriteAndCommit(*member, 1, "one");
  member.reset();
  ASSERT_OK(Admin().DeleteTopic(LogTopic(), kTimeout));
  member = life_.Open();
  EXPECT_EQ(member->mark().batch, BatchId(1));
  WriteAndCommit(*member, 2, "two");
  member = life_.Open();
  EXPECT_EQ(member->mark().written, Epoch(2));
  EXPECT_EQ(Visible(), (Strings{"one", "two"}));
}

TEST_F(KafkaClaim, ALostLogWithABatchInDoubtNeedsAWord) {
  auto member = life_.Open();
  WriteAndCommit(*member, 1, "one");
  Write(*member, 2, "two");
  ASSERT_OK(member->Commit(2));  // which the journal does not hear of
  member.reset();
  ASSERT_OK(Admin().DeleteTopic(LogTopic(), kTimeout));
  // Asking again makes it no better: the claims themselves make the new log as long as the old one,
  // with a record of this place at the very offset that the journal knows.
  for (int i = 0; i < 4; ++i) {
    const absl::Status status = life_.TryOpenEpoch({{0}}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "batches 2 to 2")) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "on_lost_marker")) << status;
  }
  SetOption("on_lost_marker", "written");
  member = life_.Open();
  Write(*member, 2, "two again");
  Write(*member, 3, "three");
  Commit(*member, 3);
  EXPECT_EQ(Visible(), (Strings{"one", "two", "three"}));
}

TEST_F(KafkaClaim, ALostLogOfABatchThatWasNotWritten) {
  auto member = life_.Open();
  WriteAndCommit(*member, 1, "one");
  Write(*member, 2, "two");
  member.reset();
  ASSERT_OK(Admin().DeleteTopic(LogTopic(), kTimeout));
  SetOption("on_lost_marker", "not_written");
  member = life_.Open();
  WriteAndCommit(*member, 2, "two");
  EXPECT_EQ(Visible(), (Strings{"one", "two"}));
}

// Whoever made it, a script or a broker that makes topics by itself.
TEST_F(KafkaClaim, ALogThatDeletesIsRefused) {
  SetOption("marker_topic", NewTopic(1));
  const absl::Status status = life_.TryOpenEpoch({{0}}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "cleanup.policy = delete")) << status;
}

TEST_F(KafkaClaim, ALogThatWasCutIsALostOne) {
  const std::string log = NewTopic(1, {{"cleanup.policy", "compact"}});
  SetOption("marker_topic", log);
  auto member = life_.Open();
  WriteAndCommit(*member, 1, "one");
  Write(*member, 2, "two");
  member.reset();
  ASSERT_OK(Admin().SetTopicConfig(log, "cleanup.policy", "delete", kTimeout));
  ASSERT_OK(Admin().DeleteRecords(log, 0, StableEnd(log), kTimeout));
  ASSERT_OK(Admin().SetTopicConfig(log, "cleanup.policy", "compact", kTimeout));
  const absl::Status status = life_.TryOpenEpoch({{0}}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "batches 2 to 2")) << status;
}

// The broker gets the commit and its answer comes too late.
TEST_F(KafkaClaim, ACommitInDoubtThatWentThroughIsNotMadeAgain) {
  auto member = life_.Open();
  WriteAndCommit(*member, 1, "one");
  Write(*member, 2, "two");
  CommitUnanswered(*member, 2);
  EXPECT_EQ(StableEnd(topic_), 4) << "the broker has carried out what it had been sent";
  EXPECT_EQ(member->mark().batch, BatchId(1)) << "which the session does not know";
  bool resolved = false;
  At("kafka_sink.doubt_resolved", [&] { resolved = true; });
  Commit(*member, 2);
  EXPECT_TRUE(resolved);
  EXPECT_EQ(Visible(), (Strings{"one", "two"}));
  WriteAndCommit(*member, 3, "three");
  EXPECT_EQ(Visible(), (Strings{"one", "two", "three"}));
}

// A woken zombie with a commit in doubt takes the place in order to find out, and gives up.
TEST_F(KafkaClaim, DoubtEndsWithTheClaimOfAHigherEpoch) {
  auto member = life_.Open();
  Write(*member, 1, "one");
  CommitUnanswered(*member, 1);
  EXPECT_EQ(StableEnd(topic_), 2);
  auto owner = life_.Open();
  EXPECT_EQ(owner->mark().batch, BatchId(1));
  ExpectAborted(member->Commit(1), "a higher epoch has claimed it, 2");
  Write(*owner, 2, "two");
  EXPECT_EQ(owner->Commit(2).code(), absl::StatusCode::kAborted);
  owner = life_.Open();
  Write(*owner, 1, "one");
  Write(*owner, 2, "two");
  Commit(*owner, 2);
  EXPECT_EQ(Visible(), (Strings{"one", "two"}));
}

TEST_F(KafkaClaim, AHigherEpochFencesASessionWhoseRowsAreInItsTransaction) {
  SetOption("max_held", "1 B");
  auto lower = life_.Open();
  Write(*lower, 1, "one of the lower");
  auto higher = life_.Open();
  EXPECT_EQ(higher->mark().batch, BatchId(0));
  ExpectAborted(lower->Write(1, TextRows({{"more of it"}})), "a higher epoch has claimed it, 2");
  ExpectAborted(lower->session().Commit(BatchId(1), Soon()), "a higher epoch has claimed it, 2");
  WriteAndCommit(*higher, 1, "one");
  EXPECT_EQ(Visible(), Strings{"one"});
}

TEST_F(KafkaClaim, ACommitInDoubtOfRowsThatAreNowhereElseMayHaveGoneThrough) {
  SetOption("max_held", "1 B");
  auto member = life_.Open();
  Write(*member, 1, "one");
  EXPECT_EQ(member->session().held_bytes(), 0);
  CommitUnanswered(*member, 1);
  EXPECT_EQ(StableEnd(topic_), 2) << "the broker has carried out what it had been sent";
  Commit(*member, 1);
  WriteAndCommit(*member, 2, "two");
  EXPECT_EQ(Visible(), (Strings{"one", "two"}));
}

// This test and the next one are last in the file, since tests after them would wait for the
// broker.
TEST_F(KafkaClaim, ACommitThatWasLostWithRowsThatWereNowhereElseEndsTheEpoch) {
  SetOption("max_held", "200 B");
  auto member = life_.Open();
  WriteAndCommit(*member, 1, "one");
  Write(*member, 2, std::string(300, 'x'));
  Write(*member, 2, "two");
  EXPECT_GT(member->session().held_bytes(), 0) << "of which the rest must not go out alone";
  At("kafka_sink.before_commit", [] { Broker().Kill(); });
  absl::Status status = member->session().Commit(BatchId(2), SteadyNow() + absl::Milliseconds(500));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  ASSERT_OK(Broker().Restart());
  status = member->session().Commit(BatchId(2), Soon());
  ExpectAborted(status, "rows of batch 2 were in that transaction");
  EXPECT_EQ(FailureKindOf(status), FailureKind::kEnvironment) << status;
  EXPECT_EQ(member->session().Commit(BatchId(2), Soon()), status);
  EXPECT_EQ(Visible(), Strings{"one"});
  member = life_.Open();
  EXPECT_EQ(member->mark().batch, BatchId(1));
  WriteAndCommit(*member, 2, "two");
  EXPECT_EQ(Visible(), (Strings{"one", "two"}));
}

TEST_F(KafkaClaim, ACommitInDoubtThatWasLostIsMadeAgain) {
  SinkMembers members = life_.OpenEpoch({{0, 1}});
  SinkMember& member = *members[0];
  WriteAndCommit(member, 1, "one");
  Write(member, 2, "two of 0", 0);
  Write(member, 2, "two of 1", 1);
  At("kafka_sink.before_commit", [] { Broker().Kill(); });
  const absl::Status status =
      member.session().Commit(BatchId(2), SteadyNow() + absl::Milliseconds(500));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_GT(member.session().held_bytes(), 0) << "held until it is known to be out";
  ASSERT_OK(Broker().Restart());
  Commit(member, 2);
  EXPECT_EQ(Visible().size(), 3u);
  WriteAndCommit(member, 3, "three");
  Strings visible = Visible();
  std::sort(visible.begin() + 1, visible.begin() + 3);  // of two shards
  EXPECT_EQ(visible, (Strings{"one", "two of 0", "two of 1", "three"}));
}

}  // namespace
}  // namespace millrace
