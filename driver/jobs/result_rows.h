// From the pieces that executors send of a print sink's batch to the one table a person sees. Pure
// functions.
#ifndef MILLRACE_DRIVER_JOBS_RESULT_ROWS_H_
#define MILLRACE_DRIVER_JOBS_RESULT_ROWS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/columnar/batch_shape.h"
#include "proto/plan.pb.h"
namespace millrace {

// All rows of `pieces` (columnar/batch_codec), which must have the table's shape, as one piece,
// ordered by the columns `keys`, then by all columns, removals before additions of equal rows; rows
// that cancel each other out are left out. Weights add up to what the sink's table holds. If there
// are removals whose key has an addition in the same batch, a boolean column behind the table's own
// says which they are: to a person the addition alone shows the key's new value.
absl::StatusOr<std::string> MergeResultRows(const BatchShape& shape,
                                            const std::vector<uint32_t>& keys,
                                            const std::vector<std::string>& pieces);

// What the pieces of a sink look like.
BatchShape ResultShape(const proto::Sink& sink);

}  // namespace millrace

#endif  // MILLRACE_DRIVER_JOBS_RESULT_ROWS_H_
