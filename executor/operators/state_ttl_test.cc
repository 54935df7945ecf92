// Entries that expire. Batch n is at n seconds.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "executor/operators/testing/backends.h"
#include "executor/operators/testing/keyed_jobs.h"
#include "executor/operators/testing/local_job.h"
#include "gtest/gtest.h"

namespace millrace::executor {
namespace {

using StateTtlTest = BackendTest;
INSTANTIATE_TEST_SUITE_P(All, StateTtlTest, AllBackends(), BackendName);

TEST_P(StateTtlTest, WhatNoBatchTouchedForLongerBeginsAnewAndTakesNothingBack) {
  LocalJob job(KeyedPlan("2 s", false, 2), {.backend = backend()});
  EXPECT_EQ(SinkRows(&job, {{0, 0, {"1|1|a", "2|1|a"}}}),
            (std::vector<std::string>{"+1 1|1|1|a|1", "+1 2|1|1|a|1"}));
  EXPECT_EQ(SinkRows(&job, {}), std::vector<std::string>());
  // The group is touched just in time, though only its count changes.
  EXPECT_EQ(SinkRows(&job, {{0, 0, {"1|1|a"}}}),
            (std::vector<std::string>{"+1 1|2|2|a|1", "-1 1|1|1|a|1"}));
  EXPECT_EQ(SinkRows(&job, {{0, 0, {"2.0|5|b", "1|NULL|c"}}}),
            (std::vector<std::string>{"+1 1|3|2|a|1", "+1 2.0|1|5|b|5", "-1 1|2|2|a|1"}));
}

TEST_P(StateTtlTest, ExpiredStateIsFreedAtTheEndOfBatches) {
  LocalJob job(KeyedPlan("2 s", false, 2), {.backend = backend()});
  EXPECT_EQ(job.wake_at_us(), 0);
  SinkRows(&job, {{0, 0, {"1|1|a", "2|2|a"}}});
  EXPECT_EQ(job.state_rows(), 5);
  EXPECT_EQ(job.wake_at_us(), 3000001);
  SinkRows(&job, {{0, 0, {"1|0|a"}}});
  SinkRows(&job, {});
  EXPECT_EQ(job.state_rows(), 5);
  SinkRows(&job, {});
  EXPECT_EQ(job.state_rows(), 3);  // key 1, sum 1, the total
  EXPECT_EQ(job.wake_at_us(), 4000001);
  SinkRows(&job, {});
  EXPECT_EQ(job.state_rows(), 1);  // the aggregate without GROUP BY stays
  EXPECT_EQ(job.wake_at_us(), 0);
}

TEST_P(StateTtlTest, SweepsComeToEveryGroupInTime) {
  LocalJob job(KeyedPlan("1 s", false, 1), {.chunk_rows = 100000, .backend = backend()});
  LocalJob::Split split{0, 0, {}};
  for (int key = 0; key < 140000; ++key) {
    split.rows.push_back(absl::StrCat(key, "|1|a"));
  }
  SinkRows(&job, {split});
  SinkRows(&job, {});
  EXPECT_EQ(job.state_rows(), 140002);
  const int64_t swept = (backend() == nullptr ? 128 : 32)
                        << 10;  // entries that a batch's sweep looks at
  for (int64_t left = 140001; left > 1;) {
    SinkRows(&job, {});
    left = std::max<int64_t>(1, left - swept);
    EXPECT_EQ(job.state_rows(), left);
  }
}

TEST_P(StateTtlTest, SnapshotsKnowWhatHasExpiredSinceTheCut) {
  LocalJob job(KeyedPlan("1 s", false, 2), {.backend = backend()});
  SinkRows(&job, {{0, 0, {"1|1|a", "2|2|a"}}});
  LocalJob::StateLayer full = TakeAll(&job, true);
  SinkRows(&job, {});
  job.BeginSnapshot(false);
  SinkRows(&job, {});  // the entry expires during the snapshot
  EXPECT_TRUE(job.ContinueSnapshot(100));
  LocalJob::StateLayer unchanged = job.TakeSnapshot();
  EXPECT_EQ(EntryCount(unchanged, 1) + EntryCount(unchanged, -1), 0u);
  LocalJob::StateLayer expired = TakeAll(&job, false);
  EXPECT_EQ(EntryCount(expired, -1), 4u);

  LocalJob restored(KeyedPlan("1 s", false, 3), {.backend = backend()}, 4);
  for (const LocalJob::StateLayer& layer : {full, unchanged, expired}) {
    ASSERT_TRUE(restored.Restore(layer).ok());
  }
  EXPECT_EQ(restored.state_rows(), 1);
}

TEST_P(StateTtlTest, RowsTakenBackAfterTheyWereForgottenArePassedOver) {
  LocalJob job(MaximaPlan(), {.backend = backend()});
  EXPECT_EQ(SinkRows(&job, {{0, 0, {"1|5"}}}), std::vector<std::string>{"+1 5|1"});
  for (int batch = 2; batch < 4; ++batch) {
    // Key 1 lives on with the same row downstream: the row of maximum 5 has not been touched since.
    EXPECT_EQ(SinkRows(&job, {{0, 0, {"1|5"}}}), std::vector<std::string>());
  }
  EXPECT_EQ(SinkRows(&job, {{0, 0, {"1|7"}}}), std::vector<std::string>{"+1 7|1"});
  EXPECT_EQ(job.state_rows(), 2);
  EXPECT_EQ(SinkRows(&job, {{0, 0, {"2|5"}}}), std::vector<std::string>{"+1 5|1"});
}

}  // namespace
}  // namespace millrace::executor
