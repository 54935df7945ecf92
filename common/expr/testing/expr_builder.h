// Builds expression protos in tests, without SQL.
#ifndef MILLRACE_COMMON_EXPR_TESTING_EXPR_BUILDER_H_
#define MILLRACE_COMMON_EXPR_TESTING_EXPR_BUILDER_H_

#include <string>
#include <string_view>
#include <vector>

#include "common/columnar/column.h"
#include "common/types/sql_type.h"
#include "proto/plan.pb.h"

namespace millrace {

inline constexpr SqlType kBool = MakeType(TypeId::kBool);
inline constexpr SqlType kInt32 = MakeType(TypeId::kInt32);
inline constexpr SqlType kInt64 = MakeType(TypeId::kInt64);
inline constexpr SqlType kFloat64 = MakeType(TypeId::kFloat64);
inline constexpr SqlType kText = MakeType(TypeId::kText);

proto::Expr ColumnExpr(uint32_t index, const SqlType& type);
proto::Expr LiteralExpr(const SqlType& type, std::string_view text);
proto::Expr NullExpr(const SqlType& type);
proto::Expr CallExpr(std::string_view function, const SqlType& result,
                     const std::vector<proto::Expr>& args);
proto::Expr FormExpr(proto::Expr::SpecialForm::Kind kind, const SqlType& result,
                     const std::vector<proto::Expr>& args);

// A column from the text forms of its values; "NULL" is NULL. A value that does not parse fails the
// test.
ColumnPtr MakeColumn(const SqlType& type, const std::vector<std::string>& values);
// The text forms of a column's values, "NULL" for NULL.
std::vector<std::string> ColumnToStrings(const Column& column);

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_TESTING_EXPR_BUILDER_H_
