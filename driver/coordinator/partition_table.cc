#include "driver/coordinator/partition_table.h"

#include "driver/coordinator/assignment.h"

namespace millrace::driver {
namespace {

// Whether no batch that reads the partition is still to be committed.
bool IsAtRest(const JobHistory& history, uint32_t ordinal, int64_t planned_to) {
  return history.planned_to()[ordinal] == planned_to &&
         history.committed_to()[ordinal] == planned_to;
}

bool SkipsLostDataOf(const JobHistory& history, uint32_t source) {
  return SkipsLostData(history.plan().sources(static_cast<int>(source)));
}

}  // namespace

PartitionTable::PartitionTable(bool bounded, PartitionRate rate) : bounded_(bounded), rate_(rate) {}

void PartitionTable::Load(const JobHistory& history) {
  const std::vector<JobPartition>& known = history.partitions();
  std::vector<Partition> before = std::move(partitions_);
  partitions_.clear();
  ordinals_.clear();
  std::map<std::pair<uint32_t, std::string>, int64_t> stop_at;
  for (const auto& bound : history.submitted().stop_at()) {
    stop_at[{bound.key().source(), bound.key().partition()}] = bound.offset();
  }
  for (uint32_t ordinal = 0; ordinal < known.size(); ++ordinal) {
    Partition partition;
    if (ordinal < before.size()) {
      partition = before[ordinal];  // keeps the end that is known already
    }
    partition.source = known[ordinal].source;
    partition.name = known[ordinal].name;
    partition.planned_to = history.planned_to()[ordinal];
    partition.retired = known[ordinal].retired;
    partition.journaled_identity = known[ordinal].topic_id;
    if (partition.identity.empty()) {
      partition.identity = partition.journaled_identity;
    }
    const auto bound = stop_at.find({partition.source, partition.name});
    if (bound != stop_at.end()) {
      partition.stop_at = bound->second;
      partition.stable_end = std::max(partition.stable_end, bound->second);
    } else if (bounded_) {
      partition.stop_at = partition.planned_to;
    }
    partition.stable_end = std::max(partition.stable_end, history.seen_to()[ordinal]);
    partition.high_watermark = std::max(partition.high_watermark, partition.stable_end);
    ordinals_[{partition.source, partition.name}] = ordinal;
    partitions_.push_back(std::move(partition));
  }
  may_have_changes_ = true;
}

void PartitionTable::TakeBackPlans(const JobHistory& history) {
  for (size_t ordinal = 0; ordinal < partitions_.size(); ++ordinal) {
    partitions_[ordinal].planned_to = history.planned_to()[ordinal];
  }
}

void PartitionTable::EndEpoch() {
  progress_leads_.clear();
  retired_untold_.clear();
}

std::vector<uint32_t> PartitionTable::ToPlace(const std::vector<int64_t>& read_from,
                                              const std::set<uint32_t>& hiding) const {
  std::vector<uint32_t> placed;
  for (uint32_t ordinal = 0; ordinal < partitions_.size(); ++ordinal) {
    const bool read_again = read_from[ordinal] < partitions_[ordinal].planned_to;
    if (!partitions_[ordinal].retired || read_again || hiding.contains(ordinal)) {
      placed.push_back(ordinal);
    }
  }
  return placed;
}

void PartitionTable::Place(const std::vector<uint32_t>& ordinals,
                           const std::vector<uint32_t>& owners) {
  for (Partition& partition : partitions_) {
    partition.owner = kNoOwner;
  }
  for (size_t i = 0; i < ordinals.size(); ++i) {
    partitions_[ordinals[i]].owner = owners[i];
  }
}

void PartitionTable::On(const EndsKnown& event) {
  std::map<std::string, Found*> found_by_name;
  for (Found& one : found_) {
    if (one.source == event.source) {
      found_by_name[one.name] = &one;
    }
  }
  for (const EndsKnown::End& end : event.ends) {
    may_have_changes_ |= end.closed || end.gone || !end.identity.empty();
    Partition* const partition = Find(event.source, end.partition);
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
    const auto found = found_by_name.find(end.partition);
    if (found != found_by_name.end()) {
      Found& one = *found->second;
      one.stable_end = std::max(end.stable_end, one.stable_end);
      one.high_watermark = std::max(end.high_watermark, one.stable_end);
      one.bytes_per_offset = end.bytes_per_offset;
      one.gone = end.gone;
      one.why = end.why;
      one.topic_id = end.identity.empty() ? one.topic_id : end.identity;
    }
  }
}

void PartitionTable::On(const PartitionsDiscovered& event) {
  if (bounded_) {
    return;
  }
  std::set<std::string> waiting;
  for (const Found& one : found_) {
    if (one.source == event.source) {
      waiting.insert(one.name);
    }
  }
  for (const PartitionsDiscovered::Found& found : event.found) {
    const std::optional<uint32_t> ordinal = OrdinalOf(event.source, found.partition);
    if ((ordinal.has_value() && !partitions_[*ordinal].retired) ||
        !waiting.insert(found.partition).second) {
      continue;
    }
    const int64_t start = ordinal.has_value() ? partitions_[*ordinal].planned_to : found.earliest;
    found_.push_back({event.source, found.partition, start, start, start, found.topic_id, ordinal});
  }
}

void PartitionTable::On(const proto::SourceProgress& progress) {
  for (const proto::SourceProgress::Partition& reported : progress.partitions()) {
    if (Partition* partition = Find(reported.key().source(), reported.key().partition())) {
      if (reported.fetched_to() > partition->stable_end) {
        partition->stable_end = reported.fetched_to();
        progress_leads_[partition->source] = true;
      }
      partition->high_watermark = std::max(partition->high_watermark, partition->stable_end);
      partition->size.Fetched(reported.bytes_per_offset());
    }
  }
}

void PartitionTable::OnRead(uint32_t ordinal, const proto::SplitReport& report, bool is_new) {
  const int64_t offsets = report.end() - report.begin();
  if (is_new) {
    partitions_[ordinal].pace.OnRead(offsets, report.records());
  }
  partitions_[ordinal].size.Read(report.records(), report.bytes(), offsets);
}

bool PartitionTable::HasInput() const {
  return std::any_of(partitions_.begin(), partitions_.end(),
                     [](const Partition& p) { return p.PlannableEnd() > p.planned_to; }) ||
         std::any_of(found_.begin(), found_.end(), [](const Found& one) { return one.HasInput(); });
}

// How many positions the rate limit lets a batch that is planned now read from the partition.
int64_t PartitionTable::Allowed(Partition* partition, int64_t now_us) const {
  return rate_.records_per_second == 0
             ? INT64_MAX
             : partition->pace.Allowed(rate_.records_per_second, rate_.first_us, rate_.most_us,
                                       now_us);
}

bool PartitionTable::IsHeldByRate(int64_t now_us) {
  if (rate_.records_per_second == 0) {
    return false;
  }
  bool held = false;
  for (Partition& partition : partitions_) {
    if (partition.PlannableEnd() > partition.planned_to) {
      if (Allowed(&partition, now_us) > 0) {
        return false;
      }
      held = true;
    }
  }
  return held && std::none_of(found_.begin(), found_.end(),
                              [](const Found& one) { return one.HasInput(); });
}

std::vector<proto::PartitionStart> PartitionTable::Admit(const std::vector<uint32_t>& slots) {
  std::vector<proto::PartitionStart> starts;
  std::vector<Found> still_empty;
  std::vector<uint32_t> counts(slots.size());
  for (const Partition& partition : partitions_) {
    if (partition.owner != kNoOwner) {
      ++counts[partition.owner];
    }
  }
  std::stable_partition(found_.begin(), found_.end(),
                        [](const Found& one) { return !one.ordinal.has_value(); });
  for (Found& one : found_) {
    if (!one.HasInput() || one.gone) {
      still_empty.push_back(std::move(one));
      continue;
    }
    const uint32_t ordinal = one.ordinal.value_or(static_cast<uint32_t>(partitions_.size()));
    if (!one.ordinal.has_value()) {
      partitions_.emplace_back();
    }
    Partition& partition = partitions_[ordinal];
    // A retired partition may still have an owner, for its sinks.
    if (partition.owner == kNoOwner) {
      partition.owner = LeastLoaded(slots, counts);
      ++counts[partition.owner];
    }
    partition = {.source = one.source,
                 .name = one.name,
                 .identity = one.topic_id,
                 .journaled_identity = one.topic_id,
                 .planned_to = one.start,
                 .stable_end = one.stable_end,
                 .high_watermark = one.high_watermark,
                 .owner = partition.owner};
    partition.size.Fetched(one.bytes_per_offset);
    ordinals_[{one.source, one.name}] = ordinal;

    proto::PartitionStart& start = starts.emplace_back();
    start.mutable_key()->set_source(one.source);
    start.mutable_key()->set_partition(one.name);
    start.set_offset(one.start);
    start.set_ordinal(ordinal);
    start.set_topic_id(one.topic_id);
  }
  found_ = std::move(still_empty);
  return starts;
}

std::vector<SplitDemand> PartitionTable::Demands(const BatchSizer& sizer, int64_t now_us) {
  std::vector<SplitDemand> demands(partitions_.size());
  for (size_t i = 0; i < partitions_.size(); ++i) {
    Partition& partition = partitions_[i];
    demands[i].lag = partition.PlannableEnd() - partition.planned_to;
    demands[i].limit = Allowed(&partition, now_us);
    demands[i].owner = partition.owner == kNoOwner ? 0 : partition.owner;
    demands[i].bytes_per_offset = sizer.CostPerOffset(partition.size);
  }
  return demands;
}

std::vector<PlannedSplit> PartitionTable::Plan(const std::vector<int64_t>& offsets) {
  std::vector<PlannedSplit> splits;
  for (uint32_t ordinal = 0; ordinal < partitions_.size(); ++ordinal) {
    if (offsets[ordinal] > 0) {
      Partition& partition = partitions_[ordinal];
      const int64_t begin = partition.planned_to;
      partition.planned_to += offsets[ordinal];
      splits.push_back({ordinal, begin, partition.planned_to});
    }
  }
  return splits;
}

std::vector<uint32_t> PartitionTable::TakeRetiredUntold() {
  return std::exchange(retired_untold_, {});
}

bool PartitionTable::IsPlannedToStop() const {
  return std::all_of(partitions_.begin(), partitions_.end(),
                     [](const Partition& p) { return p.retired || p.planned_to >= p.stop_at; });
}

bool PartitionTable::IsCommittedToStop(const JobHistory& history) const {
  for (uint32_t ordinal = 0; ordinal < partitions_.size(); ++ordinal) {
    if (!partitions_[ordinal].retired &&
        history.committed_to()[ordinal] < partitions_[ordinal].stop_at) {
      return false;
    }
  }
  return true;
}

PartitionTable::Changes PartitionTable::TakeChanges(const JobHistory& history) {
  Changes changes;
  may_have_changes_ = false;
  for (uint32_t ordinal = 0; ordinal < partitions_.size() && !changes.lost.has_value(); ++ordinal) {
    if (ordinal >= history.partitions().size()) {
      may_have_changes_ = true;  // its plan is not durable yet: look again once it is
      break;
    }
    Partition& partition = partitions_[ordinal];
    if (partition.identity != partition.journaled_identity) {
      partition.journaled_identity = partition.identity;
      proto::PartitionsChanged::Identified& identified = changes.identified.emplace_back();
      identified.set_ordinal(ordinal);
      identified.set_identity(partition.identity);
    }
    if (partition.closed && !partition.retired &&
        IsAtRest(history, ordinal, partition.planned_to)) {
      Retire(ordinal, history, &changes);
    }
    may_have_changes_ |= partition.closed && !partition.retired;
  }
  return changes;
}

void PartitionTable::Retire(uint32_t ordinal, const JobHistory& history, Changes* changes) {
  Partition& partition = partitions_[ordinal];
  const int64_t end = partition.ReadableEnd();
  const bool unread = partition.planned_to < end;
  if (unread && !partition.gone) {
    return;  // its rest is read first, like that of any partition
  }
  if (unread && !SkipsLostDataOf(history, partition.source)) {
    changes->lost = LostRecords{.source = partition.source,
                                .name = partition.name,
                                .why = partition.why,
                                .begin = partition.planned_to,
                                .end = end};
    return;
  }
  proto::RetiredPartition& retired = changes->retired.emplace_back();
  retired.set_ordinal(ordinal);
  retired.set_reason(partition.why);
  if (unread) {
    retired.set_lost_begin(partition.planned_to);
    retired.set_lost_end(end);
  }
  partition.retired = true;
  retired_untold_.push_back(ordinal);
  changes->ends_replays |= partition.gone;
}

std::optional<PartitionTable::LostRecords> PartitionTable::LostBeforePlan(
    const JobHistory& history) const {
  for (const Found& one : found_) {
    if (one.gone && one.HasInput() && !SkipsLostDataOf(history, one.source)) {
      return LostRecords{.source = one.source,
                         .name = one.name,
                         .why = one.why,
                         .begin = one.start,
                         .end = one.stable_end};
    }
  }
  return std::nullopt;
}

std::vector<PartitionsRetired::Retired> PartitionTable::DropGone() {
  std::vector<PartitionsRetired::Retired> dropped;
  std::erase_if(found_, [&](const Found& one) {
    if (one.gone) {
      dropped.push_back({one.source, one.name, one.why, one.start, one.stable_end});
    }
    return one.gone;
  });
  return dropped;
}

std::optional<uint32_t> PartitionTable::OrdinalOf(uint32_t source, const std::string& name) const {
  const auto found = ordinals_.find({source, name});
  return found == ordinals_.end() ? std::nullopt : std::optional<uint32_t>(found->second);
}

proto::Split PartitionTable::Describe(const PlannedSplit& split) const {
  proto::Split described;
  described.mutable_key()->set_source(partitions_[split.ordinal].source);
  described.mutable_key()->set_partition(partitions_[split.ordinal].name);
  described.set_begin(split.begin);
  described.set_end(split.end);
  described.set_ordinal(split.ordinal);
  return described;
}

PartitionTable::Partition* PartitionTable::Find(uint32_t source, const std::string& name) {
  const std::optional<uint32_t> ordinal = OrdinalOf(source, name);
  return ordinal.has_value() ? &partitions_[*ordinal] : nullptr;
}

size_t PartitionTable::CountRead() const {
  return static_cast<size_t>(std::count_if(partitions_.begin(), partitions_.end(),
                                           [](const Partition& p) { return !p.retired; }));
}

bool PartitionTable::ProgressLeads(uint32_t source) const {
  const auto found = progress_leads_.find(source);
  return found != progress_leads_.end() && found->second;
}

}  // namespace millrace::driver
