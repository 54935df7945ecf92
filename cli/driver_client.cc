#include "cli/driver_client.h"

#include <chrono>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/rpc/rpc.h"

namespace millrace {
namespace {

constexpr absl::Duration kConnectTimeout = absl::Seconds(3);
constexpr absl::Duration kCallTimeout = absl::Seconds(15);
// Submission asks Kafka for topics and offsets, draining waits for sinks: both have deadlines of
// their own in the driver.
constexpr absl::Duration kLongCallTimeout = absl::Seconds(120);

}  // namespace

DriverClient::DriverClient(std::shared_ptr<grpc::Channel> channel, std::string address)
    : channel_(std::move(channel)),
      address_(std::move(address)),
      stub_(proto::Jobs::NewStub(channel_)) {}

std::unique_ptr<DriverClient> DriverClient::ForAddress(const std::string& address) {
  return std::make_unique<DriverClient>(CreateChannel(address), address);
}

absl::Status DriverClient::WaitForDriver() {
  if (address_.empty() ||
      channel_->WaitForConnected(absl::ToChronoTime(absl::Now() + kConnectTimeout))) {
    return absl::OkStatus();
  }
  return absl::UnavailableError(absl::StrCat("no driver answers at ", address_,
                                             "; start one with millrace-driver, or name another "
                                             "with --driver HOST:PORT or MILLRACE_DRIVER"));
}

absl::Status DriverClient::Translate(const grpc::Status& status) const {
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED && !address_.empty()) {
    return absl::DeadlineExceededError(absl::StrCat(
        "the driver at ", address_, " did not answer in time (", status.error_message(), ")"));
  }
  return FromGrpc(status);
}

template <typename Request, typename Response>
absl::StatusOr<Response> DriverClient::Call(Method<Request, Response> method,
                                            const Request& request, absl::Duration timeout) {
  RETURN_IF_ERROR(WaitForDriver());
  grpc::ClientContext context;
  SetTimeout(&context, timeout);
  Response response;
  RETURN_IF_ERROR(Translate((stub_.get()->*method)(&context, request, &response)));
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
  RETURN_IF_ERROR(WaitForDriver());
  grpc::ClientContext context;
  if (!request.follow()) {
    SetTimeout(&context, kLongCallTimeout);
  }
  const auto stream = stub_->Results(&context, request);
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
  return Translate(stream->Finish());
}

std::string PhaseName(proto::JobPhase phase) {
  const std::string name = proto::JobPhase_Name(phase);
  return absl::AsciiStrToLower(absl::StripPrefix(name, "PHASE_"));
}

}  // namespace millrace
