// Whether Abseil looks at the order in which threads take mutexes.
#ifndef MILLRACE_COMMON_BASE_LOCK_ORDER_H_
#define MILLRACE_COMMON_BASE_LOCK_ORDER_H_

#include "absl/synchronization/mutex.h"

namespace millrace {

// For main(): switches the check of lock orders off. Debian's Abseil has it on, and ends the
// process when two threads have ever taken two mutexes in different orders, even if no thread
// waits. That is right for tests, which keep it: they find what could become a deadlock. A process
// at work must not end because of it, nor pay for the check.
inline void IgnoreLockOrder() {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

}  // namespace millrace

#endif  // MILLRACE_COMMON_BASE_LOCK_ORDER_H_
