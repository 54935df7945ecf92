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

  // Wall time; may step back when the machine's clock is set.
  virtual absl::Time Now() = 0;

  // Nanoseconds since an arbitrary start; never steps back. For durations and deadlines.
  virtual int64_t MonotonicNs() = 0;

  // The machine's clock; lives for ever.
  static Clock* Real();
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_BASE_CLOCK_H_
