// Sets the wall clock that this process sees; that of the machine is left alone. A test that calls
// it has a program of its own, since everything in that program then gets its time from here.
// Threads that already wait in the kernel for a time of day do not notice. Thread-safe.
#ifndef MILLRACE_COMMON_BASE_TESTING_STEPPED_CLOCK_H_
#define MILLRACE_COMMON_BASE_TESTING_STEPPED_CLOCK_H_

#include "absl/time/time.h"

namespace millrace {

// Sets it ahead, or back if `step` is negative, from where it is. Whole seconds.
void StepWallClock(absl::Duration step);

}  // namespace millrace

#endif  // MILLRACE_COMMON_BASE_TESTING_STEPPED_CLOCK_H_
