// An executor: registers with a driver over one control stream, reads source partitions, runs
// operators, exchanges rows with its peers and holds sink output until the driver commits. The
// binary (main.cc) and local mode (cli) start the same class; in local mode the channel is gRPC's
// in-process one and there are no peers.
#ifndef MILLRACE_EXECUTOR_EXECUTOR_H_
#define MILLRACE_EXECUTOR_EXECUTOR_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/ids.h"

namespace grpc {
class Channel;
}

namespace millrace {
class ConnectorRegistry;
class FileSystem;
class FunctionRegistry;
}  // namespace millrace

namespace millrace::executor {

struct ExecutorOptions {
  // The driver: a channel (local mode) or, when that is null, host:port; with standbys, the
  // addresses of all, separated by commas.
  std::shared_ptr<grpc::Channel> driver_channel;
  std::string driver_address;

  std::string name;  // for people; empty: host:pid
  // Threads that run source and keyed tasks; 0 = the machine's hardware threads.
  uint32_t slots = 0;

  // Where peers push rows, host:port (port 0: any free one). Empty: local mode, no peers, no
  // server.
  std::string shuffle_listen_address;
  // The address to which peers are told to connect; empty: the listen address with the bound port
  // ("0.0.0.0" and "[::]" are replaced by the machine's host name).
  std::string shuffle_advertised_address;

  // Limit for rows that are prefetched from sources, in flight between executors, or held by sinks
  // until they are committed. State comes on top.
  int64_t memory_bytes = int64_t{512} << 20;
  // host:port of the Prometheus endpoint; empty: none.
  std::string metrics_address;

  // How long to look for a driver that is away, at the start or after a break, before Wait returns
  // UNAVAILABLE.
  absl::Duration driver_timeout = absl::InfiniteDuration();

  // The next two outlive the executor.
  const ConnectorRegistry* connectors = nullptr;
  const FunctionRegistry* functions = nullptr;  // null: FunctionRegistry::BuiltIn()
  Clock* clock = nullptr;                       // null: Clock::Real()
  FileSystem* files = nullptr;                  // for snapshots; null: FileSystem::Real()

  // Where jobs with state_backend = 'rocksdb' keep their state while they run, each epoch in a
  // directory of its own; empty: the system's directory for temporary files.
  std::string state_directory;
};

// Thread-safe.
class Executor {
 public:
  virtual ~Executor() = default;

  // Opens the shuffle and metrics ports (ALREADY_EXISTS or UNAVAILABLE name the address) and begins
  // to look for the driver in the background: it need not be there yet.
  static absl::StatusOr<std::unique_ptr<Executor>> Start(ExecutorOptions options);

  // New with every start of an executor.
  virtual const ExecutorId& id() const = 0;
  virtual const std::string& name() const = 0;
  // Addresses with the ports that were bound; empty where there is none.
  virtual const std::string& shuffle_address() const = 0;
  virtual const std::string& metrics_address() const = 0;

  // OK once the executor is registered (for tests and local wiring); DEADLINE_EXCEEDED names the
  // driver.
  virtual absl::Status WaitUntilRegistered(absl::Duration timeout) = 0;

  // Blocks until the executor has ended: OK after Drain or Shutdown, FAILED_PRECONDITION with the
  // driver's reason when it was rejected, UNAVAILABLE when no driver was found within
  // `driver_timeout`.
  virtual absl::Status Wait() = 0;

  // Tells the driver that this executor is leaving, finishes the batches that it has been given,
  // commits included, and ends. DEADLINE_EXCEEDED: work was left after `timeout`; the executor has
  // ended all the same.
  virtual absl::Status Drain(absl::Duration timeout) = 0;

  // Ends at once: cancels tasks, drops what is not committed, closes the stream. Idempotent; the
  // destructor calls it.
  virtual void Shutdown() = 0;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EXECUTOR_H_
