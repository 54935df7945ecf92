#include "sql/catalog/create_table.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "plan/logical/sql_error.h"
#include "sql/parse/ast.h"

namespace millrace::sql {
namespace {

class TableBinder {
 public:
  TableBinder(const pg_query::CreateStmt& statement, const SourceText& source,
              const ConnectorRegistry& connectors)
      : statement_(statement), source_(source), connectors_(connectors) {}

  absl::StatusOr<TableDefinition> Bind() {
    table_.position = statement_.relation().location();
    ASSIGN_OR_RETURN(table_.name, RelationName(statement_.relation()));
    RETURN_IF_ERROR(RefuseClauses());
    for (const pg_query::Node& element : statement_.table_elts()) {
      RETURN_IF_ERROR(BindElement(element));
    }
    if (table_.columns.empty()) {
      return plan::ErrorAt(table_.position,
                           absl::StrCat("table \"", table_.name, "\" needs at least one column"));
    }
    RETURN_IF_ERROR(CheckPrimaryKey());
    RETURN_IF_ERROR(BindOptions());
    RETURN_IF_ERROR(CheckConnector());
    return std::move(table_);
  }

 private:
  absl::Status RefuseClauses() const {
    const int32_t position = table_.position;
    if (statement_.relation().relpersistence() == "t" ||
        statement_.relation().relpersistence() == "u") {
      return Unsupported("a TEMPORARY or UNLOGGED table", position);
    }
    if (!statement_.inh_relations().empty() || statement_.has_partspec() ||
        statement_.has_partbound()) {
      return Unsupported("INHERITS and PARTITION", position);
    }
    if (statement_.has_of_typename() || !statement_.tablespacename().empty() ||
        !statement_.access_method().empty()) {
      return Unsupported("OF, TABLESPACE and USING in CREATE TABLE", position);
    }
    return absl::OkStatus();
  }

  absl::Status BindElement(const pg_query::Node& element) {
    if (element.has_column_def()) {
      return BindColumn(element.column_def());
    }
    if (element.has_constraint()) {
      return BindConstraint(element.constraint(), nullptr);
    }
    return Unsupported("LIKE in CREATE TABLE", LocationOf(element));
  }

  absl::Status BindColumn(const pg_query::ColumnDef& column) {
    const auto same_name = [&column](const plan::OutputColumn& other) {
      return other.name == column.colname();
    };
    if (std::any_of(table_.columns.begin(), table_.columns.end(), same_name)) {
      return plan::ErrorAt(column.location(),
                           absl::StrCat("column \"", column.colname(), "\" is declared twice"));
    }
    ASSIGN_OR_RETURN(const SqlType type, BindTypeName(column.type_name()));
    if (type.id == TypeId::kArray) {
      return plan::ErrorAt(column.type_name().location(),
                           absl::StrCat("type ", type.ToString(),
                                        " is not supported for a table's column; arrays exist "
                                        "within queries only"));
    }
    if (column.has_coll_clause()) {
      return Unsupported("COLLATE", column.location());
    }
    table_.columns.push_back({column.colname(), type});
    for (const pg_query::Node& constraint : column.constraints()) {
      RETURN_IF_ERROR(BindConstraint(constraint.constraint(), &column.colname()));
    }
    return absl::OkStatus();
  }

  // `column`: the column whose definition has the constraint; null for a constraint of the table.
  absl::Status BindConstraint(const pg_query::Constraint& constraint, const std::string* column) {
    switch (constraint.contype()) {
      case pg_query::CONSTR_NULL:
        return absl::OkStatus();
      case pg_query::CONSTR_PRIMARY:
        break;
      case pg_query::CONSTR_NOTNULL:
        return Unsupported("NOT NULL", constraint.location());
      case pg_query::CONSTR_DEFAULT:
        return Unsupported("DEFAULT", constraint.location());
      case pg_query::CONSTR_CHECK:
        return Unsupported("CHECK", constraint.location());
      case pg_query::CONSTR_UNIQUE:
        return Unsupported("UNIQUE", constraint.location());
      case pg_query::CONSTR_FOREIGN:
        return Unsupported("a foreign key", constraint.location());
      case pg_query::CONSTR_GENERATED:
      case pg_query::CONSTR_IDENTITY:
        return Unsupported("a generated column", constraint.location());
      default:
        return Unsupported("this constraint", constraint.location());
    }
    if (!table_.primary_key.empty()) {
      return plan::ErrorAt(constraint.location(), "a table has one PRIMARY KEY");
    }
    table_.primary_key_position = constraint.location();
    table_.primary_key =
        column == nullptr ? StringsOf(constraint.keys()) : std::vector<std::string>{*column};
    return absl::OkStatus();
  }

  absl::Status CheckPrimaryKey() const {
    for (const std::string& key : table_.primary_key) {
      const auto found =
          std::find_if(table_.columns.begin(), table_.columns.end(),
                       [&key](const plan::OutputColumn& column) { return column.name == key; });
      if (found == table_.columns.end()) {
        return plan::ErrorAt(
            table_.primary_key_position,
            absl::StrCat("PRIMARY KEY names column \"", key, "\", which the table does not have"));
      }
    }
    return absl::OkStatus();
  }

  absl::Status BindOptions() {
    for (const pg_query::Node& node : statement_.options()) {
      RETURN_IF_ERROR(BindOption(node.def_elem()));
    }
    if (!statement_.options().empty()) {
      table_.with_position =
          source_.KeywordBefore(statement_.options(0).def_elem().location(), "with");
    }
    if (table_.connector.empty()) {
      return plan::ErrorAt(
          table_.position,
          absl::StrCat(
              "table \"", table_.name,
              "\" has no connector: tables held by the engine are not supported yet; add WITH "
              "(connector = '…')"));
    }
    return absl::OkStatus();
  }

  absl::Status BindOption(const pg_query::DefElem& option) {
    const std::string name = option.defnamespace().empty()
                                 ? option.defname()
                                 : absl::StrCat(option.defnamespace(), ".", option.defname());
    if (!table_.option_positions.emplace(name, option.location()).second) {
      return plan::ErrorAt(option.location(), absl::StrCat("option \"", name, "\" is given twice"));
    }
    std::string value;
    if (!option.has_arg() || !ConstantText(option.arg(), &value)) {
      return plan::ErrorAt(option.location(),
                           absl::StrCat("option \"", name, "\" needs a value: ", name, " = '…'"));
    }
    if (name == "watermark" || name == "late" || name == "emit") {
      return Unsupported(absl::StrCat("option \"", name, "\""), option.location());
    }
    if (name == "connector") {
      table_.connector = value;
    } else if (name == "format") {
      table_.format = value;
      return plan::WithPosition(connectors_.FindFormat(value).status(), option.location());
    } else if (name == "on_error") {
      return BindOnError(value, option.location());
    } else {
      table_.options.emplace(name, value);
    }
    return absl::OkStatus();
  }

  absl::Status BindOnError(const std::string& value, int32_t position) {
    constexpr char kTable[] = "table:";
    if (absl::StartsWith(value, kTable) && value != kTable) {
      table_.on_error = proto::ON_ERROR_TABLE;
      table_.error_table = value.substr(sizeof(kTable) - 1);
    } else if (value == "fail" || value == "skip") {
      table_.on_error = value == "skip" ? proto::ON_ERROR_SKIP : proto::ON_ERROR_FAIL;
    } else {
      return plan::ErrorAt(
          position,
          absl::StrCat("on_error must be 'fail', 'skip' or 'table:NAME', not '", value, "'"));
    }
    return absl::OkStatus();
  }

  absl::Status CheckConnector() const {
    const auto source = connectors_.Source(table_.connector);
    const auto sink = connectors_.Sink(table_.connector);
    const int32_t position = table_.option_positions.at("connector");
    if (!source.ok() && !sink.ok()) {
      return plan::ErrorAt(position,
                           absl::StrCat(source.status().message(), "; ", sink.status().message()));
    }
    if (source.ok()) {
      RETURN_IF_ERROR(CheckNotReserved((*source)->MetadataColumns()));
    }
    return sink.ok() ? CheckNotReserved((*sink)->MetadataColumns()) : absl::OkStatus();
  }

  absl::Status CheckNotReserved(
      const std::vector<std::pair<std::string, SqlType>>& reserved) const {
    for (const auto& [name, type] : reserved) {
      for (const plan::OutputColumn& column : table_.columns) {
        if (column.name == name) {
          return plan::ErrorAt(table_.position,
                               absl::StrCat("column \"", name, "\" of table \"", table_.name,
                                            "\" has the name of a hidden column of connector ",
                                            table_.connector, "; leave it out, or rename it"));
        }
      }
    }
    return absl::OkStatus();
  }

  const pg_query::CreateStmt& statement_;
  const SourceText& source_;
  const ConnectorRegistry& connectors_;
  TableDefinition table_;
};

proto::Field FieldOf(const plan::OutputColumn& column) {
  proto::Field field;
  field.set_name(column.name);
  TypeToProto(column.type, field.mutable_type());
  return field;
}

}  // namespace

absl::StatusOr<TableDefinition> BindCreateTable(const pg_query::CreateStmt& statement,
                                                const SourceText& source,
                                                const ConnectorRegistry& connectors) {
  return TableBinder(statement, source, connectors).Bind();
}

proto::Source MakeSource(const TableDefinition& table) {
  proto::Source source;
  source.set_table(table.name);
  source.set_connector(table.connector);
  source.set_format(table.format);
  source.mutable_options()->insert(table.options.begin(), table.options.end());
  for (const plan::OutputColumn& column : table.columns) {
    *source.add_declared() = FieldOf(column);
  }
  source.set_on_error(table.on_error);
  source.mutable_primary_key()->Assign(table.primary_key.begin(), table.primary_key.end());
  return source;
}

proto::Sink MakeSink(const TableDefinition& table) {
  proto::Sink sink;
  sink.set_table(table.name);
  sink.set_connector(table.connector);
  sink.set_format(table.format);
  sink.mutable_options()->insert(table.options.begin(), table.options.end());
  for (const plan::OutputColumn& column : table.columns) {
    *sink.add_columns() = FieldOf(column);
  }
  for (const std::string& key : table.primary_key) {
    const auto found =
        std::find_if(table.columns.begin(), table.columns.end(),
                     [&key](const plan::OutputColumn& column) { return column.name == key; });
    sink.add_key_columns(static_cast<uint32_t>(std::distance(table.columns.begin(), found)));
  }
  return sink;
}

int32_t OptionErrorPosition(const TableDefinition& table, std::string_view message) {
  size_t longest = 0;
  int32_t position = table.with_position;
  for (const auto& [name, option_position] : table.option_positions) {
    const bool named = absl::StrContains(ToAbsl(message), absl::StrCat("\"", name, "\"")) ||
                       absl::StrContains(ToAbsl(message), absl::StrCat("'", name, "'"));
    if (named && name.size() > longest) {
      longest = name.size();
      position = option_position;
    }
  }
  return position;
}

}  // namespace millrace::sql
