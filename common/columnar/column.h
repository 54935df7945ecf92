// One column of a batch, in the Apache Arrow layout: a validity bitmap (bit set = not NULL; absent
// = no NULLs) and fixed-width values. Text values are 16-byte views into memory that the column
// keeps alive. Two departures, converted at Arrow's C interface: booleans take a byte, and a text
// view holds a pointer instead of a buffer index.
//
// A Column is immutable once shared as ColumnPtr and then safe to read from any thread.
#ifndef MILLRACE_COMMON_COLUMNAR_COLUMN_H_
#define MILLRACE_COMMON_COLUMNAR_COLUMN_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "common/columnar/text_view.h"
#include "common/types/sql_type.h"

namespace millrace {

// Owned memory, 64-byte aligned, uninitialised at first.
class Buffer {
 public:
  explicit Buffer(size_t bytes);
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer();

  uint8_t* bytes() { return bytes_; }
  const uint8_t* bytes() const { return bytes_; }
  size_t size() const { return size_; }

 private:
  uint8_t* bytes_;
  size_t size_;
};

// Keeps alive whatever text views point into: a buffer, a fetched message set.
using TextOwner = std::shared_ptr<const void>;

// Elements [begin, begin + size) of the child column: one row of an array column.
struct ListView {
  uint32_t begin = 0;
  uint32_t size = 0;
};

class Column;
using ColumnPtr = std::shared_ptr<const Column>;

class Column {
 public:
  // Room for `rows` values; contents are undefined until written, all valid until SetNull.
  Column(SqlType type, size_t rows);

  // A column of `rows` NULLs.
  static ColumnPtr Nulls(SqlType type, size_t rows);

  const SqlType& type() const { return type_; }
  size_t size() const { return size_; }

  // REQUIRES: T is the type's value type (common/types/sql_type.h).
  template <typename T>
  const T* values() const {
    return reinterpret_cast<const T*>(values_->bytes());
  }
  template <typename T>
  T* mutable_values() {
    return reinterpret_cast<T*>(values_->bytes());
  }
  template <typename T>
  const T& value(size_t row) const {
    return values<T>()[row];
  }

  // Bit i set = row i is not NULL; null pointer = no NULLs.
  const uint8_t* validity() const { return validity_ == nullptr ? nullptr : validity_->bytes(); }
  bool has_nulls() const { return validity_ != nullptr; }
  bool IsNull(size_t row) const {
    return validity_ != nullptr && (validity_->bytes()[row >> 3] & (1u << (row & 7))) == 0;
  }
  void SetNull(size_t row);
  void SetValid(size_t row);

  // Copies `text` to memory of the column and points row `row` at it.
  void SetTextCopy(size_t row, std::string_view text);
  // `bytes` writable bytes that live as long as the column, for producers that write text in place.
  char* AllocateText(size_t bytes);

  // Adds memory that text values point into.
  void AddOwner(TextOwner owner) { owners_.push_back(std::move(owner)); }
  const std::vector<TextOwner>& owners() const { return owners_; }
  // Shares the owners of a column whose text views were copied into this one.
  void ShareOwners(const Column& other);

  // Array columns: the elements of all rows.
  const ColumnPtr& child() const { return child_; }
  void set_child(ColumnPtr child) { child_ = std::move(child); }

  // Bytes held by this column's own buffers (not shared owners).
  size_t ByteSize() const;

 private:
  SqlType type_;
  size_t size_;
  std::shared_ptr<Buffer> values_;
  std::shared_ptr<Buffer> validity_;
  std::vector<TextOwner> owners_;
  ColumnPtr child_;
  // Bump allocation for SetTextCopy; blocks are owned through owners_.
  char* text_free_ = nullptr;
  size_t text_left_ = 0;
  size_t text_bytes_ = 0;
};

// The rows of `column` at `rows[0, count)`, in that order; text stays where it is (owners are
// shared).
ColumnPtr Take(const Column& column, const uint32_t* rows, size_t count);

// All rows of `columns` one after another. REQUIRES: at least one; all of one type.
ColumnPtr Concatenate(const std::vector<ColumnPtr>& columns);

// Whether two values of columns of one type are equal as SQL's IS NOT DISTINCT FROM (numeric and
// the numbers in jsonb by value, −0 = 0, NaN = NaN).
bool ValuesEqual(const Column& a, size_t row_a, const Column& b, size_t row_b);

// SQL order of two values of one type, NULLs last. <0, 0, >0.
int CompareValues(const Column& a, size_t row_a, const Column& b, size_t row_b);

}  // namespace millrace

#endif  // MILLRACE_COMMON_COLUMNAR_COLUMN_H_
