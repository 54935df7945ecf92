// Merges the pieces that executors send of a print sink's batch into the one table that a person
// sees. Pure functions.
#ifndef MILLRACE_DRIVER_RESULTS_RESULT_ROWS_H_
#define MILLRACE_DRIVER_RESULTS_RESULT_ROWS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/columnar/batch_shape.h"
#include "proto/plan.pb.h"
namespace millrace::driver {

// Merges `pieces` (columnar/batch_codec), which must have the table's shape, into one piece. Rows
// are ordered by the columns `keys`, then by all columns, removals before additions of equal rows;
// rows that cancel each other out are left out. The weights over all batches add up to what the
// sink's table holds. If some removal's key has an addition in the same batch, a boolean column
// behind the table's own marks such removals: a person needs only the addition, which shows the
// key's new value.
absl::StatusOr<std::string> MergeResultRows(const BatchShape& shape,
                                            const std::vector<uint32_t>& keys,
                                            const std::vector<std::string>& pieces);

// The columns of a sink's pieces.
BatchShape ResultShape(const proto::Sink& sink);

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_RESULTS_RESULT_ROWS_H_
