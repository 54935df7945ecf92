#include "executor/state/entries/group_table.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "common/base/check.h"

namespace millrace::executor {
namespace {

// A table with more slots than this does not fit the first two cache levels, so prefetching pays.
constexpr size_t kPrefetchSlots = 32 << 10;
constexpr size_t kPrefetchSlotRows = 8;
constexpr size_t kPrefetchKeyRows = 4;

constexpr uint64_t kTagMask = 0xFFFFFFFF00000000;

uint32_t GroupOf(uint64_t slot) { return static_cast<uint32_t>(slot) - 1; }

// Compares keys of one column without NULLs as values of its type.
template <typename T>
class SingleKey {
 public:
  SingleKey(const KeyStore& store, const Column& probed)
      : store_(store), probed_(probed.values<T>()) {
    Refresh();
  }

  // The stored keys move when a group is added.
  void Refresh() { stored_ = store_.values<T>(0); }
  bool operator()(uint32_t group, uint32_t row) const { return stored_[group] == probed_[row]; }
  void Prefetch(uint32_t group) const { __builtin_prefetch(stored_ + group); }

 private:
  const KeyStore& store_;
  const T* const probed_;
  const T* stored_ = nullptr;
};

class AnyKeys {
 public:
  AnyKeys(const KeyStore& store, const std::vector<ColumnPtr>& probed)
      : store_(store), probed_(probed) {}

  void Refresh() {}
  bool operator()(uint32_t group, uint32_t row) const { return store_.Equals(group, probed_, row); }
  void Prefetch(uint32_t) const {}

 private:
  const KeyStore& store_;
  const std::vector<ColumnPtr>& probed_;
};

}  // namespace

GroupTable::GroupTable(std::vector<SqlType> key_types, size_t payload_bytes)
    : keys_(std::move(key_types)),
      stride_((payload_bytes + 15) / 16 * 16),
      slots_(kMinSlots, 0),
      mask_(kMinSlots - 1) {}

GroupTable::~GroupTable() { std::free(payload_); }

const std::vector<GroupTable::Added>& GroupTable::FindOrAdd(const std::vector<ColumnPtr>& keys,
                                                            const uint64_t* hashes, RowSet rows,
                                                            uint32_t* groups) {
  added_.clear();
  if (rows.count == 0) {
    return added_;
  }
  if (keys.empty()) {
    // All rows belong to one group: look it up once.
    uint32_t first = rows[0];
    ProbeRows<false>(keys, hashes, RowSet{&first, 1}, groups, AnyKeys(keys_, keys));
    std::fill(groups + 1, groups + rows.count, groups[0]);
    return added_;
  }
  bool single = keys.size() == 1 && !keys[0]->has_nulls() && !keys_.has_nulls(0);
  TypeId type = keys[0]->type().id;
  if (single && (type == TypeId::kText || type == TypeId::kBytea)) {
    Probe(keys, hashes, rows, groups, SingleKey<TextView>(keys_, *keys[0]));
  } else if (single && (type == TypeId::kInt64 || type == TypeId::kTimestamp ||
                        type == TypeId::kTimestampTz)) {
    Probe(keys, hashes, rows, groups, SingleKey<int64_t>(keys_, *keys[0]));
  } else {
    Probe(keys, hashes, rows, groups, AnyKeys(keys_, keys));
  }
  return added_;
}

template <typename KeyEquals>
void GroupTable::Probe(const std::vector<ColumnPtr>& keys, const uint64_t* hashes, RowSet rows,
                       uint32_t* groups, KeyEquals equals) {
  if (slots_.size() > kPrefetchSlots) {
    ProbeRows<true>(keys, hashes, rows, groups, equals);
  } else {
    ProbeRows<false>(keys, hashes, rows, groups, equals);
  }
}

template <bool kPrefetch, typename KeyEquals>
void GroupTable::ProbeRows(const std::vector<ColumnPtr>& keys, const uint64_t* hashes, RowSet rows,
                           uint32_t* groups, KeyEquals equals) {
  for (size_t i = 0; i < rows.count; ++i) {
    if constexpr (kPrefetch) {
      if (i + kPrefetchSlotRows < rows.count) {
        __builtin_prefetch(&slots_[hashes[rows[i + kPrefetchSlotRows]] & mask_]);
        uint64_t slot = slots_[hashes[rows[i + kPrefetchKeyRows]] & mask_];
        if (slot != 0) {
          equals.Prefetch(GroupOf(slot));
        }
      }
    }
    uint32_t row = rows[i];
    uint64_t hash = hashes[row];
    for (size_t position = hash & mask_;; position = (position + 1) & mask_) {
      uint64_t slot = slots_[position];
      if (slot == 0) {
        groups[i] = Add(keys, row, hash);
        equals.Refresh();
        break;
      }
      if (((slot ^ hash) & kTagMask) == 0 && equals(GroupOf(slot), row)) {
        groups[i] = GroupOf(slot);
        break;
      }
    }
  }
}

uint32_t GroupTable::Add(const std::vector<ColumnPtr>& keys, uint32_t row, uint64_t hash) {
  uint32_t group = limit_;
  if (free_.empty()) {
    MILLRACE_CHECK(limit_ < UINT32_MAX - 1) << "a table has more groups than 32 bits can number";
    ++limit_;
    if (hashes_.size() < limit_) {
      hashes_.push_back(hash);
    }
    ReservePayload();
  } else {
    group = free_.back();
    free_.pop_back();
  }
  hashes_[group] = hash;
  keys_.Store(group, keys, row);
  if (size() * 2 > slots_.size()) {
    Rehash(slots_.size() * 2);  // inserts the new group with the others
  } else {
    InsertSlot(hash, group);
  }
  added_.push_back({group, row});
  return group;
}

void GroupTable::InsertSlot(uint64_t hash, uint32_t group) {
  size_t position = hash & mask_;
  while (slots_[position] != 0) {
    position = (position + 1) & mask_;
  }
  slots_[position] = (hash & kTagMask) | (group + 1);
}

void GroupTable::Rehash(size_t slots) {
  std::vector<uint32_t> groups = Groups();
  slots_.assign(slots, 0);
  mask_ = slots - 1;
  for (uint32_t group : groups) {
    InsertSlot(hashes_[group], group);
  }
}

void GroupTable::ReservePayload() {
  if (limit_ <= payload_capacity_ || stride_ == 0) {
    return;
  }
  payload_capacity_ = std::max<size_t>(payload_capacity_ * 2, 64);
  // realloc moves large tables by remapping pages instead of copying.
  payload_ = static_cast<char*>(std::realloc(payload_, payload_capacity_ * stride_));
  MILLRACE_CHECK(payload_ != nullptr) << "out of memory for " << payload_capacity_ << " groups";
}

size_t GroupTable::FindSlot(uint32_t group) const {
  size_t position = hashes_[group] & mask_;
  while (static_cast<uint32_t>(slots_[position]) != group + 1) {
    position = (position + 1) & mask_;
  }
  return position;
}

void GroupTable::ReplaceKey(uint32_t group, const std::vector<ColumnPtr>& keys, uint32_t row) {
  keys_.Replace(group, keys, row);
  if (keys_.wants_compaction()) {
    keys_.Compact(Groups());
  }
}

void GroupTable::Erase(uint32_t group) {
  size_t hole = FindSlot(group);
  // Entries behind the hole move up, unless that would put them before the slot at which their
  // probe begins.
  for (size_t next = (hole + 1) & mask_; slots_[next] != 0; next = (next + 1) & mask_) {
    size_t home = hashes_[GroupOf(slots_[next])] & mask_;
    if (((next - home) & mask_) >= ((next - hole) & mask_)) {
      slots_[hole] = slots_[next];
      hole = next;
    }
  }
  slots_[hole] = 0;
  keys_.Release(group);
  free_.push_back(group);
  if (keys_.wants_compaction()) {
    keys_.Compact(Groups());
  }
}

std::vector<uint32_t> GroupTable::Groups() const {
  std::vector<uint32_t> groups;
  groups.reserve(size());
  std::vector<uint32_t> erased = free_;
  std::sort(erased.begin(), erased.end());
  auto next_erased = erased.begin();
  for (uint32_t group = 0; group < limit_; ++group) {
    if (next_erased != erased.end() && *next_erased == group) {
      ++next_erased;
    } else {
      groups.push_back(group);
    }
  }
  return groups;
}

void GroupTable::Clear() {
  if (limit_ * size_t{8} < slots_.size() && free_.empty()) {
    for (uint32_t group = 0; group < limit_; ++group) {
      // FindSlot finds a group also behind slots that are empty already.
      slots_[FindSlot(group)] = 0;
    }
  } else {
    std::fill(slots_.begin(), slots_.end(), 0);
  }
  keys_.Clear();
  free_.clear();
  limit_ = 0;
}

size_t GroupTable::Bytes() const {
  return keys_.Bytes() + slots_.size() * sizeof(uint64_t) + hashes_.capacity() * sizeof(uint64_t) +
         payload_capacity_ * stride_ + free_.capacity() * sizeof(uint32_t);
}

}  // namespace millrace::executor
