// Handles values of columns together with the memory that their cells point to: text of more than
// 12 bytes, digits of wide numerics. Thread-compatible, as columns are.
#ifndef MILLRACE_COMMON_COLUMNAR_OWNED_VALUES_H_
#define MILLRACE_COMMON_COLUMNAR_OWNED_VALUES_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/columnar/column.h"
#include "common/types/numeric.h"

namespace millrace {

// Writes a numeric; the digits of a wide one are copied to memory of the column.
void SetNumeric(const Numeric& value, Column* column, size_t row);

// The bytes that the row's cell points to. Empty if it points to nothing, and for types that never
// do.
std::string_view OutsideOf(const Column& column, size_t row);

// Makes the cell point to `copy`, a copy of OutsideOf(column, row) that lives as long as the
// column.
void MoveOutside(const char* copy, Column* column, size_t row);

// A copy of the rows of `column` at `rows[0, count)`, whose cells point only to memory of the new
// column. REQUIRES: no array.
ColumnPtr TakeOwned(const Column& column, const uint32_t* rows, size_t count);

}  // namespace millrace

#endif  // MILLRACE_COMMON_COLUMNAR_OWNED_VALUES_H_
