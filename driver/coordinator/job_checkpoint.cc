// Writes a JobHistory as records of a checkpoint, and reads it back.
#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "driver/coordinator/job_history.h"

namespace millrace::driver {
namespace {

constexpr int kPlansPerRecord = 1000;
constexpr int kRangesPerRecord =
    20'000;  // limit for splits and digests together; one plan may have many

void FillPlan(const PlannedBatch& batch, proto::CheckpointPlans::Plan* out) {
  out->set_batch(batch.batch.value());
  out->set_batch_time_us(batch.batch_time_us);
  out->set_stands_for(batch.stands_for == 1 ? 0 : batch.stands_for);
  for (const PlannedSplit& split : batch.splits) {
    proto::CheckpointPlans::Range* range = out->add_splits();
    range->set_ordinal(split.ordinal);
    range->set_begin(split.begin);
    range->set_end(split.end);
  }
  for (const SplitDigest& digest : batch.committed) {
    proto::CheckpointPlans::Digest* committed = out->add_committed();
    committed->set_ordinal(digest.ordinal);
    committed->set_records(digest.records);
    if (digest.input_hash.has_value()) {
      committed->set_input_hash(*digest.input_hash);
    }
  }
}

PlannedBatch ReadPlan(const proto::CheckpointPlans::Plan& plan) {
  PlannedBatch batch{.batch = BatchId(plan.batch()), .batch_time_us = plan.batch_time_us()};
  for (const proto::CheckpointPlans::Range& range : plan.splits()) {
    batch.splits.push_back({range.ordinal(), range.begin(), range.end()});
  }
  for (const proto::CheckpointPlans::Digest& digest : plan.committed()) {
    batch.committed.push_back({digest.ordinal(), digest.records(), digest.input_hash()});
    if (plan.stands_for() > 1) {
      batch.committed.back().input_hash.reset();
    }
  }
  batch.stands_for = std::max<int64_t>(plan.stands_for(), 1);
  return batch;
}

}  // namespace

absl::Status JobHistory::WriteCheckpoint(
    const std::function<absl::Status(proto::JournalRecord)>& write) const {
  proto::JournalRecord record;
  proto::JobCheckpoint* out = record.mutable_job_checkpoint();
  *out->mutable_submitted() = submitted_;
  out->set_last_epoch(last_epoch_.value());
  out->set_last_opened(last_opened_.value());
  out->set_opened_before_submission(opened_before_submission_.value());
  out->set_last_planned(last_planned_.value());
  out->set_last_committed(last_committed_.value());
  out->set_last_batch_time_us(last_batch_time_us_);
  for (size_t i = 0; i < partitions_.size(); ++i) {
    proto::CheckpointPartition* partition = out->add_partitions();
    partition->mutable_start()->mutable_key()->set_source(partitions_[i].source);
    partition->mutable_start()->mutable_key()->set_partition(partitions_[i].name);
    partition->mutable_start()->set_offset(partitions_[i].start);
    partition->mutable_start()->set_ordinal(static_cast<uint32_t>(i));
    partition->mutable_start()->set_topic_id(partitions_[i].topic_id);
    partition->set_planned_to(planned_to_[i]);
    partition->set_committed_to(committed_to_[i]);
    partition->set_kept_from(replayable_from_[i]);
    partition->set_seen_to(seen_to_[i]);
    if (partitions_[i].retired) {
      partition->mutable_retired()->set_ordinal(static_cast<uint32_t>(i));
      partition->mutable_retired()->set_reason(partitions_[i].why);
    }
  }
  out->mutable_snapshots()->Add(snapshots_.begin(), snapshots_.end());
  for (const auto& [shard, marker] : markers_) {
    *out->add_markers() = marker;
  }
  sessions_.WriteCheckpoint(out);
  if (ended_.has_value()) {
    *out->mutable_ended() = *ended_;
  }
  RETURN_IF_ERROR(write(std::move(record)));

  proto::JournalRecord plans;
  int ranges = 0;
  for (const PlannedBatch& batch : replayable_) {
    plans.mutable_checkpoint_plans()->set_job_id(job_id());
    FillPlan(batch, plans.mutable_checkpoint_plans()->add_plans());
    ranges += static_cast<int>(batch.splits.size() + batch.committed.size());
    if (plans.checkpoint_plans().plans_size() >= kPlansPerRecord || ranges >= kRangesPerRecord) {
      RETURN_IF_ERROR(write(std::exchange(plans, {})));
      ranges = 0;
    }
  }
  return plans.has_checkpoint_plans() ? write(std::move(plans)) : absl::OkStatus();
}

JobHistory::JobHistory(const proto::JobCheckpoint& checkpoint)
    : submitted_(checkpoint.submitted()),
      last_epoch_(checkpoint.last_epoch()),
      last_opened_(checkpoint.last_opened()),
      opened_before_submission_(checkpoint.opened_before_submission()),
      last_planned_(checkpoint.last_planned()),
      last_committed_(checkpoint.last_committed()),
      last_batch_time_us_(checkpoint.last_batch_time_us()),
      snapshots_(checkpoint.snapshots().begin(), checkpoint.snapshots().end()) {
  google::protobuf::RepeatedPtrField<proto::PartitionStart> starts;
  for (const proto::CheckpointPartition& partition : checkpoint.partitions()) {
    *starts.Add() = partition.start();
  }
  first_error_ = CheckNewPartitions(starts.begin(), starts.end());
  for (const proto::CheckpointPartition& partition : checkpoint.partitions()) {
    AddPartition(partition.start());
    planned_to_.back() = partition.planned_to();
    committed_to_.back() = partition.committed_to();
    replayable_from_.back() = partition.kept_from();
    seen_to_.back() = std::max(partition.seen_to(), partition.planned_to());
    if (partition.has_retired()) {
      partitions_.back().retired = true;
      partitions_.back().why = partition.retired().reason();
    }
  }
  for (const proto::SinkMarker& marker : checkpoint.markers()) {
    markers_[{marker.sink(), marker.shard()}] = marker;
  }
  sessions_.ReadCheckpoint(checkpoint);
  if (checkpoint.has_ended()) {
    ended_ = checkpoint.ended();
  }
}

absl::Status JobHistory::TakeCheckpointPlans(const proto::CheckpointPlans& plans) {
  std::vector<PlannedBatch> taken;
  const PlannedBatch* before = replayable_.empty() ? nullptr : &replayable_.back();
  taken.reserve(static_cast<size_t>(plans.plans_size()));
  for (const proto::CheckpointPlans::Plan& plan : plans.plans()) {
    taken.push_back(ReadPlan(plan));
    if (before != nullptr && taken.back().first() != before->batch.Next()) {
      return Broken(absl::StrCat("its checkpoint has batch ", plan.batch(), " after batch ",
                                 before->batch.value()));
    }
    before = &taken.back();
    for (const PlannedSplit& split : before->splits) {
      if (split.ordinal >= partitions_.size()) {
        return Broken(absl::StrCat("batch ", plan.batch(), " of its checkpoint reads unknown ",
                                   "partition ", split.ordinal));
      }
    }
  }
  std::move(taken.begin(), taken.end(), std::back_inserter(replayable_));
  return absl::OkStatus();
}

absl::Status JobHistory::CheckCheckpoint() const {
  RETURN_IF_ERROR(first_error_);
  const BatchId first = replayable_.empty() ? last_planned_.Next() : replayable_.front().first();
  const BatchId last = replayable_.empty() ? last_planned_ : replayable_.back().batch;
  if (last != last_planned_ || first > last_committed_.Next() || last_committed_ > last_planned_) {
    return Broken(absl::StrCat("its checkpoint has the plans of batches ", first.value(), " to ",
                               last.value(), ", with batches up to ", last_planned_.value(),
                               " planned and up to ", last_committed_.value(), " committed"));
  }
  return absl::OkStatus();
}

}  // namespace millrace::driver
