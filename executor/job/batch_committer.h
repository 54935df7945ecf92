// Prepares and commits a batch's sink writers, many at a time, batches in order. Thread-safe.
#ifndef MILLRACE_EXECUTOR_JOB_BATCH_COMMITTER_H_
#define MILLRACE_EXECUTOR_JOB_BATCH_COMMITTER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/base/clock.h"
#include "common/base/ids.h"
#include "executor/job/job_metrics.h"
#include "executor/job/sink_set.h"
#include "executor/job/task_host.h"
#include "proto/cluster.pb.h"

namespace millrace {

class BatchCommitter {
 public:
  struct Options {
    absl::Duration prepare_timeout = absl::Seconds(60);
    absl::Duration commit_timeout = absl::Seconds(60);  // over all tries
    int commit_tries = 5;
  };
  // Called when a batch is committed, from a thread that may block. `host`, `clock`, `metrics`
  // outlive the committer.
  using OnCommitted = std::function<void(proto::BatchCommitted)>;

  BatchCommitter(TaskHost* host, Clock* clock, JobMetrics* metrics, Options options,
                 OnCommitted on_committed);

  // Prepares the writers with rows of the batch, then calls `done` (at once when there are none).
  void Prepare(BatchId batch, std::vector<ShardWriter*> writers, std::function<void()> done);

  // REQUIRES: prepared. A batch that has been committed is reported again if it was the last one.
  void Commit(BatchId batch);

  // Batches prepared but not committed, and committing.
  size_t pending() const;

 private:
  struct Committing {
    BatchId batch;
    std::vector<ShardWriter*> writers;
    std::vector<std::string> markers;
    int64_t start_ns = 0;
  };

  void StartNext();
  void CommitWriter(const std::shared_ptr<Committing>& committing, size_t index);
  void Finish(const std::shared_ptr<Committing>& committing);

  TaskHost* const host_;
  Clock* const clock_;
  JobMetrics* const metrics_;
  const Options options_;
  const OnCommitted on_committed_;

  mutable absl::Mutex mutex_;
  std::map<BatchId, std::vector<ShardWriter*>> prepared_ ABSL_GUARDED_BY(mutex_);
  std::deque<BatchId> ordered_ ABSL_GUARDED_BY(mutex_);
  bool committing_ ABSL_GUARDED_BY(mutex_) = false;
  proto::BatchCommitted last_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace millrace

#endif  // MILLRACE_EXECUTOR_JOB_BATCH_COMMITTER_H_
