// Building, comparing and rewriting bound expressions (proto::Expr), which are the same from the
// binder to the executor. Pure functions; column indexes always mean the output columns of the node
// below.
#ifndef MILLRACE_PLAN_LOGICAL_EXPR_TREE_H_
#define MILLRACE_PLAN_LOGICAL_EXPR_TREE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/columnar/column.h"
#include "common/expr/function_registry.h"
#include "common/types/sql_type.h"
#include "proto/plan.pb.h"

namespace millrace::plan {

using SpecialFormKind = proto::Expr::SpecialForm::Kind;
using ExprList = google::protobuf::RepeatedPtrField<proto::Expr>;

// Deeper expressions would exceed protobuf's limit of 100 nested messages on the wire (two per
// level).
constexpr int kMaxExprDepth = 40;

// The largest expression. Constructs that repeat a part of their text (CASE x WHEN, BETWEEN, a view
// merged into its readers) fail beyond it: otherwise each nesting would double the expression.
constexpr int kMaxExprSize = 10000;

SqlType TypeOf(const proto::Expr& expr);

proto::Expr MakeColumn(uint32_t index, const SqlType& type, int32_t position);
// `text`: in the form of proto::Literal.
proto::Expr MakeLiteral(std::string_view text, const SqlType& type, int32_t position);
proto::Expr MakeNull(const SqlType& type, int32_t position);
proto::Expr MakeBool(bool value, int32_t position);
proto::Expr MakeCall(std::string_view function, std::vector<proto::Expr> args,
                     const SqlType& result, int32_t position);
proto::Expr MakeForm(SpecialFormKind kind, std::vector<proto::Expr> args, const SqlType& result,
                     int32_t position);
// The AND of all conjuncts; a single one as it is. REQUIRES: not empty.
proto::Expr MakeAnd(std::vector<proto::Expr> conjuncts);

// Arguments of a call or special form; empty for columns and literals.
const ExprList& ArgsOf(const proto::Expr& expr);
ExprList* MutableArgsOf(proto::Expr* expr);

bool IsForm(const proto::Expr& expr, SpecialFormKind kind);
bool IsNullLiteral(const proto::Expr& expr);
// A boolean constant of that value (NULL is neither).
bool IsBoolLiteral(const proto::Expr& expr, bool value);

// Equal in everything but positions.
bool SameExpr(const proto::Expr& a, const proto::Expr& b);
// Whether `test` holds for the expression or for one inside it.
bool AnyExpr(const proto::Expr& expr, const std::function<bool(const proto::Expr&)>& test);
// The first expression inside that reads the time of the batch; null if none.
const proto::Expr* FindBatchTime(const proto::Expr& expr);
bool ReadsColumns(const proto::Expr& expr);
int DepthOf(const proto::Expr& expr);
// The number of expressions in it, itself included.
int SizeOf(const proto::Expr& expr);

// Marks the columns the expression reads. REQUIRES: `used` is as long as the input has columns.
void MarkColumns(const proto::Expr& expr, std::vector<bool>* used);
// Replaces column i by column mapping[i].
void RemapColumns(proto::Expr* expr, const std::vector<uint32_t>& mapping);
// The expression with column i replaced by replacements[i].
proto::Expr SubstituteColumns(const proto::Expr& expr,
                              const std::vector<proto::Expr>& replacements);

// Whether SubstituteColumns gives an expression of reasonable size and depth.
bool CanSubstituteColumns(const proto::Expr& expr, const std::vector<proto::Expr>& replacements);

// Splits nested ANDs into their parts, in order of evaluation.
void SplitConjuncts(const proto::Expr& predicate, std::vector<proto::Expr>* out);

// Whether the expression evaluates arguments behind the first for some rows only.
bool GuardsArguments(const proto::Expr& expr);

// Whether evaluation can never add a row error.
bool IsInfallible(const proto::Expr& expr, const FunctionRegistry& functions);
// Whether two evaluations may differ (random()).
bool IsVolatile(const proto::Expr& expr, const FunctionRegistry& functions);

// The constant as a column of one row. REQUIRES: a literal.
absl::StatusOr<ColumnPtr> LiteralToColumn(const proto::Expr& literal);
// Row 0 of `column` as a literal of `type`. REQUIRES: not an array.
proto::Expr ColumnToLiteral(const Column& column, const SqlType& type, int32_t position);
// `text` read as `type`, in canonical form. Errors read like PostgreSQL's.
absl::StatusOr<proto::Expr> ParseLiteral(std::string_view text, const SqlType& type,
                                         int32_t position);

}  // namespace millrace::plan

#endif  // MILLRACE_PLAN_LOGICAL_EXPR_TREE_H_
