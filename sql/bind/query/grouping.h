// GROUP BY, HAVING, aggregates and DISTINCT of one SELECT. Errors are INVALID_ARGUMENT with a
// position.
#ifndef MILLRACE_SQL_BIND_QUERY_GROUPING_H_
#define MILLRACE_SQL_BIND_QUERY_GROUPING_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "plan/logical/logical_plan.h"
#include "sql/bind/expression/expr_binder.h"
#include "sql/bind/expression/scope.h"
#include "third_party/pg_query.pb.h"

namespace millrace::sql {

// Inserts an aggregation between a query's FROM and its SELECT list. Thread-compatible; all
// arguments must outlive it.
class Grouping {
 public:
  Grouping(const plan::ExprBuilder& builder, const Scope& scope)
      : builder_(builder), scope_(scope) {}

  // GROUP BY items: expressions, ordinals of the SELECT list, and its aliases where no column has
  // the name.
  absl::Status AddKeys(const PgNodes& items, const std::vector<proto::Expr>& targets,
                       const std::vector<std::string>& names);

  // Puts the aggregation on top of `input`. `having` and `targets` are rewritten to read its output
  // and `having` is applied. `position` is the query's.
  absl::StatusOr<plan::LogicalNodePtr> Apply(plan::LogicalNodePtr input,
                                             AggregateCollector collector,
                                             std::optional<proto::Expr> having,
                                             std::vector<proto::Expr>* targets, int32_t position);

 private:
  absl::StatusOr<proto::Expr> BindKey(const pg_query::Node& item,
                                      const std::vector<proto::Expr>& targets,
                                      const std::vector<std::string>& names) const;
  absl::StatusOr<proto::Expr> Rewrite(const proto::Expr& expr) const;

  const plan::ExprBuilder& builder_;
  const Scope& scope_;
  std::vector<proto::Expr> keys_;
  // Keys that are the time of the batch: not part of the state's key.
  std::vector<proto::Expr> batch_times_;
};

// SELECT DISTINCT: one row per combination of the query's columns.
plan::LogicalNodePtr MakeDistinct(plan::LogicalNodePtr query, int32_t position);

}  // namespace millrace::sql

#endif  // MILLRACE_SQL_BIND_QUERY_GROUPING_H_
