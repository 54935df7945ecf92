// One epoch of a job on this executor: readers, operators, state and sink sessions from StartEpoch
// until it is stopped, replaced or fails. Runs one batch at a time while earlier ones commit.
//
// Thread-safe. Control calls (RunBatch, Commit, TakeSnapshot, Stop) return at once; the work
// happens on the executor's pools. An epoch keeps itself alive until it has ended, and ends only by
// Stop or a failure.
//
//   opening ──▶ running ──▶ ending (tasks return) ──▶ ended (readers and sessions are closed)
#ifndef MILLRACE_EXECUTOR_EPOCH_JOB_EPOCH_H_
#define MILLRACE_EXECUTOR_EPOCH_JOB_EPOCH_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/base/clock.h"
#include "common/storage/checkpoint_store.h"
#include "connectors/held_memory.h"
#include "executor/epoch/batch_committer.h"
#include "executor/epoch/batch_run.h"
#include "executor/epoch/blocking_lanes.h"
#include "executor/epoch/driver_reports.h"
#include "executor/epoch/driver_sink.h"
#include "executor/epoch/epoch_layout.h"
#include "executor/epoch/epoch_work.h"
#include "executor/epoch/job_metrics.h"
#include "executor/epoch/keyed_shard.h"
#include "executor/epoch/memory_budget.h"
#include "executor/epoch/shard_deliveries.h"
#include "executor/epoch/sink_claims.h"
#include "executor/epoch/sink_set.h"
#include "executor/epoch/snapshot_taker.h"
#include "executor/epoch/source_set.h"
#include "executor/epoch/source_task.h"
#include "executor/epoch/store_proof.h"
#include "executor/epoch/task_host.h"
#include "executor/epoch/task_outputs.h"
#include "executor/epoch/task_pool.h"
#include "executor/shuffle/flow_gate.h"
#include "executor/shuffle/shuffle_hub.h"
#include "executor/state/store/state_store.h"
#include "proto/cluster.pb.h"

namespace millrace::executor {

// What all jobs of an executor share; outlives their epochs.
struct JobRuntime {
  std::string executor_id;
  std::string engine_version;
  FileSystem* files = nullptr;  // the file system for snapshots
  // For state on disk; empty = the system's directory for temporary files.
  std::string state_directory;
  const ConnectorRegistry* connectors = nullptr;
  const FunctionRegistry* functions = nullptr;
  Clock* clock = nullptr;
  TaskPool* slots = nullptr;
  BlockingLanes* blocking = nullptr;
  ShuffleHub* shuffle = nullptr;
  FlowGate* gate = nullptr;
  MemoryBudget* memory = nullptr;
  HeldMemory* held_memory = nullptr;
  MetricsRegistry* metrics = nullptr;
  BatchCommitter::Options commit;
};

class JobEpoch : public TaskHost,
                 public ShuffleListener,
                 public std::enable_shared_from_this<JobEpoch> {
 public:
  JobEpoch(const JobRuntime* runtime, DriverSink* driver, uint64_t session, EpochLayout layout);
  ~JobEpoch() override;

  const EpochLayout& layout() const { return layout_; }

  // Begins to open; EpochReady or EpochFailed follows. Call once.
  void Open();
  // Runs a batch; ignores one that it has had before.
  void RunBatch(const proto::RunBatch& message);
  void Commit(const proto::CommitBatch& message);
  // SnapshotWritten follows; it has an error if the state is not the one after the message's batch.
  void TakeSnapshot(const proto::TakeSnapshot& message);
  // Goes on with the snapshot that is being taken, if there is one. To be called now and then.
  void ContinueSnapshot();
  // There is a new connection to the same driver: sends again what the driver has not answered.
  void Resend(uint64_t session);

  // Ends the epoch; with `report`, EpochStopped follows. `when_ended` is called once readers and
  // sessions are closed.
  void Stop(bool report, std::function<void()> when_ended = nullptr);

  // Settles the sinks up to `durable`, then ends the epoch; EpochStopped follows, or EpochFailed if
  // they cannot be settled.
  void SettleAndStop(BatchId durable);

  // Whether no batch is running and all prepared ones are committed.
  bool idle() const;
  // False when nothing has changed since the last call.
  bool TakeProgress(proto::SourceProgress* progress);
  int64_t state_rows() const { return state_rows_.load(); }
  int64_t state_bytes() const { return state_bytes_.load(); }

  // TaskHost.
  bool Spawn(std::function<void()> task, QueuePlace place) override;
  bool SpawnBlocking(std::function<void()> task) override;
  bool SpawnReport(std::function<void()> task) override;
  bool ended() const override { return ending_.load(std::memory_order_relaxed); }
  void Fail(BatchId batch, const absl::Status& status) override;
  void UnitEnded(const std::shared_ptr<BatchRun>& run, uint32_t stage) override;

  // ShuffleListener.
  void OnDelivery(ShuffleDelivery delivery) override;
  void OnPeerLost(const std::string& executor_id, const absl::Status& status) override;

 private:
  enum class Phase { kOpening, kRunning, kEnding, kEnded };

  // --- job_epoch_open.cc
  void OpenParts();
  // Fails the opening for a reason other than the snapshot.
  void FailOpening(const absl::Status& status);
  absl::Status CheckAccess() const;
  void EndFailed(BatchId batch, const absl::Status& status, bool store_unseen);
  absl::Status OpenSources();
  absl::Status OpenStateBackend();
  absl::Status OpenShards();
  absl::Status OpenSnapshots();
  // False when the driver's store cannot be seen here, which ends the epoch.
  bool OpenStoreProof();
  // Calls `done` when all has gone well.
  void RestoreState(std::function<void()> done);
  absl::Status Connect();
  // `ready` says what the claims have found.
  void Ready(proto::EpochReady ready);
  void BeginEnd();
  void Close();
  void ReportEnd();

  // --- job_epoch.cc
  bool SpawnOn(BlockingLanes::Lane* lane, std::function<void()> task);
  void StartNextBatch();
  void OpenPartitions(const proto::RunBatch& message, std::function<void()> done);
  void StartBatch(const proto::RunBatch& message);
  void BeginShards(const std::shared_ptr<BatchRun>& run);
  void StartSplits(const std::shared_ptr<BatchRun>& run, const proto::RunBatch& message);
  void Follow(const std::shared_ptr<BatchRun>& run, const BatchRun::Consequences& consequences);
  void PrepareBatch(const std::shared_ptr<BatchRun>& run);
  std::vector<OpenSession*> SessionsToCommit(BatchRun* run);
  // When this executor wants a batch without input; 0 = never.
  int64_t WakeAtUs() const;
  void ReportPrepared(const std::shared_ptr<BatchRun>& run, int64_t processed_ns);
  void SendResults(const std::shared_ptr<BatchRun>& run);
  std::vector<KeyedShard*> OwnShards() const;
  int64_t MicrosSince(int64_t start_ns) const {
    return (runtime_.clock->MonotonicNs() - start_ns) / 1000;
  }

  const JobRuntime& runtime_;
  DriverSink* const driver_;
  const EpochLayout layout_;
  JobMetrics metrics_;
  DriverReports reports_;
  // The lane of sessions' calls only, so that reports, opening and closing do not wait behind them.
  const std::shared_ptr<BlockingLanes::Lane> sessions_lane_;
  const std::shared_ptr<BlockingLanes::Lane> control_lane_;

  // Made by Open and destroyed by Close; in between they do not change, except that sessions and
  // writers of new partitions are added.
  std::shared_ptr<SourceSet> sources_;  // shared with TakeProgress
  std::unique_ptr<SinkSet> sinks_;
  std::unique_ptr<SinkClaims> claims_;
  std::unique_ptr<OutputRouter> router_;
  std::unique_ptr<SourceWorkers> workers_;
  SourceTaskContext source_context_;
  std::unique_ptr<StateBackend> state_backend_;  // null: state is in memory
  std::vector<std::vector<std::unique_ptr<KeyedShard>>>
      shards_;  // null for shards of other members
  std::unique_ptr<ShardDeliveries> deliveries_;
  std::unique_ptr<CheckpointStore> store_;  // null when there are no snapshots
  std::unique_ptr<SnapshotTaker> snapshots_;
  std::optional<StoreProof> store_proof_;  // if the driver wants one
  BatchCommitter committer_;

  std::atomic<bool> ending_ = false;
  std::atomic<int64_t> state_rows_ = 0;
  std::atomic<int64_t> state_bytes_ = 0;

  EpochWork work_;  // Close runs when it is over

  mutable absl::Mutex mutex_;  // after the lock of deliveries_, under which Fail and UnitEnded come
  Phase phase_ ABSL_GUARDED_BY(mutex_) = Phase::kOpening;
  std::shared_ptr<BatchRun> run_ ABSL_GUARDED_BY(mutex_);  // from its start until it is prepared
  bool starting_ ABSL_GUARDED_BY(mutex_) = false;
  BatchId last_batch_ ABSL_GUARDED_BY(mutex_);
  std::atomic<int64_t> last_time_us_ = 0;  // batch time of last_batch_
  std::deque<proto::RunBatch> waiting_
      ABSL_GUARDED_BY(mutex_);  // the driver sends at most one ahead
  std::optional<proto::EpochFailed> failure_ ABSL_GUARDED_BY(mutex_);
  bool report_stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::function<void()>> when_ended_ ABSL_GUARDED_BY(mutex_);
  bool has_sources_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_JOB_EPOCH_H_
