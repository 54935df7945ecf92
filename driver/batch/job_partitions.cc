// The life of partitions: how they are found, closed, found to be gone, retired, and read again.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "driver/batch/assignment.h"
#include "driver/batch/job_state.h"

namespace millrace {

void JobState::On(const EndsKnown& event) {
  std::map<std::string, UnplannedPartition*> unplanned;
  for (UnplannedPartition& one : unplanned_) {
    if (one.source == event.source) {
      unplanned[one.name] = &one;
    }
  }
  for (const EndsKnown::End& end : event.ends) {
    partitions_change_ |= end.closed || end.gone || !end.identity.empty();
    Partition* const partition = FindPartition(event.source, end.partition);
    if (partition != nullptr && !partition->retired) {
      if (end.stable_end > partition->stable_end) {
        partition->stable_end = end.stable_end;
        progress_leads_[event.source] = false;
      }
      partition->high_watermark = std::max(end.high_watermark, partition->stable_end);
      partition->size.Fetched(end.bytes_per_offset);
      partition->closed = end.closed || end.gone;
      partition->gone = end.gone;
      partition->why = end.why;
      if (!end.identity.empty()) {
        partition->identity = end.identity;
      }
      continue;
    }
    const auto found = unplanned.find(end.partition);
    if (found != unplanned.end()) {
      UnplannedPartition& one = *found->second;
      one.stable_end = std::max(end.stable_end, one.stable_end);
      one.high_watermark = std::max(end.high_watermark, one.stable_end);
      one.bytes_per_offset = end.bytes_per_offset;
      one.gone = end.gone;
      one.why = end.why;
      one.topic_id = end.identity.empty() ? one.topic_id : end.identity;
    }
  }
}

void JobState::On(const PartitionsDiscovered& event) {
  if (bounded_) {
    return;  // its end was fixed at submission
  }
  std::set<std::string> waiting;
  for (const UnplannedPartition& one : unplanned_) {
    if (one.source == event.source) {
      waiting.insert(one.name);
    }
  }
  for (const PartitionsDiscovered::Found& found : event.found) {
    const auto ordinal = ordinals_.find({event.source, found.partition});
    const bool known = ordinal != ordinals_.end();
    if ((known && !partitions_[ordinal->second].retired) ||
        !waiting.insert(found.partition).second) {
      continue;
    }
    const int64_t start = known ? partitions_[ordinal->second].planned_to : found.earliest;
    unplanned_.push_back({event.source, found.partition, start, start, start, found.topic_id,
                          known ? std::optional<uint32_t>(ordinal->second) : std::nullopt});
  }
}

// Partitions found while the job runs enter with the first batch that finds something in them.
// Partitions that have an owner keep it until the next epoch.
void JobState::AdmitNewPartitions(InFlight* batch) {
  std::vector<UnplannedPartition> still_empty;
  std::vector<uint32_t> counts(members_.size());
  for (const Partition& partition : partitions_) {
    if (partition.owner != kNoOwner) {
      ++counts[partition.owner];
    }
  }
  // New partitions come first: they get the next ordinals.
  std::stable_partition(unplanned_.begin(), unplanned_.end(),
                        [](const UnplannedPartition& found) { return !found.ordinal.has_value(); });
  for (UnplannedPartition& found : unplanned_) {
    if (found.stable_end <= found.start || found.gone) {
      still_empty.push_back(std::move(found));
      continue;
    }
    const uint32_t ordinal = found.ordinal.value_or(static_cast<uint32_t>(partitions_.size()));
    if (!found.ordinal.has_value()) {
      partitions_.emplace_back();
    }
    Partition& partition = partitions_[ordinal];
    // A retired partition may still have an owner, for its sinks.
    if (partition.owner == kNoOwner) {
      partition.owner = LeastLoaded(MemberSlots(), counts);
      ++counts[partition.owner];
    }
    partition = {.source = found.source,
                 .name = found.name,
                 .identity = found.topic_id,
                 .journaled_identity = found.topic_id,
                 .planned_to = found.start,
                 .stable_end = found.stable_end,
                 .high_watermark = found.high_watermark,
                 .owner = partition.owner};
    partition.size.Fetched(found.bytes_per_offset);
    previous_partition_owners_.resize(partitions_.size());
    previous_partition_owners_[ordinal] = members_[partition.owner].id;
    ordinals_[{found.source, found.name}] = ordinal;

    proto::PartitionStart& start = batch->new_partitions.emplace_back();
    start.mutable_key()->set_source(found.source);
    start.mutable_key()->set_partition(found.name);
    start.set_offset(found.start);
    start.set_ordinal(ordinal);
    start.set_topic_id(found.topic_id);
  }
  unplanned_ = std::move(still_empty);
}

// Journals which partitions have changed and how, or ends the job where records that it needs are
// gone.
void JobState::ChangePartitions() {
  if (!partitions_change_ || stage_ >= Stage::kEnding) {
    return;
  }
  partitions_change_ = false;
  proto::JournalRecord record;
  proto::PartitionsChanged* changed = record.mutable_partitions_changed();
  for (uint32_t ordinal = 0; ordinal < partitions_.size() && stage_ < Stage::kEnding; ++ordinal) {
    if (ordinal >= history_.partitions().size()) {
      partitions_change_ = true;  // its plan is not durable yet: look again once it is
      break;
    }
    Partition& partition = partitions_[ordinal];
    if (partition.identity != partition.journaled_identity) {
      partition.journaled_identity = partition.identity;
      changed->add_identified()->set_ordinal(ordinal);
      changed->mutable_identified()->rbegin()->set_identity(partition.identity);
    }
    if (partition.closed && !partition.retired && IsAtRest(ordinal)) {
      RetireOrEnd(ordinal, changed);
    }
    partitions_change_ |= partition.closed && !partition.retired;
  }
  DropGoneUnplanned();
  record.set_about_job(history_.job_id());
  if (stage_ < Stage::kEnding && (changed->retired_size() > 0 || changed->identified_size() > 0)) {
    changed->set_job_id(history_.job_id());
    changed->set_epoch(epoch_.value());
    Append(std::move(record));
  }
}

bool JobState::IsAtRest(uint32_t ordinal) const {
  return history_.planned_to()[ordinal] == partitions_[ordinal].planned_to &&
         history_.committed_to()[ordinal] == partitions_[ordinal].planned_to;
}

int64_t JobState::ReadableEnd(const Partition& partition) {
  return std::min(partition.stable_end, partition.stop_at);
}

bool JobState::SkipsLostDataOf(uint32_t source) const {
  return SkipsLostData(history_.plan().sources(static_cast<int>(source)));
}

void JobState::RetireOrEnd(uint32_t ordinal, proto::PartitionsChanged* changed) {
  Partition& partition = partitions_[ordinal];
  const int64_t end = ReadableEnd(partition);
  const bool unread = partition.planned_to < end;
  if (unread && !partition.gone) {
    return;  // its rest is read first, like that of any partition
  }
  if (unread && !SkipsLostDataOf(partition.source)) {
    EndForLostData(partition.source, partition.name, partition.why, partition.planned_to, end);
    return;
  }
  proto::RetiredPartition* retired = changed->add_retired();
  retired->set_ordinal(ordinal);
  retired->set_reason(partition.why);
  if (unread) {
    retired->set_lost_begin(partition.planned_to);
    retired->set_lost_end(end);
  }
  partition.retired = true;
  retired_untold_.push_back(ordinal);
  // Batches that read a gone partition cannot be run again, so a snapshot behind them is wanted
  // soon.
  if (partition.gone && KeepsSnapshots()) {
    snapshots_.Request();
  }
}

void JobState::DropGoneUnplanned() {
  for (const UnplannedPartition& one : unplanned_) {
    if (one.gone && one.stable_end > one.start && !SkipsLostDataOf(one.source)) {
      EndForLostData(one.source, one.name, one.why, one.start, one.stable_end);
      return;
    }
  }
  PartitionsRetired gone;
  std::erase_if(unplanned_, [&](const UnplannedPartition& one) {
    if (one.gone) {
      gone.partitions.push_back({one.source, one.name, one.why, one.start, one.stable_end});
    }
    return one.gone;
  });
  if (!gone.partitions.empty()) {
    actions_.push_back(std::move(gone));
  }
}

void JobState::EndForLostData(uint32_t source, const std::string& name, const std::string& why,
                              int64_t begin, int64_t end) {
  End(proto::JobEnded::FAILED,
      absl::StrCat("source table \"", history_.plan().sources(static_cast<int>(source)).table(),
                   "\": partition ", name, ": ", why, " before offsets [", begin, ", ", end,
                   ") were read: they are lost; to go on without them, submit the job again with "
                   "the table's option on_data_loss = 'skip'"));
}

// Reports the retirements in `changed`, which is durable.
void JobState::ReportRetired(const proto::PartitionsChanged& changed) {
  if (changed.retired().empty()) {
    return;
  }
  PartitionsRetired told;
  for (const proto::RetiredPartition& retired : changed.retired()) {
    const JobPartition& partition = history_.partitions()[retired.ordinal()];
    told.partitions.push_back({partition.source, partition.name, retired.reason(),
                               retired.lost_begin(), retired.lost_end()});
  }
  actions_.push_back(std::move(told));
}

std::set<uint32_t> JobState::ShardsWithHiddenRows() const {
  std::set<uint32_t> hiding;
  for (const auto& [place, marker] : history_.markers()) {
    if (marker.hides_rows()) {
      hiding.insert(place.second);
    }
  }
  return hiding;
}

size_t JobState::ReadPartitions() const {
  return static_cast<size_t>(std::count_if(partitions_.begin(), partitions_.end(),
                                           [](const Partition& p) { return !p.retired; }));
}

}  // namespace millrace
