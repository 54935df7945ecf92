// Delivers the rows of exchanges to the keyed shards of this executor, and tells the shards when no
// more rows of the batch come. Rows of peers are checked first: they must be for a shard that is
// here, in the batch that runs, and before the end that their sender has announced. What does not
// fit fails the epoch.
//
// A peer may be one batch ahead, since it begins a batch when it hears that all members have
// prepared the one before, and this executor may hear so later. Its rows then wait here until the
// batch begins; the senders' credit limits them.
//
// Thread-safe; nothing blocks. The lock keeps the deliveries of a sender in order while a batch
// begins. Only the hub's lock comes before it, and all others of an epoch come after it, since the
// shards and the host are called under it. Such a call may end a shard that has no rows, and with
// it the last writer to the next exchange: therefore EndLocal and DeliverLocal do not take the
// lock.
#ifndef MILLRACE_EXECUTOR_EPOCH_SHARD_DELIVERIES_H_
#define MILLRACE_EXECUTOR_EPOCH_SHARD_DELIVERIES_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "executor/epoch/batch_run.h"
#include "executor/epoch/epoch_layout.h"
#include "executor/epoch/shard_input.h"
#include "executor/epoch/task_host.h"
#include "executor/shuffle/shuffle_block.h"

namespace millrace::executor {

class ShardDeliveries {
 public:
  // By stage and shard; null for a shard of another member, none for a stage of a source.
  using Shards = std::vector<std::vector<ShardInput*>>;

  // All outlive the deliveries. Rows that still wait when they are destroyed are dropped.
  ShardDeliveries(const EpochLayout* layout, TaskHost* host, Shards shards);
  ShardDeliveries(const ShardDeliveries&) = delete;
  ShardDeliveries& operator=(const ShardDeliveries&) = delete;

  // From now on rows are for this batch; those that have waited for it go first. REQUIRES: the
  // shards have begun it.
  void BeginBatch(std::shared_ptr<BatchRun> run) ABSL_LOCKS_EXCLUDED(mutex_);
  // Takes rows of a peer.
  void OnDelivery(ShuffleDelivery delivery) ABSL_LOCKS_EXCLUDED(mutex_);

  // Takes rows of this executor for one of its own shards. REQUIRES: the batch that they belong to
  // has begun.
  void DeliverLocal(ShuffleBlock block);
  // This executor writes nothing more to the exchange.
  void EndLocal(const std::shared_ptr<BatchRun>& run, uint32_t exchange);

 private:
  void Accept(ShuffleDelivery delivery) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // ABORTED names a sender of rows for a shard that is not here, or one that had ended the
  // exchange.
  absl::Status Take(const std::shared_ptr<BatchRun>& run, uint32_t sender, ShuffleDelivery delivery)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MemberEnded(const std::shared_ptr<BatchRun>& run, uint32_t exchange, uint32_t member,
                   uint64_t blocks);
  std::optional<uint32_t> MemberIndex(const std::string& executor_id) const;

  const EpochLayout& layout_;
  TaskHost* const host_;
  const Shards shards_;
  absl::flat_hash_map<std::string, uint32_t> member_index_;  // by executor; fixed once built

  absl::Mutex mutex_;
  std::shared_ptr<BatchRun> run_ ABSL_GUARDED_BY(mutex_);      // null before the first batch
  std::deque<ShuffleDelivery> early_ ABSL_GUARDED_BY(mutex_);  // for the batch after it
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_SHARD_DELIVERIES_H_
