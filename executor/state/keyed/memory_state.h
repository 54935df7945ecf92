// KeyedState that is all in memory: every entry is a group of the table. Snapshots copy entries
// from the table, each before a batch changes it; SnapshotMarks knows which. A group whose entry is
// removed may stay as gone until a snapshot has recorded that.
#ifndef MILLRACE_EXECUTOR_STATE_KEYED_MEMORY_STATE_H_
#define MILLRACE_EXECUTOR_STATE_KEYED_MEMORY_STATE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "executor/state/keyed/keyed_state.h"
#include "executor/state/snapshot/snapshot_marks.h"

namespace millrace::executor {

// Thread-compatible.
class MemoryState : public KeyedState {
 public:
  explicit MemoryState(Options options);

  absl::Status FindOrAdd(const std::vector<ColumnPtr>& keys, const uint64_t* hashes, RowSet rows,
                         int64_t now_us, uint32_t* groups) override;
  absl::Status EndBatch(std::span<const uint32_t> changed, std::span<const uint32_t> removed,
                        int64_t now_us) override;
  size_t rows() const override { return table().size() - marks_.gone_count(); }
  size_t Bytes() const override { return entries_.Bytes() + marks_.Bytes() + copied_.Bytes(); }
  absl::StatusOr<bool> ContinueSnapshot(size_t* max_entries) override;

 protected:
  void Cut(bool full) override;
  bool copying() const override { return marks_.open(); }
  void EndCut() override {}
  absl::Status RestoreEntries(const StateBlock& block) override;

 private:
  void AddGroups(const std::vector<ColumnPtr>& keys, const uint64_t* hashes, RowSet rows,
                 int64_t now_us, uint32_t* groups);
  void Remove(uint32_t group);
  void Erase(uint32_t group);
  void Sweep(int64_t now_us);
  // Copies the entries of groups that TakeOwed has returned.
  void CopyEntries(std::vector<uint32_t> groups);
  Batch SignedEntries(std::span<const uint32_t> groups);

  SnapshotMarks marks_;
  bool full_ = false;  // the last cut
  uint32_t sweep_next_ = 0;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_STATE_KEYED_MEMORY_STATE_H_
