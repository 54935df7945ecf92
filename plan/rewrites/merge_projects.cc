#include <algorithm>
#include <utility>
#include <vector>

#include "plan/logical/expr_tree.h"
#include "plan/rewrites/rewrites.h"

namespace millrace::plan {
namespace {

// All expressions of a node that read its input.
std::vector<proto::Expr*> ExprsOf(LogicalNode* node) {
  std::vector<proto::Expr*> exprs;
  if (auto* project = std::get_if<ProjectNode>(&node->op); project != nullptr) {
    for (proto::Expr& expr : project->exprs) {
      exprs.push_back(&expr);
    }
  } else if (auto* aggregate = std::get_if<AggregateNode>(&node->op); aggregate != nullptr) {
    for (proto::Expr& key : aggregate->keys) {
      exprs.push_back(&key);
    }
    for (proto::AggregateCall& call : aggregate->aggregates) {
      for (proto::Expr& arg : *call.mutable_args()) {
        exprs.push_back(&arg);
      }
      if (call.has_filter()) {
        exprs.push_back(call.mutable_filter());
      }
    }
  }
  return exprs;
}

void CountUses(const proto::Expr& expr, std::vector<int>* uses) {
  if (expr.node_case() == proto::Expr::kColumn) {
    ++(*uses)[expr.column()];
  }
  for (const proto::Expr& arg : ArgsOf(expr)) {
    CountUses(arg, uses);
  }
}

bool CanMerge(const std::vector<proto::Expr*>& outer, const std::vector<proto::Expr>& inner,
              const FunctionRegistry& functions) {
  std::vector<int> uses(inner.size(), 0);
  for (const proto::Expr* expr : outer) {
    CountUses(*expr, &uses);
    if (!CanSubstituteColumns(*expr, inner)) {
      return false;
    }
  }
  for (size_t i = 0; i < inner.size(); ++i) {
    const bool trivial = ArgsOf(inner[i]).empty() && !inner[i].has_call();
    if (!trivial && (uses[i] > 1 || IsVolatile(inner[i], functions))) {
      return false;
    }
  }
  return true;
}

}  // namespace

LogicalNodePtr MergeProjects(LogicalNodePtr node, const FunctionRegistry& functions) {
  for (LogicalNodePtr& input : node->inputs) {
    input = MergeProjects(std::move(input), functions);
  }
  if (node->inputs.size() != 1) {
    return node;
  }
  const auto* below = std::get_if<ProjectNode>(&node->input().op);
  const std::vector<proto::Expr*> exprs = ExprsOf(node.get());
  if (below == nullptr || exprs.empty() || !CanMerge(exprs, below->exprs, functions)) {
    return node;
  }
  for (proto::Expr* expr : exprs) {
    *expr = SubstituteColumns(proto::Expr(*expr), below->exprs);
  }
  LogicalNodePtr input = std::move(node->input().inputs.front());
  node->inputs.front() = std::move(input);
  RefreshOutput(node.get());
  return node;
}

}  // namespace millrace::plan
