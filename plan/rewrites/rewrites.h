// Rewrites of the logical plan that keep its meaning. Each works on one tree in place; OptimizePlan
// runs them in order.
#ifndef MILLRACE_PLAN_REWRITES_REWRITES_H_
#define MILLRACE_PLAN_REWRITES_REWRITES_H_

#include "absl/status/status.h"
#include "common/expr/function_registry.h"
#include "plan/logical/logical_plan.h"

namespace millrace::plan {

// Replaces constant subexpressions by their value and simplifies AND, OR, NOT and CASE with
// constant parts. A constant that cannot be computed (1 / 0) is an error of the script, unless it
// stands where it may never be evaluated.
absl::Status FoldConstants(LogicalNode* node, const FunctionRegistry& functions);
absl::Status FoldConstants(proto::Expr* expr, const FunctionRegistry& functions);

// Moves the conjuncts of predicates as far down as the columns that they read allow. A conjunct
// that may fail never overtakes an earlier one that stays behind: `x <> 0 AND 1 / x > 2` keeps its
// guard.
LogicalNodePtr PushDownFilters(LogicalNodePtr node, const FunctionRegistry& functions);

// Merges a projection into the projection or aggregation above it, if nothing is then computed
// twice.
LogicalNodePtr MergeProjects(LogicalNodePtr node, const FunctionRegistry& functions);

// Drops every column that nobody reads, down to the scans. The root keeps its output.
void PruneColumns(LogicalNode* root);

absl::Status OptimizePlan(LogicalNodePtr* root, const FunctionRegistry& functions);

// Tells the node that column i of its only input is now column mapping[i]. Returns the same mapping
// for the node's own output.
std::vector<uint32_t> RemapInput(LogicalNode* node, const std::vector<uint32_t>& mapping);

}  // namespace millrace::plan

#endif  // MILLRACE_PLAN_REWRITES_REWRITES_H_
