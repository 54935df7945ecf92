// The driver as an object: it plans jobs, keeps their journal, leads executors through epochs and
// batches, and serves the Jobs and Cluster services. `millrace-driver` is this class and flags;
// `millrace run` has one in its own process and reaches it through InProcessChannel().
//
// Thread-safe. Shutdown (or destruction) at any moment loses nothing that was committed: jobs go on
// from the journal.
#ifndef MILLRACE_DRIVER_DRIVER_H_
#define MILLRACE_DRIVER_DRIVER_H_

#include <grpcpp/channel.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/expr/function_registry.h"
#include "connectors/registry.h"
#include "proto/journal.pb.h"

namespace millrace::driver {

// How long whoever ends a driver lets it bring its jobs to a batch boundary. Work that stands still
// ends the wait sooner (see Driver::Drain).
inline constexpr absl::Duration kDrainTimeout = absl::Seconds(60);

struct DriverOptions {
  // host:port to serve on; port 0 = a free one (see Driver::address()). Empty = in this process
  // only.
  std::string listen_address;
  // Where the journal is kept, made if missing; one live driver per directory (docs/exactly-once.md
  // §6). A path or file:///path. Empty = in memory: jobs end with the process, and every submission
  // says so in its notices.
  std::string directory;
  // What Start does while another driver has the directory. true: it waits until that driver ends
  // or falls silent; false: it returns ALREADY_EXISTS.
  bool standby = false;
  // A standby takes over from a driver that has shown no sign of life for this long.
  absl::Duration lease_time = absl::Milliseconds(1500);
  // How many bytes of the journal that no driver needs any more are kept for people (millrace
  // replay).
  int64_t journal_kept_bytes = 128 << 20;
  // How long a client that submits or cancels a job waits for the journal.
  absl::Duration journal_timeout = absl::Seconds(30);
  // Ends the waiting of Start with CANCELLED.
  std::stop_token stop;
  // Called once when another driver has taken over the directory. From then on this driver
  // acknowledges nothing and serves nobody; all that is left to do is to end. Runs on a thread of
  // the driver, so it must not shut the driver down.
  std::function<void(const absl::Status& why)> on_lost;
  // host:port of the Prometheus /metrics page; port 0 = a free one. Empty = none.
  std::string metrics_address;

  // What the journal in memory begins with, when there is no directory; `resume_jobs` takes it up.
  std::vector<proto::JournalRecord> initial_records;

  // How often executors and driver say that they live, and after which silence each gives the other
  // up.
  absl::Duration heartbeat_interval = absl::Milliseconds(500);
  absl::Duration heartbeat_timeout = absl::Seconds(2);

  // true: jobs that the journal knows as interrupted start again by themselves (a cluster's
  // driver); false: they wait until they are submitted again by name (`millrace run`).
  bool resume_jobs = true;

  // Limit per job for the committed rows that are kept for Jobs.Results, and for the rows of
  // batches that are not committed yet.
  int64_t results_buffer_bytes = 64 << 20;
  // true: a job stops planning while a follower of Jobs.Results has not taken what the buffer
  // holds, so that the follower sees every batch (`millrace run`, whose follower is the terminal).
  // false: a slow follower misses batches and does not slow the job down.
  bool hold_for_followers = false;

  // REQUIRED; not owned, outlive the driver.
  const ConnectorRegistry* connectors = nullptr;
  const FunctionRegistry* functions = nullptr;
  Clock* clock = Clock::Real();
};

class Driver {
 public:
  // Takes the addresses, waits for the directory as `standby` says, reads the journal and serves.
  // Errors name the address in use, the driver that holds the directory, or the journal file and
  // offset that cannot be read.
  static absl::StatusOr<std::unique_ptr<Driver>> Start(DriverOptions options);

  // Does what Shutdown() does.
  ~Driver();

  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  // "host:port" as bound, empty when not listening.
  const std::string& address() const;
  const std::string& metrics_address() const;

  // Reaches this driver's services without a socket. Valid until Shutdown.
  std::shared_ptr<grpc::Channel> InProcessChannel();

  // Brings every job to a batch boundary: running batches are committed, new ones are not planned.
  // Jobs stay resumable and are not ended in the journal. DEADLINE_EXCEEDED names the jobs that did
  // not get there by `deadline` (SteadyNow()); it is then safe to call Shutdown, and their last
  // batch will be run again.
  absl::Status Drain(absl::Time deadline);

  // Stops serving, ends all threads at once and leaves the directory to the next driver.
  // Idempotent.
  void Shutdown();

 private:
  class Impl;
  explicit Driver(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_DRIVER_H_
