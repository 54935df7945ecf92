// Keyed state on disk: one RocksDB database per epoch, in a directory of its own below the given
// one. The directory is removed with the back end. If the process is killed, the next back end that
// is opened below the same directory removes it.
//
// Nothing is logged or synced, since the database never outlives its epoch. Two column families:
//   entries  u32 store, key                  → entry
//   changes  u32 store, u64 interval, key    → the first note of the key in that interval between
//                                              two cuts
// Stores share caches and background threads.
#ifndef MILLRACE_EXECUTOR_STATE_STORE_ROCKSDB_BACKEND_H_
#define MILLRACE_EXECUTOR_STATE_STORE_ROCKSDB_BACKEND_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "executor/state/store/state_store.h"

namespace millrace::executor {

struct RocksdbOptions {
  std::string directory;  // created if missing; empty = the system's for temporary files
  // Limit for all stores together: groups that operators keep, and RocksDB's blocks and write
  // buffers.
  size_t cache_bytes = size_t{128} << 20;
  size_t block_cache_bytes = size_t{128} << 20;
};

// Errors as in state_store.h.
absl::StatusOr<std::unique_ptr<StateBackend>> OpenRocksdbBackend(const RocksdbOptions& options);

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_STATE_STORE_ROCKSDB_BACKEND_H_
