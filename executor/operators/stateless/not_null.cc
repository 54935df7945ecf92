#include "executor/operators/stateless/not_null.h"

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "executor/operators/stage_context.h"

namespace millrace::executor {

NotNull::NotNull(const proto::Operator& op, StageContext* context,
                 std::optional<std::vector<uint32_t>> input_hashed)
    : Operator(op.id(), context), table_(op.not_null().table()), hashed_(std::move(input_hashed)) {
  for (const uint32_t column : op.not_null().columns()) {
    columns_.push_back({column, op.output(static_cast<int>(column)).name()});
  }
}

absl::Status NotNull::Process(const Batch& input) {
  Batch batch = input;
  for (const Checked& checked : columns_) {
    const ColumnPtr& column = batch.column(checked.column);
    if (!column->has_nulls()) {
      continue;
    }
    batch.rows().ForEach([&](uint32_t row) {
      if (column->IsNull(row)) {
        context().errors().Add(
            row, absl::InvalidArgumentError(absl::StrCat(
                     "null value in column \"", checked.name, "\" of table \"", table_,
                     "\", which is in its PRIMARY KEY; leave such rows out (WHERE \"", checked.name,
                     "\" IS NOT NULL), or say on_error = 'skip' or 'table:NAME' at the source")));
      }
    });
  }
  RETURN_IF_ERROR(context().DropFailedRows(&batch));
  return batch.rows().count == 0 ? absl::OkStatus() : Emit(batch);
}

}  // namespace millrace::executor
