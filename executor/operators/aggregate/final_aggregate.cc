#include "executor/operators/aggregate/final_aggregate.h"

#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/columnar/row_hash.h"
#include "common/expr/state_identity.h"
#include "executor/operators/stage_context.h"
#include "executor/state/snapshot/held_rows.h"

namespace millrace::executor {
namespace {

constexpr size_t kEmitRows = 16 << 10;

}  // namespace

FinalAggregate::FinalAggregate(const proto::Operator& plan, StageContext* context,
                               AggregateLayout layout, std::vector<SqlType> key_types,
                               proto::StateIdentity identity)
    : KeyedOperator(plan.id(), context),
      per_batch_(plan.final_aggregate().per_batch()),
      global_(plan.final_aggregate().global() && !per_batch_),
      payload_(std::move(layout)),
      state_(KeyedState::Create(
          {.key_types = std::move(key_types),
           .payload = &payload_,
           .identity = std::move(identity),
           .ttl_us = global_ || per_batch_ ? 0 : context->settings().state_ttl_us},
          per_batch_ ? nullptr : context->settings().state_backend)),
      old_results_(payload_.layout().entries().size()) {}

absl::StatusOr<std::unique_ptr<FinalAggregate>> FinalAggregate::Create(
    const proto::Operator& plan, StageContext* context, const FunctionRegistry& registry) {
  const proto::FinalAggregate& kind = plan.final_aggregate();
  ASSIGN_OR_RETURN(AggregateLayout layout,
                   AggregateLayout::Create(kind.aggregates(), kind.input_retracts(), registry));
  if (static_cast<uint32_t>(kind.keys_size()) != kind.key_count()) {
    return absl::InternalError(absl::StrCat("the plan's final aggregate has ", kind.key_count(),
                                            " keys and names ", kind.keys_size()));
  }
  std::vector<SqlType> key_types;
  std::vector<std::string> key_names;
  for (const proto::Field& key : kind.keys()) {
    key_types.push_back(TypeFromProto(key.type()));
    key_names.push_back(key.name());
  }
  std::unique_ptr<FinalAggregate> out(new FinalAggregate(
      plan, context, std::move(layout), std::move(key_types), StateIdentityOf(plan, registry)));
  out->key_names_ = std::move(key_names);
  return out;
}

std::optional<std::vector<uint32_t>> FinalAggregate::HashedColumns() const {
  std::vector<uint32_t> columns(state_->table().key_count());
  std::iota(columns.begin(), columns.end(), 0);
  return columns;
}

absl::Status FinalAggregate::Process(const Batch&) {
  return absl::InternalError(
      "a final aggregate stands behind another operator instead of at the head of its stage");
}

absl::Status FinalAggregate::Apply(const Batch& block, std::span<const InputRun> runs) {
  RowSet rows = block.rows();
  std::vector<ColumnPtr> keys(
      block.columns().begin(),
      block.columns().begin() + static_cast<ptrdiff_t>(state_->table().key_count()));
  RETURN_IF_ERROR(FindGroups(keys, block.hashes()->data(), rows));
  size_t next = 0;
  for (const InputRun& run : runs) {
    for (uint32_t i = 0; i < run.rows; ++i, ++next) {
      TouchRow(keys, rows[next], groups_[next], run, run.position + i);
    }
  }
  MILLRACE_CHECK(next == rows.count) << "runs cover " << next << " of " << rows.count << " rows";
  RETURN_IF_ERROR(SaveOldResults());
  return Merge(block);
}

absl::Status FinalAggregate::FindGroups(const std::vector<ColumnPtr>& keys, const uint64_t* hashes,
                                        RowSet rows) {
  groups_.resize(rows.count);
  RETURN_IF_ERROR(state_->FindOrAdd(keys, hashes, rows, context().batch_time_us(), groups_.data()));
  if (touch_of_.size() < state_->table().limit()) {
    touch_of_.resize(state_->table().limit(), kNone);
  }
  return absl::OkStatus();
}

void FinalAggregate::TouchRow(const std::vector<ColumnPtr>& keys, uint32_t row, uint32_t group,
                              const InputRun& run, uint64_t position) {
  if (touch_of_[group] == kNone) {
    touch_of_[group] = static_cast<uint32_t>(touched_.size());
    touched_.push_back({group, run.ordinal, position, 0, kNone, kNone});
    if (payload_.visible(group)) {
      touched_.back().old_row = old_rows_ + static_cast<uint32_t>(to_save_.size());
      to_save_.push_back(group);
    } else {
      ShowKeyAs(keys, row, group);
    }
    return;
  }
  Touch& touch = touched_[touch_of_[group]];
  if (std::tie(run.ordinal, position) < std::tie(touch.ordinal, touch.position)) {
    touch.ordinal = run.ordinal;
    touch.position = position;
    if (!payload_.visible(group)) {
      ShowKeyAs(keys, row, group);
    }
  }
}

// A group without a row downstream prints its key in the form of the first row that the batch has
// of it: whichever row arrived first, and whatever form the group had stored.
void FinalAggregate::ShowKeyAs(const std::vector<ColumnPtr>& keys, uint32_t row, uint32_t group) {
  if (state_->table().has_equal_forms()) {
    state_->table().ReplaceKey(group, keys, row);
  }
}

absl::Status FinalAggregate::SaveOldResults() {
  if (to_save_.empty()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(std::vector<ColumnPtr> results, FinalizeAll(to_save_));
  for (size_t i = 0; i < results.size(); ++i) {
    old_results_[i].push_back(std::move(results[i]));
  }
  old_rows_ += static_cast<uint32_t>(to_save_.size());
  to_save_.clear();
  return absl::OkStatus();
}

absl::Status FinalAggregate::Merge(const Batch& block) {
  RowSet rows = block.rows();
  size_t column = state_->table().key_count();
  for (const AggregateLayout::Entry& entry : payload_.layout().entries()) {
    size_t count = entry.function->partial_types().size();
    if (column + count >= block.column_count()) {
      return absl::InternalError(
          absl::StrCat("partial rows of ", block.column_count(),
                       " columns reached a final aggregate that expects more"));
    }
    std::vector<ColumnPtr> partials(
        block.columns().begin() + static_cast<ptrdiff_t>(column),
        block.columns().begin() + static_cast<ptrdiff_t>(column + count));
    RETURN_IF_ERROR(entry.function->MergePartial(partials, rows, groups_.data(), States(entry)));
    column += count;
  }
  const int64_t* weights = block.column(column)->values<int64_t>();
  const AggregateStates sums = payload_.layout().Weights(&state_->table());
  for (size_t i = 0; i < rows.count; ++i) {
    sums.at<int64_t>(groups_[i]) += weights[rows[i]];
  }
  return absl::OkStatus();
}

absl::Status FinalAggregate::SeedGlobalRow() {
  // Once the global group exists, it stays for good, in snapshots too.
  if (!global_ || context().settings().shard != 0 || state_->rows() != 0) {
    return absl::OkStatus();
  }
  uint64_t hash = 0;
  RETURN_IF_ERROR(FindGroups({}, &hash, RowSet{nullptr, 1}));
  touch_of_[groups_[0]] = static_cast<uint32_t>(touched_.size());
  touched_.push_back({groups_[0], UINT32_MAX, UINT64_MAX, 0, kNone, kNone});
  return absl::OkStatus();
}

std::string FinalAggregate::Describe(uint32_t group) const {
  std::vector<ColumnPtr> keys;
  keys.reserve(state_->table().key_count());
  for (size_t i = 0; i < state_->table().key_count(); ++i) {
    keys.push_back(state_->table().KeyColumn(i, &group, 1));
  }
  return DescribeKey(key_names_, keys, 0);
}

absl::Status FinalAggregate::CheckWeights() {
  if (state_->expires()) {
    return absl::OkStatus();  // rows may take back others that have expired
  }
  for (const Touch& touch : touched_) {
    if (Weight(touch.group) < 0) {
      return absl::InternalError(
          absl::StrCat("more rows were taken back than there were for ", Describe(touch.group)));
    }
  }
  return absl::OkStatus();
}

absl::Status FinalAggregate::Flush() {
  RETURN_IF_ERROR(SeedGlobalRow());
  if (!touched_.empty()) {
    RETURN_IF_ERROR(EmitTouched());
  }
  return EndBatch();
}

absl::Status FinalAggregate::EmitTouched() {
  RETURN_IF_ERROR(CheckWeights());
  const GroupTable& table = state_->table();
  for (Touch& touch : touched_) {
    touch.key_group = KeyGroupOf(table.hash(touch.group), context().settings().key_groups);
  }
  std::sort(touched_.begin(), touched_.end(), [](const Touch& a, const Touch& b) {
    return std::tie(a.key_group, a.ordinal, a.position) <
           std::tie(b.key_group, b.ordinal, b.position);
  });
  ASSIGN_OR_RETURN(std::vector<ColumnPtr> fresh, NewResults());
  std::vector<ColumnPtr> results;
  for (size_t i = 0; i < fresh.size(); ++i) {
    old_results_[i].push_back(fresh[i]);
    results.push_back(Concatenate(old_results_[i]));
  }
  return EmitChanges(Changes(results), results);
}

absl::StatusOr<std::vector<ColumnPtr>> FinalAggregate::NewResults() {
  std::vector<uint32_t> live;
  for (const Touch& touch : touched_) {
    if (IsLive(touch.group)) {
      live.push_back(touch.group);
    }
  }
  absl::StatusOr<std::vector<ColumnPtr>> results = FinalizeAll(live);
  if (!results.ok()) {
    RETURN_IF_ERROR(DropGroupsThatFail(&live));
    results = FinalizeAll(live);
  }
  size_t next = 0;
  for (Touch& touch : touched_) {
    touch.new_row =
        next < live.size() && live[next] == touch.group ? static_cast<uint32_t>(next++) : kNone;
  }
  return results;
}

absl::StatusOr<std::vector<ColumnPtr>> FinalAggregate::FinalizeAll(
    const std::vector<uint32_t>& groups) {
  std::vector<ColumnPtr> results;
  for (const AggregateLayout::Entry& entry : payload_.layout().entries()) {
    ASSIGN_OR_RETURN(ColumnPtr result,
                     entry.function->Finalize(States(entry), groups.data(), groups.size()));
    results.push_back(std::move(result));
  }
  return results;
}

absl::Status FinalAggregate::DropGroupsThatFail(std::vector<uint32_t>* groups) {
  std::vector<uint32_t> good;
  for (uint32_t group : *groups) {
    absl::Status status = FinalizeAll({group}).status();
    if (status.ok()) {
      good.push_back(group);
    } else {
      RETURN_IF_ERROR(context().DropFailed(Describe(group), status));
    }
  }
  *groups = std::move(good);
  return absl::OkStatus();
}

std::vector<FinalAggregate::Change> FinalAggregate::Changes(
    const std::vector<ColumnPtr>& results) const {
  std::vector<Change> changes;
  changes.reserve(touched_.size() * 2);
  for (const Touch& touch : touched_) {
    bool had = touch.old_row != kNone;
    bool has = touch.new_row != kNone;
    uint32_t new_result = old_rows_ + touch.new_row;
    if (had && has && std::all_of(results.begin(), results.end(), [&](const ColumnPtr& column) {
          return SameValue(*column, touch.old_row, *column, new_result);
        })) {
      continue;
    }
    if (had) {
      changes.push_back({&touch, touch.old_row, -1});
    }
    if (has) {
      changes.push_back({&touch, new_result, 1});
    }
  }
  return changes;
}

absl::Status FinalAggregate::EmitChanges(const std::vector<Change>& changes,
                                         const std::vector<ColumnPtr>& results) {
  for (size_t begin = 0; begin < changes.size(); begin += kEmitRows) {
    size_t count = std::min(kEmitRows, changes.size() - begin);
    RETURN_IF_ERROR(EmitSlice(std::span(changes).subspan(begin, count), results));
  }
  return absl::OkStatus();
}

absl::Status FinalAggregate::EmitSlice(std::span<const Change> changes,
                                       const std::vector<ColumnPtr>& results) {
  const GroupTable& table = state_->table();
  size_t rows = changes.size();
  std::vector<uint32_t> groups(rows);
  std::vector<uint32_t> result_rows(rows);
  std::vector<uint32_t> ordinals(rows);
  auto hashes = std::make_shared<std::vector<uint64_t>>(rows);
  auto weights = std::make_shared<Column>(MakeType(TypeId::kInt64), rows);
  bool retracts = false;
  for (size_t i = 0; i < rows; ++i) {
    const Change& change = changes[i];
    groups[i] = change.touch->group;
    result_rows[i] = change.result;
    ordinals[i] = change.touch->key_group;
    (*hashes)[i] = table.hash(change.touch->group);
    weights->mutable_values<int64_t>()[i] = change.weight;
    retracts |= change.weight < 0;
  }
  std::vector<ColumnPtr> keys;
  keys.reserve(table.key_count());
  for (size_t i = 0; i < table.key_count(); ++i) {
    keys.push_back(table.KeyColumn(i, groups.data(), rows));
  }
  std::vector<ColumnPtr> columns = keys;
  for (const ColumnPtr& result : results) {
    columns.push_back(Take(*result, result_rows.data(), rows));
  }
  Batch batch(std::move(columns), rows);
  batch.set_hashes(std::move(hashes));
  if (retracts) {
    batch.set_weights(std::move(weights));
  }
  auto describe = [&](uint32_t row) { return DescribeKey(key_names_, keys, row); };
  RootRows root{.describe = describe, .ordinals = ordinals.data()};
  StageContext::RootScope scope(&context(), &root);
  return Emit(batch);
}

absl::Status FinalAggregate::EndBatch() {
  absl::Status ended;
  if (!per_batch_) {
    ended = KeepTouched();
  } else if (!touched_.empty()) {
    state_->Clear();
  }
  for (const Touch& touch : touched_) {
    touch_of_[touch.group] = kNone;
  }
  touched_.clear();
  old_rows_ = 0;
  for (auto& pieces : old_results_) {
    pieces.clear();
  }
  return ended;
}

absl::Status FinalAggregate::KeepTouched() {
  std::vector<uint32_t> changed;
  changed.reserve(touched_.size());
  std::vector<uint32_t> removed;
  for (const Touch& touch : touched_) {
    if (IsLive(touch.group)) {
      payload_.SetVisible(touch.group, touch.new_row != kNone);
      changed.push_back(touch.group);
    } else {
      removed.push_back(touch.group);
    }
  }
  return state_->EndBatch(changed, removed, context().batch_time_us());
}

void FinalAggregate::AddStateStats(OperatorStats* stats) const {
  stats->state_rows = per_batch_ ? 0 : static_cast<int64_t>(state_->rows());
  stats->state_bytes =
      static_cast<int64_t>(state_->Bytes() + touch_of_.capacity() * sizeof(uint32_t));
}

}  // namespace millrace::executor
