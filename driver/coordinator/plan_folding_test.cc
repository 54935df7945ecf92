// Tests jobs without snapshots that run for so long that their batches are many.
#include "driver/coordinator/plan_folding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace millrace::driver {
namespace {

using ::testing::HasSubstr;

constexpr uint32_t kPartitions = 40;
constexpr int64_t kOffsets = 3;  // of each batch

proto::JobSubmitted Submitted(uint32_t partitions = kPartitions) {
  proto::JobSubmitted submitted;
  submitted.set_job_id("id");
  submitted.mutable_plan()->set_running_state(true);
  for (uint32_t ordinal = 0; ordinal < partitions; ++ordinal) {
    proto::PartitionStart* start = submitted.add_partitions();
    start->mutable_key()->set_partition(std::to_string(ordinal));
    start->set_ordinal(ordinal);
  }
  return submitted;
}

// Batches [first, last], each of one partition in turn; committed but for the last `in_doubt`.
void RunBatches(JobHistory* history, int64_t first, int64_t last, int64_t in_doubt,
                int64_t records = kOffsets) {
  for (int64_t batch = first; batch <= last; ++batch) {
    const auto ordinal = static_cast<uint32_t>(batch) % kPartitions;
    const int64_t begin = history->planned_to()[ordinal];
    proto::JournalRecord planned;
    planned.mutable_batch_planned()->set_batch(batch);
    planned.mutable_batch_planned()->set_batch_time_us(batch * 100);
    proto::Split* split = planned.mutable_batch_planned()->add_splits();
    split->set_ordinal(ordinal);
    split->set_begin(begin);
    split->set_end(begin + kOffsets);
    ASSERT_TRUE(history->Apply(planned).ok());
  }
  for (int64_t batch = history->last_committed().value() + 1; batch <= last - in_doubt; ++batch) {
    proto::JournalRecord committed;
    committed.mutable_batch_committed()->set_batch(batch);
    proto::SplitReport* report = committed.mutable_batch_committed()->add_splits();
    report->mutable_key()->set_partition(
        std::to_string(static_cast<uint32_t>(batch) % kPartitions));
    report->set_records(records);
    report->set_input_hash(7);
    ASSERT_TRUE(history->Apply(committed).ok());
  }
}

TEST(PlanFoldingTest, TheWholeHistoryIsRunAgainInABoundedNumberOfBatches) {
  constexpr int64_t kBatches = 50'000;
  JobHistory history(Submitted());
  for (int64_t last = 1000; last <= kBatches; last += 1000) {
    RunBatches(&history, last - 999, last, /*in_doubt=*/2);
  }
  const auto recovery = history.PlanRecovery();
  ASSERT_TRUE(recovery.ok()) << recovery.status();
  EXPECT_TRUE(history.is_rebuildable());
  EXPECT_LE(recovery->batches.size(), JobHistory::kMaxRanges / (1 + 2 * kPartitions) + 1000);
  std::vector<int64_t> at(kPartitions, 0);
  int64_t records = 0;
  int64_t most_offsets = 0;
  BatchId expected(kBatches - static_cast<int64_t>(recovery->batches.size()));
  for (const PlannedBatch& batch : recovery->batches) {
    EXPECT_EQ(batch.batch, expected = expected.Next());
    for (const PlannedSplit& split : batch.splits) {
      ASSERT_EQ(split.begin, at[split.ordinal]);
      at[split.ordinal] = split.end;
    }
    for (const SplitDigest& digest : batch.committed) {
      records += digest.records;
    }
    most_offsets = std::max(most_offsets, OffsetsOf(batch));
  }
  EXPECT_EQ(at, history.planned_to());
  EXPECT_EQ(records, (kBatches - 2) * kOffsets);
  EXPECT_LE(most_offsets, kOffsets * (kBatches * 4 / 2400 + 2)) << "none is huge";
  EXPECT_EQ(recovery->batches.back().batch, BatchId(kBatches));
  EXPECT_EQ(recovery->batches.back().stands_for, 1) << "it is in doubt";
}

TEST(PlanFoldingTest, FoldedPlansOutliveACheckpoint) {
  JobHistory history(Submitted());
  RunBatches(&history, 1, 6000, /*in_doubt=*/1);
  std::optional<JobHistory> again;
  ASSERT_TRUE(history
                  .WriteCheckpoint([&](const proto::JournalRecord& record) {
                    if (record.has_job_checkpoint()) {
                      again.emplace(record.job_checkpoint());
                      return absl::OkStatus();
                    }
                    return again->TakeCheckpointPlans(record.checkpoint_plans());
                  })
                  .ok());
  EXPECT_TRUE(again->CheckCheckpoint().ok()) << again->CheckCheckpoint();
  RunBatches(&*again, 6001, 6010, /*in_doubt=*/0);
  const auto recovery = again->PlanRecovery();
  ASSERT_TRUE(recovery.ok()) << recovery.status();
  EXPECT_LT(recovery->batches.size(), 6000u);
}

TEST(PlanFoldingTest, WhereBoundariesMatterTheOldestAreGivenUpAndItIsSaid) {
  proto::JobSubmitted submitted = Submitted();
  (*submitted.mutable_plan()->mutable_settings())["state_ttl"] = "1 h";
  JobHistory history(submitted);
  constexpr int64_t kMost =
      JobHistory::kMaxRanges / (1 + 2 * kPartitions) * JobHistory::kUnfoldedFactor;
  RunBatches(&history, 1, kMost, /*in_doubt=*/0);
  EXPECT_TRUE(history.is_rebuildable());
  EXPECT_EQ(history.PlanRecovery()->batches.size(), static_cast<size_t>(kMost));
  RunBatches(&history, kMost + 1, kMost + 1, /*in_doubt=*/0);
  EXPECT_FALSE(history.is_rebuildable());
  const absl::Status lost = history.PlanRecovery().status();
  EXPECT_EQ(lost.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(lost.message()), HasSubstr("this driver keeps no snapshots"));
}

int64_t RecordsOf(const PlannedBatch& batch) {
  int64_t records = 0;
  for (const SplitDigest& digest : batch.committed) {
    records += digest.records;
  }
  return records;
}

std::deque<PlannedBatch> Batches(int64_t count, int64_t records) {
  std::deque<PlannedBatch> plans;
  for (int64_t batch = 1; batch <= count; ++batch) {
    PlannedBatch plan{.batch = BatchId(batch), .batch_time_us = batch};
    plan.splits.push_back({0, batch, batch + 1});
    plan.committed.push_back({0, records, 7});
    plans.push_back(std::move(plan));
  }
  return plans;
}

TEST(PlanFoldingTest, FoldsHaveNoMoreThanAMultipleOfTheLargestBatch) {
  constexpr int64_t kBatches = 2000;
  constexpr int64_t kRecords = 100'000;
  std::deque<PlannedBatch> plans = Batches(kBatches, kRecords);
  plans[1000].committed[0].records = 2 * kRecords;
  FoldPlans(&plans, plans.size(), /*most=*/10);
  EXPECT_LT(plans.size(), static_cast<size_t>(kBatches / 50));
  for (int time = 0; time < 5; ++time) {
    FoldPlans(&plans, plans.size(), /*most=*/10);
  }
  EXPECT_GE(plans.size(), static_cast<size_t>(kBatches / (2 * kMaxFold)));
  for (const PlannedBatch& plan : plans) {
    EXPECT_LE(RecordsOf(plan), kMaxFold * 2 * kRecords);
  }
}

TEST(PlanFoldingTest, FoldsOfAFewRecordsAreNotTooLarge) {
  std::deque<PlannedBatch> plans = Batches(/*count=*/2000, /*records=*/1);
  FoldPlans(&plans, plans.size(), /*most=*/10);
  EXPECT_LE(plans.size(), 10u);
}

// A job with this many partitions begins to fold when it has more plans than kFoldedAbove.
constexpr uint32_t kManyPartitions = 1000;
constexpr size_t kFoldedAbove = 100;

// Batches [from, to), ten at a time, of so many records that few of them fit into a fold.
void RunLargeBatches(JobHistory* history, int64_t from, int64_t to) {
  for (int64_t first = from; first < to; first += 10) {
    RunBatches(history, first, first + 9, /*in_doubt=*/0, /*records=*/100'000);
  }
}

TEST(PlanFoldingTest, WhereFoldsWouldBeTooLargeTheOldestAreGivenUp) {
  constexpr int64_t kMost = kFoldedAbove * JobHistory::kUnfoldedFactor;
  JobHistory history(Submitted(kManyPartitions));
  RunLargeBatches(&history, 1, 20'001);
  EXPECT_TRUE(history.is_rebuildable());
  EXPECT_LT(history.PlanRecovery()->batches.size(), static_cast<size_t>(kMost));
  RunLargeBatches(&history, 20'001, kMost * kMaxFold + 10'001);
  EXPECT_FALSE(history.is_rebuildable());
  EXPECT_EQ(history.PlanRecovery().status().code(), absl::StatusCode::kDataLoss);
  int64_t kept = 0;
  ASSERT_TRUE(history
                  .WriteCheckpoint([&](const proto::JournalRecord& record) {
                    kept += record.checkpoint_plans().plans_size();
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_LE(kept, kMost + 100);
}

TEST(PlanFoldingTest, FoldingThatLeavesManyPlansIsNotTriedAgainWithEveryBatch) {
  constexpr int64_t kBatches = 10'000;
  JobHistory history(Submitted(kManyPartitions));
  RunLargeBatches(&history, 1, kBatches + 1);
  ASSERT_GT(history.PlanRecovery()->batches.size(), kFoldedAbove);
  int64_t most_unfolded = 0;
  for (int64_t first = kBatches + 1; first <= kBatches + 200; first += 10) {
    RunLargeBatches(&history, first, first + 10);
    const auto recovery = history.PlanRecovery();
    const auto newest_fold =
        std::find_if(recovery->batches.rbegin(), recovery->batches.rend(),
                     [](const PlannedBatch& batch) { return batch.stands_for > 1; });
    most_unfolded = std::max<int64_t>(most_unfolded, newest_fold - recovery->batches.rbegin());
  }
  EXPECT_GE(most_unfolded, 40);
}

// A submission that begins its state anew journals an empty snapshot, also where there is no place
// for snapshots.
void BeginStateAnew(JobHistory* history) {
  proto::JournalRecord empty;
  empty.mutable_snapshot_completed()->mutable_snapshot()->set_batch(
      history->last_committed().value());
  ASSERT_TRUE(history->Apply(empty).ok());
}

TEST(PlanFoldingTest, PlansBehindAnEmptySnapshotAreFoldedAndThoseBeforeItDropped) {
  constexpr int64_t kBefore = 1000;
  constexpr int64_t kBatches = 20'000;
  JobHistory history(Submitted());
  RunBatches(&history, 1, kBefore, /*in_doubt=*/0);
  BeginStateAnew(&history);
  for (int64_t last = kBefore + 1000; last <= kBatches; last += 1000) {
    RunBatches(&history, last - 999, last, /*in_doubt=*/0);
  }
  const auto recovery = history.PlanRecovery();
  ASSERT_TRUE(recovery.ok()) << recovery.status();
  EXPECT_TRUE(history.is_rebuildable());
  EXPECT_LE(recovery->batches.size(), JobHistory::kMaxRanges / (1 + 2 * kPartitions) + 1000);
  EXPECT_EQ(recovery->read_from,
            std::vector<int64_t>(kPartitions, kBefore / kPartitions * kOffsets));
  int64_t batches = 0;
  for (const PlannedBatch& batch : recovery->batches) {
    batches += batch.stands_for;
  }
  EXPECT_EQ(batches, kBatches - kBefore);
}

TEST(PlanFoldingTest, StateBegunAnewIsLostWithItsFirstPlan) {
  proto::JobSubmitted submitted = Submitted();
  (*submitted.mutable_plan()->mutable_settings())["state_ttl"] = "1 h";
  JobHistory history(submitted);
  constexpr int64_t kMost =
      JobHistory::kMaxRanges / (1 + 2 * kPartitions) * JobHistory::kUnfoldedFactor;
  RunBatches(&history, 1, 10, /*in_doubt=*/0);
  BeginStateAnew(&history);
  RunBatches(&history, 11, 10 + kMost, /*in_doubt=*/0);
  EXPECT_TRUE(history.is_rebuildable());
  RunBatches(&history, 11 + kMost, 11 + kMost, /*in_doubt=*/0);
  EXPECT_FALSE(history.is_rebuildable());
  EXPECT_EQ(history.PlanRecovery().status().code(), absl::StatusCode::kDataLoss);
}

// A plan with one operator of two phases.
proto::JobPlan Counts(const std::string& aggregate, proto::TypeKind argument, proto::TypeKind key) {
  proto::JobPlan plan;
  proto::FinalAggregate* final = plan.add_stages()->add_operators()->mutable_final_aggregate();
  final->add_keys()->mutable_type()->set_kind(key);
  final->add_aggregates()->set_function(aggregate);
  final->mutable_aggregates(0)->add_args()->mutable_type()->set_kind(argument);
  return plan;
}

TEST(PlanFoldingTest, BoundariesMatterWhereTheStateOrItsLooksDependOnThem) {
  using proto::TYPE_FLOAT64;
  using proto::TYPE_INT64;
  using proto::TYPE_NUMERIC;
  using proto::TYPE_TEXT;
  EXPECT_TRUE(StateIgnoresBatches(Counts("count", TYPE_TEXT, TYPE_TEXT)));
  EXPECT_TRUE(StateIgnoresBatches(Counts("sum", TYPE_FLOAT64, TYPE_INT64))) << "sums are exact";
  EXPECT_TRUE(StateIgnoresBatches(Counts("max", TYPE_TEXT, TYPE_TEXT)));
  EXPECT_FALSE(StateIgnoresBatches(Counts("string_agg", TYPE_TEXT, TYPE_TEXT)));
  EXPECT_FALSE(StateIgnoresBatches(Counts("of a later version", TYPE_TEXT, TYPE_TEXT)));
  EXPECT_FALSE(StateIgnoresBatches(Counts("max", TYPE_NUMERIC, TYPE_TEXT))) << "1.0 or 1.00";
  EXPECT_FALSE(StateIgnoresBatches(Counts("count", TYPE_TEXT, TYPE_NUMERIC)));

  proto::JobPlan ordered = Counts("count", TYPE_TEXT, TYPE_TEXT);
  ordered.add_exchanges()->set_ordered(true);
  EXPECT_FALSE(StateIgnoresBatches(ordered));

  proto::JobPlan expiring = Counts("count", TYPE_TEXT, TYPE_TEXT);
  (*expiring.mutable_settings())["state_ttl"] = "1 d";
  EXPECT_FALSE(StateIgnoresBatches(expiring));

  proto::JobPlan timed = Counts("count", TYPE_TEXT, TYPE_TEXT);
  proto::Expr* inner = timed.mutable_stages(0)
                           ->add_operators()
                           ->mutable_filter()
                           ->mutable_predicate()
                           ->mutable_call()
                           ->add_args();
  inner->mutable_form()->set_kind(proto::Expr::SpecialForm::BATCH_TIME);
  EXPECT_FALSE(StateIgnoresBatches(timed));
}

}  // namespace
}  // namespace millrace::driver
