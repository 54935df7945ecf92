#include "driver/coordinator/job_history.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "driver/coordinator/plan_folding.h"

namespace millrace::driver {
namespace {

constexpr char kOnDataLoss[] = "on_data_loss";
constexpr char kOnLostMarker[] = "on_lost_marker";

// Copies the option from `next` into `now`, table by table.
template <typename Tables>
void TakeOption(const char* option, const Tables& next, Tables* now) {
  for (int i = 0; i < std::min(now->size(), next.size()); ++i) {
    const auto wanted = next[i].options().find(option);
    if (wanted != next[i].options().end()) {
      (*(*now)[i].mutable_options())[option] = wanted->second;
    }
  }
}

}  // namespace

bool SkipsLostData(const proto::Source& table) {
  const auto choice = table.options().find(kOnDataLoss);
  return choice != table.options().end() && choice->second == "skip";
}

const std::string& JobIdOf(const proto::JournalRecord& record) {
  static const std::string* const none = new std::string();
  switch (record.record_case()) {
    case proto::JournalRecord::kJobSubmitted:
      return record.job_submitted().job_id();
    case proto::JournalRecord::kEpochStarted:
      return record.epoch_started().job_id();
    case proto::JournalRecord::kBatchPlanned:
      return record.batch_planned().job_id();
    case proto::JournalRecord::kBatchCommitted:
      return record.batch_committed().job_id();
    case proto::JournalRecord::kJobEnded:
      return record.job_ended().job_id();
    case proto::JournalRecord::kEpochOpened:
      return record.epoch_opened().job_id();
    case proto::JournalRecord::kSnapshotCompleted:
      return record.snapshot_completed().job_id();
    case proto::JournalRecord::kSnapshotDropped:
      return record.snapshot_dropped().job_id();
    case proto::JournalRecord::kBatchesAbandoned:
      return record.batches_abandoned().job_id();
    case proto::JournalRecord::kPartitionsChanged:
      return record.partitions_changed().job_id();
    case proto::JournalRecord::kJobCheckpoint:
      return record.job_checkpoint().submitted().job_id();
    case proto::JournalRecord::kCheckpointPlans:
      return record.checkpoint_plans().job_id();
    case proto::JournalRecord::kJobForgotten:
      return record.job_forgotten().job_id();
    case proto::JournalRecord::kHeader:
    case proto::JournalRecord::kCheckpointEnd:
      break;
    case proto::JournalRecord::RECORD_NOT_SET:
      return record.about_job();
  }
  return *none;
}

int64_t OffsetsOf(const PlannedBatch& batch) {
  int64_t offsets = 0;
  for (const PlannedSplit& split : batch.splits) {
    offsets += split.end - split.begin;
  }
  return offsets;
}

JobHistory::JobHistory(proto::JobSubmitted submitted)
    : submitted_(std::move(submitted)),
      last_planned_(submitted_.base_batch()),
      last_committed_(submitted_.base_batch()),
      last_batch_time_us_(submitted_.base_batch_time_us()) {
  first_error_ = CheckNewPartitions(submitted_.partitions().begin(), submitted_.partitions().end());
  for (const proto::PartitionStart& partition : submitted_.partitions()) {
    AddPartition(partition);
  }
}

absl::Status JobHistory::Apply(const proto::JournalRecord& record) {
  RETURN_IF_ERROR(first_error_);
  switch (record.record_case()) {
    case proto::JournalRecord::kJobSubmitted:
      return ApplySubmitted(record.job_submitted());
    case proto::JournalRecord::kEpochStarted:
      return ApplyEpoch(record.epoch_started());
    case proto::JournalRecord::kBatchPlanned:
      return ApplyPlanned(record.batch_planned());
    case proto::JournalRecord::kBatchCommitted:
      return ApplyCommitted(record.batch_committed());
    case proto::JournalRecord::kJobEnded:
      return ApplyEnded(record.job_ended());
    case proto::JournalRecord::kEpochOpened:
      return ApplyOpened(record.epoch_opened());
    case proto::JournalRecord::kSnapshotCompleted:
      return ApplySnapshot(record.snapshot_completed());
    case proto::JournalRecord::kSnapshotDropped:
      return ApplyDropped(record.snapshot_dropped());
    case proto::JournalRecord::kBatchesAbandoned:
      return ApplyAbandoned(record.batches_abandoned());
    case proto::JournalRecord::kPartitionsChanged:
      return ApplyChanged(record.partitions_changed());
    case proto::JournalRecord::kHeader:
    case proto::JournalRecord::kJobCheckpoint:
    case proto::JournalRecord::kCheckpointPlans:
    case proto::JournalRecord::kCheckpointEnd:
    case proto::JournalRecord::kJobForgotten:
      return Broken("a record that does not stand among those of a job");
    case proto::JournalRecord::RECORD_NOT_SET:
      break;
  }
  return Broken("a record of a kind that this version does not know");
}

// Applies a submission that resumes the job: it may change settings and bounds, but not what
// earlier batches have written outside.
absl::Status JobHistory::ApplySubmitted(const proto::JobSubmitted& submitted) {
  if (submitted.incarnation() != submitted_.incarnation()) {
    return Broken(absl::StrCat("resumed as incarnation ", submitted.incarnation(), ", but it is ",
                               submitted_.incarnation()));
  }
  if (last_planned_ != last_committed_ && submitted.plan().parallelism() != plan().parallelism()) {
    return Broken(
        absl::StrCat("parallelism changed while batch ", last_planned_.value(), " was in doubt"));
  }
  // Known partitions keep their offsets; partitions found since then begin now.
  const auto first_new =
      submitted.partitions().begin() +
      std::min(static_cast<int>(partitions_.size()), submitted.partitions_size());
  RETURN_IF_ERROR(CheckNewPartitions(first_new, submitted.partitions().end()));
  for (const uint32_t ordinal : submitted.reopened_partitions()) {
    RETURN_IF_ERROR(CheckReopened(ordinal));
  }
  for (const proto::RetiredPartition& retired : submitted.retired_partitions()) {
    RETURN_IF_ERROR(CheckRetired(retired));
  }
  submitted_ = submitted;
  opened_before_submission_ = last_opened_;
  ended_.reset();
  for (auto partition = first_new; partition != submitted.partitions().end(); ++partition) {
    AddPartition(*partition);
  }
  if (!plan().running_state()) {
    DropState();
  }
  for (const uint32_t ordinal : submitted.reopened_partitions()) {
    Reopen(ordinal);
  }
  for (const proto::RetiredPartition& retired : submitted.retired_partitions()) {
    Retire(retired);
  }
  return absl::OkStatus();
}

absl::Status JobHistory::CheckRetired(const proto::RetiredPartition& retired) const {
  const uint32_t ordinal = retired.ordinal();
  if (ordinal >= partitions_.size()) {
    return Broken(absl::StrCat("unknown partition ", ordinal, " is retired"));
  }
  if (planned_to_[ordinal] != committed_to_[ordinal]) {
    return Broken(absl::StrCat("partition ", partitions_[ordinal].name, " is retired at ",
                               committed_to_[ordinal], ", but planned to ", planned_to_[ordinal]));
  }
  return absl::OkStatus();
}

void JobHistory::Retire(const proto::RetiredPartition& retired) {
  partitions_[retired.ordinal()].retired = true;
  partitions_[retired.ordinal()].why = retired.reason();
}

absl::Status JobHistory::CheckReopened(uint32_t ordinal) const {
  return ordinal < partitions_.size() && partitions_[ordinal].retired
             ? absl::OkStatus()
             : Broken(absl::StrCat("partition ", ordinal, " is read again, but was not retired"));
}

void JobHistory::Reopen(uint32_t ordinal) {
  partitions_[ordinal].retired = false;
  partitions_[ordinal].why.clear();
}

void JobHistory::AdoptFailureOptions(const proto::JobPlan& next) {
  proto::JobPlan* const now = submitted_.mutable_plan();
  TakeOption(kOnLostMarker, next.sinks(), now->mutable_sinks());
  TakeOption(kOnDataLoss, next.sources(), now->mutable_sources());
  // SKIP changes nothing of a batch that some shards have committed: no row of it failed under FAIL
  // before it was written. (TABLE would need a sink that this plan lacks.)
  for (int i = 0; i < std::min(now->sources_size(), next.sources_size()); ++i) {
    if (now->sources(i).on_error() == proto::ON_ERROR_FAIL &&
        next.sources(i).on_error() == proto::ON_ERROR_SKIP) {
      now->mutable_sources(i)->set_on_error(proto::ON_ERROR_SKIP);
    }
  }
}

// The plan has no running state that a later plan could go on with. So no earlier snapshot will be
// restored, and committed batches need not be run again.
void JobHistory::DropState() {
  snapshots_.clear();
  while (!replayable_.empty() && replayable_.front().batch <= last_committed_) {
    ForgetFirstPlan();
  }
}

bool JobHistory::PlansReachBack() const {
  const BatchId first = replayable_.empty() ? last_planned_.Next() : replayable_.front().first();
  return !plan().running_state() || first == BatchId(submitted_.base_batch()).Next() ||
         (!snapshots_.empty() && first <= last_snapshot().Next());
}

bool JobHistory::TakesSnapshots() const {
  return !submitted_.snapshot_location().empty() ||
         std::any_of(snapshots_.begin(), snapshots_.end(),
                     [](const proto::Snapshot& snapshot) { return snapshot.layers_size() > 0; });
}

void JobHistory::BoundPlans() {
  if (TakesSnapshots()) {
    return;
  }
  // An empty snapshot begins the state anew, and it cannot become unreadable.
  while (!replayable_.empty() && replayable_.front().batch <= last_snapshot()) {
    ForgetFirstPlan();
  }
  const size_t most = std::max<size_t>(kMaxRanges / (1 + 2 * partitions_.size()), 100);
  if (replayable_.size() <= std::max(most, fold_above_)) {
    return;
  }
  if (StateIgnoresBatches(plan())) {
    const auto in_doubt = static_cast<size_t>(last_planned_.value() - last_committed_.value());
    FoldPlans(&replayable_, replayable_.size() - in_doubt, most);
    fold_above_ = std::min(replayable_.size() - in_doubt, most * kUnfoldedFactor) + most / 2;
  }
  while (replayable_.size() > most * kUnfoldedFactor &&
         replayable_.front().batch <= last_committed_) {
    ForgetFirstPlan();
  }
}

void JobHistory::ForgetFirstPlan() {
  for (const PlannedSplit& split : replayable_.front().splits) {
    replayable_from_[split.ordinal] = split.end;
  }
  replayable_.pop_front();
}

BatchId JobHistory::last_snapshot() const {
  return snapshots_.empty() ? BatchId(0) : BatchId(snapshots_.back().batch());
}

std::set<std::string> JobHistory::SnapshotFiles() const {
  std::set<std::string> names;
  for (const proto::Snapshot& snapshot : snapshots_) {
    for (const proto::SnapshotLayer& layer : snapshot.layers()) {
      for (const proto::SnapshotFile& file : layer.files()) {
        names.insert(file.name());
      }
    }
  }
  return names;
}

absl::StatusOr<RecoveryPlan> JobHistory::PlanRecovery() const {
  RecoveryPlan recovery{.read_from = replayable_from_, .batches = replayable_};
  if (plan().running_state() && !snapshots_.empty()) {
    recovery.snapshot = &snapshots_.back();
  }
  const int64_t restored = recovery.snapshot == nullptr ? 0 : recovery.snapshot->batch();
  while (!recovery.batches.empty() && recovery.batches.front().batch.value() <= restored) {
    for (const PlannedSplit& split : recovery.batches.front().splits) {
      recovery.read_from[split.ordinal] = split.end;
    }
    recovery.batches.pop_front();
  }
  const int64_t first = recovery.batches.empty() ? last_planned_.value() + 1
                                                 : recovery.batches.front().first().value();
  if (plan().running_state() && first != restored + 1 && submitted_.snapshot_location().empty()) {
    return absl::DataLossError(absl::StrCat(
        "the state after batch ", last_committed_.value(),
        " cannot be rebuilt: this driver keeps no snapshots, and the plans of the batches up to ",
        first - 1, " are not kept any more; cancel the job and submit it anew, to a driver with ",
        "--directory, or with checkpoint_location set"));
  }
  if (plan().running_state() && first != restored + 1) {
    return absl::DataLossError(absl::StrCat(
        "the state after batch ", last_committed_.value(),
        " cannot be rebuilt: none of its snapshots can be read, and the plans of the batches up "
        "to ",
        first - 1, " are not kept any more; restore the snapshots' directory from a copy, or ",
        "cancel the job and submit it anew"));
  }
  for (size_t i = recovery.batches.size(); i-- > 1;) {
    recovery.batches[i - 1].batch = recovery.batches[i].batch.Prev();
  }
  return recovery;
}

absl::Status JobHistory::CheckNewPartitions(NewPartition first, NewPartition last) const {
  size_t number = partitions_.size();
  std::set<std::pair<uint32_t, std::string>> added;
  for (; first != last; ++first, ++number) {
    const std::pair<uint32_t, std::string> key(first->key().source(), first->key().partition());
    if (first->ordinal() != number) {
      return Broken(absl::StrCat("partition ", key.second, " has number ", first->ordinal(),
                                 " after ", number, " others"));
    }
    if (ordinals_.contains(key) || !added.insert(key).second) {
      return Broken(absl::StrCat("partition ", key.second, " appears twice"));
    }
  }
  return absl::OkStatus();
}

void JobHistory::AddPartition(const proto::PartitionStart& partition) {
  ordinals_[{partition.key().source(), partition.key().partition()}] = partition.ordinal();
  partitions_.push_back({partition.key().source(), partition.key().partition(), partition.offset(),
                         partition.topic_id()});
  planned_to_.push_back(partition.offset());
  committed_to_.push_back(partition.offset());
  seen_to_.push_back(partition.offset());
  replayable_from_.push_back(partition.offset());
}

absl::Status JobHistory::Broken(const std::string& what) const {
  return absl::DataLossError(absl::StrCat("journal of job '", name(), "': ", what));
}

}  // namespace millrace::driver
