#include "sql/bind/expression/expr_binder.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "plan/logical/expr_tree.h"
#include "plan/logical/sql_error.h"

namespace millrace::sql {

using Form = proto::Expr::SpecialForm;

proto::Expr MakeBatchTime(int32_t position) {
  return plan::MakeForm(Form::BATCH_TIME, {}, MakeType(TypeId::kTimestampTz), position);
}

absl::StatusOr<proto::Expr> ExprBinder::Bind(const pg_query::Node& node) const {
  switch (node.node_case()) {
    case pg_query::Node::kColumnRef:
      return BindColumn(node.column_ref());
    case pg_query::Node::kAConst:
      return BindConstant(node.a_const());
    case pg_query::Node::kTypeCast:
      return BindCast(node.type_cast());
    case pg_query::Node::kSqlvalueFunction:
      return BindSqlValue(node.sqlvalue_function());
    case pg_query::Node::kAArrayExpr:
      return BindArray(node.a_array_expr(), nullptr);
    case pg_query::Node::kAIndirection:
      return BindIndirection(node.a_indirection());
    case pg_query::Node::kAExpr:
      return BindOperator(node.a_expr());
    case pg_query::Node::kBoolExpr:
      return BindLogical(node.bool_expr());
    case pg_query::Node::kNullTest:
      return BindNullTest(node.null_test());
    case pg_query::Node::kBooleanTest:
      return BindBooleanTest(node.boolean_test());
    case pg_query::Node::kCaseExpr:
      return BindCase(node.case_expr());
    case pg_query::Node::kCoalesceExpr:
      return BindUnified(Form::COALESCE, node.coalesce_expr().args(), "COALESCE",
                         node.coalesce_expr().location());
    case pg_query::Node::kMinMaxExpr: {
      const bool greatest = node.min_max_expr().op() == pg_query::IS_GREATEST;
      return BindUnified(greatest ? Form::GREATEST : Form::LEAST, node.min_max_expr().args(),
                         greatest ? "GREATEST" : "LEAST", node.min_max_expr().location());
    }
    case pg_query::Node::kFuncCall:
      return BindCall(node.func_call());
    default:
      return Unsupported(ConstructName(node), LocationOf(node));
  }
}

absl::StatusOr<proto::Expr> ExprBinder::BindBoolean(const pg_query::Node& node) const {
  ASSIGN_OR_RETURN(proto::Expr expr, Bind(node));
  return builder_.CoerceToBoolean(std::move(expr), clause_);
}

absl::StatusOr<std::vector<proto::Expr>> ExprBinder::BindAll(const PgNodes& nodes) const {
  Exprs exprs;
  for (const pg_query::Node& node : nodes) {
    ASSIGN_OR_RETURN(proto::Expr expr, Bind(node));
    exprs.push_back(std::move(expr));
  }
  return exprs;
}

absl::StatusOr<proto::Expr> ExprBinder::BindColumn(const pg_query::ColumnRef& reference) const {
  const std::vector<std::string> parts = StringsOf(reference.fields());
  if (parts.size() != static_cast<size_t>(reference.fields_size())) {
    return plan::ErrorAt(reference.location(),
                         "* stands for columns only in a SELECT list and in count(*)");
  }
  if (parts.size() > 2) {
    return plan::ErrorAt(
        reference.location(),
        absl::StrCat("\"", absl::StrJoin(parts, "."),
                     "\": schemas are not supported; write column or table.column"));
  }
  ASSIGN_OR_RETURN(const ScopeColumn column, scope_.Find(parts.size() == 2 ? parts[0] : "",
                                                         parts.back(), reference.location()));
  return plan::MakeColumn(column.index, column.type, reference.location());
}

absl::StatusOr<proto::Expr> ExprBinder::BindConstant(const pg_query::A_Const& constant) const {
  const int32_t position = constant.location();
  if (constant.isnull()) {
    return plan::MakeNull(SqlType(), position);
  }
  switch (constant.val_case()) {
    case pg_query::A_Const::kIval:
      return plan::MakeLiteral(absl::StrCat(constant.ival().ival()), MakeType(TypeId::kInt32),
                               position);
    case pg_query::A_Const::kFval: {
      // An integer that is too long for ival, until the parser put a minus in front of it, is one
      // of -2147483648.
      if (int32_t integer = 0; absl::SimpleAtoi(constant.fval().fval(), &integer)) {
        return plan::MakeLiteral(absl::StrCat(integer), MakeType(TypeId::kInt32), position);
      }
      if (int64_t integer = 0; absl::SimpleAtoi(constant.fval().fval(), &integer)) {
        return plan::MakeLiteral(absl::StrCat(integer), MakeType(TypeId::kInt64), position);
      }
      absl::StatusOr<proto::Expr> literal =
          plan::ParseLiteral(constant.fval().fval(), MakeType(TypeId::kNumeric), position);
      return literal.ok() ? std::move(literal) : plan::WithPosition(literal.status(), position);
    }
    case pg_query::A_Const::kBoolval:
      return plan::MakeBool(constant.boolval().boolval(), position);
    case pg_query::A_Const::kSval:
      return plan::MakeLiteral(constant.sval().sval(), SqlType(), position);
    default:
      return Unsupported("a bit string", position);
  }
}

absl::StatusOr<proto::Expr> ExprBinder::BindCast(const pg_query::TypeCast& cast) const {
  std::string interval_field;
  ASSIGN_OR_RETURN(const SqlType type, BindTypeName(cast.type_name(), &interval_field));
  if (cast.arg().has_a_array_expr() && type.id == TypeId::kArray) {
    const SqlType element = type.ElementType();
    return BindArray(cast.arg().a_array_expr(), &element);
  }
  ASSIGN_OR_RETURN(proto::Expr expr, Bind(cast.arg()));
  if (!interval_field.empty()) {
    double number = 0;
    if (plan::TypeOf(expr).id != TypeId::kUnknown ||
        !absl::SimpleAtod(expr.literal().text(), &number)) {
      return plan::ErrorAt(expr.position(), absl::StrCat("interval '…' ", interval_field,
                                                         " needs a number in the quotes"));
    }
    expr.mutable_literal()->set_text(absl::StrCat(expr.literal().text(), " ", interval_field));
  }
  return builder_.Coerce(std::move(expr), type, plan::CastContext::kExplicit);
}

absl::StatusOr<proto::Expr> ExprBinder::BindSqlValue(
    const pg_query::SQLValueFunction& function) const {
  const int32_t position = function.location();
  switch (function.op()) {
    case pg_query::SVFOP_CURRENT_TIMESTAMP:
      return MakeBatchTime(position);
    case pg_query::SVFOP_CURRENT_DATE:
      return builder_.Coerce(MakeBatchTime(position), MakeType(TypeId::kDate),
                             plan::CastContext::kExplicit);
    case pg_query::SVFOP_LOCALTIMESTAMP:
      return builder_.Coerce(MakeBatchTime(position), MakeType(TypeId::kTimestamp),
                             plan::CastContext::kExplicit);
    default:
      return Unsupported(
          "this value function (only CURRENT_TIMESTAMP, CURRENT_DATE and LOCALTIMESTAMP are)",
          position);
  }
}

absl::StatusOr<proto::Expr> ExprBinder::BindArray(const pg_query::A_ArrayExpr& array,
                                                  const SqlType* element) const {
  ASSIGN_OR_RETURN(Exprs exprs, BindAll(array.elements()));
  if (exprs.empty() && element == nullptr) {
    return plan::ErrorAt(array.location(),
                         "the type of an empty array is unknown; write ARRAY[]::text[]");
  }
  SqlType type;
  if (element != nullptr) {
    type = *element;
    for (proto::Expr& expr : exprs) {
      ASSIGN_OR_RETURN(expr, builder_.Coerce(std::move(expr), type, plan::CastContext::kExplicit));
    }
  } else {
    ASSIGN_OR_RETURN(type, builder_.Unify(&exprs, "ARRAY"));
  }
  if (type.id == TypeId::kArray) {
    return Unsupported("an array of arrays", array.location());
  }
  return plan::MakeForm(Form::ARRAY, std::move(exprs), ArrayOf(type), array.location());
}

absl::StatusOr<proto::Expr> ExprBinder::BindIndirection(
    const pg_query::A_Indirection& indirection) const {
  ASSIGN_OR_RETURN(proto::Expr expr, Bind(indirection.arg()));
  for (const pg_query::Node& step : indirection.indirection()) {
    const int32_t position = LocationOf(step) >= 0 ? LocationOf(step) : expr.position();
    if (!step.has_a_indices()) {
      return Unsupported("selecting a field of a composite value", position);
    }
    if (step.a_indices().is_slice()) {
      return Unsupported("a slice of an array", position);
    }
    ASSIGN_OR_RETURN(proto::Expr index, Bind(step.a_indices().uidx()));
    const SqlType type = plan::TypeOf(expr);
    if (type.id == TypeId::kJsonb) {
      ASSIGN_OR_RETURN(expr,
                       builder_.Operator("->", {std::move(expr), std::move(index)}, position));
      continue;
    }
    if (type.id != TypeId::kArray) {
      return plan::ErrorAt(position, absl::StrCat("cannot subscript type ", type.ToString(),
                                                  ": it is not an array"));
    }
    if (builder_.functions().Scalars("array_get").empty()) {
      return Unsupported("a subscript of an array", position);
    }
    ASSIGN_OR_RETURN(expr,
                     builder_.Function("array_get", {std::move(expr), std::move(index)}, position));
  }
  return expr;
}

}  // namespace millrace::sql
