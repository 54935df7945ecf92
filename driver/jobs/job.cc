#include "driver/jobs/job.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/failpoint.h"
#include "common/base/status.h"
#include "common/expr/state_identity.h"
#include "connectors/session_groups.h"
#include "driver/coordinator/job_records.h"
#include "driver/jobs/journal_failpoints.h"
#include "driver/results/result_keys.h"
#include "driver/results/result_rows.h"
#include "driver/snapshots/savepoint.h"

namespace millrace::driver {
namespace {

constexpr size_t kRecentBatches = 20;
constexpr int64_t kRateWindowUs = 10'000'000;
constexpr int kRetiredListed = 20;

}  // namespace

std::shared_ptr<Job> Job::Create(const JobContext* context, JobHistory history,
                                 const JobSettings& settings) {
  std::shared_ptr<Job> job(new Job(context, std::move(history), settings));
  job->results_ = std::make_shared<ResultBuffer>(
      context->results_buffer_bytes, context->connectors->ShowsRows(job->history().plan()),
      context->hold_for_followers, [context, weak = std::weak_ptr<Job>(job)](bool held) {
        context->loop->Post([weak, held] {
          if (const std::shared_ptr<Job> self = weak.lock()) {
            self->Handle(ResultsHeld{held});
          }
        });
      });
  return job;
}

Job::Job(const JobContext* context, JobHistory history, const JobSettings& settings)
    : context_(context), settings_(settings), idle_history_(std::move(history)) {
  auto tables = std::make_shared<std::vector<ResultTable>>();
  const proto::JobPlan& plan = idle_history_->plan();
  for (uint32_t sink = 0; sink < static_cast<uint32_t>(plan.sinks_size()); ++sink) {
    ResultTable& table = tables->emplace_back();
    table.keys = ChangeKeys(plan, sink);
    table.shape = ResultShape(plan.sinks(static_cast<int>(sink)));
    table.header.set_table(plan.sinks(static_cast<int>(sink)).table());
    for (const proto::Field& column : plan.sinks(static_cast<int>(sink)).columns()) {
      table.header.add_columns(column.name());
    }
  }
  result_tables_ = std::move(tables);
}

const JobHistory& Job::history() const {
  return state_ != nullptr ? state_->history() : *idle_history_;
}

Moment Job::Now() const {
  return {context_->clock->MonotonicNs() / 1000, absl::ToUnixMicros(context_->clock->Now())};
}

void Job::PostToSelf(std::function<void(Job&)> work) {
  context_->loop->Post([weak = weak_from_this(), work = std::move(work)] {
    if (const std::shared_ptr<Job> self = weak.lock()) {
      work(*self);
    }
  });
}

void Job::Start(std::vector<std::unique_ptr<SourceEnumerator>> enumerators, bool settle) {
  MILLRACE_CHECK(state_ == nullptr);
  JobStateOptions options;
  options.driver_address = context_->driver_address;
  options.settle = settle;
  options.operators = StateIdentitiesOf(idle_history_->plan(), *context_->functions);
  options.session_groups = GroupSinks(idle_history_->plan(), *context_->connectors);
  options.jitter_seed = std::hash<std::string>()(idle_history_->submitted().incarnation());
  metrics_ = std::make_unique<JobMetrics>(context_->metrics, idle_history_->name());
  state_ = std::make_unique<JobState>(*std::move(idle_history_), settings_, std::move(options));
  idle_history_.reset();
  if (history().plan().running_state() && !history().submitted().snapshot_location().empty()) {
    store_ = std::make_unique<JobStore>(context_->clock, context_->files, context_->pinned,
                                        history().submitted().snapshot_location(),
                                        history().submitted().incarnation());
  }
  const absl::Status opened = OpenSources(std::move(enumerators));
  if (!opened.ok()) {
    Handle(JobBroken{opened});
    return;
  }
  Handle(context_->executors->Members());
}

void Job::Handle(const JobEvent& event) {
  if (!running()) {
    return;
  }
  std::vector<JobAction> actions = state_->Handle(event, Now());
  for (JobAction& action : actions) {
    std::visit([this](auto& a) { Do(a); }, action);
  }
  if (!running()) {
    LetGo();
    return;
  }
  ScheduleWakeup();
  ChooseEndsIntervals();
}

// Keeps one timer, for the earliest time that the state machine has asked for. Each event may ask
// for another time; if every one got a timer, most would wait for minutes and then find nothing to
// do. If the state machine no longer needs the time that is set, the timer comes early and does
// nothing.
void Job::ScheduleWakeup() {
  const int64_t wanted_us = state_->next_wakeup_us();
  if (wanted_us >= wakeup_us_) {
    return;
  }
  if (wakeup_us_ != JobState::kNever) {
    context_->loop->Cancel(timer_);
  }
  wakeup_us_ = wanted_us;
  timer_ = context_->loop->PostAt(wanted_us, [weak = weak_from_this(), wanted_us] {
    const std::shared_ptr<Job> self = weak.lock();
    if (self == nullptr) {
      return;
    }
    if (self->wakeup_us_ == wanted_us) {
      self->wakeup_us_ = JobState::kNever;
    }
    self->Handle(TimerFired{});
  });
}

void Job::Do(AppendRecord& action) {
  const proto::JournalRecord::RecordCase kind = action.record.record_case();
  HitBeforeAppend(kind);
  context_->journal->Append({std::move(action.record)}, [context = context_,
                                                         weak = weak_from_this(), id = action.id,
                                                         kind](const absl::Status& status) {
    if (status.ok()) {
      HitDurable(kind);
    }
    context->loop->Post([weak, id, status] {
      if (const std::shared_ptr<Job> self = weak.lock()) {
        self->Handle(status.ok() ? JobEvent(RecordDurable{id}) : JobEvent(JournalFailed{status}));
      }
    });
  });
}

// Keys are derived, not stored: a member that reconnects is sent the same ones again.
void Job::AddStreamKeys(const ExecutorId& to, proto::StartEpoch* start) const {
  const JobId job(start->job_id());
  const Epoch epoch(start->epoch());
  for (const proto::Assignment::Member& member : start->assignment().members()) {
    proto::StreamKeys* keys = start->add_stream_keys();
    if (member.executor_id() != to.value()) {
      const std::string& secret = context_->stream_secret;
      keys->set_to(StreamKey(secret, job, epoch, to.value(), member.executor_id()));
      keys->set_from(StreamKey(secret, job, epoch, member.executor_id(), to.value()));
    }
  }
}

void Job::Do(SendToExecutor& action) {
  if (action.message.has_start_epoch()) {
    AddStreamKeys(action.to, action.message.mutable_start_epoch());
  }
  context_->executors->Send(action.to, std::move(action.message));
}

void Job::Do(EpochBegan& action) {
  spdlog::info("job {}: epoch {}: {}", name(), action.epoch.value(), action.reason);
  pending_rows_.clear();
  pending_bytes_ = 0;
  if (action.restart) {
    metrics_->OnRestart();
  }
}

void Job::Do(BatchDone& action) {
  NoteStatistics(action);
  metrics_->OnBatch(action);
  PublishOffsets(action);
  ShowResults(action);
}

// Removes the files that the remaining snapshots do not need.
void Job::Do(SnapshotDone& action) {
  metrics_->OnSnapshot(action);
  TellSecured(absl::OkStatus());
  if (store_ != nullptr) {
    store_->RemoveOld(state_->epoch(), action.batch, history().SnapshotFiles());
  }
}

void Job::Do(SnapshotFailed& action) {
  spdlog::warn("job {}: {}", name(), action.why);
  TellSecured(absl::UnavailableError(action.why));
}

void Job::Do(ClockDistrusted& action) { spdlog::warn("job {}: {}", name(), action.why); }

std::function<void(JobEvent)> Job::HandleLater() {
  return [context = context_, weak = weak_from_this()](JobEvent event) {
    context->loop->Post([weak, event = std::move(event)] {
      if (const std::shared_ptr<Job> self = weak.lock()) {
        self->Handle(event);
      }
    });
  };
}

void Job::Do(MarkStore& action) {
  store_->Mark(
      action.epoch, action.may_make,
      [epoch = action.epoch, handle = HandleLater()](const absl::StatusOr<proto::StoreMark>& mark) {
        handle(StoreMarked{epoch, mark});
      });
}

void Job::Do(CheckStoreAnswer& action) {
  store_->CheckAnswer(action.answer, [epoch = action.epoch, from = action.from,
                                      handle = HandleLater()](const absl::Status& status) {
    handle(StoreAnswerChecked{epoch, from, status});
  });
}

void Job::Do(CheckSnapshotFiles& action) {
  store_->CheckFiles(std::move(action.files),
                     [epoch = action.epoch, batch = action.batch,
                      handle = HandleLater()](const JobStore::Finding& found) {
                       handle(SnapshotFilesChecked{epoch, batch, found.file, found.status});
                     });
}

void Job::TellSecured(const absl::Status& status) {
  for (const auto& callback : std::exchange(when_secured_, {})) {
    callback(status);
  }
}

void Job::WhenSecured(std::function<void(absl::Status)> callback) {
  const bool has_state = history().plan().running_state();
  if (has_state && history().submitted().snapshot_location().empty()) {
    callback(absl::FailedPreconditionError(
        "this driver keeps no snapshots: start it with --directory, or set checkpoint_location"));
  } else if (!has_state || !running() || state_->is_secured()) {
    callback(absl::OkStatus());
  } else {
    when_secured_.push_back(std::move(callback));
    Handle(SnapshotRequested{});
  }
}

void Job::Do(JobOver& action) {
  spdlog::info("job {}: {}{}{}", name(), proto::JobPhase_Name(state_->phase()),
               action.message.empty() ? "" : ": ", action.message);
  pending_rows_.clear();
  TellSecured(absl::UnavailableError("the job has ended"));
  Close();
  for (const std::function<void()>& callback : std::exchange(when_over_, {})) {
    callback();
  }
}

// Ends the followers' streams after the offsets have been published: whoever waited for the job
// finds its consumer group where it should be.
void Job::Close() {
  proto::BatchResults last;
  last.set_phase(state_->phase());
  last.set_message(state_->message());
  last.set_total_records(records_);
  last.set_lag_records(state_->LagRecords());
  StopWatching();
  auto watchers =
      std::make_shared<std::vector<std::unique_ptr<SourceWatcher>>>(std::exchange(watchers_, {}));
  // The destructor may wait for a directory that does not answer, so it runs on a loop of its own.
  context_->releasing->Post(
      [store = std::shared_ptr<JobStore>(std::move(store_))]() mutable { store.reset(); });
  EventLoop* const merging = context_->merging;
  const auto finish = [results = results_, last, ended = context_->ended_results,
                       max_bytes = context_->results_buffer_bytes] {
    results->Finish(last);
    ended->Add(results, max_bytes);
  };
  const bool posted = context_->closing->Post([watchers, merging, finish] {
    watchers->clear();
    if (!merging->Post(finish)) {
      finish();
    }
  });
  if (!posted) {
    finish();
  }
}

// Keeps of a job that is over only what people ask about and what it needs to be resumed.
void Job::LetGo() {
  Outcome outcome{.phase = state_->phase(),
                  .message = state_->message(),
                  .epoch = state_->epoch(),
                  .restarts = state_->restarts(),
                  .lag_records = state_->LagRecords(),
                  .ends = state_->Ends()};
  idle_history_.emplace(state_->TakeHistory());
  outcome_ = std::move(outcome);
  state_.reset();
  metrics_.reset();
  if (wakeup_us_ != JobState::kNever) {
    context_->loop->Cancel(timer_);
    wakeup_us_ = JobState::kNever;
  }
  result_tables_.reset();
  source_troubles_.clear();
  pending_rows_.clear();
  done_records_ = {};
}

bool Job::Stuck(int64_t asked_us) const {
  constexpr int64_t kLeastPatienceUs = 4'000'000;
  if (!running() || !state_->HasBatchesUnderWay()) {
    return false;
  }
  int64_t patience_us = kLeastPatienceUs;
  for (const proto::BatchSummary& batch : recent_) {
    patience_us = std::max(patience_us, 2 * batch.tick_to_committed_us());
  }
  return Now().mono_us - std::max(asked_us, last_report_us_) > patience_us;
}

void Job::StopWatching() {
  for (const std::unique_ptr<SourceWatcher>& watcher : watchers_) {
    watcher->RequestStop();
  }
}

void Job::OnExecutorMessage(const ExecutorId& from, proto::ExecutorMessage message) {
  if (!running()) {
    return;
  }
  if (message.has_batch_prepared() || message.has_batch_committed()) {
    last_report_us_ = Now().mono_us;
  }
  if (message.has_result_rows()) {
    KeepRows(from, std::move(*message.mutable_result_rows()));
    return;
  }
  if (message.has_batch_prepared() && Epoch(message.batch_prepared().epoch()) == state_->epoch()) {
    const auto rows = pending_rows_.find(BatchId(message.batch_prepared().batch()));
    if (rows != pending_rows_.end()) {
      rows->second[from].complete = true;
    }
  }
  Handle(ExecutorReported{from, std::move(message)});
}

// An executor that reconnects sends its unfinished rows again from the start.
void Job::OnMemberReconnected(const ExecutorId& id) {
  for (auto& [batch, by_executor] : pending_rows_) {
    const auto found = by_executor.find(id);
    if (found != by_executor.end() && !found->second.complete) {
      for (const auto& [sink, bytes] : found->second.pieces) {
        pending_bytes_ -= static_cast<int64_t>(bytes.size());
      }
      by_executor.erase(found);
    }
  }
  Handle(MemberReconnected{id});
}

void Job::NoteStatistics(const BatchDone& done) {
  records_ += done.records;
  skipped_ += done.skipped;
  lost_ += done.lost;
  state_rows_ = done.state_rows;
  state_bytes_ = done.state_bytes;
  if (first_skipped_.empty()) {
    first_skipped_ = done.first_error;
  }
  proto::BatchSummary summary;
  summary.set_batch(done.batch.value());
  summary.set_batch_time_us(done.batch_time_us);
  summary.set_records(done.records);
  summary.set_plan_to_prepared_us(done.prepared_us - done.planned_us);
  summary.set_tick_to_committed_us(done.done_us - done.tick_us);
  recent_.push_front(std::move(summary));
  if (recent_.size() > kRecentBatches) {
    recent_.pop_back();
  }
  done_records_.emplace_back(done.done_us, done.records);
  while (done_records_.front().first < done.done_us - kRateWindowUs) {
    done_records_.pop_front();
  }
}

double Job::RecordsPerSecond() const {
  const int64_t now_us = Now().mono_us;
  int64_t records = 0;
  int64_t since_us = now_us;
  for (const auto& [when_us, count] : done_records_) {
    if (when_us >= now_us - kRateWindowUs) {
      since_us = std::min(since_us, when_us);
      records += count;
    }
  }
  // A job younger than the window is measured over its own time, at least a batch.
  const int64_t least_us =
      std::max<int64_t>(absl::ToInt64Microseconds(settings_.batch_duration), 1'000'000);
  const int64_t span_us =
      std::clamp(now_us - since_us, std::min(least_us, kRateWindowUs), kRateWindowUs);
  return static_cast<double>(records) * 1e6 / static_cast<double>(span_us);
}

proto::JobPhase Job::phase() const {
  if (state_ != nullptr) {
    return state_->phase();
  }
  if (!quarantine_.ok()) {
    return proto::PHASE_QUARANTINED;
  }
  if (outcome_.has_value()) {
    return outcome_->phase;
  }
  if (!idle_history_->ended().has_value()) {
    return proto::PHASE_STOPPED;
  }
  switch (idle_history_->ended()->how()) {
    case proto::JobEnded::CANCELLED:
      return proto::PHASE_CANCELLED;
    case proto::JobEnded::FINISHED:
      return proto::PHASE_FINISHED;
    case proto::JobEnded::FAILED:
      return proto::PHASE_FAILED;
    default:
      return proto::PHASE_STOPPED;
  }
}

std::string Job::message() const {
  if (!quarantine_.ok()) {
    return absl::StrCat("quarantined: ", quarantine_.message(),
                        ". Its records are kept; start the version that wrote them, or cancel the "
                        "job (millrace jobs cancel ",
                        id(), ") and submit it anew");
  }
  if (outcome_.has_value()) {
    return outcome_->message;
  }
  if (state_ == nullptr) {
    return history().ended().has_value() ? history().ended()->message()
                                         : "interrupted; submit it again to go on";
  }
  if (!context_->journal_trouble.empty()) {
    return absl::StrCat(
        "waits for the journal, which cannot be written: ", context_->journal_trouble,
        "; the job goes on by itself once that is mended");
  }
  if (!state_->message().empty()) {
    return state_->message();
  }
  for (const auto& [source, trouble] : source_troubles_) {
    if (!trouble.ok()) {
      return std::string(ToStd(trouble.message()));
    }
  }
  std::string clock_trouble = state_->clock_trouble();
  return clock_trouble.empty() ? state_->snapshot_trouble() : std::move(clock_trouble);
}

void Job::WhenOver(std::function<void()> callback) {
  if (running()) {
    when_over_.push_back(std::move(callback));
  } else {
    callback();
  }
}

void Job::Quarantine(absl::Status why) {
  MILLRACE_CHECK(state_ == nullptr && !why.ok());
  quarantine_ = std::move(why);
}

proto::JournalRecord Job::Cancellation() const {
  return BuildJobEnded({id(), Epoch()}, proto::JobEnded::CANCELLED, "", Now().wall_us);
}

bool Job::MarkCancelled() {
  MILLRACE_CHECK(!running());
  JobHistory history = *idle_history_;
  if (!history.Apply(Cancellation()).ok()) {
    return false;
  }
  outcome_.reset();
  quarantine_ = absl::OkStatus();
  idle_history_ = std::move(history);
  return true;
}

proto::JobSummary Job::Summary() const {
  proto::JobSummary summary;
  summary.set_job_id(id());
  summary.set_name(name());
  summary.set_phase(phase());
  summary.set_committed_batch(history().last_committed().value());
  summary.set_submitted_at_us(history().submitted().submitted_at_us());
  summary.set_records(records_);
  summary.set_skipped_records(skipped_);
  summary.set_lost_records(lost_);
  summary.set_snapshot_batch(history().last_snapshot().value());
  summary.set_retired_partitions(
      std::count_if(history().partitions().begin(), history().partitions().end(),
                    [](const JobPartition& partition) { return partition.retired; }));
  if (state_ == nullptr) {
    const Outcome outcome = outcome_.value_or(Outcome{.epoch = history().last_epoch()});
    summary.set_epoch(outcome.epoch.value());
    summary.set_message(message());
    summary.set_lag_records(outcome.lag_records);
    summary.set_restarts(outcome.restarts);
    return summary;
  }
  summary.set_epoch(state_->epoch().value());
  summary.set_message(message());
  summary.set_records_per_second(RecordsPerSecond());
  summary.set_lag_records(state_->LagRecords());
  summary.set_restarts(state_->restarts());
  return summary;
}

proto::JobDetail Job::Detail() const {
  proto::JobDetail detail;
  *detail.mutable_summary() = Summary();
  detail.set_sql(history().plan().sql());
  *detail.mutable_settings() = history().plan().settings();
  for (const proto::BatchSummary& batch : recent_) {
    *detail.add_recent() = batch;
  }
  *detail.mutable_partitions() = Lag().partitions();
  detail.set_state_rows(state_rows_);
  detail.set_state_bytes(state_bytes_);
  detail.set_first_skipped(first_skipped_);
  return detail;
}

proto::LagResponse Job::Lag() const {
  proto::LagResponse response;
  std::vector<JobState::PartitionView> views;
  if (state_ != nullptr) {
    views = state_->Partitions();
  } else if (quarantine_.ok()) {
    // A job that is not running has no watcher that knows the ends: shows those that were known
    // last, if it ran in this driver.
    for (size_t i = 0; i < history().partitions().size(); ++i) {
      if (history().partitions()[i].retired) {
        continue;
      }
      const int64_t committed = history().committed_to()[i];
      const bool known = outcome_.has_value() && i < outcome_->ends.size();
      const auto [stable, high] = known ? outcome_->ends[i] : std::make_pair(committed, committed);
      views.push_back({history().partitions()[i].source, history().partitions()[i].name, committed,
                       stable, high, ExecutorId()});
    }
  }
  for (const JobState::PartitionView& view : views) {
    proto::LagResponse::Partition* out = response.add_partitions();
    out->set_table(history().plan().sources(static_cast<int>(view.source)).table());
    out->set_partition(view.name);
    out->set_committed(view.committed);
    out->set_stable_end(view.stable_end);
    out->set_high_watermark(view.high_watermark);
    out->set_lag(std::max<int64_t>(view.stable_end - view.committed, 0));
    out->set_executor(context_->executors->NameOf(view.owner));
  }
  int listed = 0;
  for (size_t i = history().partitions().size(); i-- > 0 && listed < kRetiredListed;) {
    const JobPartition& partition = history().partitions()[i];
    if (partition.retired) {
      proto::LagResponse::Partition* out = response.add_partitions();
      out->set_table(history().plan().sources(static_cast<int>(partition.source)).table());
      out->set_partition(partition.name);
      out->set_committed(history().committed_to()[i]);
      out->set_stable_end(history().committed_to()[i]);
      out->set_high_watermark(history().committed_to()[i]);
      out->set_retired(partition.why);
      ++listed;
    }
  }
  return response;
}

std::vector<JobState::LeftOut> Job::LeftOut() const {
  return running() ? state_->LeftOutUntil(Now().mono_us) : std::vector<JobState::LeftOut>();
}

void Job::AddLoad(std::map<ExecutorId, std::pair<uint32_t, uint32_t>>* load) const {
  if (!running()) {
    return;
  }
  for (const auto& [id, counts] : state_->Load()) {
    (*load)[id].first += counts.first;
    (*load)[id].second += counts.second;
  }
}

}  // namespace millrace::driver
