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
// ordered by the columns `keys`, then by all columns, removals before additions of equal rows. A
// removal whose key has an addition in the same batch is left out: the addition shows the key's new
// value. Without keys only rows that cancel each other out are left out.
absl::StatusOr<std::string> MergeResultRows(const BatchShape& shape,
                                            const std::vector<uint32_t>& keys,
                                            const std::vector<std::string>& pieces);

// What the pieces of a sink look like.
BatchShape ResultShape(const proto::Sink& sink);

}  // namespace millrace

#endif  // MILLRACE_DRIVER_JOBS_RESULT_ROWS_H_
