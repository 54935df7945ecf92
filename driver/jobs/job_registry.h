// All jobs of a driver: takes submissions, finds jobs by name, passes on what happens to executors,
// and answers for the Jobs service. The public calls are for the service's threads and block until
// they have an answer; everything is decided on the driver's event loop.
#ifndef MILLRACE_DRIVER_JOBS_JOB_REGISTRY_H_
#define MILLRACE_DRIVER_JOBS_JOB_REGISTRY_H_

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/ids.h"
#include "common/expr/function_registry.h"
#include "driver/jobs/completion.h"
#include "driver/jobs/job.h"
#include "driver/jobs/journaled_jobs.h"
#include "driver/submission/submission.h"
#include "proto/jobs.pb.h"

namespace millrace::driver {

// The error that callers get while the driver goes down.
inline absl::Status DriverGoingDown() {
  return absl::UnavailableError("the driver is going down; try again when it is back");
}

// Thread-safe unless said otherwise.
class JobRegistry {
 public:
  struct Options {
    const FunctionRegistry* functions = nullptr;
    bool resume_jobs = true;
    std::string directory;  // of the journal; empty = nothing is kept
    // How long a caller waits for the journal to make its request durable.
    absl::Duration journal_timeout = absl::Seconds(30);
  };

  // `context` outlives the registry.
  JobRegistry(const JobContext* context, Options options);

  // Takes up the jobs that the journal had when it was opened. Comes before all other calls:
  // nothing has been appended since.
  void Start(const JournaledJobs& journaled);

  // ---- Calls of clients; UNAVAILABLE while the driver goes down ----
  absl::StatusOr<proto::SubmitResponse> Submit(const proto::SubmitRequest& request);
  absl::StatusOr<proto::ExplainResponse> Explain(const proto::ExplainRequest& request);
  absl::StatusOr<proto::ListResponse> List();
  absl::StatusOr<proto::JobDetail> Show(const std::string& name);
  absl::StatusOr<proto::StopResponse> Stop(const proto::StopRequest& request);
  absl::StatusOr<proto::SavepointResponse> Savepoint(const proto::SavepointRequest& request);
  absl::StatusOr<proto::LagResponse> Lag(const std::string& name);
  absl::StatusOr<proto::ExecutorsResponse> Executors();
  absl::StatusOr<std::shared_ptr<ResultBuffer>> Results(const std::string& name);

  // Brings every job to a batch boundary and accepts no new jobs. DEADLINE_EXCEEDED names the jobs
  // that did not get there by `deadline` (SteadyNow()), or of which nothing was heard for so long
  // that they may never get there.
  absl::Status Drain(absl::Time deadline);

  // Ends the wait of every caller with DriverGoingDown(), and asks the sources' threads to end.
  // Calls that come later do not wait.
  void GoDown();

  // ---- On the event loop only ----
  void OnMembersChanged();
  void OnMemberReconnected(const ExecutorId& id);
  void OnExecutorMessage(const ExecutorId& from, proto::ExecutorMessage message);

 private:
  using JobPtr = std::shared_ptr<Job>;

  // Reserves a job name until it is destroyed. The callback of the journal holds it, so that the
  // name stays reserved until the journal has decided about the submission, even if the client that
  // submitted no longer waits.
  class NameHold {
   public:
    NameHold(JobRegistry* registry, std::string name);
    ~NameHold();
    NameHold(const NameHold&) = delete;
    NameHold& operator=(const NameHold&) = delete;

   private:
    const JobContext* const context_;
    JobRegistry* const registry_;
    const std::string name_;
  };

  // What a submission will do, decided on the loop before its I/O.
  struct Reservation {
    std::string name;
    std::shared_ptr<NameHold> hold;
    std::optional<JobHistory> resumes;  // the job that goes on
    PlanChange change = PlanChange::kNone;
    uint32_t total_slots = 0;
  };

  // Longer than a batch and a snapshot take.
  static constexpr absl::Duration kStopTimeout = absl::Seconds(100);

  // Runs `work` on the loop and waits for its StatusOr<T>.
  template <typename T, typename Work>
  absl::StatusOr<T> OnLoop(Work work) {
    std::optional<absl::StatusOr<T>> result =
        context_->loop->Call([&]() -> absl::StatusOr<T> { return work(); });
    return result.has_value() ? *std::move(result) : absl::StatusOr<T>(DriverGoingDown());
  }

  // On the loop.
  absl::StatusOr<Reservation> Reserve(const PlannedSubmission& submission);
  absl::Status CheckName(const PlannedSubmission& submission, Reservation* reservation) const;
  std::string MakeUpName(const PlannedSubmission& submission) const;
  JobPtr Add(JobHistory history, const JobSettings& settings,
             std::vector<std::unique_ptr<SourceEnumerator>> enumerators, bool settle = false);
  JobPtr Find(const std::string& name) const;
  absl::StatusOr<JobPtr> FindOrExplain(const std::string& name) const;
  absl::Status CheckNotHeld(const std::string& name) const;
  void TakeUp(const JournaledJob& journaled);
  void QuarantineNamesakes();
  void AppendCancellation(const JobPtr& job, std::shared_ptr<Completion> cancelled);
  void ForgetOldJobs();
  proto::ExecutorsResponse ExecutorsOnLoop() const;

  // Whether all running jobs are stuck, or wait for a journal that cannot be written.
  bool NothingMoves(int64_t asked_us) const;

  // On the caller's thread.
  absl::Status CancelIdle(const std::string& name);
  // Waits for the result; UNAVAILABLE when the driver goes down first; nothing if it takes longer
  // than `timeout`.
  std::optional<absl::Status> Await(const std::shared_ptr<Completion>& completion,
                                    absl::Duration timeout);
  absl::StatusOr<proto::SubmitResponse> SubmitReserved(const proto::SubmitRequest& request,
                                                       PlannedSubmission submission,
                                                       Reservation reservation);
  // Settles the job (see JobState) and returns its history, whose plan may then change.
  absl::StatusOr<JobHistory> Settle(JobHistory history, const proto::JobPlan& next);
  absl::Status TakeOver(const proto::SubmitRequest& request, const PlannedSubmission& submission,
                        const JobHistory& known, PlanChange change,
                        proto::JobSubmitted* submitted) const;
  absl::StatusOr<proto::Savepoint> BeginFromSavepoint(const proto::SubmitRequest& request,
                                                      const proto::JobPlan& plan,
                                                      proto::JobSubmitted* submitted) const;
  absl::Status JournalAndAdd(std::vector<proto::JournalRecord> records, Reservation reservation,
                             const JobSettings& settings,
                             std::vector<std::unique_ptr<SourceEnumerator>> enumerators);
  void AddNotices(const PlannedSubmission& submission, proto::SubmitResponse* response) const;

  const JobContext* const context_;
  const Options options_;

  // On the loop.
  std::map<std::string, JobPtr> jobs_;  // by id
  std::set<std::string> reserved_names_;
  bool draining_ = false;

  absl::Mutex waits_mutex_;
  bool going_down_ ABSL_GUARDED_BY(waits_mutex_) = false;
  std::vector<std::weak_ptr<Completion>> waits_ ABSL_GUARDED_BY(waits_mutex_);
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_JOBS_JOB_REGISTRY_H_
