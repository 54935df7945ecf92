// For tests of a whole driver: a source whose partitions the test sets, a gathered and a counting
// sink, and executors that play the control stream's protocol without computing anything.
#ifndef MILLRACE_DRIVER_TESTING_FAKE_CLUSTER_H_
#define MILLRACE_DRIVER_TESTING_FAKE_CLUSTER_H_

#include <grpcpp/channel.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "connectors/registry.h"
#include "proto/cluster.grpc.pb.h"

namespace millrace::driver {

// The outside world of connector "fake". Thread-safe.
class FakeWorld {
 public:
  void SetEnd(const std::string& partition, int64_t end);
  // Removes the partition. From now on, the source's partitions may go.
  void Remove(const std::string& partition);
  bool may_lose() const;
  void SetBounded(bool bounded);
  // The error that every call of the enumerators returns until it is set to OK again.
  void SetTrouble(absl::Status trouble);
  std::map<std::string, int64_t> ends() const;
  std::map<std::string, int64_t> published() const;
  absl::Status trouble() const;
  bool bounded() const;
  void Publish(const std::string& partition, int64_t offset);

 private:
  mutable absl::Mutex mutex_;
  std::map<std::string, int64_t> ends_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, int64_t> published_ ABSL_GUARDED_BY(mutex_);
  absl::Status trouble_ ABSL_GUARDED_BY(mutex_);
  bool bounded_ ABSL_GUARDED_BY(mutex_) = false;
  bool may_lose_ ABSL_GUARDED_BY(mutex_) = false;
};

// Source "fake" (option prefix: only partitions whose names begin so); sinks "shown" (gathered,
// like print) and "dropped".
std::unique_ptr<ConnectorRegistry> FakeConnectors(FakeWorld* world);

// Registers over `channel` on a thread of its own and answers every batch with one result row per
// split: (partition's name, number of records). Ends with the object.
class FakeExecutor {
 public:
  FakeExecutor(const std::shared_ptr<grpc::Channel>& channel, std::string name);
  ~FakeExecutor();

  // Ends as if the process were killed.
  void Kill();
  // Sends Leaving and waits for the end of its epochs.
  void Leave();
  // From now on, answers RunBatch with this failure; OK = with results again.
  void FailBatches(absl::Status status, bool retryable);
  // Stops answering RunBatch, like an executor whose broker is away.
  void IgnoreBatches();

  // The directory that it sees where the driver keeps snapshots; empty = the driver's.
  void SeeStoreAt(std::string directory);

  std::vector<proto::RunBatch> runs() const;
  std::vector<int64_t> commits() const;
  std::vector<proto::StartEpoch> starts() const;

 private:
  using Stream = grpc::ClientReaderWriter<proto::ExecutorMessage, proto::DriverMessage>;
  void Serve();
  void Answer(const proto::DriverMessage& message);
  void AnswerRun(const proto::RunBatch& run);
  absl::Status ProveStore(const proto::StartEpoch& start, proto::EpochReady* ready);
  void Send(const proto::ExecutorMessage& message);
  void Beat();

  const std::string name_;
  std::unique_ptr<proto::Cluster::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<Stream> stream_;
  absl::Mutex write_mutex_;

  mutable absl::Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  bool retryable_ ABSL_GUARDED_BY(mutex_) = false;
  bool ignores_batches_ ABSL_GUARDED_BY(mutex_) = false;
  std::string store_directory_ ABSL_GUARDED_BY(mutex_);
  std::vector<proto::RunBatch> runs_ ABSL_GUARDED_BY(mutex_);
  std::vector<int64_t> commits_ ABSL_GUARDED_BY(mutex_);
  std::vector<proto::StartEpoch> starts_ ABSL_GUARDED_BY(mutex_);
  std::thread reader_;
  std::thread beater_;
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_TESTING_FAKE_CLUSTER_H_
