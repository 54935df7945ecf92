#include "plan/logical/expr_tree.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "common/base/status.h"
#include "common/columnar/text_view.h"
#include "common/types/text_format.h"

namespace millrace::plan {
namespace {

proto::Expr NewExpr(const SqlType& type, int32_t position) {
  proto::Expr expr;
  TypeToProto(type, expr.mutable_type());
  expr.set_position(position);
  return expr;
}

void MoveArgs(std::vector<proto::Expr> args, ExprList* out) {
  for (proto::Expr& arg : args) {
    *out->Add() = std::move(arg);
  }
}

bool SameArgs(const proto::Expr& a, const proto::Expr& b) {
  const ExprList& left = ArgsOf(a);
  const ExprList& right = ArgsOf(b);
  return left.size() == right.size() &&
         std::equal(left.begin(), left.end(), right.begin(), SameExpr);
}

const ScalarFunction* FunctionOf(const proto::Expr& call, const FunctionRegistry& functions) {
  std::vector<SqlType> types;
  for (const proto::Expr& arg : call.call().args()) {
    types.push_back(TypeOf(arg));
  }
  return functions.FindScalar(call.call().function(), types, TypeOf(call));
}

}  // namespace

SqlType TypeOf(const proto::Expr& expr) { return TypeFromProto(expr.type()); }

proto::Expr MakeColumn(uint32_t index, const SqlType& type, int32_t position) {
  proto::Expr expr = NewExpr(type, position);
  expr.set_column(index);
  return expr;
}

proto::Expr MakeLiteral(std::string_view text, const SqlType& type, int32_t position) {
  proto::Expr expr = NewExpr(type, position);
  expr.mutable_literal()->set_text(std::string(text));
  return expr;
}

proto::Expr MakeNull(const SqlType& type, int32_t position) {
  proto::Expr expr = NewExpr(type, position);
  expr.mutable_literal();
  return expr;
}

proto::Expr MakeBool(bool value, int32_t position) {
  return MakeLiteral(value ? "t" : "f", MakeType(TypeId::kBool), position);
}

proto::Expr MakeCall(std::string_view function, std::vector<proto::Expr> args,
                     const SqlType& result, int32_t position) {
  proto::Expr expr = NewExpr(result, position);
  expr.mutable_call()->set_function(std::string(function));
  MoveArgs(std::move(args), expr.mutable_call()->mutable_args());
  return expr;
}

proto::Expr MakeForm(SpecialFormKind kind, std::vector<proto::Expr> args, const SqlType& result,
                     int32_t position) {
  proto::Expr expr = NewExpr(result, position);
  expr.mutable_form()->set_kind(kind);
  MoveArgs(std::move(args), expr.mutable_form()->mutable_args());
  return expr;
}

proto::Expr MakeAnd(std::vector<proto::Expr> conjuncts) {
  MILLRACE_CHECK(!conjuncts.empty()) << "AND of nothing";
  if (conjuncts.size() == 1) {
    return std::move(conjuncts.front());
  }
  const int32_t position = conjuncts.front().position();
  return MakeForm(proto::Expr::SpecialForm::AND, std::move(conjuncts), MakeType(TypeId::kBool),
                  position);
}

const ExprList& ArgsOf(const proto::Expr& expr) {
  static const ExprList& none = *new ExprList();
  switch (expr.node_case()) {
    case proto::Expr::kCall:
      return expr.call().args();
    case proto::Expr::kForm:
      return expr.form().args();
    default:
      return none;
  }
}

ExprList* MutableArgsOf(proto::Expr* expr) {
  switch (expr->node_case()) {
    case proto::Expr::kCall:
      return expr->mutable_call()->mutable_args();
    case proto::Expr::kForm:
      return expr->mutable_form()->mutable_args();
    default:
      return nullptr;
  }
}

bool IsForm(const proto::Expr& expr, SpecialFormKind kind) {
  return expr.has_form() && expr.form().kind() == kind;
}

bool IsNullLiteral(const proto::Expr& expr) {
  return expr.has_literal() && !expr.literal().has_text();
}

bool IsBoolLiteral(const proto::Expr& expr, bool value) {
  return expr.has_literal() && expr.literal().has_text() &&
         expr.type().kind() == proto::TYPE_BOOL && expr.literal().text() == (value ? "t" : "f");
}

bool SameExpr(const proto::Expr& a, const proto::Expr& b) {
  if (a.node_case() != b.node_case() || TypeOf(a) != TypeOf(b)) {
    return false;
  }
  switch (a.node_case()) {
    case proto::Expr::kColumn:
      return a.column() == b.column();
    case proto::Expr::kLiteral:
      return a.literal().has_text() == b.literal().has_text() &&
             a.literal().text() == b.literal().text();
    case proto::Expr::kCall:
      return a.call().function() == b.call().function() && SameArgs(a, b);
    case proto::Expr::kForm:
      return a.form().kind() == b.form().kind() && SameArgs(a, b);
    case proto::Expr::NODE_NOT_SET:
      return true;
  }
  return false;
}

bool AnyExpr(const proto::Expr& expr, const std::function<bool(const proto::Expr&)>& test) {
  if (test(expr)) {
    return true;
  }
  const ExprList& args = ArgsOf(expr);
  return std::any_of(args.begin(), args.end(),
                     [&](const proto::Expr& arg) { return AnyExpr(arg, test); });
}

const proto::Expr* FindBatchTime(const proto::Expr& expr) {
  const proto::Expr* found = nullptr;
  AnyExpr(expr, [&found](const proto::Expr& e) {
    if (IsForm(e, proto::Expr::SpecialForm::BATCH_TIME)) {
      found = &e;
    }
    return found != nullptr;
  });
  return found;
}

bool ReadsColumns(const proto::Expr& expr) {
  return AnyExpr(expr, [](const proto::Expr& e) { return e.node_case() == proto::Expr::kColumn; });
}

int DepthOf(const proto::Expr& expr) {
  int deepest = 0;
  for (const proto::Expr& arg : ArgsOf(expr)) {
    deepest = std::max(deepest, DepthOf(arg));
  }
  return deepest + 1;
}

int SizeOf(const proto::Expr& expr) {
  int size = 1;
  for (const proto::Expr& arg : ArgsOf(expr)) {
    size += SizeOf(arg);
  }
  return size;
}

void MarkColumns(const proto::Expr& expr, std::vector<bool>* used) {
  if (expr.node_case() == proto::Expr::kColumn) {
    (*used)[expr.column()] = true;
  }
  for (const proto::Expr& arg : ArgsOf(expr)) {
    MarkColumns(arg, used);
  }
}

void RemapColumns(proto::Expr* expr, const std::vector<uint32_t>& mapping) {
  if (expr->node_case() == proto::Expr::kColumn) {
    expr->set_column(mapping[expr->column()]);
    return;
  }
  if (ExprList* args = MutableArgsOf(expr); args != nullptr) {
    for (proto::Expr& arg : *args) {
      RemapColumns(&arg, mapping);
    }
  }
}

proto::Expr SubstituteColumns(const proto::Expr& expr,
                              const std::vector<proto::Expr>& replacements) {
  if (expr.node_case() == proto::Expr::kColumn) {
    return replacements[expr.column()];
  }
  proto::Expr result = expr;
  if (ExprList* args = MutableArgsOf(&result); args != nullptr) {
    for (proto::Expr& arg : *args) {
      arg = SubstituteColumns(proto::Expr(arg), replacements);
    }
  }
  return result;
}

bool CanSubstituteColumns(const proto::Expr& expr, const std::vector<proto::Expr>& replacements) {
  int64_t size = 0;
  AnyExpr(expr, [&](const proto::Expr& e) {
    size += e.node_case() == proto::Expr::kColumn ? SizeOf(replacements[e.column()]) : 1;
    return size > kMaxExprSize;
  });
  return size <= kMaxExprSize && DepthOf(SubstituteColumns(expr, replacements)) < kMaxExprDepth;
}

void SplitConjuncts(const proto::Expr& predicate, std::vector<proto::Expr>* out) {
  if (!IsForm(predicate, proto::Expr::SpecialForm::AND)) {
    out->push_back(predicate);
    return;
  }
  for (const proto::Expr& arg : predicate.form().args()) {
    SplitConjuncts(arg, out);
  }
}

bool GuardsArguments(const proto::Expr& expr) {
  using Form = proto::Expr::SpecialForm;
  return IsForm(expr, Form::AND) || IsForm(expr, Form::OR) || IsForm(expr, Form::CASE) ||
         IsForm(expr, Form::COALESCE);
}

bool IsInfallible(const proto::Expr& expr, const FunctionRegistry& functions) {
  return !AnyExpr(expr, [&functions](const proto::Expr& e) {
    if (!e.has_call()) {
      return false;
    }
    const ScalarFunction* function = FunctionOf(e, functions);
    return function == nullptr || !function->infallible;
  });
}

bool IsVolatile(const proto::Expr& expr, const FunctionRegistry& functions) {
  return AnyExpr(expr, [&functions](const proto::Expr& e) {
    if (!e.has_call()) {
      return false;
    }
    const ScalarFunction* function = FunctionOf(e, functions);
    return function == nullptr || !function->stable;
  });
}

absl::StatusOr<ColumnPtr> LiteralToColumn(const proto::Expr& literal) {
  const SqlType type = TypeOf(literal);
  auto column = std::make_shared<Column>(type, 1);
  if (!literal.literal().has_text()) {
    return Column::Nulls(type, 1);
  }
  if (type.id == TypeId::kBytea) {
    column->SetTextCopy(0, literal.literal().text());
  } else {
    RETURN_IF_ERROR(ParseValue(literal.literal().text(), column.get(), 0));
  }
  return ColumnPtr(std::move(column));
}

proto::Expr ColumnToLiteral(const Column& column, const SqlType& type, int32_t position) {
  if (column.IsNull(0)) {
    return MakeNull(type, position);
  }
  if (type.id == TypeId::kBytea) {
    return MakeLiteral(column.value<TextView>(0).view(), type, position);
  }
  return MakeLiteral(ValueToString(column, 0), type, position);
}

absl::StatusOr<proto::Expr> ParseLiteral(std::string_view text, const SqlType& type,
                                         int32_t position) {
  Column column(type, 1);
  RETURN_IF_ERROR(ParseValue(text, &column, 0));
  return ColumnToLiteral(column, type, position);
}

}  // namespace millrace::plan
