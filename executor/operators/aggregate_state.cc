#include "executor/operators/aggregate_state.h"

#include <algorithm>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "executor/state/held_rows.h"

namespace millrace {
namespace {

// A sweep at a batch's end looks at this many group numbers, which takes a fraction of a
// millisecond.
constexpr uint32_t kSweepGroups = 128 << 10;

std::vector<SqlType> EntryTypes(const AggregateLayout& layout, std::vector<SqlType> types) {
  for (const AggregateLayout::Entry& entry : layout.entries()) {
    const std::vector<SqlType>& partials = entry.function->partial_types();
    types.insert(types.end(), partials.begin(), partials.end());
  }
  types.push_back(MakeType(TypeId::kInt64));        // weight
  types.push_back(MakeType(TypeId::kBool));         // visible
  types.push_back(MakeType(TypeId::kTimestampTz));  // touched
  return types;
}

}  // namespace

AggregateState::AggregateState(AggregateLayout layout, std::vector<SqlType> key_types,
                               proto::StateIdentity identity, int64_t ttl_us,
                               std::unique_ptr<StateStore> store)
    : layout_(std::move(layout)),
      identity_(std::move(identity)),
      ttl_us_(ttl_us),
      store_(std::move(store)),
      entry_types_(EntryTypes(layout_, key_types)),
      table_(std::move(key_types), layout_.payload_bytes()),
      copied_(identity_.name()) {}

AggregateState::~AggregateState() { layout_.DestroyAll(&table_); }

absl::Status AggregateState::FindOrAdd(const std::vector<ColumnPtr>& keys, const uint64_t* hashes,
                                       RowSet rows, int64_t now_us, uint32_t* groups) {
  const std::vector<GroupTable::Added>& added = table_.FindOrAdd(keys, hashes, rows, groups);
  AddGroups(added, now_us);
  if (store_ != nullptr) {
    return Load(keys, hashes, added);
  }
  if (marks_.open()) {
    std::vector<uint32_t> owed;
    marks_.TakeOwed(groups, rows.count, &owed);
    CopyEntries(std::move(owed));
  }
  return absl::OkStatus();
}

void AggregateState::AddGroups(const std::vector<GroupTable::Added>& added, int64_t now_us) {
  layout_.Init(added, &table_);
  if (visible_.size() < table_.limit()) {
    visible_.resize(table_.limit());
    touched_at_us_.resize(table_.limit());
    owned_bytes_.resize(layout_.needs_destroy() ? table_.limit() : 0);
    stored_.resize(store_ != nullptr ? table_.limit() : 0);
    noted_since_.resize(stored_.size());
  }
  for (const GroupTable::Added& group : added) {
    marks_.Add(group.group);
    visible_[group.group] = 0;
    touched_at_us_[group.group] = now_us;
  }
}

void AggregateState::DropIfOver(uint32_t group, int64_t now_us) {
  if (marks_.gone(group)) {
    marks_.Revive(group);
  } else if (Expired(group, now_us)) {
    Reset(group);
  }
}

void AggregateState::Reset(uint32_t group) {
  layout_.Destroy(group, &table_);
  GroupTable::Added added{group, 0};
  layout_.Init(std::span(&added, 1), &table_);
  visible_[group] = 0;
  CountOwnedBytes(group);
}

void AggregateState::CountOwnedBytes(uint32_t group) {
  if (layout_.needs_destroy()) {
    auto owned = static_cast<uint32_t>(layout_.OwnedBytes(group, &table_));
    total_owned_bytes_ += static_cast<int64_t>(owned) - owned_bytes_[group];
    owned_bytes_[group] = owned;
  }
}

void AggregateState::EndTouch(uint32_t group, bool visible, int64_t now_us) {
  visible_[group] = visible ? 1 : 0;
  touched_at_us_[group] = now_us;
  oldest_us_ = std::min(oldest_us_, now_us);
  marks_.Change(group);
  CountOwnedBytes(group);
  if (store_ != nullptr) {
    ended_.push_back(group);
  }
}

void AggregateState::Remove(uint32_t group) {
  if (store_ != nullptr) {
    removed_.push_back(group);
  } else if (marks_.Remove(group)) {
    Erase(group);
  } else {
    Reset(group);
  }
}

void AggregateState::Erase(uint32_t group) {
  if (layout_.needs_destroy()) {
    total_owned_bytes_ -= std::exchange(owned_bytes_[group], 0);
    layout_.Destroy(group, &table_);
  }
  marks_.Erase(group);
  table_.Erase(group);
}

absl::Status AggregateState::EndBatch(int64_t now_us) {
  if (store_ == nullptr) {
    Sweep(now_us);
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(WriteBack());
  RETURN_IF_ERROR(SweepStore(now_us));
  DropOldGroups();
  return absl::OkStatus();
}

void AggregateState::Sweep(int64_t now_us) {
  if (ttl_us_ == 0 || now_us - oldest_us_ <= ttl_us_) {
    return;
  }
  if (sweep_next_ == 0) {
    sweep_oldest_us_ = now_us;
  }
  uint32_t end = std::min(table_.limit(), sweep_next_ + kSweepGroups);
  std::vector<uint32_t> expired;
  for (; sweep_next_ < end; ++sweep_next_) {
    if (!marks_.is_entry(sweep_next_)) {
      continue;
    }
    if (Expired(sweep_next_, now_us)) {
      expired.push_back(sweep_next_);
    } else {
      sweep_oldest_us_ = std::min(sweep_oldest_us_, touched_at_us_[sweep_next_]);
    }
  }
  if (sweep_next_ == table_.limit()) {
    sweep_next_ = 0;
    oldest_us_ = sweep_oldest_us_;
  }
  std::vector<uint32_t> owed;
  marks_.TakeOwed(expired.data(), expired.size(), &owed);
  CopyEntries(std::move(owed));
  for (uint32_t group : expired) {
    Remove(group);
  }
}

void AggregateState::Clear() {
  layout_.DestroyAll(&table_);
  table_.Clear();
}

size_t AggregateState::Bytes() const {
  return table_.Bytes() + visible_.capacity() + touched_at_us_.capacity() * sizeof(int64_t) +
         owned_bytes_.capacity() * sizeof(uint32_t) + static_cast<size_t>(total_owned_bytes_) +
         marks_.Bytes() + copied_.Bytes() + stored_.capacity() +
         noted_since_.capacity() * sizeof(uint32_t);
}

int64_t AggregateState::wake_at_us() const {
  bool never = ttl_us_ == 0 || rows() == 0 || oldest_us_ >= INT64_MAX - ttl_us_;
  return never ? 0 : oldest_us_ + ttl_us_ + 1;
}

void AggregateState::BeginSnapshot(bool full) {
  MILLRACE_CHECK(full || taken_) << "the changes of a snapshot that was dropped would be lost";
  copied_.Clear();
  full_ = full;
  taken_ = false;
  if (store_ != nullptr) {
    store_->BeginCut(full);
    cut_read_ = false;
    ++cuts_;
  } else {
    marks_.Cut(full);
  }
}

absl::StatusOr<bool> AggregateState::ContinueSnapshot(size_t* max_entries) {
  if (store_ != nullptr) {
    return ContinueStoreSnapshot(max_entries);
  }
  while (marks_.open() && *max_entries > 0) {
    std::vector<uint32_t> groups;
    marks_.TakeOwed(std::min(*max_entries, StateBlockBuilder::kBlockEntries), &groups);
    *max_entries -= groups.size();
    CopyEntries(groups);
    for (uint32_t group : groups) {
      if (marks_.gone(group)) {
        Erase(group);
      }
    }
  }
  return !marks_.open();
}

std::vector<StateBlock> AggregateState::TakeSnapshot() {
  MILLRACE_CHECK(!marks_.open() && cut_read_)
      << "a snapshot was taken before all of it had been copied";
  taken_ = true;
  if (store_ != nullptr) {
    store_->EndCut();
  }
  return copied_.Take();
}

void AggregateState::CopyEntries(std::vector<uint32_t> groups) {
  if (full_) {  // a full snapshot does not list entries that are gone
    std::erase_if(groups, [this](uint32_t group) { return marks_.gone(group); });
  }
  for (size_t begin = 0; begin < groups.size(); begin += StateBlockBuilder::kBlockEntries) {
    size_t count = std::min(StateBlockBuilder::kBlockEntries, groups.size() - begin);
    copied_.Add(Entries(groups.data() + begin, count));
  }
}

Batch AggregateState::Entries(const uint32_t* groups, size_t count) {
  std::vector<ColumnPtr> columns;
  columns.reserve(entry_types_.size());
  for (size_t i = 0; i < table_.key_count(); ++i) {
    columns.push_back(table_.KeyColumn(i, groups, count));
  }
  for (const AggregateLayout::Entry& entry : layout_.entries()) {
    entry.function->EmitPartial(States(entry), groups, count, &columns);
  }
  auto weights = std::make_shared<Column>(MakeType(TypeId::kInt64), count);
  auto visible = std::make_shared<Column>(MakeType(TypeId::kBool), count);
  auto touched = std::make_shared<Column>(MakeType(TypeId::kTimestampTz), count);
  auto hashes = std::make_shared<std::vector<uint64_t>>(count);
  auto signs = std::make_shared<Column>(MakeType(TypeId::kInt64), count);
  for (size_t i = 0; i < count; ++i) {
    uint32_t group = groups[i];
    weights->mutable_values<int64_t>()[i] = weight(group);
    visible->mutable_values<uint8_t>()[i] = visible_[group];
    touched->mutable_values<int64_t>()[i] = touched_at_us_[group];
    (*hashes)[i] = table_.hash(group);
    signs->mutable_values<int64_t>()[i] = marks_.gone(group) ? -1 : 1;
  }
  columns.insert(columns.end(), {std::move(weights), std::move(visible), std::move(touched)});
  Batch entries(std::move(columns), count);
  entries.set_hashes(std::move(hashes));
  entries.set_weights(std::move(signs));
  return entries;
}

absl::Status AggregateState::CheckShape(const Batch& rows) const {
  bool fits = rows.column_count() == entry_types_.size() && rows.hashes() != nullptr;
  for (size_t i = 0; fits && i < entry_types_.size(); ++i) {
    fits = rows.column(i)->type().id == entry_types_[i].id;
  }
  if (!fits) {
    return absl::FailedPreconditionError(absl::StrCat("entries of ", rows.column_count(),
                                                      " columns in the snapshot do not fit the ",
                                                      "operator's state: ", identity_.shape()));
  }
  return absl::OkStatus();
}

absl::Status AggregateState::UnknownRemoval() {
  return absl::DataLossError("the snapshot removes a key that no layer before has put in");
}

absl::Status AggregateState::EqualKeysApart(const std::vector<ColumnPtr>& keys, uint32_t row) {
  return absl::FailedPreconditionError(absl::StrCat(
      "the snapshot was written when jsonb numbers with other zeros behind the point were other "
      "keys, and has ",
      DescribeKey({}, keys, row),
      " beside an equal one: their states cannot be told apart any more; submit the job without "
      "its "
      "state (--drop-state), so that it is rebuilt from the source"));
}

absl::Status AggregateState::Restore(const StateBlock& block) {
  const Batch& rows = block.rows;
  RETURN_IF_ERROR(CheckShape(rows));
  if (store_ != nullptr) {
    return RestoreStore(block);
  }
  std::vector<ColumnPtr> keys(rows.columns().begin(),
                              rows.columns().begin() + static_cast<ptrdiff_t>(table_.key_count()));
  RowSet selected = rows.rows();
  std::vector<uint32_t> groups(selected.count);
  AddGroups(table_.FindOrAdd(keys, rows.hashes()->data(), selected, groups.data()), 0);
  std::vector<uint32_t> put;
  std::vector<uint32_t> put_groups;
  std::vector<uint32_t> erased;
  for (size_t i = 0; i < selected.count; ++i) {
    uint32_t group = groups[i];
    if (block.equal_keys_apart && !table_.HasKeyBytes(group, keys, selected[i])) {
      return EqualKeysApart(keys, selected[i]);
    }
    if (rows.weight(selected[i]) > 0) {
      if (marks_.restored(group)) {
        Reset(group);
      }
      if (table_.has_equal_forms()) {
        table_.ReplaceKey(group, keys, selected[i]);
      }
      put.push_back(selected[i]);
      put_groups.push_back(group);
    } else if (marks_.restored(group)) {
      erased.push_back(group);
    } else {
      return UnknownRemoval();
    }
  }
  RETURN_IF_ERROR(Put(rows, put, put_groups));
  for (uint32_t group : erased) {
    Erase(group);
  }
  return absl::OkStatus();
}

absl::Status AggregateState::Put(const Batch& rows, const std::vector<uint32_t>& put,
                                 const std::vector<uint32_t>& groups) {
  RowSet selected{put.data(), put.size()};
  auto column = rows.columns().begin() + static_cast<ptrdiff_t>(table_.key_count());
  for (const AggregateLayout::Entry& entry : layout_.entries()) {
    auto end = column + static_cast<ptrdiff_t>(entry.function->partial_types().size());
    RETURN_IF_ERROR(
        entry.function->MergePartial({column, end}, selected, groups.data(), States(entry)));
    column = end;
  }
  const int64_t* weights = column[0]->values<int64_t>();
  const auto* visible = column[1]->values<uint8_t>();
  const int64_t* touched = column[2]->values<int64_t>();
  AggregateStates sums = Weights();
  for (size_t i = 0; i < put.size(); ++i) {
    uint32_t group = groups[i];
    sums.at<int64_t>(group) = weights[put[i]];
    visible_[group] = visible[put[i]];
    touched_at_us_[group] = touched[put[i]];
    oldest_us_ = std::min(oldest_us_, touched[put[i]]);
    marks_.Restore(group);
    CountOwnedBytes(group);
  }
  return absl::OkStatus();
}

}  // namespace millrace
