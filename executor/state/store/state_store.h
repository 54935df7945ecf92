// Holds entries of keyed state that do not all fit into memory: a store per operator and shard maps
// keys to bytes (entry_codec.h), and a back end per epoch opens the stores. The data lives no
// longer than the epoch; only snapshots are durable.
//
// Writes are collected, and applied by Commit. Reads see what has been committed.
//
// A store knows which keys have changed since the last cut: an operator that changes a key calls
// NoteChange. If a key is noted several times between two cuts, only the first note counts, because
// it states what the cut before had of the key; later notes no longer know that.
//
// Errors: UNAVAILABLE or RESOURCE_EXHAUSTED with the directory; after one, the store may only be
// destroyed. Never DATA_LOSS, which is for snapshots: another epoch begins with an empty store.
#ifndef MILLRACE_EXECUTOR_STATE_STORE_STATE_STORE_H_
#define MILLRACE_EXECUTOR_STATE_STORE_STATE_STORE_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace millrace::executor {

// Thread-compatible.
class StateStore {
 public:
  struct Entry {
    std::string key;
    std::string value;
  };
  // What a cut says about a key.
  struct CutEntry {
    std::string key;
    std::optional<std::string> value;  // absent: the key is gone, and the cut before had it
    std::string shown;                 // if absent: the value that NoteChange was given
  };

  virtual ~StateStore() = default;

  // The values of the keys, in their order; absent for a key without an entry.
  virtual absl::StatusOr<std::vector<std::optional<std::string>>> Get(
      const std::vector<std::string>& keys) = 0;
  // Appends up to `max` entries with keys ≥ `from`, in ascending order; fewer = these were the
  // last.
  virtual absl::Status Scan(std::string_view from, size_t max, std::vector<Entry>* entries) = 0;

  virtual void Put(std::string_view key, std::string_view value) = 0;
  virtual void Erase(std::string_view key) = 0;
  // Notes that the key is about to change. `shown`: what the next cut says about the key if it is
  // gone by then; absent = the key has no entry now.
  virtual void NoteChange(std::string_view key, std::optional<std::string_view> shown) = 0;
  virtual absl::Status Commit() = 0;

  // Cuts the entries as they are now: all of them, or those noted since the last cut. Copies
  // nothing, and drops an earlier cut. REQUIRES: everything is committed; the earlier cut has
  // ended, or this one is `full`.
  virtual void BeginCut(bool full) = 0;
  // Looks at up to `max` more keys of the cut, in ascending order, and appends what it says about
  // them; true when these were the last.
  virtual absl::StatusOr<bool> ReadCut(size_t max, std::vector<CutEntry>* entries) = 0;
  virtual void EndCut() = 0;

  // How much memory an operator may use for groups that it keeps between batches.
  virtual size_t cache_bytes() const = 0;
};

// Thread-safe. Outlives its stores.
class StateBackend {
 public:
  virtual ~StateBackend() = default;

  // An empty store.
  virtual std::unique_ptr<StateStore> OpenStore() = 0;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_STATE_STORE_STATE_STORE_H_
