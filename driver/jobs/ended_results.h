// Keeps the results of the newest jobs that have ended, for those who ask later. All of them
// together may take as much memory as one running job may for its own. Thread-safe.
#ifndef MILLRACE_DRIVER_JOBS_ENDED_RESULTS_H_
#define MILLRACE_DRIVER_JOBS_ENDED_RESULTS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "driver/jobs/result_buffer.h"

namespace millrace {

class EndedResults {
 public:
  static constexpr size_t kMaxJobs = 20;

  // Adds the results of a job that has ended. Drops the oldest results that are then too much, but
  // never these, nor what a buffer still owes to its followers.
  void Add(std::shared_ptr<ResultBuffer> results, int64_t max_bytes);

 private:
  // Forgets the members of owing_ that owe nothing any more; what the others take.
  int64_t OwedBytes() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::Mutex mutex_;
  std::deque<std::shared_ptr<ResultBuffer>> kept_ ABSL_GUARDED_BY(mutex_);  // oldest first
  // Those that were let go while followers had not taken everything. They count with what they
  // still take, until they are empty or their jobs are forgotten.
  std::vector<std::weak_ptr<ResultBuffer>> owing_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace millrace

#endif  // MILLRACE_DRIVER_JOBS_ENDED_RESULTS_H_
