#include "sql/bind/query/select_binder.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "plan/logical/expr_tree.h"
#include "plan/logical/sql_error.h"
#include "sql/bind/query/grouping.h"

namespace millrace::sql {
namespace {

// The name that PostgreSQL gives a column of the SELECT list without an alias.
std::string TargetName(const pg_query::Node& node) {
  switch (node.node_case()) {
    case pg_query::Node::kColumnRef: {
      const std::vector<std::string> parts = StringsOf(node.column_ref().fields());
      return parts.empty() ? "?column?" : parts.back();
    }
    case pg_query::Node::kFuncCall:
      return StringsOf(node.func_call().funcname()).back();
    case pg_query::Node::kTypeCast: {
      std::string inner = TargetName(node.type_cast().arg());
      return inner == "?column?" ? StringsOf(node.type_cast().type_name().names()).back() : inner;
    }
    case pg_query::Node::kAIndirection:
      return TargetName(node.a_indirection().arg());
    case pg_query::Node::kCaseExpr:
      return "case";
    case pg_query::Node::kCoalesceExpr:
      return "coalesce";
    case pg_query::Node::kMinMaxExpr:
      return node.min_max_expr().op() == pg_query::IS_GREATEST ? "greatest" : "least";
    case pg_query::Node::kAArrayExpr:
      return "array";
    case pg_query::Node::kAExpr:
      return node.a_expr().kind() == pg_query::AEXPR_NULLIF ? "nullif" : "?column?";
    default:
      return "?column?";
  }
}

// Whether a SELECT item is * or table.*, and of which table.
bool IsStar(const pg_query::Node& node, std::string* table) {
  if (!node.has_column_ref() || node.column_ref().fields().empty()) {
    return false;
  }
  const PgNodes& fields = node.column_ref().fields();
  if (!fields[fields.size() - 1].has_a_star()) {
    return false;
  }
  *table = fields.size() > 1 ? fields[fields.size() - 2].string().sval() : "";
  return true;
}

}  // namespace

absl::StatusOr<plan::LogicalNodePtr> FinishSelect(BoundSelect select,
                                                  const plan::ExprBuilder& builder) {
  for (proto::Expr& expr : select.exprs) {
    ASSIGN_OR_RETURN(expr, builder.ResolveUnknown(std::move(expr)));
  }
  return plan::MakeProject(std::move(select.input), std::move(select.exprs),
                           std::move(select.names));
}

absl::Status RenameColumns(const std::string& alias, const std::vector<std::string>& names,
                           int32_t position, std::vector<plan::OutputColumn>* columns) {
  if (names.size() > columns->size()) {
    return plan::ErrorAt(position,
                         absl::StrCat("\"", alias, "\" has ", columns->size(), " columns, but ",
                                      names.size(), " column aliases were given"));
  }
  for (size_t i = 0; i < names.size(); ++i) {
    (*columns)[i].name = names[i];
  }
  return absl::OkStatus();
}

absl::Status SelectBinder::RefuseClauses(const pg_query::SelectStmt& select,
                                         int32_t position) const {
  if (select.op() != pg_query::SETOP_NONE && select.op() != pg_query::SET_OPERATION_UNDEFINED) {
    const char* name = select.op() == pg_query::SETOP_UNION       ? "UNION"
                       : select.op() == pg_query::SETOP_INTERSECT ? "INTERSECT"
                                                                  : "EXCEPT";
    const int32_t right = LocationOf(select.rarg());
    return Unsupported(name, right < 0 ? position : source_.KeywordBefore(right, name));
  }
  const auto at = [&](const google::protobuf::Message& node, const char* keyword) {
    const int32_t location = LocationOf(node);
    return location < 0 ? position : source_.KeywordBefore(location, keyword);
  };
  if (!select.values_lists().empty()) {
    return Unsupported("VALUES", position);
  }
  if (select.has_into_clause()) {
    return Unsupported("SELECT INTO (write INSERT INTO table SELECT …)",
                       at(select.into_clause(), "into"));
  }
  if (!select.window_clause().empty()) {
    return Unsupported("WINDOW", at(select.window_clause(0), "window"));
  }
  if (!select.sort_clause().empty()) {
    return Unsupported("ORDER BY", at(select.sort_clause(0), "order"));
  }
  if (select.has_limit_count()) {
    return Unsupported("LIMIT", at(select.limit_count(), "limit"));
  }
  if (select.has_limit_offset()) {
    return Unsupported("OFFSET", at(select.limit_offset(), "offset"));
  }
  if (!select.locking_clause().empty()) {
    return Unsupported("FOR UPDATE", position);
  }
  // Plain DISTINCT is a list of one empty node.
  if (!select.distinct_clause().empty() && LocationOf(select.distinct_clause(0)) >= 0) {
    return Unsupported("DISTINCT ON", at(select.distinct_clause(0), "distinct"));
  }
  if (select.group_distinct()) {
    return Unsupported("GROUP BY DISTINCT", at(select.group_clause(0), "group"));
  }
  return absl::OkStatus();
}

absl::Status SelectBinder::BindCommonTables(const pg_query::WithClause& with) {
  if (with.recursive()) {
    return Unsupported("WITH RECURSIVE", with.location());
  }
  for (const pg_query::Node& node : with.ctes()) {
    const pg_query::CommonTableExpr& table = node.common_table_expr();
    if (!table.ctequery().has_select_stmt()) {
      return Unsupported("a statement other than SELECT in WITH", table.location());
    }
    ASSIGN_OR_RETURN(plan::LogicalNodePtr query,
                     BindQuery(table.ctequery().select_stmt(), table.location()));
    RETURN_IF_ERROR(RenameColumns(table.ctename(), StringsOf(table.aliascolnames()),
                                  table.location(), &query->output));
    plan::SetScope(query.get(), table.ctename());
    common_tables_[table.ctename()] = std::move(query);
  }
  return absl::OkStatus();
}

absl::StatusOr<SelectBinder::Targets> SelectBinder::BindTargets(const PgNodes& targets,
                                                                const SelectFunction& function,
                                                                const ExprBinder& binder,
                                                                const Scope& scope) const {
  Targets bound;
  for (const pg_query::Node& node : targets) {
    const pg_query::ResTarget& target = node.res_target();
    std::string table;
    if (IsStar(target.val(), &table)) {
      ASSIGN_OR_RETURN(const std::vector<ScopeColumn> columns,
                       scope.Expand(table, target.location()));
      for (const ScopeColumn& column : columns) {
        bound.exprs.push_back(plan::MakeColumn(column.index, column.type, target.location()));
        bound.names.push_back(column.name);
      }
      continue;
    }
    proto::Expr expr = function.column;
    if (&target.val() != function.node) {
      ASSIGN_OR_RETURN(expr, binder.Bind(target.val()));
    }
    bound.exprs.push_back(std::move(expr));
    bound.names.push_back(target.name().empty() ? TargetName(target.val()) : target.name());
  }
  return bound;
}

absl::StatusOr<BoundSelect> SelectBinder::Bind(const pg_query::SelectStmt& select,
                                               int32_t position) {
  if (select.has_with_clause()) {
    RETURN_IF_ERROR(BindCommonTables(select.with_clause()));
  }
  RETURN_IF_ERROR(RefuseClauses(select, position));
  ASSIGN_OR_RETURN(From from, BindFrom(select.from_clause(), position));
  if (select.has_where_clause()) {
    ASSIGN_OR_RETURN(
        proto::Expr where,
        ExprBinder(builder_, from.scope, "WHERE", nullptr).BindBoolean(select.where_clause()));
    from.node = plan::MakeFilter(std::move(from.node), std::move(where));
  }

  ASSIGN_OR_RETURN(const SelectFunction function,
                   ExpandSelectFunction(select.target_list(), &from));
  AggregateCollector aggregates;
  ASSIGN_OR_RETURN(
      Targets targets,
      BindTargets(select.target_list(), function,
                  ExprBinder(builder_, from.scope, "SELECT", &aggregates), from.scope));
  std::optional<proto::Expr> having;
  if (select.has_having_clause()) {
    ASSIGN_OR_RETURN(having, ExprBinder(builder_, from.scope, "HAVING", &aggregates)
                                 .BindBoolean(select.having_clause()));
  }
  if (!select.group_clause().empty() || !aggregates.calls.empty() || having.has_value()) {
    Grouping grouping(builder_, from.scope);
    RETURN_IF_ERROR(grouping.AddKeys(select.group_clause(), targets.exprs, targets.names));
    ASSIGN_OR_RETURN(from.node, grouping.Apply(std::move(from.node), std::move(aggregates),
                                               std::move(having), &targets.exprs, position));
  }
  BoundSelect bound{.input = std::move(from.node),
                    .exprs = std::move(targets.exprs),
                    .names = std::move(targets.names)};
  if (select.distinct_clause().empty()) {
    return bound;
  }
  const std::vector<std::string> names = bound.names;
  ASSIGN_OR_RETURN(plan::LogicalNodePtr query, FinishSelect(std::move(bound), builder_));
  plan::LogicalNodePtr distinct = MakeDistinct(std::move(query), position);
  BoundSelect result{.input = nullptr, .exprs = {}, .names = names};
  for (uint32_t i = 0; i < distinct->output.size(); ++i) {
    result.exprs.push_back(plan::MakeColumn(i, distinct->output[i].type, position));
  }
  result.input = std::move(distinct);
  return result;
}

absl::StatusOr<plan::LogicalNodePtr> SelectBinder::BindQuery(const pg_query::SelectStmt& select,
                                                             int32_t position) {
  // Names of WITH are visible in this query and inside it only.
  std::map<std::string, plan::LogicalNodePtr> outer;
  for (const auto& [name, query] : common_tables_) {
    outer.emplace(name, plan::Clone(*query));
  }
  ASSIGN_OR_RETURN(BoundSelect bound, Bind(select, position));
  common_tables_ = std::move(outer);
  return FinishSelect(std::move(bound), builder_);
}

}  // namespace millrace::sql
