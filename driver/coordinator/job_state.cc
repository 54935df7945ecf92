#include "driver/coordinator/job_state.h"

#include <algorithm>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/excerpt.h"
#include "common/base/status.h"

namespace millrace::driver {
namespace {

bool HasGlobalAggregate(const proto::JobPlan& plan) {
  for (const proto::Stage& stage : plan.stages()) {
    for (const proto::Operator& op : stage.operators()) {
      if (op.has_final_aggregate() && op.final_aggregate().global()) {
        return true;
      }
    }
  }
  return false;
}

// With batch_duration = 0, a limited partition may save up what it did not read for a second.
PartitionRate RateOf(const JobSettings& settings) {
  const int64_t batch_us = absl::ToInt64Microseconds(settings.batch_duration);
  return {.records_per_second = settings.max_rate_per_partition,
          .first_us = batch_us > 0 ? batch_us : kLeastRatedIntervalUs,
          .most_us = batch_us > 0 ? batch_us : 1'000'000};
}

}  // namespace

JobState::JobState(JobHistory history, const JobSettings& settings, JobStateOptions options)
    : history_(std::move(history)),
      options_(std::move(options)),
      bounded_(history_.submitted().stop_at_size() > 0 || history_.submitted().once()),
      runs_empty_first_(HasGlobalAggregate(history_.plan())),
      epoch_(history_.last_epoch()),
      backoff_{.first_us = options_.first_backoff_us,
               .longest_us = options_.max_backoff_us,
               .jitter_seed = options_.jitter_seed},
      failures_(options_.max_same_failures),
      partitions_(bounded_, RateOf(settings)),
      controller_(
          std::max<int64_t>(absl::ToInt64Microseconds(settings.EffectiveTargetBatchTime()), 1)),
      pipeline_({.prepare_us = options_.prepare_timeout_us,
                 .commit_us = options_.commit_timeout_us,
                 .wave_interval_us = absl::ToInt64Microseconds(settings.commit_interval)}),
      clock_(absl::ToInt64Microseconds(settings.max_clock_step),
             settings.state_ttl > absl::ZeroDuration()),
      ticks_(absl::ToInt64Microseconds(settings.batch_duration),
             settings.max_rate_per_partition == 0 ? 0 : kLeastRatedIntervalUs),
      snapshots_(StateOfPlan{.engine_version = history_.plan().engine_version(),
                             .key_groups = history_.plan().key_groups(),
                             .operators = options_.operators},
                 absl::ToInt64Microseconds(settings.checkpoint_interval),
                 options_.snapshot_timeout_us),
      excluded_(options_.first_exclusion_us, options_.max_exclusion_us) {
  if (epoch_ > Epoch(0)) {
    epoch_reason_ = "resumed";
  }
  if (options_.settle) {
    stop_ = StopRequested::How::kDrain;
  }
  LoadPartitions();
}

// Sets everything that is planned to where the history ends, and planning goes on there. Plans of
// an abandoned epoch that did not become durable are dropped by that.
void JobState::LoadPartitions() {
  partitions_.Load(history_);
  pipeline_.PlanAfter(history_.last_planned());
  clock_.Restore(history_.last_batch_time_us());
}

std::vector<JobAction> JobState::Handle(const JobEvent& event, Moment now) {
  now_ = now;
  if (stage_ != Stage::kOver) {
    std::visit([this](const auto& e) { On(e); }, event);
    Advance();
  }
  return std::move(actions_);
}

void JobState::On(const TimerFired&) {}

void JobState::On(const MembersChanged& event) {
  live_ = event.members;
  std::sort(live_.begin(), live_.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  excluded_.KeepLive(live_);
  if (!InEpoch()) {
    return;
  }
  const auto is_live = [&](const ExecutorId& id) {
    const auto live = std::lower_bound(live_.begin(), live_.end(), id,
                                       [](const MembersChanged::Member& one,
                                          const ExecutorId& wanted) { return one.id < wanted; });
    return live != live_.end() && live->id == id;
  };
  for (const Member& member : members_) {
    if (!is_live(member.id)) {
      Fail(absl::UnavailableError("its connection ended or it was silent for too long"),
           FailureKind::kEnvironment, absl::StrCat("executor ", member.name, " was lost"));
      return;
    }
  }
  if (MembershipWantsNewEpoch()) {
    rebalance_at_us_ = std::min(rebalance_at_us_, now_.mono_us + options_.join_delay_us);
  }
}

// Whether an executor outside of the epoch may join, or a member of the epoch wants to leave.
bool JobState::MembershipWantsNewEpoch() const {
  return std::any_of(live_.begin(), live_.end(), [this](const MembersChanged::Member& live) {
    return MemberIndex(live.id).has_value() ? live.leaving : MayJoin(live);
  });
}

bool JobState::CanJoin(const MembersChanged::Member& live) { return !live.away && !live.leaving; }

bool JobState::MayJoin(const MembersChanged::Member& live) const {
  return CanJoin(live) && !excluded_.IsExcluded(live.id, now_.mono_us);
}

bool JobState::AnyoneCanJoin() const { return std::any_of(live_.begin(), live_.end(), CanJoin); }

// Sends again what the executor has not answered; the executor ignores what it received before.
void JobState::On(const MemberReconnected& event) {
  const std::optional<size_t> member = MemberIndex(event.id);
  if (!member.has_value()) {
    return;
  }
  if (stage_ == Stage::kStartingEpoch && !members_[*member].ready) {
    SendStart(*member, CommonStart(), Shares()[*member]);
  }
  // The snapshot goes before the batch, as it did the first time: it is cut before the batch runs.
  if (snapshots_.IsOwedBy(*member)) {
    SendTakeSnapshot(*member);
  }
  if (stage_ == Stage::kFinishing && !members_[*member].stopped) {
    SendStop(*member);
  }
  if (pipeline_.IsRunning() && !pipeline_.in_flight().back().prepared.Has(*member)) {
    proto::DriverMessage message;
    *message.mutable_run_batch() =
        std::move(RunBatchMessages(pipeline_.in_flight().back())[*member]);
    Send(*member, std::move(message));
  }
  if (pipeline_.wave() != nullptr && !pipeline_.wave()->committed.Has(*member)) {
    SendCommit(*member);
  }
}

void JobState::On(const ExecutorReported& event) {
  const std::optional<size_t> member = MemberIndex(event.from);
  if (!member.has_value()) {
    return;
  }
  const proto::ExecutorMessage& message = event.message;
  const int64_t epoch = epoch_.value();
  // Messages of lower epochs were on their way when this one began.
  if (message.has_epoch_ready() && message.epoch_ready().epoch() == epoch) {
    OnEpochReady(*member, message.epoch_ready());
  } else if (message.has_source_progress() && message.source_progress().epoch() == epoch) {
    partitions_.On(message.source_progress());
  } else if (message.has_batch_prepared() && message.batch_prepared().epoch() == epoch) {
    OnPrepared(*member, message.batch_prepared());
  } else if (message.has_batch_committed() && message.batch_committed().epoch() == epoch) {
    OnCommitted(*member, message.batch_committed());
  } else if (message.has_snapshot_written() && message.snapshot_written().epoch() == epoch) {
    OnSnapshotWritten(*member, message.snapshot_written());
  } else if (message.has_epoch_stopped() && message.epoch_stopped().epoch() == epoch) {
    OnEpochStopped(*member);
  } else if (message.has_epoch_failed() && message.epoch_failed().epoch() == epoch && InEpoch()) {
    OnEpochFailed(*member, message.epoch_failed());
  }
}

void JobState::On(const JobBroken& event) {
  if (stage_ < Stage::kEnding) {
    End(proto::JobEnded::FAILED, std::string(ToStd(event.cause.message())));
  }
}

void JobState::On(const RecordDurable& event) {
  MILLRACE_CHECK(!undurable_.empty() && undurable_.front().first == event.id)
      << "journal acknowledged out of order";
  const absl::Status applied = history_.Apply(undurable_.front().second);
  MILLRACE_CHECK(applied.ok()) << "the state machine journaled what does not follow: "
                               << applied.ToString();
  ReportRetired(undurable_.front().second.partitions_changed());
  undurable_.pop_front();
  FinishDurable();
  FinishSnapshot();
  if (stage_ == Stage::kJournalingEpoch && event.id == epoch_record_) {
    epoch_durable_ = true;
    StartEpochIfProven();
    return;
  }
  if (stage_ == Stage::kStartingEpoch && event.id == abandoned_record_) {
    TakeBackPlans();
    EnterRunning();
    return;
  }
  if (stage_ == Stage::kEnding && event.id == ended_record_) {
    Enter(Stage::kOver);
    actions_.push_back(JobOver{ending_.how(), ending_.message()});
  }
}

// The history stays at the last durable record. The end is not journaled: nothing can be.
void JobState::On(const JournalFailed& event) {
  StopEpochOnMembers();
  pipeline_.Discard();
  undurable_.clear();
  Enter(Stage::kOver);
  const bool refused = absl::IsDataLoss(event.cause) || absl::IsFailedPrecondition(event.cause);
  const std::string_view way_out = absl::IsAborted(event.cause) ? "; there"
                                   : refused                    ? "; submit the job again: it"
                                             : "; make room, then submit the job again: it";
  message_ = absl::StrCat(refused ? "the journal refused what does not follow from it: "
                                  : "the journal could not be written: ",
                          ToAbsl(ToStd(event.cause.message())), ToAbsl(way_out),
                          " goes on after batch ", history_.last_committed().value());
  actions_.push_back(JobOver{proto::JobEnded::FAILED, message_});
}

void JobState::On(const StopRequested& event) {
  if (stage_ >= Stage::kEnding) {
    return;
  }
  // A cancel replaces a drain, never the other way round. An interrupt replaces a drain that
  // settles the job, since settling may take for ever and the driver is going down: the next
  // submission settles the job again.
  if (!stop_.has_value() || event.how == StopRequested::How::kCancel ||
      (Settling() && event.how == StopRequested::How::kInterrupt)) {
    stop_ = event.how;
  }
}

void JobState::On(const ResultsHeld& event) { results_held_ = event.held; }
void JobState::On(const SnapshotRequested&) { snapshots_.Request(); }

void JobState::Enter(Stage stage) {
  stage_ = stage;
  stage_since_us_ = now_.mono_us;
}

void JobState::Advance() {
  ChangePartitions();
  AdvanceStage();
  if (stage_ == Stage::kRunning) {
    AdvanceBatches();
  }
  CheckStop();
  // An executor that was excluded for a while may be tried again.
  if (stage_ == Stage::kRunning && rebalance_at_us_ == kNever && MembershipWantsNewEpoch()) {
    rebalance_at_us_ = now_.mono_us + options_.join_delay_us;
  }
  // The epoch has reached the batch boundary that a joining executor waits for. A snapshot comes
  // first, so that no batch need be run again.
  if (stage_ == Stage::kRunning && RebalanceDue() && pipeline_.IsEmpty() && SecureState()) {
    rebalance_at_us_ = kNever;
    epoch_reason_ = "executors joined or left";
    epoch_is_restart_ = false;
    AbandonEpoch();
    AdvanceStage();
  }
}

void JobState::AdvanceStage() {
  const int64_t waited_us = now_.mono_us - stage_since_us_;
  switch (stage_) {
    case Stage::kWaitingToRetry:
      if (now_.mono_us < retry_at_us_) {
        return;
      }
      Enter(Stage::kWaitingForMembers);
      [[fallthrough]];
    case Stage::kWaitingForMembers:
      if (bounded_ && ReachedStop() && !HasOutput() && !Settling()) {
        End(proto::JobEnded::FINISHED, "");  // there was nothing to read
      } else if (!AnyoneCanJoin()) {
        message_ = absl::StrCat(
            "waits for executors: none is registered with this driver; start one with "
            "millrace-executor --driver ",
            options_.driver_address.empty() ? "ADDRESS" : options_.driver_address);
      } else if (!stop_.has_value() || Settling()) {
        BeginEpoch();
      }
      return;
    case Stage::kStartingEpoch:
      if (waited_us >= options_.ready_timeout_us) {
        Fail(absl::DeadlineExceededError(absl::StrCat("not every executor was ready after ",
                                                      options_.ready_timeout_us / 1'000'000, " s")),
             FailureKind::kEnvironment, "start of the epoch");
      }
      return;
    case Stage::kFinishing:
      if (waited_us >= options_.finish_timeout_us) {
        Fail(absl::DeadlineExceededError("not every executor has settled its sinks"),
             FailureKind::kEnvironment, "the end of the job");
      }
      return;
    case Stage::kJournalingEpoch:
      if (KeepsSnapshots() && !store_mark_.has_value() && waited_us >= options_.ready_timeout_us) {
        RetryForStore(absl::StrCat("the driver has not been able to write to ", StoreName(),
                                   " within ", options_.ready_timeout_us / 1'000'000, " s"));
      }
      return;
    case Stage::kCheckingSnapshot:
      if (waited_us >= options_.snapshot_timeout_us) {
        RetryForStore(absl::StrCat("the driver has not been able to read ", StoreName(), " within ",
                                   options_.snapshot_timeout_us / 1'000'000, " s"));
      }
      return;
    case Stage::kRunning:
    case Stage::kEnding:
    case Stage::kOver:
      return;
  }
}

void JobState::OnEpochStopped(size_t member) {
  if (stage_ != Stage::kFinishing) {
    return;
  }
  members_[member].stopped = true;
  if (std::all_of(members_.begin(), members_.end(), [](const Member& m) { return m.stopped; })) {
    End(Settling() ? proto::JobEnded::STOPPED : proto::JobEnded::FINISHED, "");
  }
}

// Everything in flight is void. The plans are in the journal, or will be before the next epoch's
// record is.
void JobState::AbandonEpoch() {
  StopEpochOnMembers();
  pipeline_.EndEpoch();
  members_.clear();
  member_index_.clear();
  claimed_ = {};
  visible_.clear();
  visible_through_ = BatchId();
  snapshots_.Abandon();
  partitions_.EndEpoch();
  rebalance_at_us_ = kNever;
  Enter(Stage::kWaitingForMembers);
}

void JobState::CheckStop() {
  if (!stop_.has_value() || stage_ >= Stage::kEnding) {
    return;
  }
  if (*stop_ == StopRequested::How::kCancel) {
    End(proto::JobEnded::CANCELLED, "");
    return;
  }
  if (stage_ == Stage::kFinishing) {
    return;  // it is about to end as FINISHED
  }
  if (Settling()) {
    return;  // a settling job ends by itself
  }
  // A stop need not wait for replays that only rebuild state, for a stage in which no executor
  // works, nor for settling: the next start does all of that again.
  if (stage_ == Stage::kRunning && pipeline_.HasUnsuppressed()) {
    return;
  }
  if (stage_ == Stage::kRunning && pipeline_.in_flight().empty() &&
      !(pipeline_.IsEmpty() && (options_.settle || SecureState()))) {
    return;
  }
  if (*stop_ == StopRequested::How::kDrain) {
    End(proto::JobEnded::STOPPED, "");
  } else if (undurable_.empty()) {
    StopEpochOnMembers();
    Enter(Stage::kOver);
    message_.clear();
    actions_.push_back(JobOver{proto::JobEnded::UNKNOWN, ""});
  }
}

void JobState::End(proto::JobEnded::How how, const std::string& message) {
  AbandonEpoch();
  Enter(Stage::kEnding);
  message_ = Excerpt(message);
  proto::JournalRecord record = BuildJobEnded(Origin(), how, message_, now_.wall_us);
  ending_ = record.job_ended();
  ended_record_ = Append(std::move(record));
}

// Members do not hear of an epoch that is not durable yet: none of them works for it, and another
// epoch may get its number.
void JobState::StopEpochOnMembers() {
  if (!InEpoch() || stage_ == Stage::kJournalingEpoch) {
    return;
  }
  for (size_t m = 0; m < members_.size(); ++m) {
    SendStop(m);
  }
}

void JobState::SendStop(size_t member) {
  proto::DriverMessage message;
  message.mutable_stop_epoch()->set_job_id(history_.job_id());
  message.mutable_stop_epoch()->set_epoch(epoch_.value());
  message.mutable_stop_epoch()->set_durable_batch(history_.last_committed().value());
  Send(member, std::move(message));
}

bool JobState::InEpoch() const {
  return stage_ == Stage::kJournalingEpoch || stage_ == Stage::kStartingEpoch ||
         stage_ == Stage::kRunning || stage_ == Stage::kFinishing;
}

std::optional<size_t> JobState::MemberIndex(const ExecutorId& id) const {
  const auto found = member_index_.find(id);
  return found == member_index_.end() ? std::nullopt : std::optional(found->second);
}

int64_t JobState::Append(proto::JournalRecord record) {
  const int64_t id = next_record_id_++;
  undurable_.emplace_back(id, record);
  actions_.push_back(AppendRecord{id, std::move(record)});
  return id;
}

void JobState::Send(size_t member, proto::DriverMessage message) {
  actions_.push_back(SendToExecutor{members_[member].id, std::move(message)});
}

}  // namespace millrace::driver
