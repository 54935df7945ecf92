#include "executor/epoch/snapshot_cut.h"

#include <gtest/gtest.h>

#include "common/columnar/batch.h"

namespace millrace::executor {
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
  const int64_t cut_ns = clock.now_ns;
  budget.Spend(1000 * kMs);
  EXPECT_TRUE(budget.Allows(cut_ns));
  budget.BeginBatch();
  EXPECT_TRUE(budget.Allows(cut_ns)) << "what was spent before does not count";
  budget.Spend(2 * kMs);
  EXPECT_FALSE(budget.Allows(cut_ns));
  budget.EndBatch();
  EXPECT_TRUE(budget.Allows(cut_ns));
}

TEST(CopyBudgetTest, AYoungCutTakesLittleOfALongBatch) {
  ManualClock clock;
  CopyBudget budget(&clock);
  const int64_t cut_ns = clock.now_ns;
  budget.BeginBatch();
  budget.Spend(6 * kMs);
  EXPECT_FALSE(budget.Allows(cut_ns));
  clock.now_ns += 100 * kMs;
  EXPECT_TRUE(budget.Allows(cut_ns)) << "2 ms and a twentieth of the batch";
  budget.Spend(1 * kMs);
  EXPECT_FALSE(budget.Allows(cut_ns));
  clock.now_ns += 10'000 * kMs;
  EXPECT_TRUE(budget.Allows(cut_ns));
  budget.Spend(5 * kMs);
  EXPECT_FALSE(budget.Allows(cut_ns)) << "12 ms is the most";
}

TEST(CopyBudgetTest, TheAllowanceOnlyGrowsWithTheCutsAge) {
  for (const int64_t batch_ms : {0, 10, 2'000, 60'000, 600'000}) {
    int64_t before = 0;
    for (int64_t age_ms = 0; age_ms <= 200'000; age_ms += 500) {
      const int64_t allowance = CopyAllowanceNs(batch_ms * kMs, age_ms * kMs);
      EXPECT_GE(allowance, before) << batch_ms << " ms of a batch, " << age_ms << " ms old";
      before = allowance;
    }
    EXPECT_EQ(before, kUnlimitedCopyNs);
  }
}

TEST(CopyBudgetTest, TheShareOfABatchGrowsWithTheCutsAge) {
  constexpr int64_t kBatchMs = 10'000;
  const auto share_at = [](int64_t age_s) {
    return static_cast<double>(CopyAllowanceNs(kBatchMs * kMs, age_s * 1000 * kMs)) /
           static_cast<double>(kBatchMs * kMs);
  };
  EXPECT_LT(share_at(20), 0.01);
  EXPECT_NEAR(share_at(30), 0.25, 0.01);
  EXPECT_NEAR(share_at(50), 0.75, 0.01);
}

// The time at which a cut is copied whose entries take `work_ms`, while batches of `batch_ms`
// follow one another without a gap.
int64_t CopiedAfterMs(int64_t batch_ms, int64_t work_ms) {
  ManualClock clock;
  CopyBudget budget(&clock);
  const int64_t cut_ns = clock.now_ns;
  int64_t batch_end_ns = clock.now_ns;
  while (work_ms > 0 && clock.now_ns < cut_ns + 3600 * 1000 * kMs) {
    if (clock.now_ns >= batch_end_ns) {
      budget.BeginBatch();
      batch_end_ns = clock.now_ns + batch_ms * kMs;
    }
    if (budget.Allows(cut_ns)) {
      budget.Spend(kMs);
      --work_ms;
    }
    clock.now_ns += kMs;
  }
  return (clock.now_ns - cut_ns) / kMs;
}

TEST(CopyBudgetTest, EveryCutIsCopiedAMinuteAfterItAtTheLatest) {
  for (const int64_t batch_ms : {1, 10, 100, 2'000, 60'000, 600'000}) {
    for (const int64_t work_ms : {10, 1'000, 20'000, 120'000}) {
      EXPECT_LE(CopiedAfterMs(batch_ms, work_ms), 60'000 + work_ms + 1)
          << "batches of " << batch_ms << " ms, " << work_ms << " ms of copying";
    }
  }
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
}  // namespace millrace::executor
