#include "executor/operators/compiled_stage.h"

#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/config/settings.h"
#include "executor/operators/aggregate/final_aggregate.h"
#include "executor/operators/aggregate/partial_aggregate.h"
#include "executor/operators/output/consolidate.h"
#include "executor/operators/output/exchange_write.h"
#include "executor/operators/output/sink_write.h"
#include "executor/operators/stateless/filter.h"
#include "executor/operators/stateless/not_null.h"
#include "executor/operators/stateless/project.h"
#include "executor/operators/stateless/table_function.h"

namespace millrace::executor {
namespace {

using Hashed = std::optional<std::vector<uint32_t>>;
using Fields = std::vector<proto::Field>;

// The input of an operator that is being built.
struct Input {
  const Operator* op = nullptr;  // null = the stage's input
  Hashed hashed;                 // columns that its hashes were computed from
  Fields columns;
};

const proto::ExchangeWrite* WriterOf(const proto::JobPlan& plan, uint32_t exchange) {
  for (const proto::Stage& stage : plan.stages()) {
    for (const proto::Operator& op : stage.operators()) {
      if (op.has_exchange_write() && op.exchange_write().exchange() == exchange) {
        return &op.exchange_write();
      }
    }
  }
  return nullptr;
}

proto::OnError OnErrorOf(const proto::JobPlan& plan, const proto::Stage& stage) {
  return plan.sources(static_cast<int>(stage.source())).on_error();
}

// Whether all sources upstream have on_error = 'skip'.
bool SkipsFailedRows(const proto::JobPlan& plan, const proto::Stage& stage) {
  if (!stage.has_exchange()) {
    return OnErrorOf(plan, stage) == proto::ON_ERROR_SKIP;
  }
  bool skips = true;
  for (const proto::Stage& writer : plan.stages()) {
    for (const proto::Operator& op : writer.operators()) {
      // A stage reads only from lower-numbered ones, so the recursion ends.
      if (op.has_exchange_write() && op.exchange_write().exchange() == stage.exchange() &&
          writer.id() < stage.id()) {
        skips &= SkipsFailedRows(plan, writer);
      }
    }
  }
  return skips;
}

class StageBuilder {
 public:
  StageBuilder(const proto::JobPlan& plan, const proto::Stage& stage, StageContext* context,
               const FunctionRegistry& registry)
      : plan_(plan), stage_(stage), context_(context), registry_(registry) {}

  absl::StatusOr<CompiledStage> Build() {
    RETURN_IF_ERROR(DescribeStageInput());
    for (const proto::Operator& op : stage_.operators()) {
      absl::Status status = Add(op);
      if (!status.ok()) {
        return Annotate(status, absl::StrCat("operator ", op.id(), " of stage ", stage_.id()));
      }
    }
    return std::move(out_);
  }

 private:
  absl::Status DescribeStageInput() {
    if (!stage_.has_exchange()) {
      return absl::OkStatus();
    }
    const proto::ExchangeWrite* writer = WriterOf(plan_, stage_.exchange());
    if (writer == nullptr || stage_.exchange() >= static_cast<uint32_t>(plan_.exchanges_size())) {
      return absl::InternalError(absl::StrCat("nothing writes exchange ", stage_.exchange()));
    }
    const proto::Exchange& exchange = plan_.exchanges(static_cast<int>(stage_.exchange()));
    stage_input_.columns.assign(exchange.columns().begin(), exchange.columns().end());
    out_.input_keys.assign(writer->keys().begin(), writer->keys().end());
    stage_input_.hashed = out_.input_keys;
    for (uint32_t key : out_.input_keys) {
      if (key >= stage_input_.columns.size()) {
        return absl::InternalError(
            absl::StrCat("exchange ", stage_.exchange(), " has no column ", key));
      }
      out_.input_key_names.push_back(stage_input_.columns[key].name());
    }
    return absl::OkStatus();
  }

  absl::Status Add(const proto::Operator& op) {
    if (op.inputs_size() > 1) {
      return absl::UnimplementedError("operators with several inputs are not built yet");
    }
    Input input = stage_input_;
    if (op.inputs_size() == 1) {
      auto it = by_id_.find(op.inputs(0));
      if (it == by_id_.end()) {
        return absl::InternalError(
            absl::StrCat("its input, operator ", op.inputs(0), ", does not come before it"));
      }
      input = {it->second, it->second->HashedColumns(), outputs_[op.inputs(0)]};
    }
    ASSIGN_OR_RETURN(std::unique_ptr<Operator> built, Make(op, input));
    if (input.op == nullptr) {
      out_.roots.push_back(built.get());
    } else {
      by_id_[op.inputs(0)]->AddConsumer(built.get());
    }
    if (built->state() != nullptr) {
      RETURN_IF_ERROR(AddState(built->state()));
    }
    by_id_[op.id()] = built.get();
    outputs_[op.id()] = Fields(op.output().begin(), op.output().end());
    out_.operators.push_back(std::move(built));
    return absl::OkStatus();
  }

  // Names must differ, since snapshots find an operator's state by its name.
  absl::Status AddState(OperatorState* state) {
    for (const OperatorState* other : out_.states) {
      if (other->identity().name() == state->identity().name()) {
        return absl::InternalError(absl::StrCat("its state has the name of another's: \"",
                                                state->identity().name(), "\""));
      }
    }
    out_.states.push_back(state);
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Operator>> Make(const proto::Operator& op, const Input& input) {
    switch (op.kind_case()) {
      case proto::Operator::kFilter: {
        ASSIGN_OR_RETURN(auto predicate,
                         ExprEvaluator::Compile(op.filter().predicate(), registry_));
        return std::make_unique<Filter>(op.id(), context_, std::move(predicate), input.hashed);
      }
      case proto::Operator::kProject:
        return MakeProject(op, input);
      case proto::Operator::kTableFunction:
        return TableFunction::Create(op.id(), context_, op.table_function(), registry_);
      case proto::Operator::kPartialAggregate:
        return PartialAggregate::Create(op, context_, registry_, PartialAggregate::Limits());
      case proto::Operator::kFinalAggregate:
        return MakeFinalAggregate(op, input);
      case proto::Operator::kConsolidate:
        return MakeConsolidate(op, input);
      case proto::Operator::kNotNull:
        return MakeNotNull(op, input);
      case proto::Operator::kExchangeWrite:
        return MakeExchangeWrite(op, input);
      case proto::Operator::kSinkWrite:
        return std::make_unique<SinkWrite>(op, context_);
      case proto::Operator::KIND_NOT_SET:
        break;
    }
    return absl::UnimplementedError(
        "its kind is not known to this executor: the plan is of a newer engine");
  }

  absl::StatusOr<std::unique_ptr<Operator>> MakeProject(const proto::Operator& op,
                                                        const Input& input) {
    std::vector<std::unique_ptr<ExprEvaluator>> exprs;
    for (const proto::Expr& expr : op.project().exprs()) {
      ASSIGN_OR_RETURN(auto evaluator, ExprEvaluator::Compile(expr, registry_));
      exprs.push_back(std::move(evaluator));
    }
    return std::make_unique<Project>(op.id(), context_, std::move(exprs),
                                     PassedThrough(op.project(), input.hashed));
  }

  // The places of the hashed input columns in the projection's output, if it has all of them.
  static Hashed PassedThrough(const proto::Project& project, const Hashed& hashed) {
    if (!hashed.has_value()) {
      return std::nullopt;
    }
    std::vector<uint32_t> out;
    for (uint32_t column : *hashed) {
      int position = 0;
      while (position < project.exprs_size() &&
             !(project.exprs(position).node_case() == proto::Expr::kColumn &&
               project.exprs(position).column() == column)) {
        ++position;
      }
      if (position == project.exprs_size()) {
        return std::nullopt;
      }
      out.push_back(static_cast<uint32_t>(position));
    }
    return out;
  }

  absl::StatusOr<std::unique_ptr<Operator>> MakeFinalAggregate(const proto::Operator& op,
                                                               const Input& input) {
    std::vector<uint32_t> keys(op.final_aggregate().key_count());
    std::iota(keys.begin(), keys.end(), 0);
    if (!stage_.has_exchange() || input.op != nullptr || input.hashed != keys) {
      return absl::InternalError("a final aggregate must read an exchange on its keys");
    }
    ASSIGN_OR_RETURN(std::unique_ptr<FinalAggregate> built,
                     FinalAggregate::Create(op, context_, registry_));
    out_.keyed_roots.push_back(built.get());
    return built;
  }

  absl::StatusOr<std::unique_ptr<Operator>> MakeConsolidate(const proto::Operator& op,
                                                            const Input& input) {
    std::vector<uint32_t> keys(op.consolidate().keys().begin(), op.consolidate().keys().end());
    if (input.op == nullptr && (!stage_.has_exchange() || input.hashed != keys)) {
      return absl::InternalError("a consolidation must read an exchange on its keys");
    }
    ASSIGN_OR_RETURN(std::unique_ptr<Consolidate> built,
                     Consolidate::Create(op, context_, input.columns, input.hashed));
    if (input.op == nullptr) {
      out_.keyed_roots.push_back(built.get());
    }
    return built;
  }

  absl::StatusOr<std::unique_ptr<Operator>> MakeNotNull(const proto::Operator& op,
                                                        const Input& input) {
    for (const uint32_t column : op.not_null().columns()) {
      if (column >= static_cast<uint32_t>(op.output_size())) {
        return absl::InternalError(absl::StrCat("it has no column ", column));
      }
    }
    return std::make_unique<NotNull>(op, context_, input.hashed);
  }

  absl::StatusOr<std::unique_ptr<Operator>> MakeExchangeWrite(const proto::Operator& op,
                                                              const Input& input) {
    // Rows of a second writer would mix with those of the first, in an order that depends on how
    // the input is cut into chunks.
    if (!written_exchanges_.insert(op.exchange_write().exchange()).second) {
      return absl::UnimplementedError("one stage cannot write an exchange twice");
    }
    return std::make_unique<ExchangeWrite>(op, context_, input.hashed);
  }

  const proto::JobPlan& plan_;
  const proto::Stage& stage_;
  StageContext* const context_;
  const FunctionRegistry& registry_;
  Input stage_input_;
  std::map<uint32_t, Operator*> by_id_;
  std::map<uint32_t, Fields> outputs_;
  std::set<uint32_t> written_exchanges_;
  CompiledStage out_;
};

}  // namespace

absl::StatusOr<CompiledStage> CompiledStage::Create(const proto::JobPlan& plan, uint32_t stage_id,
                                                    StageContext* context,
                                                    const FunctionRegistry& registry) {
  return StageBuilder(plan, plan.stages(static_cast<int>(stage_id)), context, registry).Build();
}

std::vector<OperatorStats> CompiledStage::Stats() const {
  std::vector<OperatorStats> stats;
  stats.reserve(operators.size());
  for (const auto& op : operators) {
    stats.push_back(op->Stats());
  }
  return stats;
}

absl::StatusOr<StageContext::Settings> StageSettings(const proto::JobPlan& plan, uint32_t stage_id,
                                                     uint32_t shard) {
  const proto::Stage& stage = plan.stages(static_cast<int>(stage_id));
  ASSIGN_OR_RETURN(const JobSettings settings,
                   JobSettings::FromMap({plan.settings().begin(), plan.settings().end()}));
  // A row behind an exchange is no record that could be written to an error table: on_error =
  // 'table:…' fails there.
  const bool keeps = stage.has_source() && OnErrorOf(plan, stage) == proto::ON_ERROR_TABLE;
  return StageContext::Settings{.skip_failed_rows = keeps || SkipsFailedRows(plan, stage),
                                .keep_failed_rows = keeps,
                                .key_groups = plan.key_groups(),
                                .shard = shard,
                                .keyed = stage.has_exchange(),
                                .state_ttl_us = absl::ToInt64Microseconds(settings.state_ttl)};
}

}  // namespace millrace::executor
