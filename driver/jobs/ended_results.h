// The results of jobs that have ended, for those who ask later: of the newest jobs, all of them
// together in as much memory as one that runs may have for its own. Thread-safe.
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

  // A job has ended, and these are its results. The oldest ones that are too much are let go of;
  // these are kept.
  void Add(std::shared_ptr<ResultBuffer> results, int64_t max_bytes);

 private:
  std::mutex mutex_;
  std::deque<std::shared_ptr<ResultBuffer>> kept_;  // oldest first
};

}  // namespace millrace

#endif  // MILLRACE_DRIVER_JOBS_ENDED_RESULTS_H_
