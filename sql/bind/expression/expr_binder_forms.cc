#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "plan/logical/expr_tree.h"
#include "plan/logical/sql_error.h"
#include "sql/bind/expression/expr_binder.h"

namespace millrace::sql {

using Form = proto::Expr::SpecialForm;

namespace {

constexpr SqlType kBool = MakeType(TypeId::kBool);

}  // namespace

absl::StatusOr<proto::Expr> ExprBinder::BindLogical(const pg_query::BoolExpr& expr) const {
  const bool is_not = expr.boolop() == pg_query::NOT_EXPR;
  const char* what = is_not ? "NOT" : expr.boolop() == pg_query::AND_EXPR ? "AND" : "OR";
  Exprs args;
  for (const pg_query::Node& node : expr.args()) {
    ASSIGN_OR_RETURN(proto::Expr arg, Bind(node));
    ASSIGN_OR_RETURN(arg, builder_.CoerceToBoolean(std::move(arg), what));
    args.push_back(std::move(arg));
  }
  const Form::Kind kind = is_not                                ? Form::NOT
                          : expr.boolop() == pg_query::AND_EXPR ? Form::AND
                                                                : Form::OR;
  return plan::MakeForm(kind, std::move(args), kBool, expr.location());
}

absl::StatusOr<proto::Expr> ExprBinder::BindNullTest(const pg_query::NullTest& test) const {
  ASSIGN_OR_RETURN(proto::Expr arg, Bind(test.arg()));
  ASSIGN_OR_RETURN(arg, builder_.ResolveUnknown(std::move(arg)));
  const Form::Kind kind =
      test.nulltesttype() == pg_query::IS_NULL ? Form::IS_NULL : Form::IS_NOT_NULL;
  return plan::MakeForm(kind, {std::move(arg)}, kBool, test.location());
}

absl::StatusOr<proto::Expr> ExprBinder::BindBooleanTest(const pg_query::BooleanTest& test) const {
  ASSIGN_OR_RETURN(proto::Expr arg, Bind(test.arg()));
  ASSIGN_OR_RETURN(arg, builder_.CoerceToBoolean(std::move(arg), "IS TRUE or IS FALSE"));
  const auto form = [&](Form::Kind kind) {
    return plan::MakeForm(kind, {std::move(arg)}, kBool, test.location());
  };
  switch (test.booltesttype()) {
    case pg_query::IS_TRUE:
      return form(Form::IS_TRUE);
    case pg_query::IS_FALSE:
      return form(Form::IS_FALSE);
    case pg_query::IS_NOT_TRUE:
      return plan::MakeForm(Form::NOT, {form(Form::IS_TRUE)}, kBool, test.location());
    case pg_query::IS_NOT_FALSE:
      return plan::MakeForm(Form::NOT, {form(Form::IS_FALSE)}, kBool, test.location());
    case pg_query::IS_UNKNOWN:
      return form(Form::IS_NULL);
    case pg_query::IS_NOT_UNKNOWN:
      return form(Form::IS_NOT_NULL);
    default:
      return Unsupported("this test", test.location());
  }
}

absl::StatusOr<proto::Expr> ExprBinder::CheckSize(proto::Expr expr) {
  if (plan::SizeOf(expr) > plan::kMaxExprSize) {
    return plan::ErrorAt(expr.position(), "expression is too large; compute parts of it in a view");
  }
  return expr;
}

absl::StatusOr<proto::Expr> ExprBinder::BindCase(const pg_query::CaseExpr& expr) const {
  Exprs results;
  if (expr.has_defresult()) {
    ASSIGN_OR_RETURN(proto::Expr result, Bind(expr.defresult()));
    results.push_back(std::move(result));
  } else {
    results.push_back(plan::MakeNull(SqlType(), expr.location()));
  }
  proto::Expr subject;
  if (expr.has_arg()) {
    ASSIGN_OR_RETURN(subject, Bind(expr.arg()));
  }
  Exprs conditions;
  for (const pg_query::Node& node : expr.args()) {
    const pg_query::CaseWhen& when = node.case_when();
    ASSIGN_OR_RETURN(proto::Expr condition, Bind(when.expr()));
    if (expr.has_arg()) {
      ASSIGN_OR_RETURN(condition,
                       builder_.Operator("=", {subject, std::move(condition)}, when.location()));
    } else {
      ASSIGN_OR_RETURN(condition, builder_.CoerceToBoolean(std::move(condition), "CASE WHEN"));
    }
    conditions.push_back(std::move(condition));
    ASSIGN_OR_RETURN(proto::Expr result, Bind(when.result()));
    results.push_back(std::move(result));
  }
  ASSIGN_OR_RETURN(const SqlType type, builder_.Unify(&results, "CASE"));
  Exprs args;
  for (size_t i = 0; i < conditions.size(); ++i) {
    args.push_back(std::move(conditions[i]));
    args.push_back(std::move(results[i + 1]));
  }
  args.push_back(std::move(results[0]));
  return CheckSize(plan::MakeForm(Form::CASE, std::move(args), type, expr.location()));
}

absl::StatusOr<proto::Expr> ExprBinder::BindUnified(Form::Kind kind, const PgNodes& args,
                                                    const std::string& what,
                                                    int32_t position) const {
  ASSIGN_OR_RETURN(Exprs exprs, BindAll(args));
  ASSIGN_OR_RETURN(const SqlType type, builder_.Unify(&exprs, what));
  return plan::MakeForm(kind, std::move(exprs), type, position);
}

}  // namespace millrace::sql
