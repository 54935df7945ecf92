// The jobs this executor works for: at most one epoch of each is alive, and a higher one replaces
// it once it has ended. The jobs that were stopped last are remembered. Turns the driver's messages
// into calls of JobEpoch. Thread-safe; messages come from one thread.
#ifndef MILLRACE_EXECUTOR_CONTROL_JOB_TABLE_H_
#define MILLRACE_EXECUTOR_CONTROL_JOB_TABLE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/base/ids.h"
#include "executor/epoch/job_epoch.h"
#include "executor/stopped_epochs.h"
#include "proto/cluster.pb.h"

namespace millrace::executor {

class JobTable {
 public:
  // Both outlive the table.
  JobTable(const JobRuntime* runtime, DriverSink* driver) : runtime_(*runtime), driver_(driver) {}

  // To be called when a connection to a driver has begun. The same driver is sent again what it has
  // not answered; the epochs of another driver are over.
  void OnRegistered(uint64_t session, const std::string& driver_id);
  void OnMessage(uint64_t session, proto::DriverMessage message);

  std::vector<proto::SourceProgress> TakeProgress();
  // Adds up over all jobs.
  void FillState(proto::Heartbeat* heartbeat);
  bool idle() const;
  // Calls JobEpoch::ContinueSnapshot of all epochs.
  void ContinueSnapshots();

  // Ends all epochs and waits until they have.
  void StopAll();

 private:
  struct Job {
    Epoch epoch;                   // the highest one heard of
    std::optional<Epoch> stopped;  // the last one in stopped_
    std::shared_ptr<JobEpoch> running;
  };

  void StartEpoch(uint64_t session, proto::StartEpoch message);
  void StopEpoch(uint64_t session, const proto::StopEpoch& message);
  void Refuse(uint64_t session, const JobId& job, Epoch epoch, const absl::Status& status);
  // Null unless exactly this epoch is alive.
  std::shared_ptr<JobEpoch> Find(const std::string& job, int64_t epoch) const;
  std::vector<std::shared_ptr<JobEpoch>> Running() const;

  const JobRuntime& runtime_;
  DriverSink* const driver_;
  std::string driver_id_;  // used by the messages' thread only

  mutable absl::Mutex mutex_;
  // All epochs that are not closed yet, including replaced and stopped ones.
  std::vector<std::weak_ptr<JobEpoch>> alive_ ABSL_GUARDED_BY(mutex_);
  std::map<JobId, Job> jobs_ ABSL_GUARDED_BY(mutex_);
  // So that a late message does not begin one of them again.
  StoppedEpochs stopped_ ABSL_GUARDED_BY(mutex_){1024};
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_CONTROL_JOB_TABLE_H_
