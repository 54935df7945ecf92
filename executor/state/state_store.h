// Where the entries of keyed state are when they do not all fit into memory: a store per operator
// and shard, holding bytes by key (entry_codec.h), and a back end per epoch that opens them. What
// is in them lasts as long as the epoch: durable are snapshots, and only they.
//
// Writes are collected, and applied by Commit. Reads see what has been committed.
//
// Stores know what has changed since the last cut. Whoever changes a key says so with NoteChange;
// of several notes between two cuts the first holds, since it knew what the cut before had shown.
//
// Errors: UNAVAILABLE or RESOURCE_EXHAUSTED with the directory; the store may then only be
// destroyed. Never DATA_LOSS, which is for snapshots: another epoch begins with a store anew.
#ifndef MILLRACE_EXECUTOR_STATE_STATE_STORE_H_
#define MILLRACE_EXECUTOR_STATE_STATE_STORE_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace millrace {

// Thread-compatible.
class StateStore {
 public:
  struct Entry {
    std::string key;
    std::string value;
  };
  // What a cut has of a key.
  struct CutEntry {
    std::string key;
    std::optional<std::string> value;  // absent: the cut before had it, this one has not
    std::string shown;                 // then: what its note says
  };

  virtual ~StateStore() = default;

  // Values of keys, in their order; absent where there is none.
  virtual absl::StatusOr<std::vector<std::optional<std::string>>> Get(
      const std::vector<std::string>& keys) = 0;
  // Appends up to `max` entries with keys ≥ `from`, ascending; fewer = there are no more.
  virtual absl::Status Scan(std::string_view from, size_t max, std::vector<Entry>* entries) = 0;

  virtual void Put(std::string_view key, std::string_view value) = 0;
  virtual void Erase(std::string_view key) = 0;
  // The key changes. `shown` = what the next cut is to say of it should it be gone by then; absent
  // = there is no entry of it now.
  virtual void NoteChange(std::string_view key, std::optional<std::string_view> shown) = 0;
  virtual absl::Status Commit() = 0;

  // Cuts the entries as they are: all, or those noted since the last cut. Copies nothing, and drops
  // an earlier cut. REQUIRES: everything is committed; the earlier one has ended, or this is
  // `full`.
  virtual void BeginCut(bool full) = 0;
  // Reads up to `max` more of the cut, ascending by key, and appends what there is to be said of
  // them, as of the cut; true when that was all.
  virtual absl::StatusOr<bool> ReadCut(size_t max, std::vector<CutEntry>* entries) = 0;
  virtual void EndCut() = 0;

  // How much memory the groups may take that an operator keeps between batches.
  virtual size_t cache_bytes() const = 0;
};

// Thread-safe. Outlives its stores.
class StateBackend {
 public:
  virtual ~StateBackend() = default;

  // An empty store.
  virtual std::unique_ptr<StateStore> OpenStore() = 0;
};

}  // namespace millrace

#endif  // MILLRACE_EXECUTOR_STATE_STATE_STORE_H_
