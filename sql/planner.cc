#include "sql/planner.h"

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/base/version.h"
#include "common/config/settings.h"
#include "plan/explain/explain.h"
#include "plan/format_version.h"
#include "plan/logical/check_plan.h"
#include "plan/logical/sql_error.h"
#include "plan/physical/physical_planner.h"
#include "plan/rewrites/rewrites.h"
#include "sql/bind/query/select_binder.h"
#include "sql/bind/statement/insert_binder.h"
#include "sql/catalog/catalog.h"
#include "sql/catalog/create_table.h"
#include "sql/catalog/error_sinks.h"
#include "sql/parse/ast.h"
#include "sql/parse/parser.h"
#include "sql/parse/source_text.h"

namespace millrace::sql {
namespace {

// Takes a script statement by statement and then makes the plan. Statuses carry positions, not yet
// rendered.
class ScriptPlanner {
 public:
  ScriptPlanner(const SourceText& source, const PlanOptions& options)
      : source_(source), options_(options), builder_(*options.functions) {}

  absl::StatusOr<PlannedScript> Plan() {
    ASSIGN_OR_RETURN(const ParsedScript script, ParseScript(source_));
    // Settings hold for the whole script, so they are read before the other statements.
    for (const ParsedStatement& statement : script.statements) {
      if (statement.node->has_variable_set_stmt()) {
        RETURN_IF_ERROR(plan::WithPosition(
            AddSetting(statement.node->variable_set_stmt(), statement), statement.begin));
      }
    }
    RETURN_IF_ERROR(ApplySettings());
    for (const ParsedStatement& statement : script.statements) {
      if (!statement.node->has_variable_set_stmt()) {
        RETURN_IF_ERROR(plan::WithPosition(Add(statement), statement.begin));
      }
    }
    return Finish();
  }

 private:
  BindContext Context() const { return {catalog_, *options_.connectors, builder_, source_}; }

  absl::Status Add(const ParsedStatement& statement) {
    const pg_query::Node& node = *statement.node;
    switch (node.node_case()) {
      case pg_query::Node::kCreateStmt:
        return AddTable(node.create_stmt());
      case pg_query::Node::kViewStmt:
        return AddView(node.view_stmt(), statement.begin);
      case pg_query::Node::kInsertStmt:
        return AddInsert(node.insert_stmt(), statement.begin, &inserts_);
      case pg_query::Node::kExplainStmt:
        return AddExplain(node.explain_stmt(), statement.begin);
      case pg_query::Node::kSelectStmt:
        return plan::ErrorAt(
            statement.begin,
            "SELECT outside of INSERT is not supported yet; write INSERT INTO table "
            "SELECT …, for instance "
            "into a table with connector = 'print'");
      default:
        return Unsupported(StatementName(node), statement.begin);
    }
  }

  static std::string StatementName(const pg_query::Node& node) {
    switch (node.node_case()) {
      case pg_query::Node::kCreateTableAsStmt:
        return node.create_table_as_stmt().objtype() == pg_query::OBJECT_MATVIEW
                   ? "CREATE MATERIALIZED VIEW"
                   : "CREATE TABLE … AS";
      case pg_query::Node::kUpdateStmt:
        return "UPDATE";
      case pg_query::Node::kDeleteStmt:
        return "DELETE";
      case pg_query::Node::kDropStmt:
        return "DROP";
      case pg_query::Node::kTransactionStmt:
        return "a transaction (BEGIN, COMMIT, ROLLBACK)";
      default:
        return absl::StrCat("this statement (", ConstructName(node), ")");
    }
  }

  absl::Status AddSetting(const pg_query::VariableSetStmt& set, const ParsedStatement& statement) {
    const int32_t name_position =
        source_.KeywordAfter(statement.begin, statement.end, set.name()).value_or(statement.begin);
    if (set.is_local()) {
      return Unsupported("SET LOCAL", statement.begin);
    }
    if (set.kind() == pg_query::VAR_SET_DEFAULT) {
      return plan::WithPosition(settings_.Set(set.name(), DefaultOf(set.name())), name_position);
    }
    std::string value;
    if (set.kind() != pg_query::VAR_SET_VALUE || set.args_size() != 1 ||
        !ConstantText(set.args(0), &value)) {
      return plan::ErrorAt(name_position,
                           absl::StrCat("SET takes one constant: SET ", set.name(), " = '…'"));
    }
    const absl::Status status = settings_.Set(set.name(), value);
    return plan::WithPosition(status,
                              absl::IsNotFound(status) ? name_position : LocationOf(set.args(0)));
  }

  static std::string DefaultOf(const std::string& name) {
    for (const SettingDescription& setting : DescribeSettings()) {
      if (setting.name == name) {
        return setting.default_value;
      }
    }
    return "";
  }

  absl::Status AddTable(const pg_query::CreateStmt& create) {
    if (create.if_not_exists() && catalog_.Contains(create.relation().relname())) {
      notices_.push_back(
          absl::StrCat("\"", create.relation().relname(), "\" already exists, skipping"));
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(TableDefinition table, BindCreateTable(create, source_, *options_.connectors));
    tables_.push_back(table.name);
    return catalog_.AddTable(std::move(table));
  }

  absl::Status AddView(const pg_query::ViewStmt& create, int32_t position) {
    if (create.view().relpersistence() == "t") {
      return Unsupported("a TEMPORARY view", position);
    }
    if (!create.options().empty() ||
        (create.with_check_option() != pg_query::NO_CHECK_OPTION &&
         create.with_check_option() != pg_query::VIEW_CHECK_OPTION_UNDEFINED)) {
      return Unsupported("WITH options on a view", position);
    }
    ViewDefinition view;
    view.position = create.view().location();
    ASSIGN_OR_RETURN(view.name, RelationName(create.view()));
    SelectBinder binder(catalog_, *options_.connectors, builder_, source_);
    const int32_t query_position =
        source_.KeywordAfter(view.position, static_cast<int32_t>(source_.text().size()), "as")
            .value_or(position);
    ASSIGN_OR_RETURN(view.query, binder.BindQuery(create.query().select_stmt(), query_position));
    RETURN_IF_ERROR(
        RenameColumns(view.name, StringsOf(create.aliases()), view.position, &view.query->output));
    RETURN_IF_ERROR(plan::WithPosition(plan::CheckPlanDepth(*view.query), view.position));
    RETURN_IF_ERROR(plan::CheckMeaning(*view.query, builder_.functions()));
    return catalog_.AddView(std::move(view), create.replace());
  }

  absl::Status AddInsert(const pg_query::InsertStmt& statement, int32_t position,
                         std::vector<plan::LogicalInsert>* out) {
    ASSIGN_OR_RETURN(plan::LogicalInsert insert, BindInsert(statement, position, Context()));
    const int times = ++inserts_into_[insert.name];
    if (times > 1 && insert.sink.key_columns_size() > 0) {
      return plan::ErrorAt(
          insert.position,
          absl::StrCat("a second INSERT into table \"", insert.name,
                       "\", which has a PRIMARY KEY, is not supported: rows of one key "
                       "could come from both"));
    }
    if (times > 1) {
      absl::StrAppend(&insert.name, "#", times);
    }
    return Prepare(std::move(insert), out);
  }

  absl::Status AddExplain(const pg_query::ExplainStmt& explain, int32_t position) {
    if (!explain.options().empty()) {
      return Unsupported(absl::StrCat("EXPLAIN (", explain.options(0).def_elem().defname(), ")"),
                         position);
    }
    if (explain.query().has_insert_stmt()) {
      return AddInsert(explain.query().insert_stmt(), position, &explained_);
    }
    if (!explain.query().has_select_stmt()) {
      return Unsupported("EXPLAIN of a statement other than INSERT and SELECT", position);
    }
    const int32_t select =
        source_.KeywordAfter(position, static_cast<int32_t>(source_.text().size()), "select")
            .value_or(position);
    ASSIGN_OR_RETURN(plan::LogicalInsert insert,
                     BindExplainedSelect(explain.query().select_stmt(), select, Context()));
    if (const int times = ++inserts_into_[insert.name]; times > 1) {
      absl::StrAppend(&insert.name, "#", times);
    }
    return Prepare(std::move(insert), &explained_);
  }

  absl::Status Prepare(plan::LogicalInsert insert, std::vector<plan::LogicalInsert>* out) const {
    RETURN_IF_ERROR(plan::WithPosition(plan::CheckPlanDepth(*insert.query), insert.position));
    RETURN_IF_ERROR(plan::CheckMeaning(*insert.query, builder_.functions()));
    RETURN_IF_ERROR(plan::OptimizePlan(&insert.query, builder_.functions()));
    RETURN_IF_ERROR(plan::CheckExpressions(*insert.query, builder_.functions()));
    out->push_back(std::move(insert));
    return absl::OkStatus();
  }

  // Applies the settings from outside of the script (--set). The script's own have been applied
  // before, so these win.
  absl::Status ApplySettings() {
    for (const auto& [name, value] : options_.settings) {
      RETURN_IF_ERROR(
          Annotate(settings_.Set(name, value), absl::StrCat("--set ", name, "=", value)));
    }
    ASSIGN_OR_RETURN(TimeZone zone, TimeZone::FindRegion(settings_.timezone));
    builder_.set_time_zone(std::move(zone));
    return absl::OkStatus();
  }

  absl::StatusOr<PlannedScript> Finish() {
    PlannedScript script;
    script.explain_only = !explained_.empty();
    if (script.explain_only && !inserts_.empty()) {
      notices_.push_back(
          absl::StrCat("the script has EXPLAIN, so its ", inserts_.size(), " INSERT are not run"));
    }
    if (explained_.empty() && inserts_.empty()) {
      return absl::InvalidArgumentError(
          "the script has no INSERT INTO … SELECT, so there is nothing to run");
    }
    ASSIGN_OR_RETURN(script.plan, plan::BuildPhysicalPlan(
                                      {std::move(script.explain_only ? explained_ : inserts_)}));
    RETURN_IF_ERROR(AddErrorSinks(catalog_, *options_.connectors, &script.plan));
    RETURN_IF_ERROR(ValidateConnectors(script.plan));
    RETURN_IF_ERROR(CheckOnErrorIsOfSources(script.plan));
    NoticeUnused(script.plan);
    FillJob(&script.plan);
    if (script.explain_only) {
      script.explain_text = ExplainPlan(script.plan);
    }
    script.notices = std::move(notices_);
    return script;
  }

  absl::Status ValidateConnectors(const proto::JobPlan& plan) const {
    for (const proto::Source& source : plan.sources()) {
      ASSIGN_OR_RETURN(const SourceConnector* connector,
                       options_.connectors->Source(source.connector()));
      RETURN_IF_ERROR(AtTable(source.table(), connector->Validate(source)));
    }
    for (const proto::Sink& sink : plan.sinks()) {
      if (!catalog_.Contains(sink.table())) {
        continue;  // the sink of an explained SELECT, which is never run
      }
      ASSIGN_OR_RETURN(const SinkConnector* connector, options_.connectors->Sink(sink.connector()));
      RETURN_IF_ERROR(AtTable(sink.table(), connector->Validate(sink)));
    }
    return absl::OkStatus();
  }

  // A table of the script may be read and written; one that is only written would ignore the
  // option.
  absl::Status CheckOnErrorIsOfSources(const proto::JobPlan& plan) const {
    std::set<std::string> read;
    for (const proto::Source& source : plan.sources()) {
      read.insert(source.table());
    }
    for (const proto::Sink& sink : plan.sinks()) {
      if (read.contains(sink.table()) || !catalog_.Contains(sink.table())) {
        continue;
      }
      ASSIGN_OR_RETURN(const Catalog::Entry entry, catalog_.Find(sink.table(), -1));
      const auto option = entry.table->option_positions.find("on_error");
      if (option != entry.table->option_positions.end()) {
        return plan::ErrorAt(
            option->second,
            absl::StrCat("option on_error is for tables that are read, and table \"", sink.table(),
                         "\" is only written: the sources of its rows say what happens "
                         "to rows that it cannot take"));
      }
    }
    return absl::OkStatus();
  }

  absl::Status AtTable(const std::string& name, const absl::Status& status) const {
    if (status.ok()) {
      return status;
    }
    ASSIGN_OR_RETURN(const Catalog::Entry entry, catalog_.Find(name, -1));
    const std::string message = absl::StrCat("table \"", name, "\": ", status.message());
    return plan::ErrorAt(OptionErrorPosition(*entry.table, ToStd(status.message())), message);
  }

  void NoticeUnused(const proto::JobPlan& plan) {
    std::set<std::string> used;
    for (const proto::Source& source : plan.sources()) {
      used.insert(source.table());
    }
    for (const proto::Sink& sink : plan.sinks()) {
      used.insert(sink.table());
    }
    for (const std::string& table : tables_) {
      if (used.count(table) == 0) {
        notices_.push_back(absl::StrCat("table \"", table, "\" is not used"));
      }
    }
  }

  void FillJob(proto::JobPlan* plan) const {
    plan->set_format_version(plan::kPlanFormatVersion);
    plan->set_engine_version(kEngineVersion);
    plan->set_sql(source_.text());
    for (const auto& [name, value] : settings_.ToMap()) {
      (*plan->mutable_settings())[name] = value;
    }
    plan->set_key_groups(settings_.key_groups);
    plan->set_parallelism(settings_.parallelism);
  }

  const SourceText& source_;
  const PlanOptions& options_;
  plan::ExprBuilder builder_;
  Catalog catalog_;
  JobSettings settings_;
  std::vector<plan::LogicalInsert> inserts_;
  std::vector<plan::LogicalInsert> explained_;
  std::map<std::string, int> inserts_into_;  // number of statements so far, by sink
  std::vector<std::string> tables_;
  std::vector<std::string> notices_;
};

}  // namespace

absl::StatusOr<PlannedScript> PlanScript(std::string_view sql, const PlanOptions& options) {
  MILLRACE_CHECK(options.connectors != nullptr && options.functions != nullptr)
      << "PlanOptions without registries";
  const SourceText source(sql);
  absl::StatusOr<PlannedScript> script = ScriptPlanner(source, options).Plan();
  return script.ok() ? std::move(script) : source.Render(script.status());
}

std::string ExplainPlan(const proto::JobPlan& plan) { return plan::ExplainStages(plan); }

}  // namespace millrace::sql
