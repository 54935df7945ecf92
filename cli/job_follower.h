// Follows a job that runs in this process until it ends: prints what its print sinks show, its
// progress on a terminal, drains on Ctrl-C. Shared by `run` and `demo`.
#ifndef MILLRACE_CLI_JOB_FOLLOWER_H_
#define MILLRACE_CLI_JOB_FOLLOWER_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "cli/console.h"
#include "cli/driver_client.h"

namespace millrace {

struct FollowOptions {
  OutputFormat output = OutputFormat::kTable;
  bool progress = false;  // a line on stderr that is kept up to date
  bool summary = false;   // at the end: how many records in what time
  int64_t max_batches =
      0;  // drain after so many batches with records; 0 = when the job ends by itself
};

// Turns Ctrl-C into a drain of the job, once there is one; before that it ends the process at once.
// BlockInterrupts() must come first. Thread-safe.
class DrainOnInterrupt {
 public:
  explicit DrainOnInterrupt(const Console& console) : console_(console) {}

  // From now on an interrupt stops `job`. Both must outlive the listener.
  void SetJob(DriverClient* client, std::string job);
  // What InterruptListener calls.
  void OnInterrupt();

 private:
  const Console& console_;
  std::string job_;
  std::atomic<DriverClient*> client_ = nullptr;
};

// Returns when the job has ended; the exit code, after a message on stderr if it is not kExitOk.
int FollowJob(DriverClient& client, const std::string& job, const FollowOptions& options,
              const Console& console);

}  // namespace millrace

#endif  // MILLRACE_CLI_JOB_FOLLOWER_H_
