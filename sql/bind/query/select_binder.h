// SELECT: turns the parse tree into a logical plan. Errors are INVALID_ARGUMENT with a position.
// Thread-compatible.
#ifndef MILLRACE_SQL_BIND_QUERY_SELECT_BINDER_H_
#define MILLRACE_SQL_BIND_QUERY_SELECT_BINDER_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "connectors/registry.h"
#include "plan/logical/expr_builder.h"
#include "plan/logical/logical_plan.h"
#include "sql/bind/expression/expr_binder.h"
#include "sql/bind/expression/scope.h"
#include "sql/catalog/catalog.h"
#include "sql/parse/source_text.h"
#include "third_party/pg_query.pb.h"

namespace millrace::sql {

// A query whose SELECT list is not applied yet: its expressions read the columns of `input`, and
// untyped literals in it still take the type of what they are inserted into.
struct BoundSelect {
  plan::LogicalNodePtr input;
  std::vector<proto::Expr> exprs;
  std::vector<std::string> names;
};

class SelectBinder {
 public:
  // All must outlive it.
  SelectBinder(const Catalog& catalog, const ConnectorRegistry& connectors,
               const plan::ExprBuilder& builder, const SourceText& source)
      : catalog_(catalog), connectors_(connectors), builder_(builder), source_(source) {}

  // `position` is where the query begins, for errors about the whole of it.
  absl::StatusOr<BoundSelect> Bind(const pg_query::SelectStmt& select, int32_t position);
  // The same, with the SELECT list applied.
  absl::StatusOr<plan::LogicalNodePtr> BindQuery(const pg_query::SelectStmt& select,
                                                 int32_t position);

 private:
  struct From {
    plan::LogicalNodePtr node;
    Scope scope;
  };
  // One item of FROM: its names and its plan.
  struct Relation {
    plan::LogicalNodePtr node;
    std::string alias;
    std::vector<plan::OutputColumn> visible;
    std::vector<plan::OutputColumn> hidden;
  };
  // SELECT list with its output names.
  struct Targets {
    std::vector<proto::Expr> exprs;
    std::vector<std::string> names;
  };

  // A set-returning function of the SELECT list, moved to the end of FROM; none if `node` is null.
  struct SelectFunction {
    const pg_query::Node* node = nullptr;
    proto::Expr column;
  };

  absl::Status RefuseClauses(const pg_query::SelectStmt& select, int32_t position) const;
  absl::Status BindCommonTables(const pg_query::WithClause& with);
  absl::StatusOr<Targets> BindTargets(const PgNodes& targets, const SelectFunction& function,
                                      const ExprBinder& binder, const Scope& scope) const;

  // from_binder.cc
  absl::StatusOr<From> BindFrom(const PgNodes& items, int32_t position);
  absl::Status AddItem(const pg_query::Node& item, From* from);
  absl::Status AddJoin(const pg_query::JoinExpr& join, From* from);
  absl::Status AddFunction(const pg_query::RangeFunction& function, bool left, From* from);
  absl::StatusOr<plan::TableFunctionNode> BindTableFunction(const std::string& name,
                                                            const pg_query::FuncCall& call,
                                                            const std::string& alias,
                                                            const From& from) const;
  // SELECT unnest(a) FROM t means FROM t, unnest(a).
  absl::StatusOr<SelectFunction> ExpandSelectFunction(const PgNodes& targets, From* from) const;
  absl::StatusOr<const pg_query::FuncCall*> FunctionCallOf(
      const pg_query::RangeFunction& function) const;
  absl::StatusOr<Relation> BindRelation(const pg_query::Node& item);
  absl::StatusOr<Relation> BindTable(const pg_query::RangeVar& range);
  Relation ScanTable(const TableDefinition& table,
                     const std::vector<std::pair<std::string, SqlType>>& metadata,
                     int32_t position) const;
  absl::StatusOr<Relation> BindSubquery(const pg_query::RangeSubselect& subquery);

  const Catalog& catalog_;
  const ConnectorRegistry& connectors_;
  const plan::ExprBuilder& builder_;
  const SourceText& source_;
  std::map<std::string, plan::LogicalNodePtr> common_tables_;  // WITH, by name
};

// Applies the SELECT list. Untyped literals become text.
absl::StatusOr<plan::LogicalNodePtr> FinishSelect(BoundSelect select,
                                                  const plan::ExprBuilder& builder);

// Renames leading columns by an alias list: t(a, b). An error at `position` if there are more names
// than columns.
absl::Status RenameColumns(const std::string& alias, const std::vector<std::string>& names,
                           int32_t position, std::vector<plan::OutputColumn>* columns);

}  // namespace millrace::sql

#endif  // MILLRACE_SQL_BIND_QUERY_SELECT_BINDER_H_
