// The keys of a table's groups: one column per key column, by group number. Text of up to 12 bytes
// is held in its view, longer text in an arena. Thread-compatible.
#ifndef MILLRACE_EXECUTOR_STATE_ENTRIES_KEY_STORE_H_
#define MILLRACE_EXECUTOR_STATE_ENTRIES_KEY_STORE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "common/columnar/column.h"
#include "common/types/sql_type.h"
#include "executor/state/entries/byte_arena.h"

namespace millrace::executor {

class KeyStore {
 public:
  explicit KeyStore(std::vector<SqlType> types);

  const std::vector<SqlType>& types() const { return types_; }

  // Stores the key of `row` for `group`; memory grows to the largest group number.
  void Store(uint32_t group, const std::vector<ColumnPtr>& keys, uint32_t row);

  // SQL equality, NULLs equal to each other.
  bool Equals(uint32_t group, const std::vector<ColumnPtr>& keys, uint32_t row) const;

  // Whether the keys also have the same bytes, so that they print the same.
  bool HasBytes(uint32_t group, const std::vector<ColumnPtr>& keys, uint32_t row) const;

  // Replaces the key that the group has; text that does not change is not copied again.
  void Replace(uint32_t group, const std::vector<ColumnPtr>& keys, uint32_t row);

  // Whether equal keys can print differently (numeric 1.0 and 1.00, in jsonb too, interval '1
  // month' and '30 days', −0).
  bool has_equal_forms() const { return has_equal_forms_; }

  // Key column `column` by group; moves when Store grows it. REQUIRES: T is the type's value type.
  template <typename T>
  const T* values(size_t column) const {
    return columns_[column]->values<T>();
  }
  bool has_nulls(size_t column) const { return columns_[column]->has_nulls(); }

  // Key column `column` of the listed groups, text and digits copied.
  ColumnPtr Gather(size_t column, const uint32_t* groups, size_t count) const;

  // Counts the text of a group that is erased, to know when Compact is due.
  void Release(uint32_t group);
  bool wants_compaction() const {
    return released_ > kMinReleased && released_ * 2 > arena_.allocated();
  }
  // Moves the text of `groups`, which must be all groups, to a new arena.
  void Compact(const std::vector<uint32_t>& groups);

  // Forgets all groups and keeps the memory.
  void Clear();

  size_t Bytes() const;
  // The bytes of one group without its text, and those of all text outside of views.
  size_t row_bytes() const { return row_bytes_; }
  size_t text_bytes() const { return arena_.allocated() - released_; }

 private:
  // Copies the bytes that a cell points to into the arena.
  void CopyOutside(Column* column, uint32_t group);
  void StoreValue(size_t column, uint32_t group, const Column& key, uint32_t row);

  static constexpr size_t kMinReleased = 1 << 20;
  static constexpr size_t kMinCapacity = 256;

  void Grow(size_t capacity);
  TextView Copy(const TextView& text);

  const std::vector<SqlType> types_;
  bool has_equal_forms_ = false;
  size_t row_bytes_ = 0;
  // Of capacity_ rows each; the table knows which are in use.
  std::vector<std::shared_ptr<Column>> columns_;
  size_t capacity_ = 0;
  ByteArena arena_;
  size_t released_ = 0;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_STATE_ENTRIES_KEY_STORE_H_
