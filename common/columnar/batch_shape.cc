#include "common/columnar/batch_shape.h"

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/columnar/batch_codec.h"

namespace millrace {

absl::Status CheckShape(const Batch& batch, const BatchShape& shape) {
  if (batch.column_count() != shape.columns.size()) {
    return absl::DataLossError(absl::StrCat("rows of ", batch.column_count(),
                                            " columns where the plan has ", shape.columns.size()));
  }
  for (size_t i = 0; i < shape.columns.size(); ++i) {
    const SqlType& type = batch.column(i)->type();
    const SqlType& wanted = shape.columns[i];
    if (type.id != wanted.id || (type.id == TypeId::kArray && type.element != wanted.element)) {
      return absl::DataLossError(absl::StrCat("rows whose column ", i + 1, " is ", type.ToString(),
                                              " where the plan has ", wanted.ToString()));
    }
  }
  if (shape.hashes && batch.hashes() == nullptr) {
    return absl::DataLossError("rows without the hashes of their keys");
  }
  if (batch.weights() != nullptr && !shape.weights) {
    return absl::DataLossError("rows that are taken back where the plan has inserts only");
  }
  return absl::OkStatus();
}

absl::StatusOr<Batch> DecodeBatch(std::string_view bytes, const BatchShape& shape) {
  ASSIGN_OR_RETURN(Batch batch, DecodeBatch(bytes));
  RETURN_IF_ERROR(CheckShape(batch, shape));
  return batch;
}

}  // namespace millrace
