#include "executor/operators/output/consolidate.h"

#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/columnar/row_hash.h"
#include "executor/operators/stage_context.h"
#include "executor/state/snapshot/held_rows.h"

namespace millrace::executor {

Consolidate::Consolidate(uint32_t id, StageContext* context, std::vector<SqlType> key_types,
                         std::vector<uint32_t> keys)
    : KeyedOperator(id, context), keys_(std::move(keys)), table_(std::move(key_types), 0) {}

absl::StatusOr<std::unique_ptr<Consolidate>> Consolidate::Create(
    const proto::Operator& plan, StageContext* context, const std::vector<proto::Field>& columns,
    const std::optional<std::vector<uint32_t>>& input_hashed) {
  const proto::Consolidate& kind = plan.consolidate();
  std::vector<uint32_t> keys(kind.keys().begin(), kind.keys().end());
  std::vector<SqlType> types;
  std::vector<std::string> names;
  for (uint32_t key : keys) {
    if (key >= columns.size()) {
      return absl::InternalError(
          absl::StrCat("the plan consolidates by column ", key, " of ", columns.size()));
    }
    types.push_back(TypeFromProto(columns[key].type()));
    names.push_back(columns[key].name());
  }
  std::unique_ptr<Consolidate> out(
      new Consolidate(plan.id(), context, std::move(types), std::move(keys)));
  out->key_names_ = std::move(names);
  out->upsert_ = kind.upsert();
  out->hashes_are_of_keys_ = input_hashed == out->keys_;
  return out;
}

std::vector<ColumnPtr> Consolidate::KeyColumns(const Batch& batch) const {
  std::vector<ColumnPtr> columns;
  columns.reserve(keys_.size());
  for (uint32_t key : keys_) {
    columns.push_back(batch.column(key));
  }
  return columns;
}

const Batch& Consolidate::Hold(const Batch& batch, const std::vector<uint64_t>& hashes) {
  blocks_.push_back(CopyRows(batch));
  const Batch& block = blocks_.back();
  size_t rows = block.physical_rows();
  groups_.resize(rows);
  table_.FindOrAdd(KeyColumns(block), hashes.data(), RowSet{nullptr, rows}, groups_.data());
  key_states_.resize(table_.limit());
  return block;
}

absl::Status Consolidate::Apply(const Batch& block, std::span<const InputRun> runs) {
  Batch dense = block.Compact();
  const Batch& held = Hold(dense, *dense.hashes());
  uint32_t row = 0;
  for (const InputRun& run : runs) {
    for (uint32_t i = 0; i < run.rows; ++i, ++row) {
      uint32_t key_group = KeyGroupOf((*dense.hashes())[row], context().settings().key_groups);
      Touch(groups_[row], key_group, run.ordinal, run.position + i);
      AddRow(groups_[row], row, held.weight(row));
    }
  }
  MILLRACE_CHECK(row == held.physical_rows())
      << "runs cover " << row << " of " << held.physical_rows() << " rows";
  return absl::OkStatus();
}

absl::Status Consolidate::Process(const Batch& batch) {
  Batch dense = batch.Compact();
  size_t rows = dense.physical_rows();
  if (hashes_are_of_keys_) {
    hashes_ = *dense.hashes();
  } else {
    hashes_.resize(rows);
    HashRows(KeyColumns(dense), RowSet{nullptr, rows}, hashes_.data());
  }
  const Batch& held = Hold(dense, hashes_);
  for (uint32_t row = 0; row < rows; ++row) {
    Touch(groups_[row], context().OrdinalOf(dense, row), 0, pushed_rows_++);
    AddRow(groups_[row], row, held.weight(row));
  }
  return absl::OkStatus();
}

void Consolidate::Touch(uint32_t key, uint32_t ordinal, uint32_t touch_ordinal,
                        uint64_t touch_position) {
  Key& state = key_states_[key];
  bool first = state.first_entry == kNone;
  if (first || std::tie(touch_ordinal, touch_position) <
                   std::tie(state.touch_ordinal, state.touch_position)) {
    state.touch_ordinal = touch_ordinal;
    state.touch_position = touch_position;
  }
  if (first) {
    state.ordinal = ordinal;
  }
}

void Consolidate::AddRow(uint32_t key, uint32_t row, int64_t weight) {
  auto block = static_cast<uint32_t>(blocks_.size() - 1);
  const Batch& batch = blocks_.back();
  for (uint32_t i = key_states_[key].first_entry; i != kNone; i = entries_[i].next) {
    Entry& entry = entries_[i];
    const Batch& other = blocks_[entry.block];
    bool same = true;
    for (size_t column = 0; same && column < batch.column_count(); ++column) {
      same = SameValue(*batch.column(column), row, *other.column(column), entry.row);
    }
    if (same) {
      entry.weight += weight;
      return;
    }
  }
  entries_.push_back({block, row, key_states_[key].first_entry, weight});
  key_states_[key].first_entry = static_cast<uint32_t>(entries_.size() - 1);
}

absl::Status Consolidate::TooManyRows(uint32_t key) const {
  std::vector<ColumnPtr> columns;
  columns.reserve(keys_.size());
  for (size_t i = 0; i < keys_.size(); ++i) {
    columns.push_back(table_.KeyColumn(i, &key, 1));
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "batch ", context().batch().value(), " has more than one row for PRIMARY ",
      DescribeKey(key_names_, columns, 0),
      "; the query must give each key of the sink at most one row: group by the key, or widen it"));
}

absl::Status Consolidate::Net(uint32_t key, std::vector<OutputRow>* out) const {
  uint32_t removed = kNone;
  uint32_t added = kNone;
  for (uint32_t i = key_states_[key].first_entry; i != kNone; i = entries_[i].next) {
    int64_t weight = entries_[i].weight;
    if (weight == 0) {
      continue;
    }
    uint32_t& slot = weight > 0 ? added : removed;
    if (slot != kNone || weight > 1 || weight < -1) {
      return TooManyRows(key);
    }
    slot = i;
  }
  if (removed != kNone && !(upsert_ && added != kNone)) {
    out->push_back({removed, key, -1});
  }
  if (added != kNone) {
    out->push_back({added, key, 1});
  }
  return absl::OkStatus();
}

absl::Status Consolidate::Flush() {
  std::vector<uint32_t> order(key_states_.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [this](uint32_t a, uint32_t b) {
    const Key& left = key_states_[a];
    const Key& right = key_states_[b];
    return std::tie(left.ordinal, left.touch_ordinal, left.touch_position) <
           std::tie(right.ordinal, right.touch_ordinal, right.touch_position);
  });
  std::vector<OutputRow> rows;
  for (uint32_t key : order) {
    RETURN_IF_ERROR(Net(key, &rows));
  }
  if (!rows.empty()) {
    RETURN_IF_ERROR(EmitRows(rows));
  }
  Reset();
  return absl::OkStatus();
}

absl::Status Consolidate::EmitRows(const std::vector<OutputRow>& rows) {
  std::vector<uint32_t> first_row(blocks_.size(),
                                  0);  // index of each block's first row in the joined blocks
  for (size_t i = 1; i < blocks_.size(); ++i) {
    first_row[i] = first_row[i - 1] + static_cast<uint32_t>(blocks_[i - 1].physical_rows());
  }
  std::vector<uint32_t> index(rows.size());
  std::vector<uint32_t> ordinals(rows.size());
  auto hashes = std::make_shared<std::vector<uint64_t>>(rows.size());
  auto weights = std::make_shared<Column>(MakeType(TypeId::kInt64), rows.size());
  bool retracts = false;
  for (size_t i = 0; i < rows.size(); ++i) {
    const Entry& entry = entries_[rows[i].entry];
    index[i] = first_row[entry.block] + entry.row;
    ordinals[i] = key_states_[rows[i].key].ordinal;
    (*hashes)[i] = table_.hash(rows[i].key);
    weights->mutable_values<int64_t>()[i] = rows[i].weight;
    retracts |= rows[i].weight < 0;
  }
  std::vector<ColumnPtr> columns;
  Batch held = ConcatenateBatches(blocks_);
  for (const ColumnPtr& column : held.columns()) {
    columns.push_back(Take(*column, index.data(), index.size()));
  }
  Batch batch(std::move(columns), rows.size());
  batch.set_hashes(std::move(hashes));
  if (retracts) {
    batch.set_weights(std::move(weights));
  }
  std::vector<ColumnPtr> keys = KeyColumns(batch);
  auto describe = [&](uint32_t row) { return DescribeKey(key_names_, keys, row); };
  RootRows root{.describe = describe, .ordinals = ordinals.data()};
  StageContext::RootScope scope(&context(), &root);
  return Emit(batch);
}

void Consolidate::Reset() {
  table_.Clear();
  key_states_.clear();
  blocks_.clear();
  entries_.clear();
  pushed_rows_ = 0;
}

void Consolidate::AddStateStats(OperatorStats* stats) const {
  stats->state_bytes = static_cast<int64_t>(table_.Bytes() + entries_.capacity() * sizeof(Entry));
}

}  // namespace millrace::executor
