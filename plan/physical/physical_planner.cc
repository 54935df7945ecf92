#include "plan/physical/physical_planner.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "plan/logical/expr_tree.h"
#include "plan/logical/sql_error.h"
#include "plan/physical/shared_scans.h"

namespace millrace::plan {
namespace {

using FieldList = google::protobuf::RepeatedPtrField<proto::Field>;

proto::Field MakeField(const std::string& name, const SqlType& type) {
  proto::Field field;
  field.set_name(name);
  TypeToProto(type, field.mutable_type());
  return field;
}

FieldList ToFields(const std::vector<OutputColumn>& columns) {
  FieldList fields;
  for (const OutputColumn& column : columns) {
    *fields.Add() = MakeField(column.name, column.type);
  }
  return fields;
}

// The rows at some point of a stage: which operator they come from, and what the next one may rely
// on.
struct Stream {
  int stage = 0;
  std::optional<uint32_t> last;  // operator; none = the stage's input
  FieldList fields;
  bool retracts = false;
  bool keyed = false;  // the stage is behind an exchange
  // The columns that decide the shard, if all are still there.
  std::optional<std::vector<uint32_t>> shard_by;
};

class PhysicalPlanner {
 public:
  absl::StatusOr<proto::JobPlan> Plan(const LogicalJob& job) {
    for (const LogicalInsert& insert : job.inserts) {
      insert_ = &insert;
      ordinals_.clear();
      RETURN_IF_ERROR(AddSink(insert, Build(*insert.query)));
    }
    return std::move(plan_);
  }

 private:
  // Each kind of node has a BuildNode or an AppendNode: one that has neither does not compile.
  Stream Build(const LogicalNode& node) {
    scope_ = node.scope;
    return std::visit([&](const auto& op) { return BuildNode(node, op); }, node.op);
  }

  template <typename Node>
  Stream BuildNode(const LogicalNode& node, const Node& op) {
    Stream stream = Build(node.input());
    scope_ = node.scope;
    AppendNode(&stream, node, op);
    return stream;
  }

  Stream BuildNode(const LogicalNode& node, const ScanNode& scan) {
    auto [it, inserted] = stage_of_table_.try_emplace(scan.table->table(), plan_.stages_size());
    if (inserted) {
      proto::Source* source = plan_.add_sources();
      *source = *scan.table;
      for (const proto::SourceColumn& column : scan.columns) {
        *source->add_columns() = column;
      }
      AddStage()->set_source(static_cast<uint32_t>(plan_.sources_size() - 1));
    }
    return {.stage = it->second,
            .last = std::nullopt,
            .fields = ToFields(node.output),
            .shard_by = std::nullopt};
  }

  void AppendNode(Stream* stream, const LogicalNode&, const FilterNode& filter) {
    proto::Operator* op = Append(stream, "filter", stream->fields);
    *op->mutable_filter()->mutable_predicate() = filter.predicate;
  }

  void AppendNode(Stream* stream, const LogicalNode& node, const ProjectNode& project) {
    if (IsIdentity(project, *stream)) {
      Rename(stream, node.output);
      return;
    }
    proto::Operator* op = Append(stream, "project", ToFields(node.output));
    std::vector<std::optional<uint32_t>> moved(1 + MaxColumn(project.exprs));
    op->mutable_project();  // set even if it has no columns, as under count(*)
    for (size_t i = 0; i < project.exprs.size(); ++i) {
      *op->mutable_project()->add_exprs() = project.exprs[i];
      if (project.exprs[i].node_case() == proto::Expr::kColumn) {
        moved[project.exprs[i].column()] = static_cast<uint32_t>(i);
      }
    }
    MoveShardColumns(stream, moved);
  }

  // Column names are for people only: in EXPLAIN, and in messages about keys.
  void Rename(Stream* stream, const std::vector<OutputColumn>& columns) {
    for (int i = 0; i < stream->fields.size(); ++i) {
      stream->fields[i].set_name(columns[static_cast<size_t>(i)].name);
    }
    if (stream->last.has_value()) {
      auto* operators = plan_.mutable_stages(stream->stage)->mutable_operators();
      const auto last =
          std::find_if(operators->begin(), operators->end(),
                       [&](const proto::Operator& op) { return op.id() == *stream->last; });
      *last->mutable_output() = stream->fields;
    }
  }

  static bool IsIdentity(const ProjectNode& project, const Stream& stream) {
    if (project.exprs.size() != static_cast<size_t>(stream.fields.size())) {
      return false;
    }
    for (size_t i = 0; i < project.exprs.size(); ++i) {
      if (project.exprs[i].node_case() != proto::Expr::kColumn || project.exprs[i].column() != i) {
        return false;
      }
    }
    return true;
  }

  static uint32_t MaxColumn(const std::vector<proto::Expr>& exprs) {
    uint32_t last = 0;
    for (const proto::Expr& expr : exprs) {
      last = expr.node_case() == proto::Expr::kColumn ? std::max(last, expr.column()) : last;
    }
    return last;
  }

  // Follows the sharding columns to their new places. If one of them is gone, the sharding is no
  // longer known.
  static void MoveShardColumns(Stream* stream, const std::vector<std::optional<uint32_t>>& moved) {
    if (!stream->shard_by.has_value()) {
      return;
    }
    for (uint32_t& column : *stream->shard_by) {
      if (column >= moved.size() || !moved[column].has_value()) {
        stream->shard_by.reset();
        return;
      }
      column = *moved[column];
    }
  }

  void AppendNode(Stream* stream, const LogicalNode& node, const TableFunctionNode& function) {
    const int inputs = stream->fields.size();
    proto::Operator* op = Append(stream, "table-function", ToFields(node.output));
    proto::TableFunction* out = op->mutable_table_function();
    out->set_function(function.function);
    out->set_with_ordinality(function.with_ordinality);
    out->set_left(function.left);
    for (const proto::Expr& arg : function.args) {
      *out->add_args() = arg;
    }
    std::vector<std::optional<uint32_t>> moved(static_cast<size_t>(inputs));
    for (size_t i = 0; i < function.kept.size(); ++i) {
      out->add_kept(function.kept[i]);
      moved[function.kept[i]] = static_cast<uint32_t>(i);
    }
    const size_t ordinality = function.with_ordinality ? 1 : 0;
    for (size_t i = 0; i + ordinality < function.columns.size(); ++i) {
      *out->add_columns() = MakeField(function.columns[i].name, function.columns[i].type);
    }
    MoveShardColumns(stream, moved);
  }

  void AppendNode(Stream* stream, const LogicalNode& node, const AggregateNode& aggregate) {
    const bool input_retracts = stream->retracts;
    const auto key_count = static_cast<uint32_t>(aggregate.keys.size());
    const bool ordered = AppendPartial(stream, node, aggregate);
    std::vector<uint32_t> keys(key_count);
    for (uint32_t i = 0; i < key_count; ++i) {
      keys[i] = i;
    }
    AppendExchange(stream, keys, ordered);

    stream->retracts = node.retracts;
    stream->shard_by = keys;
    proto::Operator* op = Append(stream, "aggregate", ToFields(node.output));
    proto::FinalAggregate* final_aggregate = op->mutable_final_aggregate();
    final_aggregate->set_key_count(key_count);
    for (uint32_t i = 0; i < key_count; ++i) {
      *final_aggregate->add_keys() = op->output(static_cast<int>(i));
    }
    for (const proto::AggregateCall& call : aggregate.aggregates) {
      proto::AggregateCall* out = final_aggregate->add_aggregates();
      *out = call;
      out->clear_filter();
      for (proto::Expr& arg : *out->mutable_args()) {
        arg.clear_node();
      }
    }
    final_aggregate->set_input_retracts(input_retracts);
    final_aggregate->set_per_batch(aggregate.per_batch);
    final_aggregate->set_global(aggregate.global);
    plan_.set_running_state(plan_.running_state() || !aggregate.per_batch);
  }

  // Returns whether some aggregate must be merged in the order of its rows.
  bool AppendPartial(Stream* stream, const LogicalNode& node, const AggregateNode& aggregate) {
    FieldList fields;
    for (size_t i = 0; i < aggregate.keys.size(); ++i) {
      *fields.Add() = MakeField(node.output[i].name, node.output[i].type);
    }
    bool ordered = false;
    for (const AggregateFunction* function : aggregate.functions) {
      const std::unique_ptr<AggregateFunction> variant =
          stream->retracts ? function->ForRetractions() : nullptr;
      const AggregateFunction& used = variant == nullptr ? *function : *variant;
      ordered = ordered || !used.commutes();
      for (size_t i = 0; i < used.partial_types().size(); ++i) {
        *fields.Add() = MakeField(absl::StrCat(used.name(), "$", i), used.partial_types()[i]);
      }
    }
    *fields.Add() = MakeField("weight$", MakeType(TypeId::kInt64));
    const bool input_retracts = std::exchange(stream->retracts, false);
    proto::Operator* op = Append(stream, "partial-aggregate", std::move(fields));
    proto::PartialAggregate* partial = op->mutable_partial_aggregate();
    for (const proto::Expr& key : aggregate.keys) {
      *partial->add_keys() = key;
    }
    for (const proto::AggregateCall& call : aggregate.aggregates) {
      *partial->add_aggregates() = call;
    }
    partial->set_input_retracts(input_retracts);
    return ordered;
  }

  // Ends the stage; the stream goes on in a new one behind the exchange.
  void AppendExchange(Stream* stream, const std::vector<uint32_t>& keys, bool ordered) {
    const auto id = static_cast<uint32_t>(plan_.exchanges_size());
    proto::Exchange* exchange = plan_.add_exchanges();
    exchange->set_id(id);
    *exchange->mutable_columns() = stream->fields;
    exchange->set_ordered(ordered);
    exchange->set_retracts(stream->retracts);
    proto::Operator* op = Append(stream, "exchange", FieldList());
    op->mutable_exchange_write()->set_exchange(id);
    for (uint32_t key : keys) {
      op->mutable_exchange_write()->add_keys(key);
    }
    stream->stage = plan_.stages_size();
    AddStage()->set_exchange(id);
    stream->last.reset();
    stream->fields = plan_.exchanges(static_cast<int>(id)).columns();
    stream->keyed = true;
    stream->shard_by = keys;
  }

  absl::Status AddSink(const LogicalInsert& insert, Stream stream) {
    scope_.clear();
    const bool upsert = insert.sink.key_columns_size() > 0;
    if (!upsert && stream.retracts && !insert.accepts_changes) {
      return ErrorAt(
          insert.position,
          absl::StrCat(
              "table \"", insert.sink.table(), "\" (connector ", insert.sink.connector(),
              ", no PRIMARY KEY) takes inserts only, but this query changes rows it has given "
              "earlier: its aggregate runs on over all batches. Declare a PRIMARY KEY on the "
              "table, "
              "or add batch_time() to GROUP BY for results per batch"));
    }
    if (upsert) {
      AppendUpsert(&stream, insert);
    }
    proto::Operator* op = Append(&stream, "sink", FieldList());
    op->mutable_sink_write()->set_sink(static_cast<uint32_t>(plan_.sinks_size()));
    proto::Sink* sink = plan_.add_sinks();
    *sink = insert.sink;
    sink->set_mode(upsert            ? proto::SINK_UPSERT
                   : stream.retracts ? proto::SINK_CHANGES
                                     : proto::SINK_APPEND);
    sink->set_keyed(stream.keyed);
    return absl::OkStatus();
  }

  // Brings rows of one primary key together and leaves at most one of them per batch.
  void AppendUpsert(Stream* stream, const LogicalInsert& insert) {
    const std::vector<uint32_t> keys(insert.sink.key_columns().begin(),
                                     insert.sink.key_columns().end());
    // Rows with equal keys are on one shard already if the sharding columns are a part of the key.
    const bool together =
        stream->shard_by.has_value() && !stream->shard_by->empty() &&
        std::all_of(stream->shard_by->begin(), stream->shard_by->end(), [&keys](uint32_t column) {
          return std::find(keys.begin(), keys.end(), column) != keys.end();
        });
    // The check comes before the exchange, where a row still belongs to the record that on_error is
    // about.
    proto::NotNull* not_null = Append(stream, "not-null", stream->fields)->mutable_not_null();
    not_null->mutable_columns()->Add(keys.begin(), keys.end());
    not_null->set_table(insert.sink.table());
    if (!together) {
      AppendExchange(stream, keys, false);
    }
    proto::Operator* op = Append(stream, "consolidate", stream->fields);
    for (uint32_t key : keys) {
      op->mutable_consolidate()->add_keys(key);
    }
    op->mutable_consolidate()->set_upsert(true);
  }

  proto::Stage* AddStage() {
    proto::Stage* stage = plan_.add_stages();
    stage->set_id(static_cast<uint32_t>(plan_.stages_size() - 1));
    return stage;
  }

  // Adds an operator at the end of the stream. The pointer is valid until the next one is added.
  proto::Operator* Append(Stream* stream, const std::string& kind, FieldList output) {
    proto::Operator* op = plan_.mutable_stages(stream->stage)->add_operators();
    op->set_id(next_operator_++);
    if (stream->last.has_value()) {
      op->add_inputs(*stream->last);
    }
    *op->mutable_output() = output;
    op->set_retracts(stream->retracts);
    const std::string scope = scope_.empty() ? "" : absl::StrCat("/", scope_);
    const std::string prefix = absl::StrCat(insert_->name, scope, "/", kind);
    op->set_name(absl::StrCat(prefix, "-", ++ordinals_[prefix]));
    stream->last = op->id();
    stream->fields = std::move(output);
    return op;
  }

  proto::JobPlan plan_;
  std::map<std::string, int> stage_of_table_;
  std::map<std::string, int> ordinals_;  // within the INSERT, per kind of operator
  const LogicalInsert* insert_ = nullptr;
  std::string scope_;
  uint32_t next_operator_ = 0;
};

}  // namespace

absl::StatusOr<proto::JobPlan> BuildPhysicalPlan(LogicalJob job) {
  ShareScans(&job);
  return PhysicalPlanner().Plan(job);
}

}  // namespace millrace::plan
