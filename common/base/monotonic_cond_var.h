// A condition variable for absl::Mutex whose timed waits follow the monotonic clock. Those of
// absl::CondVar follow the wall clock: if that is set back by an hour during a wait of a second,
// the wait takes an hour. Timers, leases and polls must not stand still for so long, so they wait
// here, and so does everything else that waits with a deadline. A wait without one can take
// absl::CondVar, which costs one lock less.
//
// Thread-safe.
#ifndef MILLRACE_COMMON_BASE_MONOTONIC_COND_VAR_H_
#define MILLRACE_COMMON_BASE_MONOTONIC_COND_VAR_H_

#include <algorithm>
#include <condition_variable>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/steady_time.h"

namespace millrace {

class MonotonicCondVar {
 public:
  // As in absl::CondVar, the mutex is released while the call waits, and a call may return without
  // a signal.
  void Wait(absl::Mutex* mutex) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    Held held{mutex};
    changed_.wait(held);
  }

  // Returns whether `timeout` has passed. A year is the longest timeout.
  bool WaitFor(absl::Mutex* mutex, absl::Duration timeout) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    Held held{mutex};
    const absl::Duration bounded = std::clamp(timeout, absl::ZeroDuration(), absl::Hours(24 * 365));
    return changed_.wait_for(held, absl::ToChronoNanoseconds(bounded)) == std::cv_status::timeout;
  }

  // Returns whether `deadline`, a SteadyNow(), has passed.
  bool WaitUntil(absl::Mutex* mutex, absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    return WaitFor(mutex, deadline - SteadyNow());
  }

  void Signal() { changed_.notify_one(); }
  void SignalAll() { changed_.notify_all(); }

 private:
  // The mutex under the names by which the standard library calls it.
  struct Held {
    absl::Mutex* mutex;
    void lock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex->Lock(); }
    void unlock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex->Unlock(); }
  };

  std::condition_variable_any changed_;
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_BASE_MONOTONIC_COND_VAR_H_
