#include "plan/builder/plan_builder.h"

#include <memory>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/version.h"
#include "plan/format_version.h"

namespace millrace::plan {
namespace {

proto::Field ToProto(const Field& field) {
  proto::Field out;
  out.set_name(field.name);
  TypeToProto(field.type, out.mutable_type());
  return out;
}

void ToProto(const std::vector<Field>& fields,
             google::protobuf::RepeatedPtrField<proto::Field>* out) {
  for (const Field& field : fields) {
    *out->Add() = ToProto(field);
  }
}

// The columns 0…count−1.
std::vector<uint32_t> FirstColumns(size_t count) {
  std::vector<uint32_t> columns(count);
  std::iota(columns.begin(), columns.end(), 0);
  return columns;
}

// The call of the second phase: its input is the partial columns, so that arguments are types only.
proto::AggregateCall FinalCall(proto::AggregateCall call) {
  call.clear_filter();
  for (proto::Expr& arg : *call.mutable_args()) {
    arg.clear_node();
  }
  return call;
}

bool IsTerminal(const proto::Operator& op) {
  return op.has_exchange_write() || op.has_sink_write();
}

absl::Status NothingReads(const std::string& what) {
  return absl::InvalidArgumentError(
      absl::StrCat("nothing reads ", what, "; rows end in a table that is written"));
}

// All rows must come from a table and go to one.
absl::Status CheckAllIsRead(const proto::JobPlan& plan) {
  if (plan.stages().empty()) {
    return absl::InvalidArgumentError("the plan reads no table");
  }
  for (const proto::Stage& stage : plan.stages()) {
    std::set<uint32_t> read;
    for (const proto::Operator& op : stage.operators()) {
      read.insert(op.inputs().begin(), op.inputs().end());
    }
    for (const proto::Operator& op : stage.operators()) {
      if (!IsTerminal(op) && !read.contains(op.id())) {
        return NothingReads(op.name());
      }
    }
    if (stage.operators().empty()) {
      return NothingReads(stage.has_source()
                              ? absl::StrCat("table \"",
                                             plan.sources(static_cast<int>(stage.source())).table(),
                                             "\"")
                              : absl::StrCat("exchange ", stage.exchange()));
    }
  }
  return absl::OkStatus();
}

}  // namespace

// ---- Stream ----

struct Stream::Grouping {
  std::vector<proto::Expr> keys;
  std::vector<proto::AggregateCall> calls;
  std::vector<Field> partial;  // of the first phase: keys, partial columns, weight
  std::vector<Field> results;  // of the second phase: keys, results
  bool ordered = false;        // some aggregate must be merged in the order of its rows
};

Scope Stream::scope() const { return {columns_, builder_->functions_}; }

absl::StatusOr<std::vector<uint32_t>> Stream::FindAll(const std::vector<std::string>& names) const {
  std::vector<uint32_t> found;
  found.reserve(names.size());
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(found.emplace_back(), FindColumn(columns_, name));
  }
  return found;
}

Stream Stream::Then(const std::string& name, proto::Operator op, std::vector<Field> output,
                    bool retracts) const {
  op.set_id(builder_->next_operator_++);
  op.set_name(name);
  op.set_retracts(retracts);
  if (last_.has_value()) {
    op.add_inputs(*last_);
  }
  ToProto(output, op.mutable_output());
  Stream next(builder_, stage_, std::move(output));
  next.last_ = op.id();
  next.retracts_ = retracts;
  *builder_->plan_.mutable_stages(stage_)->add_operators() = std::move(op);
  return next;
}

Stream Stream::Filter(const Expression& predicate) const {
  return builder_->Apply(*this, "filter", "", [&](const auto& name) -> absl::StatusOr<Stream> {
    proto::Operator op;
    ASSIGN_OR_RETURN(*op.mutable_filter()->mutable_predicate(),
                     BindBoolean(predicate, scope(), "the predicate"));
    return Then(name, std::move(op), columns_, retracts_);
  });
}

Stream Stream::Project(const std::vector<Expression>& columns) const {
  return builder_->Apply(*this, "project", "", [&](const auto& name) -> absl::StatusOr<Stream> {
    proto::Operator op;
    op.mutable_project();  // set even without columns
    std::vector<Field> output;
    for (const Expression& column : columns) {
      ASSIGN_OR_RETURN(const proto::Expr expr, column.Bind(scope()));
      output.push_back({.name = column.name(), .type = TypeFromProto(expr.type())});
      *op.mutable_project()->add_exprs() = expr;
    }
    return Then(name, std::move(op), std::move(output), retracts_);
  });
}

Stream Stream::TableFunction(const std::string& function, const std::vector<Expression>& args,
                             const TableFunctionOptions& options) const {
  const auto add = [&](const std::string& name) -> absl::StatusOr<Stream> {
    ASSIGN_OR_RETURN(BoundTableFunction bound, BindTableFunction(function, args, scope()));
    ASSIGN_OR_RETURN(const std::vector<uint32_t> kept, FindAll(options.keep));
    if (!options.names.empty() && options.names.size() != bound.columns.size()) {
      return absl::InvalidArgumentError(absl::StrCat(function, " returns ", bound.columns.size(),
                                                     " columns, for which there are ",
                                                     options.names.size(), " names"));
    }
    for (size_t i = 0; i < options.names.size(); ++i) {
      bound.columns[i].name = options.names[i];
    }
    proto::Operator op;
    proto::TableFunction* out = op.mutable_table_function();
    out->set_function(function);
    out->mutable_args()->Add(bound.args.begin(), bound.args.end());
    out->mutable_kept()->Add(kept.begin(), kept.end());
    ToProto(bound.columns, out->mutable_columns());
    out->set_with_ordinality(options.with_ordinality);
    out->set_left(options.left);
    std::vector<Field> output;
    for (uint32_t column : kept) {
      output.push_back(columns_[column]);
    }
    output.insert(output.end(), bound.columns.begin(), bound.columns.end());
    if (options.with_ordinality) {
      output.push_back({.name = "ordinality", .type = kInt64});
    }
    return Then(name, std::move(op), std::move(output), retracts_);
  };
  return builder_->Apply(*this, "table-function", "", add);
}

absl::StatusOr<Stream::Grouping> Stream::BindGrouping(
    const std::vector<Expression>& keys, const std::vector<AggregateExpression>& aggregates) const {
  Grouping grouping;
  ASSIGN_OR_RETURN(grouping.keys, BindAll(keys, scope()));
  for (size_t i = 0; i < keys.size(); ++i) {
    grouping.results.push_back(
        {.name = keys[i].name(), .type = TypeFromProto(grouping.keys[i].type())});
  }
  grouping.partial = grouping.results;
  for (const AggregateExpression& aggregate : aggregates) {
    ASSIGN_OR_RETURN(const AggregateExpression::Bound bound, aggregate.Bind(scope(), retracts_));
    const std::unique_ptr<AggregateFunction> variant =
        retracts_ ? bound.function->ForRetractions() : nullptr;
    const AggregateFunction& used = variant == nullptr ? *bound.function : *variant;
    for (size_t i = 0; i < used.partial_types().size(); ++i) {
      grouping.partial.push_back(
          {.name = absl::StrCat(used.name(), "$", i), .type = used.partial_types()[i]});
    }
    grouping.ordered |= !used.commutes();
    grouping.results.push_back({.name = aggregate.name(), .type = used.result_type()});
    grouping.calls.push_back(bound.call);
  }
  grouping.partial.push_back({.name = "weight$", .type = kInt64});
  return grouping;
}

Stream Stream::GroupBy(const std::vector<Expression>& keys,
                       const std::vector<AggregateExpression>& aggregates,
                       const GroupByOptions& options) const {
  const auto add = [&](const std::string& name) -> absl::StatusOr<Stream> {
    ASSIGN_OR_RETURN(Grouping grouping, BindGrouping(keys, aggregates));
    proto::Operator first;
    proto::PartialAggregate* partial = first.mutable_partial_aggregate();
    partial->mutable_keys()->Add(grouping.keys.begin(), grouping.keys.end());
    partial->mutable_aggregates()->Add(grouping.calls.begin(), grouping.calls.end());
    partial->set_input_retracts(retracts_);

    proto::Operator second;
    proto::FinalAggregate* final_aggregate = second.mutable_final_aggregate();
    final_aggregate->set_key_count(static_cast<uint32_t>(keys.size()));
    for (size_t i = 0; i < keys.size(); ++i) {
      *final_aggregate->add_keys() = ToProto(grouping.results[i]);
    }
    for (const proto::AggregateCall& call : grouping.calls) {
      *final_aggregate->add_aggregates() = FinalCall(call);
    }
    final_aggregate->set_input_retracts(retracts_);
    final_aggregate->set_per_batch(options.per_batch);
    final_aggregate->set_global(keys.empty() && !options.per_batch);
    if (!options.per_batch) {
      builder_->plan_.set_running_state(true);
    }
    return Then(absl::StrCat(name, "/partial"), std::move(first), std::move(grouping.partial),
                /*retracts=*/false)
        .ThenExchange(absl::StrCat(name, "/exchange"), FirstColumns(keys.size()), grouping.ordered)
        .Then(name, std::move(second), std::move(grouping.results),
              /*retracts=*/!options.per_batch);
  };
  return builder_->Apply(*this, "aggregate", options.name, add);
}

Stream Stream::ThenExchange(const std::string& name, const std::vector<uint32_t>& keys,
                            bool ordered) const {
  const auto id = static_cast<uint32_t>(builder_->plan_.exchanges_size());
  proto::Exchange* exchange = builder_->plan_.add_exchanges();
  exchange->set_id(id);
  ToProto(columns_, exchange->mutable_columns());
  exchange->set_ordered(ordered);
  exchange->set_retracts(retracts_);
  proto::Operator write;
  write.mutable_exchange_write()->set_exchange(id);
  write.mutable_exchange_write()->mutable_keys()->Add(keys.begin(), keys.end());
  Then(name, std::move(write), {}, retracts_);
  Stream next(builder_, builder_->AddStage(), columns_);
  next.retracts_ = retracts_;
  builder_->plan_.mutable_stages(next.stage_)->set_exchange(id);
  return next;
}

Stream Stream::Exchange(const std::vector<std::string>& keys) const {
  return builder_->Apply(*this, "exchange", "", [&](const auto& name) -> absl::StatusOr<Stream> {
    ASSIGN_OR_RETURN(const std::vector<uint32_t> columns, FindAll(keys));
    return ThenExchange(name, columns, /*ordered=*/false);
  });
}

Stream Stream::Consolidate(const std::vector<std::string>& keys, bool upsert) const {
  return builder_->Apply(*this, "consolidate", "", [&](const auto& name) -> absl::StatusOr<Stream> {
    ASSIGN_OR_RETURN(const std::vector<uint32_t> columns, FindAll(keys));
    if (!builder_->plan_.stages(stage_).has_exchange()) {
      return absl::InvalidArgumentError("rows of equal keys are not together; add an Exchange");
    }
    proto::Operator op;
    op.mutable_consolidate()->mutable_keys()->Add(columns.begin(), columns.end());
    op.mutable_consolidate()->set_upsert(upsert);
    return Then(name, std::move(op), columns_, retracts_);
  });
}

Stream Stream::NotNull(const std::vector<std::string>& columns, const std::string& table) const {
  return builder_->Apply(*this, "not-null", "", [&](const auto& name) -> absl::StatusOr<Stream> {
    ASSIGN_OR_RETURN(const std::vector<uint32_t> found, FindAll(columns));
    proto::Operator op;
    op.mutable_not_null()->mutable_columns()->Add(found.begin(), found.end());
    op.mutable_not_null()->set_table(table);
    return Then(name, std::move(op), columns_, retracts_);
  });
}

void Stream::WriteTo(const SinkTable& table) const {
  builder_->Apply(*this, "sink", "", [&](const auto& name) -> absl::StatusOr<Stream> {
    RETURN_IF_ERROR(AddSink(name, table));
    return *this;
  });
}

absl::Status Stream::AddSink(const std::string& name, const SinkTable& table) const {
  ASSIGN_OR_RETURN(const std::vector<uint32_t> keys, FindAll(table.primary_key));
  proto::Operator op;
  op.mutable_sink_write()->set_sink(static_cast<uint32_t>(builder_->plan_.sinks_size()));
  Then(name, std::move(op), {}, retracts_);
  proto::Sink* sink = builder_->plan_.add_sinks();
  sink->set_table(table.table);
  sink->set_connector(table.connector);
  sink->set_format(table.format);
  for (const auto& [option, value] : table.options) {
    (*sink->mutable_options())[option] = value;
  }
  ToProto(columns_, sink->mutable_columns());
  sink->mutable_key_columns()->Add(keys.begin(), keys.end());
  sink->set_mode(table.mode.value_or(!keys.empty() ? proto::SINK_UPSERT
                                     : retracts_   ? proto::SINK_CHANGES
                                                   : proto::SINK_APPEND));
  sink->set_keyed(builder_->plan_.stages(stage_).has_exchange());
  return absl::OkStatus();
}

// ---- PlanBuilder ----

PlanBuilder::PlanBuilder(const FunctionRegistry& functions, JobSettings settings)
    : functions_(functions), settings_(std::move(settings)) {}

Stream PlanBuilder::Apply(const Stream& from, const std::string& kind, std::string name,
                          absl::FunctionRef<absl::StatusOr<Stream>(const std::string& name)> add) {
  if (!status_.ok()) {
    return from;
  }
  if (name.empty()) {
    name = absl::StrCat(kind, "-", ++ordinals_[kind]);
  }
  absl::StatusOr<Stream> next = names_.insert(name).second
                                    ? add(name)
                                    : absl::AlreadyExistsError("two operators have this name");
  if (!next.ok()) {
    status_ = Annotate(next.status(), name);
    return from;
  }
  return *std::move(next);
}

Stream PlanBuilder::Read(const SourceTable& table) {
  Stream rows(this, AddStage(), table.columns);
  if (status_.ok()) {
    status_ = Annotate(AddSource(table), absl::StrCat("table \"", table.table, "\""));
    plan_.mutable_stages(rows.stage_)->set_source(static_cast<uint32_t>(plan_.sources_size() - 1));
  }
  return rows;
}

absl::Status PlanBuilder::AddSource(const SourceTable& table) {
  proto::Source* source = plan_.add_sources();
  source->set_table(table.table);
  source->set_connector(table.connector);
  source->set_format(table.format);
  for (const auto& [option, value] : table.options) {
    (*source->mutable_options())[option] = value;
  }
  for (const Field& column : table.columns) {
    RETURN_IF_ERROR(FindColumn(table.columns, column.name).status());  // names differ
    proto::SourceColumn* read = source->add_columns();
    read->set_name(column.name);
    TypeToProto(column.type, read->mutable_type());
    read->set_declared(source->declared_size());
    *source->add_declared() = ToProto(column);
  }
  for (const std::string& key : table.primary_key) {
    RETURN_IF_ERROR(FindColumn(table.columns, key).status());
    source->add_primary_key(key);
  }
  source->set_on_error(table.on_error);
  return absl::OkStatus();
}

int PlanBuilder::AddStage() {
  const int stage = plan_.stages_size();
  plan_.add_stages()->set_id(static_cast<uint32_t>(stage));
  return stage;
}

absl::StatusOr<proto::JobPlan> PlanBuilder::Build() const {
  RETURN_IF_ERROR(status_);
  RETURN_IF_ERROR(CheckAllIsRead(plan_));
  const std::map<std::string, std::string> settings = settings_.ToMap();
  RETURN_IF_ERROR(JobSettings::FromMap(settings).status());
  proto::JobPlan plan = plan_;
  plan.set_format_version(kPlanFormatVersion);
  plan.set_engine_version(kEngineVersion);
  for (const auto& [name, value] : settings) {
    (*plan.mutable_settings())[name] = value;
  }
  plan.set_key_groups(settings_.key_groups);
  plan.set_parallelism(settings_.parallelism);
  return plan;
}

}  // namespace millrace::plan
