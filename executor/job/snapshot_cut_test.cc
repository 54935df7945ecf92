#include "executor/job/snapshot_cut.h"

#include <gtest/gtest.h>

#include "common/columnar/batch.h"

namespace millrace {
namespace {

constexpr int64_t kMs = 1'000'000;

class ManualClock : public Clock {
 public:
  absl::Time Now() override { return absl::FromUnixNanos(now_ns); }
  int64_t MonotonicNs() override { return now_ns; }
  int64_t now_ns = 5 * kMs;
};

TEST(CopyBudgetTest, CopyingIsFreeWhileNoBatchRuns) {
  ManualClock clock;
  CopyBudget budget(&clock);
  budget.Spend(1000 * kMs);
  EXPECT_TRUE(budget.Allows());
  budget.BeginBatch();
  EXPECT_TRUE(budget.Allows()) << "what was spent before does not count";
  budget.Spend(2 * kMs);
  EXPECT_FALSE(budget.Allows());
  budget.EndBatch();
  EXPECT_TRUE(budget.Allows());
}

TEST(CopyBudgetTest, LongBatchGivesMoreButNeverALot) {
  ManualClock clock;
  CopyBudget budget(&clock);
  budget.BeginBatch();
  budget.Spend(6 * kMs);
  EXPECT_FALSE(budget.Allows());
  clock.now_ns += 100 * kMs;
  EXPECT_TRUE(budget.Allows()) << "2 ms and a twentieth of the batch";
  budget.Spend(1 * kMs);
  EXPECT_FALSE(budget.Allows());
  clock.now_ns += 10'000 * kMs;
  EXPECT_TRUE(budget.Allows());
  budget.Spend(5 * kMs);
  EXPECT_FALSE(budget.Allows()) << "12 ms is the most, of however long a batch";
}

TEST(SnapshotCutTest, LastShardEndsTheCopying) {
  ManualClock clock;
  CopyBudget budget(&clock);
  int copied = 0;
  SnapshotCut cut(BatchId(7), /*full=*/true, /*shards=*/2, &budget,
                  [&](SnapshotCut*) { ++copied; });
  cut.AddMarked(3);
  cut.AddShard({StateBlock{.operator_name = "a"}, StateBlock{.operator_name = "b"}});
  EXPECT_EQ(copied, 0);
  cut.AddMarked(2);
  cut.AddShard({});
  EXPECT_EQ(copied, 1);
  EXPECT_EQ(cut.marking_ns(), 3);
  EXPECT_EQ(cut.TakeShards().size(), 2u);
}

}  // namespace
}  // namespace millrace
