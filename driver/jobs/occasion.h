// Something that happens once, and threads that wait for it. Thread-safe.
#ifndef MILLRACE_DRIVER_JOBS_OCCASION_H_
#define MILLRACE_DRIVER_JOBS_OCCASION_H_

#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace millrace {

class Occasion {
 public:
  // The first time counts.
  void Happen(absl::Status status) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (!status_.has_value()) {
        status_ = std::move(status);
      }
    }
    happened_.notify_all();
  }

  // How it went; nothing if it has not happened by `deadline`.
  std::optional<absl::Status> WaitUntil(absl::Time deadline) {
    std::unique_lock<std::mutex> lock(mutex_);
    happened_.wait_until(lock, absl::ToChronoTime(deadline),
                         [this] { return status_.has_value(); });
    return status_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable happened_;
  std::optional<absl::Status> status_;
};

}  // namespace millrace

#endif  // MILLRACE_DRIVER_JOBS_OCCASION_H_
