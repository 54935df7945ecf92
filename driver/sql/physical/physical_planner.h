// Cuts logical plans into stages: what the executor runs. Aggregations become two phases around an
// exchange; INSERTs that read one table share its source and its stage. Pure.
#ifndef MILLRACE_DRIVER_SQL_PHYSICAL_PHYSICAL_PLANNER_H_
#define MILLRACE_DRIVER_SQL_PHYSICAL_PHYSICAL_PLANNER_H_

#include "absl/status/statusor.h"
#include "driver/sql/logical/logical_plan.h"
#include "proto/plan.pb.h"

namespace millrace {

// Sources, sinks, stages, exchanges and running_state of the plan; the rest is the caller's. Plans
// are expected to have been through OptimizePlan. INVALID_ARGUMENT with a position when a sink
// cannot take what the query gives.
absl::StatusOr<proto::JobPlan> BuildPhysicalPlan(LogicalJob job);

}  // namespace millrace

#endif  // MILLRACE_DRIVER_SQL_PHYSICAL_PHYSICAL_PLANNER_H_
