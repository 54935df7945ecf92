#include "executor/operators/stateless/filter.h"

#include "common/base/status.h"
#include "executor/operators/stage_context.h"

namespace millrace::executor {

absl::Status Filter::Process(const Batch& input) {
  Batch batch = input;
  ColumnPtr truth = predicate_->Evaluate(batch, batch.rows(), context().eval());
  RETURN_IF_ERROR(context().DropFailedRows(&batch));
  const auto* values = truth->values<uint8_t>();
  RowSet rows = batch.rows();
  auto kept = std::make_shared<std::vector<uint32_t>>(rows.count);
  size_t count = 0;
  if (truth->has_nulls()) {
    rows.ForEach([&](uint32_t row) {
      (*kept)[count] = row;
      count += (values[row] != 0 && !truth->IsNull(row)) ? 1 : 0;
    });
  } else {
    rows.ForEach([&](uint32_t row) {
      (*kept)[count] = row;
      count += values[row] != 0 ? 1 : 0;
    });
  }
  if (count == 0) {
    return absl::OkStatus();
  }
  if (count != rows.count) {
    kept->resize(count);
    batch.set_selection(std::move(kept));
  }
  return Emit(batch);
}

}  // namespace millrace::executor
