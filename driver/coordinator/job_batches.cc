// The pipeline of batches within an epoch: planning, running, committing.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "driver/coordinator/job_state.h"
#include "driver/coordinator/split_planner.h"

namespace millrace::driver {
namespace {

constexpr int64_t kSecondUs = 1'000'000;

// How many batches may be uncommitted: one runs while another one commits. More batches may wait,
// and then commit together, while the sinks hold little for them.
constexpr size_t kUncommitted = 2;
constexpr size_t kMaxUncommitted = 32;

// Whether a batch that ran again has read what it had read when it was committed.
absl::Status CompareWithCommitted(const BatchPipeline::Batch& batch,
                                  const PartitionTable& partitions) {
  for (const SplitDigest& digest : batch.plan.committed) {
    const auto report = batch.reports.find(digest.ordinal);
    const bool found = report != batch.reports.end();
    if (found && report->second.records() == digest.records &&
        report->second.input_hash() == digest.input_hash.value_or(report->second.input_hash())) {
      continue;
    }
    const auto split =
        std::find_if(batch.plan.splits.begin(), batch.plan.splits.end(),
                     [&](const PlannedSplit& s) { return s.ordinal == digest.ordinal; });
    const std::string range = split == batch.plan.splits.end()
                                  ? ""
                                  : absl::StrCat(" offsets ", split->begin, " to ", split->end);
    return absl::DataLossError(absl::StrCat(
        "batch ", batch.plan.batch.value(),
        " cannot be run again: ", partitions[digest.ordinal].name, range, " had ", digest.records,
        " records when it was committed and has ", found ? report->second.records() : 0,
        found && report->second.records() == digest.records ? " other ones" : "",
        " now; the source was compacted, truncated or created again, so the job's state cannot be "
        "rebuilt from it. "
        "Cancel the job and submit it again to start anew"));
  }
  return absl::OkStatus();
}

}  // namespace

void JobState::AdvanceBatches() {
  CheckStepDeadlines();
  if (stage_ != Stage::kRunning) {
    return;
  }
  FinishSuppressed();
  if (stage_ != Stage::kRunning) {
    return;
  }
  SendCommits();
  NoteInput();
  TellClockTrouble();
  SnapshotIfDue();
  if (HasRoom() && (!Quiescing() || Settling()) && !RunNextReplay() && !Quiescing()) {
    PlanNext();
  }
  FinishIfDone();
}

// Begins a new epoch when an executor is alive but does not finish its step by the deadline:
// nothing else helps.
void JobState::CheckStepDeadlines() {
  const absl::Status late = pipeline_.CheckDeadline(now_.mono_us);
  if (!late.ok()) {
    Fail(late, FailureKind::kEnvironment,
         absl::StrCat("batch ", pipeline_.in_flight().front().plan.batch.value()));
  }
}

// A suppressed batch is over once it is prepared: its output was committed in an earlier epoch.
void JobState::FinishSuppressed() {
  while (const BatchPipeline::Batch* batch = pipeline_.rebuilt()) {
    if (absl::Status same = CompareWithCommitted(*batch, partitions_); !same.ok()) {
      End(proto::JobEnded::FAILED, std::string(ToStd(same.message())));
      return;
    }
    pipeline_.PopRebuilt();
  }
}

void JobState::FinishDurable() {
  while (std::optional<BatchDone> done =
             pipeline_.TakeDone(history_.last_committed(), now_.mono_us)) {
    if (failures_.Clear()) {
      message_.clear();
    }
    one_batch_at_a_time_ = false;
    actions_.push_back(*std::move(done));
  }
}

// Sends the commits of a wave: all batches that are prepared, one wave at a time. The plans of
// these batches and the claims of their shards must be durable first: from the commit on, the
// outside world may see the batches.
void JobState::SendCommits() {
  if (history_.last_opened() != epoch_) {
    return;
  }
  const bool input_ends = bounded_ && partitions_.IsPlannedToStop();
  if (pipeline_.BeginWave(history_.last_planned(), DurableRecord(), input_ends, now_.mono_us) ==
      nullptr) {
    return;
  }
  for (size_t m = 0; m < members_.size(); ++m) {
    SendCommit(m);
  }
}

void JobState::SendCommit(size_t member) {
  proto::DriverMessage message;
  message.mutable_commit_batch()->set_job_id(history_.job_id());
  message.mutable_commit_batch()->set_epoch(epoch_.value());
  message.mutable_commit_batch()->set_batch(pipeline_.wave()->through.value());
  message.mutable_commit_batch()->set_durable_batch(history_.last_committed().value());
  message.mutable_commit_batch()->set_finish(pipeline_.wave()->finish);
  Send(member, std::move(message));
}

bool JobState::HasRoom() const {
  const bool holds_much = std::any_of(members_.begin(), members_.end(), [](const Member& member) {
    return member.held_bytes > BatchSizer::LittleHeldBytes(member.memory_bytes);
  });
  const size_t uncommitted = holds_much ? kUncommitted : kMaxUncommitted;
  return !results_held_ && pipeline_.HasRoom(one_batch_at_a_time_ ? 1 : uncommitted);
}

bool JobState::Quiescing() const { return stop_.has_value() || RebalanceDue(); }

// Never during a replay: the new epoch would have to begin the replay anew.
bool JobState::RebalanceDue() const {
  return now_.mono_us >= rebalance_at_us_ && !pipeline_.IsReplaying();
}

bool JobState::RunNextReplay() {
  if (!pipeline_.IsReplaying()) {
    return false;
  }
  BatchPipeline::Batch batch = pipeline_.TakeReplay();
  batch.done.tick_us = now_.mono_us;
  Launch(std::move(batch));
  return true;
}

bool JobState::HasInput() const {
  return (runs_empty_first_ && pipeline_.last_planned() == BatchId(0)) || partitions_.HasInput();
}

void JobState::NoteInput() {
  if (!ticks_.HasInput() && HasInput()) {
    ticks_.NoteInput(now_.mono_us);
  }
}

// Reports trouble with the clock once each time that it begins.
void JobState::TellClockTrouble() {
  const std::string trouble = clock_.Trouble(now_);
  if (!trouble.empty() && !clock_trouble_told_) {
    actions_.push_back(ClockDistrusted{trouble});
  }
  clock_trouble_told_ = !trouble.empty();
}

int64_t JobState::NextLaunchUs() const {
  if (pipeline_.IsReplaying()) {
    return now_.mono_us;
  }
  const int64_t due_us = ticks_.DueUs(WakeDueUs());
  // While the clock forbids planning, look again after a while: no event tells when somebody sets
  // it right.
  return due_us == kNever || clock_.MayPlan(now_) ? due_us
                                                  : std::max(due_us, now_.mono_us + kSecondUs);
}

// When an executor wants a batch although there is no input. A wish for a time up to that of the
// last planned batch is met by that batch.
int64_t JobState::WakeDueUs() const {
  int64_t due_us = kNever;
  const int64_t batch_time_us = clock_.Read(now_);
  for (const Member& member : members_) {
    if (member.wake_at_us > clock_.last_us()) {
      // An overdue wish lies in the past and stays there: it must not move on with the clock.
      due_us = std::min(due_us, now_.mono_us + (member.wake_at_us - batch_time_us));
    }
  }
  return due_us;
}

bool JobState::PlanNext() {
  const int64_t due_us = ticks_.DueUs(WakeDueUs());
  if (due_us == kNever || now_.mono_us < due_us || !clock_.MayPlan(now_)) {
    return false;
  }
  if (WakeDueUs() > now_.mono_us && partitions_.IsHeldByRate(now_.mono_us)) {
    ticks_.Planned(due_us, /*backlog=*/false, now_.mono_us);
    NoteInput();
    return false;
  }
  PlanBatch(due_us);
  return true;
}

void JobState::PlanBatch(int64_t due_us) {
  BatchPipeline::Batch batch;
  batch.plan.batch = pipeline_.last_planned().Next();
  batch.plan.batch_time_us = clock_.Read(now_);
  batch.done.tick_us = due_us;
  bool backlog = false;
  if (!pipeline_.IsFinish(batch.plan.batch)) {
    AdmitNewPartitions(&batch);
    AddSplits(&batch, &backlog);
  }
  clock_.NotePlanned(now_, batch.plan.batch_time_us);

  std::vector<proto::Split> splits;
  splits.reserve(batch.plan.splits.size());
  for (const PlannedSplit& split : batch.plan.splits) {
    splits.push_back(partitions_.Describe(split));
    if (const int64_t seen_end = partitions_[split.ordinal].stable_end; seen_end > split.end) {
      splits.back().set_seen_end(seen_end);
    }
  }
  std::vector<uint32_t> slots;
  slots.reserve(batch.new_partitions.size());
  for (const proto::PartitionStart& start : batch.new_partitions) {
    slots.push_back(partitions_[start.ordinal()].owner);
  }
  batch.retired = partitions_.TakeRetiredUntold();
  Append(BuildBatchPlanned(Origin(), batch.plan.batch, batch.plan.batch_time_us,
                           history_.plan().parallelism(), splits, batch.new_partitions, slots));
  Launch(std::move(batch));
  ticks_.Planned(due_us, backlog, now_.mono_us);
}

void JobState::AddSplits(BatchPipeline::Batch* batch, bool* backlog) {
  batch->budget = controller_.Budget(partitions_.CountRead());
  const SplitShares shares = ShareInput(batch->budget);
  batch->plan.splits = partitions_.Plan(shares.offsets);
  *backlog = shares.cut_by_budget;
}

// Shares the input by time over all partitions, then cuts it by bytes for each executor: one
// partition may hold the whole backlog, and then its owner reads the whole batch.
SplitShares JobState::ShareInput(int64_t budget) {
  const std::vector<SplitDemand> demands = partitions_.Demands(sizer_, now_.mono_us);
  std::vector<int64_t> bytes_of_owner;
  bytes_of_owner.reserve(members_.size());
  for (const Member& member : members_) {
    bytes_of_owner.push_back(BatchSizer::BatchBytes(member.memory_bytes));
  }
  return CutToBytes(demands, bytes_of_owner, ShareBudget(demands, budget));
}

void JobState::Launch(BatchPipeline::Batch batch) {
  const BatchPipeline::Batch& launched = pipeline_.Launch(std::move(batch), now_.mono_us);
  std::vector<proto::RunBatch> runs = RunBatchMessages(launched);
  for (size_t m = 0; m < members_.size(); ++m) {
    proto::DriverMessage message;
    *message.mutable_run_batch() = std::move(runs[m]);
    Send(m, std::move(message));
  }
}

// One pass over the splits, for any number of members.
std::vector<proto::RunBatch> JobState::RunBatchMessages(const BatchPipeline::Batch& batch) const {
  std::vector<proto::RunBatch> runs(members_.size());
  for (proto::RunBatch& run : runs) {
    run.set_job_id(history_.job_id());
    run.set_epoch(epoch_.value());
    run.set_batch(batch.plan.batch.value());
    run.set_batch_time_us(batch.plan.batch_time_us);
    run.set_durable_batch(history_.last_committed().value());
  }
  for (const PlannedSplit& split : batch.plan.splits) {
    const uint32_t owner = partitions_[split.ordinal].owner;
    MILLRACE_CHECK(owner < runs.size()) << "nobody owns partition " << split.ordinal;
    *runs[owner].add_splits() = partitions_.Describe(split);
  }
  for (const proto::PartitionStart& start : batch.new_partitions) {
    proto::RunBatch& run = runs[partitions_[start.ordinal()].owner];
    *run.add_new_partitions() = start;
    // A partition that was retired and is read again has shards with markers.
    for (int sink = 0; sink < history_.plan().sinks_size(); ++sink) {
      const auto marker = history_.markers().find({static_cast<uint32_t>(sink), start.ordinal()});
      if (marker != history_.markers().end()) {
        *run.add_markers() = marker->second;
      }
    }
  }
  for (const uint32_t ordinal : batch.retired) {
    const PartitionTable::Partition& partition = partitions_[ordinal];
    if (partition.retired && partition.owner != PartitionTable::kNoOwner) {
      proto::PartitionKey* retired = runs[partition.owner].add_retired_partitions();
      retired->set_source(partition.source);
      retired->set_partition(partition.name);
    }
  }
  if (!batch.suppressed) {
    AddVisible(batch.plan.batch, &runs);
  }
  return runs;
}

// Tells the owners of shards whose output of the batch is visible already. Shards of one sink that
// were judged by the same terms go together.
void JobState::AddVisible(BatchId batch, std::vector<proto::RunBatch>* runs) const {
  if (batch > visible_through_) {
    return;
  }
  for (const auto& [place, entries] : visible_) {
    const VisibleUpto* const covered = FindVisible(entries, batch);
    if (covered == nullptr) {
      continue;
    }
    const auto [sink, shard] = place;
    const uint32_t owner = OwnerOf(sink, shard);
    if (owner == PartitionTable::kNoOwner) {
      continue;  // a partition that no batch reads any more
    }
    auto& of_owner = *(*runs)[owner].mutable_visible();
    if (of_owner.empty() || of_owner.rbegin()->sink() != sink ||
        of_owner.rbegin()->terms() != covered->terms) {
      of_owner.Add()->set_sink(sink);
      of_owner.rbegin()->set_terms(covered->terms);
    }
    of_owner.rbegin()->add_shards(shard);
  }
}

// The member that writes a shard of a sink of a group.
uint32_t JobState::OwnerOf(uint32_t sink, uint32_t shard) const {
  if (history_.plan().sinks(static_cast<int>(sink)).keyed()) {
    return shard < shard_owners_.size() ? shard_owners_[shard] : PartitionTable::kNoOwner;
  }
  return shard < partitions_.size() ? partitions_[shard].owner : PartitionTable::kNoOwner;
}

void JobState::OnPrepared(size_t member, const proto::BatchPrepared& prepared) {
  BatchPipeline::Batch* const batch = pipeline_.OnPrepared(member, BatchId(prepared.batch()));
  if (batch == nullptr) {
    return;
  }
  members_[member].held_bytes = prepared.held_bytes();
  members_[member].wake_at_us = prepared.wake_at_us();
  for (const proto::SplitReport& report : prepared.splits()) {
    const std::optional<uint32_t> ordinal =
        partitions_.OrdinalOf(report.key().source(), report.key().partition());
    if (!ordinal.has_value()) {
      Fail(absl::InternalError(absl::StrCat("an executor reported ", report.key().partition(),
                                            ", which is not the job's")),
           FailureKind::kCertain, absl::StrCat("batch ", prepared.batch()));
      return;
    }
    partitions_.OnRead(*ordinal, report, /*is_new=*/batch->budget > 0);
    batch->Add(*ordinal, report);
  }
  batch->Add(prepared);
  if (batch->prepared.AreComplete()) {
    FinishPreparing(batch);
  }
}

// All members have prepared the batch: learns from it, and journals what has been claimed for it.
void JobState::FinishPreparing(BatchPipeline::Batch* batch) {
  pipeline_.FinishPreparing(batch, now_.mono_us);
  if (!batch->claimed.empty()) {
    batch->claims_record = Append(BuildShardsClaimed(Origin(), std::exchange(batch->claimed, {})));
  }
  const BatchDone& done = batch->done;
  if (!batch->suppressed) {
    sizer_.OnBatch(done.records, done.bytes, done.held_bytes);
  }
  if (batch->budget > 0) {
    controller_.OnBatch(batch->budget, OffsetsOf(batch->plan), done.prepared_us - done.planned_us);
  }
}

void JobState::OnCommitted(size_t member, const proto::BatchCommitted& committed) {
  if (!pipeline_.OnCommitted(member, committed)) {
    return;
  }
  members_[member].wake_at_us = committed.wake_at_us();
  std::optional<BatchPipeline::Wave> wave = pipeline_.TakeCommittedWave();
  if (!wave.has_value()) {
    return;
  }
  // The markers are those after the last batch of the wave, and they go into the record of its
  // first batch. So the journal never counts a batch as committed before it knows the markers,
  // whichever part of the records becomes durable. If only a part does, the other batches of the
  // wave run again, and the rows that the markers cover are not written again.
  while (const BatchDone* done = pipeline_.MoveToJournal(wave->through, now_.mono_us)) {
    Append(
        BuildBatchCommitted(Origin(), done->batch, done->splits, std::exchange(wave->marks, {})));
  }
}

// Ends a bounded job, or settling, in four steps. Everything is committed. The sinks are told with
// a last commit that no more rows come; a job that does not know its last batch in advance plans an
// empty one for that. The state is secured in a snapshot. Sinks then rename what they have closed,
// before the job is called over.
void JobState::FinishIfDone() {
  if (stage_ != Stage::kRunning || stop_ == StopRequested::How::kCancel ||
      !(Settling() || (bounded_ && ReachedStop())) || !pipeline_.IsEmpty() ||
      pipeline_.IsReplaying()) {
    return;
  }
  if (HasOutput() && !pipeline_.IsFinishCommitted()) {
    pipeline_.PlanFinish();
    PlanBatch(now_.mono_us);
    return;
  }
  if (!undurable_.empty() || !SecureState()) {
    return;
  }
  StopEpochOnMembers();
  Enter(Stage::kFinishing);
}

bool JobState::HasOutput() const {
  return history_.last_committed().value() > history_.submitted().base_batch();
}

bool JobState::ReachedStop() const {
  return !(runs_empty_first_ && history_.last_committed() == BatchId(0)) &&
         partitions_.IsCommittedToStop(history_);
}

}  // namespace millrace::driver
