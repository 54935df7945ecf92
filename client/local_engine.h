// Driver and executors in this process: what `millrace run` and `millrace demo` are made of, and
// what the logic tests run on. The same classes as on a cluster, over gRPC's in-process channel.
//
// client() may be used from any thread. Everything stops with the object.
#ifndef MILLRACE_CLIENT_LOCAL_ENGINE_H_
#define MILLRACE_CLIENT_LOCAL_ENGINE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/driver_client.h"
#include "connectors/registry.h"
#include "driver/driver.h"
#include "executor/executor.h"

namespace millrace::client {

struct LocalEngineOptions {
  // Where the journal is kept, so that a later engine goes on from it; empty: in memory.
  std::string directory;
  // Prometheus endpoint of the driver, host:port; empty: none.
  std::string metrics_address;
  uint32_t slots = 0;        // of each executor; 0 = the machine's hardware threads
  int64_t memory_bytes = 0;  // of each executor, as --memory; 0 = its default
  // More than one: they exchange rows over sockets on the loopback interface, as on a cluster.
  uint32_t executors = 1;
  // Without a directory: jobs that are under way as these records say, and go on.
  std::vector<proto::JournalRecord> initial_records = {};
};

class LocalEngine {
 public:
  // Errors name the address in use, or the directory that another engine holds.
  static absl::StatusOr<std::unique_ptr<LocalEngine>> Start(const LocalEngineOptions& options);
  ~LocalEngine();
  LocalEngine(const LocalEngine&) = delete;
  LocalEngine& operator=(const LocalEngine&) = delete;

  DriverClient& client() { return *client_; }

  // Brings every job to a batch boundary, as a driver does that is told to stop; jobs can be
  // resumed from the directory. DEADLINE_EXCEEDED names the jobs that did not get there: what they
  // are at will be run again, and the engine may be destroyed, or the process ended. Blocks;
  // thread-safe.
  absl::Status Drain();

  // Changes of membership, as on a cluster. REQUIRES: started with more than one executor; one
  // thread at a time.
  absl::Status AddExecutor();
  // Ends the first executor at once, as if its process had been killed.
  void KillExecutor();
  // As bound; empty when there is none.
  const std::string& metrics_address() const { return driver_->metrics_address(); }

 private:
  explicit LocalEngine(const LocalEngineOptions& options) : options_(options) {}

  const LocalEngineOptions options_;
  uint32_t executors_started_ = 0;
  std::unique_ptr<driver::Driver> driver_;
  std::vector<std::unique_ptr<executor::Executor>> executors_;
  std::unique_ptr<DriverClient> client_;
};

// Every connector and format of this build; lives for ever.
const ConnectorRegistry& AllConnectors();

}  // namespace millrace::client

#endif  // MILLRACE_CLIENT_LOCAL_ENGINE_H_
