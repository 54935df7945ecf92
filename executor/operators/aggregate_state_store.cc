// AggregateState over a StateStore. Between batches the store has every entry in its current form;
// groups in the table are copies of some.
#include <algorithm>
#include <numeric>
#include <optional>
#include <span>
#include <utility>

#include "common/base/status.h"
#include "executor/operators/aggregate_state.h"
#include "executor/state/entry_codec.h"

namespace millrace {
namespace {

// A sweep at a batch's end looks at this many entries, which takes some ten milliseconds, and at
// how many at a time.
constexpr size_t kSweepEntries = 32 << 10;
constexpr size_t kSweepStep = 4096;

}  // namespace

// ---- batches ----

absl::Status AggregateState::Load(const std::vector<ColumnPtr>& keys, const uint64_t* hashes,
                                  const std::vector<GroupTable::Added>& added) {
  for (const GroupTable::Added& group : added) {
    stored_[group.group] = 0;
    noted_since_[group.group] = 0;
  }
  new_groups_ += added.size();
  if (added.empty() || stored_rows_ == 0) {
    return absl::OkStatus();
  }
  std::vector<std::string> lookups;
  lookups.reserve(added.size());
  for (const GroupTable::Added& group : added) {
    lookups.push_back(EncodeKey(keys, hashes[group.row], group.row));
  }
  ASSIGN_OR_RETURN(const std::vector<std::optional<std::string>> found, store_->Get(lookups));
  std::vector<std::string_view> entries;
  std::vector<uint32_t> groups;
  for (size_t i = 0; i < added.size(); ++i) {
    if (found[i].has_value()) {
      entries.push_back(RowOfEntry(*found[i]));
      groups.push_back(added[i].group);
      stored_[added[i].group] = 1;
    }
  }
  new_groups_ -= groups.size();
  ASSIGN_OR_RETURN(std::vector<ColumnPtr> columns, DecodeRows(entry_types_, std::move(entries)));
  std::vector<uint32_t> rows(groups.size());
  std::iota(rows.begin(), rows.end(), 0);
  for (size_t i = 0; table_.has_equal_forms() && i < groups.size(); ++i) {
    table_.ReplaceKey(groups[i], columns, rows[i]);
  }
  return Put(Batch(std::move(columns), rows.size()), rows, groups);
}

absl::Status AggregateState::WriteBack() {
  for (size_t begin = 0; begin < ended_.size(); begin += StateBlockBuilder::kBlockEntries) {
    WriteEntries(&ended_[begin], std::min(StateBlockBuilder::kBlockEntries, ended_.size() - begin));
  }
  ended_.clear();
  EraseEntries();
  return store_->Commit();
}

void AggregateState::WriteEntries(const uint32_t* groups, size_t count) {
  const Batch entries = Entries(groups, count);
  const std::span<const ColumnPtr> columns = entries.columns();
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t group = groups[i];
    const std::string key =
        EncodeKey(columns.subspan(0, table_.key_count()), table_.hash(group), i);
    const std::string entry = EncodeEntry(columns, table_.key_count(), i);
    if (std::exchange(noted_since_[group], cuts_) != cuts_) {
      store_->NoteChange(key,
                         stored_[group] != 0 ? std::optional(KeyRowOfEntry(entry)) : std::nullopt);
    }
    store_->Put(key, entry);
    if (std::exchange(stored_[group], 1) == 0) {
      ++stored_rows_;
      --new_groups_;
    }
  }
}

void AggregateState::EraseEntries() {
  std::vector<ColumnPtr> keys;
  for (size_t i = 0; i < table_.key_count(); ++i) {
    keys.push_back(table_.KeyColumn(i, removed_.data(), removed_.size()));
  }
  for (uint32_t i = 0; i < removed_.size(); ++i) {
    const uint32_t group = removed_[i];
    if (stored_[group] != 0) {
      const std::string key = EncodeKey(keys, table_.hash(group), i);
      if (noted_since_[group] != cuts_) {
        store_->NoteChange(key, EncodeRow(keys, i));
      }
      store_->Erase(key);
      --stored_rows_;
    } else {
      --new_groups_;
    }
    Erase(group);
  }
  removed_.clear();
}

absl::Status AggregateState::SweepStore(int64_t now_us) {
  if (ttl_us_ == 0 || now_us - oldest_us_ <= ttl_us_) {
    return absl::OkStatus();
  }
  DropExpiredGroups(now_us);
  if (sweep_from_.empty()) {
    sweep_oldest_us_ = now_us;
  }
  for (size_t seen = 0; seen < kSweepEntries; seen += kSweepStep) {
    std::vector<StateStore::Entry> entries;
    RETURN_IF_ERROR(store_->Scan(sweep_from_, kSweepStep, &entries));
    for (const StateStore::Entry& entry : entries) {
      const int64_t touched_us = TouchedAtOfEntry(entry.value);
      if (now_us - touched_us > ttl_us_) {
        store_->NoteChange(entry.key, KeyRowOfEntry(entry.value));
        store_->Erase(entry.key);
        --stored_rows_;
      } else {
        sweep_oldest_us_ = std::min(sweep_oldest_us_, touched_us);
      }
    }
    if (entries.size() < kSweepStep) {
      sweep_from_.clear();
      oldest_us_ = sweep_oldest_us_;
      break;
    }
    sweep_from_ = entries.back().key + '\0';
  }
  return store_->Commit();
}

// Drops expired groups from the table, so that none is left there when a sweep removes its entry
// from the store.
void AggregateState::DropExpiredGroups(int64_t now_us) {
  for (uint32_t group : table_.Groups()) {
    if (Expired(group, now_us)) {
      Erase(group);
    }
  }
}

size_t AggregateState::CachedBytes() const {
  return table_.LiveBytes() + static_cast<size_t>(total_owned_bytes_);
}

void AggregateState::DropOldGroups() {
  while (table_.size() > 0 && CachedBytes() > store_->cache_bytes()) {
    std::vector<uint32_t> groups = table_.Groups();
    const auto middle = groups.begin() + static_cast<ptrdiff_t>((groups.size() + 1) / 2);
    std::nth_element(groups.begin(), middle, groups.end(), [this](uint32_t a, uint32_t b) {
      return touched_at_us_[a] < touched_at_us_[b];
    });
    std::for_each(groups.begin(), middle, [this](uint32_t group) { Erase(group); });
  }
}

// ---- snapshots ----

absl::StatusOr<bool> AggregateState::ContinueStoreSnapshot(size_t* max_entries) {
  while (!cut_read_ && *max_entries > 0) {
    const size_t step = std::min(*max_entries, StateBlockBuilder::kBlockEntries);
    std::vector<StateStore::CutEntry> entries;
    ASSIGN_OR_RETURN(cut_read_, store_->ReadCut(step, &entries));
    RETURN_IF_ERROR(CopyCut(entries));
    *max_entries -= cut_read_ ? entries.size() : step;
  }
  return cut_read_;
}

absl::Status AggregateState::CopyCut(const std::vector<StateStore::CutEntry>& entries) {
  std::vector<std::string_view> there;
  std::vector<std::string_view> gone;
  std::vector<uint64_t> there_hashes;
  std::vector<uint64_t> gone_hashes;
  for (const StateStore::CutEntry& entry : entries) {
    if (entry.value.has_value()) {
      there.push_back(RowOfEntry(*entry.value));
      there_hashes.push_back(HashOfKey(entry.key));
    } else {
      gone.push_back(entry.shown);
      gone_hashes.push_back(HashOfKey(entry.key));
    }
  }
  RETURN_IF_ERROR(CopyRows(std::move(there), std::move(there_hashes), 1));
  return CopyRows(std::move(gone), std::move(gone_hashes), -1);
}

// Copies rows of entries into the snapshot; with weight −1 they have the keys only.
absl::Status AggregateState::CopyRows(std::vector<std::string_view> rows,
                                      std::vector<uint64_t> hashes, int64_t sign) {
  const size_t count = rows.size();
  const std::span<const SqlType> types = entry_types_;
  ASSIGN_OR_RETURN(
      std::vector<ColumnPtr> columns,
      DecodeRows(sign > 0 ? types : types.subspan(0, table_.key_count()), std::move(rows)));
  while (columns.size() < types.size()) {
    columns.push_back(Column::Nulls(types[columns.size()], count));
  }
  auto signs = std::make_shared<Column>(MakeType(TypeId::kInt64), count);
  std::fill_n(signs->mutable_values<int64_t>(), count, sign);
  Batch entries(std::move(columns), count);
  entries.set_hashes(std::make_shared<const std::vector<uint64_t>>(std::move(hashes)));
  entries.set_weights(std::move(signs));
  copied_.Add(std::move(entries));
  return absl::OkStatus();
}

absl::Status AggregateState::RestoreStore(const StateBlock& block) {
  const Batch& rows = block.rows;
  const std::span<const ColumnPtr> columns = rows.columns();
  const RowSet selected = rows.rows();
  std::vector<std::string> keys;
  keys.reserve(selected.count);
  for (size_t i = 0; i < selected.count; ++i) {
    const uint32_t row = selected[i];
    keys.push_back(EncodeKey(columns.subspan(0, table_.key_count()), (*rows.hashes())[row], row));
  }
  ASSIGN_OR_RETURN(const std::vector<std::optional<std::string>> before, store_->Get(keys));
  for (size_t i = 0; i < selected.count; ++i) {
    if (block.equal_keys_apart && before[i].has_value() &&
        KeyRowOfEntry(*before[i]) !=
            EncodeRow(columns.subspan(0, table_.key_count()), selected[i])) {
      return EqualKeysApart(
          {columns.begin(), columns.begin() + static_cast<std::ptrdiff_t>(table_.key_count())},
          selected[i]);
    }
    if (rows.weight(selected[i]) > 0) {
      const std::string entry = EncodeEntry(columns, table_.key_count(), selected[i]);
      oldest_us_ = std::min(oldest_us_, TouchedAtOfEntry(entry));
      stored_rows_ += before[i].has_value() ? 0 : 1;
      store_->Put(keys[i], entry);
    } else if (before[i].has_value()) {
      --stored_rows_;
      store_->Erase(keys[i]);
    } else {
      return UnknownRemoval();
    }
  }
  return store_->Commit();
}

}  // namespace millrace
