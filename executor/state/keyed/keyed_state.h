// State of an operator by key, as any operator may own it: it finds the groups of rows, takes the
// changes of a batch, gives its entries to snapshots and takes them back, and lets them expire.
// What an entry holds is the operator's affair (EntryPayload); the operator works on the states in
// the table itself.
//
// A batch: FindOrAdd for each block of rows, then changes of the groups' states, then EndBatch with
// all groups that the batch has touched. An entry that no batch has touched for longer than the
// time to live counts as absent when it is touched again, whether or not a sweep at the end of some
// batch has freed it meanwhile. REQUIRES: batch times never fall.
//
// There are two implementations: MemoryState keeps all entries in the table, StoredState keeps them
// in a StateStore with the table as a cache. Groups, and thus results, are the same in both.
// Virtual calls are per block of rows and per batch.
//
// Thread-compatible.
#ifndef MILLRACE_EXECUTOR_STATE_KEYED_KEYED_STATE_H_
#define MILLRACE_EXECUTOR_STATE_KEYED_KEYED_STATE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "executor/state/entries/entry_payload.h"
#include "executor/state/entries/group_table.h"
#include "executor/state/entries/keyed_entries.h"
#include "executor/state/snapshot/operator_state.h"
#include "executor/state/snapshot/state_block.h"
#include "executor/state/snapshot/state_block_builder.h"
#include "executor/state/store/state_store.h"
#include "proto/checkpoint.pb.h"

namespace millrace::executor {

class KeyedState : public OperatorState {
 public:
  struct Options {
    std::vector<SqlType> key_types;
    EntryPayload* payload = nullptr;  // outlives the state
    proto::StateIdentity identity;
    int64_t ttl_us = 0;  // 0 = entries do not expire
  };

  // Keeps entries in a store of `backend`, or in memory when that is null.
  static std::unique_ptr<KeyedState> Create(Options options, StateBackend* backend);

  KeyedState(const KeyedState&) = delete;
  KeyedState& operator=(const KeyedState&) = delete;

  GroupTable& table() { return entries_.table(); }
  const GroupTable& table() const { return entries_.table(); }
  bool expires() const { return entries_.expiry().expires(); }

  // Finds or adds the groups of rows that a batch at `now_us` is about to touch. New groups, and
  // those whose entry has expired or was removed, are empty; the latter may keep the stored form of
  // their key (1.0 or 1.00). Copies the entries of these groups that a snapshot in progress still
  // needs. Errors are the store's.
  virtual absl::Status FindOrAdd(const std::vector<ColumnPtr>& keys, const uint64_t* hashes,
                                 RowSet rows, int64_t now_us, uint32_t* groups) = 0;
  // Ends a batch, also one that has touched nothing. `changed` and `removed` are the groups that it
  // has touched: those that have an entry now, and those that have none. Frees some of the entries
  // that have expired by `now_us`. Errors are the store's.
  virtual absl::Status EndBatch(std::span<const uint32_t> changed,
                                std::span<const uint32_t> removed, int64_t now_us) = 0;

  // Forgets everything: for state that ends with its batch, instead of EndBatch. REQUIRES: the
  // state is in memory, and never in a snapshot.
  void Clear() { entries_.Clear(); }

  // The number of entries, and the memory that they take.
  virtual size_t rows() const = 0;
  virtual size_t Bytes() const = 0;

  const proto::StateIdentity& identity() const final { return identity_; }
  void BeginSnapshot(bool full) final;
  std::vector<StateBlock> TakeSnapshot() final;
  absl::Status Restore(const StateBlock& block) final;
  int64_t wake_at_us() const final;

 protected:
  explicit KeyedState(Options options);

  // Cuts the entries as they are; ContinueSnapshot adds them to copied_.
  virtual void Cut(bool full) = 0;
  // Whether entries of the cut are still to be copied.
  virtual bool copying() const = 0;
  // The cut has been copied, and its copy taken.
  virtual void EndCut() = 0;
  // Restores entries of the right shape.
  virtual absl::Status RestoreEntries(const StateBlock& block) = 0;

  std::vector<ColumnPtr> KeysOf(const Batch& entries) const;
  // What is wrong with a snapshot.
  static absl::Status UnknownRemoval();
  static absl::Status EqualKeysApart(const std::vector<ColumnPtr>& keys, uint32_t row);

  KeyedEntries entries_;
  StateBlockBuilder copied_;

 private:
  const proto::StateIdentity identity_;
  bool taken_ = true;  // the snapshot before
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_STATE_KEYED_KEYED_STATE_H_
