// Folds committed batches of a job whose state is only in its executors: a driver that keeps no
// snapshots rebuilds that state by running all of the batches again. If the state does not depend
// on where one batch ended and the next began, neighbours are folded into one, so that their number
// stays bounded however long the job runs. Pure.
#ifndef MILLRACE_DRIVER_COORDINATOR_PLAN_FOLDING_H_
#define MILLRACE_DRIVER_COORDINATOR_PLAN_FOLDING_H_

#include <cstddef>
#include <deque>

#include "driver/coordinator/job_history.h"
#include "proto/plan.pb.h"

namespace millrace::driver {

// Whether running two batches as one gives the same state, and so the same rows as were shown
// before: nothing reads the time of batches or expires by it, no aggregate depends on the order of
// its rows, and keys and extremes that are equal never look different (like 1.0 and 1.00).
bool StateIgnoresBatches(const proto::JobPlan& plan);

// How many times the records of the largest single batch a fold may have, if those are more than a
// few. An executor that ran the batches has shown that it can run one of that size in the time it
// has for one; a fold is given this many times that time (JobState), which is hours: more would say
// nothing of an executor that hangs. A smaller factor would fold too little, and the oldest plans
// would have to be dropped sooner (JobHistory::kUnfoldedFactor).
inline constexpr int64_t kMaxFold = 64;

// Folds neighbours among the first `committed` plans until at most about `most` of them are left,
// all of about the same size: a long history must not be rebuilt in huge batches. More are left
// where folds would have too many records.
void FoldPlans(std::deque<PlannedBatch>* plans, size_t committed, size_t most);

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_PLAN_FOLDING_H_
