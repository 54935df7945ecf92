// The result of something that completes once, for the threads that wait for it. Thread-safe.
#ifndef MILLRACE_DRIVER_JOBS_COMPLETION_H_
#define MILLRACE_DRIVER_JOBS_COMPLETION_H_

#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace millrace {

class Completion {
 public:
  // Sets the result and wakes every waiter. Only the first call counts.
  void Complete(absl::Status status) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (!status_.has_value()) {
        status_ = std::move(status);
      }
    }
    completed_.notify_all();
  }

  // The result; nothing if it has not completed by `deadline`.
  std::optional<absl::Status> WaitUntil(absl::Time deadline) {
    std::unique_lock<std::mutex> lock(mutex_);
    completed_.wait_until(lock, absl::ToChronoTime(deadline),
                          [this] { return status_.has_value(); });
    return status_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable completed_;
  std::optional<absl::Status> status_;
};

}  // namespace millrace

#endif  // MILLRACE_DRIVER_JOBS_COMPLETION_H_
