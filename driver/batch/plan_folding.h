// Committed batches of a job whose state is nowhere but in its executors: a driver that keeps no
// snapshots rebuilds it by running all of them again. Where the state does not depend on where one
// batch ended and the next began, neighbours are folded into one, so that their number stays the
// same however long the job runs. Pure.
#ifndef MILLRACE_DRIVER_BATCH_PLAN_FOLDING_H_
#define MILLRACE_DRIVER_BATCH_PLAN_FOLDING_H_

#include <cstddef>
#include <deque>

#include "driver/batch/job_history.h"
#include "proto/plan.pb.h"

namespace millrace {

// Whether running two batches as one leaves the state as it would have been, and so what has been
// shown of it: nothing reads the time of batches or expires by it, no aggregate depends on the
// order of its rows, and of keys and extremes that are equal none looks different (1.0 and 1.00).
bool StateIgnoresBatches(const proto::JobPlan& plan);

// Folds neighbours among the first `committed` plans until at most about `most` of them are left,
// all of about the same size: one of a long history must not be rebuilt in a single huge batch.
void FoldPlans(std::deque<PlannedBatch>* plans, size_t committed, size_t most);

}  // namespace millrace

#endif  // MILLRACE_DRIVER_BATCH_PLAN_FOLDING_H_
