#include "driver/coordinator/batch_pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace millrace::driver {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr BatchPipeline::Times kTimes = {.prepare_us = 5'000'000, .commit_us = 2'000'000};
constexpr int64_t kEverything = INT64_MAX;

PlannedBatch Plan(int64_t batch) { return {.batch = BatchId(batch), .batch_time_us = batch * 100}; }

// An epoch of two members, which begins after batch `last_planned`.
BatchPipeline PipelineOf(int64_t last_planned, std::deque<PlannedBatch> replays = {},
                         int64_t suppress_until = 0) {
  BatchPipeline pipeline(kTimes);
  pipeline.PlanAfter(BatchId(last_planned));
  pipeline.BeginEpoch(Epoch(3), 2, std::move(replays), BatchId(suppress_until));
  return pipeline;
}

void LaunchNew(BatchPipeline* pipeline, int64_t now_us = 0) {
  BatchPipeline::Batch batch;
  batch.plan = Plan(pipeline->last_planned().Next().value());
  pipeline->Launch(std::move(batch), now_us);
}

// Both members have prepared this batch.
void Prepare(int64_t batch, BatchPipeline* pipeline, int64_t now_us = 0) {
  for (const size_t member : {0, 1}) {
    BatchPipeline::Batch* const found = pipeline->OnPrepared(member, BatchId(batch));
    ASSERT_NE(found, nullptr);
    if (found->prepared.AreComplete()) {
      pipeline->FinishPreparing(found, now_us);
    }
  }
}

proto::BatchCommitted Committed(int64_t batch, const std::string& marker = "") {
  proto::BatchCommitted committed;
  committed.set_batch(batch);
  if (!marker.empty()) {
    committed.add_markers()->set_marker(marker);
  }
  return committed;
}

TEST(BatchPipelineTest, WavesBeginAnIntervalApart) {
  BatchPipeline pipeline({.prepare_us = 5'000'000, .commit_us = 2'000'000, .wave_interval_us = 20});
  pipeline.BeginEpoch(Epoch(1), 2, {}, BatchId(0));
  LaunchNew(&pipeline);
  EXPECT_EQ(pipeline.NextWaveUs(5), kNeverUs) << "nothing is prepared";
  Prepare(1, &pipeline);
  ASSERT_NE(pipeline.BeginWave(BatchId(9), kEverything, false, 5), nullptr);
  LaunchNew(&pipeline);
  Prepare(2, &pipeline);
  EXPECT_EQ(pipeline.NextWaveUs(10), kNeverUs) << "it is the wave under way that it waits for";
  for (const size_t member : {0, 1}) {
    EXPECT_TRUE(pipeline.OnCommitted(member, Committed(1)));
  }
  ASSERT_TRUE(pipeline.TakeCommittedWave().has_value());
  ASSERT_NE(pipeline.MoveToJournal(BatchId(1), 20), nullptr);
  EXPECT_EQ(pipeline.BeginWave(BatchId(9), kEverything, false, 24), nullptr);
  EXPECT_EQ(pipeline.NextWaveUs(24), 25);
  LaunchNew(&pipeline);
  Prepare(3, &pipeline);
  EXPECT_EQ(pipeline.NextWaveUs(25), kNeverUs) << "it may begin now";
  const BatchPipeline::Wave* const wave = pipeline.BeginWave(BatchId(9), kEverything, false, 25);
  ASSERT_NE(wave, nullptr);
  EXPECT_EQ(wave->through, BatchId(3));
}

TEST(BatchPipelineTest, ABatchIsPreparedCommittedAndJournaled) {
  BatchPipeline pipeline = PipelineOf(4);
  EXPECT_TRUE(pipeline.HasRoom(2));
  LaunchNew(&pipeline, 10);
  EXPECT_EQ(pipeline.last_planned(), BatchId(5));
  EXPECT_TRUE(pipeline.IsRunning());
  EXPECT_FALSE(pipeline.HasRoom(2)) << "one batch runs at a time";

  EXPECT_EQ(pipeline.OnPrepared(0, BatchId(4)), nullptr) << "not in flight";
  EXPECT_NE(pipeline.OnPrepared(0, BatchId(5)), nullptr);
  EXPECT_EQ(pipeline.OnPrepared(0, BatchId(5)), nullptr) << "said twice";
  BatchPipeline::Batch* const batch = pipeline.OnPrepared(1, BatchId(5));
  ASSERT_NE(batch, nullptr);
  EXPECT_TRUE(batch->prepared.AreComplete());
  proto::SplitReport report;
  report.set_records(3);
  report.set_bytes(30);
  batch->Add(7, report);
  pipeline.FinishPreparing(batch, 20);
  EXPECT_TRUE(pipeline.HasRoom(2));
  EXPECT_FALSE(pipeline.HasRoom(1)) << "it is not committed";

  const BatchPipeline::Wave* const wave = pipeline.BeginWave(BatchId(5), kEverything, false, 30);
  ASSERT_NE(wave, nullptr);
  EXPECT_EQ(wave->through, BatchId(5));
  EXPECT_FALSE(wave->finish);
  EXPECT_FALSE(pipeline.OnCommitted(0, Committed(4))) << "of another wave";
  EXPECT_TRUE(pipeline.OnCommitted(0, Committed(5, "a")));
  EXPECT_FALSE(pipeline.OnCommitted(0, Committed(5, "a"))) << "said twice";
  EXPECT_FALSE(pipeline.TakeCommittedWave().has_value());
  EXPECT_TRUE(pipeline.OnCommitted(1, Committed(5, "b")));
  const std::optional<BatchPipeline::Wave> taken = pipeline.TakeCommittedWave();
  ASSERT_TRUE(taken.has_value());
  EXPECT_EQ(taken->marks.shards.size(), 2u);
  EXPECT_EQ(pipeline.wave(), nullptr);

  const BatchDone* const journaled = pipeline.MoveToJournal(taken->through, 40);
  ASSERT_NE(journaled, nullptr);
  EXPECT_EQ(journaled->batch, BatchId(5));
  EXPECT_EQ(journaled->splits.size(), 1u);
  EXPECT_EQ(pipeline.MoveToJournal(taken->through, 40), nullptr);
  EXPECT_THAT(pipeline.in_flight(), IsEmpty());
  EXPECT_FALSE(pipeline.IsEmpty());

  EXPECT_FALSE(pipeline.TakeDone(BatchId(4), 50).has_value());
  const std::optional<BatchDone> done = pipeline.TakeDone(BatchId(5), 50);
  ASSERT_TRUE(done.has_value());
  EXPECT_EQ(done->epoch, Epoch(3));
  EXPECT_EQ(done->batch_time_us, 500);
  EXPECT_EQ(done->records, 3);
  EXPECT_EQ(done->bytes, 30);
  EXPECT_THAT((std::vector<int64_t>{done->planned_us, done->prepared_us, done->committed_us,
                                    done->done_us}),
              ElementsAre(10, 20, 40, 50));
  EXPECT_TRUE(pipeline.IsEmpty());
}

TEST(BatchPipelineTest, AWaveTakesWhatIsPreparedAndDurable) {
  struct Case {
    std::string name;
    int64_t durably_planned;
    int64_t durable_record;
    int64_t through;  // 0 = no wave
  };
  // Batches 1 to 3 are prepared and 4 runs; record 9 says what batch 2 has claimed.
  const std::vector<Case> cases = {
      {"all that is prepared", 4, 9, 3},
      {"plans that are durable", 1, 9, 1},
      {"claims that are durable", 4, 8, 1},
      {"nothing", 0, 9, 0},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    BatchPipeline pipeline = PipelineOf(0);
    for (const int64_t batch : {1, 2, 3}) {
      LaunchNew(&pipeline);
      if (batch == 2) {
        pipeline.OnPrepared(0, BatchId(2))->claims_record = 9;
        pipeline.FinishPreparing(pipeline.OnPrepared(1, BatchId(2)), 0);
      } else {
        Prepare(batch, &pipeline);
      }
    }
    LaunchNew(&pipeline);
    const BatchPipeline::Wave* const wave =
        pipeline.BeginWave(BatchId(c.durably_planned), c.durable_record, false, 0);
    EXPECT_EQ(wave == nullptr ? BatchId(0) : wave->through, BatchId(c.through));
    if (wave != nullptr) {
      EXPECT_EQ(pipeline.BeginWave(BatchId(4), kEverything, false, 0), nullptr) << "one at a time";
    }
  }
}

TEST(BatchPipelineTest, TheLastWaveTellsThatNothingFollows) {
  struct Case {
    std::string name;
    bool finish_planned;
    bool input_ends;
    bool finish;
  };
  const std::vector<Case> cases = {
      {"more may come", false, false, false},
      {"the input ends", false, true, true},
      {"the empty last batch", true, false, true},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    BatchPipeline pipeline = PipelineOf(0);
    if (c.finish_planned) {
      pipeline.PlanFinish();
      EXPECT_TRUE(pipeline.IsFinish(BatchId(1)));
    }
    LaunchNew(&pipeline);
    Prepare(1, &pipeline);
    const BatchPipeline::Wave* const wave =
        pipeline.BeginWave(BatchId(1), kEverything, c.input_ends, 0);
    ASSERT_NE(wave, nullptr);
    EXPECT_EQ(wave->finish, c.finish);
    EXPECT_TRUE(pipeline.OnCommitted(0, Committed(1)));
    EXPECT_TRUE(pipeline.OnCommitted(1, Committed(1)));
    EXPECT_FALSE(pipeline.IsFinishCommitted());
    EXPECT_TRUE(pipeline.TakeCommittedWave().has_value());
    EXPECT_EQ(pipeline.IsFinishCommitted(), c.finish);
    pipeline.EndEpoch();
    EXPECT_FALSE(pipeline.IsFinishCommitted()) << "sinks of another epoch do not know it";
  }
}

TEST(BatchPipelineTest, ReplaysUpToTheLastCommitOnlyRebuildState) {
  BatchPipeline pipeline = PipelineOf(6, {Plan(4), Plan(5), Plan(6)}, 4);
  EXPECT_TRUE(pipeline.IsRebuilding());
  pipeline.Withdraw(BatchId(6));
  pipeline.PlanAfter(BatchId(5));
  EXPECT_EQ(pipeline.next_replay()->batch, BatchId(4));

  pipeline.Launch(pipeline.TakeReplay(), 0);
  EXPECT_EQ(pipeline.last_planned(), BatchId(5));
  EXPECT_FALSE(pipeline.HasUnsuppressed());
  EXPECT_TRUE(pipeline.IsRebuilding());
  EXPECT_EQ(pipeline.rebuilt(), nullptr);
  Prepare(4, &pipeline);
  ASSERT_NE(pipeline.rebuilt(), nullptr);
  pipeline.PopRebuilt();

  pipeline.Launch(pipeline.TakeReplay(), 0);
  EXPECT_FALSE(pipeline.IsReplaying());
  EXPECT_FALSE(pipeline.IsRebuilding());
  EXPECT_TRUE(pipeline.HasUnsuppressed());
  Prepare(5, &pipeline);
  EXPECT_EQ(pipeline.rebuilt(), nullptr) << "its output is not out";
}

TEST(BatchPipelineTest, WhatWaitsForTheJournalOutlivesTheEpoch) {
  BatchPipeline pipeline = PipelineOf(0);
  LaunchNew(&pipeline);
  Prepare(1, &pipeline);
  ASSERT_NE(pipeline.BeginWave(BatchId(1), kEverything, false, 0), nullptr);
  LaunchNew(&pipeline);
  for (const size_t member : {0, 1}) {
    EXPECT_TRUE(pipeline.OnCommitted(member, Committed(1)));
  }
  EXPECT_TRUE(pipeline.TakeCommittedWave().has_value());
  EXPECT_NE(pipeline.MoveToJournal(BatchId(1), 0), nullptr);
  EXPECT_NE(pipeline.Find(BatchId(2)), nullptr);
  pipeline.EndEpoch();
  EXPECT_EQ(pipeline.Find(BatchId(2)), nullptr);
  EXPECT_FALSE(pipeline.IsEmpty());
  EXPECT_TRUE(pipeline.TakeDone(BatchId(1), 0).has_value());
}

TEST(BatchPipelineTest, TheFirstBatchHasADeadline) {
  BatchPipeline pipeline = PipelineOf(0);
  EXPECT_EQ(pipeline.DeadlineUs(), kNeverUs);
  BatchPipeline::Batch folded;
  folded.plan = Plan(1);
  folded.plan.stands_for = 3;
  pipeline.Launch(std::move(folded), 1'000'000);
  EXPECT_EQ(pipeline.DeadlineUs(), 16'000'000) << "it has the work of three batches";
  EXPECT_TRUE(pipeline.CheckDeadline(15'999'999).ok());
  EXPECT_EQ(pipeline.CheckDeadline(16'000'000), absl::DeadlineExceededError("not done after 15 s"));
  Prepare(1, &pipeline);
  EXPECT_EQ(pipeline.DeadlineUs(), kNeverUs);
  EXPECT_TRUE(pipeline.CheckDeadline(kEverything - 1).ok());
  ASSERT_NE(pipeline.BeginWave(BatchId(1), kEverything, false, 20'000'000), nullptr);
  LaunchNew(&pipeline, 21'000'000);
  EXPECT_EQ(pipeline.DeadlineUs(), 22'000'000) << "that of the wave";
  EXPECT_EQ(pipeline.CheckDeadline(22'500'000),
            absl::DeadlineExceededError("not committed after 2 s"));
}

}  // namespace
}  // namespace millrace::driver
