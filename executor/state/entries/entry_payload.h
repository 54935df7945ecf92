// What an operator keeps of each key beside the key itself: a state of fixed size in a table's
// payload, and whatever the operator holds elsewhere by group number. KeyedEntries calls it to make
// states, to turn them into columns of entries and back, and to free them.
//
// Calls are for many groups at a time where there are many. Thread-compatible; belongs to the
// operator, and is called on the thread that uses its state.
#ifndef MILLRACE_EXECUTOR_STATE_ENTRIES_ENTRY_PAYLOAD_H_
#define MILLRACE_EXECUTOR_STATE_ENTRIES_ENTRY_PAYLOAD_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "common/columnar/batch.h"
#include "common/types/sql_type.h"
#include "executor/state/entries/group_table.h"

namespace millrace::executor {

class EntryPayload {
 public:
  virtual ~EntryPayload() = default;

  // The types of its columns, which follow the keys in an entry.
  virtual std::vector<SqlType> types() const = 0;
  // The bytes of a state in the table.
  virtual size_t payload_bytes() const = 0;

  // Makes the states of the groups empty. What their bytes hold before means nothing.
  virtual void Init(std::span<const GroupTable::Added> groups, GroupTable* table) = 0;

  // Whether states own memory outside of the table. If not, the next two calls are left out.
  virtual bool owns_memory() const = 0;
  // Frees what the states own.
  virtual void Destroy(std::span<const uint32_t> groups, GroupTable* table) = 0;
  // Writes the bytes that each state owns to bytes[i].
  virtual void OwnedBytes(std::span<const uint32_t> groups, GroupTable* table,
                          uint32_t* bytes) const = 0;

  // Appends the columns of the groups, one row each: all that their states hold.
  virtual void Emit(std::span<const uint32_t> groups, GroupTable* table,
                    std::vector<ColumnPtr>* columns) const = 0;
  // Fills the state of groups[i], which is empty, from row rows[i] of such columns.
  virtual absl::Status Fill(std::span<const ColumnPtr> columns, RowSet rows, const uint32_t* groups,
                            GroupTable* table) = 0;

  // The memory that it takes outside of the table, without what OwnedBytes counts.
  virtual size_t Bytes() const = 0;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_STATE_ENTRIES_ENTRY_PAYLOAD_H_
