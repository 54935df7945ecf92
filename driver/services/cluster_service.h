// The Cluster service: turns executors' streams into links and their messages into calls on the
// event loop. Translates only.
#ifndef MILLRACE_DRIVER_SERVICES_CLUSTER_SERVICE_H_
#define MILLRACE_DRIVER_SERVICES_CLUSTER_SERVICE_H_

#include "common/base/clock.h"
#include "driver/event_loop.h"
#include "driver/executors/executor_directory.h"
#include "driver/jobs/job_registry.h"
#include "proto/cluster.grpc.pb.h"

namespace millrace::driver {

// Thread-safe. Each stream takes two threads: gRPC's reads, one of ours writes.
class ClusterService : public proto::Cluster::Service {
 public:
  // All outlive the service; directory and registry are touched on `loop` only.
  ClusterService(EventLoop* loop, ExecutorDirectory* executors, JobRegistry* jobs, Clock* clock)
      : loop_(loop), executors_(executors), jobs_(jobs), clock_(clock) {}

  grpc::Status Connect(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<proto::DriverMessage, proto::ExecutorMessage>* stream) override;

 private:
  void Deliver(const ExecutorId& from, proto::ExecutorMessage message);

  EventLoop* const loop_;
  ExecutorDirectory* const executors_;
  JobRegistry* const jobs_;
  Clock* const clock_;
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_SERVICES_CLUSTER_SERVICE_H_
