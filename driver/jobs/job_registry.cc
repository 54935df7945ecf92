#include "driver/jobs/job_registry.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/base/uuid.h"
#include "driver/sql/planner.h"

namespace millrace {
namespace {

// Of one call to a broker or disk at submission; the client hears within ten seconds that nobody
// answers.
constexpr absl::Duration kResolveTimeout = absl::Seconds(9);
constexpr absl::Duration kJournalTimeout = absl::Seconds(30);
constexpr absl::Duration kStopTimeout = absl::Seconds(100);
// Jobs that ended and will not be resumed are listed up to this many.
constexpr size_t kMaxEndedJobs = 200;

absl::Status GoingDown() {
  return absl::UnavailableError("the driver is going down; try again when it is back");
}

// Something that happens once, and threads that wait for it.
class Occasion {
 public:
  void Happen(absl::Status status) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      status_ = std::move(status);
    }
    happened_.notify_all();
  }
  // Nothing if it has not happened by `deadline`.
  std::optional<absl::Status> WaitUntil(absl::Time deadline) {
    std::unique_lock<std::mutex> lock(mutex_);
    happened_.wait_until(lock, absl::ToChronoTime(deadline),
                         [this] { return status_.has_value(); });
    return status_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable happened_;
  std::optional<absl::Status> status_;
};

bool CanGoOn(const Job& job) { return !job.running() && job.phase() != proto::PHASE_CANCELLED; }

}  // namespace

JobRegistry::JobRegistry(const JobContext* context, Options options)
    : context_(context), options_(std::move(options)) {}

template <typename T, typename Work>
absl::StatusOr<T> JobRegistry::OnLoop(Work work) {
  std::optional<absl::StatusOr<T>> result =
      context_->loop->Call([&]() -> absl::StatusOr<T> { return work(); });
  return result.has_value() ? *std::move(result) : absl::StatusOr<T>(GoingDown());
}

absl::Status JobRegistry::Replay(const proto::JournalRecord& record) {
  const std::string& id = JobIdOf(record);
  const auto found = replayed_.find(id);
  if (found != replayed_.end()) {
    return found->second.Apply(record);
  }
  if (!record.has_job_submitted()) {
    return absl::DataLossError(
        absl::StrCat("the journal speaks of job ", id, " before its submission"));
  }
  if (record.job_submitted().plan().format_version() > kPlanFormatVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("job '", record.job_submitted().name(), "' was planned by Millrace ",
                     record.job_submitted().plan().engine_version(), " in plan format ",
                     record.job_submitted().plan().format_version(),
                     "; this one reads formats up to ", kPlanFormatVersion));
  }
  replayed_.emplace(id, JobHistory(record.job_submitted()));
  return absl::OkStatus();
}

void JobRegistry::Start() {
  context_->loop->Call([this] {
    for (auto& [id, history] : std::exchange(replayed_, {})) {
      const proto::JobPlan& plan = history.plan();
      const absl::StatusOr<JobSettings> settings =
          JobSettings::FromMap({plan.settings().begin(), plan.settings().end()});
      if (!settings.ok()) {
        spdlog::error("job {} cannot be taken up: {}", history.name(),
                      ToStd(settings.status().message()));
        continue;
      }
      const bool interrupted = !history.ended().has_value();
      const std::string name = history.name();
      const JobPtr job = Job::Create(context_, std::move(history), *settings);
      jobs_[id] = job;
      if (interrupted && options_.resume_jobs) {
        spdlog::info("job {} goes on after batch {}", name,
                     job->history().last_committed().value());
        job->Start({});
      }
    }
    ForgetOldJobs();
    return true;
  });
}

absl::StatusOr<proto::SubmitResponse> JobRegistry::Submit(const proto::SubmitRequest& request) {
  ASSIGN_OR_RETURN(PlannedSubmission submission,
                   PlanSubmission(request, *context_->connectors, *options_.functions));
  ASSIGN_OR_RETURN(Reservation reservation,
                   OnLoop<Reservation>([&] { return Reserve(submission); }));
  const std::string name = reservation.name;
  absl::StatusOr<proto::SubmitResponse> response =
      SubmitReserved(request, std::move(submission), std::move(reservation));
  context_->loop->Post([this, name] { reserved_names_.erase(name); });
  return response;
}

absl::StatusOr<JobRegistry::Reservation> JobRegistry::Reserve(const PlannedSubmission& submission) {
  if (draining_) {
    return GoingDown();
  }
  Reservation reservation;
  reservation.name = submission.name.empty() ? MakeUpName(submission) : submission.name;
  ASSIGN_OR_RETURN(reservation.resumes, CheckName(reservation.name, submission));
  reservation.total_slots = context_->executors->TotalSlots();
  reserved_names_.insert(reservation.name);
  return reservation;
}

// The history of the job that goes on under this name, if there is one.
absl::StatusOr<std::optional<JobHistory>> JobRegistry::CheckName(
    const std::string& name, const PlannedSubmission& submission) const {
  const JobPtr job = Find(name);
  if (reserved_names_.contains(name) || (job != nullptr && job->running())) {
    return absl::AlreadyExistsError(absl::StrCat("job '", name,
                                                 "' is running; stop it first (millrace jobs stop ",
                                                 name, ") or choose another name with --name"));
  }
  if (job == nullptr || !CanGoOn(*job)) {
    return std::optional<JobHistory>();
  }
  RETURN_IF_ERROR(CheckResumable(job->history(), submission.plan));
  return std::make_optional(job->history());
}

// The first sink's table, with a number if that is taken. Local mode, where jobs wait to be
// submitted again, finds the job that the same script left behind.
std::string JobRegistry::MakeUpName(const PlannedSubmission& submission) const {
  std::string name = submission.name_stem;
  for (int number = 2;; ++number) {
    const JobPtr job = Find(name);
    if (job == nullptr && !reserved_names_.contains(name)) {
      return name;
    }
    const bool resumes = job != nullptr && !options_.resume_jobs && !options_.directory.empty() &&
                         CanGoOn(*job) && CheckResumable(job->history(), submission.plan).ok();
    if (resumes) {
      return name;
    }
    name = absl::StrCat(submission.name_stem, "-", number);
  }
}

absl::StatusOr<proto::SubmitResponse> JobRegistry::SubmitReserved(
    const proto::SubmitRequest& request, PlannedSubmission submission, Reservation reservation) {
  const JobHistory* const known = reservation.resumes.has_value() ? &*reservation.resumes : nullptr;
  uint32_t parallelism = submission.plan.parallelism();
  if (known != nullptr) {
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
  *submitted.mutable_plan() = submission.plan;

  RETURN_IF_ERROR(ProbeSinks(submission.plan, *context_->connectors, kResolveTimeout));
  ASSIGN_OR_RETURN(ResolvedSources sources,
                   ResolveSources(submission.plan, submitted.name(), submitted.incarnation(),
                                  request.once(), known, *context_->connectors, kResolveTimeout));
  submitted.mutable_partitions()->Add(sources.partitions.begin(), sources.partitions.end());
  submitted.mutable_stop_at()->Add(sources.stop_at.begin(), sources.stop_at.end());

  proto::SubmitResponse response;
  response.set_job_id(submitted.job_id());
  response.set_name(submitted.name());
  response.set_incarnation(submitted.incarnation());
  response.set_resumed(known != nullptr);
  AddNotices(submission, &response);
  RETURN_IF_ERROR(JournalAndAdd(submitted, std::move(reservation.resumes), submission.settings,
                                std::move(sources.enumerators)));
  return response;
}

// What the caller hears of is durable.
absl::Status JobRegistry::JournalAndAdd(
    const proto::JobSubmitted& submitted, std::optional<JobHistory> resumes,
    const JobSettings& settings, std::vector<std::unique_ptr<SourceEnumerator>> enumerators) {
  RETURN_IF_ERROR(context_->journal->Reopen());
  struct Pending {
    proto::JournalRecord record;
    std::optional<JobHistory> history;
    std::vector<std::unique_ptr<SourceEnumerator>> enumerators;
    Occasion added;
  };
  auto pending = std::make_shared<Pending>();
  *pending->record.mutable_job_submitted() = submitted;
  pending->history = std::move(resumes);
  pending->enumerators = std::move(enumerators);
  context_->journal->Append(
      pending->record, [this, pending, settings](const absl::Status& written) {
        const bool posted = context_->loop->Post([this, pending, settings, written] {
          absl::Status status = written;
          if (status.ok() && pending->history.has_value()) {
            status = pending->history->Apply(pending->record);
          } else if (status.ok()) {
            pending->history.emplace(pending->record.job_submitted());
          }
          if (status.ok()) {
            Add(*std::move(pending->history), settings, std::move(pending->enumerators));
          }
          pending->added.Happen(std::move(status));
        });
        if (!posted) {
          pending->added.Happen(GoingDown());
        }
      });
  const std::optional<absl::Status> added = pending->added.WaitUntil(absl::Now() + kJournalTimeout);
  if (!added.has_value()) {
    return absl::DeadlineExceededError(
        absl::StrCat("the journal did not take the submission within ",
                     absl::FormatDuration(kJournalTimeout), "; look at the driver's disk"));
  }
  return added->ok() ? absl::OkStatus() : Annotate(*added, "the submission could not be journaled");
}

void JobRegistry::Add(JobHistory history, const JobSettings& settings,
                      std::vector<std::unique_ptr<SourceEnumerator>> enumerators) {
  // Metrics go by name: an ended job of the same one lets go of its own first.
  for (const auto& [id, other] : jobs_) {
    if (other->name() == history.name()) {
      other->DropMetrics();
    }
  }
  const JobPtr job = Job::Create(context_, std::move(history), settings);
  jobs_[job->id()] = job;
  job->Start(std::move(enumerators));
  ForgetOldJobs();
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
    response->add_notices(absl::StrCat("checkpoint_location '", location,
                                       "' is not used: this driver keeps its journal in '",
                                       options_.directory, "'"));
  }
}

absl::StatusOr<proto::ExplainResponse> JobRegistry::Explain(const proto::ExplainRequest& request) {
  PlanOptions options;
  options.settings.insert(request.settings().begin(), request.settings().end());
  options.connectors = context_->connectors;
  options.functions = options_.functions;
  ASSIGN_OR_RETURN(PlannedScript script, PlanScript(request.sql(), options));
  proto::ExplainResponse response;
  response.set_text(script.explain_only ? script.explain_text : ExplainPlan(script.plan));
  *response.mutable_plan() = std::move(script.plan);
  return response;
}

absl::StatusOr<proto::ListResponse> JobRegistry::List() {
  return OnLoop<proto::ListResponse>([this] {
    proto::ListResponse response;
    for (const auto& [id, job] : jobs_) {
      *response.add_jobs() = job->Summary();
    }
    std::sort(response.mutable_jobs()->begin(), response.mutable_jobs()->end(),
              [](const proto::JobSummary& a, const proto::JobSummary& b) {
                return a.submitted_at_us() < b.submitted_at_us();
              });
    return response;
  });
}

absl::StatusOr<proto::JobDetail> JobRegistry::Show(const std::string& name) {
  auto detail = OnLoop<proto::JobDetail>([&]() -> absl::StatusOr<proto::JobDetail> {
    ASSIGN_OR_RETURN(const JobPtr job, FindOrExplain(name));
    proto::JobDetail result = job->Detail();
    result.set_plan_text(ExplainPlan(job->history().plan()));
    return result;
  });
  return detail;
}

absl::StatusOr<proto::LagResponse> JobRegistry::Lag(const std::string& name) {
  return OnLoop<proto::LagResponse>([&]() -> absl::StatusOr<proto::LagResponse> {
    ASSIGN_OR_RETURN(const JobPtr job, FindOrExplain(name));
    return job->Lag();
  });
}

absl::StatusOr<std::shared_ptr<ResultBuffer>> JobRegistry::Results(const std::string& name) {
  return OnLoop<std::shared_ptr<ResultBuffer>>(
      [&]() -> absl::StatusOr<std::shared_ptr<ResultBuffer>> {
        ASSIGN_OR_RETURN(const JobPtr job, FindOrExplain(name));
        return job->results();
      });
}

absl::StatusOr<proto::StopResponse> JobRegistry::Stop(const proto::StopRequest& request) {
  auto over = std::make_shared<Occasion>();
  ASSIGN_OR_RETURN(const JobPtr job, OnLoop<JobPtr>([&]() -> absl::StatusOr<JobPtr> {
                     ASSIGN_OR_RETURN(JobPtr found, FindOrExplain(request.name()));
                     if (found->running()) {
                       found->WhenOver([over] { over->Happen(absl::OkStatus()); });
                       found->Handle(StopRequested{request.cancel() ? StopRequested::How::kCancel
                                                                    : StopRequested::How::kDrain});
                       return found;
                     }
                     RETURN_IF_ERROR(request.cancel() ? CancelIdle(found) : absl::OkStatus());
                     over->Happen(absl::OkStatus());
                     return found;
                   }));
  if (!over->WaitUntil(absl::Now() + kStopTimeout).has_value()) {
    return absl::DeadlineExceededError(absl::StrCat(
        "job '", request.name(), "' still drains after ", absl::FormatDuration(kStopTimeout),
        "; look at millrace jobs show, or cancel it"));
  }
  return OnLoop<proto::StopResponse>([&] {
    proto::StopResponse response;
    response.set_phase(job->phase());
    return response;
  });
}

// A job that is over can still be taken the way back.
absl::Status JobRegistry::CancelIdle(const JobPtr& job) {
  if (job->phase() == proto::PHASE_CANCELLED) {
    return absl::OkStatus();
  }
  job->MarkCancelled();
  proto::JournalRecord record;
  *record.mutable_job_ended() = *job->history().ended();
  context_->journal->Append(std::move(record), [name = job->name()](const absl::Status& status) {
    if (!status.ok()) {
      spdlog::error("the cancellation of job {} was not journaled: {}", name,
                    ToStd(status.message()));
    }
  });
  return absl::OkStatus();
}

absl::Status JobRegistry::Drain(absl::Time deadline) {
  struct Waiting {
    Occasion all;
    size_t left = 0;  // on the loop
  };
  auto waiting = std::make_shared<Waiting>();
  const std::optional<bool> asked = context_->loop->Call([&] {
    draining_ = true;
    waiting->left = 1;
    const auto one_less = [waiting] {
      if (--waiting->left == 0) {
        waiting->all.Happen(absl::OkStatus());
      }
    };
    for (const auto& [id, job] : jobs_) {
      if (job->running()) {
        ++waiting->left;
        job->WhenOver(one_less);
      }
    }
    // A copy: a job that ends at once must not change what is walked over.
    const std::map<std::string, JobPtr> jobs = jobs_;
    for (const auto& [id, job] : jobs) {
      job->Handle(StopRequested{StopRequested::How::kInterrupt});
    }
    one_less();
    return true;
  });
  if (!asked.has_value() || waiting->all.WaitUntil(deadline).has_value()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> late, OnLoop<std::vector<std::string>>([&] {
                     std::vector<std::string> names;
                     for (const auto& [id, job] : jobs_) {
                       if (job->running()) {
                         names.push_back(job->name());
                       }
                     }
                     return names;
                   }));
  return absl::DeadlineExceededError(
      absl::StrCat("not at a batch boundary yet: ", absl::StrJoin(late, ", "),
                   "; what they are at will be run again"));
}

absl::StatusOr<proto::ExecutorsResponse> JobRegistry::Executors() {
  return OnLoop<proto::ExecutorsResponse>([this] { return ExecutorsOnLoop(); });
}

proto::ExecutorsResponse JobRegistry::ExecutorsOnLoop() const {
  std::map<ExecutorId, std::pair<uint32_t, uint32_t>> load;
  for (const auto& [id, job] : jobs_) {
    job->AddLoad(&load);
  }
  const int64_t now_us = context_->loop->NowUs();
  proto::ExecutorsResponse response;
  for (const auto& [id, member] : context_->executors->all()) {
    proto::ExecutorsResponse::Executor* out = response.add_executors();
    out->set_executor_id(id.value());
    out->set_name(member.registration.name());
    out->set_shuffle_address(member.registration.shuffle_address());
    out->set_slots(member.registration.slots());
    const int64_t heard_us =
        member.link != nullptr ? member.link->last_heard_us() : member.broken_since_us;
    out->set_heartbeat_age_ms(std::max<int64_t>(now_us - heard_us, 0) / 1000);
    out->set_resident_bytes(member.heartbeat.resident_bytes());
    out->set_cpu_seconds(member.heartbeat.cpu_seconds());
    out->set_engine_version(member.registration.engine_version());
    if (const auto found = load.find(id); found != load.end()) {
      out->set_partitions(found->second.first);
      out->set_shards(found->second.second);
    }
  }
  return response;
}

void JobRegistry::OnMembersChanged() {
  const MembersChanged event = context_->executors->Members();
  for (const auto& [id, job] : jobs_) {
    job->Handle(event);
  }
}

void JobRegistry::OnMemberReconnected(const ExecutorId& id) {
  for (const auto& [job_id, job] : jobs_) {
    job->OnMemberReconnected(id);
  }
}

void JobRegistry::OnExecutorMessage(const ExecutorId& from, proto::ExecutorMessage message) {
  const std::string* job_id = nullptr;
  if (message.has_epoch_ready()) {
    job_id = &message.epoch_ready().job_id();
  } else if (message.has_source_progress()) {
    job_id = &message.source_progress().job_id();
  } else if (message.has_result_rows()) {
    job_id = &message.result_rows().job_id();
  } else if (message.has_batch_prepared()) {
    job_id = &message.batch_prepared().job_id();
  } else if (message.has_batch_committed()) {
    job_id = &message.batch_committed().job_id();
  } else if (message.has_epoch_failed()) {
    job_id = &message.epoch_failed().job_id();
  } else {
    return;
  }
  if (const auto found = jobs_.find(*job_id); found != jobs_.end()) {
    found->second->OnExecutorMessage(from, std::move(message));
  }
}

// By name, a running one before those that ended, the latest before older ones; or by id.
JobRegistry::JobPtr JobRegistry::Find(const std::string& name) const {
  if (const auto found = jobs_.find(name); found != jobs_.end()) {
    return found->second;
  }
  JobPtr best;
  for (const auto& [id, job] : jobs_) {
    if (job->name() != name) {
      continue;
    }
    const auto rank = [](const JobPtr& j) {
      return std::make_pair(j->running(), j->history().submitted().submitted_at_us());
    };
    if (best == nullptr || rank(job) > rank(best)) {
      best = job;
    }
  }
  return best;
}

absl::StatusOr<JobRegistry::JobPtr> JobRegistry::FindOrExplain(const std::string& name) const {
  if (JobPtr job = Find(name); job != nullptr) {
    return job;
  }
  std::set<std::string> names;
  for (const auto& [id, job] : jobs_) {
    names.insert(job->name());
  }
  return absl::NotFoundError(
      absl::StrCat("there is no job '", name, "'; ",
                   names.empty() ? "this driver has none"
                                 : absl::StrCat("there are: ", absl::StrJoin(names, ", "))));
}

void JobRegistry::ForgetOldJobs() {
  std::vector<JobPtr> over;
  for (const auto& [id, job] : jobs_) {
    if (job->phase() == proto::PHASE_CANCELLED || job->phase() == proto::PHASE_FINISHED) {
      over.push_back(job);
    }
  }
  if (over.size() <= kMaxEndedJobs) {
    return;
  }
  std::sort(over.begin(), over.end(), [](const JobPtr& a, const JobPtr& b) {
    return a->history().submitted().submitted_at_us() < b->history().submitted().submitted_at_us();
  });
  over.resize(over.size() - kMaxEndedJobs);
  for (const JobPtr& job : over) {
    jobs_.erase(job->id());
  }
}

}  // namespace millrace
