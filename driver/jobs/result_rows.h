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
// all columns, removals before additions of equal rows. A removal whose key has an addition in the
// same batch is left out: the addition shows the key's new value. Without keys only rows that
// cancel each other out are left out.
absl::StatusOr<std::string> MergeResultRows(const std::vector<uint32_t>& keys,
                                            const std::vector<std::string>& pieces);

}  // namespace millrace

#endif  // MILLRACE_DRIVER_JOBS_RESULT_ROWS_H_
