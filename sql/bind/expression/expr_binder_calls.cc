#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "plan/logical/expr_tree.h"
#include "plan/logical/sql_error.h"
#include "sql/bind/expression/expr_binder.h"

namespace millrace::sql {
namespace {

bool SameCall(const proto::AggregateCall& a, const proto::AggregateCall& b) {
  return a.function() == b.function() && a.has_filter() == b.has_filter() &&
         (!a.has_filter() || plan::SameExpr(a.filter(), b.filter())) &&
         std::equal(a.args().begin(), a.args().end(), b.args().begin(), b.args().end(),
                    plan::SameExpr);
}

bool IsBatchTimeFunction(std::string_view name) {
  return name == "batch_time" || name == "now" || name == "transaction_timestamp" ||
         name == "statement_timestamp";
}

// The parser gives functions with a syntax of their own PostgreSQL's internal names. Where the
// registry has only the name that people call, that one is meant.
std::string RegisteredName(const std::string& name, const FunctionRegistry& functions) {
  return name == "position" && functions.Scalars(name).empty() ? "strpos" : name;
}

}  // namespace

absl::StatusOr<proto::Expr> ExprBinder::BindCall(const pg_query::FuncCall& call) const {
  const int32_t position = call.location();
  ASSIGN_OR_RETURN(std::string name, UnqualifiedName(call.funcname(), "function", position));
  const FunctionRegistry& functions = builder_.functions();
  if (call.has_over()) {
    return Unsupported(absl::StrCat("a window function (", name, "() OVER …)"), position);
  }
  if (call.func_variadic()) {
    return Unsupported("VARIADIC in a call", position);
  }
  if (!functions.Aggregates(name).empty()) {
    return BindAggregate(name, call);
  }
  if (call.agg_star() || call.agg_distinct() || call.has_agg_filter() ||
      !call.agg_order().empty() || call.agg_within_group()) {
    const char* part = call.agg_star()         ? "(*)"
                       : call.agg_distinct()   ? "DISTINCT"
                       : call.has_agg_filter() ? "FILTER"
                                               : "ORDER BY";
    return plan::ErrorAt(
        position, absl::StrCat(part, " specified, but ", name, " is not an aggregate function"));
  }
  if (IsBatchTimeFunction(name) && call.args().empty()) {
    return MakeBatchTime(position);
  }
  if (name == "clock_timestamp" || name == "timeofday") {
    return plan::ErrorAt(
        position,
        absl::StrCat(name,
                     "() is not supported: a batch that is replayed would see another time; "
                     "use batch_time(), the time of the batch"));
  }
  name = RegisteredName(name, functions);
  if (functions.Scalars(name).empty() && !functions.Tables(name).empty()) {
    return plan::ErrorAt(
        position,
        absl::StrCat("set-returning function ", name,
                     " is supported in FROM and as a column of SELECT by itself: FROM table, ",
                     name, "(…) AS alias"));
  }
  ASSIGN_OR_RETURN(Exprs args, BindAll(call.args()));
  return builder_.Function(name, std::move(args), position);
}

absl::Status ExprBinder::RefuseAggregateSyntax(const std::string& name,
                                               const pg_query::FuncCall& call) const {
  const int32_t position = call.location();
  if (aggregates_ == nullptr) {
    return plan::ErrorAt(
        position, absl::StrCat("aggregate function ", name, "() is not allowed in ", clause_));
  }
  if (call.agg_distinct()) {
    return Unsupported(absl::StrCat("DISTINCT in an aggregate (", name, "(DISTINCT …))"), position);
  }
  if (!call.agg_order().empty()) {
    return Unsupported(absl::StrCat(call.agg_within_group() ? "WITHIN GROUP" : "ORDER BY",
                                    " in an aggregate (", name, ")"),
                       position);
  }
  if (call.agg_star() && name != "count") {
    return plan::ErrorAt(position,
                         absl::StrCat(name, "(*) does not exist; * is for count(*) only"));
  }
  return absl::OkStatus();
}

absl::StatusOr<proto::Expr> ExprBinder::BindAggregate(const std::string& name,
                                                      const pg_query::FuncCall& call) const {
  RETURN_IF_ERROR(RefuseAggregateSyntax(name, call));
  const int32_t position = call.location();
  const ExprBinder inner(builder_, scope_, "the arguments of an aggregate", nullptr);
  ASSIGN_OR_RETURN(Exprs args, inner.BindAll(call.args()));
  if (args.empty() && !call.agg_star()) {
    return plan::ErrorAt(position, absl::StrCat(name, "() needs an argument",
                                                name == "count" ? ", or *: count(*)" : ""));
  }
  ASSIGN_OR_RETURN(plan::ResolvedCall<AggregateFunction> resolved,
                   builder_.Aggregate(name, std::move(args), position));
  proto::AggregateCall aggregate;
  aggregate.set_function(name);
  for (proto::Expr& arg : resolved.args) {
    *aggregate.add_args() = std::move(arg);
  }
  TypeToProto(resolved.function->result_type(), aggregate.mutable_result());
  if (call.has_agg_filter()) {
    const ExprBinder filter(builder_, scope_, "FILTER", nullptr);
    ASSIGN_OR_RETURN(*aggregate.mutable_filter(), filter.BindBoolean(call.agg_filter()));
  }
  // The same call twice (SELECT and HAVING) is one aggregate.
  uint32_t index = 0;
  while (index < aggregates_->calls.size() && !SameCall(aggregates_->calls[index], aggregate)) {
    ++index;
  }
  if (index == aggregates_->calls.size()) {
    aggregates_->calls.push_back(std::move(aggregate));
    aggregates_->functions.push_back(resolved.function);
  }
  return plan::MakeColumn(AggregateCollector::kFirstColumn + index,
                          resolved.function->result_type(), position);
}

}  // namespace millrace::sql
