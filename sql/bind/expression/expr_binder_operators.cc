#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "plan/logical/coercion.h"
#include "plan/logical/expr_tree.h"
#include "plan/logical/sql_error.h"
#include "sql/bind/expression/expr_binder.h"

namespace millrace::sql {

using Form = proto::Expr::SpecialForm;

namespace {

constexpr SqlType kBool = MakeType(TypeId::kBool);

proto::Expr Negate(proto::Expr expr) {
  const int32_t position = expr.position();
  return plan::MakeForm(Form::NOT, {std::move(expr)}, kBool, position);
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
  if (!expr.has_lexpr() && symbol == "+" && plan::TypeOf(right).IsNumber()) {
    return right;
  }
  args.push_back(std::move(right));
  return builder_.Operator(symbol, std::move(args), expr.location());
}

// x = ANY (ARRAY[…]) and x <> ALL (ARRAY[…]). Other than of IN, the array has a type of its own.
absl::StatusOr<proto::Expr> ExprBinder::BindQuantified(const pg_query::A_Expr& expr,
                                                       const std::string& symbol) const {
  const bool any = expr.kind() == pg_query::AEXPR_OP_ANY;
  if (!expr.rexpr().has_a_array_expr() || expr.rexpr().a_array_expr().elements().empty() ||
      symbol != (any ? "=" : "<>")) {
    return Unsupported("ANY and ALL other than = ANY (ARRAY[…]) and <> ALL (ARRAY[…])",
                       expr.location());
  }
  ASSIGN_OR_RETURN(proto::Expr needle, Bind(expr.lexpr()));
  ASSIGN_OR_RETURN(Exprs elements, BindAll(expr.rexpr().a_array_expr().elements()));
  ASSIGN_OR_RETURN(const SqlType type, builder_.Unify(&elements, "ARRAY"));
  if (type.id == TypeId::kArray) {
    return Unsupported("an array of arrays", expr.location());
  }
  ASSIGN_OR_RETURN(proto::Expr found, BindAnyEqual(needle, std::move(elements), expr.location()));
  return any ? std::move(found) : Negate(std::move(found));
}

absl::StatusOr<proto::Expr> ExprBinder::BindEqual(proto::Expr left, proto::Expr right,
                                                  int32_t position) const {
  ASSIGN_OR_RETURN(proto::Expr equal,
                   builder_.Operator("=", {std::move(left), std::move(right)}, position));
  Exprs sides(equal.call().args().begin(), equal.call().args().end());
  if (!plan::TypeOf(sides[0]).IsNumber() || !plan::TypeOf(sides[1]).IsNumber() ||
      plan::SameType(plan::TypeOf(sides[0]), plan::TypeOf(sides[1]))) {
    return equal;
  }
  // Two sizes of integers, or real and double precision: the wider type holds both as they are.
  RETURN_IF_ERROR(builder_.Unify(&sides, "=").status());
  return plan::MakeCall("=", std::move(sides), kBool, position);
}

absl::StatusOr<proto::Expr> ExprBinder::BindAnyEqual(const proto::Expr& needle, Exprs values,
                                                     int32_t position) const {
  Exprs tests;
  SqlType last;  // the type of the value before this one
  for (proto::Expr& value : values) {
    const SqlType type = plan::TypeOf(value);
    const bool joins = !tests.empty() && plan::IsForm(tests.back(), Form::IN_LIST) &&
                       type.id != TypeId::kUnknown && plan::SameType(type, last);
    last = type;
    if (joins) {
      plan::ExprList* const list = plan::MutableArgsOf(&tests.back());
      ASSIGN_OR_RETURN(
          *list->Add(),
          builder_.Coerce(std::move(value), plan::WithoutModifiers(plan::TypeOf((*list)[1])),
                          plan::CastContext::kImplicit));
      continue;
    }
    ASSIGN_OR_RETURN(proto::Expr equal, BindEqual(needle, std::move(value), position));
    const proto::Expr left = equal.call().args(0);
    const proto::Expr right = equal.call().args(1);
    tests.push_back(plan::SameType(plan::TypeOf(left), plan::TypeOf(right))
                        ? plan::MakeForm(Form::IN_LIST, {left, right}, kBool, position)
                        : std::move(equal));
  }
  if (tests.size() == 1) {
    return std::move(tests.front());
  }
  return CheckSize(plan::MakeForm(Form::OR, std::move(tests), kBool, position));
}

absl::StatusOr<proto::Expr> ExprBinder::BindDistinct(const pg_query::A_Expr& expr) const {
  ASSIGN_OR_RETURN(proto::Expr left, Bind(expr.lexpr()));
  ASSIGN_OR_RETURN(proto::Expr right, Bind(expr.rexpr()));
  if (plan::IsNullLiteral(left) || plan::IsNullLiteral(right)) {
    ASSIGN_OR_RETURN(
        proto::Expr other,
        builder_.ResolveUnknown(plan::IsNullLiteral(left) ? std::move(right) : std::move(left)));
    return plan::MakeForm(Form::IS_NOT_NULL, {std::move(other)}, kBool, expr.location());
  }
  const int32_t position = expr.location();
  ASSIGN_OR_RETURN(proto::Expr equal, BindEqual(std::move(left), std::move(right), position));
  const proto::Expr first = equal.call().args(0);
  const proto::Expr second = equal.call().args(1);
  if (plan::SameType(plan::TypeOf(first), plan::TypeOf(second))) {
    return plan::MakeForm(Form::IS_DISTINCT_FROM, {first, second}, kBool, position);
  }
  // The equality is NULL only where a side is.
  const auto is_null = [&](const proto::Expr& side) {
    return plan::MakeForm(Form::IS_NULL, {side}, kBool, position);
  };
  proto::Expr both_null =
      plan::MakeForm(Form::AND, {is_null(first), is_null(second)}, kBool, position);
  return CheckSize(Negate(
      plan::MakeForm(Form::COALESCE, {std::move(equal), std::move(both_null)}, kBool, position)));
}

absl::StatusOr<proto::Expr> ExprBinder::BindNullIf(const pg_query::A_Expr& expr) const {
  ASSIGN_OR_RETURN(proto::Expr left, Bind(expr.lexpr()));
  ASSIGN_OR_RETURN(proto::Expr right, Bind(expr.rexpr()));
  ASSIGN_OR_RETURN(proto::Expr equal,
                   builder_.Operator("=", {std::move(left), std::move(right)}, expr.location()));
  const proto::Expr first = equal.call().args(0);
  const proto::Expr second = equal.call().args(1);
  return plan::MakeForm(Form::NULLIF, {first, second, std::move(equal)}, plan::TypeOf(first),
                        expr.location());
}

absl::StatusOr<proto::Expr> ExprBinder::BindIn(const pg_query::Node& needle, const PgNodes& values,
                                               bool negated, int32_t position) const {
  ASSIGN_OR_RETURN(const proto::Expr first, Bind(needle));
  ASSIGN_OR_RETURN(Exprs exprs, BindAll(values));
  // Several values without columns are an array: they get a type in common, which the needle has a
  // say in. All others are compared by themselves (transformAExprIn of PostgreSQL's parse_expr.c).
  const auto columns = std::stable_partition(
      exprs.begin(), exprs.end(), [](const auto& expr) { return !plan::ReadsColumns(expr); });
  std::vector<SqlType> types = {plan::TypeOf(first)};
  std::transform(exprs.begin(), columns, std::back_inserter(types), plan::TypeOf);
  const std::optional<SqlType> common = plan::CommonType(types);
  if (types.size() > 2 && common.has_value()) {
    for (auto expr = exprs.begin(); expr != columns; ++expr) {
      ASSIGN_OR_RETURN(*expr,
                       builder_.Coerce(std::move(*expr), *common, plan::CastContext::kImplicit));
    }
  }
  ASSIGN_OR_RETURN(proto::Expr in, BindAnyEqual(first, std::move(exprs), position));
  return negated ? Negate(std::move(in)) : std::move(in);
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
    return plan::MakeForm(negated ? Form::OR : Form::AND, {std::move(above), std::move(below)},
                          kBool, position);
  };
  ASSIGN_OR_RETURN(proto::Expr forward, within(low, high));
  if (!symmetric) {
    return CheckSize(std::move(forward));
  }
  ASSIGN_OR_RETURN(proto::Expr backward, within(high, low));
  return CheckSize(plan::MakeForm(negated ? Form::AND : Form::OR,
                                  {std::move(forward), std::move(backward)}, kBool, position));
}

}  // namespace millrace::sql
