// One keyed shard of a stage on this executor: blocks queue up in order of arrival and are applied
// by one task at a time on a slot; once all members have ended the exchange, the batch is finished.
//
// Deliver and EndInput are thread-safe.
#ifndef MILLRACE_EXECUTOR_JOB_KEYED_SHARD_H_
#define MILLRACE_EXECUTOR_JOB_KEYED_SHARD_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/expr/function_registry.h"
#include "executor/job/batch_run.h"
#include "executor/job/task_host.h"
#include "executor/job/task_outputs.h"
#include "executor/operators/stage_pipeline.h"
#include "executor/shuffle/shuffle_block.h"

namespace millrace {

class KeyedShard {
 public:
  // `host` and `router` outlive the shard.
  static absl::StatusOr<std::unique_ptr<KeyedShard>> Create(TaskHost* host,
                                                            const EpochLayout& layout,
                                                            uint32_t stage, uint32_t shard,
                                                            const FunctionRegistry& functions,
                                                            OutputRouter* router);

  // REQUIRES: the batch before has ended here.
  void BeginBatch(std::shared_ptr<BatchRun> run);
  void Deliver(ShuffleBlock block);
  // Nothing more will be delivered for this batch.
  void EndInput();

  // As of the last batch.
  int64_t state_rows() const { return state_rows_.load(std::memory_order_relaxed); }
  int64_t state_bytes() const { return state_bytes_.load(std::memory_order_relaxed); }

 private:
  KeyedShard(TaskHost* host, uint32_t stage, bool every_batch,
             std::unique_ptr<KeyedPipeline> pipeline, OutputRouter* router);

  void Schedule() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Run();
  absl::Status Apply(ShuffleBlock block);
  absl::Status EndBatch(BatchRun* run);

  TaskHost* const host_;
  const uint32_t stage_;
  const bool every_batch_;
  const std::unique_ptr<KeyedPipeline> pipeline_;
  TaskOutputs outputs_;
  bool begun_ = false;  // of the task
  std::atomic<int64_t> state_rows_ = 0;
  std::atomic<int64_t> state_bytes_ = 0;

  absl::Mutex mutex_;
  std::shared_ptr<BatchRun> run_ ABSL_GUARDED_BY(mutex_);
  std::deque<ShuffleBlock> queue_ ABSL_GUARDED_BY(mutex_);
  bool scheduled_ ABSL_GUARDED_BY(mutex_) = false;
  bool touched_ ABSL_GUARDED_BY(mutex_) = false;
  bool input_ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace millrace

#endif  // MILLRACE_EXECUTOR_JOB_KEYED_SHARD_H_
