// Submission: from a request to a job that is journaled and running.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/base/uuid.h"
#include "driver/coordinator/job_records.h"
#include "driver/jobs/completion.h"
#include "driver/jobs/job_registry.h"
#include "driver/jobs/journal_failpoints.h"
#include "driver/snapshots/savepoint.h"

namespace millrace::driver {
namespace {

// Timeout of each call to a broker or disk at submission: a client is told within ten seconds that
// nothing answers.
constexpr absl::Duration kResolveTimeout = absl::Seconds(9);

// Whether the plan goes on with the job of this history. Another script that happens to write to a
// table of the same name is another job.
bool GoesOnAsItWas(const JobHistory& history, const proto::JobPlan& plan) {
  const absl::StatusOr<PlanChange> change = ComparePlans(history, plan);
  return change.ok() && *change != PlanChange::kPlan;
}

bool CanGoOn(const Job& job) {
  return !job.running() && job.phase() != proto::PHASE_CANCELLED &&
         job.phase() != proto::PHASE_QUARANTINED;
}

}  // namespace

absl::StatusOr<proto::SubmitResponse> JobRegistry::Submit(const proto::SubmitRequest& request) {
  ASSIGN_OR_RETURN(PlannedSubmission submission,
                   PlanSubmission(request, *context_->connectors, *options_.functions));
  ASSIGN_OR_RETURN(Reservation reservation,
                   OnLoop<Reservation>([&] { return Reserve(submission); }));
  return SubmitReserved(request, std::move(submission), std::move(reservation));
}

absl::StatusOr<JobRegistry::Reservation> JobRegistry::Reserve(const PlannedSubmission& submission) {
  if (draining_) {
    return DriverGoingDown();
  }
  Reservation reservation;
  reservation.name = submission.name.empty() ? MakeUpName(submission) : submission.name;
  RETURN_IF_ERROR(CheckName(submission, &reservation));
  reservation.total_slots = context_->executors->TotalSlots();
  reserved_names_.insert(reservation.name);
  reservation.hold = std::make_shared<NameHold>(this, reservation.name);
  return reservation;
}

// Finds the job that goes on under the name, if there is one.
absl::Status JobRegistry::CheckName(const PlannedSubmission& submission,
                                    Reservation* reservation) const {
  const std::string& name = reservation->name;
  RETURN_IF_ERROR(CheckNotHeld(name));
  const JobPtr job = Find(name);
  if (job != nullptr && job->phase() == proto::PHASE_QUARANTINED) {
    return absl::FailedPreconditionError(absl::StrCat("job '", name, "' is ", job->message(),
                                                      "; or choose another name with --name"));
  }
  if (job != nullptr && job->running()) {
    return absl::AlreadyExistsError(absl::StrCat("job '", name,
                                                 "' is running; stop it first (millrace jobs stop ",
                                                 name, ") or choose another name with --name"));
  }
  if (job == nullptr || !CanGoOn(*job)) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(reservation->change, ComparePlans(job->history(), submission.plan));
  reservation->resumes = job->history();
  return absl::OkStatus();
}

// Makes up a job name: the first sink's table, with a number if that name is taken. In local mode,
// where jobs wait to be submitted again, this finds the job that the same script left behind.
std::string JobRegistry::MakeUpName(const PlannedSubmission& submission) const {
  std::string name = submission.name_stem;
  for (int number = 2;; ++number) {
    const JobPtr job = Find(name);
    if (job == nullptr && !reserved_names_.contains(name)) {
      return name;
    }
    const bool resumes = job != nullptr && !options_.resume_jobs && !options_.directory.empty() &&
                         CanGoOn(*job) && GoesOnAsItWas(job->history(), submission.plan);
    if (resumes) {
      return name;
    }
    name = absl::StrCat(submission.name_stem, "-", number);
  }
}

absl::StatusOr<proto::SubmitResponse> JobRegistry::SubmitReserved(
    const proto::SubmitRequest& request, PlannedSubmission submission, Reservation reservation) {
  if (reservation.resumes.has_value() &&
      NeedsSettling(*reservation.resumes, reservation.change, *context_->connectors)) {
    ASSIGN_OR_RETURN(reservation.resumes, Settle(*std::move(reservation.resumes), submission.plan));
  }
  const JobHistory* const known = reservation.resumes.has_value() ? &*reservation.resumes : nullptr;
  uint32_t parallelism = submission.plan.parallelism();
  if (known != nullptr && parallelism == 0) {
    parallelism = known->plan().parallelism();
  } else if (parallelism == 0) {
    parallelism = DefaultParallelism(reservation.total_slots, submission.plan.key_groups());
  }
  FixNameAndParallelism(reservation.name, parallelism, &submission);

  proto::JobSubmitted submitted;
  submitted.set_job_id(known != nullptr ? known->job_id() : NewUuid());
  submitted.set_incarnation(known != nullptr ? known->submitted().incarnation() : NewUuid());
  submitted.set_name(reservation.name);
  submitted.set_once(request.once());
  submitted.set_submitted_at_us(absl::ToUnixMicros(context_->clock->Now()));
  submitted.set_snapshot_location(SnapshotLocation(submission.settings, options_.directory));
  *submitted.mutable_plan() = submission.plan;
  if (known != nullptr) {
    RETURN_IF_ERROR(TakeOver(request, submission, *known, reservation.change, &submitted));
  }
  const bool begins_state = known != nullptr && submission.plan.running_state() &&
                            !known->plan().running_state() && known->last_committed() > BatchId(0);

  RETURN_IF_ERROR(ProbeSinks(submission.plan, *context_->connectors, kResolveTimeout));
  std::vector<proto::JournalRecord> records(1);
  if (begins_state) {
    // An empty snapshot after the last committed batch: the state begins empty, and no earlier
    // batch need be run again.
    proto::Snapshot empty;
    empty.set_batch(known->last_committed().value());
    records.push_back(BuildSnapshotCompleted({submitted.job_id(), Epoch()}, empty));
  }
  std::optional<proto::Savepoint> savepoint;
  if (!request.from_savepoint().empty()) {
    ASSIGN_OR_RETURN(savepoint, BeginFromSavepoint(request, submission.plan, &submitted));
    if (savepoint->snapshot().layers_size() > 0 ||
        (submission.plan.running_state() && submitted.base_batch() > 0)) {
      records.push_back(
          BuildSnapshotCompleted({submitted.job_id(), Epoch()}, savepoint->snapshot()));
    }
  }
  ASSIGN_OR_RETURN(
      ResolvedSources sources,
      ResolveSources(submission.plan, submitted.name(), submitted.incarnation(), request.once(),
                     known, savepoint.has_value() ? &*savepoint : nullptr, *context_->connectors,
                     kResolveTimeout));
  submitted.mutable_partitions()->Add(sources.partitions.begin(), sources.partitions.end());
  submitted.mutable_stop_at()->Add(sources.stop_at.begin(), sources.stop_at.end());
  submitted.mutable_retired_partitions()->Add(sources.retired.begin(), sources.retired.end());
  submitted.mutable_reopened_partitions()->Add(sources.reopened.begin(), sources.reopened.end());
  *records.front().mutable_job_submitted() = submitted;

  proto::SubmitResponse response;
  response.set_job_id(submitted.job_id());
  response.set_name(submitted.name());
  response.set_incarnation(submitted.incarnation());
  response.set_resumed(known != nullptr);
  AddNotices(submission, &response);
  for (std::string& notice : sources.notices) {
    spdlog::info("job {}: {}", submitted.name(), notice);
    response.add_notices(std::move(notice));
  }
  RETURN_IF_ERROR(JournalAndAdd(std::move(records), std::move(reservation), submission.settings,
                                std::move(sources.enumerators)));
  return response;
}

// Resumes a job under a new plan, with the state that fits it.
absl::Status JobRegistry::TakeOver(const proto::SubmitRequest& request,
                                   const PlannedSubmission& submission, const JobHistory& known,
                                   PlanChange change, proto::JobSubmitted* submitted) const {
  if (!request.from_savepoint().empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "job '", known.name(), "' goes on where it stopped, not from a savepoint; cancel it first ",
        "(millrace jobs cancel ", known.name(), ") or choose another name with --name"));
  }
  if (change == PlanChange::kPlan && known.plan().running_state() &&
      known.last_snapshot() != known.last_committed()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "job '", known.name(), "' cannot change: its state after batch ",
        known.last_committed().value(), " is in no snapshot (the newest is that of batch ",
        known.last_snapshot().value(), "); look at the driver's log why, and whether '",
        known.submitted().snapshot_location(), "' can be written"));
  }
  if (!known.snapshots().empty() && !request.drop_state()) {
    RETURN_IF_ERROR(CheckStateFits(known.snapshots().back(), submission.plan, *options_.functions));
  }
  for (proto::SinkMarker& shard : RetiredShards(known, submission.plan)) {
    *submitted->add_retired_shards() = std::move(shard);
  }
  return absl::OkStatus();
}

// Reads the savepoint and copies its files into the new job's directory.
absl::StatusOr<proto::Savepoint> JobRegistry::BeginFromSavepoint(
    const proto::SubmitRequest& request, const proto::JobPlan& plan,
    proto::JobSubmitted* submitted) const {
  ASSIGN_OR_RETURN(proto::Savepoint savepoint, ReadSavepoint(request.from_savepoint()));
  const proto::Snapshot& snapshot = savepoint.snapshot();
  if (!request.drop_state()) {
    RETURN_IF_ERROR(CheckStateFits(snapshot, plan, *options_.functions));
  }
  if (snapshot.layers_size() > 0 && snapshot.key_groups() != plan.key_groups()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the savepoint has its state in ", snapshot.key_groups(),
                     " key groups, the job would have ", plan.key_groups(),
                     "; set key_groups = ", snapshot.key_groups()));
  }
  if (snapshot.layers_size() > 0 && submitted->snapshot_location().empty()) {
    return absl::FailedPreconditionError(
        "state is only taken over by a driver that keeps a journal: start it with --directory, or "
        "set checkpoint_location");
  }
  ASSIGN_OR_RETURN(*savepoint.mutable_snapshot(),
                   AdoptSnapshot(savepoint, request.from_savepoint(),
                                 submitted->snapshot_location(), submitted->incarnation()));
  submitted->set_base_batch(savepoint.snapshot().batch());
  submitted->set_base_batch_time_us(savepoint.batch_time_us());
  return savepoint;
}

absl::StatusOr<JobHistory> JobRegistry::Settle(JobHistory history, const proto::JobPlan& next) {
  history.AdoptFailureOptions(next);
  const std::string name = history.name();
  RETURN_IF_ERROR(context_->journal->Reopen());
  ASSIGN_OR_RETURN(
      const JobSettings settings,
      JobSettings::FromMap({history.plan().settings().begin(), history.plan().settings().end()}));
  auto over = std::make_shared<Completion>();
  ASSIGN_OR_RETURN(const JobPtr job, OnLoop<JobPtr>([&] {
                     JobPtr settling = Add(std::move(history), settings, {}, /*settle=*/true);
                     settling->WhenOver([over] { over->Complete(absl::OkStatus()); });
                     return settling;
                   }));
  const std::optional<absl::Status> settled = Await(over, kStopTimeout);
  if (settled.has_value()) {
    RETURN_IF_ERROR(*settled);
  }
  const bool in_time = settled.has_value();
  return OnLoop<JobHistory>([&]() -> absl::StatusOr<JobHistory> {
    if (!in_time) {
      const std::string why = job->message();
      job->Handle(StopRequested{StopRequested::How::kInterrupt});
      return absl::DeadlineExceededError(
          absl::StrCat("job '", name,
                       "' has to finish what it was at before it can change, and did "
                       "not within ",
                       absl::FormatDuration(kStopTimeout), why.empty() ? "" : ": ", why));
    }
    if (draining_) {
      return DriverGoingDown();
    }
    if (job->phase() != proto::PHASE_STOPPED) {
      return absl::FailedPreconditionError(
          absl::StrCat("job '", name,
                       "' has to finish what it was at before it can change, and "
                       "failed: ",
                       job->message()));
    }
    return job->history();
  });
}

// Journals the submission and adds the job, and answers once that is durable. The name stays
// reserved until the journal has decided, even when the caller has stopped waiting.
absl::Status JobRegistry::JournalAndAdd(
    std::vector<proto::JournalRecord> records, Reservation reservation, const JobSettings& settings,
    std::vector<std::unique_ptr<SourceEnumerator>> enumerators) {
  RETURN_IF_ERROR(context_->journal->Reopen());
  struct Pending {
    std::vector<proto::JournalRecord> records;
    Reservation reservation;
    std::vector<std::unique_ptr<SourceEnumerator>> enumerators;
    Completion added;
  };
  auto pending = std::make_shared<Pending>();
  pending->records = records;
  pending->reservation = std::move(reservation);
  pending->enumerators = std::move(enumerators);
  const auto add = [this, pending, settings](absl::Status status) {
    std::optional<JobHistory>& history = pending->reservation.resumes;
    for (const proto::JournalRecord& record : pending->records) {
      if (status.ok() && history.has_value()) {
        status = history->Apply(record);
      } else if (status.ok()) {
        history.emplace(record.job_submitted());
      }
    }
    if (status.ok()) {
      Add(*std::move(history), settings, std::move(pending->enumerators));
    }
    pending->reservation.hold.reset();
    pending->added.Complete(std::move(status));
  };
  for (const proto::JournalRecord& record : records) {
    HitBeforeAppend(record.record_case());
  }
  context_->journal->Append(std::move(records),
                            [loop = context_->loop, pending, add](const absl::Status& written) {
                              for (const proto::JournalRecord& record : pending->records) {
                                if (written.ok()) {
                                  HitDurable(record.record_case());
                                }
                              }
                              if (!loop->Post([add, written] { add(written); })) {
                                pending->added.Complete(DriverGoingDown());
                              }
                            });
  const std::optional<absl::Status> added =
      pending->added.WaitUntil(SteadyNow() + options_.journal_timeout);
  if (!added.has_value()) {
    return absl::DeadlineExceededError(absl::StrCat(
        "the journal has not taken the submission within ",
        absl::FormatDuration(options_.journal_timeout),
        ", and may still do so; look at millrace jobs list before you submit it again, and at the ",
        "driver's disk"));
  }
  return added->ok() ? absl::OkStatus() : Annotate(*added, "the submission could not be journaled");
}

void JobRegistry::AddNotices(const PlannedSubmission& submission,
                             proto::SubmitResponse* response) const {
  for (const std::string& notice : submission.notices) {
    response->add_notices(notice);
  }
  const std::string& location = submission.settings.checkpoint_location;
  if (options_.directory.empty()) {
    response->add_notices(
        "this driver keeps no journal: each run is a new incarnation of the job and starts where "
        "its "
        "sources' start says; to go on where it stopped, set checkpoint_location (millrace run) or "
        "--directory (millrace-driver)");
  } else if (!location.empty() && location != options_.directory) {
    response->add_notices(absl::StrCat("snapshots are kept in '", location,
                                       "', the journal in this driver's '", options_.directory,
                                       "'"));
  }
}

}  // namespace millrace::driver
