// Executors in this process, a driver that a test scripts, and one job on them. For tests: if
// something does not happen in time, a CHECK fails and says what was waited for.
#ifndef MILLRACE_EXECUTOR_TESTING_TEST_CLUSTER_H_
#define MILLRACE_EXECUTOR_TESTING_TEST_CLUSTER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/storage/memory_file_system.h"
#include "connectors/registry.h"
#include "executor/executor.h"
#include "executor/testing/fake_driver.h"
#include "executor/testing/test_connectors.h"
#include "executor/testing/test_plans.h"
#include "proto/cluster.pb.h"

namespace millrace::executor {

class TestCluster {
 public:
  // A single executor has no shuffle address, as in local mode. `clock`: null = the real one;
  // outlives the cluster. `access`: what scripts may reach.
  explicit TestCluster(size_t executors, int64_t memory_bytes = int64_t{64} << 20,
                       uint32_t slots = 2, Clock* clock = nullptr,
                       AccessPolicy access = AccessPolicy());
  // One executor for each file system, which uses that one for snapshots instead of `files`.
  explicit TestCluster(const std::vector<FileSystem*>& files_of);

  Executor& executor(size_t index) { return *executors_[index]; }
  std::string id(size_t index) const { return executors_[index]->id().value(); }
  size_t size() const { return executors_.size(); }
  void Kill(size_t index) { executors_[index]->Shutdown(); }

  TestTopic topic;
  TestOutput output;
  FakeDriver driver;
  MemoryFileSystem files;  // where snapshots are

 private:
  void AddExecutor(ExecutorOptions options);

  std::unique_ptr<ConnectorRegistry> connectors_;
  std::vector<std::unique_ptr<Executor>> executors_;
};

// `partitions`: names by ordinal. Executor number (i modulo the number of executors) reads
// partition i and owns shard i.
class TestJob {
 public:
  using Ranges = std::map<std::string, std::pair<int64_t, int64_t>>;

  TestJob(TestCluster* cluster, proto::JobPlan plan, std::vector<std::string> partitions);

  // Sets a name that differs from that of the other jobs of a test. To be called before the first
  // epoch.
  void SetName(const std::string& name) {
    name_ = name;
    id_ = "job-" + name;
  }

  // The members below apply to epochs that start from now on.
  size_t executors;  // this many of the cluster's executors, from the first on, are members; at
                     // first all
  int64_t first_batch = 1;
  int64_t suppress_until = 0;
  std::map<std::string, int64_t> start_offsets;
  std::string snapshot_location = "/snapshots";
  std::string store_mark;  // empty = there is nothing to prove
  proto::Snapshot restore;
  std::vector<std::vector<uint32_t>> groups;  // sinks that share sessions
  // Dealt out to the executors, which claim these besides what is their own.
  std::vector<proto::SinkMarker> retired_shards;
  std::vector<proto::SinkMarker> former_shards;
  std::vector<proto::SessionMark> left_slots;
  // Sent in RunBatch to the executors that have the shards.
  std::vector<proto::VisibleShards> visible;
  // Sent in RunBatch, CommitBatch and StopEpoch.
  int64_t durable_batch = 0;
  bool finish = false;  // in CommitBatch

  void SendStart(int64_t epoch);
  std::vector<proto::EpochReady> WaitReady(int64_t epoch);
  std::vector<proto::EpochReady> Start(int64_t epoch);  // both
  // Adds a partition that is found while the epoch runs; the next batch brings it.
  void AddPartition(const std::string& partition);
  void SendRun(int64_t batch, const Ranges& ranges);
  // Runs a batch and waits for BatchPrepared of all executors. Returns the reports of all splits by
  // partition.
  std::map<std::string, proto::SplitReport> Run(int64_t batch, const Ranges& ranges);
  std::vector<proto::BatchPrepared> WaitPrepared(int64_t batch);
  void SendCommit(int64_t batch);
  std::vector<proto::BatchCommitted> WaitCommitted(int64_t batch);
  std::vector<proto::BatchCommitted> Commit(int64_t batch);  // both
  void SendSnapshot(int64_t batch, bool full);
  std::vector<proto::SnapshotWritten> WaitSnapshot(int64_t batch);
  // Takes a snapshot, expects no error, and returns what the journal would list.
  proto::SnapshotLayer Snapshot(int64_t batch, bool full);
  // Waits for EpochFailed of any executor.
  proto::EpochFailed WaitFailed();
  void SendStop();
  void Stop();  // sends StopEpoch and waits for EpochStopped

  // The rows of the print sink that executors reported, as text.
  std::vector<std::string> ResultsOf(int64_t batch);

 private:
  proto::ExecutorMessage WaitFrom(size_t executor, const FakeDriver::Matcher& matches,
                                  const std::string& what);
  template <typename Message>
  void Address(Message* message) const;
  // Fills in what this executor claims.
  void AddClaims(size_t executor, proto::StartEpoch* start) const;
  void AddVisible(size_t executor, proto::RunBatch* run) const;

  TestCluster& cluster_;
  const proto::JobPlan plan_;
  std::vector<std::string> partitions_;
  std::vector<uint32_t> new_ordinals_;  // ordinals of new partitions that no batch has brought yet
  std::string name_ = "words";
  std::string id_ = "job-1";
  int64_t epoch_ = 0;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_TESTING_TEST_CLUSTER_H_
