// Checks what a plan must satisfy beyond types, once, for every front end. Errors carry script
// positions.
#ifndef MILLRACE_PLAN_LOGICAL_CHECK_PLAN_H_
#define MILLRACE_PLAN_LOGICAL_CHECK_PLAN_H_

#include "absl/status/status.h"
#include "common/expr/function_registry.h"
#include "plan/logical/logical_plan.h"

namespace millrace::plan {

// The most steps (filter, projection, grouping, …) that a plan may have one over another. A view is
// copied into each query that reads it, and rewrites and checks walk a plan by recursion: thousands
// of views over one another took all memory.
constexpr int kMaxPlanDepth = 500;

// To be called before anything else walks the plan. REQUIRES: the views that the plan reads have
// passed it.
absl::Status CheckPlanDepth(const LogicalNode& root);

// To be called before rewrites. Refuses batch_time(), random() and order-sensitive aggregates over
// an input that can retract, filters that compare columns with the time of the batch, and grouping
// by arrays.
absl::Status CheckMeaning(const LogicalNode& node, const FunctionRegistry& functions);

// To be called after rewrites. Checks that every function exists and accepts its constant arguments
// (patterns, paths), and that nothing is nested too deeply for a message.
absl::Status CheckExpressions(const LogicalNode& node, const FunctionRegistry& functions);

}  // namespace millrace::plan

#endif  // MILLRACE_PLAN_LOGICAL_CHECK_PLAN_H_
