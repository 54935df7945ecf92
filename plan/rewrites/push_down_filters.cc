#include <algorithm>
#include <utility>
#include <vector>

#include "plan/logical/expr_tree.h"
#include "plan/rewrites/rewrites.h"

namespace millrace::plan {
namespace {

using Conjuncts = std::vector<proto::Expr>;

class FilterPusher {
 public:
  explicit FilterPusher(const FunctionRegistry& functions) : functions_(functions) {}

  // `conjuncts` read the node's output. A row must satisfy all of them, and they are evaluated in
  // this order.
  LogicalNodePtr Push(LogicalNodePtr node, Conjuncts conjuncts) const {
    if (auto* filter = std::get_if<FilterNode>(&node->op); filter != nullptr) {
      Conjuncts all;
      SplitConjuncts(filter->predicate, &all);
      std::move(conjuncts.begin(), conjuncts.end(), std::back_inserter(all));
      return Push(std::move(node->inputs.front()), std::move(all));
    }
    Conjuncts below;
    Conjuncts here;
    for (proto::Expr& conjunct : conjuncts) {
      if (IsBoolLiteral(conjunct, true)) {
        continue;
      }
      // A conjunct that may fail stays behind those that guard it.
      const bool may_move = here.empty() || IsInfallible(conjunct, functions_);
      if (may_move && CanMoveBelow(*node, conjunct)) {
        below.push_back(Translate(*node, conjunct));
      } else {
        here.push_back(std::move(conjunct));
      }
    }
    for (LogicalNodePtr& input : node->inputs) {
      input = Push(std::move(input), std::move(below));
      below.clear();
    }
    RefreshOutput(node.get());
    return here.empty() ? std::move(node) : MakeFilter(std::move(node), MakeAnd(std::move(here)));
  }

 private:
  bool CanMoveBelow(const LogicalNode& node, const proto::Expr& conjunct) const {
    if (const auto* project = std::get_if<ProjectNode>(&node.op); project != nullptr) {
      return CanSubstitute(conjunct, project->exprs);
    }
    if (const auto* function = std::get_if<TableFunctionNode>(&node.op); function != nullptr) {
      return ReadsOnlyBelow(conjunct, function->kept.size()) && !IsVolatile(conjunct, functions_);
    }
    if (const auto* aggregate = std::get_if<AggregateNode>(&node.op); aggregate != nullptr) {
      return !aggregate->global && ReadsOnlyBelow(conjunct, aggregate->keys.size()) &&
             ReadsColumns(conjunct) && CanSubstitute(conjunct, aggregate->keys);
    }
    return false;
  }

  bool CanSubstitute(const proto::Expr& conjunct, const std::vector<proto::Expr>& exprs) const {
    return !IsVolatile(conjunct, functions_) && CanSubstituteColumns(conjunct, exprs) &&
           !AnyExpr(conjunct, [&](const proto::Expr& e) {
             return e.node_case() == proto::Expr::kColumn &&
                    IsVolatile(exprs[e.column()], functions_);
           });
  }

  static bool ReadsOnlyBelow(const proto::Expr& conjunct, size_t limit) {
    return !AnyExpr(conjunct, [limit](const proto::Expr& e) {
      return e.node_case() == proto::Expr::kColumn && e.column() >= limit;
    });
  }

  // The conjunct in terms of the node's input. REQUIRES: CanMoveBelow.
  static proto::Expr Translate(const LogicalNode& node, const proto::Expr& conjunct) {
    if (const auto* project = std::get_if<ProjectNode>(&node.op); project != nullptr) {
      return SubstituteColumns(conjunct, project->exprs);
    }
    if (const auto* function = std::get_if<TableFunctionNode>(&node.op); function != nullptr) {
      proto::Expr translated = conjunct;
      RemapColumns(&translated, function->kept);
      return translated;
    }
    return SubstituteColumns(conjunct, std::get<AggregateNode>(node.op).keys);
  }

  const FunctionRegistry& functions_;
};

}  // namespace

LogicalNodePtr PushDownFilters(LogicalNodePtr node, const FunctionRegistry& functions) {
  return FilterPusher(functions).Push(std::move(node), {});
}

}  // namespace millrace::plan
