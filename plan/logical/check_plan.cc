#include "plan/logical/check_plan.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/expr/functions/constant_checks.h"
#include "plan/logical/expr_tree.h"
#include "plan/logical/sql_error.h"

namespace millrace::plan {
namespace {

struct ExprCollector {
  std::vector<const proto::Expr*>* out;

  void operator()(const ScanNode&) const {}
  void operator()(const FilterNode& filter) const { out->push_back(&filter.predicate); }
  void operator()(const ProjectNode& project) const { AddAll(project.exprs); }
  void operator()(const TableFunctionNode& function) const { AddAll(function.args); }
  void operator()(const AggregateNode& aggregate) const {
    AddAll(aggregate.keys);
    for (const proto::AggregateCall& call : aggregate.aggregates) {
      AddAll(call.args());
      if (call.has_filter()) {
        out->push_back(&call.filter());
      }
    }
  }

  template <typename Exprs>
  void AddAll(const Exprs& exprs) const {
    for (const proto::Expr& expr : exprs) {
      out->push_back(&expr);
    }
  }
};

std::vector<const proto::Expr*> ExprsOf(const LogicalNode& node) {
  std::vector<const proto::Expr*> exprs;
  std::visit(ExprCollector{&exprs}, node.op);
  return exprs;
}

// The innermost expression whose value changes from one evaluation to the next; null if none.
const proto::Expr* FindVolatile(const proto::Expr& expr, const FunctionRegistry& functions) {
  if (!IsVolatile(expr, functions)) {
    return nullptr;
  }
  for (const proto::Expr& arg : ArgsOf(expr)) {
    if (const proto::Expr* found = FindVolatile(arg, functions); found != nullptr) {
      return found;
    }
  }
  return &expr;
}

absl::Status CheckOverRetractions(const LogicalNode& node, const FunctionRegistry& functions) {
  for (const proto::Expr* expr : ExprsOf(node)) {
    if (const proto::Expr* time = FindBatchTime(*expr); time != nullptr) {
      return ErrorAt(time->position(),
                     "batch_time() and now() are not supported over a query that can take back "
                     "rows (a running "
                     "aggregate): the time of a correction is not the time of the row; group that "
                     "query by batch_time() "
                     "or use the time before aggregating");
    }
    if (const proto::Expr* random = FindVolatile(*expr, functions); random != nullptr) {
      return ErrorAt(
          random->position(),
          absl::StrCat(
              random->call().function(),
              "() is not supported over a query that can take back rows (a running aggregate): a "
              "row would not be taken back with the value it was given"));
    }
  }
  const auto* aggregate = std::get_if<AggregateNode>(&node.op);
  for (size_t i = 0; aggregate != nullptr && i < aggregate->functions.size(); ++i) {
    if (aggregate->functions[i]->append_only()) {
      return ErrorAt(
          node.position,
          absl::StrCat(aggregate->functions[i]->name(),
                       "() cannot take back a row and is not supported over a query "
                       "that can take back rows (a running aggregate); group that query by "
                       "batch_time()"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckNotTemporal(const proto::Expr& predicate) {
  std::vector<proto::Expr> conjuncts;
  SplitConjuncts(predicate, &conjuncts);
  for (const proto::Expr& conjunct : conjuncts) {
    const proto::Expr* time = FindBatchTime(conjunct);
    if (time != nullptr && ReadsColumns(conjunct)) {
      return ErrorAt(time->position(),
                     "a filter that compares columns with now() or batch_time() is temporal (rows "
                     "leave the result as "
                     "time passes), which is not supported yet");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckAggregate(const AggregateNode& aggregate) {
  for (const proto::Expr& key : aggregate.keys) {
    if (key.type().kind() == proto::TYPE_ARRAY) {
      return ErrorAt(
          key.position(),
          "GROUP BY a value of an array type is not supported; unnest it in FROM, or group by "
          "its text (array_to_string)");
    }
  }
  for (const proto::AggregateCall& call : aggregate.aggregates) {
    if (call.has_filter()) {
      RETURN_IF_ERROR(CheckNotTemporal(call.filter()));
    }
  }
  return absl::OkStatus();
}

// The arguments in the form that a function's Bind takes: types, and the columns of constant ones.
struct BindArguments {
  std::vector<SqlType> types;
  std::vector<const Column*> constants;
  std::vector<ColumnPtr> owned;
};

template <typename Exprs>
absl::StatusOr<BindArguments> PrepareArguments(const Exprs& args) {
  BindArguments prepared;
  for (const proto::Expr& arg : args) {
    prepared.types.push_back(TypeOf(arg));
    prepared.constants.push_back(nullptr);
    if (arg.has_literal()) {
      ASSIGN_OR_RETURN(ColumnPtr column, LiteralToColumn(arg));
      prepared.constants.back() = column.get();
      prepared.owned.push_back(std::move(column));
    }
  }
  return prepared;
}

absl::Status CheckCall(const proto::Expr& expr, const FunctionRegistry& functions,
                       bool conditional) {
  ASSIGN_OR_RETURN(const BindArguments args, PrepareArguments(expr.call().args()));
  const ScalarFunction* function =
      functions.FindScalar(expr.call().function(), args.types, TypeOf(expr));
  if (function == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("function ", expr.call().function(), " does not exist"));
  }
  RETURN_IF_ERROR(
      CheckConstantArguments(expr.call().function(), args.types, args.constants, conditional));
  return function->bind == nullptr ? absl::OkStatus()
                                   : function->bind(args.constants, TypeOf(expr)).status();
}

// `conditional`: the expression is evaluated for some rows only.
absl::Status CheckExpr(const proto::Expr& expr, const FunctionRegistry& functions,
                       bool conditional) {
  const bool guards = GuardsArguments(expr);
  bool first = true;
  for (const proto::Expr& arg : ArgsOf(expr)) {
    RETURN_IF_ERROR(CheckExpr(arg, functions, conditional || (guards && !first)));
    first = false;
  }
  return expr.has_call() ? WithPosition(CheckCall(expr, functions, conditional), expr.position())
                         : absl::OkStatus();
}

absl::Status CheckTableFunction(const TableFunctionNode& node, const FunctionRegistry& functions) {
  ASSIGN_OR_RETURN(const BindArguments args, PrepareArguments(node.args));
  const TableFunctionDef* function = functions.FindTable(node.function, args.types);
  if (function == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("table function ", node.function, " does not exist"));
  }
  RETURN_IF_ERROR(CheckConstantArguments(node.function, args.types, args.constants,
                                         /*conditional=*/false));
  return function->bind == nullptr ? absl::OkStatus() : function->bind(args.constants).status();
}

}  // namespace

absl::Status CheckPlanDepth(const LogicalNode& root) {
  int depth = 0;
  for (const LogicalNode* node = &root; !node->inputs.empty(); node = &node->input()) {
    if (++depth > kMaxPlanDepth) {
      return ErrorAt(
          root.position,
          absl::StrCat("the query reads through more than ", kMaxPlanDepth,
                       " steps of views and subqueries; write an intermediate result to a table"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckMeaning(const LogicalNode& node, const FunctionRegistry& functions) {
  for (const LogicalNodePtr& input : node.inputs) {
    RETURN_IF_ERROR(CheckMeaning(*input, functions));
    if (input->retracts) {
      RETURN_IF_ERROR(CheckOverRetractions(node, functions));
    }
  }
  if (const auto* filter = std::get_if<FilterNode>(&node.op); filter != nullptr) {
    RETURN_IF_ERROR(CheckNotTemporal(filter->predicate));
  }
  const auto* aggregate = std::get_if<AggregateNode>(&node.op);
  return aggregate == nullptr ? absl::OkStatus() : CheckAggregate(*aggregate);
}

absl::Status CheckExpressions(const LogicalNode& node, const FunctionRegistry& functions) {
  for (const LogicalNodePtr& input : node.inputs) {
    RETURN_IF_ERROR(CheckExpressions(*input, functions));
  }
  for (const proto::Expr* expr : ExprsOf(node)) {
    if (DepthOf(*expr) > kMaxExprDepth) {
      return ErrorAt(expr->position(),
                     absl::StrCat("expression is nested more than ", kMaxExprDepth,
                                  " levels deep; compute parts of it in a view"));
    }
    RETURN_IF_ERROR(CheckExpr(*expr, functions, /*conditional=*/false));
  }
  const auto* function = std::get_if<TableFunctionNode>(&node.op);
  return function == nullptr
             ? absl::OkStatus()
             : WithPosition(CheckTableFunction(*function, functions), node.position);
}

}  // namespace millrace::plan
