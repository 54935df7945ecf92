#include "executor/state/keyed/stored_state.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "common/base/status.h"
#include "executor/state/entries/entry_codec.h"

namespace millrace::executor {
namespace {

// A sweep at a batch's end looks at this many entries, which takes some ten milliseconds, and at
// how many at a time.
constexpr size_t kSweepEntries = 32 << 10;
constexpr size_t kSweepStep = 4096;

}  // namespace

StoredState::StoredState(Options options, std::unique_ptr<StateStore> store)
    : KeyedState(std::move(options)), store_(std::move(store)) {}

// ---- batches ----

absl::Status StoredState::FindOrAdd(const std::vector<ColumnPtr>& keys, const uint64_t* hashes,
                                    RowSet rows, int64_t now_us, uint32_t* groups) {
  RETURN_IF_ERROR(Load(keys, hashes, entries_.FindOrAdd(keys, hashes, rows, now_us, groups)));
  entries_.RenewExpired({groups, rows.count}, now_us);
  return absl::OkStatus();
}

absl::Status StoredState::Load(const std::vector<ColumnPtr>& keys, const uint64_t* hashes,
                               const std::vector<GroupTable::Added>& added) {
  if (stored_.size() < table().limit()) {
    stored_.resize(table().limit());
    noted_since_.resize(table().limit());
  }
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
  ASSIGN_OR_RETURN(const std::vector<ColumnPtr> columns,
                   DecodeRows(entries_.types(), std::move(entries)));
  std::vector<uint32_t> rows(groups.size());
  std::iota(rows.begin(), rows.end(), 0);
  for (size_t i = 0; table().has_equal_forms() && i < groups.size(); ++i) {
    table().ReplaceKey(groups[i], columns, rows[i]);
  }
  return entries_.Put(columns, rows, groups);
}

absl::Status StoredState::EndBatch(std::span<const uint32_t> changed,
                                   std::span<const uint32_t> removed, int64_t now_us) {
  entries_.Touch(changed, now_us);
  for (size_t begin = 0; begin < changed.size(); begin += StateBlockBuilder::kBlockEntries) {
    WriteEntries(
        changed.subspan(begin, std::min(StateBlockBuilder::kBlockEntries, changed.size() - begin)));
  }
  EraseEntries(removed);
  RETURN_IF_ERROR(store_->Commit());
  RETURN_IF_ERROR(Sweep(now_us));
  DropOldGroups();
  return absl::OkStatus();
}

void StoredState::WriteEntries(std::span<const uint32_t> groups) {
  const Batch entries = entries_.Copy(groups);
  const std::span<const ColumnPtr> columns = entries.columns();
  for (uint32_t i = 0; i < groups.size(); ++i) {
    const uint32_t group = groups[i];
    const std::string key =
        EncodeKey(columns.subspan(0, table().key_count()), table().hash(group), i);
    const std::string entry = EncodeEntry(columns, table().key_count(), i);
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

void StoredState::EraseEntries(std::span<const uint32_t> groups) {
  std::vector<ColumnPtr> keys;
  for (size_t i = 0; i < table().key_count(); ++i) {
    keys.push_back(table().KeyColumn(i, groups.data(), groups.size()));
  }
  for (uint32_t i = 0; i < groups.size(); ++i) {
    const uint32_t group = groups[i];
    if (stored_[group] != 0) {
      const std::string key = EncodeKey(keys, table().hash(group), i);
      if (noted_since_[group] != cuts_) {
        store_->NoteChange(key, EncodeRow(keys, i));
      }
      store_->Erase(key);
      --stored_rows_;
    } else {
      --new_groups_;
    }
    entries_.Erase(group);
  }
}

absl::Status StoredState::Sweep(int64_t now_us) {
  EntryExpiry& expiry = entries_.expiry();
  if (!expiry.IsSweepDue(now_us)) {
    return absl::OkStatus();
  }
  DropExpiredGroups(now_us);
  if (sweep_from_.empty()) {
    expiry.BeginPass(now_us);
  }
  for (size_t seen = 0; seen < kSweepEntries; seen += kSweepStep) {
    std::vector<StateStore::Entry> entries;
    RETURN_IF_ERROR(store_->Scan(sweep_from_, kSweepStep, &entries));
    for (const StateStore::Entry& entry : entries) {
      const int64_t touched_us = TouchedAtOfEntry(entry.value);
      if (expiry.Expired(touched_us, now_us)) {
        store_->NoteChange(entry.key, KeyRowOfEntry(entry.value));
        store_->Erase(entry.key);
        --stored_rows_;
      } else {
        expiry.Keep(touched_us);
      }
    }
    if (entries.size() < kSweepStep) {
      sweep_from_.clear();
      expiry.EndPass();
      break;
    }
    sweep_from_ = entries.back().key + '\0';
  }
  return store_->Commit();
}

// Drops expired groups from the table, so that none is left there when a sweep removes its entry
// from the store.
void StoredState::DropExpiredGroups(int64_t now_us) {
  for (const uint32_t group : table().Groups()) {
    if (entries_.Expired(group, now_us)) {
      entries_.Erase(group);
    }
  }
}

void StoredState::DropOldGroups() {
  while (table().size() > 0 && entries_.LiveBytes() > store_->cache_bytes()) {
    std::vector<uint32_t> groups = table().Groups();
    const auto middle = groups.begin() + static_cast<ptrdiff_t>((groups.size() + 1) / 2);
    std::nth_element(groups.begin(), middle, groups.end(), [this](uint32_t a, uint32_t b) {
      return entries_.touched_at_us(a) < entries_.touched_at_us(b);
    });
    std::for_each(groups.begin(), middle, [this](uint32_t group) { entries_.Erase(group); });
  }
}

// ---- snapshots ----

void StoredState::Cut(bool full) {
  store_->BeginCut(full);
  cut_read_ = false;
  ++cuts_;
}

absl::StatusOr<bool> StoredState::ContinueSnapshot(size_t* max_entries) {
  while (!cut_read_ && *max_entries > 0) {
    const size_t step = std::min(*max_entries, StateBlockBuilder::kBlockEntries);
    std::vector<StateStore::CutEntry> entries;
    ASSIGN_OR_RETURN(cut_read_, store_->ReadCut(step, &entries));
    RETURN_IF_ERROR(CopyCut(entries));
    *max_entries -= cut_read_ ? entries.size() : step;
  }
  return cut_read_;
}

absl::Status StoredState::CopyCut(const std::vector<StateStore::CutEntry>& entries) {
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

absl::Status StoredState::CopyRows(std::vector<std::string_view> rows, std::vector<uint64_t> hashes,
                                   int64_t sign) {
  const size_t count = rows.size();
  const std::span<const SqlType> types = entries_.types();
  ASSIGN_OR_RETURN(
      std::vector<ColumnPtr> columns,
      DecodeRows(sign > 0 ? types : types.subspan(0, table().key_count()), std::move(rows)));
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

absl::Status StoredState::RestoreEntries(const StateBlock& block) {
  const Batch& rows = block.rows;
  const std::span<const ColumnPtr> columns = rows.columns();
  const std::vector<ColumnPtr> key_columns = KeysOf(rows);
  const RowSet selected = rows.rows();
  std::vector<std::string> keys;
  keys.reserve(selected.count);
  for (size_t i = 0; i < selected.count; ++i) {
    keys.push_back(EncodeKey(key_columns, (*rows.hashes())[selected[i]], selected[i]));
  }
  ASSIGN_OR_RETURN(const std::vector<std::optional<std::string>> before, store_->Get(keys));
  for (size_t i = 0; i < selected.count; ++i) {
    if (block.equal_keys_apart && before[i].has_value() &&
        KeyRowOfEntry(*before[i]) != EncodeRow(key_columns, selected[i])) {
      return EqualKeysApart(key_columns, selected[i]);
    }
    if (rows.weight(selected[i]) > 0) {
      const std::string entry = EncodeEntry(columns, key_columns.size(), selected[i]);
      entries_.expiry().Touched(TouchedAtOfEntry(entry));
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

}  // namespace millrace::executor
