#include "common/expr/testing/expr_builder.h"

#include <memory>

#include "common/base/check.h"
#include "common/types/text_format.h"

namespace millrace {
namespace {

proto::Expr OfType(const SqlType& type) {
  proto::Expr expr;
  TypeToProto(type, expr.mutable_type());
  expr.set_position(-1);
  return expr;
}

}  // namespace

proto::Expr ColumnExpr(uint32_t index, const SqlType& type) {
  proto::Expr expr = OfType(type);
  expr.set_column(index);
  return expr;
}

proto::Expr LiteralExpr(const SqlType& type, std::string_view text) {
  proto::Expr expr = OfType(type);
  expr.mutable_literal()->set_text(std::string(text));
  return expr;
}

proto::Expr NullExpr(const SqlType& type) {
  proto::Expr expr = OfType(type);
  expr.mutable_literal();
  return expr;
}

proto::Expr CallExpr(std::string_view function, const SqlType& result,
                     const std::vector<proto::Expr>& args) {
  proto::Expr expr = OfType(result);
  expr.mutable_call()->set_function(std::string(function));
  for (const proto::Expr& arg : args) {
    *expr.mutable_call()->add_args() = arg;
  }
  return expr;
}

proto::Expr FormExpr(proto::Expr::SpecialForm::Kind kind, const SqlType& result,
                     const std::vector<proto::Expr>& args) {
  proto::Expr expr = OfType(result);
  expr.mutable_form()->set_kind(kind);
  for (const proto::Expr& arg : args) {
    *expr.mutable_form()->add_args() = arg;
  }
  return expr;
}

ColumnPtr MakeColumn(const SqlType& type, const std::vector<std::string>& values) {
  auto column = std::make_shared<Column>(type, values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] == "NULL") {
      column->SetNull(i);
      continue;
    }
    absl::Status status = ParseValue(values[i], column.get(), i);
    MILLRACE_CHECK(status.ok()) << values[i] << ": " << status.ToString();
  }
  return column;
}

std::vector<std::string> ColumnToStrings(const Column& column) {
  std::vector<std::string> texts;
  for (size_t i = 0; i < column.size(); ++i) {
    texts.push_back(ValueToString(column, i));
  }
  return texts;
}

}  // namespace millrace
