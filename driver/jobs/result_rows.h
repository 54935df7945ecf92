// From the pieces that executors send of a print sink's batch to the one table a person sees. Pure
// functions.
#ifndef MILLRACE_DRIVER_JOBS_RESULT_ROWS_H_
#define MILLRACE_DRIVER_JOBS_RESULT_ROWS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/plan.pb.h"

namespace millrace {

// All rows of `pieces` (columnar/batch_codec) as one piece, ordered by the sink's key columns, then
// by all columns, removals before additions of equal rows. A removal whose key has an addition in
// the same batch is left out: the addition shows the key's new value. Without key columns rows that
// cancel each other out are left out.
absl::StatusOr<std::string> MergeResultRows(const proto::Sink& sink,
                                            const std::vector<std::string>& pieces);

}  // namespace millrace

#endif  // MILLRACE_DRIVER_JOBS_RESULT_ROWS_H_
