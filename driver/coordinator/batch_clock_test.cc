#include "driver/coordinator/batch_clock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::driver {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kHour = 3600 * kSecond;
constexpr int64_t kDay = 24 * kHour;
constexpr int64_t kNoon = 1'700'000'000 * kSecond;  // 2023-11-14 22:13:20 UTC

// One batch at kNoon, at 100 s of the monotonic clock.
BatchClock Running(bool state_expires = true, int64_t max_step_us = 12 * kHour) {
  BatchClock clock(max_step_us, state_expires);
  const Moment now{100 * kSecond, kNoon};
  EXPECT_TRUE(clock.MayPlan(now));
  EXPECT_EQ(clock.Read(now), kNoon);
  clock.NotePlanned(now, kNoon);
  return clock;
}

TEST(BatchClockTest, FollowsTheWallClockAndItsSmallSteps) {
  const BatchClock clock = Running();
  EXPECT_EQ(clock.Read({102 * kSecond, kNoon + 2 * kSecond}), kNoon + 2 * kSecond);
  EXPECT_EQ(clock.Read({102 * kSecond, kNoon + kHour}), kNoon + kHour) << "summer time by hand";
  EXPECT_EQ(clock.Read({100 * kSecond + 3 * kDay, kNoon + 3 * kDay}), kNoon + 3 * kDay)
      << "an idle job";
  EXPECT_EQ(clock.Trouble({102 * kSecond, kNoon + kHour}), "");
}

TEST(BatchClockTest, AClockThatIsSetADayAheadMovesNoBatch) {
  BatchClock clock = Running();
  for (int64_t second = 2; second < 10; second += 2) {
    const Moment now{(100 + second) * kSecond, kNoon + kDay + second * kSecond};
    EXPECT_TRUE(clock.MayPlan(now));
    EXPECT_EQ(clock.Read(now), kNoon + second * kSecond);
    EXPECT_THAT(clock.Trouble(now), HasSubstr("24h ahead"));
    EXPECT_THAT(clock.Trouble(now), HasSubstr("max_clock_step"));
    clock.NotePlanned(now, clock.Read(now));
  }
  const Moment mended{120 * kSecond, kNoon + 20 * kSecond};
  EXPECT_EQ(clock.Read(mended), kNoon + 20 * kSecond);
  EXPECT_EQ(clock.Trouble(mended), "");
}

TEST(BatchClockTest, AClockThatIsSetBackSlowsTimeDownButDoesNotStopIt) {
  BatchClock clock = Running();
  EXPECT_EQ(clock.Read({100 * kSecond, kNoon - kDay}), kNoon + 1);
  EXPECT_EQ(clock.Read({110 * kSecond, kNoon - kDay}), kNoon + 5 * kSecond);
  const Moment caught_up{100 * kSecond + 3 * kDay, kNoon + 2 * kDay};
  EXPECT_EQ(clock.Read(caught_up), kNoon + 2 * kDay);
}

TEST(BatchClockTest, AfterAStartADayAheadWaitsForSomebodyIfStateWouldExpire) {
  BatchClock clock(12 * kHour, /*state_expires=*/true);
  clock.Restore(kNoon);
  const Moment ahead{5 * kSecond, kNoon + kDay};
  EXPECT_FALSE(clock.MayPlan(ahead));
  EXPECT_EQ(clock.Read(ahead), kNoon + 1) << "a batch without rows, which tells sinks the end";
  EXPECT_THAT(clock.Trouble(ahead), HasSubstr("no batch is planned"));
  const Moment mended{6 * kSecond, kNoon + kHour};
  EXPECT_TRUE(clock.MayPlan(mended));
  EXPECT_EQ(clock.Read(mended), kNoon + kHour);
}

TEST(BatchClockTest, WhoeverAcceptsAStepHasIt) {
  for (const int64_t max_step_us : {int64_t{0}, 2 * kDay}) {
    BatchClock clock(max_step_us, true);
    clock.Restore(kNoon);
    EXPECT_TRUE(clock.MayPlan({5 * kSecond, kNoon + kDay}));
    EXPECT_EQ(clock.Read({5 * kSecond, kNoon + kDay}), kNoon + kDay);
    EXPECT_EQ(Running(true, max_step_us).Read({101 * kSecond, kNoon + kDay}), kNoon + kDay);
  }
  BatchClock stateless(12 * kHour, /*state_expires=*/false);
  stateless.Restore(kNoon);
  EXPECT_EQ(stateless.Read({5 * kSecond, kNoon + kDay}), kNoon + kDay) << "it was away";
}

TEST(BatchClockTest, WhatIsDroppedBehindABatchLeavesTheStepKnown) {
  BatchClock clock = Running();
  clock.NotePlanned({110 * kSecond, kNoon + 10 * kSecond}, kNoon + 10 * kSecond);
  clock.Restore(kNoon);  // the second batch was not durable when the epoch ended
  const Moment now{112 * kSecond, kNoon + kDay};
  EXPECT_TRUE(clock.MayPlan(now));
  EXPECT_EQ(clock.Read(now), kNoon + 12 * kSecond);
  EXPECT_THAT(clock.Trouble(now), Not(HasSubstr("no batch is planned")));
}

}  // namespace
}  // namespace millrace::driver
