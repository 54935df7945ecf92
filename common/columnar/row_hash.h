// The engine's key hash: XXH3-64 with a fixed seed over a canonical encoding that agrees with SQL
// equality, so that equal keys meet on one owner in every process, build and year. Pure functions.
//
// Version 2: text of up to 12 bytes hashes by its 16-byte TextView (length, bytes, zeros), longer
// text by its bytes; numbers, dates and times by 8 little-endian bytes of their canonical value
// (integers of all widths alike; −0 as 0; one NaN; a numeric that is an int64 as that int64, else
// its canonical digits); jsonb like text, in the form that all equal values share (JsonbKey); NULL
// as a constant. Columns are combined in order. Any change to this needs a new version: state and
// journals depend on it.
//
// Version 1 hashed jsonb by its text, so that 1 and 1.0 were two keys; the rest was the same. Keys
// in its snapshots are hashed again when they are read (executor/state/snapshot/snapshot_file.h).
#ifndef MILLRACE_COMMON_COLUMNAR_ROW_HASH_H_
#define MILLRACE_COMMON_COLUMNAR_ROW_HASH_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "common/columnar/batch.h"

namespace millrace {

inline constexpr uint32_t kRowHashVersion = 2;

// Hash of the given columns for every row of `rows`, written to out[row]; other entries stay as
// they are. REQUIRES: out has room for the columns' size. No columns: all rows hash to 0.
void HashRows(const std::vector<ColumnPtr>& keys, RowSet rows, uint64_t* out);

// The key group of a hash: its high bits, scaled to [0, key_groups).
inline uint32_t KeyGroupOf(uint64_t hash, uint32_t key_groups) {
  return static_cast<uint32_t>((static_cast<unsigned __int128>(hash) * key_groups) >> 64);
}

// The keyed shard that owns a key group: contiguous ranges of equal size (± 1).
inline uint32_t ShardOfKeyGroup(uint32_t key_group, uint32_t key_groups, uint32_t shards) {
  return static_cast<uint32_t>(static_cast<uint64_t>(key_group) * shards / key_groups);
}

}  // namespace millrace

#endif  // MILLRACE_COMMON_COLUMNAR_ROW_HASH_H_
