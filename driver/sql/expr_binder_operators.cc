#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "driver/sql/expr_binder.h"
#include "driver/sql/logical/expr_tree.h"
#include "driver/sql/logical/sql_error.h"

namespace millrace {

using Form = proto::Expr::SpecialForm;

namespace {

constexpr SqlType kBool = MakeType(TypeId::kBool);

proto::Expr Negate(proto::Expr expr) {
  const int32_t position = expr.position();
  return MakeForm(Form::NOT, {std::move(expr)}, kBool, position);
}

}  // namespace

absl::StatusOr<proto::Expr> ExprBinder::BindOperator(const pg_query::A_Expr& expr) const {
  ASSIGN_OR_RETURN(const std::string symbol,
                   UnqualifiedName(expr.name(), "operator", expr.location()));
  switch (expr.kind()) {
    case pg_query::AEXPR_OP:
      return BindPlainOperator(expr, symbol);
    case pg_query::AEXPR_OP_ANY:
    case pg_query::AEXPR_OP_ALL:
      return BindQuantified(expr, symbol);
    case pg_query::AEXPR_DISTINCT:
      return BindDistinct(expr);
    case pg_query::AEXPR_NOT_DISTINCT: {
      ASSIGN_OR_RETURN(proto::Expr distinct, BindDistinct(expr));
      return Negate(std::move(distinct));
    }
    case pg_query::AEXPR_NULLIF:
      return BindNullIf(expr);
    case pg_query::AEXPR_IN:
      return BindIn(expr.lexpr(), expr.rexpr().list().items(), symbol == "<>", expr.location());
    case pg_query::AEXPR_LIKE:
    case pg_query::AEXPR_ILIKE:
      return BindLike(expr, symbol);
    case pg_query::AEXPR_SIMILAR:
      // The parser has put similar_to_escape around the pattern; the symbol is ~ or !~.
      return BindPlainOperator(expr, symbol);
    case pg_query::AEXPR_BETWEEN:
    case pg_query::AEXPR_NOT_BETWEEN:
    case pg_query::AEXPR_BETWEEN_SYM:
    case pg_query::AEXPR_NOT_BETWEEN_SYM:
      return BindBetween(expr);
    default:
      return Unsupported("this operator", expr.location());
  }
}

absl::StatusOr<proto::Expr> ExprBinder::BindPlainOperator(const pg_query::A_Expr& expr,
                                                          const std::string& symbol) const {
  Exprs args;
  if (expr.has_lexpr()) {
    ASSIGN_OR_RETURN(proto::Expr left, Bind(expr.lexpr()));
    args.push_back(std::move(left));
  }
  ASSIGN_OR_RETURN(proto::Expr right, Bind(expr.rexpr()));
  if (!expr.has_lexpr() && symbol == "+" && TypeOf(right).IsNumber()) {
    return right;
  }
  args.push_back(std::move(right));
  return builder_.Operator(symbol, std::move(args), expr.location());
}

// x = ANY (ARRAY[…]) and x <> ALL (ARRAY[…]) are IN and NOT IN.
absl::StatusOr<proto::Expr> ExprBinder::BindQuantified(const pg_query::A_Expr& expr,
                                                       const std::string& symbol) const {
  const bool any = expr.kind() == pg_query::AEXPR_OP_ANY;
  if (!expr.rexpr().has_a_array_expr() || expr.rexpr().a_array_expr().elements().empty() ||
      symbol != (any ? "=" : "<>")) {
    return Unsupported("ANY and ALL other than = ANY (ARRAY[…]) and <> ALL (ARRAY[…])",
                       expr.location());
  }
  return BindIn(expr.lexpr(), expr.rexpr().a_array_expr().elements(), !any, expr.location());
}

absl::StatusOr<proto::Expr> ExprBinder::BindDistinct(const pg_query::A_Expr& expr) const {
  ASSIGN_OR_RETURN(proto::Expr left, Bind(expr.lexpr()));
  ASSIGN_OR_RETURN(proto::Expr right, Bind(expr.rexpr()));
  if (IsNullLiteral(left) || IsNullLiteral(right)) {
    ASSIGN_OR_RETURN(
        proto::Expr other,
        builder_.ResolveUnknown(IsNullLiteral(left) ? std::move(right) : std::move(left)));
    return MakeForm(Form::IS_NOT_NULL, {std::move(other)}, kBool, expr.location());
  }
  Exprs sides = {std::move(left), std::move(right)};
  RETURN_IF_ERROR(builder_.Unify(&sides, "IS DISTINCT FROM").status());
  return MakeForm(Form::IS_DISTINCT_FROM, std::move(sides), kBool, expr.location());
}

absl::StatusOr<proto::Expr> ExprBinder::BindNullIf(const pg_query::A_Expr& expr) const {
  ASSIGN_OR_RETURN(proto::Expr left, Bind(expr.lexpr()));
  ASSIGN_OR_RETURN(proto::Expr right, Bind(expr.rexpr()));
  ASSIGN_OR_RETURN(proto::Expr equal,
                   builder_.Operator("=", {std::move(left), std::move(right)}, expr.location()));
  const proto::Expr first = equal.call().args(0);
  const proto::Expr second = equal.call().args(1);
  return MakeForm(Form::NULLIF, {first, second, std::move(equal)}, TypeOf(first), expr.location());
}

absl::StatusOr<proto::Expr> ExprBinder::BindIn(const pg_query::Node& needle, const PgNodes& values,
                                               bool negated, int32_t position) const {
  Exprs exprs;
  ASSIGN_OR_RETURN(proto::Expr first, Bind(needle));
  exprs.push_back(std::move(first));
  for (const pg_query::Node& value : values) {
    ASSIGN_OR_RETURN(proto::Expr expr, Bind(value));
    exprs.push_back(std::move(expr));
  }
  RETURN_IF_ERROR(builder_.Unify(&exprs, "IN").status());
  proto::Expr in = MakeForm(Form::IN_LIST, std::move(exprs), kBool, position);
  return negated ? Negate(std::move(in)) : in;
}

absl::StatusOr<proto::Expr> ExprBinder::BindLike(const pg_query::A_Expr& expr,
                                                 const std::string& symbol) const {
  if (expr.rexpr().has_func_call() && builder_.functions().Scalars("like_escape").empty() &&
      StringsOf(expr.rexpr().func_call().funcname()).back() == "like_escape") {
    return Unsupported("LIKE … ESCAPE", expr.location());
  }
  return BindPlainOperator(expr, symbol);
}

absl::StatusOr<proto::Expr> ExprBinder::BindBetween(const pg_query::A_Expr& expr) const {
  const PgNodes& bounds = expr.rexpr().list().items();
  const int32_t position = expr.location();
  ASSIGN_OR_RETURN(const proto::Expr value, Bind(expr.lexpr()));
  ASSIGN_OR_RETURN(const proto::Expr low, Bind(bounds[0]));
  ASSIGN_OR_RETURN(const proto::Expr high, Bind(bounds[1]));
  const bool negated =
      expr.kind() == pg_query::AEXPR_NOT_BETWEEN || expr.kind() == pg_query::AEXPR_NOT_BETWEEN_SYM;
  const bool symmetric =
      expr.kind() == pg_query::AEXPR_BETWEEN_SYM || expr.kind() == pg_query::AEXPR_NOT_BETWEEN_SYM;
  const auto within = [&](const proto::Expr& from,
                          const proto::Expr& to) -> absl::StatusOr<proto::Expr> {
    ASSIGN_OR_RETURN(proto::Expr above,
                     builder_.Operator(negated ? "<" : ">=", {value, from}, position));
    ASSIGN_OR_RETURN(proto::Expr below,
                     builder_.Operator(negated ? ">" : "<=", {value, to}, position));
    return MakeForm(negated ? Form::OR : Form::AND, {std::move(above), std::move(below)}, kBool,
                    position);
  };
  ASSIGN_OR_RETURN(proto::Expr forward, within(low, high));
  if (!symmetric) {
    return CheckSize(std::move(forward));
  }
  ASSIGN_OR_RETURN(proto::Expr backward, within(high, low));
  return CheckSize(MakeForm(negated ? Form::AND : Form::OR,
                            {std::move(forward), std::move(backward)}, kBool, position));
}

}  // namespace millrace
