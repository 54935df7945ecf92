// The epochs that were stopped last, so that what still arrives for one of them is recognized, and
// an executor that lives long need not remember all jobs that it ever worked for.
// Thread-compatible.
#ifndef MILLRACE_EXECUTOR_STOPPED_EPOCHS_H_
#define MILLRACE_EXECUTOR_STOPPED_EPOCHS_H_

#include <cstddef>
#include <deque>
#include <utility>

#include "common/base/ids.h"

namespace millrace::executor {

class StoppedEpochs {
 public:
  explicit StoppedEpochs(size_t remembered) : remembered_(remembered) {}

  // Notes that the job's epoch is stopped. Of the epochs that are then too old to be remembered,
  // erases the jobs from `jobs`, a map from JobId to a struct whose `epoch` is the job's newest; a
  // job with a newer epoch stays, since that one is noted by itself once it is stopped.
  template <typename Jobs>
  void Note(const JobId& job, Epoch epoch, Jobs* jobs) {
    stopped_.emplace_back(job, epoch);
    while (stopped_.size() > remembered_) {
      const auto& [id, ended] = stopped_.front();
      const auto oldest = jobs->find(id);
      if (oldest != jobs->end() && oldest->second.epoch == ended) {
        jobs->erase(oldest);
      }
      stopped_.pop_front();
    }
  }

 private:
  const size_t remembered_;
  std::deque<std::pair<JobId, Epoch>> stopped_;  // oldest first
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_STOPPED_EPOCHS_H_
