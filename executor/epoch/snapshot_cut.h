// A snapshot while keyed shards copy their entries for it, and the limit on how much of a batch's
// time that may take. Thread-safe.
#ifndef MILLRACE_EXECUTOR_EPOCH_SNAPSHOT_CUT_H_
#define MILLRACE_EXECUTOR_EPOCH_SNAPSHOT_CUT_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/base/clock.h"
#include "common/base/ids.h"
#include "executor/state/snapshot/state_block.h"

namespace millrace::executor {

// How long all shards together may copy within a batch that has run for `batch_ns`, for a cut that
// was made `cut_age_ns` ago; kUnlimitedCopyNs = as long as it takes.
//
// A young cut gets a few milliseconds and a small part of the batch's time anyway, so that short
// batches stay short. Then its share of the batch grows, and after a minute copying goes before
// everything else. So a snapshot ends at the latest a minute after its cut plus the time that
// copying takes, however many entries there are and however long batches take.
inline constexpr int64_t kUnlimitedCopyNs = INT64_MAX;
inline int64_t CopyAllowanceNs(int64_t batch_ns, int64_t cut_age_ns) {
  constexpr int64_t kLeastNs = 2'000'000;
  constexpr int64_t kMostNs = 12'000'000;  // limit for a young cut
  constexpr int64_t kPartOfBatch = 20;
  constexpr int64_t kYoungNs = 20'000'000'000;
  constexpr int64_t kOverdueNs = 60'000'000'000;
  if (cut_age_ns >= kOverdueNs) {
    return kUnlimitedCopyNs;
  }
  const int64_t young_ns = std::min(kMostNs, kLeastNs + batch_ns / kPartOfBatch);
  if (cut_age_ns <= kYoungNs) {
    return young_ns;
  }
  const double share = static_cast<double>(cut_age_ns - kYoungNs) / (kOverdueNs - kYoungNs);
  return std::max(young_ns, static_cast<int64_t>(share * static_cast<double>(batch_ns)));
}

// The time that copying has taken of the running batch. While no batch runs, copying is free.
class CopyBudget {
 public:
  explicit CopyBudget(Clock* clock) : clock_(clock) {}

  void BeginBatch() {
    spent_ns_.store(0);
    batch_start_ns_.store(std::max<int64_t>(clock_->MonotonicNs(), 1));
  }
  void EndBatch() { batch_start_ns_.store(0); }

  // Whether a step may begin now, for a cut made at `cut_ns` of the clock's.
  bool Allows(int64_t cut_ns) const {
    const int64_t start_ns = batch_start_ns_.load();
    if (start_ns == 0) {
      return true;
    }
    const int64_t now_ns = clock_->MonotonicNs();
    return spent_ns_.load() < CopyAllowanceNs(now_ns - start_ns, now_ns - cut_ns);
  }
  void Spend(int64_t ns) { spent_ns_.fetch_add(ns); }

  int64_t now_ns() const { return clock_->MonotonicNs(); }

 private:
  Clock* const clock_;
  std::atomic<int64_t> batch_start_ns_ = 0;  // 0 = none runs
  std::atomic<int64_t> spent_ns_ = 0;
};

class SnapshotCut {
 public:
  // `copied` is called once, by the last shard that adds its entries. `budget` outlives the shards'
  // use of the cut.
  SnapshotCut(BatchId batch, bool full, size_t shards, CopyBudget* budget,
              std::function<void(SnapshotCut*)> copied)
      : batch_(batch),
        full_(full),
        budget_(budget),
        cut_ns_(budget->now_ns()),
        copied_(std::move(copied)),
        shards_left_(shards) {}

  BatchId batch() const { return batch_; }
  bool full() const { return full_; }
  CopyBudget& budget() const { return *budget_; }
  // Whether a step may begin now.
  bool MayCopy() const { return budget_->Allows(cut_ns_); }
  // Whether copying for it goes before rows.
  bool IsOverdue() const {
    return CopyAllowanceNs(0, budget_->now_ns() - cut_ns_) == kUnlimitedCopyNs;
  }

  // Notes how long a shard took to mark its state.
  void AddMarked(int64_t ns) {
    int64_t most = most_marking_ns_.load();
    while (ns > most && !most_marking_ns_.compare_exchange_weak(most, ns)) {
    }
  }
  // Adds all entries of a shard.
  void AddShard(std::vector<StateBlock> blocks) {
    bool last = false;
    {
      absl::MutexLock lock(&mutex_);
      shards_.push_back(std::move(blocks));
      last = --shards_left_ == 0;
    }
    if (last) {
      copied_(this);
    }
  }

  // How long the slowest shard took to mark its state.
  int64_t marking_ns() const { return most_marking_ns_.load(); }
  // The entries of each shard, in no order. REQUIRES: all shards have added theirs.
  std::vector<std::vector<StateBlock>> TakeShards() {
    absl::MutexLock lock(&mutex_);
    return std::move(shards_);
  }

 private:
  const BatchId batch_;
  const bool full_;
  CopyBudget* const budget_;
  const int64_t cut_ns_;
  const std::function<void(SnapshotCut*)> copied_;
  std::atomic<int64_t> most_marking_ns_ = 0;
  absl::Mutex mutex_;
  size_t shards_left_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::vector<StateBlock>> shards_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_SNAPSHOT_CUT_H_
