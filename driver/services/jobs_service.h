// The Jobs service: translates between gRPC and JobRegistry. Thread-safe.
#ifndef MILLRACE_DRIVER_SERVICES_JOBS_SERVICE_H_
#define MILLRACE_DRIVER_SERVICES_JOBS_SERVICE_H_

#include "driver/jobs/job_registry.h"
#include "proto/jobs.grpc.pb.h"

namespace millrace::driver {

class JobsService : public proto::Jobs::Service {
 public:
  // `jobs` outlives the service.
  explicit JobsService(JobRegistry* jobs) : jobs_(jobs) {}

  grpc::Status Submit(grpc::ServerContext* context, const proto::SubmitRequest* request,
                      proto::SubmitResponse* response) override;
  grpc::Status Explain(grpc::ServerContext* context, const proto::ExplainRequest* request,
                       proto::ExplainResponse* response) override;
  grpc::Status List(grpc::ServerContext* context, const proto::ListRequest* request,
                    proto::ListResponse* response) override;
  grpc::Status Show(grpc::ServerContext* context, const proto::JobRequest* request,
                    proto::JobDetail* response) override;
  grpc::Status Stop(grpc::ServerContext* context, const proto::StopRequest* request,
                    proto::StopResponse* response) override;
  grpc::Status Savepoint(grpc::ServerContext* context, const proto::SavepointRequest* request,
                         proto::SavepointResponse* response) override;
  grpc::Status Lag(grpc::ServerContext* context, const proto::JobRequest* request,
                   proto::LagResponse* response) override;
  grpc::Status Executors(grpc::ServerContext* context, const proto::ExecutorsRequest* request,
                         proto::ExecutorsResponse* response) override;
  grpc::Status Results(grpc::ServerContext* context, const proto::ResultsRequest* request,
                       grpc::ServerWriter<proto::BatchResults>* writer) override;

 private:
  JobRegistry* const jobs_;
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_SERVICES_JOBS_SERVICE_H_
