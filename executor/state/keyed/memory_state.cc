#include "executor/state/keyed/memory_state.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "common/base/status.h"

namespace millrace::executor {
namespace {

// A sweep at a batch's end looks at this many group numbers, which takes a fraction of a
// millisecond.
constexpr uint32_t kSweepGroups = 128 << 10;

}  // namespace

MemoryState::MemoryState(Options options) : KeyedState(std::move(options)) {}

// ---- batches ----

absl::Status MemoryState::FindOrAdd(const std::vector<ColumnPtr>& keys, const uint64_t* hashes,
                                    RowSet rows, int64_t now_us, uint32_t* groups) {
  AddGroups(keys, hashes, rows, now_us, groups);
  if (marks_.open()) {
    std::vector<uint32_t> owed;
    marks_.TakeOwed(groups, rows.count, &owed);
    CopyEntries(std::move(owed));
  }
  for (size_t i = 0; i < rows.count && marks_.gone_count() != 0; ++i) {
    if (marks_.gone(groups[i])) {
      marks_.Revive(groups[i]);
    }
  }
  entries_.RenewExpired({groups, rows.count}, now_us);
  return absl::OkStatus();
}

void MemoryState::AddGroups(const std::vector<ColumnPtr>& keys, const uint64_t* hashes, RowSet rows,
                            int64_t now_us, uint32_t* groups) {
  for (const GroupTable::Added& added : entries_.FindOrAdd(keys, hashes, rows, now_us, groups)) {
    marks_.Add(added.group);
  }
}

absl::Status MemoryState::EndBatch(std::span<const uint32_t> changed,
                                   std::span<const uint32_t> removed, int64_t now_us) {
  entries_.Touch(changed, now_us);
  for (const uint32_t group : changed) {
    marks_.Change(group);
  }
  for (const uint32_t group : removed) {
    Remove(group);
  }
  Sweep(now_us);
  return absl::OkStatus();
}

void MemoryState::Remove(uint32_t group) {
  if (marks_.Remove(group)) {
    Erase(group);
  } else {
    entries_.Reset(group);
  }
}

void MemoryState::Erase(uint32_t group) {
  marks_.Erase(group);
  entries_.Erase(group);
}

void MemoryState::Sweep(int64_t now_us) {
  EntryExpiry& expiry = entries_.expiry();
  if (!expiry.IsSweepDue(now_us)) {
    return;
  }
  if (sweep_next_ == 0) {
    expiry.BeginPass(now_us);
  }
  const uint32_t end = std::min(table().limit(), sweep_next_ + kSweepGroups);
  std::vector<uint32_t> expired;
  for (; sweep_next_ < end; ++sweep_next_) {
    if (!marks_.is_entry(sweep_next_)) {
      continue;
    }
    if (entries_.Expired(sweep_next_, now_us)) {
      expired.push_back(sweep_next_);
    } else {
      expiry.Keep(entries_.touched_at_us(sweep_next_));
    }
  }
  if (sweep_next_ == table().limit()) {
    sweep_next_ = 0;
    expiry.EndPass();
  }
  std::vector<uint32_t> owed;
  marks_.TakeOwed(expired.data(), expired.size(), &owed);
  CopyEntries(std::move(owed));
  for (const uint32_t group : expired) {
    Remove(group);
  }
}

// ---- snapshots ----

void MemoryState::Cut(bool full) {
  full_ = full;
  marks_.Cut(full);
}

absl::StatusOr<bool> MemoryState::ContinueSnapshot(size_t* max_entries) {
  while (marks_.open() && *max_entries > 0) {
    std::vector<uint32_t> groups;
    marks_.TakeOwed(std::min(*max_entries, StateBlockBuilder::kBlockEntries), &groups);
    *max_entries -= groups.size();
    CopyEntries(groups);
    for (const uint32_t group : groups) {
      if (marks_.gone(group)) {
        Erase(group);
      }
    }
  }
  return !marks_.open();
}

void MemoryState::CopyEntries(std::vector<uint32_t> groups) {
  if (full_) {  // a full snapshot does not list entries that are gone
    std::erase_if(groups, [this](uint32_t group) { return marks_.gone(group); });
  }
  for (size_t begin = 0; begin < groups.size(); begin += StateBlockBuilder::kBlockEntries) {
    const size_t count = std::min(StateBlockBuilder::kBlockEntries, groups.size() - begin);
    copied_.Add(SignedEntries(std::span(groups).subspan(begin, count)));
  }
}

// The groups' entries with weight +1, or −1 for those that are gone.
Batch MemoryState::SignedEntries(std::span<const uint32_t> groups) {
  Batch entries = entries_.Copy(groups);
  auto signs = std::make_shared<Column>(MakeType(TypeId::kInt64), groups.size());
  for (size_t i = 0; i < groups.size(); ++i) {
    signs->mutable_values<int64_t>()[i] = marks_.gone(groups[i]) ? -1 : 1;
  }
  entries.set_weights(std::move(signs));
  return entries;
}

absl::Status MemoryState::RestoreEntries(const StateBlock& block) {
  const Batch& rows = block.rows;
  const std::vector<ColumnPtr> keys = KeysOf(rows);
  const RowSet selected = rows.rows();
  std::vector<uint32_t> groups(selected.count);
  AddGroups(keys, rows.hashes()->data(), selected, 0, groups.data());
  std::vector<uint32_t> put;
  std::vector<uint32_t> put_groups;
  std::vector<uint32_t> erased;
  for (size_t i = 0; i < selected.count; ++i) {
    const uint32_t group = groups[i];
    if (block.equal_keys_apart && !table().HasKeyBytes(group, keys, selected[i])) {
      return EqualKeysApart(keys, selected[i]);
    }
    if (rows.weight(selected[i]) > 0) {
      if (marks_.restored(group)) {
        entries_.Reset(group);
      }
      if (table().has_equal_forms()) {
        table().ReplaceKey(group, keys, selected[i]);
      }
      put.push_back(selected[i]);
      put_groups.push_back(group);
    } else if (marks_.restored(group)) {
      erased.push_back(group);
    } else {
      return UnknownRemoval();
    }
  }
  RETURN_IF_ERROR(entries_.Put(rows.columns(), put, put_groups));
  for (const uint32_t group : put_groups) {
    marks_.Restore(group);
  }
  for (const uint32_t group : erased) {
    Erase(group);
  }
  return absl::OkStatus();
}

}  // namespace millrace::executor
