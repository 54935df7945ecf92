// A driver that a test controls: the Cluster service, messages to executors by hand, and waits for
// answers with a deadline. Thread-safe.
#ifndef MILLRACE_EXECUTOR_TESTING_FAKE_DRIVER_H_
#define MILLRACE_EXECUTOR_TESTING_FAKE_DRIVER_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/monotonic_cond_var.h"
#include "common/rpc/rpc.h"
#include "proto/cluster.grpc.pb.h"

namespace millrace::executor {

class FakeDriver : public proto::Cluster::Service {
 public:
  // Listens on a free port of the loopback address, or serves in this process only.
  explicit FakeDriver(bool listen = true);
  ~FakeDriver() override;

  const std::string& address() const { return server_->address(); }
  std::shared_ptr<grpc::Channel> InProcessChannel() { return server_->InProcessChannel(); }

  void set_driver_id(std::string id);
  // Sets what executors that register from now on are told; by default neither is.
  void set_term(int64_t term);
  void set_heartbeat_timeout(absl::Duration timeout);
  // Executors that register from now on are rejected.
  void set_reject(std::string reason);

  proto::Register WaitForExecutor(const std::string& executor_id);
  int64_t Registrations(const std::string& executor_id) const;
  void Send(const std::string& executor_id, const proto::DriverMessage& message);
  // Breaks the executor's stream.
  void Drop(const std::string& executor_id);

  using Matcher = std::function<bool(const proto::ExecutorMessage&)>;
  // Takes the first message that matches; nullopt after 20 s. Messages that do not match stay.
  std::optional<proto::ExecutorMessage> Wait(const std::string& executor_id,
                                             const Matcher& matches);
  // Takes all matching messages that have arrived.
  std::vector<proto::ExecutorMessage> Take(const std::string& executor_id, const Matcher& matches);

  // Waits until a message of any executor comes, or until `deadline` (SteadyNow()).
  void WaitForMessages(absl::Time deadline);

  grpc::Status Connect(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<proto::DriverMessage, proto::ExecutorMessage>* stream) override;

 private:
  struct Session {
    grpc::ServerContext* context = nullptr;  // null: not connected
    grpc::ServerReaderWriter<proto::DriverMessage, proto::ExecutorMessage>* stream = nullptr;
    proto::Register registration;
    int64_t registrations = 0;
    std::vector<proto::ExecutorMessage> messages;
  };

  mutable absl::Mutex mutex_;
  MonotonicCondVar changed_;
  std::string driver_id_ ABSL_GUARDED_BY(mutex_) = "driver-1";
  std::string reject_ ABSL_GUARDED_BY(mutex_);
  int64_t term_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Duration heartbeat_timeout_ ABSL_GUARDED_BY(mutex_) = absl::ZeroDuration();
  std::map<std::string, Session> sessions_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<RpcServer> server_;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_TESTING_FAKE_DRIVER_H_
