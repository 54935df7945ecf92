// Single rows outside of column-at-a-time work: in messages, compared as they print, copied to
// outlive their batch. Pure functions.
#ifndef MILLRACE_EXECUTOR_OPERATORS_HELD_ROWS_H_
#define MILLRACE_EXECUTOR_OPERATORS_HELD_ROWS_H_

#include <string>
#include <vector>

#include "common/columnar/batch.h"

namespace millrace {

// "key (word = a, n = 3)"; long values are cut. `names` may be shorter than `columns`.
std::string DescribeKey(const std::vector<std::string>& names,
                        const std::vector<ColumnPtr>& columns, size_t row);

// Whether two values are the same in every respect, not only equal in SQL: 1.0 and 1.00 are not,
// nor 0 and −0.
bool SameValue(const Column& a, size_t row_a, const Column& b, size_t row_b);

// The selected rows, dense, with text of their own.
Batch CopyRows(const Batch& batch);

// The rows of dense batches of one shape one after another, with weights if any has them and hashes
// if the first has. Origins are left behind. REQUIRES: at least one batch.
Batch ConcatenateBatches(const std::vector<Batch>& batches);

}  // namespace millrace

#endif  // MILLRACE_EXECUTOR_OPERATORS_HELD_ROWS_H_
