// What JobState shows of itself: its next wake-up, phase, lag and load.
#include <algorithm>

#include "driver/coordinator/job_state.h"

namespace millrace::driver {

int64_t JobState::next_wakeup_us() const {
  switch (stage_) {
    case Stage::kWaitingToRetry:
      return retry_at_us_;
    case Stage::kStartingEpoch:
      return stage_since_us_ + options_.ready_timeout_us;
    case Stage::kJournalingEpoch:
      return KeepsSnapshots() && !store_mark_.has_value()
                 ? stage_since_us_ + options_.ready_timeout_us
                 : kNever;
    case Stage::kCheckingSnapshot:
      return stage_since_us_ + options_.snapshot_timeout_us;
    case Stage::kRunning: {
      int64_t wakeup = rebalance_at_us_ > now_.mono_us ? rebalance_at_us_ : kNever;
      wakeup = std::min(wakeup, ReadmissionUs());
      wakeup = std::min(wakeup, pipeline_.DeadlineUs());
      wakeup = std::min(wakeup, pipeline_.NextWaveUs(now_.mono_us));
      wakeup = std::min(wakeup, SnapshotDueUs());
      return HasRoom() && !Quiescing() ? std::min(wakeup, NextLaunchUs()) : wakeup;
    }
    case Stage::kFinishing:
      return stage_since_us_ + options_.finish_timeout_us;
    case Stage::kWaitingForMembers:
    case Stage::kEnding:
    case Stage::kOver:
      return kNever;
  }
  return kNever;
}

proto::JobPhase JobState::phase() const {
  switch (stage_) {
    case Stage::kWaitingForMembers:
      return proto::PHASE_WAITING;
    case Stage::kWaitingToRetry:
    case Stage::kCheckingSnapshot:
    case Stage::kJournalingEpoch:
    case Stage::kStartingEpoch:
      return stop_.has_value() ? proto::PHASE_DRAINING : proto::PHASE_STARTING;
    case Stage::kRunning:
      if (stop_.has_value()) {
        return proto::PHASE_DRAINING;
      }
      return pipeline_.IsRebuilding() ? proto::PHASE_RECOVERING : proto::PHASE_RUNNING;
    case Stage::kFinishing:
      return proto::PHASE_DRAINING;
    case Stage::kEnding:
      return ending_.how() == proto::JobEnded::FAILED ? proto::PHASE_FAILED : proto::PHASE_DRAINING;
    case Stage::kOver:
      break;
  }
  switch (ending_.how()) {
    case proto::JobEnded::CANCELLED:
      return proto::PHASE_CANCELLED;
    case proto::JobEnded::FINISHED:
      return proto::PHASE_FINISHED;
    case proto::JobEnded::FAILED:
      return proto::PHASE_FAILED;
    default:
      return message_.empty() ? proto::PHASE_STOPPED : proto::PHASE_FAILED;
  }
}

std::vector<JobState::PartitionView> JobState::Partitions() const {
  std::vector<PartitionView> views;
  for (uint32_t ordinal = 0; ordinal < partitions_.size(); ++ordinal) {
    const PartitionTable::Partition& p = partitions_[ordinal];
    if (p.retired) {
      continue;
    }
    const bool durable = ordinal < history_.committed_to().size();
    const bool placed =
        p.owner < members_.size() && (stage_ == Stage::kRunning || stage_ == Stage::kStartingEpoch);
    views.push_back({p.source, p.name, durable ? history_.committed_to()[ordinal] : p.planned_to,
                     p.stable_end, p.high_watermark, placed ? members_[p.owner].id : ExecutorId()});
  }
  for (const PartitionTable::Found& p : partitions_.found()) {
    views.push_back({p.source, p.name, p.start, p.stable_end, p.high_watermark, ExecutorId()});
  }
  return views;
}

std::vector<std::pair<int64_t, int64_t>> JobState::Ends() const {
  std::vector<std::pair<int64_t, int64_t>> ends;
  ends.reserve(partitions_.size());
  for (const PartitionTable::Partition& partition : partitions_.all()) {
    ends.emplace_back(partition.stable_end, partition.high_watermark);
  }
  return ends;
}

int64_t JobState::LagRecords() const {
  int64_t lag = 0;
  for (const PartitionView& view : Partitions()) {
    lag += std::max<int64_t>(view.stable_end - view.committed, 0);
  }
  return lag;
}

std::vector<JobState::LeftOut> JobState::LeftOutUntil(int64_t now_us) const {
  std::vector<LeftOut> left_out;
  for (const auto& [id, excluded] : excluded_.all()) {
    if (excluded.until_us > now_us) {
      left_out.push_back({.executor = id, .until_us = excluded.until_us, .why = excluded.why});
    }
  }
  return left_out;
}

std::map<ExecutorId, std::pair<uint32_t, uint32_t>> JobState::Load() const {
  std::map<ExecutorId, std::pair<uint32_t, uint32_t>> load;
  if (stage_ != Stage::kRunning && stage_ != Stage::kStartingEpoch) {
    return load;
  }
  for (const PartitionTable::Partition& partition : partitions_.all()) {
    if (partition.owner != PartitionTable::kNoOwner && !partition.retired) {
      ++load[members_[partition.owner].id].first;
    }
  }
  for (const uint32_t owner : shard_owners_) {
    ++load[members_[owner].id].second;
  }
  return load;
}

}  // namespace millrace::driver
