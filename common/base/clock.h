// Time as a dependency, so that tests can control it. Thread-safe.
#ifndef MILLRACE_COMMON_BASE_CLOCK_H_
#define MILLRACE_COMMON_BASE_CLOCK_H_

#include <cstdint>

#include "absl/time/time.h"

namespace millrace {

// Source of the current time. Implementations are thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;

  // The time of day, for what is shown, stored or sent. It jumps when the machine's clock is set,
  // so it is no measure of how long something takes.
  virtual absl::Time Now() = 0;

  // Nanoseconds since an arbitrary start; never steps back. For durations, and for the deadlines of
  // those who decide by this clock. Deadlines that threads wait for, and that are passed to
  // connectors, are SteadyNow()'s (steady_time.h): no test can move those.
  virtual int64_t MonotonicNs() = 0;

  // The machine's clock; lives for ever.
  static Clock* Real();
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_BASE_CLOCK_H_
