// Keeps the results of the newest jobs that have ended, for those who ask later. All of them
// together may take as much memory as one running job may for its own. Thread-safe.
#ifndef MILLRACE_DRIVER_JOBS_ENDED_RESULTS_H_
#define MILLRACE_DRIVER_JOBS_ENDED_RESULTS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>

#include "driver/jobs/result_buffer.h"

namespace millrace {

class EndedResults {
 public:
  static constexpr size_t kMaxJobs = 20;

  // Adds the results of a job that has ended. Drops the oldest results that are then too much, but
  // never these.
  void Add(std::shared_ptr<ResultBuffer> results, int64_t max_bytes);

 private:
  std::mutex mutex_;
  std::deque<std::shared_ptr<ResultBuffer>> kept_;  // oldest first
};

}  // namespace millrace

#endif  // MILLRACE_DRIVER_JOBS_ENDED_RESULTS_H_
