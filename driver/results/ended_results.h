// Keeps the results of the newest jobs that have ended, for those who ask later. All of them
// together may take as much memory as one running job may for its own. Thread-safe.
#ifndef MILLRACE_DRIVER_RESULTS_ENDED_RESULTS_H_
#define MILLRACE_DRIVER_RESULTS_ENDED_RESULTS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "driver/results/result_buffer.h"

namespace millrace::driver {

class EndedResults {
 public:
  static constexpr size_t kMaxJobs = 20;

  // Adds the results of a job that has ended. If all results are then too many, or take more than
  // `max_bytes`, drops those of the jobs that ended first. Never drops what it has just added, nor
  // entries for which a follower still waits.
  void Add(std::shared_ptr<ResultBuffer> results, int64_t max_bytes);

 private:
  // Forgets the buffers in owing_ from which no follower waits for entries any more. Returns the
  // memory that the others take.
  int64_t OwedBytes() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::Mutex mutex_;
  std::deque<std::shared_ptr<ResultBuffer>> kept_ ABSL_GUARDED_BY(mutex_);  // oldest first
  // Results that were dropped from kept_ while followers had not yet taken all entries. The memory
  // of these entries counts until the followers have taken them, or have gone.
  std::vector<std::weak_ptr<ResultBuffer>> owing_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_RESULTS_ENDED_RESULTS_H_
