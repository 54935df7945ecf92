// Builds and applies the records of a running job, one after another.
#include "driver/coordinator/job_records.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace::driver {
namespace {

// Says in a record that has an epoch who decided it.
template <typename Part>
void SetOrigin(const RecordOrigin& origin, Part* part) {
  part->set_job_id(origin.job_id);
  part->set_epoch(origin.epoch.value());
}

}  // namespace

// ---- EpochStarted ----

proto::JournalRecord BuildEpochStarted(const RecordOrigin& origin, const std::string& reason,
                                       uint32_t slots) {
  proto::JournalRecord record;
  SetOrigin(origin, record.mutable_epoch_started());
  record.mutable_epoch_started()->set_reason(reason);
  record.mutable_epoch_started()->set_slots(slots);
  return record;
}

absl::Status JobHistory::ApplyEpoch(const proto::EpochStarted& epoch) {
  if (Epoch(epoch.epoch()) <= last_epoch_) {
    return Broken(absl::StrCat("epoch ", epoch.epoch(), " after epoch ", last_epoch_.value()));
  }
  last_epoch_ = Epoch(epoch.epoch());
  sessions_.OnStarted(epoch);
  return absl::OkStatus();
}

// ---- EpochOpened ----

proto::JournalRecord BuildEpochOpened(const RecordOrigin& origin,
                                      const std::vector<proto::SinkMarker>& claimed,
                                      proto::OpenedSessions sessions) {
  proto::JournalRecord record = BuildShardsClaimed(origin, claimed);
  *record.mutable_epoch_opened()->mutable_sessions() = std::move(sessions);
  return record;
}

proto::JournalRecord BuildShardsClaimed(const RecordOrigin& origin,
                                        const std::vector<proto::SinkMarker>& claimed) {
  proto::JournalRecord record;
  SetOrigin(origin, record.mutable_epoch_opened());
  record.mutable_epoch_opened()->mutable_markers()->Add(claimed.begin(), claimed.end());
  return record;
}

absl::Status JobHistory::ApplyOpened(const proto::EpochOpened& opened) {
  if (Epoch(opened.epoch()) != last_epoch_) {
    return Broken(absl::StrCat("epoch ", opened.epoch(), " opened in epoch ", last_epoch_.value()));
  }
  if (last_opened_ != last_epoch_) {
    sessions_.OnOpened(opened);
    last_opened_ = last_epoch_;
  }
  for (const proto::SinkGroup& group : opened.sessions().groups()) {
    // What versions before sessions left of these sinks is claimed, and said in the record.
    for (const uint32_t sink : group.sinks()) {
      markers_.erase(markers_.lower_bound({sink, 0}), markers_.upper_bound({sink, UINT32_MAX}));
    }
  }
  for (const proto::SinkMarker& marker : opened.markers()) {
    markers_[{marker.sink(), marker.shard()}] = marker;
  }
  return absl::OkStatus();
}

// ---- BatchPlanned ----

proto::JournalRecord BuildBatchPlanned(const RecordOrigin& origin, BatchId batch,
                                       int64_t batch_time_us, uint32_t parallelism,
                                       const std::vector<proto::Split>& splits,
                                       const std::vector<proto::PartitionStart>& entering,
                                       const std::vector<uint32_t>& slots) {
  proto::JournalRecord record;
  proto::BatchPlanned* planned = record.mutable_batch_planned();
  SetOrigin(origin, planned);
  planned->set_batch(batch.value());
  planned->set_batch_time_us(batch_time_us);
  planned->set_parallelism(parallelism);
  planned->mutable_splits()->Add(splits.begin(), splits.end());
  planned->mutable_new_partitions()->Add(entering.begin(), entering.end());
  planned->mutable_new_slots()->Add(slots.begin(), slots.end());
  return record;
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
  // `new_partitions` lists new partitions first, then retired ones that are read again.
  const auto& entering = planned.new_partitions();
  const auto reopened = std::find_if(entering.begin(), entering.end(), [this](const auto& one) {
    return one.ordinal() < partitions_.size();
  });
  RETURN_IF_ERROR(CheckNewPartitions(entering.begin(), reopened));
  for (auto one = reopened; one != entering.end(); ++one) {
    RETURN_IF_ERROR(CheckReopened(one->ordinal()));
  }
  RETURN_IF_ERROR(CheckSplits(planned, static_cast<size_t>(reopened - entering.begin())));
  for (auto one = entering.begin(); one != reopened; ++one) {
    AddPartition(*one);
  }
  for (auto one = reopened; one != entering.end(); ++one) {
    Reopen(one->ordinal());
  }
  PlannedBatch batch{.batch = BatchId(planned.batch()), .batch_time_us = planned.batch_time_us()};
  for (const proto::Split& split : planned.splits()) {
    planned_to_[split.ordinal()] = split.end();
    seen_to_[split.ordinal()] =
        std::max({seen_to_[split.ordinal()], split.end(), split.seen_end()});
    batch.splits.push_back({split.ordinal(), split.begin(), split.end()});
  }
  last_planned_ = batch.batch;
  last_batch_time_us_ = batch.batch_time_us;
  sessions_.OnPlanned(planned);
  replayable_.push_back(std::move(batch));
  return absl::OkStatus();
}

// Checks that each split begins where the batches before it end. The partitions that enter with
// this batch count as known.
absl::Status JobHistory::CheckSplits(const proto::BatchPlanned& planned, size_t added) const {
  const size_t known = partitions_.size();
  std::map<uint32_t, int64_t> ends;  // where this batch's splits end
  for (const proto::Split& split : planned.splits()) {
    const size_t entered = split.ordinal() - known;
    if (split.ordinal() >= known && entered >= added) {
      return Broken(
          absl::StrCat("batch ", planned.batch(), " reads unknown partition ", split.ordinal()));
    }
    const int64_t begin = split.ordinal() < known
                              ? planned_to_[split.ordinal()]
                              : planned.new_partitions(static_cast<int>(entered)).offset();
    const int64_t expected = ends.try_emplace(split.ordinal(), begin).first->second;
    if (split.begin() != expected || split.end() <= split.begin()) {
      return Broken(absl::StrCat("batch ", planned.batch(), " reads ", split.key().partition(),
                                 " from ", split.begin(), " to ", split.end(),
                                 ", but the batches before end at ", expected));
    }
    ends[split.ordinal()] = split.end();
  }
  return absl::OkStatus();
}

// ---- BatchCommittedRecord ----

proto::JournalRecord BuildBatchCommitted(const RecordOrigin& origin, BatchId batch,
                                         const std::vector<proto::SplitReport>& splits,
                                         const CommitMarks& marks) {
  proto::JournalRecord record;
  proto::BatchCommittedRecord* committed = record.mutable_batch_committed();
  SetOrigin(origin, committed);
  committed->set_batch(batch.value());
  committed->mutable_splits()->Add(splits.begin(), splits.end());
  committed->mutable_markers()->Add(marks.shards.begin(), marks.shards.end());
  committed->mutable_sessions()->Add(marks.sessions.begin(), marks.sessions.end());
  return record;
}

absl::Status JobHistory::ApplyCommitted(const proto::BatchCommittedRecord& committed) {
  const BatchId id(committed.batch());
  if (id != last_committed_.Next() || id > last_planned_) {
    return Broken(absl::StrCat("batch ", id.value(), " committed after batch ",
                               last_committed_.value(), ", with batches up to ",
                               last_planned_.value(), " planned"));
  }
  if (replayable_.empty() || id < replayable_.front().batch || id > replayable_.back().batch) {
    return Broken(absl::StrCat("batch ", id.value(), " committed, but its plan is not there"));
  }
  std::vector<SplitDigest> digests;
  for (const proto::SplitReport& report : committed.splits()) {
    const auto found = ordinals_.find({report.key().source(), report.key().partition()});
    if (found != ordinals_.end()) {
      digests.push_back({found->second, report.records(), report.input_hash()});
    } else if (plan().running_state()) {
      return Broken(absl::StrCat("batch ", id.value(), " committed unknown partition ",
                                 report.key().partition()));
    }
  }
  // Batches that are not folded are numbered without gaps, so the batch's number gives its index.
  PlannedBatch& batch =
      replayable_[replayable_.size() - 1 -
                  static_cast<size_t>(replayable_.back().batch.value() - id.value())];
  for (const PlannedSplit& split : batch.splits) {
    committed_to_[split.ordinal] = split.end;
  }
  for (const proto::SinkMarker& marker : committed.markers()) {
    markers_[{marker.sink(), marker.shard()}] = marker;
  }
  sessions_.OnCommitted(committed);
  last_committed_ = id;
  if (plan().running_state()) {
    batch.committed = std::move(digests);
    BoundPlans();
  } else {
    ForgetFirstPlan();
  }
  return absl::OkStatus();
}

// ---- BatchesAbandoned ----

proto::JournalRecord BuildBatchesAbandoned(const RecordOrigin& origin, BatchId first,
                                           const std::string& reason) {
  proto::JournalRecord record;
  SetOrigin(origin, record.mutable_batches_abandoned());
  record.mutable_batches_abandoned()->set_batch(first.value());
  record.mutable_batches_abandoned()->set_reason(reason);
  return record;
}

// Withdraws batches: planning goes on at the offsets where the first of them began.
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

// ---- SnapshotCompleted ----

proto::JournalRecord BuildSnapshotCompleted(const RecordOrigin& origin,
                                            const proto::Snapshot& snapshot) {
  proto::JournalRecord record;
  SetOrigin(origin, record.mutable_snapshot_completed());
  *record.mutable_snapshot_completed()->mutable_snapshot() = snapshot;
  return record;
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

// ---- SnapshotDropped ----

proto::JournalRecord BuildSnapshotDropped(const RecordOrigin& origin, BatchId batch,
                                          const std::string& reason) {
  proto::JournalRecord record;
  record.mutable_snapshot_dropped()->set_job_id(origin.job_id);
  record.mutable_snapshot_dropped()->set_batch(batch.value());
  record.mutable_snapshot_dropped()->set_reason(reason);
  return record;
}

absl::Status JobHistory::ApplyDropped(const proto::SnapshotDropped& dropped) {
  std::erase_if(snapshots_, [&](const proto::Snapshot& snapshot) {
    return snapshot.batch() == dropped.batch();
  });
  return absl::OkStatus();
}

// ---- PartitionsChanged ----

proto::JournalRecord BuildPartitionsChanged(
    const RecordOrigin& origin, const std::vector<proto::RetiredPartition>& retired,
    const std::vector<proto::PartitionsChanged::Identified>& identified) {
  proto::JournalRecord record;
  // The kind is younger than format 3: a version that does not know it quarantines the job.
  record.set_about_job(origin.job_id);
  proto::PartitionsChanged* changed = record.mutable_partitions_changed();
  SetOrigin(origin, changed);
  changed->mutable_retired()->Add(retired.begin(), retired.end());
  changed->mutable_identified()->Add(identified.begin(), identified.end());
  return record;
}

absl::Status JobHistory::ApplyChanged(const proto::PartitionsChanged& changed) {
  for (const proto::PartitionsChanged::Identified& identified : changed.identified()) {
    if (identified.ordinal() >= partitions_.size()) {
      return Broken(absl::StrCat("unknown partition ", identified.ordinal(), " is identified"));
    }
  }
  for (const proto::RetiredPartition& retired : changed.retired()) {
    RETURN_IF_ERROR(CheckRetired(retired));
  }
  for (const proto::PartitionsChanged::Identified& identified : changed.identified()) {
    partitions_[identified.ordinal()].topic_id = identified.identity();
  }
  for (const proto::RetiredPartition& retired : changed.retired()) {
    Retire(retired);
  }
  return absl::OkStatus();
}

// ---- JobEnded ----

proto::JournalRecord BuildJobEnded(const RecordOrigin& origin, proto::JobEnded::How how,
                                   const std::string& message, int64_t at_us) {
  proto::JournalRecord record;
  proto::JobEnded* ended = record.mutable_job_ended();
  ended->set_job_id(origin.job_id);
  ended->set_how(how);
  ended->set_message(message);
  ended->set_at_us(at_us);
  return record;
}

absl::Status JobHistory::ApplyEnded(const proto::JobEnded& ended) {
  ended_ = ended;
  return absl::OkStatus();
}

}  // namespace millrace::driver
