// Builds a column whose rows come from several columns: the branches of CASE, the arguments of
// COALESCE. Not thread-safe.
#ifndef MILLRACE_COMMON_EXPR_COLUMN_MERGE_H_
#define MILLRACE_COMMON_EXPR_COLUMN_MERGE_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "common/columnar/batch.h"
#include "common/columnar/column.h"
#include "common/expr/function.h"

namespace millrace {

// Copies one value, NULL or not, between columns of one type. Text is not copied: the caller shares
// the owners. REQUIRES: not an array type.
void CopyValue(const Column& from, size_t from_row, Column* to, size_t to_row);

// The value of a one-row column, `rows` times over.
ColumnPtr RepeatValue(const Column& one_row, size_t rows);

class ColumnMerge {
 public:
  ColumnMerge(const SqlType& type, size_t physical_rows);

  // Takes the values of `from` for `rows`. Rows of earlier calls stay as they are.
  void Add(const FunctionArg& from, RowSet rows);
  void SetNull(uint32_t row) { out_->SetNull(row); }

  // The merged column; rows never added are undefined.
  ColumnPtr Finish();

 private:
  void AddArrays(const FunctionArg& from, RowSet rows);

  std::shared_ptr<Column> out_;
  std::vector<ColumnPtr> children_;  // of array columns: concatenated at the end
  size_t child_rows_ = 0;
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_COLUMN_MERGE_H_
