// What failures do to a job: how long it retries, what ends it, and how a batch that needs too much
// memory becomes smaller ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "driver/coordinator/job_state.h"
#include "driver/coordinator/plan_folding.h"
#include "driver/coordinator/testing/job_play.h"

namespace millrace::driver {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Lets the pause before the next epoch pass, if there is one. (The first retry is at once.)
void BeginAnew(Play* play) {
  const int64_t wakeup = play->state().next_wakeup_us();
  if (play->over.empty() && wakeup != JobState::kNever &&
      wakeup - play->now_us <= JobStateOptions().max_backoff_us) {
    play->At(std::max(play->now_us, wakeup));
  }
}

void FailTooLarge(Play* play, int64_t batch) {
  play->FailedAs("e", FailureKind::kTooLarge, absl::StatusCode::kResourceExhausted, batch,
                 "the writer of topic out would hold too much");
  BeginAnew(play);
}

int64_t OffsetsOfLastRun(const Play& play) {
  int64_t offsets = 0;
  for (const proto::Split& split : play.runs.back().splits()) {
    offsets += split.end() - split.begin();
  }
  return offsets;
}

std::vector<int64_t> AbandonedIn(const Play& play) {
  std::vector<int64_t> batches;
  for (const proto::JournalRecord& record : play.journal) {
    if (record.has_batches_abandoned()) {
      batches.push_back(record.batches_abandoned().batch());
    }
  }
  return batches;
}

TEST(JobFailuresTest, FailureThatWouldRepeatEndsTheJob) {
  Play play(Submitted(1));
  play.Start();
  play.Ends(110);
  play.Failed("e", false, "t/0 offset 103: not a number");
  ASSERT_EQ(play.over.size(), 1u);
  EXPECT_EQ(play.over[0].how, proto::JobEnded::FAILED);
  EXPECT_EQ(play.over[0].message, "t/0 offset 103: not a number");
  EXPECT_EQ(play.state().phase(), proto::PHASE_FAILED);
}

TEST(JobFailuresTest, ABrokerThatIsAwayForHoursDoesNotEndTheJob) {
  Play play(Submitted(1));
  play.Start();
  play.Ends(110);
  int64_t waited = 0;
  for (int failure = 0; failure < 1000; ++failure) {
    play.Failed("e", true, "broker away");
    ASSERT_THAT(play.over, IsEmpty()) << "after " << failure;
    EXPECT_THAT(play.state().message(), HasSubstr("broker away"));
    const int64_t before_us = play.now_us;
    BeginAnew(&play);
    waited += play.now_us - before_us;
    ASSERT_EQ(play.starts.size(), static_cast<size_t>(failure) + 2) << "within ten seconds";
    EXPECT_THAT(play.state().message(), HasSubstr("broker away")) << "also while it starts";
    play.Ready("e");
    EXPECT_THAT(play.state().message(), HasSubstr("broker away")) << "until something goes well";
  }
  EXPECT_GT(waited, int64_t{3600} * 1'000'000);
  EXPECT_THAT(play.state().message(), HasSubstr("1000 times by now without progress"));
  play.RunBatch(1);
  EXPECT_EQ(play.state().message(), "");
  EXPECT_EQ(play.state().history().last_committed(), BatchId(1));
}

TEST(JobFailuresTest, LostExecutorsAndTimeoutsDoNotEndTheJob) {
  JobStateOptions options;
  options.ready_timeout_us = 1000 * kMs;
  Play play(Submitted(1), Play::Settings(10), options);
  for (int time = 0; time < 100; ++time) {
    play.Members({"e"});
    if (play.state().next_wakeup_us() != JobState::kNever) {
      play.At(std::max(play.now_us, play.state().next_wakeup_us()));  // not ready in time
    }
    play.Members({});
    play.At(play.now_us + 20'000 * kMs);
    ASSERT_THAT(play.over, IsEmpty()) << "time " << time;
  }
  play.Start();
  play.Ends(110);
  play.RunBatch(1);
  EXPECT_EQ(play.state().history().last_committed(), BatchId(1));
}

TEST(JobFailuresTest, TheSameUndecidedFailureAgainAndAgainEndsTheJob) {
  Play play(Submitted(1));
  play.Start();
  play.Ends(110);
  for (int time = 1; time <= 5; ++time) {
    play.FailedAs("e", FailureKind::kUndecided, absl::StatusCode::kInternal, 1, "odd rows");
    ASSERT_THAT(play.over, IsEmpty()) << "time " << time;
    BeginAnew(&play);
    play.Ready("e");
    play.Failed("e", true,
                "broker away");  // neither counts as the same failure nor resets the count
    BeginAnew(&play);
    play.Ready("e");
  }
  play.FailedAs("e", FailureKind::kUndecided, absl::StatusCode::kInternal, 1, "odd rows");
  ASSERT_EQ(play.over.size(), 1u);
  EXPECT_EQ(play.over[0].how, proto::JobEnded::FAILED);
  EXPECT_EQ(play.over[0].message, "odd rows");
}

TEST(JobFailuresTest, DifferentUndecidedFailuresAreNotTheSame) {
  Play play(Submitted(1));
  play.Start();
  play.Ends(110);
  for (int time = 0; time < 30; ++time) {
    play.FailedAs("e", FailureKind::kUndecided,
                  time % 2 == 0 ? absl::StatusCode::kInternal : absl::StatusCode::kAborted, 1, "x");
    ASSERT_THAT(play.over, IsEmpty()) << "time " << time;
    BeginAnew(&play);
    play.Ready("e");
  }
}

TEST(JobFailuresTest, ProgressForgivesFailures) {
  Play play(Submitted(1), Play::Settings(0));
  play.Start();
  for (int round = 1; round <= 15; ++round) {
    play.Ends(100 + round);
    play.FailedAs("e", FailureKind::kUndecided, absl::StatusCode::kAborted, 0, "hiccup");
    play.Ready("e");
    play.RunBatch(round);
  }
  EXPECT_THAT(play.over, IsEmpty());
  EXPECT_EQ(play.state().history().last_committed(), BatchId(15));
}

// ---- Size ----

TEST(JobFailuresTest, ABacklogOfLargeRecordsInOnePartitionIsCutByBytes) {
  Play play(Submitted(4));
  MembersChanged event;
  event.members.push_back(
      {.id = ExecutorId("e"), .name = "e", .shuffle_address = "", .memory_bytes = 64 << 20});
  play.Do(event);
  play.Ready("e");
  EndsKnown ends;
  ends.ends = {{.partition = "t/0",
                .stable_end = 300'100,
                .high_watermark = 300'100,
                .bytes_per_offset = 4096}};
  play.Do(ends);
  ASSERT_EQ(play.runs.size(), 1u);
  EXPECT_LE(OffsetsOfLastRun(play) * 4096, 12 << 20);
  EXPECT_GE(OffsetsOfLastRun(play) * 4096, 11 << 20);
}

TEST(JobFailuresTest, TheFirstBatchOfAPartitionOfWhichNothingIsKnownIsSmall) {
  Play play(Submitted(1));
  play.Start();
  play.Ends(1'000'100, 1, /*bytes_per_offset=*/0);
  EXPECT_LE(OffsetsOfLastRun(play), 8192);
  EXPECT_GE(OffsetsOfLastRun(play), 100);
}

TEST(JobFailuresTest, ABatchThatIsTooLargeIsWithdrawnAndHalvedDownToOneRecord) {
  Play play(Submitted(1), Play::Settings(0));
  play.Start();
  play.Ends(116);
  std::vector<int64_t> tried;
  for (int time = 0; time < 10 && play.over.empty(); ++time) {
    EXPECT_EQ(play.runs.back().batch(), 1);
    EXPECT_EQ(play.runs.back().splits(0).begin(), 100);
    tried.push_back(OffsetsOfLastRun(play));
    FailTooLarge(&play, 1);
    play.Ready("e", 0);
  }
  EXPECT_THAT(std::vector<int64_t>(tried.begin(), tried.begin() + 5), ElementsAre(16, 8, 4, 2, 1));
  ASSERT_EQ(play.over.size(), 1u) << "one record, again and again";
  EXPECT_EQ(play.over[0].how, proto::JobEnded::FAILED);
  EXPECT_THAT(play.over[0].message, HasSubstr("offset 100 of partition t/0"));
  EXPECT_THAT(play.over[0].message, HasSubstr("table \"lines\""));
  EXPECT_THAT(play.over[0].message, HasSubstr("--memory"));
  EXPECT_THAT(AbandonedIn(play), ElementsAre(1, 1, 1, 1));
}

TEST(JobFailuresTest, SmallerBatchesGoOnBehindOneAnother) {
  Play play(Submitted(1), Play::Settings(0));
  play.Start();
  play.Ends(116);
  FailTooLarge(&play, 1);
  play.Ready("e", 0);
  EXPECT_EQ(OffsetsOfLastRun(play), 8);
  play.Prepared("e", 1);
  EXPECT_THAT(play.RunBatches(), ElementsAre(1, 1)) << "alone: what waits takes memory too";
  play.Committed("e", 1);
  EXPECT_THAT(play.RunBatches(), ElementsAre(1, 1, 2));
  EXPECT_EQ(play.runs.back().splits(0).begin(), 108);
  play.RunBatch(2);
  EXPECT_EQ(play.state().history().committed_to()[0], 116);
  EXPECT_THAT(play.over, IsEmpty());
}

TEST(JobFailuresTest, ASingleRecordIsTriedAloneBeforeItIsBlamed) {
  Play play(Submitted(1), Play::Settings(0));
  play.Start();
  play.Ends(110);
  play.Prepared("e", 1);  // commits, and holds memory
  play.Ends(111);
  ASSERT_THAT(play.RunBatches(), ElementsAre(1, 2));
  FailTooLarge(&play, 2);
  EXPECT_THAT(play.over, IsEmpty());
  play.Ready("e", 0);
  EXPECT_THAT(play.RunBatches(), ElementsAre(1, 2, 1)) << "as they were planned, one at a time";
  play.Prepared("e", 1);
  EXPECT_THAT(play.RunBatches(), ElementsAre(1, 2, 1)) << "what it holds is not out yet";
  play.Committed("e", 1);
  EXPECT_THAT(play.RunBatches(), ElementsAre(1, 2, 1, 2));
  play.RunBatch(2);
  EXPECT_EQ(play.state().history().committed_to()[0], 111);
  EXPECT_THAT(AbandonedIn(play), IsEmpty());
}

TEST(JobFailuresTest, OnlyWhatIsTooLargeIsWithdrawnNotWhatIsInDoubtBeforeIt) {
  Play play(Submitted(1), Play::Settings(0));
  play.Start();
  play.Ends(110);
  play.Prepared("e", 1);
  play.Ends(120);
  FailTooLarge(&play, 2);
  play.Ready("e", 1);  // one shard had committed batch 1
  EXPECT_THAT(AbandonedIn(play), ElementsAre(2));
  EXPECT_EQ(play.runs.back().batch(), 1) << "is finished as it was planned";
  EXPECT_EQ(play.runs.back().splits(0).end(), 110);
  play.RunBatch(1);
  EXPECT_EQ(play.runs.back().batch(), 2);
  EXPECT_EQ(play.runs.back().splits(0).begin(), 110);
  EXPECT_EQ(OffsetsOfLastRun(play), 5);
}

TEST(JobFailuresTest, WhatSomebodyHasCommittedIsNotWithdrawn) {
  Play play(Submitted(1), Play::Settings(0));
  play.Start();
  play.Ends(116);
  for (int time = 0; time < 10 && play.over.empty(); ++time) {
    FailTooLarge(&play, 1);
    if (play.over.empty()) {
      play.Ready("e", 1);
      EXPECT_EQ(OffsetsOfLastRun(play), 16);
    }
  }
  EXPECT_THAT(AbandonedIn(play), IsEmpty());
  ASSERT_EQ(play.over.size(), 1u) << "it cannot go on with so little memory";
  EXPECT_THAT(play.over[0].message, HasSubstr("part of batch 1 is committed"));
}

TEST(JobFailuresTest, PlanningWaitsUntilTheWithdrawalIsDurable) {
  Play play(Submitted(1), Play::Settings(0));
  play.Start();
  play.Ends(116);
  FailTooLarge(&play, 1);
  play.journal_works = false;
  play.Ready("e", 0);
  EXPECT_THAT(play.RunBatches(), ElementsAre(1));
  play.journal_works = true;
  play.MakeDurable();
  EXPECT_THAT(play.RunBatches(), ElementsAre(1, 1));
}

// ---- Changed scripts ----

TEST(JobFailuresTest, AChangedScriptWithdrawsWhatNobodyHasCommittedBehindWhatIsPartlyOut) {
  Play before(Submitted(1), Play::Settings(0));
  before.Start();
  before.Ends(110);
  before.Prepared("e", 1);  // commits; some shard does so
  before.Ends(120);         // batch 2 holds the poison
  before.Failed("e", false, "the broker refuses a record");
  JobHistory history(Submitted(1));
  for (const proto::JournalRecord& record : before.journal) {
    ASSERT_TRUE(history.Apply(record).ok());
  }
  JobStateOptions options;
  options.settle = true;
  Play play(std::move(history), Play::Settings(0), options);
  play.Members({"e"});
  play.Ready("e", 1);
  EXPECT_THAT(AbandonedIn(play), ElementsAre(2));
  play.RunBatch(1);
  play.RunBatch(2);  // an empty batch that tells the sinks that no rows follow
  play.Stopped("e");
  ASSERT_EQ(play.over.size(), 1u);
  EXPECT_EQ(play.over[0].how, proto::JobEnded::STOPPED);
  EXPECT_EQ(play.state().history().planned_to()[0], 110) << "the next script plans from there";
}

// A job with one plan, which was folded of so many committed batches.
Play WithFoldedPlan(int64_t batches) {
  proto::JobCheckpoint checkpoint;
  *checkpoint.mutable_submitted() = Submitted(1, /*running_state=*/true);
  checkpoint.set_last_epoch(1);
  checkpoint.set_last_opened(1);
  checkpoint.set_last_planned(batches);
  checkpoint.set_last_committed(batches);
  checkpoint.set_last_batch_time_us(100);
  proto::CheckpointPartition* partition = checkpoint.add_partitions();
  *partition->mutable_start() = checkpoint.submitted().partitions(0);
  partition->set_planned_to(200);
  partition->set_committed_to(200);
  partition->set_kept_from(100);
  proto::CheckpointPlans plans;
  proto::CheckpointPlans::Plan* plan = plans.add_plans();
  plan->set_batch(batches);
  plan->set_batch_time_us(100);
  plan->set_stands_for(batches);
  plan->add_splits()->set_begin(100);
  plan->mutable_splits(0)->set_end(200);
  plan->add_committed()->set_records(100);
  JobHistory history(checkpoint);
  EXPECT_TRUE(history.TakeCheckpointPlans(plans).ok());
  EXPECT_TRUE(history.CheckCheckpoint().ok()) << history.CheckCheckpoint();
  return Play(std::move(history), Play::Settings(10), {});
}

// Folded batches have the work of all that they stand for.
TEST(JobFailuresTest, AFoldedPlanHasTheTimeOfItsBatches) {
  constexpr int64_t kFolded = 10;
  Play play = WithFoldedPlan(kFolded);
  play.Start();
  ASSERT_THAT(play.RunBatches(), ElementsAre(kFolded));
  const int64_t timeout_us = kFolded * JobStateOptions().prepare_timeout_us;
  EXPECT_EQ(play.state().next_wakeup_us(), play.now_us + timeout_us);
  play.At(play.now_us + timeout_us - 1);
  EXPECT_EQ(play.stops, 0);
  play.At(play.now_us + 1);
  EXPECT_EQ(play.stops, 1);
}

// Batches of few records are folded without that bound: an executor that hangs must not have days.
TEST(JobFailuresTest, TheTimeOfAFoldedPlanIsBounded) {
  Play play = WithFoldedPlan(10 * kMaxFold);
  play.Start();
  ASSERT_THAT(play.RunBatches(), ElementsAre(10 * kMaxFold));
  EXPECT_EQ(play.state().next_wakeup_us(),
            play.now_us + kMaxFold * JobStateOptions().prepare_timeout_us);
}

// ---- Executors that come ----

TEST(JobFailuresTest, AJoiningExecutorDoesNotMakeALongReplayBeginAnew) {
  Play play(Submitted(1, /*running_state=*/true), Play::Settings(0));
  play.Start();
  for (int64_t batch = 1; batch <= 10; ++batch) {
    play.Ends(100 + batch * 10);
    play.RunBatch(batch);
  }
  play.Members({"f"});
  play.Ready("f");
  ASSERT_EQ(play.state().phase(), proto::PHASE_RECOVERING);
  play.Members({"f", "g"});
  play.At(play.now_us + 10'000 * kMs);
  for (int64_t batch = 1; batch <= 10; ++batch) {
    ASSERT_EQ(play.runs.back().batch(), batch) << "the replay goes on";
    ASSERT_EQ(play.state().epoch(), Epoch(2)) << "batch " << batch;
    play.Prepared("f", batch);
  }
  EXPECT_EQ(play.state().epoch(), Epoch(3)) << "then the one that came gets its share";
}

}  // namespace
}  // namespace millrace::driver
