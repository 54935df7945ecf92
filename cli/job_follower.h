// Follows a job that runs in this process until it ends: prints what its print sinks show, its
// progress on a terminal, drains on Ctrl-C. Shared by `run` and `demo`.
#ifndef MILLRACE_CLI_JOB_FOLLOWER_H_
#define MILLRACE_CLI_JOB_FOLLOWER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "cli/console.h"
#include "client/driver_client.h"
#include "common/base/exit_deadline.h"

namespace millrace::cli {

struct FollowOptions {
  OutputFormat output = OutputFormat::kTable;
  bool progress = false;  // a line on stderr that is kept up to date
  bool summary = false;   // at the end: how many records in what time
  int64_t max_batches =
      0;  // drain after so many batches with records; 0 = when the job ends by itself
};

// Turns Ctrl-C into a drain, once there is a job; before that it ends the process at once, and so
// it does when the job cannot be drained because nothing moves. Thread-safe. BlockInterrupts() must
// come first.
class DrainOnInterrupt {
 public:
  explicit DrainOnInterrupt(const Console& console) : console_(console) {}

  // Brings the job to a batch boundary. After an error, what the job is at will be run again.
  using Drain = std::function<absl::Status()>;

  // While one lives, an interrupt calls `drain`. Its end waits for a call that is under way, so
  // that what `drain` uses may go after it.
  class Scope {
   public:
    Scope(DrainOnInterrupt& on_interrupt, Drain drain);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    DrainOnInterrupt& on_interrupt_;
  };

  // What InterruptListener calls.
  void OnInterrupt();

  // To be called with the exit code when the job is over; returns it. After an interrupt, the
  // process ends with it within seconds, whatever destructors then wait for.
  int EndWith(int code);

 private:
  const Console& console_;
  absl::Mutex mutex_;                    // held while the job is drained
  Drain drain_ ABSL_GUARDED_BY(mutex_);  // null: no job yet, or no more
  bool had_job_ ABSL_GUARDED_BY(mutex_) = false;
  std::atomic<bool> interrupted_ = false;
  std::optional<ExitDeadline> deadline_;
};

// Returns when the job has ended; the exit code, after a message on stderr if it is not kExitOk.
int FollowJob(client::DriverClient& client, const std::string& job, const FollowOptions& options,
              const Console& console);

}  // namespace millrace::cli

#endif  // MILLRACE_CLI_JOB_FOLLOWER_H_
