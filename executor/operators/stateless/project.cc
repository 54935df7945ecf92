#include "executor/operators/stateless/project.h"

#include "common/base/status.h"
#include "executor/operators/stage_context.h"

namespace millrace::executor {

absl::Status Project::Process(const Batch& input) {
  std::vector<ColumnPtr> columns;
  columns.reserve(exprs_.size());
  for (const auto& expr : exprs_) {
    columns.push_back(expr->Evaluate(input, input.rows(), context().eval()));
  }
  Batch batch = input.WithColumns(std::move(columns));
  if (!hashed_.has_value()) {
    batch.set_hashes(nullptr);
  }
  RETURN_IF_ERROR(context().DropFailedRows(&batch));
  return batch.empty() ? absl::OkStatus() : Emit(batch);
}

}  // namespace millrace::executor
