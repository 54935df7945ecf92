// What exactly-once requires of the state machine: waves of commits, claims, snapshots, and
// recovery after a failure.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "driver/coordinator/job_state.h"
#include "driver/coordinator/testing/job_play.h"

namespace millrace::driver {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

proto::JobSubmitted WithState() {
  proto::JobSubmitted submitted = Submitted(1, /*running_state=*/true);
  submitted.mutable_plan()->add_sinks()->set_table("counts");
  submitted.set_snapshot_location("store");
  return submitted;
}

JobSettings EverySecond() {
  JobSettings settings = Play::Settings(10);
  settings.checkpoint_interval = absl::Seconds(1);
  return settings;
}

// Plans `batch` with ten offsets: at once if its tick has come.
void PlanOne(Play* play, int64_t batch) {
  play->Ends(100 + batch * 10);
  if (play->runs.empty() || play->runs.back().batch() != batch) {
    play->At(play->state().next_wakeup_us());
  }
}

void CommitOne(Play* play, int64_t batch) {
  PlanOne(play, batch);
  play->RunBatch(batch);
}

JobHistory HistoryOf(proto::JobSubmitted submitted, const Play& play) {
  JobHistory history(std::move(submitted));
  for (const proto::JournalRecord& record : play.journal) {
    EXPECT_TRUE(history.Apply(record).ok());
  }
  return history;
}

// Afterwards the first batch is being committed, and the others wait for that.
void PrepareFourBatches(Play* play) {
  play->Start();
  for (int64_t batch = 1; batch <= 4; ++batch) {
    play->Ends(100 + batch * 10);
    play->Prepared("e", batch);
  }
}

TEST(JobRecoveryTest, WhatWaitsForACommitGoesOutTogether) {
  Play play(Submitted(1), Play::Settings(0));
  PrepareFourBatches(&play);
  EXPECT_THAT(play.commits, ElementsAre(1)) << "one wave at a time";
  play.Committed("e", 1);
  EXPECT_THAT(play.commits, ElementsAre(1, 4));
  play.Committed("e", 4, "m4");
  ASSERT_EQ(play.done.size(), 4u) << "each batch has its own record";
  EXPECT_EQ(play.state().history().last_committed(), BatchId(4));
  EXPECT_EQ(play.state().history().markers().at({0, 0}).marker(), "m4");
}

TEST(JobRecoveryTest, TheFirstRecordOfACommitSaysWhereSinksAre) {
  Play play(Submitted(1), Play::Settings(0));
  PrepareFourBatches(&play);
  play.Committed("e", 1, "m1");
  play.Committed("e", 4, "m4");
  // Suppose the disk becomes full and takes only some of a commit's records. Batches from 3 on run
  // again, and a sink that keeps its marker in the journal must find the marker of batch 4 there.
  JobHistory history(Submitted(1));
  for (const proto::JournalRecord& record : play.journal) {
    ASSERT_TRUE(history.Apply(record).ok());
    if (history.last_committed() == BatchId(2)) {
      break;
    }
  }
  EXPECT_EQ(history.last_committed(), BatchId(2));
  EXPECT_EQ(history.markers().at({0, 0}).marker(), "m4");
}

TEST(JobRecoveryTest, SinksThatHoldMuchBoundWhatWaits) {
  Play play(Submitted(1), Play::Settings(0));
  play.Start();
  play.Ends(110);
  play.Prepared("e", 1, 0, 100 << 20);
  play.Ends(120);
  play.Prepared("e", 2, 0, 200 << 20);
  play.Ends(130);
  EXPECT_THAT(play.RunBatches(), ElementsAre(1, 2));
  play.Committed("e", 1);
  EXPECT_THAT(play.RunBatches(), ElementsAre(1, 2, 3));
}

TEST(JobRecoveryTest, ClaimsAreDurableBeforeAnythingCommits) {
  Play play(Submitted(1));
  play.Members({"e"});
  play.journal_works = false;
  play.Ready("e", 0);
  play.Ends(110);
  play.Prepared("e", 1);
  ASSERT_TRUE(play.journal[1].has_epoch_opened());
  EXPECT_EQ(play.journal[1].epoch_opened().markers_size(), 1);
  EXPECT_THAT(play.commits, IsEmpty());
  play.MakeDurable();
  EXPECT_THAT(play.commits, ElementsAre(1));
}

TEST(JobRecoveryTest, NobodyHearsOfAnEpochThatTheJournalDoesNotHave) {
  Play play(Submitted(1));
  play.journal_works = false;
  play.Members({"e"});
  play.Do(JournalFailed{absl::AbortedError("another driver has taken over")});
  ASSERT_EQ(play.over.size(), 1u);
  EXPECT_EQ(play.stops, 0) << "the other driver may use the number";
}

TEST(JobRecoveryTest, AMarkerAheadOfTheJournalStopsTheJob) {
  Play play(WithState());
  play.Members({"e"});
  play.Ready("e", 7);
  ASSERT_EQ(play.over.size(), 1u);
  EXPECT_EQ(play.over[0].how, proto::JobEnded::FAILED);
  EXPECT_THAT(play.over[0].message, HasSubstr("table \"counts\" holds the output of batch 7"));
  EXPECT_THAT(play.over[0].message, HasSubstr("ends with batch 0"));
}

TEST(JobRecoveryTest, CutsBetweenBatchesAndCountsWhenTheBatchIsCommitted) {
  Play play(WithState(), EverySecond());
  play.Start();
  CommitOne(&play, 1);
  EXPECT_THAT(play.cuts, IsEmpty());
  EXPECT_EQ(play.state().next_wakeup_us(), 1'000'000) << "due after the interval, even if idle";
  play.now_us = 1'000'000;
  play.Ends(130);
  ASSERT_EQ(play.cuts.size(), 1u);
  EXPECT_EQ(play.cuts[0].batch(), 1) << "before batch 2 runs";
  EXPECT_TRUE(play.cuts[0].full()) << "the first one is";
  EXPECT_THAT(play.RunBatches(), ElementsAre(1, 2));
  play.SnapshotWritten("e", 1);
  EXPECT_EQ(play.state().history().last_snapshot(), BatchId(1));
  play.RunBatch(2);
  play.At(2'000'000);
  ASSERT_EQ(play.cuts.size(), 2u);
  EXPECT_FALSE(play.cuts[1].full());
}

TEST(JobRecoveryTest, ASnapshotWaitsForItsBatchToCommit) {
  JobSettings settings = EverySecond();
  settings.checkpoint_interval = absl::Milliseconds(1);
  Play play(WithState(), settings);
  play.Start();
  play.Ends(110);
  play.At(2'000);
  play.Prepared("e", 1);
  ASSERT_EQ(play.cuts.size(), 1u);
  play.SnapshotWritten("e", 1);
  EXPECT_EQ(play.state().history().last_snapshot(), BatchId(0));
  play.Committed("e", 1);
  EXPECT_EQ(play.state().history().last_snapshot(), BatchId(1));
}

TEST(JobRecoveryTest, AFailedCutMakesTheNextOneFullAndIsSaid) {
  Play play(WithState(), EverySecond());
  play.Start();
  CommitOne(&play, 1);
  play.At(1'000'000);
  play.SnapshotWritten("e", 1);
  CommitOne(&play, 2);
  play.At(2'100'000);
  ASSERT_EQ(play.cuts.size(), 2u);
  play.SnapshotWritten("e", 2, "no space left on device");
  EXPECT_THAT(play.state().snapshot_trouble(), HasSubstr("no space left on device"));
  CommitOne(&play, 3);
  play.At(3'300'000);
  ASSERT_EQ(play.cuts.size(), 3u);
  EXPECT_TRUE(play.cuts[2].full());
  play.SnapshotWritten("e", 3);
  EXPECT_EQ(play.state().snapshot_trouble(), "");
}

TEST(JobRecoveryTest, DrainEndsWithASnapshot) {
  Play play(WithState(), EverySecond());
  play.Start();
  CommitOne(&play, 1);
  play.Do(StopRequested{});
  ASSERT_EQ(play.cuts.size(), 1u);
  EXPECT_THAT(play.over, IsEmpty());
  play.SnapshotWritten("e", 1);
  ASSERT_EQ(play.over.size(), 1u);
  EXPECT_EQ(play.over[0].how, proto::JobEnded::STOPPED);
  EXPECT_EQ(play.state().history().last_snapshot(), BatchId(1));
}

TEST(JobRecoveryTest, DrainDoesNotWaitForASnapshotThatCannotBe) {
  Play play(WithState(), EverySecond());
  play.Start();
  CommitOne(&play, 1);
  play.Do(StopRequested{});
  play.SnapshotWritten("e", 1, "disk on fire");
  ASSERT_EQ(play.over.size(), 1u);
  EXPECT_EQ(play.over[0].how, proto::JobEnded::STOPPED);
}

class RestoreTest : public ::testing::Test {
 protected:
  // Snapshots of batches 1 and 2; 3 is committed, 4 planned.
  JobHistory History() {
    JobHistory history = HistoryOf(WithState(), PlayUpToFour());
    EXPECT_EQ(history.last_snapshot(), BatchId(2));
    return history;
  }
  static Play PlayUpToFour() {
    Play play(WithState(), EverySecond());
    play.Start();
    for (int64_t batch = 1; batch <= 2; ++batch) {
      CommitOne(&play, batch);
      play.Do(SnapshotRequested{});
      play.SnapshotWritten("e", batch);
    }
    CommitOne(&play, 3);
    PlanOne(&play, 4);
    return play;
  }
};

TEST_F(RestoreTest, BeginsWithTheNewestSnapshotAndReplaysBehindIt) {
  Play play(History(), EverySecond(), {});
  play.Members({"e"});
  ASSERT_EQ(play.starts.size(), 1u);
  const proto::StartEpoch& start = play.starts[0];
  EXPECT_EQ(start.restore().batch(), 2);
  EXPECT_EQ(start.first_batch(), 3);
  EXPECT_EQ(start.suppress_until(), 3);
  EXPECT_EQ(start.committed_batch(), 3);
  EXPECT_EQ(start.planned_batch(), 4);
  EXPECT_EQ(start.assignment().partitions(0).offset(), 120);
  play.Ready("e", 3);
  EXPECT_THAT(play.RunBatches(), ElementsAre(3));
  play.Prepared("e", 3);
  EXPECT_THAT(play.RunBatches(), ElementsAre(3, 4)) << "as it was planned";
  EXPECT_EQ(play.runs[1].splits(0).end(), 140);
}

TEST_F(RestoreTest, AnUnreadableSnapshotLeavesTheOneBefore) {
  Play play(History(), EverySecond(), {});
  play.Members({"e"});
  play.broken_files["b2"] = absl::DataLossError("b2 is torn");
  play.FailedToRestore("e", "b2 is torn");
  play.At(play.state().next_wakeup_us());
  ASSERT_EQ(play.starts.size(), 2u);
  EXPECT_EQ(play.starts[1].restore().batch(), 1);
  EXPECT_EQ(play.starts[1].first_batch(), 2);
}

TEST_F(RestoreTest, SettlingWithdrawsWhatNobodyHasCommitted) {
  JobStateOptions options;
  options.settle = true;
  Play play(History(), EverySecond(), options);
  play.Members({"e"});
  play.Ready("e", 3);
  EXPECT_THAT(play.RunBatches(), ElementsAre(3)) << "the state is brought up to date";
  play.Prepared("e", 3);
  EXPECT_THAT(play.RunBatches(), ElementsAre(3, 4));
  EXPECT_EQ(play.runs[1].splits_size(), 0) << "what was batch 4 is withdrawn";
  play.Prepared("e", 4);
  EXPECT_TRUE(play.last_commit.finish()) << "sinks close what they keep open";
  play.Committed("e", 4);
  ASSERT_EQ(play.cuts.size(), 1u);
  EXPECT_EQ(play.cuts[0].batch(), 4);
  play.SnapshotWritten("e", 4);
  EXPECT_THAT(play.over, IsEmpty());
  play.Stopped("e");
  ASSERT_EQ(play.over.size(), 1u);
  EXPECT_EQ(play.over[0].how, proto::JobEnded::STOPPED);
  EXPECT_EQ(play.state().history().planned_to()[0], 130);
  EXPECT_EQ(play.state().history().last_snapshot(), BatchId(4));
}

TEST_F(RestoreTest, SettlingFinishesWhatSomebodyHasCommitted) {
  JobStateOptions options;
  options.settle = true;
  Play play(History(), EverySecond(), options);
  play.Members({"e"});
  play.Ready("e", 4);
  play.Prepared("e", 3);
  play.Prepared("e", 4);
  play.Committed("e", 4);
  play.RunBatch(5);
  play.SnapshotWritten("e", 5);
  play.Stopped("e");
  ASSERT_EQ(play.over.size(), 1u);
  EXPECT_EQ(play.state().history().planned_to()[0], 140) << "as it was planned";
  EXPECT_EQ(play.state().history().last_snapshot(), BatchId(5));
}

TEST_F(RestoreTest, SettlingHeedsAnInterrupt) {
  JobStateOptions options;
  options.settle = true;
  Play play(History(), EverySecond(), options);
  play.Members({"e"});
  play.Ready("e", 4);
  play.Prepared("e", 3);
  play.Do(StopRequested{StopRequested::How::kDrain});
  EXPECT_THAT(play.over, IsEmpty()) << "it is what settling is at";
  play.Do(StopRequested{StopRequested::How::kInterrupt});
  play.Prepared("e", 4);
  play.Committed("e", 4);
  ASSERT_EQ(play.over.size(), 1u) << "without the snapshot and the end that settling is for";
  EXPECT_EQ(play.over[0].how, proto::JobEnded::UNKNOWN);
  EXPECT_FALSE(play.journal.back().has_job_ended());
}

// After a crash between the last commit and the end of the job, nobody knows whether the sinks were
// told.
TEST(JobRecoveryTest, AFinishedJobThatIsTakenUpTellsItsSinksAgain) {
  proto::JobSubmitted submitted = Submitted(1);
  submitted.set_once(true);
  auto* stop = submitted.add_stop_at();
  stop->mutable_key()->set_partition("t/0");
  stop->set_offset(110);
  Play before(submitted);
  before.Start();
  before.RunBatch(1);
  EXPECT_THAT(before.over, IsEmpty());
  Play play(HistoryOf(submitted, before), Play::Settings(10), {});
  play.Start();
  ASSERT_THAT(play.RunBatches(), ElementsAre(2));
  EXPECT_EQ(play.runs[0].splits_size(), 0);
  play.Prepared("e", 2);
  EXPECT_TRUE(play.last_commit.finish());
  play.Committed("e", 2);
  play.Stopped("e");
  ASSERT_EQ(play.over.size(), 1u);
  EXPECT_EQ(play.over[0].how, proto::JobEnded::FINISHED);
}

TEST(JobRecoveryTest, JoiningExecutorFindsASnapshotInsteadOfReplays) {
  Play play(WithState(), EverySecond());
  play.Start();
  CommitOne(&play, 1);
  play.Members({"e", "f"});
  play.At(play.now_us + 400 * kMs);
  ASSERT_EQ(play.cuts.size(), 1u);
  EXPECT_EQ(play.starts.size(), 1u);
  play.SnapshotWritten("e", 1);
  ASSERT_EQ(play.starts.size(), 3u);
  EXPECT_EQ(play.starts[1].restore().batch(), 1);
  EXPECT_EQ(play.starts[1].first_batch(), 2);
}

TEST(JobRecoveryTest, AClockADayAheadMovesNoBatchOfARunningJobAndIsTold) {
  Play play(Submitted(1), Play::Settings(0));
  play.Start();
  play.Ends(110);
  play.RunBatch(1);
  play.clock_step_us = 86'400'000'000;
  play.now_us = 1000;
  play.Ends(120);
  ASSERT_EQ(play.runs.size(), 2u);
  EXPECT_EQ(play.runs[1].batch_time_us(), play.runs[0].batch_time_us() + 1000);
  EXPECT_THAT(play.state().clock_trouble(), HasSubstr("24h ahead"));
}

TEST(JobRecoveryTest, AClockADayAheadAtTheStartPlansNothingThatExpiresState) {
  JobSettings settings = Play::Settings(10);
  settings.state_ttl = absl::Hours(1);
  Play before(Submitted(1), settings);
  before.Start();
  before.Ends(110);
  before.RunBatch(1);
  JobHistory history(Submitted(1));
  for (const proto::JournalRecord& record : before.journal) {
    ASSERT_TRUE(history.Apply(record).ok());
  }
  Play play(std::move(history), settings, {});
  play.clock_step_us = 86'400'000'000;
  play.Start();
  play.Ends(120);
  play.At(5'000'000);
  EXPECT_THAT(play.runs, IsEmpty());
  EXPECT_THAT(play.state().clock_trouble(), HasSubstr("no batch is planned"));
  EXPECT_EQ(play.state().next_wakeup_us(), 6'000'000) << "nobody reports that it was set right";
  play.clock_step_us = 0;
  play.At(6'000'000);
  ASSERT_EQ(play.runs.size(), 1u);
  EXPECT_EQ(play.state().clock_trouble(), "");
}

TEST(JobRecoveryTest, ExecutorsAreWokenWithoutInput) {
  Play play(Submitted(1));
  play.Start();
  PlanOne(&play, 1);
  const int64_t wall_us = 1'000'000'000;
  play.Prepared("e", 1);
  play.Committed("e", 1, "", wall_us + 5'000'003);  // the commit has opened a file
  EXPECT_EQ(play.state().next_wakeup_us(), 5'010'000) << "the first tick behind it";
  play.At(5'013'456);  // the timer is late; the wake-up must not move to the next tick each time
  EXPECT_THAT(play.RunBatches(), ElementsAre(1, 2));
  EXPECT_EQ(play.runs[1].splits_size(), 0);
  play.RunBatch(2);
  EXPECT_EQ(play.state().next_wakeup_us(), JobState::kNever);
}

}  // namespace
}  // namespace millrace::driver
