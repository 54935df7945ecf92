// The time for deadlines, pauses, silences and durations. It advances with the monotonic clock, so
// it neither stands still nor jumps when someone sets the clock of the machine.
//
// Only differences and comparisons within one process mean something: the time begins at the time
// of day of the first call and drifts away from it whenever the clock is set. It must never be
// shown, stored or sent. What needs a time of day (batch times, logs, journal records) takes
// Clock::Now().
//
// Thread-safe, and as cheap as reading the clock.
#ifndef MILLRACE_COMMON_BASE_STEADY_TIME_H_
#define MILLRACE_COMMON_BASE_STEADY_TIME_H_

#include "absl/time/time.h"

namespace millrace {

// Never goes back. The same clock as that of MonotonicCondVar's waits and of std::steady_clock.
absl::Time SteadyNow();

}  // namespace millrace

#endif  // MILLRACE_COMMON_BASE_STEADY_TIME_H_
