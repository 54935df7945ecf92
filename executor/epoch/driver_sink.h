// The executor's connection to the driver, as epochs see it. Thread-safe, never blocks except where
// it says so; outlives the epochs.
#ifndef MILLRACE_EXECUTOR_EPOCH_DRIVER_SINK_H_
#define MILLRACE_EXECUTOR_EPOCH_DRIVER_SINK_H_

#include <cstdint>
#include <memory>

#include "proto/cluster.pb.h"

namespace millrace::executor {

class DriverSink {
 public:
  virtual ~DriverSink() = default;
  // Queues a message. `session`: the connection that the sender knows of. Messages for an earlier
  // connection are dropped, since DriverReports::Resend sends them again on the new one.
  virtual void Send(uint64_t session, std::shared_ptr<const proto::ExecutorMessage> message) = 0;
  // Waits while much is queued; also returns after a while, or when there is no connection.
  virtual void WaitForRoom() = 0;
  // Says that TakeProgress of some epoch may have news.
  virtual void ProgressChanged() = 0;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_DRIVER_SINK_H_
