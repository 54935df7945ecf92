// The state of a final aggregate: its groups with their aggregates' states, and what outlives a
// batch of each group: whether it has a row downstream, and when it was last touched. Keeps track
// of changes for snapshots, and lets entries expire.
//
// An entry in a snapshot: the keys, every aggregate's partial columns, the group's weight, whether
// it is visible, and the batch time that touched it last.
//
// Expiry depends on batch times alone: an entry that no batch has touched for longer than the time
// to live counts as absent when it is touched again, whether or not a sweep has freed it meanwhile.
// REQUIRES: batch times never fall.
//
// With a StateStore, the store has all entries, and the table is a cache of some. Groups that are
// new to the table are looked up in the store, a block's at a time. At a batch's end, touched
// groups are written to the store, and groups that were not touched lately are dropped if the cache
// is too large. Between batches every group equals its entry, so that snapshots read the store
// alone. Groups, and thus results, are the same as without a store. Without one, and in the names
// below, the table has everything.
//
// Thread-compatible.
#ifndef MILLRACE_EXECUTOR_OPERATORS_AGGREGATE_STATE_H_
#define MILLRACE_EXECUTOR_OPERATORS_AGGREGATE_STATE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "executor/operators/aggregate_layout.h"
#include "executor/state/group_table.h"
#include "executor/state/operator_state.h"
#include "executor/state/snapshot_marks.h"
#include "executor/state/state_block_builder.h"
#include "executor/state/state_store.h"

namespace millrace {

class AggregateState : public OperatorState {
 public:
  // `ttl_us` 0 = entries do not expire. `store` null = all entries are in memory.
  AggregateState(AggregateLayout layout, std::vector<SqlType> key_types,
                 proto::StateIdentity identity, int64_t ttl_us, std::unique_ptr<StateStore> store);
  AggregateState(const AggregateState&) = delete;
  AggregateState& operator=(const AggregateState&) = delete;
  ~AggregateState() override;

  const AggregateLayout& layout() const { return layout_; }
  GroupTable& table() { return table_; }
  const GroupTable& table() const { return table_; }
  bool expires() const { return ttl_us_ != 0; }
  AggregateStates States(const AggregateLayout::Entry& entry) {
    return layout_.States(entry, &table_);
  }
  AggregateStates Weights() { return layout_.Weights(&table_); }
  int64_t weight(uint32_t group) { return Weights().at<int64_t>(group); }
  // Whether the group has a row downstream from an earlier batch.
  bool visible(uint32_t group) const { return visible_[group] != 0; }

  // Finds or adds the groups of rows that a batch at `now_us` is about to touch; the caller then
  // calls BeginTouch for each. New groups are empty. Copies the entries of these groups that a
  // snapshot in progress still needs. Errors are the store's.
  absl::Status FindOrAdd(const std::vector<ColumnPtr>& keys, const uint64_t* hashes, RowSet rows,
                         int64_t now_us, uint32_t* groups);
  // To be called at a batch's first touch of the group. A group that has expired, or that is only
  // kept for snapshots, begins again with empty state; it keeps the stored form of its key (1.0 or
  // 1.00).
  void BeginTouch(uint32_t group, int64_t now_us) {
    if (marks_.gone_count() != 0 || expires()) {
      DropIfOver(group, now_us);
    }
  }
  // To be called at the end of a batch that touched the group. `visible`: whether the batch leaves
  // it with a row downstream.
  void EndTouch(uint32_t group, bool visible, int64_t now_us);
  // The same for a group whose rows have all been taken back.
  void Remove(uint32_t group);
  // To be called at the end of a batch, after EndTouch or Remove of all touched groups. Frees some
  // of the entries that have expired by `now_us`. Errors are the store's.
  absl::Status EndBatch(int64_t now_us);

  // Forgets everything: for state that ends with its batch. REQUIRES: the state is never in a
  // snapshot.
  void Clear();

  // The number of entries, and the memory that they take.
  size_t rows() const {
    return store_ == nullptr ? table_.size() - marks_.gone_count() : stored_rows_ + new_groups_;
  }
  size_t Bytes() const;

  const proto::StateIdentity& identity() const override { return identity_; }
  void BeginSnapshot(bool full) override;
  absl::StatusOr<bool> ContinueSnapshot(size_t* max_entries) override;
  std::vector<StateBlock> TakeSnapshot() override;
  absl::Status Restore(const StateBlock& block) override;
  int64_t wake_at_us() const override;

 private:
  bool Expired(uint32_t group, int64_t now_us) const {
    return ttl_us_ != 0 && now_us - touched_at_us_[group] > ttl_us_;
  }
  void DropIfOver(uint32_t group, int64_t now_us);
  void AddGroups(const std::vector<GroupTable::Added>& added, int64_t now_us);
  // Makes the group's state empty, with weight 0 and without a row downstream.
  void Reset(uint32_t group);
  void CountOwnedBytes(uint32_t group);
  void Erase(uint32_t group);
  void Sweep(int64_t now_us);

  // Copies the entries of groups that TakeOwed has returned.
  void CopyEntries(std::vector<uint32_t> groups);
  Batch Entries(const uint32_t* groups, size_t count);
  absl::Status CheckShape(const Batch& rows) const;
  static absl::Status UnknownRemoval();
  static absl::Status EqualKeysApart(const std::vector<ColumnPtr>& keys, uint32_t row);
  absl::Status Put(const Batch& rows, const std::vector<uint32_t>& put,
                   const std::vector<uint32_t>& groups);

  // --- aggregate_state_store.cc Fills in the states that the store has of groups that were added
  // to the table.
  absl::Status Load(const std::vector<ColumnPtr>& keys, const uint64_t* hashes,
                    const std::vector<GroupTable::Added>& added);
  absl::Status WriteBack();
  void WriteEntries(const uint32_t* groups, size_t count);
  void EraseEntries();
  absl::Status SweepStore(int64_t now_us);
  void DropExpiredGroups(int64_t now_us);
  void DropOldGroups();
  size_t CachedBytes() const;
  absl::StatusOr<bool> ContinueStoreSnapshot(size_t* max_entries);
  absl::Status CopyCut(const std::vector<StateStore::CutEntry>& entries);
  absl::Status CopyRows(std::vector<std::string_view> rows, std::vector<uint64_t> hashes,
                        int64_t sign);
  absl::Status RestoreStore(const StateBlock& block);

  const AggregateLayout layout_;
  const proto::StateIdentity identity_;
  const int64_t ttl_us_;
  const std::unique_ptr<StateStore> store_;
  std::vector<SqlType> entry_types_;  // types of the columns of an entry
  GroupTable table_;
  // By group.
  std::vector<uint8_t> visible_;
  std::vector<int64_t> touched_at_us_;
  std::vector<uint32_t> owned_bytes_;  // as last counted; empty when states own nothing
  int64_t total_owned_bytes_ = 0;

  // The snapshot under way.
  SnapshotMarks marks_;
  StateBlockBuilder copied_;
  bool full_ = false;
  bool taken_ = true;

  // All entries were last touched at this time or later. Each pass of the sweep over all groups
  // sets it again.
  int64_t oldest_us_ = INT64_MAX;
  uint32_t sweep_next_ = 0;
  int64_t sweep_oldest_us_ = 0;

  // Used with a store only, by group: whether the store has an entry of the group, and the cut
  // since which its change has been noted.
  std::vector<uint8_t> stored_;
  std::vector<uint32_t> noted_since_;
  uint32_t cuts_ = 1;
  bool cut_read_ = true;
  size_t stored_rows_ = 0;
  size_t new_groups_ = 0;  // groups that are not in the store yet
  // Groups whose touches have ended since the last batch's end.
  std::vector<uint32_t> ended_;
  std::vector<uint32_t> removed_;
  std::string sweep_from_;  // takes the place of sweep_next_
};

}  // namespace millrace

#endif  // MILLRACE_EXECUTOR_OPERATORS_AGGREGATE_STATE_H_
