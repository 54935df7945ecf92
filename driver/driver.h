// The driver as an object: plans jobs, keeps their journal, leads executors through epochs and
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

namespace millrace {

struct DriverOptions {
  // host:port to serve on; port 0 = a free one (see Driver::address()). Empty = in this process
  // only.
  std::string listen_address;
  // Where the journal is kept, made if missing; one live driver per directory (docs/exactly-once.md
  // §6). Empty = in memory: jobs end with the process, and every submission says so in its notices.
  std::string directory;
  // While another driver has the directory: true: Start waits until that one ends or is silent;
  // false: ALREADY_EXISTS.
  bool standby = false;
  // A driver that has not been seen to live for so long is replaced by one that waits.
  absl::Duration lease_time = absl::Milliseconds(1500);
  // How much of the journal is kept that no driver needs any more, for people (millrace replay).
  int64_t journal_kept_bytes = 128 << 20;
  // How long who submits or cancels a job waits for the journal to take that.
  absl::Duration journal_timeout = absl::Seconds(30);
  // Ends the waiting of Start with CANCELLED.
  std::stop_token stop;
  // Told once when another driver has taken over the directory. From then on nothing is
  // acknowledged and nobody is served; all that is left to do is to end. From a thread of the
  // driver: it must not be shut down in it.
  std::function<void(const absl::Status& why)> on_lost;
  // host:port of the Prometheus /metrics page; port 0 = a free one. Empty = none.
  std::string metrics_address;

  // What the journal in memory begins with, when there is no directory; `resume_jobs` takes it up.
  std::vector<proto::JournalRecord> initial_records;

  // How often executors and driver say that they live, and after how long a silence they give each
  // other up.
  absl::Duration heartbeat_interval = absl::Milliseconds(500);
  absl::Duration heartbeat_timeout = absl::Seconds(2);

  // Jobs that the journal knows as interrupted start again by themselves (a cluster's driver);
  // false: they wait until they are submitted again by name (`millrace run`).
  bool resume_jobs = true;

  // Bound per job for committed rows kept for Jobs.Results, and for the rows of batches not
  // committed yet.
  int64_t results_buffer_bytes = 64 << 20;
  // A job stops planning while a follower of Jobs.Results has not taken what the buffer holds, so
  // that it sees every batch
  // (`millrace run`, whose follower is the terminal); false: a slow follower misses batches instead
  // of slowing the job.
  bool hold_for_followers = false;

  // REQUIRED; not owned, outlive the driver.
  const ConnectorRegistry* connectors = nullptr;
  const FunctionRegistry* functions = nullptr;
  Clock* clock = Clock::Real();
};

class Driver {
 public:
  // Holds the addresses, waits for the directory as told, reads the journal and serves. Errors name
  // the address in use, the driver that holds the directory, or the journal file and offset that
  // cannot be read.
  static absl::StatusOr<std::unique_ptr<Driver>> Start(DriverOptions options);

  // As Shutdown().
  ~Driver();

  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  // "host:port" as bound, empty when not listening.
  const std::string& address() const;
  const std::string& metrics_address() const;

  // Reaches this driver's services without a socket. Valid until Shutdown.
  std::shared_ptr<grpc::Channel> InProcessChannel();

  // Brings every job to a batch boundary: what runs is committed, nothing new is planned. The jobs
  // stay resumable and are not ended in the journal. DEADLINE_EXCEEDED names the jobs that did not
  // get there by `deadline`; calling Shutdown then is safe, their last batch will be run again.
  absl::Status Drain(absl::Time deadline);

  // Stops serving, ends all threads at once and leaves the directory to the next driver.
  // Idempotent.
  void Shutdown();

 private:
  class Impl;
  explicit Driver(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace

#endif  // MILLRACE_DRIVER_DRIVER_H_
