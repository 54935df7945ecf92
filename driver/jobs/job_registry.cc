#include "driver/jobs/job_registry.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/check.h"
#include "common/base/excerpt.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "driver/jobs/completion.h"
#include "driver/jobs/journal_failpoints.h"
#include "driver/snapshots/savepoint.h"
#include "sql/planner.h"

namespace millrace::driver {
namespace {

// At most this many jobs that ended and will not be resumed stay in the list.
constexpr size_t kMaxEndedJobs = 200;

// How often a drain checks whether any job still makes progress.
constexpr absl::Duration kDrainLook = absl::Milliseconds(200);

// Executors shorten their messages themselves. The driver journals and shows the messages, so it
// does not rely on that.
void CutMessages(proto::ExecutorMessage* message) {
  const auto cut = [](std::string* text) { *text = Excerpt(*text); };
  if (message->has_epoch_failed()) {
    cut(message->mutable_epoch_failed()->mutable_message());
  } else if (message->has_snapshot_written()) {
    cut(message->mutable_snapshot_written()->mutable_error());
  } else if (message->has_batch_prepared()) {
    cut(message->mutable_batch_prepared()->mutable_first_error());
    for (proto::SplitReport& report : *message->mutable_batch_prepared()->mutable_splits()) {
      cut(report.mutable_first_error());
    }
  }
}

// Which epoch a message of an executor is about.
struct Origin {
  std::string job_id;  // empty: none
  Epoch epoch;
  bool over = false;  // the message says that the epoch has ended
};

Origin OriginOf(const proto::ExecutorMessage& message) {
  const auto of = [](const auto& report, bool over = false) {
    return Origin{.job_id = report.job_id(), .epoch = Epoch(report.epoch()), .over = over};
  };
  if (message.has_epoch_ready()) {
    return of(message.epoch_ready());
  }
  if (message.has_source_progress()) {
    return of(message.source_progress());
  }
  if (message.has_result_rows()) {
    return of(message.result_rows());
  }
  if (message.has_batch_prepared()) {
    return of(message.batch_prepared());
  }
  if (message.has_batch_committed()) {
    return of(message.batch_committed());
  }
  if (message.has_snapshot_written()) {
    return of(message.snapshot_written());
  }
  if (message.has_epoch_failed()) {
    return of(message.epoch_failed(), /*over=*/true);
  }
  if (message.has_epoch_stopped()) {
    return of(message.epoch_stopped(), /*over=*/true);
  }
  return {};
}

}  // namespace

JobRegistry::JobRegistry(const JobContext* context, Options options)
    : context_(context), options_(std::move(options)) {}

JobRegistry::NameHold::NameHold(JobRegistry* registry, std::string name)
    : context_(registry->context_), registry_(registry), name_(std::move(name)) {}

// The registry lives as long as its loop runs.
JobRegistry::NameHold::~NameHold() {
  context_->loop->Post(
      [registry = registry_, name = name_] { registry->reserved_names_.erase(name); });
}

void JobRegistry::Start(const JournaledJobs& journaled) {
  context_->loop->Call([&] {
    for (const auto& [id, job] : journaled.jobs()) {
      TakeUp(job);
    }
    QuarantineNamesakes();
    // A copy: a job that ends at once must not change what is walked over.
    const std::map<std::string, JobPtr> jobs = jobs_;
    for (const auto& [id, job] : jobs) {
      const bool interrupted =
          job->phase() != proto::PHASE_QUARANTINED && !job->history().ended().has_value();
      if (interrupted && options_.resume_jobs) {
        spdlog::info("job {} goes on after batch {}", job->name(),
                     job->history().last_committed().value());
        job->Start({});
      }
    }
    ForgetOldJobs();
    return true;
  });
}

void JobRegistry::TakeUp(const JournaledJob& journaled) {
  const proto::JobPlan& plan = journaled.history.plan();
  const absl::StatusOr<JobSettings> settings =
      JobSettings::FromMap({plan.settings().begin(), plan.settings().end()});
  const JobPtr job =
      Job::Create(context_, journaled.history, settings.ok() ? *settings : JobSettings());
  jobs_[job->id()] = job;
  if (!journaled.quarantine.ok()) {
    job->Quarantine(journaled.quarantine);
  } else if (!settings.ok()) {
    job->Quarantine(settings.status());
  }
}

// Several jobs of one name may not have ended, if the journal was damaged. Only the last one
// submitted can have been acknowledged; the others are put into quarantine.
void JobRegistry::QuarantineNamesakes() {
  std::map<std::string, JobPtr> last;
  for (const auto& [id, job] : jobs_) {
    if (job->phase() == proto::PHASE_QUARANTINED || job->history().ended().has_value()) {
      continue;
    }
    JobPtr& best = last[job->name()];
    JobPtr other = job;
    if (best == nullptr || best->history().submitted().submitted_at_us() <
                               job->history().submitted().submitted_at_us()) {
      std::swap(best, other);
    }
    if (other != nullptr) {
      other->Quarantine(absl::DataLossError(absl::StrCat(
          "job ", best->id(), " was submitted under the same name later; this one has the id ",
          other->id())));
    }
  }
}

JobRegistry::JobPtr JobRegistry::Add(JobHistory history, const JobSettings& settings,
                                     std::vector<std::unique_ptr<SourceEnumerator>> enumerators,
                                     bool settle) {
  for (const auto& [id, other] : jobs_) {
    MILLRACE_CHECK(other->name() != history.name() || !other->running())
        << "two jobs of the name " << history.name();
  }
  const JobPtr job = Job::Create(context_, std::move(history), settings);
  jobs_[job->id()] = job;
  job->Start(std::move(enumerators), settle);
  ForgetOldJobs();
  return job;
}

absl::StatusOr<proto::ExplainResponse> JobRegistry::Explain(const proto::ExplainRequest& request) {
  sql::PlanOptions options;
  options.settings.insert(request.settings().begin(), request.settings().end());
  options.connectors = context_->connectors;
  options.functions = options_.functions;
  ASSIGN_OR_RETURN(sql::PlannedScript script, sql::PlanScript(request.sql(), options));
  proto::ExplainResponse response;
  response.set_text(script.explain_only ? script.explain_text : sql::ExplainPlan(script.plan));
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
    if (job->phase() != proto::PHASE_QUARANTINED) {
      result.set_plan_text(sql::ExplainPlan(job->history().plan()));
    }
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
  auto over = std::make_shared<Completion>();
  bool idle = false;
  ASSIGN_OR_RETURN(const JobPtr job, OnLoop<JobPtr>([&]() -> absl::StatusOr<JobPtr> {
                     ASSIGN_OR_RETURN(JobPtr found, FindOrExplain(request.name()));
                     idle = !found->running();
                     found->WhenOver([over] { over->Complete(absl::OkStatus()); });
                     found->Handle(StopRequested{request.cancel() ? StopRequested::How::kCancel
                                                                  : StopRequested::How::kDrain});
                     return found;
                   }));
  if (idle && request.cancel()) {
    RETURN_IF_ERROR(CancelIdle(request.name()));
  }
  const std::optional<absl::Status> stopped = Await(over, kStopTimeout);
  if (stopped.has_value()) {
    RETURN_IF_ERROR(*stopped);
  } else {
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

// Copies the state after a batch boundary that lies behind this call; the job does not wait for the
// copy.
absl::StatusOr<proto::SavepointResponse> JobRegistry::Savepoint(
    const proto::SavepointRequest& request) {
  RETURN_IF_ERROR(request.location().empty()
                      ? CheckJobName(request.name())
                      : context_->connectors->access().CheckPath(request.location()));
  auto secured = std::make_shared<Completion>();
  ASSIGN_OR_RETURN(
      const JobPtr job, OnLoop<JobPtr>([&]() -> absl::StatusOr<JobPtr> {
        ASSIGN_OR_RETURN(JobPtr found, FindOrExplain(request.name()));
        found->WhenSecured([secured](absl::Status s) { secured->Complete(std::move(s)); });
        return found;
      }));
  const std::optional<absl::Status> status = Await(secured, kStopTimeout);
  if (!status.has_value()) {
    return absl::DeadlineExceededError(
        absl::StrCat("job '", request.name(), "' has taken no snapshot within ",
                     absl::FormatDuration(kStopTimeout), "; look at millrace jobs show"));
  }
  RETURN_IF_ERROR(*status);
  // Keeps the files while they are copied: the job goes on, and would remove them once it has newer
  // ones.
  std::shared_ptr<void> pin;
  ASSIGN_OR_RETURN(const JobHistory history, OnLoop<JobHistory>([&] {
                     pin = context_->pinned->Pin(job->history().SnapshotFiles());
                     return job->history();
                   }));
  ASSIGN_OR_RETURN(const proto::Savepoint savepoint, MakeSavepoint(history));
  const std::string& from = history.submitted().snapshot_location();
  proto::SavepointResponse response;
  response.set_batch(savepoint.snapshot().batch());
  response.set_location(
      request.location().empty()
          ? absl::StrCat(from, "/savepoints/", history.name(), "-", savepoint.snapshot().batch())
          : request.location());
  ASSIGN_OR_RETURN(const uint64_t bytes, WriteSavepoint(savepoint, from, response.location()));
  response.set_bytes(bytes);
  return response;
}

// Cancels a job that is not running, so that nobody can resume it.
absl::Status JobRegistry::CancelIdle(const std::string& name) {
  RETURN_IF_ERROR(context_->journal->Reopen());
  auto cancelled = std::make_shared<Completion>();
  RETURN_IF_ERROR(OnLoop<bool>([&]() -> absl::StatusOr<bool> {
                    ASSIGN_OR_RETURN(const JobPtr job, FindOrExplain(name));
                    RETURN_IF_ERROR(CheckNotHeld(job->name()));
                    if (job->running()) {
                      return absl::FailedPreconditionError(
                          absl::StrCat("job '", job->name(), "' runs again; cancel it once more"));
                    }
                    if (job->phase() == proto::PHASE_CANCELLED) {
                      cancelled->Complete(absl::OkStatus());
                    } else {
                      AppendCancellation(job, cancelled);
                    }
                    return true;
                  }).status());
  const std::optional<absl::Status> status = Await(cancelled, options_.journal_timeout);
  if (!status.has_value()) {
    return absl::DeadlineExceededError(absl::StrCat(
        "the journal has not taken the cancellation within ",
        absl::FormatDuration(options_.journal_timeout),
        ", and may still do so; look at millrace jobs list, and at the driver's disk"));
  }
  return status->ok() ? *status : Annotate(*status, "the cancellation could not be journaled");
}

// Journals the cancellation. The job is cancelled once the record is durable; until then nobody may
// submit it again.
void JobRegistry::AppendCancellation(const JobPtr& job, std::shared_ptr<Completion> cancelled) {
  reserved_names_.insert(job->name());
  proto::JournalRecord record = job->Cancellation();
  HitBeforeAppend(record.record_case());
  const auto end = [this, job, cancelled](const absl::Status& written) {
    if (written.ok() && !job->MarkCancelled()) {
      jobs_.erase(job->id());
    }
    reserved_names_.erase(job->name());
    ForgetOldJobs();
    cancelled->Complete(written);
  };
  context_->journal->Append({std::move(record)},
                            [loop = context_->loop, end, cancelled](const absl::Status& written) {
                              if (written.ok()) {
                                HitDurable(proto::JournalRecord::kJobEnded);
                              }
                              if (!loop->Post([end, written] { end(written); })) {
                                cancelled->Complete(DriverGoingDown());
                              }
                            });
}

std::optional<absl::Status> JobRegistry::Await(const std::shared_ptr<Completion>& completion,
                                               absl::Duration timeout) {
  {
    absl::MutexLock lock(&waits_mutex_);
    if (going_down_) {
      return DriverGoingDown();
    }
    std::erase_if(waits_, [](const std::weak_ptr<Completion>& wait) { return wait.expired(); });
    waits_.push_back(completion);
  }
  return completion->WaitUntil(SteadyNow() + timeout);
}

void JobRegistry::GoDown() {
  std::vector<std::weak_ptr<Completion>> waits;
  {
    absl::MutexLock lock(&waits_mutex_);
    going_down_ = true;
    waits.swap(waits_);
  }
  for (const std::weak_ptr<Completion>& wait : waits) {
    if (const std::shared_ptr<Completion> completion = wait.lock()) {
      completion->Complete(DriverGoingDown());
    }
  }
  context_->loop->Call([this] {
    for (const auto& [id, job] : jobs_) {
      job->StopWatching();
    }
    return true;
  });
}

bool JobRegistry::NothingMoves(int64_t asked_us) const {
  return !context_->journal_trouble.empty() ||
         std::all_of(jobs_.begin(), jobs_.end(), [asked_us](const auto& entry) {
           return !entry.second->running() || entry.second->Stuck(asked_us);
         });
}

absl::Status JobRegistry::Drain(absl::Time deadline) {
  struct Waiting {
    Completion all;
    size_t left = 0;  // on the loop
  };
  auto waiting = std::make_shared<Waiting>();
  const std::optional<bool> asked = context_->loop->Call([&] {
    draining_ = true;
    waiting->left = 1;
    const auto one_less = [waiting] {
      if (--waiting->left == 0) {
        waiting->all.Complete(absl::OkStatus());
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
  const int64_t asked_us = context_->loop->NowUs();
  const auto wait = [&] {
    return waiting->all.WaitUntil(std::min(deadline, SteadyNow() + kDrainLook)).has_value();
  };
  bool all = !asked.has_value() || wait();
  while (!all && SteadyNow() < deadline &&
         !OnLoop<bool>([&] { return NothingMoves(asked_us); }).value_or(true)) {
    all = wait();
  }
  if (all) {
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
  const int64_t wall_us = absl::ToUnixMicros(context_->clock->Now());
  const auto wall = [&](int64_t mono_us) { return wall_us + mono_us - now_us; };
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
    if (member.quarantined_until_us > now_us) {
      proto::ExecutorsResponse::LeftOut* left_out = out->add_left_out();
      left_out->set_until_us(wall(member.quarantined_until_us));
      left_out->set_why(absl::StrCat("it was lost soon after it joined ", member.losses, " times"));
    }
    if (const auto found = load.find(id); found != load.end()) {
      out->set_partitions(found->second.first);
      out->set_shards(found->second.second);
    }
  }
  for (const auto& [id, job] : jobs_) {
    for (const JobState::LeftOut& one : job->LeftOut()) {
      for (proto::ExecutorsResponse::Executor& executor : *response.mutable_executors()) {
        if (executor.executor_id() == one.executor.value()) {
          proto::ExecutorsResponse::LeftOut* left_out = executor.add_left_out();
          left_out->set_job(job->name());
          left_out->set_until_us(wall(one.until_us));
          left_out->set_why(one.why);
        }
      }
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
  CutMessages(&message);
  const Origin origin = OriginOf(message);
  if (origin.job_id.empty()) {
    return;
  }
  const auto found = jobs_.find(origin.job_id);
  // An orphan: the executor could not be reached when the epoch was stopped.
  const bool orphan = found == jobs_.end() || !found->second->Follows(origin.epoch);
  if (orphan && !origin.over) {
    proto::DriverMessage stop;
    stop.mutable_stop_epoch()->set_job_id(origin.job_id);
    stop.mutable_stop_epoch()->set_epoch(origin.epoch.value());
    context_->executors->Send(from, std::move(stop));
  }
  if (found != jobs_.end()) {
    found->second->OnExecutorMessage(from, std::move(message));
  }
}

// Finds a job by name, or by id. Of several jobs of a name, the running one comes first, then the
// latest.
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

absl::Status JobRegistry::CheckNotHeld(const std::string& name) const {
  return !reserved_names_.contains(name)
             ? absl::OkStatus()
             : absl::AlreadyExistsError(absl::StrCat(
                   "job '", name, "' is being submitted or cancelled, which the journal has not ",
                   "taken yet; look at millrace jobs list in a moment, or choose another name ",
                   "with --name"));
}

void JobRegistry::ForgetOldJobs() {
  std::vector<JobPtr> over;
  for (const auto& [id, job] : jobs_) {
    const bool ended =
        job->phase() == proto::PHASE_CANCELLED || job->phase() == proto::PHASE_FINISHED;
    if (ended && !reserved_names_.contains(job->name())) {
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
    proto::JournalRecord record;
    record.mutable_job_forgotten()->set_job_id(job->id());
    // If it cannot be written, the next driver forgets the job.
    context_->journal->Append({std::move(record)}, [](const absl::Status&) {});
  }
}

}  // namespace millrace::driver
