// Groups by key: the hash table that aggregation and consolidation use. Finds or adds a whole
// column of keys at a time. Every group has a number, its hash, and a payload of fixed size for the
// states of aggregates.
//
// Open addressing with linear probing over 8-byte slots (upper half of the hash, group number);
// keys lie by group number, so that a probe costs one slot and one key. Group numbers are dense
// from 0 until groups are erased, then reused.
//
// Thread-compatible. Failure to allocate ends the process.
#ifndef MILLRACE_EXECUTOR_STATE_ENTRIES_GROUP_TABLE_H_
#define MILLRACE_EXECUTOR_STATE_ENTRIES_GROUP_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/columnar/batch.h"
#include "common/expr/aggregate_function.h"
#include "executor/state/entries/key_store.h"

namespace millrace::executor {

class GroupTable {
 public:
  // A group that a call added, and the physical row it was added for.
  struct Added {
    uint32_t group;
    uint32_t row;
  };

  // `payload_bytes` per group, rounded up to a multiple of 16; uninitialised until the caller
  // writes it.
  GroupTable(std::vector<SqlType> key_types, size_t payload_bytes);
  GroupTable(const GroupTable&) = delete;
  GroupTable& operator=(const GroupTable&) = delete;
  ~GroupTable();

  // Writes the group of each selected row i to groups[i], and adds groups for keys that are new.
  // `hashes` is by physical row. Returns the added groups in order, valid until the next call;
  // their payloads are not initialised. Payloads may move.
  const std::vector<Added>& FindOrAdd(const std::vector<ColumnPtr>& keys, const uint64_t* hashes,
                                      RowSet rows, uint32_t* groups);

  // Removes a group. Its number will be used again.
  void Erase(uint32_t group);

  // Replaces the stored form of the key (1.0 or 1.00) by that of another row with an equal key.
  void ReplaceKey(uint32_t group, const std::vector<ColumnPtr>& keys, uint32_t row);
  bool has_equal_forms() const { return keys_.has_equal_forms(); }
  // Whether the group's key has the same bytes as the row's. REQUIRES: the keys are equal.
  bool HasKeyBytes(uint32_t group, const std::vector<ColumnPtr>& keys, uint32_t row) const {
    return keys_.HasBytes(group, keys, row);
  }

  // Forgets all groups; keeps the memory for the next batch, but not much more than it needed
  // lately.
  void Clear();

  // The number of groups, and the exclusive upper limit of their numbers.
  size_t size() const { return limit_ - free_.size(); }
  uint32_t limit() const { return limit_; }
  // Numbers of all groups, ascending.
  std::vector<uint32_t> Groups() const;

  uint64_t hash(uint32_t group) const { return hashes_[group]; }
  ColumnPtr KeyColumn(size_t column, const uint32_t* groups, size_t count) const {
    return keys_.Gather(column, groups, count);
  }
  size_t key_count() const { return keys_.types().size(); }

  // The part of the payload that begins at `offset`, for all groups. Valid until the next
  // FindOrAdd.
  AggregateStates Payload(size_t offset) { return {payload_ + offset, stride_}; }

  // The memory that the table holds.
  size_t Bytes() const;
  // The part of it that present groups take.
  size_t LiveBytes() const {
    return size() * (stride_ + 3 * sizeof(uint64_t) + keys_.row_bytes()) + keys_.text_bytes();
  }

 private:
  static constexpr size_t kMinSlots = 1024;

  template <typename KeyEquals>
  void Probe(const std::vector<ColumnPtr>& keys, const uint64_t* hashes, RowSet rows,
             uint32_t* groups, KeyEquals equals);
  template <bool kPrefetch, typename KeyEquals>
  void ProbeRows(const std::vector<ColumnPtr>& keys, const uint64_t* hashes, RowSet rows,
                 uint32_t* groups, KeyEquals equals);
  uint32_t Add(const std::vector<ColumnPtr>& keys, uint32_t row, uint64_t hash);
  void InsertSlot(uint64_t hash, uint32_t group);
  size_t FindSlot(uint32_t group) const;
  void Rehash(size_t slots);
  void ReservePayload();

  KeyStore keys_;
  const size_t stride_;
  std::vector<uint64_t> slots_;  // hash's upper half · 2^32 + group + 1; 0 = empty
  size_t mask_ = 0;
  std::vector<uint64_t> hashes_;  // by group
  char* payload_ = nullptr;
  size_t payload_capacity_ = 0;  // groups
  uint32_t limit_ = 0;
  std::vector<uint32_t> free_;  // erased numbers below limit_
  std::vector<Added> added_;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_STATE_ENTRIES_GROUP_TABLE_H_
