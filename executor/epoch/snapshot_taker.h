// Takes an epoch's snapshots on this executor: cuts all its keyed shards, copies their entries
// while later batches run, and writes one file of what was copied.
//
// Thread-safe. Calls return at once.
#ifndef MILLRACE_EXECUTOR_EPOCH_SNAPSHOT_TAKER_H_
#define MILLRACE_EXECUTOR_EPOCH_SNAPSHOT_TAKER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/storage/checkpoint_store.h"
#include "executor/epoch/epoch_layout.h"
#include "executor/epoch/job_metrics.h"
#include "executor/epoch/keyed_shard.h"
#include "executor/epoch/snapshot_cut.h"
#include "executor/epoch/task_host.h"
#include "proto/cluster.pb.h"

namespace millrace::executor {

class SnapshotTaker {
 public:
  struct Parts {  // outlive the taker
    TaskHost* host = nullptr;
    Clock* clock = nullptr;
    JobMetrics* metrics = nullptr;
    const EpochLayout* layout = nullptr;
    CheckpointStore* store = nullptr;
    std::vector<KeyedShard*> shards;
  };
  // Called once for every Take unless the epoch ends, on a thread that may block, or within Take
  // when there is nothing to write.
  using OnWritten = std::function<void(proto::SnapshotWritten)>;

  SnapshotTaker(Parts parts, std::string executor_id, std::string engine_version,
                OnWritten on_written);

  // Takes a snapshot of the present state, which is that after `batch`. If an earlier cut is still
  // being copied, a full cut replaces it, and an incremental one is refused: changes between the
  // two would be in neither. REQUIRES: no batch runs.
  void Take(BatchId batch, bool full);

  void BatchBegins();
  void BatchEnded();
  // Goes on copying in shards if the budget has grown. To be called now and then, since the budget
  // grows with time.
  void CopyOn();

 private:
  void Copied(const SnapshotCut* copied);
  void Write(const std::shared_ptr<SnapshotCut>& cut);
  absl::Status WriteFile(SnapshotCut* cut, proto::SnapshotWritten* written);
  std::string NewFileName(BatchId batch);
  proto::SnapshotHeader Header(const SnapshotCut& cut) const;
  std::vector<KeyGroups> OwnKeyGroups() const;
  void Refuse(BatchId batch, const std::string& why);

  const Parts parts_;
  const std::string executor_id_;
  const std::string engine_version_;
  const OnWritten on_written_;
  CopyBudget budget_;

  absl::Mutex mutex_;
  std::shared_ptr<SnapshotCut> copying_ ABSL_GUARDED_BY(mutex_);
  // A cut of this epoch has failed: the changes in it are in no layer, so the next one must be
  // full.
  bool wants_full_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t files_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_SNAPSHOT_TAKER_H_
