// A stage of a job's plan, ready to run: its operators, compiled and connected. There are two
// kinds. SourcePipeline turns the rows of one split at a time into rows for exchanges and sinks,
// and keeps nothing between splits. KeyedPipeline is one keyed shard's side of an exchange, and
// owns that shard's state as long as the epoch lasts.
//
// Thread-compatible: used by one thread at a time, not always the same. `plan` is only read during
// Create. The registry must outlive the pipeline; the outputs must live from Begin… to End….
//
// Errors. Rows that cannot be evaluated follow on_error of the source. Under FAIL, a call returns
// the row's error, with table and record in front. Under SKIP and TABLE, the record is left out and
// counted in the SkipReport. It is left out only from the operator on that met the error; other
// branches of the stage keep it. Behind an exchange, a row is named by its key, and is left out
// only if all sources upstream say SKIP. After an error, a KeyedPipeline may only be destroyed; a
// SourcePipeline may be used again.
#ifndef MILLRACE_EXECUTOR_OPERATORS_STAGE_PIPELINE_H_
#define MILLRACE_EXECUTOR_OPERATORS_STAGE_PIPELINE_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/ids.h"
#include "common/columnar/batch.h"
#include "common/expr/function_registry.h"
#include "common/expr/row_errors.h"
#include "executor/operators/operator.h"
#include "executor/operators/skip_report.h"
#include "executor/state/snapshot/state_block.h"
#include "proto/checkpoint.pb.h"
#include "proto/plan.pb.h"

namespace millrace::executor {

class StateBackend;

// Describes a record of the present chunk for messages, e.g. "test/3@1234" (partition@offset).
using DescribeRecord = absl::FunctionRef<std::string(uint32_t row)>;

class SourcePipeline {
 public:
  // UNIMPLEMENTED or INTERNAL name the operator that this executor cannot build. REQUIRES: the
  // stage reads a source.
  static absl::StatusOr<std::unique_ptr<SourcePipeline>> Create(const proto::JobPlan& plan,
                                                                uint32_t stage_id,
                                                                const FunctionRegistry& registry);
  SourcePipeline(const SourcePipeline&) = delete;
  SourcePipeline& operator=(const SourcePipeline&) = delete;
  ~SourcePipeline();

  // Starts a split; `ordinal` is its partition's. Drops what an earlier split that failed has left
  // behind. Tables and buffers are used again: keep pipelines in a pool instead of creating one per
  // split.
  void BeginSplit(uint32_t ordinal, BatchId batch, int64_t batch_time_us, PipelineOutputs* outputs);

  // Takes the next rows of the split. Columns are those of proto::Source.columns; physical row i is
  // record i. `decode_errors`: records that could not be decoded, whose rows are undefined.
  absl::Status Push(const Batch& chunk, const std::vector<RowError>& decode_errors,
                    DescribeRecord describe);

  // The records of the last Push that were left out under TABLE, each once, in no order: their row
  // in the chunk, and the message that FAIL would have ended with.
  std::vector<RowError> TakeFailed();

  // Ends the split: writes what partial aggregates still hold.
  absl::StatusOr<SkipReport> EndSplit();

  // The bytes that are held for reuse and by unfinished splits.
  int64_t MemoryBytes() const;
  std::vector<OperatorStats> Stats() const;

 private:
  struct Impl;
  explicit SourcePipeline(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

class KeyedPipeline {
 public:
  // For keyed shard `shard` of the stage's exchange. State is in `backend`, which outlives the
  // pipeline, or in memory when that is null. REQUIRES: the stage reads an exchange.
  static absl::StatusOr<std::unique_ptr<KeyedPipeline>> Create(const proto::JobPlan& plan,
                                                               uint32_t stage_id, uint32_t shard,
                                                               const FunctionRegistry& registry,
                                                               StateBackend* backend = nullptr);
  KeyedPipeline(const KeyedPipeline&) = delete;
  KeyedPipeline& operator=(const KeyedPipeline&) = delete;
  ~KeyedPipeline();

  // Begins a batch. Every batch must be begun and ended, even one without rows: an aggregate
  // without GROUP BY has a row even then.
  void BeginBatch(BatchId batch, int64_t batch_time_us, PipelineOutputs* outputs);

  // Takes rows that arrived, with hashes. Blocks may come in any order; the result does not depend
  // on it. The runs cover the selected rows in order. Copies what it keeps.
  absl::Status Apply(const Batch& block, std::span<const InputRun> runs);

  // Says that all rows of origins with ordinals < `ordinal` have been applied, so that rows held
  // back for their order can be processed early. Optional; ordinals may not fall within a batch.
  absl::Status OriginsDone(uint32_t ordinal);

  // To be called when all rows of the batch have been applied. Finishes the batch and writes its
  // output in order of (key group, least (ordinal, position) of first touch).
  absl::StatusOr<SkipReport> EndBatch();

  // Snapshots of the state. An entry is copied when ContinueSnapshot comes to it, or just before a
  // later batch changes it; the copy has the entry's value at the cut.
  //
  // Cuts the present state: with `full` all entries, otherwise those that changed since the last
  // BeginSnapshot or Restore, with −1 for keys that are gone. Copies nothing. REQUIRES: no batch is
  // under way; the snapshot before has been taken, or this one is `full` and replaces it.
  void BeginSnapshot(bool full);
  // Copies about `max_entries` more entries; true when all are copied. May be called between any
  // two calls, even while a batch is under way. Errors are the back end's.
  absl::StatusOr<bool> ContinueSnapshot(size_t max_entries);
  // Returns what was cut, without repeated keys, in blocks of at most 16 k entries with hashes, in
  // order of key group within a block. REQUIRES: ContinueSnapshot has returned true.
  std::vector<StateBlock> TakeSnapshot();

  // Restores entries (weight +1) or removes them (−1); layers come in order. The caller has left
  // out rows of other shards' key groups. DATA_LOSS or FAILED_PRECONDITION name the operator that
  // the entries do not fit; the pipeline may then only be destroyed. REQUIRES: no batch has begun
  // yet.
  absl::Status Restore(const StateBlock& block);

  // Names and shapes of what TakeSnapshot gives and Restore takes; see
  // common/expr/state_identity.h.
  std::vector<proto::StateIdentity> StateIdentities() const;

  // The batch time from which on a batch's end can free expired state; 0 = never. Only memory waits
  // for that: results do not depend on it.
  int64_t wake_at_us() const;

  // The bytes of blocks that are held back until their turn; the receiver may delay their credit.
  int64_t HeldBytes() const;
  // The number of groups that outlive the batch, and the memory of the operators.
  int64_t StateRows() const;
  int64_t StateBytes() const;
  std::vector<OperatorStats> Stats() const;

 private:
  struct Impl;
  explicit KeyedPipeline(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_OPERATORS_STAGE_PIPELINE_H_
