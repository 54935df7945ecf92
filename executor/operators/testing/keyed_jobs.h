// Plans whose state outlives batches, and what tests of it ask of a LocalJob.
#ifndef MILLRACE_EXECUTOR_OPERATORS_TESTING_KEYED_JOBS_H_
#define MILLRACE_EXECUTOR_OPERATORS_TESTING_KEYED_JOBS_H_

#include <string>
#include <vector>

#include "executor/operators/testing/local_job.h"
#include "proto/plan.pb.h"

namespace millrace {

// Over rows (k numeric, v numeric, t text): an aggregate by k, with `ordered` one that depends on
// order among them; over its results groups that come and go, by the sum of v; and one row over
// everything. Operators "by_key", "by_sum" and "total", sinks 0, 1 and 2.
proto::JobPlan KeyedPlan(const std::string& state_ttl, bool ordered, uint32_t shards);

// Over rows (k bigint, v bigint): how many k have each greatest v. state_ttl is 1 s.
proto::JobPlan MaximaPlan();

// Runs a batch; the rows of sink 0, sorted.
std::vector<std::string> SinkRows(LocalJob* job, const std::vector<LocalJob::Split>& splits);

// A snapshot from cut to end; how many of its entries have the weight.
LocalJob::StateLayer TakeAll(LocalJob* job, bool full);
size_t EntryCount(const LocalJob::StateLayer& layer, int64_t weight);

}  // namespace millrace

#endif  // MILLRACE_EXECUTOR_OPERATORS_TESTING_KEYED_JOBS_H_
