// gRPC as all processes use it: one set of limits and keepalives for servers and channels, and
// errors that keep their message across the wire. Thread-safe.
#ifndef MILLRACE_COMMON_RPC_RPC_H_
#define MILLRACE_COMMON_RPC_RPC_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/impl/codegen/service_type.h>
#include <grpcpp/server.h>
#include <grpcpp/support/channel_arguments.h>
#include <grpcpp/support/status.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace millrace {

// The largest message in either direction. Frames between executors are ≤ 1 MiB; plans and result
// rows may be larger.
inline constexpr int kMaxRpcMessageBytes = 256 << 20;

// Converts a status; the sets of codes are the same, and messages pass unchanged. An error without
// a message gets one that says so.
absl::Status FromGrpc(const grpc::Status& status);
grpc::Status ToGrpc(const absl::Status& status);

// Limits, keepalive (a silent peer is noticed after 15 s even without traffic) and reconnection
// within a second.
grpc::ChannelArguments DefaultChannelArguments();

// A channel to `address`; connects lazily. Plain text: Millrace's ports belong on a trusted
// network.
std::shared_ptr<grpc::Channel> CreateChannel(const std::string& address);

// The moment when `timeout` is over, as gRPC wants it: a time of day, which it converts at once.
// Not to be kept: a step of the clock would move it.
std::chrono::system_clock::time_point RpcDeadline(absl::Duration timeout);

// Sets the deadline that every call needs: `context` fails with DEADLINE_EXCEEDED after `timeout`.
void SetTimeout(grpc::ClientContext* context, absl::Duration timeout);

class RpcServer {
 public:
  // Serves `services` (not owned; must outlive the server) on `listen_address` (host:port, port 0 =
  // any free one), or in this process only when that is empty. Errors name the address; `purpose`
  // and `flag` are for their words, as in CheckCanListen.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(
      const std::string& listen_address, const std::vector<grpc::Service*>& services,
      std::string_view purpose, std::string_view flag);
  ~RpcServer();

  // "host:port" with the port that was bound; empty when not listening.
  const std::string& address() const { return address_; }

  std::shared_ptr<grpc::Channel> InProcessChannel();

  // Refuses new calls, gives running ones `grace` to finish, then cancels them and waits for their
  // handlers.
  void Shutdown(absl::Duration grace);

 private:
  RpcServer(std::unique_ptr<grpc::Server> server, std::string address);

  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_RPC_RPC_H_
