// One job in this driver: carries out what its state machine asks for and brings it what happens.
// Also keeps what people ask about: statistics, lag, results. Lives on the driver's event loop: no
// locks.
#ifndef MILLRACE_DRIVER_JOBS_JOB_H_
#define MILLRACE_DRIVER_JOBS_JOB_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/columnar/batch_shape.h"
#include "common/config/settings.h"
#include "common/expr/function_registry.h"
#include "common/rpc/stream_proof.h"
#include "common/storage/file_system.h"
#include "connectors/registry.h"
#include "driver/coordinator/job_event.h"
#include "driver/coordinator/job_history.h"
#include "driver/coordinator/job_state.h"
#include "driver/event_loop.h"
#include "driver/executors/executor_directory.h"
#include "driver/jobs/job_metrics.h"
#include "driver/jobs/source_watcher.h"
#include "driver/journal/journal.h"
#include "driver/results/ended_results.h"
#include "driver/results/result_buffer.h"
#include "driver/snapshots/job_store.h"
#include "driver/snapshots/pinned_files.h"
#include "proto/jobs.pb.h"

namespace millrace::driver {

// What all jobs of a driver share. Outlives them.
struct JobContext {
  EventLoop* loop = nullptr;       // every Job lives here
  EventLoop* merging = nullptr;    // puts result rows in order
  EventLoop* closing = nullptr;    // waits for the sources' threads
  EventLoop* releasing = nullptr;  // waits for the threads of jobs' stores
  ExecutorDirectory* executors = nullptr;
  Journal* journal = nullptr;
  std::string journal_trouble;  // on the loop: why appends wait; empty while they do not
  const ConnectorRegistry* connectors = nullptr;
  const FunctionRegistry* functions = nullptr;
  MetricsRegistry* metrics = nullptr;
  Clock* clock = nullptr;
  FileSystem* files = FileSystem::Real();  // where snapshots are
  std::shared_ptr<PinnedFiles> pinned = std::make_shared<PinnedFiles>();
  std::string driver_address;
  std::string stream_secret = NewStreamSecret();  // what keys of streams of rows are derived from
  int64_t results_buffer_bytes = 0;
  bool hold_for_followers = false;
  std::shared_ptr<EndedResults> ended_results = std::make_shared<EndedResults>();
};

class Job : public std::enable_shared_from_this<Job> {
 public:
  // A job that does not run yet. `settings`: those of the history's plan.
  static std::shared_ptr<Job> Create(const JobContext* context, JobHistory history,
                                     const JobSettings& settings);

  // Begins to work. `enumerators`: one per source of the plan, such as those that resolved the
  // start offsets; empty: they are made here. A source that cannot be opened fails the job.
  // `settle`: only work up to where the plan may change (JobState).
  void Start(std::vector<std::unique_ptr<SourceEnumerator>> enumerators, bool settle = false);

  // An event from outside; ignored unless running.
  void Handle(const JobEvent& event);
  void OnExecutorMessage(const ExecutorId& from, proto::ExecutorMessage message);
  void OnMemberReconnected(const ExecutorId& id);

  // Whether the job may never reach a batch boundary: batches are under way, and nothing has been
  // heard of them for longer than such a batch takes, since `asked_us` at the earliest.
  bool Stuck(int64_t asked_us) const;
  // Asks the sources' threads to end, without waiting; the job hears no more of its sources.
  void StopWatching();

  // Whether it has been started and is not over.
  bool running() const { return state_ != nullptr && !state_->over(); }
  // Calls back when the job is over; at once if it is not running.
  void WhenOver(std::function<void()> callback);

  // Calls back when a snapshot has the state after the batch that is now the last one planned, or
  // after a later one; calls back with an error when that becomes impossible.
  void WhenSecured(std::function<void(absl::Status)> callback);

  const JobHistory& history() const;
  const std::string& id() const { return history().job_id(); }
  const std::string& name() const { return history().name(); }
  const JobSettings& settings() const { return settings_; }
  proto::JobPhase phase() const;
  // Why it waits or failed; empty otherwise.
  std::string message() const;
  const std::shared_ptr<ResultBuffer>& results() const { return results_; }

  proto::JobSummary Summary() const;
  proto::JobDetail Detail() const;
  // Open partitions, and the newest of those that are retired.
  proto::LagResponse Lag() const;
  // Adds this job's partitions and keyed shards to each executor's.
  void AddLoad(std::map<ExecutorId, std::pair<uint32_t, uint32_t>>* load) const;
  // The executors that this job excludes for a while.
  std::vector<JobState::LeftOut> LeftOut() const;

  // Whether an executor that works for this epoch of the job does so rightly. Otherwise it is to be
  // told to stop: the epoch was ended while that executor could not be reached.
  bool Follows(Epoch epoch) const {
    return running() &&
           (epoch > state_->epoch() || (epoch == state_->epoch() && state_->InEpoch()));
  }

  // Marks the job as quarantined: its journal records do not add up, and `why` says how. REQUIRES:
  // never started.
  void Quarantine(absl::Status why);

  // The record that cancels a job that is not running: it will not be resumed.
  proto::JournalRecord Cancellation() const;
  // To be called once the cancellation is durable. False: nothing but the job's name is known, so
  // the registry forgets it. REQUIRES: not running.
  bool MarkCancelled();

 private:
  Job(const JobContext* context, JobHistory history, const JobSettings& settings);

  absl::Status OpenSources(std::vector<std::unique_ptr<SourceEnumerator>> enumerators);
  void WatchSource(uint32_t source, const SourceTraits& traits,
                   std::unique_ptr<SourceEnumerator> enumerator);
  SourceWatcherOptions WatcherOptions(uint32_t source);
  void PostToSelf(std::function<void(Job&)> work);
  void ScheduleWakeup();
  void ChooseEndsIntervals();
  void Do(AppendRecord& action);
  void AddStreamKeys(const ExecutorId& to, proto::StartEpoch* start) const;
  void Do(SendToExecutor& action);
  void Do(EpochBegan& action);
  void Do(BatchDone& action);
  void Do(SnapshotDone& action);
  void Do(SnapshotFailed& action);
  void Do(ClockDistrusted& action);
  void Do(MarkStore& action);
  void Do(CheckStoreAnswer& action);
  void Do(CheckSnapshotFiles& action);
  void Do(PartitionsRetired& action);
  void Do(JobOver& action);
  // Returns a function for other threads, which handles an event on the loop if the job still
  // exists.
  std::function<void(JobEvent)> HandleLater();
  void KeepRows(const ExecutorId& from, proto::ResultRows rows);
  void PublishOffsets(const BatchDone& done);
  void ShowResults(const BatchDone& done);
  void NoteStatistics(const BatchDone& done);
  void Close();
  void LetGo();
  void TellSecured(const absl::Status& status);
  double RecordsPerSecond() const;
  Moment Now() const;

  // The rows that one executor has sent of one batch that is not committed yet.
  struct PendingRows {
    bool complete = false;  // the executor has sent BatchPrepared
    std::vector<std::pair<uint32_t, std::string>> pieces;
  };

  // What people ask about a job that is over.
  struct Outcome {
    proto::JobPhase phase = proto::PHASE_STOPPED;
    std::string message;
    Epoch epoch;
    int64_t restarts = 0;
    int64_t lag_records = 0;
    std::vector<std::pair<int64_t, int64_t>> ends;  // (stable, high watermark) by ordinal
  };

  // The part of one sink's results that is the same in every batch.
  struct ResultTable {
    proto::BatchResults::Table header;
    std::vector<uint32_t> keys;
    BatchShape shape;
  };

  const JobContext* const context_;
  const JobSettings settings_;
  std::optional<JobHistory> idle_history_;  // until started, and once over
  std::optional<Outcome> outcome_;          // of its run in this driver, once over
  absl::Status quarantine_;                 // why it is in quarantine; OK if it is not
  std::unique_ptr<JobState> state_;         // null unless running
  std::shared_ptr<const std::vector<ResultTable>> result_tables_;  // by sink
  std::shared_ptr<ResultBuffer> results_;
  std::unique_ptr<JobMetrics> metrics_;
  std::vector<std::unique_ptr<SourceWatcher>> watchers_;  // by source
  std::map<uint32_t, absl::Status> source_troubles_;
  std::unique_ptr<JobStore> store_;  // null when the job has no snapshots
  std::vector<std::function<void()>> when_over_;
  std::vector<std::function<void(absl::Status)>> when_secured_;
  int64_t wakeup_us_ = JobState::kNever;  // when the timer that is set is due
  EventLoop::TimerId timer_;

  std::map<BatchId, std::map<ExecutorId, PendingRows>> pending_rows_;
  int64_t pending_bytes_ = 0;

  // Statistics since the start.
  int64_t records_ = 0;
  int64_t skipped_ = 0;
  int64_t lost_ = 0;
  int64_t state_rows_ = 0;
  int64_t state_bytes_ = 0;
  int64_t last_tick_us_ = 0;
  std::string first_skipped_;
  std::deque<proto::BatchSummary> recent_;  // newest first
  int64_t last_report_us_ = 0;              // when an executor last reported progress of a batch
  std::deque<std::pair<int64_t, int64_t>> done_records_;  // (when, records) of the last seconds
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_JOBS_JOB_H_
