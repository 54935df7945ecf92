#include "driver/jobs/job.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/failpoint.h"
#include "common/base/status.h"
#include "common/expr/state_identity.h"
#include "driver/jobs/journal_failpoints.h"
#include "driver/jobs/result_keys.h"
#include "driver/jobs/savepoint.h"

namespace millrace {
namespace {

constexpr size_t kRecentBatches = 20;
constexpr int64_t kRateWindowUs = 10'000'000;

// How often ends are asked for while executors do not tell: twice per batch, so that every tick
// finds what came since the one before.
absl::Duration EndsInterval(const JobSettings& settings) {
  return std::clamp(settings.batch_duration / 2, absl::Milliseconds(100), absl::Seconds(1));
}
// And while they do; then only the lag needs it.
constexpr absl::Duration kLagInterval = absl::Seconds(1);

// Whether some sink's rows go to a person.
bool ShowsRows(const proto::JobPlan& plan, const ConnectorRegistry& connectors) {
  return std::any_of(plan.sinks().begin(), plan.sinks().end(), [&](const proto::Sink& sink) {
    const auto connector = connectors.Sink(sink.connector());
    return connector.ok() && (*connector)->gathered();
  });
}

}  // namespace

std::shared_ptr<Job> Job::Create(const JobContext* context, JobHistory history,
                                 const JobSettings& settings) {
  std::shared_ptr<Job> job(new Job(context, std::move(history), settings));
  job->results_ = std::make_shared<ResultBuffer>(
      context->results_buffer_bytes, ShowsRows(job->history().plan(), *context->connectors),
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
  options.jitter_seed = std::hash<std::string>()(idle_history_->submitted().incarnation());
  metrics_ = std::make_unique<JobMetrics>(context_->metrics, idle_history_->name());
  state_ = std::make_unique<JobState>(*std::move(idle_history_), settings_, std::move(options));
  idle_history_.reset();
  const absl::Status opened = OpenSources(std::move(enumerators));
  if (!opened.ok()) {
    Handle(JobBroken{opened});
    return;
  }
  Handle(context_->executors->Members());
}

absl::Status Job::OpenSources(std::vector<std::unique_ptr<SourceEnumerator>> enumerators) {
  const proto::JobPlan& plan = history().plan();
  const SourceContext source_context{.job_name = name(),
                                     .incarnation = history().submitted().incarnation(),
                                     .read_uncommitted = settings_.ReadsUncommitted()};
  for (int i = 0; i < plan.sources_size(); ++i) {
    const auto index = static_cast<size_t>(i);
    std::unique_ptr<SourceEnumerator> enumerator;
    if (index < enumerators.size()) {
      enumerator = std::move(enumerators[index]);
    } else {
      ASSIGN_OR_RETURN(const SourceConnector* connector,
                       context_->connectors->Source(plan.sources(i).connector()));
      ASSIGN_OR_RETURN(enumerator, connector->CreateEnumerator(plan.sources(i), source_context));
    }
    WatchSource(static_cast<uint32_t>(i), std::move(enumerator));
  }
  return absl::OkStatus();
}

void Job::WatchSource(uint32_t source, std::unique_ptr<SourceEnumerator> enumerator) {
  std::vector<WatchedPartition> partitions;
  for (size_t i = 0; i < history().partitions().size(); ++i) {
    const JobPartition& partition = history().partitions()[i];
    if (partition.source == source) {
      partitions.push_back({partition.name, Offset(history().planned_to()[i]), partition.topic_id});
    }
  }
  watchers_.push_back(
      std::make_unique<SourceWatcher>(std::move(enumerator), partitions, WatcherOptions(source)));
}

SourceWatcherOptions Job::WatcherOptions(uint32_t source) {
  SourceWatcherOptions options;
  options.table = history().plan().sources(static_cast<int>(source)).table();
  options.ends_interval = EndsInterval(settings_);
  if (history().submitted().once() || history().submitted().stop_at_size() > 0) {
    options.discovery_interval = absl::InfiniteDuration();
  }
  // Called on the watcher's thread, which ends before this object does; but what it posts may come
  // later.
  const auto post = [context = context_, weak = weak_from_this()](std::function<void(Job&)> work) {
    context->loop->Post([weak, work = std::move(work)] {
      if (const std::shared_ptr<Job> self = weak.lock()) {
        work(*self);
      }
    });
  };
  options.on_ends = [post, source](const std::vector<PartitionEnd>& ends) {
    EndsKnown event{.source = source};
    for (const PartitionEnd& end : ends) {
      event.ends.push_back({end.partition, end.stable_end.value(), end.high_watermark.value(),
                            end.bytes_per_offset});
    }
    post([event = std::move(event)](Job& self) {
      self.Handle(event);
      if (self.metrics_ != nullptr) {
        const proto::LagResponse lag = self.Lag();
        for (const proto::LagResponse::Partition& partition : lag.partitions()) {
          self.metrics_->SetLag(partition.table(), partition.partition(), partition.lag());
        }
      }
    });
  };
  options.on_found = [post, source](const std::vector<FoundPartition>& found) {
    PartitionsDiscovered event{.source = source};
    for (const FoundPartition& one : found) {
      event.found.push_back({one.name, one.earliest.value(), one.topic_id});
    }
    post([event = std::move(event)](Job& self) { self.Handle(event); });
  };
  options.on_lost = [post](const absl::Status& cause) {
    post([cause](Job& self) { self.Handle(JobBroken{cause}); });
  };
  options.on_trouble = [post, source](const absl::Status& trouble) {
    post([source, trouble](Job& self) { self.source_troubles_[source] = trouble; });
  };
  return options;
}

void Job::Handle(const JobEvent& event) {
  if (!running()) {
    return;
  }
  std::vector<JobAction> actions = state_->Handle(event, Now());
  for (JobAction& action : actions) {
    std::visit([this](auto& a) { Do(a); }, action);
  }
  ScheduleWakeup();
  ChooseEndsIntervals();
}

// Ends that executors tell sooner need to be asked for only to show the lag.
void Job::ChooseEndsIntervals() {
  for (uint32_t source = 0; source < watchers_.size(); ++source) {
    watchers_[source]->set_ends_interval(state_->ProgressLeads(source) ? kLagInterval
                                                                       : EndsInterval(settings_));
  }
}

// Timers are not taken back: one that comes early finds nothing to do.
void Job::ScheduleWakeup() {
  const int64_t wanted_us = running() ? state_->next_wakeup_us() : JobState::kNever;
  if (wanted_us >= wakeup_us_) {
    return;
  }
  wakeup_us_ = wanted_us;
  context_->loop->PostAt(wanted_us, [weak = weak_from_this(), wanted_us] {
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
  context_->journal->Append(std::move(action.record), [context = context_, weak = weak_from_this(),
                                                       id = action.id,
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

void Job::Do(SendToExecutor& action) {
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

// What the snapshots that are kept do not need may go.
void Job::Do(SnapshotDone& action) {
  metrics_->OnSnapshot(action);
  TellSecured(absl::OkStatus());
  context_->closing->Post([location = history().submitted().snapshot_location(),
                           incarnation = history().submitted().incarnation(),
                           epoch = state_->epoch(), batch = action.batch,
                           keep = history().SnapshotFiles(), name = name()] {
    if (const absl::Status removed = RemoveOldSnapshots(location, incarnation, epoch, batch, keep);
        !removed.ok()) {
      spdlog::warn("job {}: old snapshots stay: {}", name, ToStd(removed.message()));
    }
  });
}

void Job::Do(SnapshotFailed& action) {
  spdlog::warn("job {}: {}", name(), action.why);
  TellSecured(absl::UnavailableError(action.why));
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

// The followers' streams end after the offsets have been published, so that whoever waited for the
// job finds its consumer group where it should be.
void Job::Close() {
  proto::BatchResults last;
  last.set_phase(state_->phase());
  last.set_message(state_->message());
  last.set_total_records(records_);
  last.set_lag_records(state_->LagRecords());
  auto watchers =
      std::make_shared<std::vector<std::unique_ptr<SourceWatcher>>>(std::exchange(watchers_, {}));
  EventLoop* const merging = context_->merging;
  const auto finish = [results = results_, last] { results->Finish(last); };
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

void Job::OnExecutorMessage(const ExecutorId& from, proto::ExecutorMessage message) {
  if (!running()) {
    return;
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

// Whatever it had not finished sending, it sends again from the start.
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

void Job::PublishOffsets(const BatchDone& done) {
  if (history().submitted().replay()) {
    return;
  }
  std::map<uint32_t, std::vector<PartitionOffset>> by_source;
  for (const proto::SplitReport& split : done.splits) {
    by_source[split.key().source()].push_back({split.key().partition(), Offset(split.end())});
  }
  for (const auto& [source, offsets] : by_source) {
    if (source < watchers_.size()) {
      MILLRACE_FAILPOINT("driver.before_publish");
      watchers_[source]->Publish(offsets);
    }
  }
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
  if (state_ == nullptr) {
    return history().ended().has_value() ? history().ended()->message()
                                         : "interrupted; submit it again to go on";
  }
  if (!state_->message().empty() || !running()) {
    return state_->message();
  }
  for (const auto& [source, trouble] : source_troubles_) {
    if (!trouble.ok()) {
      return std::string(ToStd(trouble.message()));
    }
  }
  return state_->snapshot_trouble();
}

void Job::WhenOver(std::function<void()> callback) {
  if (running()) {
    when_over_.push_back(std::move(callback));
  } else {
    callback();
  }
}

void Job::MarkCancelled() {
  MILLRACE_CHECK(!running());
  JobHistory history = state_ != nullptr ? state_->history() : *std::move(idle_history_);
  proto::JournalRecord record;
  record.mutable_job_ended()->set_job_id(history.job_id());
  record.mutable_job_ended()->set_how(proto::JobEnded::CANCELLED);
  record.mutable_job_ended()->set_at_us(Now().wall_us);
  const absl::Status applied = history.Apply(record);
  MILLRACE_CHECK(applied.ok()) << applied.ToString();
  state_.reset();
  idle_history_ = std::move(history);
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
  if (state_ == nullptr) {
    summary.set_epoch(history().last_epoch().value());
    summary.set_message(message());
    return summary;
  }
  summary.set_epoch(state_->epoch().value());
  summary.set_message(message());
  summary.set_records_per_second(running() ? RecordsPerSecond() : 0);
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
  } else {
    // Nobody has asked for the ends of a job that is not running.
    for (size_t i = 0; i < history().partitions().size(); ++i) {
      const int64_t committed = history().committed_to()[i];
      views.push_back({history().partitions()[i].source, history().partitions()[i].name, committed,
                       committed, committed, ExecutorId()});
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
  return response;
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

}  // namespace millrace
