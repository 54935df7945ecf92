// What an epoch owes the driver: every report is sent at once, and kept until a message of the
// driver shows that it has arrived. When a connection has broken, Resend sends what was kept on the
// new one, so that no report is lost; the driver ignores those that it has had.
//
// Thread-safe; nothing blocks. Its lock is taken before the driver's queue, and nothing else is
// called under it: reports go out in the order in which they were made, and none of them overtakes
// those that Resend sends.
#ifndef MILLRACE_EXECUTOR_EPOCH_DRIVER_REPORTS_H_
#define MILLRACE_EXECUTOR_EPOCH_DRIVER_REPORTS_H_

#include <cstdint>
#include <deque>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "common/base/ids.h"
#include "executor/epoch/driver_sink.h"
#include "proto/cluster.pb.h"

namespace millrace::executor {

class DriverReports {
 public:
  // `session`: the present connection. `driver` outlives the reports.
  DriverReports(DriverSink* driver, uint64_t session, JobId job, Epoch epoch);
  DriverReports(const DriverReports&) = delete;
  DriverReports& operator=(const DriverReports&) = delete;

  // Each fills in the job and the epoch.
  void Report(proto::EpochReady message);
  void Report(proto::ResultRows message);
  void Report(proto::BatchPrepared message);
  void Report(proto::BatchCommitted message);
  void Report(proto::SnapshotWritten message);
  void Report(proto::EpochFailed message);
  void Report(proto::EpochStopped message);

  // The driver has sent one of these messages, which shows what has arrived there. What an epoch
  // says about its end is never answered.
  //
  // RunBatch comes once every member is ready and has prepared the batch before.
  void AnsweredByRun(BatchId batch);
  // CommitBatch comes once every member has prepared `through`, and reported the commit before.
  void AnsweredByCommit(BatchId through);
  // TakeSnapshot comes once it is known what became of the snapshot before.
  void AnsweredBySnapshot(BatchId batch);

  // There is a new connection to the same driver. Tells it in any case that the epoch is here: a
  // driver that does not need it any more ends it.
  void Resend(uint64_t session);

 private:
  using Message = proto::ExecutorMessage;

  // `content`: the message's field that the report goes to.
  template <typename Content>
  void Send(Content report, Content* (Message::*content)());
  void Drop(absl::FunctionRef<bool(const Message& message)> answered);

  DriverSink* const driver_;
  const JobId job_;
  const Epoch epoch_;

  absl::Mutex mutex_;
  uint64_t session_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::shared_ptr<const Message>> unanswered_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_DRIVER_REPORTS_H_
