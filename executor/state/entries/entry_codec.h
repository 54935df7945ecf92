// Encodes entries of keyed state as bytes for a StateStore. Only the process that wrote them reads
// them: numbers are in native form, and there is no version.
//
// A key is the hash, big-endian, so that entries sort by key group, followed by the key's canonical
// value: equal keys (as SQL's IS NOT DISTINCT FROM) have equal bytes, different keys differ.
//
// An entry is a row: the keys in the form in which they print (1.0 or 1.00), then the other
// columns. Its last column is the time of the last touch.
//
// Pure functions. Bytes that cannot be decoded are INTERNAL: nobody else writes them, and stores
// check them.
#ifndef MILLRACE_EXECUTOR_STATE_ENTRIES_ENTRY_CODEC_H_
#define MILLRACE_EXECUTOR_STATE_ENTRIES_ENTRY_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/columnar/column.h"
#include "common/types/sql_type.h"

namespace millrace::executor {

std::string EncodeKey(std::span<const ColumnPtr> keys, uint64_t hash, uint32_t row);
uint64_t HashOfKey(std::string_view key);

// The values of a row, column by column.
std::string EncodeRow(std::span<const ColumnPtr> columns, uint32_t row);

// The first `key_count` columns are the keys. REQUIRES: the last one is int64 or a timestamp, and
// not NULL in the row.
std::string EncodeEntry(std::span<const ColumnPtr> columns, size_t key_count, uint32_t row);

// Parts of an entry: the row of all its columns, the row of its keys, and its last column. Bytes
// that are no entry give an empty row, which DecodeRows refuses, and 0.
std::string_view RowOfEntry(std::string_view entry);
std::string_view KeyRowOfEntry(std::string_view entry);
int64_t TouchedAtOfEntry(std::string_view entry);

// Decodes rows into columns; copies text.
absl::StatusOr<std::vector<ColumnPtr>> DecodeRows(std::span<const SqlType> types,
                                                  std::vector<std::string_view> rows);

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_STATE_ENTRIES_ENTRY_CODEC_H_
