// Prepares and commits the sink sessions of batches: many sessions at a time, batches in order. One
// commit of a session takes all batches that are prepared up to the ordered one. Between commits,
// it settles sessions whose commit has become durable in the journal. A session commits and settles
// one at a time; it may prepare a batch while it commits those before.
//
// Sessions of failed records commit after all others. A sink may refuse a row as late as at its
// commit: the batch then runs again with that row set aside, and whoever takes it must not have
// committed the batch without it. Rows of a source's partition and its failed records are written
// on one executor, so that nobody else need be waited for.
//
// Thread-safe.
#ifndef MILLRACE_EXECUTOR_EPOCH_BATCH_COMMITTER_H_
#define MILLRACE_EXECUTOR_EPOCH_BATCH_COMMITTER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/base/clock.h"
#include "common/base/ids.h"
#include "executor/epoch/job_metrics.h"
#include "executor/epoch/open_session.h"
#include "executor/epoch/task_host.h"
#include "proto/cluster.pb.h"

namespace millrace::executor {

class BatchCommitter {
 public:
  struct Options {
    absl::Duration prepare_timeout = absl::Seconds(60);
    absl::Duration commit_timeout = absl::Seconds(60);  // over all tries
    int commit_tries = 5;
  };
  using Sessions = std::vector<OpenSession*>;
  // Called when batches are committed, on a thread that may block. `host`, `clock` and `metrics`
  // outlive the committer.
  using OnCommitted = std::function<void(proto::BatchCommitted)>;

  BatchCommitter(TaskHost* host, Clock* clock, JobMetrics* metrics, Options options,
                 OnCommitted on_committed);

  // Prepares the sessions that are to commit the batch, then calls `done` (at once when there are
  // none).
  void Prepare(BatchId batch, Sessions sessions, std::function<void()> done);

  // Commits the prepared batches up to `through`. `durable`: as in SetDurable. If `through` was
  // committed last, reports that again. Also commits the sessions of `finish`, for the last time.
  // REQUIRES: `through` is prepared.
  void Commit(BatchId through, BatchId durable, Sessions finish);
  // Says that the commits of all batches up to `batch` are durable in the journal.
  void SetDurable(BatchId batch);
  // The same, for an epoch that ends. Calls `settled` once everything that was ordered is
  // committed, and everything that can be settled is; never calls it if that fails.
  void SettleAll(BatchId durable, std::function<void()> settled);

  // The number of batches that are prepared but not committed, including those being committed.
  size_t pending() const;

 private:
  // What one session has to do in a round.
  struct Task {
    OpenSession* session = nullptr;
    bool settle = false;
    bool commit = false;
    bool finish = false;  // call Finish before the commit
  };
  struct Round {
    BatchId through;  // 0 = the round only settles
    BatchId first;    // of the prepared batches that the round commits
    BatchId durable;
    std::vector<Task> tasks;
    absl::Time deadline;  // for all calls of the round, including their wait for a thread
    int64_t start_ns = 0;
  };
  struct Progress {
    BatchId committed;
    BatchId settled;
  };

  struct Order {
    BatchId through;
    Sessions finish;
  };

  void StartNext();
  // The batch that is to blame for the failure of a task.
  static BatchId BatchOf(const Round& round, const Task& task, const absl::Status& failure);
  bool PlanRound(Round* round) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void PlanCommits(Round* round) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void PlanSettling(Round* round) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool WantsSettling(OpenSession* session) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunTasks(const std::shared_ptr<Round>& round);
  void RunTask(const std::shared_ptr<Round>& round, size_t index);
  // Repeats a call that fails for a reason that may pass.
  absl::Status Try(absl::Time deadline, absl::FunctionRef<absl::Status(absl::Time deadline)> call);
  void Finish(const std::shared_ptr<Round>& round);
  void NoteProgress(const Round& round) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  proto::BatchCommitted Report(const Round& round) const;

  TaskHost* const host_;
  Clock* const clock_;
  JobMetrics* const metrics_;
  const Options options_;
  const OnCommitted on_committed_;

  mutable absl::Mutex mutex_;
  std::map<BatchId, Sessions> prepared_ ABSL_GUARDED_BY(mutex_);
  std::deque<Order> ordered_ ABSL_GUARDED_BY(mutex_);
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;  // a round is under way
  BatchId durable_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> when_settled_ ABSL_GUARDED_BY(mutex_);
  // Progress of the sessions that have commits which they have not settled.
  std::map<OpenSession*, Progress> unsettled_ ABSL_GUARDED_BY(mutex_);
  proto::BatchCommitted last_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_BATCH_COMMITTER_H_
