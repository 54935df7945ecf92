#include "driver/coordinator/failure_streak.h"

#include <gtest/gtest.h>

namespace millrace::driver {
namespace {

constexpr absl::StatusCode kInternal = absl::StatusCode::kInternal;

TEST(FailureStreakTest, TheSameFailureOfOneBatchIsTooMuchAfterAWhile) {
  FailureStreak streak(2);
  EXPECT_FALSE(streak.RepeatsTooOften(kInternal, BatchId(7)));
  EXPECT_FALSE(streak.RepeatsTooOften(kInternal, BatchId(7)));
  EXPECT_TRUE(streak.RepeatsTooOften(kInternal, BatchId(7)));
}

TEST(FailureStreakTest, AnotherFailureOrAnotherBatchBeginsAnew) {
  FailureStreak streak(1);
  EXPECT_FALSE(streak.RepeatsTooOften(kInternal, BatchId(7)));
  EXPECT_FALSE(streak.RepeatsTooOften(absl::StatusCode::kUnknown, BatchId(7)));
  EXPECT_FALSE(streak.RepeatsTooOften(absl::StatusCode::kUnknown, BatchId(8)));
  EXPECT_TRUE(streak.RepeatsTooOften(absl::StatusCode::kUnknown, BatchId(8)));
}

TEST(FailureStreakTest, ACommittedBatchEndsTheRow) {
  FailureStreak streak(1);
  EXPECT_FALSE(streak.Clear());
  EXPECT_EQ(streak.Add(), 1);
  EXPECT_EQ(streak.Add(), 2);
  EXPECT_FALSE(streak.RepeatsTooOften(kInternal, BatchId(7)));
  EXPECT_TRUE(streak.Clear());
  EXPECT_EQ(streak.in_a_row(), 0);
  EXPECT_FALSE(streak.RepeatsTooOften(kInternal, BatchId(7)));
}

TEST(BackoffTest, DoublesUpToTheLongestPauseWithJitter) {
  const Backoff backoff = {.first_us = 100, .longest_us = 350, .jitter_seed = 5};
  EXPECT_EQ(backoff.PauseUs(0, Epoch(1)), 0);
  EXPECT_EQ(backoff.PauseUs(1, Epoch(1)), 0) << "the first attempt comes at once";
  struct Case {
    int failures;
    int64_t most_us;
  };
  for (const Case& c : {Case{2, 100}, Case{3, 200}, Case{4, 350}, Case{100, 350}}) {
    SCOPED_TRACE(c.failures);
    for (int64_t epoch = 1; epoch < 50; ++epoch) {
      const int64_t pause_us = backoff.PauseUs(c.failures, Epoch(epoch));
      EXPECT_GE(pause_us, c.most_us / 2);
      EXPECT_LE(pause_us, c.most_us);
      EXPECT_EQ(pause_us, backoff.PauseUs(c.failures, Epoch(epoch)));
    }
  }
}

}  // namespace
}  // namespace millrace::driver
