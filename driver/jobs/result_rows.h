// From the pieces that executors send of a print sink's batch to the one table a person sees. Pure
// functions.
#ifndef MILLRACE_DRIVER_JOBS_RESULT_ROWS_H_
#define MILLRACE_DRIVER_JOBS_RESULT_ROWS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
namespace millrace {

// All rows of `pieces` (columnar/batch_codec) as one piece, ordered by the columns `keys`, then by
// all columns, removals before additions of equal rows; rows that cancel each other out are left
// out. Weights add up to what the sink's table holds. If there are removals whose key has an
// addition in the same batch, a boolean column behind the table's own says which they are: to a
// person the addition alone shows the key's new value.
absl::StatusOr<std::string> MergeResultRows(const std::vector<uint32_t>& keys,
                                            const std::vector<std::string>& pieces);

}  // namespace millrace

#endif  // MILLRACE_DRIVER_JOBS_RESULT_ROWS_H_
