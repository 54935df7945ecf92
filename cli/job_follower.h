// Follows a job that runs in this process until it ends: prints what its print sinks show, its
// progress on a terminal, drains on Ctrl-C. Shared by `run` and `demo`.
#ifndef MILLRACE_CLI_JOB_FOLLOWER_H_
#define MILLRACE_CLI_JOB_FOLLOWER_H_

#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "cli/console.h"
#include "client/driver_client.h"

namespace millrace::cli {

struct FollowOptions {
  OutputFormat output = OutputFormat::kTable;
  bool progress = false;  // a line on stderr that is kept up to date
  bool summary = false;   // at the end: how many records in what time
  int64_t max_batches =
      0;  // drain after so many batches with records; 0 = when the job ends by itself
};

// Turns Ctrl-C into a drain of the job, once there is one; before that it ends the process at once.
// Thread-safe. BlockInterrupts() must come first.
class DrainOnInterrupt {
 public:
  explicit DrainOnInterrupt(const Console& console) : console_(console) {}

  // While one lives, an interrupt drains `job`. Its end waits for a drain that is being asked for,
  // so that the client may go after it.
  class Scope {
   public:
    Scope(DrainOnInterrupt& drain, client::DriverClient& client, const std::string& job);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    DrainOnInterrupt& drain_;
  };

  // What InterruptListener calls.
  void OnInterrupt();

 private:
  const Console& console_;
  absl::Mutex mutex_;  // held while the driver is asked
  client::DriverClient* client_ ABSL_GUARDED_BY(mutex_) = nullptr;  // null: no job yet, or no more
  std::string job_ ABSL_GUARDED_BY(mutex_);
  bool had_job_ ABSL_GUARDED_BY(mutex_) = false;
};

// Returns when the job has ended; the exit code, after a message on stderr if it is not kExitOk.
int FollowJob(client::DriverClient& client, const std::string& job, const FollowOptions& options,
              const Console& console);

}  // namespace millrace::cli

#endif  // MILLRACE_CLI_JOB_FOLLOWER_H_
