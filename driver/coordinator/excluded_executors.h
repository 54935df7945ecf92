// Executors that did not see the job's snapshots, and so are left out of its epochs for a while:
// the others go on without them. Each time that an executor is excluded again it stays out for
// twice as long, up to a longest time; what it has proven, or that it is gone, wipes its record
// clean. Moments are monotonic and in microseconds. Pure; thread-compatible.
#ifndef MILLRACE_DRIVER_COORDINATOR_EXCLUDED_EXECUTORS_H_
#define MILLRACE_DRIVER_COORDINATOR_EXCLUDED_EXECUTORS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "driver/coordinator/job_event.h"

namespace millrace::driver {

class ExcludedExecutors {
 public:
  struct Excluded {
    int times = 0;
    int64_t until_us = 0;
    std::string why;  // begins with the executor's name
  };

  ExcludedExecutors(int64_t first_us, int64_t longest_us);

  // Excludes the executor from now on. Returns why, with its name.
  std::string Exclude(const ExecutorId& id, const std::string& name, const std::string& words,
                      int64_t now_us);
  // The executor has seen the snapshots.
  void Forgive(const ExecutorId& id) { excluded_.erase(id); }
  // Forgets executors that are not live any more.
  void KeepLive(const std::vector<MembersChanged::Member>& live);

  bool IsExcluded(const ExecutorId& id, int64_t now_us) const;
  // Those that were excluded and not forgiven, whether their time is over or not.
  const std::map<ExecutorId, Excluded>& all() const { return excluded_; }

 private:
  const int64_t first_us_;
  const int64_t longest_us_;
  std::map<ExecutorId, Excluded> excluded_;
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_EXCLUDED_EXECUTORS_H_
