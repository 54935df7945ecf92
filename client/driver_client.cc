#include "client/driver_client.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/rpc/address.h"
#include "common/rpc/rpc.h"
#include "common/rpc/text_check.h"

namespace millrace::client {
namespace {

constexpr absl::Duration kConnectTimeout = absl::Seconds(3);
constexpr absl::Duration kCallTimeout = absl::Seconds(15);
// Submission asks Kafka for topics and offsets, draining waits for sinks: both have deadlines of
// their own in the driver.
constexpr absl::Duration kLongCallTimeout = absl::Seconds(120);

// Between two rounds in which nobody answered; a standby may be about to take over.
constexpr absl::Duration kRoundPause = absl::Milliseconds(100);

// Until the channel is connected, has failed once, or `deadline`.
bool TryConnect(grpc::Channel& channel, absl::Time deadline) {
  grpc_connectivity_state state = channel.GetState(/*try_to_connect=*/true);
  while (state != GRPC_CHANNEL_READY && state != GRPC_CHANNEL_TRANSIENT_FAILURE) {
    if (!channel.WaitForStateChange(state, RpcDeadline(deadline - SteadyNow()))) {
      return false;
    }
    state = channel.GetState(/*try_to_connect=*/true);
  }
  return state == GRPC_CHANNEL_READY;
}

absl::Status Translate(const grpc::Status& status, const std::string& address) {
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED && !address.empty()) {
    return absl::DeadlineExceededError(absl::StrCat(
        "the driver at ", address, " did not answer in time (", status.error_message(), ")"));
  }
  return FromGrpc(status);
}

}  // namespace

DriverClient::DriverClient(std::shared_ptr<grpc::Channel> channel, std::string address)
    : drivers_({{std::move(address), std::move(channel)}}) {}

std::unique_ptr<DriverClient> DriverClient::ForAddress(const std::string& addresses) {
  std::vector<Driver> drivers;
  for (const std::string& address : SplitAddresses(addresses)) {
    drivers.push_back({address, CreateChannel(address)});
  }
  return std::unique_ptr<DriverClient>(new DriverClient(std::move(drivers)));
}

absl::StatusOr<DriverClient::Driver> DriverClient::FindDriver() {
  {
    absl::MutexLock lock(&mutex_);
    if (found_.has_value()) {
      return *found_;
    }
  }
  ASSIGN_OR_RETURN(Driver driver, Connect());
  absl::MutexLock lock(&mutex_);
  found_ = driver;
  return driver;
}

// A driver that hangs accepts connections and then says nothing, which counts as a failure to
// connect after some 100 ms (common/rpc).
absl::StatusOr<DriverClient::Driver> DriverClient::Connect() const {
  const absl::Time deadline = SteadyNow() + kConnectTimeout;
  do {
    for (const Driver& driver : drivers_) {
      if (driver.address.empty() || TryConnect(*driver.channel, deadline)) {
        return driver;
      }
    }
    if (!drivers_.empty()) {
      drivers_.back().channel->WaitForStateChange(
          GRPC_CHANNEL_TRANSIENT_FAILURE,
          RpcDeadline(std::min(kRoundPause, deadline - SteadyNow())));
    }
  } while (SteadyNow() < deadline && !drivers_.empty());
  const std::string addresses = absl::StrJoin(
      drivers_, ",", [](std::string* out, const Driver& d) { out->append(d.address); });
  return absl::UnavailableError(absl::StrCat("no driver answers at ", addresses,
                                             "; start one with millrace-driver, or name another "
                                             "with --driver HOST:PORT or MILLRACE_DRIVER"));
}

template <typename Request, typename Response>
absl::StatusOr<Response> DriverClient::Call(Method<Request, Response> method,
                                            const Request& request, absl::Duration timeout) {
  RETURN_IF_ERROR(CheckTexts(request));
  ASSIGN_OR_RETURN(const Driver driver, FindDriver());
  grpc::ClientContext context;
  SetTimeout(&context, timeout);
  Response response;
  const std::unique_ptr<proto::Jobs::Stub> stub = proto::Jobs::NewStub(driver.channel);
  RETURN_IF_ERROR(Translate((stub.get()->*method)(&context, request, &response), driver.address));
  return response;
}

absl::StatusOr<proto::SubmitResponse> DriverClient::Submit(const proto::SubmitRequest& request) {
  return Call(&proto::Jobs::Stub::Submit, request, kLongCallTimeout);
}

absl::StatusOr<proto::ListResponse> DriverClient::List() {
  return Call(&proto::Jobs::Stub::List, proto::ListRequest(), kCallTimeout);
}

absl::StatusOr<proto::JobDetail> DriverClient::Show(const std::string& job) {
  proto::JobRequest request;
  request.set_name(job);
  return Call(&proto::Jobs::Stub::Show, request, kCallTimeout);
}

absl::StatusOr<proto::StopResponse> DriverClient::Stop(const std::string& job, bool cancel) {
  proto::StopRequest request;
  request.set_name(job);
  request.set_cancel(cancel);
  return Call(&proto::Jobs::Stub::Stop, request, kLongCallTimeout);
}

absl::StatusOr<proto::SavepointResponse> DriverClient::Savepoint(const std::string& job,
                                                                 const std::string& location) {
  proto::SavepointRequest request;
  request.set_name(job);
  request.set_location(location);
  return Call(&proto::Jobs::Stub::Savepoint, request, kLongCallTimeout);
}

absl::StatusOr<proto::LagResponse> DriverClient::Lag(const std::string& job) {
  proto::JobRequest request;
  request.set_name(job);
  return Call(&proto::Jobs::Stub::Lag, request, kCallTimeout);
}

absl::StatusOr<proto::ExecutorsResponse> DriverClient::Executors() {
  return Call(&proto::Jobs::Stub::Executors, proto::ExecutorsRequest(), kCallTimeout);
}

absl::Status DriverClient::Results(
    const proto::ResultsRequest& request,
    const std::function<bool(const proto::BatchResults&)>& on_batch) {
  RETURN_IF_ERROR(CheckTexts(request));
  ASSIGN_OR_RETURN(const Driver driver, FindDriver());
  grpc::ClientContext context;
  if (!request.follow()) {
    SetTimeout(&context, kLongCallTimeout);
  }
  const std::unique_ptr<proto::Jobs::Stub> stub = proto::Jobs::NewStub(driver.channel);
  const auto stream = stub->Results(&context, request);
  proto::BatchResults batch;
  while (stream->Read(&batch)) {
    if (!on_batch(batch)) {
      context.TryCancel();
      while (stream->Read(&batch)) {
        // What was already on its way; Finish must come after the last Read.
      }
      stream->Finish();
      return absl::OkStatus();
    }
  }
  return Translate(stream->Finish(), driver.address);
}

std::string PhaseName(proto::JobPhase phase) {
  const std::string name = proto::JobPhase_Name(phase);
  return absl::AsciiStrToLower(absl::StripPrefix(name, "PHASE_"));
}

}  // namespace millrace::client
