#include "driver/batch/job_history.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace {

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
  for (const proto::PartitionStart& partition : submitted_.partitions()) {
    if (absl::Status status = AddPartition(partition); !status.ok() && first_error_.ok()) {
      first_error_ = std::move(status);
    }
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
      ended_ = record.job_ended();
      return absl::OkStatus();
    case proto::JournalRecord::kEpochOpened:
      return ApplyOpened(record.epoch_opened());
    case proto::JournalRecord::kSnapshotCompleted:
      return ApplySnapshot(record.snapshot_completed());
    case proto::JournalRecord::kSnapshotDropped:
      return ApplyDropped(record.snapshot_dropped());
    case proto::JournalRecord::kBatchesAbandoned:
      return ApplyAbandoned(record.batches_abandoned());
    default:
      break;
  }
  return Broken("a record of a kind that this version does not know");
}

// A submission that resumes the job: settings and bounds may be new, what is out there is not.
absl::Status JobHistory::ApplySubmitted(const proto::JobSubmitted& submitted) {
  if (submitted.incarnation() != submitted_.incarnation()) {
    return Broken(absl::StrCat("resumed as incarnation ", submitted.incarnation(), ", but it is ",
                               submitted_.incarnation()));
  }
  if (last_planned_ != last_committed_ && submitted.plan().parallelism() != plan().parallelism()) {
    return Broken(
        absl::StrCat("parallelism changed while batch ", last_planned_.value(), " was in doubt"));
  }
  submitted_ = submitted;
  opened_before_submission_ = last_opened_;
  ended_.reset();
  // Known partitions keep what they have; what was found since begins now.
  for (int i = static_cast<int>(partitions_.size()); i < submitted.partitions_size(); ++i) {
    RETURN_IF_ERROR(AddPartition(submitted.partitions(i)));
  }
  return absl::OkStatus();
}

absl::Status JobHistory::ApplyEpoch(const proto::EpochStarted& epoch) {
  if (Epoch(epoch.epoch()) <= last_epoch_) {
    return Broken(absl::StrCat("epoch ", epoch.epoch(), " after epoch ", last_epoch_.value()));
  }
  last_epoch_ = Epoch(epoch.epoch());
  return absl::OkStatus();
}

absl::Status JobHistory::ApplyPlanned(const proto::BatchPlanned& planned) {
  if (BatchId(planned.batch()) != last_planned_.Next()) {
    return Broken(
        absl::StrCat("batch ", planned.batch(), " planned after batch ", last_planned_.value()));
  }
  if (planned.batch_time_us() <= last_batch_time_us_) {
    return Broken(absl::StrCat("the time of batch ", planned.batch(),
                               " is not after that of the batch before"));
  }
  for (const proto::PartitionStart& partition : planned.new_partitions()) {
    RETURN_IF_ERROR(AddPartition(partition));
  }
  PlannedBatch batch{.batch = BatchId(planned.batch()), .batch_time_us = planned.batch_time_us()};
  for (const proto::Split& split : planned.splits()) {
    if (split.ordinal() >= partitions_.size()) {
      return Broken(
          absl::StrCat("batch ", planned.batch(), " reads unknown partition ", split.ordinal()));
    }
    if (split.begin() != planned_to_[split.ordinal()] || split.end() <= split.begin()) {
      return Broken(absl::StrCat("batch ", planned.batch(), " reads ",
                                 partitions_[split.ordinal()].name, " from ", split.begin(), " to ",
                                 split.end(), ", but the batches before end at ",
                                 planned_to_[split.ordinal()]));
    }
    planned_to_[split.ordinal()] = split.end();
    batch.splits.push_back({split.ordinal(), split.begin(), split.end()});
  }
  last_planned_ = batch.batch;
  last_batch_time_us_ = batch.batch_time_us;
  replayable_.push_back(std::move(batch));
  return absl::OkStatus();
}

absl::Status JobHistory::ApplyCommitted(const proto::BatchCommittedRecord& committed) {
  const BatchId id(committed.batch());
  if (id != last_committed_.Next() || id > last_planned_) {
    return Broken(absl::StrCat("batch ", id.value(), " committed after batch ",
                               last_committed_.value(), ", with batches up to ",
                               last_planned_.value(), " planned"));
  }
  // Batches are numbered without gaps, so that their place follows from their number.
  PlannedBatch& batch =
      replayable_[static_cast<size_t>(id.value() - replayable_.front().batch.value())];
  for (const PlannedSplit& split : batch.splits) {
    committed_to_[split.ordinal] = split.end;
  }
  for (const proto::SinkMarker& marker : committed.markers()) {
    markers_[{marker.sink(), marker.shard()}] = marker;
  }
  last_committed_ = id;
  if (!plan().running_state()) {
    ForgetFirstPlan();
    return absl::OkStatus();
  }
  for (const proto::SplitReport& report : committed.splits()) {
    const auto found = ordinals_.find({report.key().source(), report.key().partition()});
    if (found == ordinals_.end()) {
      return Broken(absl::StrCat("batch ", id.value(), " committed unknown partition ",
                                 report.key().partition()));
    }
    batch.committed.push_back({found->second, report.records(), report.input_hash()});
  }
  return absl::OkStatus();
}

absl::Status JobHistory::ApplyOpened(const proto::EpochOpened& opened) {
  if (Epoch(opened.epoch()) != last_epoch_) {
    return Broken(absl::StrCat("epoch ", opened.epoch(), " opened in epoch ", last_epoch_.value()));
  }
  last_opened_ = last_epoch_;
  for (const proto::SinkMarker& marker : opened.markers()) {
    markers_[{marker.sink(), marker.shard()}] = marker;
  }
  return absl::OkStatus();
}

absl::Status JobHistory::ApplySnapshot(const proto::SnapshotCompleted& completed) {
  const BatchId batch(completed.snapshot().batch());
  if (batch > last_committed_ || batch <= last_snapshot()) {
    return Broken(absl::StrCat("a snapshot of batch ", batch.value(), " after that of batch ",
                               last_snapshot().value(), ", with batches up to ",
                               last_committed_.value(), " committed"));
  }
  snapshots_.push_back(completed.snapshot());
  if (snapshots_.size() > kSnapshotsKept) {
    snapshots_.pop_front();
  }
  while (snapshots_.size() == kSnapshotsKept && !replayable_.empty() &&
         replayable_.front().batch.value() <= snapshots_.front().batch()) {
    ForgetFirstPlan();
  }
  return absl::OkStatus();
}

absl::Status JobHistory::ApplyDropped(const proto::SnapshotDropped& dropped) {
  std::erase_if(snapshots_, [&](const proto::Snapshot& snapshot) {
    return snapshot.batch() == dropped.batch();
  });
  return absl::OkStatus();
}

// Planning goes on where the first of them began.
absl::Status JobHistory::ApplyAbandoned(const proto::BatchesAbandoned& abandoned) {
  const BatchId first(abandoned.batch());
  if (first <= last_committed_ || first > last_planned_.Next()) {
    return Broken(absl::StrCat("batch ", first.value(), " abandoned after batch ",
                               last_committed_.value(), " was committed and batch ",
                               last_planned_.value(), " planned"));
  }
  while (!replayable_.empty() && replayable_.back().batch >= first) {
    for (const PlannedSplit& split : replayable_.back().splits) {
      planned_to_[split.ordinal] = split.begin;
    }
    replayable_.pop_back();
  }
  last_planned_ = first.Prev();
  return absl::OkStatus();
}

void JobHistory::TakeWayOut(const proto::JobPlan& next) {
  constexpr char kOption[] = "on_lost_marker";
  proto::JobPlan* const now = submitted_.mutable_plan();
  for (int i = 0; i < std::min(now->sinks_size(), next.sinks_size()); ++i) {
    const auto wanted = next.sinks(i).options().find(kOption);
    if (wanted != next.sinks(i).options().end()) {
      (*now->mutable_sinks(i)->mutable_options())[kOption] = wanted->second;
    }
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
  const int64_t first =
      recovery.batches.empty() ? last_planned_.value() + 1 : recovery.batches.front().batch.value();
  if (plan().running_state() && first != restored + 1) {
    return absl::DataLossError(absl::StrCat(
        "the state after batch ", last_committed_.value(),
        " cannot be rebuilt: none of its snapshots can be read, and the plans of the batches up "
        "to ",
        first - 1, " are not kept any more; restore the snapshots' directory from a copy, or ",
        "cancel the job and submit it anew"));
  }
  return recovery;
}

absl::Status JobHistory::AddPartition(const proto::PartitionStart& partition) {
  if (partition.ordinal() != partitions_.size()) {
    return Broken(absl::StrCat("partition ", partition.key().partition(), " has number ",
                               partition.ordinal(), " after ", partitions_.size(), " others"));
  }
  if (!ordinals_
           .emplace(std::make_pair(partition.key().source(), partition.key().partition()),
                    partition.ordinal())
           .second) {
    return Broken(absl::StrCat("partition ", partition.key().partition(), " appears twice"));
  }
  partitions_.push_back({partition.key().source(), partition.key().partition(), partition.offset(),
                         partition.topic_id()});
  planned_to_.push_back(partition.offset());
  committed_to_.push_back(partition.offset());
  replayable_from_.push_back(partition.offset());
  return absl::OkStatus();
}

absl::Status JobHistory::Broken(const std::string& what) const {
  return absl::DataLossError(absl::StrCat("journal of job '", name(), "': ", what));
}

}  // namespace millrace
