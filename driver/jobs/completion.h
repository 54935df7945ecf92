// The result of something that completes once, for the threads that wait for it. Thread-safe.
#ifndef MILLRACE_DRIVER_JOBS_COMPLETION_H_
#define MILLRACE_DRIVER_JOBS_COMPLETION_H_

#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/monotonic_cond_var.h"

namespace millrace::driver {

class Completion {
 public:
  // Sets the result and wakes every waiter. Only the first call counts.
  void Complete(absl::Status status) {
    {
      absl::MutexLock lock(&mutex_);
      if (!status_.has_value()) {
        status_ = std::move(status);
      }
    }
    completed_.SignalAll();
  }

  // The result; nothing if it has not completed by `deadline`, a SteadyNow().
  std::optional<absl::Status> WaitUntil(absl::Time deadline) {
    absl::MutexLock lock(&mutex_);
    while (!status_.has_value() && !completed_.WaitUntil(&mutex_, deadline)) {
      // woken for no reason, or by the result
    }
    return status_;
  }

 private:
  absl::Mutex mutex_;
  MonotonicCondVar completed_;
  std::optional<absl::Status> status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_JOBS_COMPLETION_H_
