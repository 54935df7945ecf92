// Turns parse-tree expressions into typed ones: finds columns in a Scope, and functions and
// operators through ExprBuilder. One per clause; thread-compatible. Errors are INVALID_ARGUMENT
// with a position.
#ifndef MILLRACE_SQL_BIND_EXPRESSION_EXPR_BINDER_H_
#define MILLRACE_SQL_BIND_EXPRESSION_EXPR_BINDER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "plan/logical/expr_builder.h"
#include "proto/plan.pb.h"
#include "sql/bind/expression/scope.h"
#include "sql/parse/ast.h"
#include "third_party/pg_query.pb.h"

namespace millrace::sql {

// Aggregate calls found in the expressions of a query. An expression refers to call i as to column
// kFirstColumn + i, until the query knows where aggregates end up.
struct AggregateCollector {
  static constexpr uint32_t kFirstColumn = 1u << 24;

  std::vector<proto::AggregateCall> calls;
  std::vector<const AggregateFunction*> functions;
};

class ExprBinder {
 public:
  // `clause` is for messages ("WHERE"). `aggregates` is null where aggregate functions are not
  // allowed. All must outlive it.
  ExprBinder(const plan::ExprBuilder& builder, const Scope& scope, std::string clause,
             AggregateCollector* aggregates)
      : builder_(builder), scope_(scope), clause_(std::move(clause)), aggregates_(aggregates) {}

  // An untyped literal that is the whole expression stays of TYPE_UNKNOWN.
  absl::StatusOr<proto::Expr> Bind(const pg_query::Node& node) const;
  absl::StatusOr<proto::Expr> BindBoolean(const pg_query::Node& node) const;
  absl::StatusOr<std::vector<proto::Expr>> BindAll(const PgNodes& nodes) const;

 private:
  using Exprs = std::vector<proto::Expr>;

  // expr_binder.cc: names and constants
  absl::StatusOr<proto::Expr> BindColumn(const pg_query::ColumnRef& reference) const;
  absl::StatusOr<proto::Expr> BindConstant(const pg_query::A_Const& constant) const;
  absl::StatusOr<proto::Expr> BindCast(const pg_query::TypeCast& cast) const;
  absl::StatusOr<proto::Expr> BindSqlValue(const pg_query::SQLValueFunction& function) const;
  absl::StatusOr<proto::Expr> BindArray(const pg_query::A_ArrayExpr& array,
                                        const SqlType* element) const;
  absl::StatusOr<proto::Expr> BindIndirection(const pg_query::A_Indirection& indirection) const;

  // expr_binder_operators.cc
  absl::StatusOr<proto::Expr> BindOperator(const pg_query::A_Expr& expr) const;
  absl::StatusOr<proto::Expr> BindPlainOperator(const pg_query::A_Expr& expr,
                                                const std::string& symbol) const;
  absl::StatusOr<proto::Expr> BindQuantified(const pg_query::A_Expr& expr,
                                             const std::string& symbol) const;
  // The operator = as PostgreSQL finds it: a call. Its sides have one type, except for a date or
  // timestamp beside a moment of another type, which may have no value for it.
  absl::StatusOr<proto::Expr> BindEqual(proto::Expr left, proto::Expr right,
                                        int32_t position) const;
  // Whether the needle equals any of the values: a list for all values of one type.
  absl::StatusOr<proto::Expr> BindAnyEqual(const proto::Expr& needle, Exprs values,
                                           int32_t position) const;
  absl::StatusOr<proto::Expr> BindDistinct(const pg_query::A_Expr& expr) const;
  absl::StatusOr<proto::Expr> BindNullIf(const pg_query::A_Expr& expr) const;
  absl::StatusOr<proto::Expr> BindIn(const pg_query::Node& needle, const PgNodes& values,
                                     bool negated, int32_t position) const;
  absl::StatusOr<proto::Expr> BindLike(const pg_query::A_Expr& expr,
                                       const std::string& symbol) const;
  absl::StatusOr<proto::Expr> BindBetween(const pg_query::A_Expr& expr) const;

  // expr_binder_forms.cc
  // Returns the expression unless it is too large: for constructs that repeat their parts.
  static absl::StatusOr<proto::Expr> CheckSize(proto::Expr expr);
  absl::StatusOr<proto::Expr> BindLogical(const pg_query::BoolExpr& expr) const;
  absl::StatusOr<proto::Expr> BindNullTest(const pg_query::NullTest& test) const;
  absl::StatusOr<proto::Expr> BindBooleanTest(const pg_query::BooleanTest& test) const;
  absl::StatusOr<proto::Expr> BindCase(const pg_query::CaseExpr& expr) const;
  absl::StatusOr<proto::Expr> BindUnified(proto::Expr::SpecialForm::Kind kind, const PgNodes& args,
                                          const std::string& what, int32_t position) const;

  // expr_binder_calls.cc
  absl::StatusOr<proto::Expr> BindCall(const pg_query::FuncCall& call) const;
  absl::StatusOr<proto::Expr> BindAggregate(const std::string& name,
                                            const pg_query::FuncCall& call) const;
  absl::Status RefuseAggregateSyntax(const std::string& name, const pg_query::FuncCall& call) const;

  const plan::ExprBuilder& builder_;
  const Scope& scope_;
  const std::string clause_;
  AggregateCollector* const aggregates_;
};

// batch_time() as an expression.
proto::Expr MakeBatchTime(int32_t position);

}  // namespace millrace::sql

#endif  // MILLRACE_SQL_BIND_EXPRESSION_EXPR_BINDER_H_
