// A stage of a job's plan, ready to run: its operators compiled and connected. Two kinds:
// SourcePipeline turns the rows of one split at a time into rows for exchanges and sinks and keeps
// nothing between splits; KeyedPipeline is one keyed shard's side of an exchange and owns that
// shard's state for as long as the epoch lasts.
//
// Thread-compatible: one thread at a time, which may change between calls. `plan` is only read
// during Create; the registry and, between Begin… and End…, the outputs must outlive the pipeline's
// use of them.
//
// Errors. Rows that cannot be evaluated follow on_error of the source: under FAIL a call returns
// the row's error with table and record in front; under SKIP and TABLE the record is left out and
// counted in the SkipReport. (It is left out from the operator that met the error onwards; other
// branches of the stage keep it.) Behind an exchange a row is named by its key, and is left out
// only if all sources upstream say SKIP. After an error a KeyedPipeline may only be destroyed; a
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
#include "executor/state/state_block.h"
#include "proto/checkpoint.pb.h"
#include "proto/plan.pb.h"

namespace millrace {

class StateBackend;

// Records (behind an exchange: rows) that on_error = 'skip' or 'table:…' left out.
struct SkipReport {
  int64_t records = 0;
  std::string
      first_error;  // the first one's reason with table and record; empty when there is none
};

// Names a record of the chunk being pushed for messages, e.g. "test/3@1234" (partition@offset).
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

  // Starts a split: `ordinal` is its partition's. Drops whatever an earlier split that failed has
  // left behind. Tables and buffers are used again: pool pipelines instead of creating one per
  // split.
  void BeginSplit(uint32_t ordinal, BatchId batch, int64_t batch_time_us, PipelineOutputs* outputs);

  // The next rows of the split; columns as in proto::Source.columns, physical row i is record i.
  // `decode_errors` are records that could not be decoded (their rows are undefined).
  absl::Status Push(const Batch& chunk, const std::vector<RowError>& decode_errors,
                    DescribeRecord describe);

  // Records of the last Push that were left out under TABLE, each once, in no order: their row in
  // the chunk, and the message that FAIL would have ended with.
  std::vector<RowError> TakeFailed();

  // Writes what partial aggregates still hold.
  absl::StatusOr<SkipReport> EndSplit();

  // Bytes held for reuse and by unfinished splits.
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

  // Every batch that is run is begun and ended, also without rows (an aggregate without GROUP BY
  // has a row even then).
  void BeginBatch(BatchId batch, int64_t batch_time_us, PipelineOutputs* outputs);

  // Rows that arrived, with hashes; blocks may come in any order, the result does not depend on it.
  // The runs cover the selected rows in order. Copies what it keeps.
  absl::Status Apply(const Batch& block, std::span<const InputRun> runs);

  // All rows of origins with ordinals < `ordinal` have been applied, so that those held back for
  // their order can be worked off early. Optional; ordinals may not fall within a batch.
  absl::Status OriginsDone(uint32_t ordinal);

  // All rows of the batch have been applied: finishes the batch and writes its output in order of
  // (key group, least (ordinal, position) of first touch).
  absl::StatusOr<SkipReport> EndBatch();

  // Snapshots of the state. An entry is copied when ContinueSnapshot comes to it, or just before a
  // later batch changes it; what is copied is as it was at the cut.
  //
  // Cuts the state as it is: with `full` all entries, else those that changed since the last
  // BeginSnapshot or Restore, with −1 for keys that are gone. Copies nothing. REQUIRES: no batch is
  // under way; the snapshot before has been taken, or is dropped by this call, which then must be
  // `full`.
  void BeginSnapshot(bool full);
  // Copies about `max_entries` more; true when all have been. Between any two calls, also while a
  // batch is under way. Errors are the back end's.
  absl::StatusOr<bool> ContinueSnapshot(size_t max_entries);
  // What was cut: no key twice, blocks of at most 16 k entries with hashes, in order of key group
  // within a block. REQUIRES: ContinueSnapshot has returned true.
  std::vector<StateBlock> TakeSnapshot();

  // Puts entries (weight +1) or removes them (−1); layers come in order. Rows of key groups that
  // are not this shard's have been left out. DATA_LOSS or FAILED_PRECONDITION name the operator
  // that the entries do not fit; the pipeline may then only be destroyed. REQUIRES: no batch has
  // begun yet.
  absl::Status Restore(const StateBlock& block);

  // Names and shapes of what TakeSnapshot gives and Restore takes; see
  // common/expr/state_identity.h.
  std::vector<proto::StateIdentity> StateIdentities() const;

  // The batch time from which on the end of a batch has expired state to free; 0 = never. Only
  // memory waits for that: results do not depend on it.
  int64_t wake_at_us() const;

  // Bytes of blocks held back until their turn; the receiver may delay their credit.
  int64_t HeldBytes() const;
  // Groups that outlive the batch, and the memory of the operators.
  int64_t StateRows() const;
  int64_t StateBytes() const;
  std::vector<OperatorStats> Stats() const;

 private:
  struct Impl;
  explicit KeyedPipeline(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace

#endif  // MILLRACE_EXECUTOR_OPERATORS_STAGE_PIPELINE_H_
