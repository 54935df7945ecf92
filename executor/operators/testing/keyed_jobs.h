// Plans whose state outlives batches, and helpers for tests of that state.
#ifndef MILLRACE_EXECUTOR_OPERATORS_TESTING_KEYED_JOBS_H_
#define MILLRACE_EXECUTOR_OPERATORS_TESTING_KEYED_JOBS_H_

#include <string>
#include <vector>

#include "executor/operators/testing/local_job.h"
#include "proto/plan.pb.h"

namespace millrace::executor {

// A plan over rows (k numeric, v numeric, t text): an aggregate by k, which with `ordered` includes
// one that depends on the order of rows; over its results, groups by the sum of v, which come and
// go; and one row over everything. Operators "by_key", "by_sum" and "total", sinks 0, 1 and 2.
proto::JobPlan KeyedPlan(const std::string& state_ttl, bool ordered, uint32_t shards);

// A plan over rows (k bigint, v bigint): how many k have each greatest v. state_ttl is 1 s.
proto::JobPlan MaximaPlan();

// Runs a batch and returns the rows of sink 0, sorted.
std::vector<std::string> SinkRows(LocalJob* job, const std::vector<LocalJob::Split>& splits);

// TakeAll takes a snapshot from cut to end; EntryCount counts its entries of a weight.
LocalJob::StateLayer TakeAll(LocalJob* job, bool full);
size_t EntryCount(const LocalJob::StateLayer& layer, int64_t weight);

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_OPERATORS_TESTING_KEYED_JOBS_H_
