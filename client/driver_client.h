// The command line's side of proto/jobs.proto: calls with deadlines, errors as absl::Status with
// the driver's own words, and a way out when no driver answers. Given several addresses, it asks
// the first driver that it reaches: standbys do not listen. Thread-safe.
#ifndef MILLRACE_CLIENT_DRIVER_CLIENT_H_
#define MILLRACE_CLIENT_DRIVER_CLIENT_H_

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "proto/jobs.grpc.pb.h"

namespace millrace::client {

class DriverClient {
 public:
  // Does not connect yet. `address` is for messages; an in-process channel has none and is never
  // waited for.
  DriverClient(std::shared_ptr<grpc::Channel> channel, std::string address);
  // "host:port", or several separated by commas.
  static std::unique_ptr<DriverClient> ForAddress(const std::string& addresses);

  absl::StatusOr<proto::SubmitResponse> Submit(const proto::SubmitRequest& request);
  absl::StatusOr<proto::ListResponse> List();
  absl::StatusOr<proto::JobDetail> Show(const std::string& job);
  // Draining waits for the batches under way, so this may take a while.
  absl::StatusOr<proto::StopResponse> Stop(const std::string& job, bool cancel);
  // `location` empty: the driver chooses one. Waits for a snapshot.
  absl::StatusOr<proto::SavepointResponse> Savepoint(const std::string& job,
                                                     const std::string& location);
  absl::StatusOr<proto::LagResponse> Lag(const std::string& job);
  absl::StatusOr<proto::ExecutorsResponse> Executors();

  // Calls `on_batch` for each message until the stream ends or it returns false. No deadline when
  // `request.follow`.
  absl::Status Results(const proto::ResultsRequest& request,
                       const std::function<bool(const proto::BatchResults&)>& on_batch);

 private:
  struct Driver {
    std::string address;  // empty: in this process
    std::shared_ptr<grpc::Channel> channel;
  };
  explicit DriverClient(std::vector<Driver> drivers) : drivers_(std::move(drivers)) {}

  // The driver that answers, found at the first call.
  absl::StatusOr<Driver> FindDriver();
  absl::StatusOr<Driver> Connect() const;
  template <typename Request, typename Response>
  using Method = grpc::Status (proto::Jobs::Stub::*)(grpc::ClientContext*, const Request&,
                                                     Response*);
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(Method<Request, Response> method, const Request& request,
                                absl::Duration timeout);

  const std::vector<Driver> drivers_;
  absl::Mutex mutex_;
  std::optional<Driver> found_ ABSL_GUARDED_BY(mutex_);
};

// Names of phases as people see them: "running", "waiting", …
std::string PhaseName(proto::JobPhase phase);

}  // namespace millrace::client

#endif  // MILLRACE_CLIENT_DRIVER_CLIENT_H_
