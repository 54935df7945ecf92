#include "sql/bind/statement/insert_binder.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "plan/logical/expr_tree.h"
#include "plan/logical/spelling.h"
#include "plan/logical/sql_error.h"
#include "sql/bind/query/select_binder.h"
#include "sql/catalog/create_table.h"
#include "sql/parse/ast.h"

namespace millrace::sql {
namespace {

class InsertBinder {
 public:
  InsertBinder(const pg_query::InsertStmt& insert, int32_t position, const BindContext& context)
      : insert_(insert), position_(position), context_(context) {}

  absl::StatusOr<plan::LogicalInsert> Bind() {
    RETURN_IF_ERROR(RefuseClauses());
    RETURN_IF_ERROR(FindSink());
    RETURN_IF_ERROR(BindColumns());
    const pg_query::SelectStmt& statement = insert_.select_stmt().select_stmt();
    SelectBinder binder(context_.catalog, context_.connectors, context_.builder, context_.source);
    ASSIGN_OR_RETURN(BoundSelect select, binder.Bind(statement, SelectPosition(statement)));
    RETURN_IF_ERROR(MatchColumns(select));
    ASSIGN_OR_RETURN(result_.query, Assign(std::move(select)));
    return std::move(result_);
  }

 private:
  absl::Status RefuseClauses() const {
    if (insert_.has_on_conflict_clause()) {
      return Unsupported("ON CONFLICT (a PRIMARY KEY on the sink makes it upsert)", position_);
    }
    if (!insert_.returning_list().empty()) {
      return Unsupported("RETURNING", position_);
    }
    if (insert_.has_with_clause()) {
      return Unsupported("WITH before INSERT (write INSERT INTO … WITH … SELECT)", position_);
    }
    if (!insert_.has_select_stmt()) {
      return Unsupported("INSERT … DEFAULT VALUES", position_);
    }
    if (!insert_.select_stmt().select_stmt().values_lists().empty()) {
      return Unsupported("INSERT … VALUES", SelectPosition(insert_.select_stmt().select_stmt()));
    }
    return absl::OkStatus();
  }

  int32_t SelectPosition(const pg_query::SelectStmt& select) const {
    const char* keyword = select.has_with_clause()        ? "with"
                          : select.values_lists().empty() ? "select"
                                                          : "values";
    return context_.source
        .KeywordAfter(position_, static_cast<int32_t>(context_.source.text().size()), keyword)
        .value_or(position_);
  }

  absl::Status FindSink() {
    const int32_t position = insert_.relation().location();
    ASSIGN_OR_RETURN(const std::string name, RelationName(insert_.relation()));
    ASSIGN_OR_RETURN(const Catalog::Entry entry, context_.catalog.Find(name, position));
    if (entry.table == nullptr) {
      return plan::ErrorAt(position,
                           absl::StrCat("\"", name, "\" is a view and cannot be inserted into"));
    }
    const auto connector = context_.connectors.Sink(entry.table->connector);
    if (!connector.ok()) {
      return plan::ErrorAt(
          position,
          absl::StrCat("table \"", name, "\" cannot be written: ", connector.status().message()));
    }
    if (!entry.table->primary_key.empty() && !(*connector)->traits().accepts_upsert) {
      return plan::ErrorAt(entry.table->primary_key_position,
                           absl::StrCat("connector ", entry.table->connector,
                                        " does not take rows by PRIMARY KEY (upsert)"));
    }
    metadata_ = (*connector)->MetadataColumns();
    result_.sink = MakeSink(*entry.table);
    result_.name = name;
    result_.accepts_changes = (*connector)->traits().accepts_changes;
    result_.position = position;
    return absl::OkStatus();
  }

  // Decides which sink columns the SELECT list fills, in its order. Metadata columns that the
  // INSERT names are added to the sink's columns.
  absl::Status BindColumns() {
    if (insert_.cols().empty()) {
      for (int i = 0; i < result_.sink.columns_size(); ++i) {
        targets_.push_back(i);
      }
      return absl::OkStatus();
    }
    for (const pg_query::Node& node : insert_.cols()) {
      const pg_query::ResTarget& column = node.res_target();
      if (!column.indirection().empty()) {
        return Unsupported("inserting into a part of a column", column.location());
      }
      ASSIGN_OR_RETURN(const int target, FindColumn(column));
      if (std::find(targets_.begin(), targets_.end(), target) != targets_.end()) {
        return plan::ErrorAt(column.location(), absl::StrCat("column \"", column.name(),
                                                             "\" specified more than once"));
      }
      targets_.push_back(target);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<int> FindColumn(const pg_query::ResTarget& column) {
    std::vector<std::string> known;
    for (int i = 0; i < result_.sink.columns_size(); ++i) {
      if (result_.sink.columns(i).name() == column.name()) {
        return i;
      }
      known.push_back(result_.sink.columns(i).name());
    }
    for (const auto& [name, type] : metadata_) {
      if (name == column.name()) {
        proto::Field* field = result_.sink.add_columns();
        field->set_name(name);
        TypeToProto(type, field->mutable_type());
        return result_.sink.columns_size() - 1;
      }
      known.push_back(name);
    }
    return plan::ErrorAt(
        column.location(),
        absl::StrCat("column \"", column.name(), "\" of table \"", result_.sink.table(),
                     "\" does not exist", plan::DidYouMean(column.name(), known)));
  }

  absl::Status MatchColumns(const BoundSelect& select) {
    if (select.exprs.size() > targets_.size()) {
      return plan::ErrorAt(
          select.exprs[targets_.size()].position(),
          absl::StrCat("INSERT has more expressions than target columns: ", select.exprs.size(),
                       " for ", targets_.size(), " of table \"", result_.sink.table(), "\""));
    }
    if (select.exprs.size() < targets_.size() && !insert_.cols().empty()) {
      return plan::ErrorAt(
          insert_.cols(static_cast<int>(select.exprs.size())).res_target().location(),
          absl::StrCat("INSERT has more target columns than expressions: ", targets_.size(),
                       " for ", select.exprs.size()));
    }
    targets_.resize(select.exprs.size());
    for (uint32_t key : result_.sink.key_columns()) {
      if (std::find(targets_.begin(), targets_.end(), static_cast<int>(key)) == targets_.end()) {
        return plan::ErrorAt(
            result_.position,
            absl::StrCat("column \"", result_.sink.columns(static_cast<int>(key)).name(),
                         "\" is in the PRIMARY KEY of table \"", result_.sink.table(),
                         "\" and must be inserted"));
      }
    }
    return absl::OkStatus();
  }

  absl::StatusOr<plan::LogicalNodePtr> Assign(BoundSelect select) const {
    std::vector<proto::Expr> exprs;
    std::vector<std::string> names;
    for (const proto::Field& field : result_.sink.columns()) {
      exprs.push_back(plan::MakeNull(TypeFromProto(field.type()), result_.position));
      names.push_back(field.name());
    }
    for (size_t i = 0; i < select.exprs.size(); ++i) {
      const proto::Field& field = result_.sink.columns(targets_[i]);
      ASSIGN_OR_RETURN(exprs[static_cast<size_t>(targets_[i])],
                       AssignTo(field, std::move(select.exprs[i])));
    }
    return plan::MakeProject(std::move(select.input), std::move(exprs), std::move(names));
  }

  absl::StatusOr<proto::Expr> AssignTo(const proto::Field& field, proto::Expr expr) const {
    const SqlType from = plan::TypeOf(expr);
    const SqlType to = TypeFromProto(field.type());
    if (!plan::CanCast(from, to, plan::CastContext::kAssignment)) {
      return plan::ErrorAt(expr.position(),
                           absl::StrCat("column \"", field.name(), "\" is of type ", to.ToString(),
                                        " but expression is of type ", from.ToString(),
                                        "; you will need to rewrite or cast the expression"));
    }
    return context_.builder.Coerce(std::move(expr), to, plan::CastContext::kAssignment);
  }

  const pg_query::InsertStmt& insert_;
  const int32_t position_;
  const BindContext& context_;
  std::vector<std::pair<std::string, SqlType>> metadata_;
  plan::LogicalInsert result_;
  std::vector<int> targets_;  // sink column of each item of the SELECT list
};

}  // namespace

absl::StatusOr<plan::LogicalInsert> BindInsert(const pg_query::InsertStmt& insert, int32_t position,
                                               const BindContext& context) {
  return InsertBinder(insert, position, context).Bind();
}

absl::StatusOr<plan::LogicalInsert> BindExplainedSelect(const pg_query::SelectStmt& select,
                                                        int32_t position,
                                                        const BindContext& context) {
  SelectBinder binder(context.catalog, context.connectors, context.builder, context.source);
  plan::LogicalInsert insert;
  ASSIGN_OR_RETURN(insert.query, binder.BindQuery(select, position));
  for (const plan::OutputColumn& column : insert.query->output) {
    proto::Field* field = insert.sink.add_columns();
    field->set_name(column.name);
    TypeToProto(column.type, field->mutable_type());
  }
  insert.sink.set_table("result");
  insert.sink.set_connector("explain");
  insert.name = "result";
  insert.accepts_changes = true;
  insert.position = position;
  return insert;
}

}  // namespace millrace::sql
