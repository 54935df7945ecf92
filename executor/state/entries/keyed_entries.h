// Entries of keyed state in memory: a table of groups by key with the operator's payload, and when
// each group was last touched. As columns, an entry is the keys, the payload's columns, and the
// time of the last touch.
//
// Thread-compatible.
#ifndef MILLRACE_EXECUTOR_STATE_ENTRIES_KEYED_ENTRIES_H_
#define MILLRACE_EXECUTOR_STATE_ENTRIES_KEYED_ENTRIES_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/columnar/batch.h"
#include "common/types/sql_type.h"
#include "executor/state/entries/entry_expiry.h"
#include "executor/state/entries/entry_payload.h"
#include "executor/state/entries/group_table.h"

namespace millrace::executor {

class KeyedEntries {
 public:
  // `payload` outlives the entries. `ttl_us` 0 = entries do not expire.
  KeyedEntries(std::vector<SqlType> key_types, EntryPayload* payload, int64_t ttl_us);
  KeyedEntries(const KeyedEntries&) = delete;
  KeyedEntries& operator=(const KeyedEntries&) = delete;
  ~KeyedEntries();

  GroupTable& table() { return table_; }
  const GroupTable& table() const { return table_; }
  EntryExpiry& expiry() { return expiry_; }
  const EntryExpiry& expiry() const { return expiry_; }
  // The types of an entry's columns.
  const std::vector<SqlType>& types() const { return types_; }
  int64_t touched_at_us(uint32_t group) const { return touched_at_us_[group]; }
  bool Expired(uint32_t group, int64_t now_us) const {
    return expiry_.Expired(touched_at_us_[group], now_us);
  }

  // As GroupTable::FindOrAdd; the states of new groups are empty, and touched at `now_us`.
  const std::vector<GroupTable::Added>& FindOrAdd(const std::vector<ColumnPtr>& keys,
                                                  const uint64_t* hashes, RowSet rows,
                                                  int64_t now_us, uint32_t* groups);
  // Lets those of the groups that have expired begin again with empty states, touched at `now_us`.
  // They keep the stored form of their keys (1.0 or 1.00).
  void RenewExpired(std::span<const uint32_t> groups, int64_t now_us);
  // To be called when the states of the groups have changed.
  void Touch(std::span<const uint32_t> groups, int64_t now_us);
  // Makes the group's state empty.
  void Reset(uint32_t group);
  void Erase(uint32_t group);
  // Forgets all groups; keeps the memory.
  void Clear();

  // A dense copy of the groups' entries, with the hashes of their keys.
  Batch Copy(std::span<const uint32_t> groups);
  // FAILED_PRECONDITION when rows do not have the columns of entries and the hashes of keys.
  // `shape`: what the operator's state is, for the message.
  absl::Status CheckShape(const Batch& rows, const std::string& shape) const;
  // Fills the states of groups[i], which are empty, from rows put[i] of entries.
  absl::Status Put(std::span<const ColumnPtr> entries, const std::vector<uint32_t>& put,
                   const std::vector<uint32_t>& groups);

  // The memory of it all, and the part of it that present groups take.
  size_t Bytes() const;
  size_t LiveBytes() const { return table_.LiveBytes() + static_cast<size_t>(total_owned_bytes_); }

 private:
  void CountOwnedBytes(std::span<const uint32_t> groups);

  EntryPayload* const payload_;
  const bool owns_memory_;  // the payload's
  const std::vector<SqlType> types_;
  EntryExpiry expiry_;
  GroupTable table_;
  // By group.
  std::vector<int64_t> touched_at_us_;
  std::vector<uint32_t> owned_bytes_;  // as last counted; empty when states own nothing
  int64_t total_owned_bytes_ = 0;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_STATE_ENTRIES_KEYED_ENTRIES_H_
