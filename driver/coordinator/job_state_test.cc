// The state machine step by step: each test plays one situation and checks what the job asks for.
#include "driver/coordinator/job_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "driver/coordinator/testing/job_play.h"

namespace millrace::driver {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(JobStateTest, WaitsForExecutorsAndSaysHowToStartOne) {
  JobStateOptions options;
  options.driver_address = "10.0.0.1:7100";
  Play play(Submitted(1), Play::Settings(10), options);
  play.Members({});
  EXPECT_EQ(play.state().phase(), proto::PHASE_WAITING);
  EXPECT_EQ(play.state().message(),
            "waits for executors: none is registered with this driver; start one with "
            "millrace-executor --driver 10.0.0.1:7100");
  EXPECT_EQ(play.state().next_wakeup_us(), JobState::kNever);
  play.Members({"e"});
  EXPECT_EQ(play.state().phase(), proto::PHASE_STARTING);
  EXPECT_EQ(play.starts.size(), 1u);
}

TEST(JobStateTest, JournalsTheEpochBeforeAnybodyHearsOfIt) {
  Play play(Submitted(3));
  play.journal_works = false;
  play.Members({"a", "b"});
  ASSERT_EQ(play.journal.size(), 1u);
  EXPECT_EQ(play.journal[0].epoch_started().epoch(), 1);
  EXPECT_THAT(play.starts, IsEmpty());
  play.MakeDurable();
  ASSERT_EQ(play.starts.size(), 2u);
  const proto::Assignment& assignment = play.starts[0].assignment();
  EXPECT_EQ(assignment.members_size(), 2);
  EXPECT_EQ(assignment.shard_owner_size(), 4);
  ASSERT_EQ(assignment.partitions_size(), 2);
  EXPECT_EQ(assignment.partitions(1).ordinal(), 2u);
  EXPECT_EQ(assignment.partitions(1).offset(), 100);
  ASSERT_EQ(play.starts[1].assignment().partitions_size(), 1) << "to each member its own";
  EXPECT_EQ(play.starts[1].assignment().partitions(0).ordinal(), 1u);
  EXPECT_EQ(play.starts[0].first_batch(), 1);
}

TEST(JobStateTest, PlansWhenEveryMemberIsReady) {
  Play play(Submitted(2));
  play.Members({"a", "b"});
  play.Ends(150, 2);
  play.Ready("a");
  EXPECT_THAT(play.runs, IsEmpty());
  play.Ready("b");
  ASSERT_EQ(play.runs.size(), 2u) << "every member gets every batch";
  EXPECT_EQ(play.runs[0].splits_size() + play.runs[1].splits_size(), 2);
  EXPECT_EQ(play.runs[0].splits(0).begin(), 100);
  EXPECT_EQ(play.runs[0].splits(0).end(), 150);
}

TEST(JobStateTest, TicksOnAGridAndSkipsThoseWithoutInput) {
  Play play(Submitted(1), Play::Settings(10));
  play.Start();
  EXPECT_EQ(play.state().next_wakeup_us(), JobState::kNever) << "an idle job needs no timer";
  play.Ends(110);
  EXPECT_THAT(play.RunBatches(), ElementsAre(1));
  play.RunBatch(1);
  play.now_us = 3 * kMs;
  play.Ends(120);
  EXPECT_THAT(play.RunBatches(), ElementsAre(1)) << "not before the tick";
  EXPECT_EQ(play.state().next_wakeup_us(), 10 * kMs);
  play.At(10 * kMs);
  EXPECT_THAT(play.RunBatches(), ElementsAre(1, 2));
  play.RunBatch(2);
  // Silence; the next input waits for the first tick after it.
  play.now_us = 57 * kMs;
  play.Ends(130);
  EXPECT_EQ(play.state().next_wakeup_us(), 60 * kMs);
  play.At(60 * kMs);
  EXPECT_THAT(play.RunBatches(), ElementsAre(1, 2, 3));
  EXPECT_EQ(play.done.back().tick_us, 10 * kMs);
}

TEST(JobStateTest, LateTickKeepsItsDueTime) {
  Play play(Submitted(1), Play::Settings(10));
  play.Start();
  play.Ends(110);
  play.now_us = 5 * kMs;
  play.Ends(120);
  play.now_us = 34 * kMs;
  play.RunBatch(1);
  EXPECT_THAT(play.RunBatches(), ElementsAre(1, 2)) << "as soon as there is room";
  play.RunBatch(2);
  EXPECT_EQ(play.done[1].tick_us, 10 * kMs) << "latency counts from when it was due";
  play.Ends(130);
  EXPECT_EQ(play.state().next_wakeup_us(), 40 * kMs)
      << "back on the grid, without making up missed ticks";
}

TEST(JobStateTest, ProgressOfExecutorsMovesTheEnd) {
  Play play(Submitted(1));
  play.Start();
  proto::ExecutorMessage message;
  message.mutable_source_progress()->set_epoch(1);
  auto* partition = message.mutable_source_progress()->add_partitions();
  partition->mutable_key()->set_partition("t/0");
  partition->set_fetched_to(107);
  play.Report("e", message);
  ASSERT_EQ(play.runs.size(), 1u);
  EXPECT_EQ(play.runs[0].splits(0).end(), 107);
}

TEST(JobStateTest, NextBatchRunsWhileOneCommits) {
  Play play(Submitted(1), Play::Settings(0));
  play.Start();
  play.Ends(110);
  play.Ends(120);
  EXPECT_THAT(play.RunBatches(), ElementsAre(1)) << "one at a time";
  play.Prepared("e", 1);
  EXPECT_THAT(play.commits, ElementsAre(1));
  EXPECT_THAT(play.RunBatches(), ElementsAre(1, 2)) << "2 runs while 1 commits";
  play.Ends(130);
  play.Prepared("e", 2);
  EXPECT_THAT(play.commits, ElementsAre(1)) << "2 commits after 1";
  EXPECT_THAT(play.RunBatches(), ElementsAre(1, 2, 3)) << "little waits: one more may";
  play.Committed("e", 1);
  EXPECT_THAT(play.commits, ElementsAre(1, 2));
}

TEST(JobStateTest, CommitWaitsForTheJournal) {
  Play play(Submitted(1));
  play.Start();
  play.journal_works = false;
  play.Ends(110);
  play.Prepared("e", 1);
  EXPECT_THAT(play.commits, IsEmpty());
  play.MakeDurable();
  EXPECT_THAT(play.commits, ElementsAre(1));
  play.Committed("e", 1, "m1");
  EXPECT_THAT(play.done, IsEmpty()) << "visible only once the journal knows";
  play.MakeDurable();
  ASSERT_EQ(play.done.size(), 1u);
  EXPECT_EQ(play.done[0].records, 10);
  EXPECT_EQ(play.state().history().markers().at({0, 0}).marker(), "m1");
}

TEST(JobStateTest, DuplicateReportsCountOnce) {
  Play play(Submitted(2));
  play.Members({"a", "b"});
  play.Ready("a");
  play.Ready("b");
  play.Ends(110, 2);
  play.Prepared("a", 1);
  play.Prepared("a", 1);
  EXPECT_THAT(play.commits, IsEmpty());
  play.Prepared("b", 1);
  play.Committed("b", 1);
  play.Committed("b", 1);
  EXPECT_THAT(play.done, IsEmpty());
  play.Committed("a", 1);
  ASSERT_EQ(play.done.size(), 1u);
  EXPECT_EQ(play.done[0].records, 20);
}

TEST(JobStateTest, RowsSkippedBehindAnExchangeCount) {
  Play play(Submitted(1));
  play.Start();
  play.Ends(110);
  ASSERT_EQ(play.runs.size(), 1u);
  proto::ExecutorMessage message;
  proto::BatchPrepared* prepared = message.mutable_batch_prepared();
  prepared->set_epoch(1);
  prepared->set_batch(1);
  prepared->set_skipped(2);
  prepared->set_first_error("the row of key (k = a): unlucky");
  proto::SplitReport* report = prepared->add_splits();
  *report->mutable_key() = play.runs[0].splits(0).key();
  report->set_records(10);
  report->set_skipped(1);
  play.Report("e", message);
  play.Committed("e", 1);
  ASSERT_EQ(play.done.size(), 1u);
  EXPECT_EQ(play.done[0].skipped, 3);
  EXPECT_EQ(play.done[0].first_error, "the row of key (k = a): unlucky");
}

TEST(JobStateTest, BatchTimeNeverStepsBack) {
  Play play(Submitted(1), Play::Settings(0));
  play.Start();
  play.Ends(110);
  play.RunBatch(1);
  std::vector<JobAction> actions =
      play.state().Handle(EndsKnown{0, {{"t/0", 120, 120}}}, {play.now_us, /*wall_us=*/5});
  ASSERT_FALSE(actions.empty());
  const auto& planned = std::get<AppendRecord>(actions[0]).record.batch_planned();
  EXPECT_EQ(planned.batch_time_us(), play.runs[0].batch_time_us() + 1);
}

TEST(JobStateTest, RateLimitBoundsEveryBatch) {
  JobSettings settings = Play::Settings(1000);
  settings.max_rate_per_partition = 7;
  Play play(Submitted(2), settings);
  play.Start();
  play.Ends(1'000'000, 2);
  ASSERT_EQ(play.runs[0].splits_size(), 2);
  EXPECT_EQ(play.runs[0].splits(0).end(), 107);
  EXPECT_EQ(play.runs[0].splits(1).end(), 107);
  play.RunBatch(1);
  EXPECT_EQ(play.state().next_wakeup_us(), 1000 * kMs) << "the limit is no backlog to hurry for";
}

TEST(JobStateTest, BacklogIsReadInBoundedBatchesWithoutWaitingForTicks) {
  Play play(Submitted(1), Play::Settings(2000));
  play.Start();
  play.Ends(1'000'000);
  EXPECT_EQ(play.runs[0].splits(0).end(), 100 + RateController::kInitialRecordsPerPartition);
  play.now_us = 50 * kMs;
  play.Prepared("e", 1);
  EXPECT_THAT(play.RunBatches(), ElementsAre(1, 2));
  EXPECT_EQ(play.runs[1].splits(0).begin(), play.runs[0].splits(0).end());
  EXPECT_EQ(play.runs[1].splits(0).end() - play.runs[1].splits(0).begin(),
            4 * RateController::kInitialRecordsPerPartition);
}

TEST(JobStateTest, HeldResultsHoldThePlan) {
  Play play(Submitted(1), Play::Settings(0));
  play.Start();
  play.Do(ResultsHeld{true});
  play.Ends(110);
  EXPECT_THAT(play.runs, IsEmpty());
  EXPECT_EQ(play.state().next_wakeup_us(), JobState::kNever);
  play.Do(ResultsHeld{false});
  EXPECT_THAT(play.RunBatches(), ElementsAre(1));
}

TEST(JobStateTest, BoundedJobFinishesWhenAllIsCommitted) {
  proto::JobSubmitted submitted = Submitted(2);
  submitted.set_once(true);
  for (int p = 0; p < 2; ++p) {
    auto* stop = submitted.add_stop_at();
    stop->mutable_key()->set_partition(absl::StrCat("t/", p));
    stop->set_offset(p == 0 ? 130 : 100);
  }
  Play play(submitted);
  play.Start();
  play.Ends(500, 2);
  ASSERT_EQ(play.runs.size(), 1u) << "the ends at submission are input enough";
  ASSERT_EQ(play.runs[0].splits_size(), 1);
  EXPECT_EQ(play.runs[0].splits(0).end(), 130);
  play.Prepared("e", 1);
  EXPECT_TRUE(play.last_commit.finish()) << "sinks hear with it that nothing comes any more";
  play.Committed("e", 1);
  EXPECT_THAT(play.over, IsEmpty()) << "what sinks have closed has no name yet";
  EXPECT_EQ(play.last_stop.durable_batch(), 1);
  play.Stopped("e");
  ASSERT_EQ(play.over.size(), 1u);
  EXPECT_EQ(play.over[0].how, proto::JobEnded::FINISHED);
  EXPECT_EQ(play.journal.back().job_ended().how(), proto::JobEnded::FINISHED);
  EXPECT_EQ(play.state().phase(), proto::PHASE_FINISHED);
}

TEST(JobStateTest, BoundedJobWithoutInputFinishesWithoutExecutors) {
  proto::JobSubmitted submitted = Submitted(1);
  submitted.set_once(true);
  Play play(submitted);
  play.Members({});
  ASSERT_EQ(play.over.size(), 1u);
  EXPECT_EQ(play.over[0].how, proto::JobEnded::FINISHED);
}

TEST(JobStateTest, GlobalAggregateHasABatchEvenWithoutInput) {
  proto::JobSubmitted submitted = Submitted(1);
  submitted.set_once(true);
  submitted.mutable_plan()->add_stages()->add_operators()->mutable_final_aggregate()->set_global(
      true);
  Play play(submitted);
  play.Start();
  ASSERT_THAT(play.RunBatches(), ElementsAre(1));
  EXPECT_EQ(play.runs[0].splits_size(), 0);
  play.RunBatch(1);
  play.Stopped("e");
  ASSERT_EQ(play.over.size(), 1u);
  EXPECT_EQ(play.over[0].how, proto::JobEnded::FINISHED);
}

TEST(JobStateTest, DrainFinishesWhatRuns) {
  Play play(Submitted(1), Play::Settings(0));
  play.Start();
  play.Ends(110);
  play.Do(StopRequested{StopRequested::How::kDrain});
  EXPECT_EQ(play.state().phase(), proto::PHASE_DRAINING);
  EXPECT_THAT(play.over, IsEmpty());
  play.Ends(120);
  play.RunBatch(1);
  EXPECT_THAT(play.RunBatches(), ElementsAre(1)) << "nothing new";
  ASSERT_EQ(play.over.size(), 1u);
  EXPECT_EQ(play.over[0].how, proto::JobEnded::STOPPED);
  EXPECT_EQ(play.state().history().last_committed(), BatchId(1));
  EXPECT_EQ(play.stops, 1);
}

TEST(JobStateTest, InterruptLeavesNoEndInTheJournal) {
  Play play(Submitted(1));
  play.Start();
  play.Ends(110);
  play.Do(StopRequested{StopRequested::How::kInterrupt});
  play.RunBatch(1);
  ASSERT_EQ(play.over.size(), 1u);
  EXPECT_EQ(play.over[0].how, proto::JobEnded::UNKNOWN);
  EXPECT_FALSE(play.journal.back().has_job_ended());
}

TEST(JobStateTest, CancelDoesNotWait) {
  Play play(Submitted(1));
  play.Start();
  play.Ends(110);
  play.Do(StopRequested{StopRequested::How::kCancel});
  ASSERT_EQ(play.over.size(), 1u);
  EXPECT_EQ(play.over[0].how, proto::JobEnded::CANCELLED);
}

TEST(JobStateTest, BatchInDoubtIsRunAgainAsPlanned) {
  Play play(Submitted(1));
  play.Start();
  play.Ends(110);
  play.RunBatch(1);
  play.now_us = 10 * kMs;
  play.Ends(120);
  play.Prepared("e", 2);
  EXPECT_THAT(play.commits, ElementsAre(1, 2));
  play.Members({});  // the executor is lost before it reports that batch 2 is committed
  EXPECT_EQ(play.state().phase(), proto::PHASE_WAITING);
  play.Ends(500);
  play.Members({"f"});
  ASSERT_EQ(play.starts.size(), 2u);
  EXPECT_EQ(play.starts[1].epoch(), 2);
  EXPECT_EQ(play.starts[1].first_batch(), 2);
  EXPECT_EQ(play.starts[1].suppress_until(), 1);
  EXPECT_EQ(play.starts[1].assignment().partitions(0).offset(), 110);
  play.Ready("f");
  EXPECT_EQ(play.runs.back().batch(), 2);
  EXPECT_EQ(play.runs.back().splits(0).begin(), 110);
  EXPECT_EQ(play.runs.back().splits(0).end(), 120) << "not what has come since";
  EXPECT_EQ(play.runs.back().batch_time_us(), play.runs[1].batch_time_us());
  play.Prepared("f", 2);
  play.Committed("f", 2);
  EXPECT_EQ(play.state().history().last_committed(), BatchId(2));
}

class ReplayTest : public ::testing::Test {
 protected:
  // Batches 1 and 2 committed, 3 planned, then the executor is replaced.
  ReplayTest() : play_(Submitted(1, /*running_state=*/true), Play::Settings(0)) {
    play_.Start();
    for (int64_t batch = 1; batch <= 3; ++batch) {
      play_.Ends(100 + batch * 10);
      if (batch < 3) {
        play_.RunBatch(batch);
      }
    }
    play_.Members({"f"});
    play_.runs.clear();
    play_.receiver_of.clear();
    play_.commits.clear();
    play_.Ready("f");
  }
  Play play_;
};

TEST_F(ReplayTest, RebuildsStateFromTheFirstBatchWithoutCommitting) {
  EXPECT_EQ(play_.starts.back().first_batch(), 1);
  EXPECT_EQ(play_.starts.back().suppress_until(), 2);
  EXPECT_EQ(play_.starts.back().assignment().partitions(0).offset(), 100);
  EXPECT_EQ(play_.state().phase(), proto::PHASE_RECOVERING);
  play_.Prepared("f", 1);
  play_.Prepared("f", 2);
  EXPECT_THAT(play_.commits, IsEmpty());
  EXPECT_THAT(play_.RunBatches(), ElementsAre(1, 2, 3));
  EXPECT_EQ(play_.state().phase(), proto::PHASE_RUNNING);
  play_.Prepared("f", 3);
  EXPECT_THAT(play_.commits, ElementsAre(3));
  play_.Committed("f", 3);
  ASSERT_EQ(play_.done.size(), 3u) << "batches 1 and 2 were done once";
  play_.Ends(140);
  EXPECT_THAT(play_.RunBatches(), ElementsAre(1, 2, 3, 4));
}

TEST_F(ReplayTest, DifferentInputStopsTheJob) {
  play_.Prepared("f", 1, /*hash_salt=*/1);
  ASSERT_EQ(play_.over.size(), 1u);
  EXPECT_EQ(play_.over[0].how, proto::JobEnded::FAILED);
  EXPECT_THAT(play_.over[0].message,
              HasSubstr("batch 1 cannot be run again: t/0 offsets 100 to 110"));
}

TEST_F(ReplayTest, StopDoesNotWaitForStateNobodyNeeds) {
  play_.Do(StopRequested{StopRequested::How::kDrain});
  ASSERT_EQ(play_.over.size(), 1u);
  EXPECT_EQ(play_.over[0].how, proto::JobEnded::STOPPED);
}

TEST(JobStateTest, JoiningExecutorGetsWorkAtABatchBoundary) {
  Play play(Submitted(4), Play::Settings(0));
  play.Start();
  play.Ends(110, 4);
  play.Members({"e", "f"});
  play.At(400 * kMs);
  EXPECT_EQ(play.starts.size(), 1u) << "batch 1 is still under way";
  play.Ends(120, 4);
  play.Prepared("e", 1);
  EXPECT_THAT(play.RunBatches(), ElementsAre(1)) << "no new batch before the boundary";
  play.Committed("e", 1);
  ASSERT_EQ(play.starts.size(), 3u);
  EXPECT_EQ(play.starts[1].epoch(), 2);
  EXPECT_EQ(play.state().restarts(), 0);
  EXPECT_EQ(play.starts[1].assignment().partitions_size(), 2);
  EXPECT_EQ(play.starts[2].assignment().partitions_size(), 2);
}

TEST(JobStateTest, LeavingExecutorFinishesItsBatchAndGetsNoMore) {
  Play play(Submitted(2), Play::Settings(0));
  play.Members({"a", "b"});
  play.Ready("a");
  play.Ready("b");
  play.Ends(110, 2);
  MembersChanged leaving;
  leaving.members = {{ExecutorId("a"), "a", "", 1, false, false},
                     {ExecutorId("b"), "b", "", 1, false, true}};
  play.Do(leaving);
  play.At(400 * kMs);
  play.Prepared("a", 1);
  play.Prepared("b", 1);
  EXPECT_EQ(play.stops, 0) << "batch 1 is still to be committed";
  play.Committed("a", 1);
  play.Committed("b", 1);
  EXPECT_EQ(play.stops, 2);
  EXPECT_EQ(play.state().restarts(), 0);
  EXPECT_EQ(play.state().epoch(), Epoch(2));
  ASSERT_EQ(play.starts.back().assignment().members_size(), 1);
  EXPECT_EQ(play.starts.back().assignment().members(0).executor_id(), "a");
  play.Members({"a"});
  EXPECT_EQ(play.state().epoch(), Epoch(2)) << "nothing is lost when it is gone";
}

TEST(JobStateTest, ExecutorThatIsAwayKeepsItsEpochButGetsNoNewOne) {
  Play play(Submitted(2), Play::Settings(0));
  play.Members({"a", "b"});
  play.Ready("a");
  play.Ready("b");
  MembersChanged away;
  away.members = {{ExecutorId("a"), "a", "", 1, false, false},
                  {ExecutorId("b"), "b", "", 1, true, false}};
  play.Do(away);
  play.At(400 * kMs);
  EXPECT_EQ(play.state().epoch(), Epoch(1)) << "it may be back in a moment";
  play.Failed("a", true, "cannot push rows to b");
  EXPECT_EQ(play.state().epoch(), Epoch(2));
  ASSERT_EQ(play.starts.back().assignment().members_size(), 1);
  EXPECT_EQ(play.starts.back().assignment().members(0).executor_id(), "a");
  play.Ready("a");
  play.Members({"a"});
  EXPECT_EQ(play.state().epoch(), Epoch(2)) << "given up without being missed";
  play.Members({"a", "b"});
  play.At(800 * kMs);
  EXPECT_EQ(play.state().epoch(), Epoch(3)) << "b is back";
}

TEST(JobStateTest, NewPartitionEntersWithItsFirstRecords) {
  Play play(Submitted(1), Play::Settings(0));
  play.Start();
  play.Do(PartitionsDiscovered{0, {{"t/0", 0}, {"t/1", 5}}});
  EXPECT_THAT(play.runs, IsEmpty());
  play.Do(EndsKnown{0, {{"t/1", 9, 9}}});
  ASSERT_EQ(play.runs.size(), 1u);
  ASSERT_EQ(play.runs[0].new_partitions_size(), 1);
  EXPECT_EQ(play.runs[0].new_partitions(0).ordinal(), 1u);
  EXPECT_EQ(play.runs[0].new_partitions(0).offset(), 5);
  EXPECT_EQ(play.runs[0].splits(0).begin(), 5);
  EXPECT_EQ(play.journal.back().batch_planned().new_partitions(0).key().partition(), "t/1");
  play.RunBatch(1);
  EXPECT_EQ(play.state().history().partitions().size(), 2u);
}

// Suppose a shard commits, and no durable record says that it was claimed. Once the broker has
// expired its marker, it looks like a shard that has never written, and its batch is written twice.
TEST(JobStateTest, ClaimsForNewPartitionsAreDurableBeforeTheirFirstCommit) {
  Play play(Submitted(1), Play::Settings(0));
  play.Start();
  play.Do(PartitionsDiscovered{0, {{"t/0", 0}, {"t/1", 5}}});
  play.Do(EndsKnown{0, {{"t/1", 9, 9}}});
  ASSERT_EQ(play.runs.size(), 1u);
  play.MakeDurable();
  play.journal_works = false;
  proto::ExecutorMessage message;
  proto::BatchPrepared* prepared = message.mutable_batch_prepared();
  prepared->set_epoch(play.state().epoch().value());
  prepared->set_batch(1);
  prepared->add_claimed()->set_shard(1);
  prepared->mutable_claimed(0)->set_marker("claimed");
  play.Report("e", std::move(message));
  EXPECT_THAT(play.commits, IsEmpty()) << "nobody would know that shard 1 was claimed";
  ASSERT_TRUE(play.journal.back().has_epoch_opened());
  EXPECT_EQ(play.journal.back().epoch_opened().markers(0).marker(), "claimed");
  play.MakeDurable();
  EXPECT_THAT(play.commits, ElementsAre(1));
  EXPECT_EQ(play.state().history().markers().at({0, 1}).marker(), "claimed");
}

TEST(JobStateTest, LostTopicFailsTheJobWithItsName) {
  Play play(Submitted(1));
  play.Start();
  play.Do(JobBroken{absl::NotFoundError("topic 't' was deleted")});
  ASSERT_EQ(play.over.size(), 1u);
  EXPECT_EQ(play.over[0].message, "topic 't' was deleted");
}

TEST(JobStateTest, FullDiskStopsTheJobAtWhatIsDurable) {
  Play play(Submitted(1));
  play.Start();
  play.Ends(110);
  play.RunBatch(1);
  play.journal_works = false;
  play.now_us = 10 * kMs;
  play.Ends(120);
  play.Prepared("e", 2);
  play.Do(JournalFailed{absl::ResourceExhaustedError("no space left on device writing /j")});
  EXPECT_THAT(play.commits, ElementsAre(1));
  ASSERT_EQ(play.over.size(), 1u);
  EXPECT_THAT(play.over[0].message, HasSubstr("no space left on device writing /j"));
  EXPECT_THAT(play.over[0].message, HasSubstr("goes on after batch 1"));
  EXPECT_EQ(play.state().phase(), proto::PHASE_FAILED);
  EXPECT_EQ(play.state().history().last_planned(), BatchId(1));
}

TEST(JobStateTest, ReconnectedExecutorHearsAgainWhatItHasNotAnswered) {
  Play play(Submitted(1), Play::Settings(0));
  play.Members({"e"});
  play.Do(MemberReconnected{ExecutorId("e")});
  EXPECT_EQ(play.starts.size(), 2u);
  play.Ready("e");
  play.Ends(110);
  play.Do(MemberReconnected{ExecutorId("e")});
  EXPECT_THAT(play.RunBatches(), ElementsAre(1, 1));
  play.Ends(120);
  play.Prepared("e", 1);
  play.Do(MemberReconnected{ExecutorId("e")});
  EXPECT_THAT(play.commits, ElementsAre(1, 1));
  EXPECT_THAT(play.RunBatches(), ElementsAre(1, 1, 2, 2));
}

TEST(JobStateTest, HungBatchIsGivenUp) {
  Play play(Submitted(1));
  play.Start();
  play.Ends(110);
  EXPECT_EQ(play.state().next_wakeup_us(), 600'000 * kMs);
  play.At(600'000 * kMs);
  play.At(play.state().next_wakeup_us());
  EXPECT_EQ(play.state().epoch(), Epoch(2));
}

}  // namespace
}  // namespace millrace::driver
