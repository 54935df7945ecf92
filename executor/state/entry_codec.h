// Entries of keyed state as bytes, for a StateStore. The form is that of one process: numbers as
// they lie in memory, no version.
//
// A key is the hash, big-endian, so that entries are in order of key group, and then the key's
// canonical value: equal keys (as SQL's IS NOT DISTINCT FROM) have equal bytes, others differ.
//
// An entry is a row: the keys in the form they show (1.0 or 1.00), then the other columns. Its last
// column is the time that it was last touched.
//
// Pure functions. What cannot be read is INTERNAL: nobody else writes these bytes, and stores check
// them.
#ifndef MILLRACE_EXECUTOR_STATE_ENTRY_CODEC_H_
#define MILLRACE_EXECUTOR_STATE_ENTRY_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/columnar/column.h"
#include "common/types/sql_type.h"

namespace millrace {

std::string EncodeKey(std::span<const ColumnPtr> keys, uint64_t hash, uint32_t row);
uint64_t HashOfKey(std::string_view key);

// The values of a row, column by column.
std::string EncodeRow(std::span<const ColumnPtr> columns, uint32_t row);

// The first `key_count` columns are the keys. REQUIRES: the last one is int64 or a timestamp, and
// not NULL in the row.
std::string EncodeEntry(std::span<const ColumnPtr> columns, size_t key_count, uint32_t row);

// Of an entry: the row of all its columns, that of its keys, and its last column. Bytes that are no
// entry give an empty row, which DecodeRows refuses, and 0.
std::string_view RowOfEntry(std::string_view entry);
std::string_view KeyRowOfEntry(std::string_view entry);
int64_t TouchedAtOfEntry(std::string_view entry);

// Rows as columns; copies text.
absl::StatusOr<std::vector<ColumnPtr>> DecodeRows(std::span<const SqlType> types,
                                                  std::vector<std::string_view> rows);

}  // namespace millrace

#endif  // MILLRACE_EXECUTOR_STATE_ENTRY_CODEC_H_
