#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/expr/expr_evaluator.h"
#include "plan/logical/expr_tree.h"
#include "plan/logical/sql_error.h"
#include "plan/rewrites/rewrites.h"

namespace millrace::plan {
namespace {

using Form = proto::Expr::SpecialForm;

class ConstantFolder {
 public:
  explicit ConstantFolder(const FunctionRegistry& functions) : functions_(functions) {}

  // `conditional`: the expression is evaluated for some rows only, so an error must wait for such a
  // row.
  absl::Status Fold(proto::Expr* expr, bool conditional) const {
    if (ExprList* args = MutableArgsOf(expr); args != nullptr) {
      const bool guards = GuardsArguments(*expr);
      for (int i = 0; i < args->size(); ++i) {
        RETURN_IF_ERROR(Fold(args->Mutable(i), conditional || (guards && i > 0)));
      }
    }
    if (expr->has_form()) {
      Simplify(expr);
    }
    return Evaluate(expr, conditional);
  }

 private:
  absl::Status Evaluate(proto::Expr* expr, bool conditional) const {
    if (expr->node_case() == proto::Expr::kLiteral || expr->type().kind() == proto::TYPE_ARRAY ||
        !IsConstant(*expr) || IsVolatile(*expr, functions_)) {
      return absl::OkStatus();
    }
    absl::StatusOr<ColumnPtr> value = EvaluateConstant(*expr, functions_);
    if (value.ok()) {
      *expr = ColumnToLiteral(**value, TypeOf(*expr), expr->position());
      return absl::OkStatus();
    }
    return conditional ? absl::OkStatus() : WithPosition(value.status(), expr->position());
  }

  void Simplify(proto::Expr* expr) const {
    switch (expr->form().kind()) {
      case Form::AND:
        return SimplifyJunction(expr, true);
      case Form::OR:
        return SimplifyJunction(expr, false);
      case Form::CASE:
        return SimplifyCase(expr);
      default:
        return;
    }
  }

  // AND drops TRUE and ends at FALSE; OR the other way round.
  static void SimplifyJunction(proto::Expr* expr, bool neutral) {
    std::vector<proto::Expr> kept;
    for (const proto::Expr& arg : expr->form().args()) {
      if (IsBoolLiteral(arg, neutral)) {
        continue;
      }
      kept.push_back(arg);
      if (IsBoolLiteral(arg, !neutral)) {
        break;
      }
    }
    if (kept.empty()) {
      *expr = MakeBool(neutral, expr->position());
    } else if (IsBoolLiteral(kept.front(), !neutral) || kept.size() == 1) {
      *expr = proto::Expr(kept.front());
    } else {
      *expr = MakeForm(expr->form().kind(), std::move(kept), TypeOf(*expr), expr->position());
    }
  }

  // Drops branches that are never taken, and branches behind one that is always taken.
  static void SimplifyCase(proto::Expr* expr) {
    const ExprList& args = expr->form().args();
    std::vector<proto::Expr> kept;
    bool decided = false;
    for (int i = 0; i + 1 < args.size() && !decided; i += 2) {
      if (IsBoolLiteral(args[i], true)) {
        kept.push_back(args[i + 1]);
        decided = true;
      } else if (!IsBoolLiteral(args[i], false) && !IsNullLiteral(args[i])) {
        kept.push_back(args[i]);
        kept.push_back(args[i + 1]);
      }
    }
    if (!decided && args.size() % 2 == 1) {
      kept.push_back(args[args.size() - 1]);
    }
    if (kept.empty()) {
      *expr = MakeNull(TypeOf(*expr), expr->position());
    } else if (kept.size() == 1) {
      *expr = proto::Expr(kept.front());
    } else {
      *expr = MakeForm(Form::CASE, std::move(kept), TypeOf(*expr), expr->position());
    }
  }

  const FunctionRegistry& functions_;
};

struct NodeFolder {
  const FunctionRegistry& functions;

  absl::Status operator()(ScanNode&) const { return absl::OkStatus(); }
  absl::Status operator()(FilterNode& filter) const {
    return FoldConstants(&filter.predicate, functions);
  }
  absl::Status operator()(ProjectNode& project) const { return FoldAll(&project.exprs); }
  absl::Status operator()(TableFunctionNode& function) const { return FoldAll(&function.args); }
  absl::Status operator()(AggregateNode& aggregate) const {
    RETURN_IF_ERROR(FoldAll(&aggregate.keys));
    for (proto::AggregateCall& call : aggregate.aggregates) {
      for (proto::Expr& arg : *call.mutable_args()) {
        RETURN_IF_ERROR(FoldConstants(&arg, functions));
      }
      if (call.has_filter()) {
        RETURN_IF_ERROR(FoldConstants(call.mutable_filter(), functions));
      }
    }
    return absl::OkStatus();
  }

  absl::Status FoldAll(std::vector<proto::Expr>* exprs) const {
    for (proto::Expr& expr : *exprs) {
      RETURN_IF_ERROR(FoldConstants(&expr, functions));
    }
    return absl::OkStatus();
  }
};

}  // namespace

absl::Status FoldConstants(proto::Expr* expr, const FunctionRegistry& functions) {
  return ConstantFolder(functions).Fold(expr, false);
}

absl::Status FoldConstants(LogicalNode* node, const FunctionRegistry& functions) {
  for (const LogicalNodePtr& input : node->inputs) {
    RETURN_IF_ERROR(FoldConstants(input.get(), functions));
  }
  return std::visit(NodeFolder{functions}, node->op);
}

}  // namespace millrace::plan
