#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "plan/logical/expr_tree.h"
#include "plan/logical/sql_error.h"
#include "sql/bind/query/select_binder.h"
#include "sql/catalog/create_table.h"

namespace millrace::sql {
namespace {

bool IsWindowFunction(const std::string& name) {
  return name == "tumble" || name == "hop" || name == "session";
}

SqlType ColumnTypeOf(const SqlType& declared, const std::vector<proto::Expr>& args) {
  if (declared.id != TypeId::kUnknown) {
    return declared;
  }
  const auto array = std::find_if(args.begin(), args.end(), [](const proto::Expr& arg) {
    return arg.type().kind() == proto::TYPE_ARRAY;
  });
  return array == args.end() ? declared : MakeType(plan::TypeOf(*array).element);
}

// The function's columns: its own names, except that a single unnamed one is called as the item is.
std::vector<plan::OutputColumn> FunctionColumns(const plan::ResolvedCall<TableFunctionDef>& call,
                                                const std::string& alias) {
  const TableFunctionDef& function = *call.function;
  std::vector<plan::OutputColumn> columns;
  for (size_t i = 0; i < function.column_types.size(); ++i) {
    std::string name = i < function.column_names.size() ? function.column_names[i] : "";
    if (function.column_types.size() == 1 && (name.empty() || name == function.name)) {
      name = alias;
    }
    columns.push_back({name, ColumnTypeOf(function.column_types[i], call.args)});
  }
  return columns;
}

bool IsConstantTrue(const pg_query::Node& node) {
  return node.has_a_const() && node.a_const().has_boolval() && node.a_const().boolval().boolval();
}

}  // namespace

absl::StatusOr<SelectBinder::From> SelectBinder::BindFrom(const PgNodes& items, int32_t position) {
  From from;
  for (const pg_query::Node& item : items) {
    RETURN_IF_ERROR(AddItem(item, &from));
  }
  if (from.node == nullptr) {
    return plan::ErrorAt(position,
                         "a query needs a table in FROM: a job reads at least one source");
  }
  return from;
}

absl::Status SelectBinder::AddItem(const pg_query::Node& item, From* from) {
  if (item.has_join_expr()) {
    return AddJoin(item.join_expr(), from);
  }
  if (item.has_range_function()) {
    return AddFunction(item.range_function(), false, from);
  }
  if (from->node != nullptr) {
    return Unsupported("a JOIN between tables (here: a second table in FROM)", LocationOf(item));
  }
  ASSIGN_OR_RETURN(Relation relation, BindRelation(item));
  from->node = std::move(relation.node);
  return from->scope.AddTable(relation.alias, relation.visible, relation.hidden, LocationOf(item));
}

absl::Status SelectBinder::AddJoin(const pg_query::JoinExpr& join, From* from) {
  const int32_t right = LocationOf(join.rarg());
  const int32_t position = right < 0 ? LocationOf(join) : source_.KeywordBefore(right, "join");
  if (!join.rarg().has_range_function()) {
    return Unsupported("JOIN between tables", position);
  }
  if (join.has_alias() || join.is_natural() || !join.using_clause().empty()) {
    return Unsupported("NATURAL, USING or an alias on a JOIN", position);
  }
  const bool left = join.jointype() == pg_query::JOIN_LEFT;
  if (!left && join.jointype() != pg_query::JOIN_INNER) {
    return Unsupported("RIGHT and FULL JOIN", position);
  }
  if (join.has_quals() && !IsConstantTrue(join.quals())) {
    return Unsupported("a JOIN with a table function ON anything but true (use WHERE)",
                       LocationOf(join.quals()));
  }
  RETURN_IF_ERROR(AddItem(join.larg(), from));
  return AddFunction(join.rarg().range_function(), left, from);
}

absl::StatusOr<const pg_query::FuncCall*> SelectBinder::FunctionCallOf(
    const pg_query::RangeFunction& function) const {
  const int32_t position = LocationOf(function);
  if (function.functions_size() != 1 || function.is_rowsfrom()) {
    return Unsupported("ROWS FROM", position);
  }
  if (!function.coldeflist().empty()) {
    return Unsupported("a column definition list", position);
  }
  const pg_query::Node& item = function.functions(0).list().items(0);
  if (!item.has_func_call()) {
    return Unsupported("this expression in FROM", position);
  }
  const pg_query::FuncCall& call = item.func_call();
  if (call.agg_star() || call.agg_distinct() || call.has_agg_filter() ||
      !call.agg_order().empty() || call.has_over() || call.func_variadic()) {
    return Unsupported("aggregate, window and VARIADIC syntax in FROM", position);
  }
  return &call;
}

absl::Status SelectBinder::AddFunction(const pg_query::RangeFunction& function, bool left,
                                       From* from) {
  ASSIGN_OR_RETURN(const pg_query::FuncCall* call, FunctionCallOf(function));
  const int32_t position = call->location();
  ASSIGN_OR_RETURN(const std::string name, UnqualifiedName(call->funcname(), "function", position));
  if (IsWindowFunction(name)) {
    return Unsupported(absl::StrCat("a time window (", name, ")"), position);
  }
  if (from->node == nullptr) {
    return plan::ErrorAt(position,
                         absl::StrCat("a query needs a table in FROM before the function ", name,
                                      ": a job reads at least one source"));
  }
  if (builder_.functions().Tables(name).empty() && !builder_.functions().Scalars(name).empty()) {
    return plan::ErrorAt(
        position, absl::StrCat("function ", name,
                               " returns a single value and is not supported in FROM; use it "
                               "in the SELECT list"));
  }
  const std::string alias = function.has_alias() ? function.alias().aliasname() : name;
  ASSIGN_OR_RETURN(plan::TableFunctionNode node, BindTableFunction(name, *call, alias, *from));
  node.with_ordinality = function.ordinality();
  node.left = left;
  if (function.ordinality()) {
    node.columns.push_back({"ordinality", MakeType(TypeId::kInt64)});
  }
  RETURN_IF_ERROR(
      RenameColumns(alias, StringsOf(function.alias().colnames()), position, &node.columns));
  const std::vector<plan::OutputColumn> columns = node.columns;
  from->node = plan::MakeTableFunction(std::move(from->node), std::move(node), position);
  return columns.size() == 1 ? from->scope.AddScalarFunction(alias, columns.front(), position)
                             : from->scope.AddTable(alias, columns, {}, position);
}

absl::StatusOr<plan::TableFunctionNode> SelectBinder::BindTableFunction(
    const std::string& name, const pg_query::FuncCall& call, const std::string& alias,
    const From& from) const {
  ASSIGN_OR_RETURN(
      std::vector<proto::Expr> args,
      ExprBinder(builder_, from.scope, "set-returning functions", nullptr).BindAll(call.args()));
  ASSIGN_OR_RETURN(plan::ResolvedCall<TableFunctionDef> resolved,
                   builder_.TableFunction(name, std::move(args), call.location()));
  plan::TableFunctionNode node;
  node.function = resolved.function->name;
  node.kept.resize(from.node->output.size());
  std::iota(node.kept.begin(), node.kept.end(), 0);
  node.columns = FunctionColumns(resolved, alias);
  node.args = std::move(resolved.args);
  return node;
}

absl::StatusOr<SelectBinder::SelectFunction> SelectBinder::ExpandSelectFunction(
    const PgNodes& targets, From* from) const {
  SelectFunction expanded;
  for (const pg_query::Node& target : targets) {
    const pg_query::Node& value = target.res_target().val();
    if (!value.has_func_call() || StringsOf(value.func_call().funcname()).empty()) {
      continue;
    }
    const pg_query::FuncCall& call = value.func_call();
    const std::string name = StringsOf(call.funcname()).back();
    if (builder_.functions().Tables(name).empty() || !builder_.functions().Scalars(name).empty()) {
      continue;
    }
    const int32_t position = call.location();
    if (expanded.node != nullptr) {
      return Unsupported("a second set-returning function in a SELECT list", position);
    }
    ASSIGN_OR_RETURN(plan::TableFunctionNode node, BindTableFunction(name, call, name, *from));
    if (node.columns.size() != 1) {
      return Unsupported(
          absl::StrCat("function ", name,
                       ", which returns several columns, in a SELECT list (write it in FROM)"),
          position);
    }
    const plan::OutputColumn column = node.columns.front();
    expanded.node = &value;
    expanded.column =
        plan::MakeColumn(static_cast<uint32_t>(node.kept.size()), column.type, position);
    from->node = plan::MakeTableFunction(std::move(from->node), std::move(node), position);
    // No expression can name this column; the scope must only count it.
    RETURN_IF_ERROR(from->scope.AddTable("", {}, {{name, column.type}}, position));
  }
  return expanded;
}

absl::StatusOr<SelectBinder::Relation> SelectBinder::BindRelation(const pg_query::Node& item) {
  if (item.has_range_var()) {
    return BindTable(item.range_var());
  }
  if (item.has_range_subselect()) {
    return BindSubquery(item.range_subselect());
  }
  return Unsupported(ConstructName(item), LocationOf(item));
}

absl::StatusOr<SelectBinder::Relation> SelectBinder::BindTable(const pg_query::RangeVar& range) {
  const int32_t position = range.location();
  ASSIGN_OR_RETURN(const std::string name, RelationName(range));
  Relation relation;
  if (const auto common = common_tables_.find(name); common != common_tables_.end()) {
    relation.node = plan::Clone(*common->second);
    relation.visible = relation.node->output;
  } else {
    ASSIGN_OR_RETURN(const Catalog::Entry entry, catalog_.Find(name, position));
    if (entry.view != nullptr) {
      relation.node = plan::Clone(*entry.view->query);
      plan::SetScope(relation.node.get(), name);
      relation.visible = relation.node->output;
    } else {
      const auto connector = connectors_.Source(entry.table->connector);
      if (!connector.ok()) {
        return plan::ErrorAt(
            position,
            absl::StrCat("table \"", name, "\" cannot be read: ", connector.status().message()));
      }
      if (!entry.table->primary_key.empty()) {
        return plan::ErrorAt(
            entry.table->primary_key_position,
            absl::StrCat(
                "PRIMARY KEY on table \"", name,
                "\", which is read as a source (last value per key), is not supported yet"));
      }
      relation = ScanTable(*entry.table, (*connector)->MetadataColumns(), position);
    }
  }
  relation.alias = range.has_alias() ? range.alias().aliasname() : name;
  RETURN_IF_ERROR(RenameColumns(relation.alias, StringsOf(range.alias().colnames()), position,
                                &relation.visible));
  return relation;
}

SelectBinder::Relation SelectBinder::ScanTable(
    const TableDefinition& table, const std::vector<std::pair<std::string, SqlType>>& metadata,
    int32_t position) const {
  Relation relation;
  std::vector<proto::SourceColumn> columns;
  const auto add = [&columns](const std::string& name, const SqlType& type, int declared) {
    proto::SourceColumn& column = columns.emplace_back();
    column.set_name(name);
    TypeToProto(type, column.mutable_type());
    column.set_declared(declared);
  };
  for (const plan::OutputColumn& column : table.columns) {
    add(column.name, column.type, static_cast<int>(columns.size()));
  }
  for (const auto& [name, type] : metadata) {
    add(name, type, -1);
    relation.hidden.push_back({name, type});
  }
  relation.visible = table.columns;
  relation.node = plan::MakeScan(std::make_shared<const proto::Source>(MakeSource(table)),
                                 std::move(columns), position);
  return relation;
}

absl::StatusOr<SelectBinder::Relation> SelectBinder::BindSubquery(
    const pg_query::RangeSubselect& subquery) {
  const int32_t position = LocationOf(subquery);
  if (subquery.lateral()) {
    return Unsupported("LATERAL with a subquery", position);
  }
  Relation relation;
  relation.alias = subquery.alias().aliasname();
  ASSIGN_OR_RETURN(relation.node, BindQuery(subquery.subquery().select_stmt(), position));
  plan::SetScope(relation.node.get(), relation.alias);
  relation.visible = relation.node->output;
  RETURN_IF_ERROR(RenameColumns(relation.alias, StringsOf(subquery.alias().colnames()), position,
                                &relation.visible));
  return relation;
}

}  // namespace millrace::sql
