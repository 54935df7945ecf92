// The snapshots that an epoch takes on this executor: the cut of all its keyed shards, copying
// their entries while later batches run, and one file of what was copied.
//
// Thread-safe. Calls return at once.
#ifndef MILLRACE_EXECUTOR_JOB_SNAPSHOT_TAKER_H_
#define MILLRACE_EXECUTOR_JOB_SNAPSHOT_TAKER_H_

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
#include "executor/job/epoch_layout.h"
#include "executor/job/job_metrics.h"
#include "executor/job/keyed_shard.h"
#include "executor/job/snapshot_cut.h"
#include "executor/job/task_host.h"
#include "proto/cluster.pb.h"

namespace millrace {

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
  // Called once for every Take unless the epoch ends, from a thread that may block, or within Take
  // when there is nothing to write.
  using OnWritten = std::function<void(proto::SnapshotWritten)>;

  SnapshotTaker(Parts parts, std::string executor_id, std::string engine_version,
                OnWritten on_written);

  // The state as it is now is that after `batch`. With an earlier one still being copied, a full
  // cut takes its place, and another one is refused: what changed between the two would be in
  // neither. REQUIRES: no batch runs.
  void Take(BatchId batch, bool full);

  void BatchBegins();
  void BatchEnded();
  // Copies where the budget has grown. Called now and then: it grows with time, too.
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
  // A cut of this epoch has failed: what it had is in no layer, so that only a full one can follow.
  bool wants_full_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t files_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace millrace

#endif  // MILLRACE_EXECUTOR_JOB_SNAPSHOT_TAKER_H_
