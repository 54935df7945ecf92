#include "common/base/steady_time.h"

#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "common/base/monotonic_cond_var.h"
#include "common/base/testing/stepped_clock.h"

namespace millrace {
namespace {

TEST(SteadyTimeTest, StaysWhenTheClockIsSet) {
  for (const absl::Duration step : {-absl::Hours(1), absl::Hours(1)}) {
    const absl::Time time_of_day = absl::Now();
    const absl::Time before = SteadyNow();
    StepWallClock(step);
    ASSERT_GT(absl::AbsDuration(absl::Now() - time_of_day), absl::Minutes(30)) << "it was not set";
    EXPECT_GE(SteadyNow(), before);
    EXPECT_LT(SteadyNow() - before, absl::Minutes(10));
  }
}

TEST(SteadyTimeTest, AWaitEndsAtItsDeadlineThoughTheClockIsSet) {
  absl::Mutex mutex;
  MonotonicCondVar changed;
  absl::MutexLock lock(&mutex);
  for (const absl::Duration step : {-absl::Hours(1), absl::Hours(1)}) {
    const absl::Time deadline = SteadyNow() + absl::Milliseconds(20);
    StepWallClock(step);
    while (!changed.WaitUntil(&mutex, deadline)) {
      // woken for no reason
    }
    EXPECT_GE(SteadyNow(), deadline);
    EXPECT_LT(SteadyNow(), deadline + absl::Minutes(10));
  }
}

}  // namespace
}  // namespace millrace
