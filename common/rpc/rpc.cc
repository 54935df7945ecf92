#include "common/rpc/rpc.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/excerpt.h"
#include "common/base/status.h"
#include "common/rpc/address.h"

namespace millrace {
namespace {

constexpr int kKeepaliveTimeMs = 10'000;
constexpr int kKeepaliveTimeoutMs = 5'000;

// A longer timeout is cut to this: it is as good as none, and does not overflow in chrono.
constexpr absl::Duration kLongestTimeout = absl::Hours(24 * 365);

void Configure(grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(kMaxRpcMessageBytes);
  builder->SetMaxSendMessageSize(kMaxRpcMessageBytes);
  // By default gRPC shares ports, so a second server would start and get half of the connections.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // Without this, the clients' keepalives count as abuse and the server closes the connection.
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                              kKeepaliveTimeMs / 2);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
}

}  // namespace

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) {
    return absl::OkStatus();
  }
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  // gRPC says nothing where a message cannot be encoded or decoded.
  return status.error_message().empty()
             ? absl::Status(code,
                            absl::StrCat("the call failed as ", absl::StatusCodeToString(code),
                                         ", without a message"))
             : absl::Status(code, status.error_message());
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) {
    return grpc::Status::OK;
  }
  // Shortened, since the message travels in a header, and peers accept only some KiB of headers.
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      Excerpt(ToStd(status.message())));
}

grpc::ChannelArguments DefaultChannelArguments() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxRpcMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxRpcMessageBytes);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // The defaults wait up to two minutes between attempts; a restarted driver should be found at
  // once.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  return arguments;
}

std::shared_ptr<grpc::Channel> CreateChannel(const std::string& address) {
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(),
                                   DefaultChannelArguments());
}

std::chrono::system_clock::time_point RpcDeadline(absl::Duration timeout) {
  return std::chrono::system_clock::now() +
         absl::ToChronoMicroseconds(std::min(timeout, kLongestTimeout));
}

void SetTimeout(grpc::ClientContext* context, absl::Duration timeout) {
  context->set_deadline(RpcDeadline(timeout));
}

RpcServer::RpcServer(std::unique_ptr<grpc::Server> server, std::string address)
    : server_(std::move(server)), address_(std::move(address)) {}

RpcServer::~RpcServer() { Shutdown(absl::ZeroDuration()); }

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(
    const std::string& listen_address, const std::vector<grpc::Service*>& services,
    std::string_view purpose, std::string_view flag) {
  grpc::ServerBuilder builder;
  Configure(&builder);
  for (grpc::Service* service : services) {
    builder.RegisterService(service);
  }
  HostPort address;
  int bound_port = 0;
  if (!listen_address.empty()) {
    ASSIGN_OR_RETURN(address, ParseHostPort(listen_address));
    // Asked for the reason, since gRPC does not tell why it could not bind.
    RETURN_IF_ERROR(CheckCanListen(address, purpose, flag));
    builder.AddListeningPort(address.ToString(), grpc::InsecureServerCredentials(), &bound_port);
  }
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || (!listen_address.empty() && bound_port == 0)) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", address.ToString(), " for ",
                                               ToAbsl(purpose), "; choose another address with ",
                                               ToAbsl(flag)));
  }
  address.port = static_cast<uint16_t>(bound_port);
  return std::unique_ptr<RpcServer>(
      new RpcServer(std::move(server), listen_address.empty() ? "" : address.ToString()));
}

std::shared_ptr<grpc::Channel> RpcServer::InProcessChannel() {
  return server_->InProcessChannel(DefaultChannelArguments());
}

void RpcServer::Shutdown(absl::Duration grace) {
  server_->Shutdown(RpcDeadline(grace));
  server_->Wait();
}

}  // namespace millrace
