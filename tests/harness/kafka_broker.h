// A real Kafka broker (3.9, KRaft, one node) as a child process of a test: free ports, a directory
// of its own, ended with the object, or by the kernel if the test dies. Needs `data =
// ["@kafka//:jars"]` and Java 17.
#ifndef MILLRACE_TESTS_HARNESS_KAFKA_BROKER_H_
#define MILLRACE_TESTS_HARNESS_KAFKA_BROKER_H_

#include <sys/types.h>

#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace millrace {

struct KafkaBrokerOptions {
  std::string heap = "512m";
  std::map<std::string, std::string> server_properties;  // over the harness's own
  absl::Duration start_timeout = absl::Seconds(90);
};

// Thread-compatible. Start from a thread that lives as long as the broker: the kernel ends it with
// that thread.
class KafkaBroker {
 public:
  // Returns when the broker answers a client. The error holds the end of its log.
  static absl::StatusOr<std::unique_ptr<KafkaBroker>> Start(const KafkaBrokerOptions& options = {});
  // The broker that all tests of a program share; the first call starts it. Ends the program if it
  // does not start.
  static const KafkaBroker& Shared();

  KafkaBroker(const KafkaBroker&) = delete;
  KafkaBroker& operator=(const KafkaBroker&) = delete;
  ~KafkaBroker();

  // "127.0.0.1:12345"; the same after Restart.
  const std::string& bootstrap_servers() const { return bootstrap_servers_; }
  // Ends the process as a crash would.
  void Kill();
  // Stops every thread of it and returns once they stand still: it answers nothing that is sent
  // from now on before Resume. REQUIRES: it runs.
  void Pause();
  void Resume();
  // Ends it in order; waits.
  void Shutdown();
  // Starts it again with the data it had; waits until it answers. REQUIRES: killed or shut down.
  absl::Status Restart();

 private:
  KafkaBroker() = default;

  void ChoosePorts();
  absl::Status Prepare();
  absl::Status Launch();
  absl::Status WaitUntilReady();
  std::string LogTail() const;

  KafkaBrokerOptions options_;
  std::string directory_;
  std::string jars_;
  std::string bootstrap_servers_;
  int port_ = 0;
  int controller_port_ = 0;
  pid_t pid_ = -1;
};

}  // namespace millrace

#endif  // MILLRACE_TESTS_HARNESS_KAFKA_BROKER_H_
