#include "executor/testing/test_plans.h"

#include <utility>
#include <vector>

namespace millrace {
namespace {

proto::Type TypeOf(proto::TypeKind kind) {
  proto::Type type;
  type.set_kind(kind);
  return type;
}

proto::Field FieldOf(const std::string& name, proto::TypeKind kind) {
  proto::Field field;
  field.set_name(name);
  *field.mutable_type() = TypeOf(kind);
  return field;
}

proto::Expr ColumnOf(uint32_t index, proto::TypeKind kind) {
  proto::Expr expr;
  *expr.mutable_type() = TypeOf(kind);
  expr.set_position(-1);
  expr.set_column(index);
  return expr;
}

proto::Expr TextOf(const std::string& text) {
  proto::Expr expr;
  *expr.mutable_type() = TypeOf(proto::TYPE_TEXT);
  expr.set_position(-1);
  expr.mutable_literal()->set_text(text);
  return expr;
}

// Adds operators to a stage, each behind the one before.
class StageBuilder {
 public:
  StageBuilder(proto::JobPlan* plan, uint32_t* next_id)
      : stage_(plan->add_stages()), next_id_(next_id) {
    stage_->set_id(static_cast<uint32_t>(plan->stages_size() - 1));
  }
  proto::Stage* stage() { return stage_; }
  proto::Operator* Add(const std::vector<proto::Field>& output) {
    proto::Operator* op = stage_->add_operators();
    op->set_id((*next_id_)++);
    op->set_name("test-" + std::to_string(op->id()));
    if (stage_->operators_size() > 1) {
      op->add_inputs(op->id() - 1);
    }
    for (const proto::Field& field : output) {
      *op->add_output() = field;
    }
    return op;
  }

 private:
  proto::Stage* const stage_;
  uint32_t* const next_id_;
};

proto::JobPlan BasePlan(const TestPlanOptions& options,
                        std::initializer_list<proto::Field> sink_columns, bool keyed) {
  proto::JobPlan plan;
  plan.set_format_version(1);
  plan.set_key_groups(64);
  plan.set_parallelism(options.parallelism);
  proto::Source* source = plan.add_sources();
  source->set_table("lines");
  source->set_connector("test");
  source->set_on_error(options.on_error);
  *source->add_declared() = FieldOf("line", proto::TYPE_TEXT);
  proto::SourceColumn* column = source->add_columns();
  column->set_name("line");
  *column->mutable_type() = TypeOf(proto::TYPE_TEXT);
  proto::Sink* sink = plan.add_sinks();
  sink->set_table("out");
  sink->set_connector(options.sink);
  sink->set_mode(proto::SINK_CHANGES);
  sink->set_keyed(keyed);
  for (const proto::Field& field : sink_columns) {
    *sink->add_columns() = field;
  }
  return plan;
}

void AddExchange(proto::JobPlan* plan, const std::vector<proto::Field>& columns, bool ordered) {
  proto::Exchange* exchange = plan->add_exchanges();
  exchange->set_id(static_cast<uint32_t>(plan->exchanges_size() - 1));
  exchange->set_ordered(ordered);
  for (const proto::Field& field : columns) {
    *exchange->add_columns() = field;
  }
}

const proto::Field kLine = FieldOf("line", proto::TYPE_TEXT);

// The columns that a partial aggregate adds to the keys: the function's partial columns, then the
// weight.
std::vector<proto::Field> PartialFields(const proto::AggregateCall& call) {
  std::vector<proto::Field> fields;
  if (call.function() == "string_agg") {
    fields.push_back(FieldOf("text", proto::TYPE_BYTEA));
    fields.push_back(FieldOf("delimiter", proto::TYPE_INT64));
  } else {
    fields.push_back(FieldOf("count", proto::TYPE_INT64));
  }
  fields.push_back(FieldOf("weight", proto::TYPE_INT64));
  return fields;
}

// source → partial aggregate of `call` by the first `keys` columns → exchange → final aggregate →
// sink.
proto::JobPlan AggregatePlan(const TestPlanOptions& options, bool split_words,
                             const proto::AggregateCall& call, bool ordered, bool per_batch) {
  const proto::Field word = FieldOf("word", proto::TYPE_TEXT);
  std::vector<proto::Field> partial = PartialFields(call);
  const proto::Field result = FieldOf("result", call.result().kind());
  const bool keyed = split_words;
  proto::JobPlan plan =
      keyed ? BasePlan(options, {word, result}, true) : BasePlan(options, {result}, true);
  uint32_t next_id = 1;
  StageBuilder source(&plan, &next_id);
  source.stage()->set_source(0);
  if (split_words) {
    proto::TableFunction* function = source.Add({word})->mutable_table_function();
    function->set_function("string_to_table");
    *function->add_args() = ColumnOf(0, proto::TYPE_TEXT);
    *function->add_args() = TextOf(" ");
    *function->add_columns() = word;
  }
  if (keyed) {
    partial.insert(partial.begin(), word);
  }
  proto::Operator* first = source.Add(partial);
  *first->mutable_partial_aggregate()->add_aggregates() = call;
  proto::Operator* write = source.Add({});
  write->mutable_exchange_write()->set_exchange(0);
  StageBuilder keyed_stage(&plan, &next_id);
  keyed_stage.stage()->set_exchange(0);
  proto::Operator* second = keyed ? keyed_stage.Add({word, result}) : keyed_stage.Add({result});
  proto::FinalAggregate* final_aggregate = second->mutable_final_aggregate();
  *final_aggregate->add_aggregates() = call;
  final_aggregate->set_per_batch(per_batch);
  final_aggregate->set_global(!keyed && !per_batch);
  if (keyed) {
    *first->mutable_partial_aggregate()->add_keys() = ColumnOf(0, proto::TYPE_TEXT);
    write->mutable_exchange_write()->add_keys(0);
    final_aggregate->set_key_count(1);
    *final_aggregate->add_keys() = word;
  }
  AddExchange(&plan, partial, ordered);
  second->set_retracts(!per_batch);
  keyed_stage.Add({})->mutable_sink_write()->set_sink(0);
  plan.set_running_state(!per_batch);
  return plan;
}

proto::AggregateCall CountAll() {
  proto::AggregateCall call;
  call.set_function("count");
  *call.mutable_result() = TypeOf(proto::TYPE_INT64);
  return call;
}

}  // namespace

proto::JobPlan CopyPlan(const TestPlanOptions& options) {
  proto::JobPlan plan = BasePlan(options, {kLine}, false);
  uint32_t next_id = 1;
  StageBuilder stage(&plan, &next_id);
  stage.stage()->set_source(0);
  *stage.Add({kLine})->mutable_project()->add_exprs() = ColumnOf(0, proto::TYPE_TEXT);
  stage.Add({})->mutable_sink_write()->set_sink(0);
  return plan;
}

proto::JobPlan WordCountPlan(const TestPlanOptions& options, bool per_batch) {
  return AggregatePlan(options, /*split_words=*/true, CountAll(), /*ordered=*/false, per_batch);
}

proto::JobPlan JoinLinesPlan(const TestPlanOptions& options) {
  proto::AggregateCall call;
  call.set_function("string_agg");
  *call.add_args() = ColumnOf(0, proto::TYPE_TEXT);
  *call.add_args() = TextOf(",");
  *call.mutable_result() = TypeOf(proto::TYPE_TEXT);
  return AggregatePlan(options, /*split_words=*/false, call, /*ordered=*/true, /*per_batch=*/true);
}

proto::JobPlan CountPlan(const TestPlanOptions& options) {
  return AggregatePlan(options, /*split_words=*/false, CountAll(), /*ordered=*/false,
                       /*per_batch=*/false);
}

proto::JobPlan ExchangePlan(const TestPlanOptions& options) {
  proto::JobPlan plan = BasePlan(options, {kLine}, true);
  uint32_t next_id = 1;
  StageBuilder source(&plan, &next_id);
  source.stage()->set_source(0);
  *source.Add({kLine})->mutable_project()->add_exprs() = ColumnOf(0, proto::TYPE_TEXT);
  proto::ExchangeWrite* write = source.Add({})->mutable_exchange_write();
  write->set_exchange(0);
  write->add_keys(0);
  AddExchange(&plan, {kLine}, false);
  StageBuilder keyed(&plan, &next_id);
  keyed.stage()->set_exchange(0);
  *keyed.Add({kLine})->mutable_project()->add_exprs() = ColumnOf(0, proto::TYPE_TEXT);
  keyed.Add({})->mutable_sink_write()->set_sink(0);
  return plan;
}

}  // namespace millrace
