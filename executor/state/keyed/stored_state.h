// KeyedState in a StateStore, for more entries than fit into memory. Between batches the store has
// every entry in its current form, and the groups of the table are copies of some: a cache. Groups
// that are new to the table are looked up in the store, a block's at a time. At a batch's end, the
// groups that it touched are written to the store, and those that were not touched lately leave the
// table if it is too large. So snapshots, sweeps and restores work on the store alone.
#ifndef MILLRACE_EXECUTOR_STATE_KEYED_STORED_STATE_H_
#define MILLRACE_EXECUTOR_STATE_KEYED_STORED_STATE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "executor/state/keyed/keyed_state.h"
#include "executor/state/store/state_store.h"

namespace millrace::executor {

// Thread-compatible.
class StoredState : public KeyedState {
 public:
  // `store` is empty.
  StoredState(Options options, std::unique_ptr<StateStore> store);

  absl::Status FindOrAdd(const std::vector<ColumnPtr>& keys, const uint64_t* hashes, RowSet rows,
                         int64_t now_us, uint32_t* groups) override;
  absl::Status EndBatch(std::span<const uint32_t> changed, std::span<const uint32_t> removed,
                        int64_t now_us) override;
  size_t rows() const override { return stored_rows_ + new_groups_; }
  size_t Bytes() const override {
    return entries_.Bytes() + copied_.Bytes() + stored_.capacity() +
           noted_since_.capacity() * sizeof(uint32_t);
  }
  absl::StatusOr<bool> ContinueSnapshot(size_t* max_entries) override;

 protected:
  void Cut(bool full) override;
  bool copying() const override { return !cut_read_; }
  void EndCut() override { store_->EndCut(); }
  absl::Status RestoreEntries(const StateBlock& block) override;

 private:
  // Fills in the states that the store has of groups that were added to the table.
  absl::Status Load(const std::vector<ColumnPtr>& keys, const uint64_t* hashes,
                    const std::vector<GroupTable::Added>& added);
  void WriteEntries(std::span<const uint32_t> groups);
  void EraseEntries(std::span<const uint32_t> groups);
  absl::Status Sweep(int64_t now_us);
  void DropExpiredGroups(int64_t now_us);
  void DropOldGroups();
  absl::Status CopyCut(const std::vector<StateStore::CutEntry>& entries);
  // Copies rows of entries into the snapshot; with weight −1 they have the keys only.
  absl::Status CopyRows(std::vector<std::string_view> rows, std::vector<uint64_t> hashes,
                        int64_t sign);

  const std::unique_ptr<StateStore> store_;
  // By group: whether the store has an entry of the group, and the cut since which its change has
  // been noted.
  std::vector<uint8_t> stored_;
  std::vector<uint32_t> noted_since_;
  uint32_t cuts_ = 1;
  bool cut_read_ = true;
  size_t stored_rows_ = 0;
  size_t new_groups_ = 0;   // groups that are not in the store yet
  std::string sweep_from_;  // the key at which the sweep goes on; empty = from the beginning
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_STATE_KEYED_STORED_STATE_H_
