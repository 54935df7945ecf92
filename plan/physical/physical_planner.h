// Cuts logical plans into the stages that executors run. An aggregation becomes two phases around
// an exchange; INSERTs that read one table share its source and its stage. Pure.
#ifndef MILLRACE_PLAN_PHYSICAL_PHYSICAL_PLANNER_H_
#define MILLRACE_PLAN_PHYSICAL_PHYSICAL_PLANNER_H_

#include "absl/status/statusor.h"
#include "plan/logical/logical_plan.h"
#include "proto/plan.pb.h"

namespace millrace::plan {

// Fills in sources, sinks, stages, exchanges and running_state of the plan; the rest is up to the
// caller. REQUIRES: the plans went through OptimizePlan. INVALID_ARGUMENT with a position when a
// sink cannot take what the query gives.
absl::StatusOr<proto::JobPlan> BuildPhysicalPlan(LogicalJob job);

}  // namespace millrace::plan

#endif  // MILLRACE_PLAN_PHYSICAL_PHYSICAL_PLANNER_H_
