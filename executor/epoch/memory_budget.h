// Shares the bytes that an executor may prefetch among the sources of its jobs. The first sources
// get generous shares, later ones half of what is left, and none less than reading needs at all.
// Thread-safe.
#ifndef MILLRACE_EXECUTOR_EPOCH_MEMORY_BUDGET_H_
#define MILLRACE_EXECUTOR_EPOCH_MEMORY_BUDGET_H_

#include <algorithm>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace millrace::executor {

class MemoryBudget {
 public:
  static constexpr int64_t kMost = int64_t{64} << 20;  // measured: more does not read faster
  static constexpr int64_t kLeast = int64_t{1} << 20;

  explicit MemoryBudget(int64_t bytes) : left_(bytes) {}

  // A share for one source; give it back with Return.
  int64_t Take() {
    absl::MutexLock lock(&mutex_);
    const int64_t share = std::clamp(left_ / 2, kLeast, kMost);
    left_ -= share;
    return share;
  }
  void Return(int64_t share) {
    absl::MutexLock lock(&mutex_);
    left_ += share;
  }

 private:
  absl::Mutex mutex_;
  int64_t left_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_MEMORY_BUDGET_H_
