#include "driver/services/jobs_service.h"

#include <memory>
#include <utility>

#include "common/base/steady_time.h"
#include "common/rpc/rpc.h"

namespace millrace::driver {
namespace {

// How often a follower's handler looks whether its client is still there.
constexpr absl::Duration kFollowInterval = absl::Milliseconds(200);

template <typename Response>
grpc::Status Answer(absl::StatusOr<Response> result, Response* response) {
  if (!result.ok()) {
    return ToGrpc(result.status());
  }
  *response = *std::move(result);
  return grpc::Status::OK;
}

}  // namespace

grpc::Status JobsService::Submit(grpc::ServerContext*, const proto::SubmitRequest* request,
                                 proto::SubmitResponse* response) {
  return Answer(jobs_->Submit(*request), response);
}

grpc::Status JobsService::Explain(grpc::ServerContext*, const proto::ExplainRequest* request,
                                  proto::ExplainResponse* response) {
  return Answer(jobs_->Explain(*request), response);
}

grpc::Status JobsService::List(grpc::ServerContext*, const proto::ListRequest*,
                               proto::ListResponse* response) {
  return Answer(jobs_->List(), response);
}

grpc::Status JobsService::Show(grpc::ServerContext*, const proto::JobRequest* request,
                               proto::JobDetail* response) {
  return Answer(jobs_->Show(request->name()), response);
}

grpc::Status JobsService::Stop(grpc::ServerContext*, const proto::StopRequest* request,
                               proto::StopResponse* response) {
  return Answer(jobs_->Stop(*request), response);
}

grpc::Status JobsService::Savepoint(grpc::ServerContext*, const proto::SavepointRequest* request,
                                    proto::SavepointResponse* response) {
  return Answer(jobs_->Savepoint(*request), response);
}

grpc::Status JobsService::Lag(grpc::ServerContext*, const proto::JobRequest* request,
                              proto::LagResponse* response) {
  return Answer(jobs_->Lag(request->name()), response);
}

grpc::Status JobsService::Executors(grpc::ServerContext*, const proto::ExecutorsRequest*,
                                    proto::ExecutorsResponse* response) {
  return Answer(jobs_->Executors(), response);
}

grpc::Status JobsService::Results(grpc::ServerContext* context,
                                  const proto::ResultsRequest* request,
                                  grpc::ServerWriter<proto::BatchResults>* writer) {
  const absl::StatusOr<std::shared_ptr<ResultBuffer>> results = jobs_->Results(request->name());
  if (!results.ok()) {
    return ToGrpc(results.status());
  }
  const std::unique_ptr<ResultBuffer::Reader> reader =
      ResultBuffer::NewReader(*results, request->from_batch());
  bool end = false;
  while (!end && !context->IsCancelled()) {
    const absl::Duration patience = request->follow() ? kFollowInterval : absl::ZeroDuration();
    const ResultBuffer::Entry entry = reader->Next(SteadyNow() + patience, &end);
    if (entry == nullptr && !request->follow()) {
      break;
    }
    if (entry != nullptr && !writer->Write(*entry)) {
      break;
    }
  }
  return grpc::Status::OK;
}

}  // namespace millrace::driver
