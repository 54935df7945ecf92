// Runs jobs on a local engine and gives back what their print sinks showed. Functions are
// thread-safe as the engine is.
#ifndef MILLRACE_TESTS_HARNESS_JOB_RESULTS_H_
#define MILLRACE_TESTS_HARNESS_JOB_RESULTS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/local_engine.h"
#include "common/columnar/batch.h"
#include "proto/jobs.pb.h"

namespace millrace {

// Rows in the text form of COPY (NULL as \N, columns separated by tabs), each with the sum of its
// weights; rows that sum to 0 are not there.
using WeightedRows = std::map<std::string, int64_t>;

void AddBatch(const Batch& batch, WeightedRows* rows);
// Adds the rows of all tables of a batch that print sinks have shown.
absl::Status AddRows(const proto::BatchResults& results, WeightedRows* rows);

// Submits `script` with `once` and returns what was shown when it has finished. INVALID_ARGUMENT
// when it was refused; ABORTED with its message when it failed.
absl::StatusOr<WeightedRows> RunJob(client::LocalEngine& engine, const std::string& script);

// Asks `condition` every few milliseconds until it is true; DEADLINE_EXCEEDED with `what` after
// `timeout`.
absl::Status WaitUntil(const std::function<bool()>& condition, absl::Duration timeout,
                       const std::string& what);

}  // namespace millrace

#endif  // MILLRACE_TESTS_HARNESS_JOB_RESULTS_H_
