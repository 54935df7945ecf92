#include "executor/operators/aggregate/partial_aggregate.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "common/base/status.h"
#include "common/columnar/row_hash.h"
#include "executor/operators/stage_context.h"
#include "executor/state/snapshot/held_rows.h"

namespace millrace::executor {
namespace {

constexpr uint32_t kEmitRows = 16 << 10;

absl::StatusOr<std::vector<std::unique_ptr<ExprEvaluator>>> CompileAll(
    const google::protobuf::RepeatedPtrField<proto::Expr>& exprs,
    const FunctionRegistry& registry) {
  std::vector<std::unique_ptr<ExprEvaluator>> out;
  for (const proto::Expr& expr : exprs) {
    ASSIGN_OR_RETURN(std::unique_ptr<ExprEvaluator> evaluator,
                     ExprEvaluator::Compile(expr, registry));
    out.push_back(std::move(evaluator));
  }
  return out;
}

}  // namespace

PartialAggregate::PartialAggregate(uint32_t id, StageContext* context, AggregateLayout layout,
                                   std::vector<SqlType> key_types, Limits limits)
    : Operator(id, context),
      layout_(std::move(layout)),
      limits_(limits),
      table_(std::move(key_types), layout_.payload_bytes()) {}

PartialAggregate::~PartialAggregate() { layout_.DestroyAll(&table_); }

absl::StatusOr<std::unique_ptr<PartialAggregate>> PartialAggregate::Create(
    const proto::Operator& plan, StageContext* context, const FunctionRegistry& registry,
    Limits limits) {
  const proto::PartialAggregate& kind = plan.partial_aggregate();
  ASSIGN_OR_RETURN(AggregateLayout layout,
                   AggregateLayout::Create(kind.aggregates(), kind.input_retracts(), registry));
  std::vector<SqlType> key_types;
  for (const proto::Expr& key : kind.keys()) {
    key_types.push_back(TypeFromProto(key.type()));
  }
  std::unique_ptr<PartialAggregate> out(
      new PartialAggregate(plan.id(), context, std::move(layout), std::move(key_types), limits));
  ASSIGN_OR_RETURN(out->keys_, CompileAll(kind.keys(), registry));
  for (int i = 0; i < std::min(kind.keys_size(), plan.output_size()); ++i) {
    out->key_names_.push_back(plan.output(i).name());
  }
  for (const proto::AggregateCall& aggregate : kind.aggregates()) {
    Call call;
    ASSIGN_OR_RETURN(call.args, CompileAll(aggregate.args(), registry));
    if (aggregate.has_filter()) {
      ASSIGN_OR_RETURN(call.filter, ExprEvaluator::Compile(aggregate.filter(), registry));
    }
    out->calls_.push_back(std::move(call));
  }
  out->retracts_ = kind.input_retracts();
  return out;
}

std::optional<std::vector<uint32_t>> PartialAggregate::HashedColumns() const {
  std::vector<uint32_t> columns(keys_.size());
  std::iota(columns.begin(), columns.end(), 0);
  return columns;
}

absl::Status PartialAggregate::Process(const Batch& input) {
  Batch batch = input;
  Evaluate(batch);
  while (!context().errors().empty()) {
    RETURN_IF_ERROR(context().DropFailedRows(&batch));
    if (batch.empty()) {
      return absl::OkStatus();
    }
    Evaluate(batch);  // evaluated again for the remaining rows, which have no errors
  }
  FindGroups(batch);
  UpdateStates(batch);
  RETURN_IF_ERROR(context().DropFailedRows(&batch));
  if (table_.size() >= limits_.groups || table_.Bytes() >= limits_.bytes) {
    return Flush();
  }
  return absl::OkStatus();
}

void PartialAggregate::Evaluate(const Batch& batch) {
  key_columns_.clear();
  for (const auto& key : keys_) {
    key_columns_.push_back(key->Evaluate(batch, batch.rows(), context().eval()));
  }
  for (Call& call : calls_) {
    EvaluateCall(batch, &call);
  }
}

void PartialAggregate::EvaluateCall(const Batch& batch, Call* call) {
  RowSet rows = batch.rows();
  if (call->filter != nullptr) {
    ColumnPtr truth = call->filter->Evaluate(batch, rows, context().eval());
    call->rows.clear();
    call->indexes.clear();
    for (size_t i = 0; i < rows.count; ++i) {
      if (!truth->IsNull(rows[i]) && truth->value<uint8_t>(rows[i]) != 0) {
        call->rows.push_back(rows[i]);
        call->indexes.push_back(static_cast<uint32_t>(i));
      }
    }
    rows = RowSet{call->rows.data(), call->rows.size()};
  }
  call->columns.clear();
  for (const auto& arg : call->args) {
    call->columns.push_back(arg->Evaluate(batch, rows, context().eval()));
  }
}

void PartialAggregate::FindGroups(const Batch& batch) {
  RowSet rows = batch.rows();
  if (hashes_.size() < batch.physical_rows()) {
    hashes_.resize(batch.physical_rows());
  }
  groups_.resize(std::max(groups_.size(), rows.count));
  HashRows(key_columns_, rows, hashes_.data());
  const auto& added = table_.FindOrAdd(key_columns_, hashes_.data(), rows, groups_.data());
  layout_.Init(added, &table_);
  if (!context().has_single_ordinal()) {
    for (const GroupTable::Added& group : added) {
      ordinals_.push_back(context().OrdinalOf(batch, group.row));
    }
  }
}

void PartialAggregate::UpdateStates(const Batch& batch) {
  RowSet rows = batch.rows();
  for (size_t i = 0; i < calls_.size(); ++i) {
    Call& call = calls_[i];
    const AggregateLayout::Entry& entry = layout_.entries()[i];
    RowSet call_rows = rows;
    const uint32_t* groups = groups_.data();
    if (call.filter != nullptr) {
      call.groups.resize(call.indexes.size());
      for (size_t j = 0; j < call.indexes.size(); ++j) {
        call.groups[j] = groups_[call.indexes[j]];
      }
      call_rows = RowSet{call.rows.data(), call.rows.size()};
      groups = call.groups.data();
    }
    if (call_rows.count != 0) {
      entry.function->Update(call.columns, batch.weights(), call_rows, groups,
                             layout_.States(entry, &table_), &context().errors());
    }
  }
  if (retracts_) {
    AggregateStates weights = layout_.Weights(&table_);
    for (size_t i = 0; i < rows.count; ++i) {
      weights.at<int64_t>(groups_[i]) += batch.weight(rows[i]);
    }
  }
}

absl::Status PartialAggregate::Flush() {
  for (uint32_t begin = 0; begin < table_.limit(); begin += kEmitRows) {
    RETURN_IF_ERROR(EmitGroups(begin, std::min(begin + kEmitRows, table_.limit())));
  }
  Reset();
  return absl::OkStatus();
}

void PartialAggregate::Reset() {
  layout_.DestroyAll(&table_);
  table_.Clear();
  ordinals_.clear();
}

absl::Status PartialAggregate::EmitGroups(uint32_t begin, uint32_t end) {
  std::vector<uint32_t> groups(end - begin);
  std::iota(groups.begin(), groups.end(), begin);
  std::vector<ColumnPtr> columns;
  columns.reserve(table_.key_count());
  for (size_t i = 0; i < table_.key_count(); ++i) {
    columns.push_back(table_.KeyColumn(i, groups.data(), groups.size()));
  }
  std::vector<ColumnPtr> keys = columns;
  for (const AggregateLayout::Entry& entry : layout_.entries()) {
    entry.function->EmitPartial(layout_.States(entry, &table_), groups.data(), groups.size(),
                                &columns);
  }
  auto weights = std::make_shared<Column>(MakeType(TypeId::kInt64), groups.size());
  auto hashes = std::make_shared<std::vector<uint64_t>>(groups.size());
  for (uint32_t group = begin; group < end; ++group) {
    // Over an input that only inserts, it only matters that the group exists.
    weights->mutable_values<int64_t>()[group - begin] =
        retracts_ ? layout_.Weights(&table_).at<int64_t>(group) : 1;
    (*hashes)[group - begin] = table_.hash(group);
  }
  columns.push_back(std::move(weights));
  Batch batch(std::move(columns), groups.size());
  batch.set_hashes(std::move(hashes));
  auto describe = [&](uint32_t row) { return DescribeKey(key_names_, keys, row); };
  RootRows root{.describe = describe};
  if (context().settings().keyed) {
    root.ordinals = ordinals_.data() + begin;
  } else {
    root.ordinal = context().sink_shard();
  }
  StageContext::RootScope scope(&context(), &root);
  return Emit(batch);
}

void PartialAggregate::AddStateStats(OperatorStats* stats) const {
  stats->state_bytes = static_cast<int64_t>(table_.Bytes() + hashes_.capacity() * sizeof(uint64_t) +
                                            groups_.capacity() * sizeof(uint32_t));
}

}  // namespace millrace::executor
