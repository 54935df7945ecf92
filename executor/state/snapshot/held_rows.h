// Helpers for single rows, where work is not done a column at a time: rows in messages, compared as
// they print, or copied to outlive their batch. Pure functions.
#ifndef MILLRACE_EXECUTOR_STATE_SNAPSHOT_HELD_ROWS_H_
#define MILLRACE_EXECUTOR_STATE_SNAPSHOT_HELD_ROWS_H_

#include <string>
#include <vector>

#include "common/columnar/batch.h"

namespace millrace::executor {

// "key (word = a, n = 3)"; long values are cut. `names` may be shorter than `columns`.
std::string DescribeKey(const std::vector<std::string>& names,
                        const std::vector<ColumnPtr>& columns, size_t row);

// Whether two values print the same, and are not only equal in SQL: 1.0 and 1.00 differ, and so do
// 0 and −0.
bool SameValue(const Column& a, size_t row_a, const Column& b, size_t row_b);

// A dense copy of the selected rows, which owns its text.
Batch CopyRows(const Batch& batch);

// Joins dense batches of one shape, with weights if any batch has them, with hashes if the first
// has, and without origins. REQUIRES: at least one batch.
Batch ConcatenateBatches(const std::vector<Batch>& batches);

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_STATE_SNAPSHOT_HELD_ROWS_H_
