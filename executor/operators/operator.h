// One step of a stage: takes batches of rows from its input and pushes batches to the operators
// behind it. StagePipeline compiles it from plan.proto's Operator, one instance per pipeline. One
// thread at a time uses a pipeline, so operators do not lock.
//
// Rows carry weights (Batch::weights) through every operator. Errors of single rows go to the
// StageContext, which applies the source's on_error; a Status that an operator returns ends the
// batch.
#ifndef MILLRACE_EXECUTOR_OPERATORS_OPERATOR_H_
#define MILLRACE_EXECUTOR_OPERATORS_OPERATOR_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "common/base/ids.h"
#include "common/columnar/batch.h"
#include "common/expr/row_errors.h"

namespace millrace::executor {

class OperatorState;
class StageContext;

// Consecutive rows of one origin on their way into an exchange. The ordinal is that of a source
// stage's split or, behind an exchange, the key group of the upstream shard that the rows came
// from. Within a task, the ordinals of the runs that it writes to one exchange never fall.
struct OutputRun {
  uint32_t ordinal = 0;
  uint32_t rows = 0;
};

// The same as they arrive at a keyed shard. `position` is the place of the first row in the
// origin's stream to this shard and batch. The sender that splits an exchange's rows by shard
// counts it, from 0, per (ordinal, shard).
struct InputRun {
  uint32_t ordinal = 0;
  uint64_t position = 0;
  uint32_t rows = 0;
};

// Takes what a stage writes; the runtime implements it. Batches may have a selection, and views
// into source payloads that their columns keep alive. Copy what must outlive the call: one kept
// message pins its whole fetch buffer.
class PipelineOutputs {
 public:
  virtual ~PipelineOutputs() = default;

  // Rows for an exchange, with Batch::hashes set. The runs cover the selected rows in order.
  virtual absl::Status ExchangeRows(uint32_t exchange, const Batch& rows,
                                    std::span<const OutputRun> runs) = 0;

  // Rows for a shard of a sink: the keyed shard in a keyed stage, the split's ordinal in a source
  // stage. Rows that the sink can never take go to `refused`, by their physical row; then none of
  // `rows` has been written.
  virtual absl::Status SinkRows(uint32_t sink, uint32_t shard, const Batch& rows,
                                RowErrors* refused) = 0;
};

// For EXPLAIN ANALYZE. Counts physical rows since the pipeline was created, whatever their weight.
struct OperatorStats {
  uint32_t operator_id = 0;
  int64_t rows_in = 0;
  int64_t rows_out = 0;
  int64_t state_rows = 0;   // groups that outlive the batch
  int64_t state_bytes = 0;  // memory held by the operator, whether or not it outlives the batch
};

class Operator {
 public:
  // `context` is the pipeline's and outlives the operator.
  Operator(uint32_t id, StageContext* context) : id_(id), context_(context) {}
  Operator(const Operator&) = delete;
  Operator& operator=(const Operator&) = delete;
  virtual ~Operator() = default;

  uint32_t id() const { return id_; }
  void AddConsumer(Operator* consumer) { consumers_.push_back(consumer); }

  // Takes rows. All rows of a record come in one batch.
  absl::Status Push(const Batch& batch);

  // Emits the rows that are held back. Called once after the last Push of a split or batch, for
  // inputs before their consumers.
  virtual absl::Status Flush() { return absl::OkStatus(); }

  // Forgets what a split has left behind, even one that failed half-way. Keeps running state and
  // memory.
  virtual void Reset() {}

  // The output columns that Batch::hashes of emitted batches were computed from, in hashing order;
  // absent if emitted batches have no hashes. Known when the operator is created.
  virtual std::optional<std::vector<uint32_t>> HashedColumns() const { return std::nullopt; }

  // The state that it keeps beyond a batch; null = none. Owned by the operator.
  virtual OperatorState* state() { return nullptr; }

  OperatorStats Stats() const;

 protected:
  // REQUIRES: the batch has rows.
  virtual absl::Status Process(const Batch& batch) = 0;
  virtual void AddStateStats(OperatorStats*) const {}
  void CountInput(const Batch& batch) { rows_in_ += static_cast<int64_t>(batch.row_count()); }

  absl::Status Emit(const Batch& batch);

  StageContext& context() const { return *context_; }

 private:
  const uint32_t id_;
  StageContext* const context_;
  std::vector<Operator*> consumers_;
  int64_t rows_in_ = 0;
  int64_t rows_out_ = 0;
};

// An operator at the head of a keyed stage that can take an exchange's blocks as they arrive. It
// remembers the least (ordinal, position) that touched each key, and gives the same output, byte
// for byte, for every order of arrival.
class KeyedOperator : public Operator {
 public:
  using Operator::Operator;

  // Whether Apply may be called with blocks in any order. If not, the pipeline holds blocks back
  // and applies them in (ordinal, position) order.
  virtual bool accepts_any_order() const = 0;

  // REQUIRES: hashes are set; the runs cover the selected rows in order. Keeps no reference to the
  // batch.
  absl::Status ApplyBlock(const Batch& block, std::span<const InputRun> runs);

 protected:
  virtual absl::Status Apply(const Batch& block, std::span<const InputRun> runs) = 0;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_OPERATORS_OPERATOR_H_
