// One keyed shard of a stage on this executor. Blocks queue up in order of arrival, and one task at
// a time applies them on a slot; once all members have ended the exchange, the batch is finished.
// For a snapshot, entries are copied in small steps: by the same task when it has run out of rows,
// or by a task at the back of the queue, never by both at a time. When the snapshot is overdue,
// copying goes before rows: one step each time before rows are applied.
//
// Thread-safe, except for calls that must come before the first batch.
#ifndef MILLRACE_EXECUTOR_EPOCH_KEYED_SHARD_H_
#define MILLRACE_EXECUTOR_EPOCH_KEYED_SHARD_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/expr/function_registry.h"
#include "executor/epoch/batch_run.h"
#include "executor/epoch/shard_input.h"
#include "executor/epoch/snapshot_cut.h"
#include "executor/epoch/task_host.h"
#include "executor/epoch/task_outputs.h"
#include "executor/operators/stage_pipeline.h"
#include "executor/shuffle/block_check.h"
#include "executor/shuffle/shuffle_block.h"

namespace millrace::executor {

class KeyedShard : public ShardInput {
 public:
  // `host`, `router` and `backend` (null: state is in memory) outlive the shard.
  static absl::StatusOr<std::unique_ptr<KeyedShard>> Create(
      TaskHost* host, const EpochLayout& layout, uint32_t stage, uint32_t shard,
      const FunctionRegistry& functions, OutputRouter* router, StateBackend* backend);

  uint32_t shard() const { return shard_; }
  // The identities of its operators with state.
  const std::vector<proto::StateIdentity>& identities() const { return identities_; }

  // Takes entries of a snapshot, layer by layer; Restored comes after the last. REQUIRES: before
  // the first batch.
  absl::Status Restore(const StateBlock& block) { return pipeline_->Restore(block); }
  void Restored() { UpdateCounts(); }

  // REQUIRES: the batch before has ended here.
  void BeginBatch(std::shared_ptr<BatchRun> run);
  void Deliver(ShuffleBlock block) override;
  void EndInput() override;

  // Copies the present state to `cut`, which replaces an earlier cut that is not done. REQUIRES: no
  // batch runs; the earlier cut is done, or this one is full.
  void Cut(std::shared_ptr<SnapshotCut> cut);
  // To be called when the budget may allow copying again.
  void CopyOn();

  // The number of groups after the last batch or restore.
  int64_t state_rows() const { return state_rows_.load(std::memory_order_relaxed); }
  int64_t state_bytes() const { return state_bytes_.load(std::memory_order_relaxed); }
  // The batch time at which the shard wants a batch even without input; 0 = none.
  int64_t wake_at_us() const { return wake_at_us_.load(std::memory_order_relaxed); }

 private:
  // The entries that a step copies between deliveries: a fraction of a millisecond.
  static constexpr size_t kStepEntries = 4096;

  KeyedShard(TaskHost* host, uint32_t stage, BlockShape input, bool every_batch,
             std::unique_ptr<KeyedPipeline> pipeline, OutputRouter* router);

  void Schedule() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ScheduleCopy() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool WantsBatch() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Run();
  // What Run does next. TakeWork returns false when there is nothing.
  struct Work {
    std::shared_ptr<BatchRun> run;
    std::deque<ShuffleBlock> blocks;
    bool end = false;
    std::shared_ptr<SnapshotCut> cut;
    bool copy = false;  // no rows: copy a step for the cut
  };
  bool TakeWork(bool may_copy, Work* work);
  absl::Status ApplyWork(Work* work);

  void Copy(bool urgent);
  void BeginCut(const std::shared_ptr<SnapshotCut>& cut);
  void CopyStep(const std::shared_ptr<SnapshotCut>& cut);
  absl::Status Apply(ShuffleBlock block);
  absl::Status EndBatch(BatchRun* run);
  void UpdateCounts();

  TaskHost* const host_;
  const uint32_t stage_;
  const uint32_t shard_;
  const BlockShape input_;
  const bool every_batch_;
  const std::unique_ptr<KeyedPipeline> pipeline_;
  const std::vector<proto::StateIdentity> identities_;
  TaskOutputs outputs_;
  // The members below belong to the task that has the pipeline.
  bool begun_ = false;
  std::shared_ptr<SnapshotCut> begun_cut_;  // the cut that the pipeline copies for
  std::atomic<int64_t> state_rows_ = 0;
  std::atomic<int64_t> state_bytes_ = 0;
  std::atomic<int64_t> wake_at_us_ = 0;

  absl::Mutex mutex_;
  std::shared_ptr<BatchRun> run_ ABSL_GUARDED_BY(mutex_);
  std::deque<ShuffleBlock> queue_ ABSL_GUARDED_BY(mutex_);
  bool scheduled_ ABSL_GUARDED_BY(mutex_) = false;            // Run is queued or has the pipeline
  bool copy_queued_ ABSL_GUARDED_BY(mutex_) = false;          // Copy is queued at the back,
  bool urgent_copy_queued_ ABSL_GUARDED_BY(mutex_) = false;   // or before tasks that are not urgent
  bool copying_ ABSL_GUARDED_BY(mutex_) = false;              // Copy has the pipeline
  std::shared_ptr<SnapshotCut> cut_ ABSL_GUARDED_BY(mutex_);  // not done yet
  bool touched_ ABSL_GUARDED_BY(mutex_) = false;
  bool input_ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_KEYED_SHARD_H_
