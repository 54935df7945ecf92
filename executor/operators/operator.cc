#include "executor/operators/operator.h"

#include "common/base/status.h"

namespace millrace::executor {

absl::Status Operator::Push(const Batch& batch) {
  if (batch.empty()) {
    return absl::OkStatus();
  }
  CountInput(batch);
  return Process(batch);
}

absl::Status Operator::Emit(const Batch& batch) {
  rows_out_ += static_cast<int64_t>(batch.row_count());
  for (Operator* consumer : consumers_) {
    RETURN_IF_ERROR(consumer->Push(batch));
  }
  return absl::OkStatus();
}

OperatorStats Operator::Stats() const {
  OperatorStats stats;
  stats.operator_id = id_;
  stats.rows_in = rows_in_;
  stats.rows_out = rows_out_;
  AddStateStats(&stats);
  return stats;
}

absl::Status KeyedOperator::ApplyBlock(const Batch& block, std::span<const InputRun> runs) {
  if (block.empty()) {
    return absl::OkStatus();
  }
  CountInput(block);
  return Apply(block, runs);
}

}  // namespace millrace::executor
