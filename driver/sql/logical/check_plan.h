// What a plan must satisfy beyond types, checked once whatever front end built it. Errors carry
// script positions.
#ifndef MILLRACE_DRIVER_SQL_LOGICAL_CHECK_PLAN_H_
#define MILLRACE_DRIVER_SQL_LOGICAL_CHECK_PLAN_H_

#include "absl/status/status.h"
#include "common/expr/function_registry.h"
#include "driver/sql/logical/logical_plan.h"

namespace millrace {

// Steps (filter, projection, grouping, …) one over another. A view is copied into each query that
// reads it, and rewrites and checks walk a plan by recursion: thousands of views over one another
// took all memory.
constexpr int kMaxPlanDepth = 500;

// REQUIRES: what the plan reads (views) has passed it. To be called before anything else walks the
// plan.
absl::Status CheckPlanDepth(const LogicalNode& root);

// Before rewrites: no batch_time() or random() and no order-sensitive aggregate over an input that
// can retract, no filter that compares columns with the time of the batch, no grouping by arrays.
absl::Status CheckMeaning(const LogicalNode& node, const FunctionRegistry& functions);

// After rewrites: every function exists and takes its constant arguments (patterns, paths), nothing
// is nested too deeply to travel.
absl::Status CheckExpressions(const LogicalNode& node, const FunctionRegistry& functions);

}  // namespace millrace

#endif  // MILLRACE_DRIVER_SQL_LOGICAL_CHECK_PLAN_H_
