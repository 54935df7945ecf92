// What becomes of partitions, as far as it concerns others than the partitions themselves: what is
// journaled of it, whom it is reported to, and when it ends the job.
#include <utility>

#include "absl/strings/str_cat.h"
#include "driver/coordinator/job_state.h"

namespace millrace::driver {

void JobState::On(const EndsKnown& event) { partitions_.On(event); }
void JobState::On(const PartitionsDiscovered& event) { partitions_.On(event); }

void JobState::AdmitNewPartitions(BatchPipeline::Batch* batch) {
  batch->new_partitions = partitions_.Admit(MemberSlots());
  for (const proto::PartitionStart& start : batch->new_partitions) {
    sticky_partitions_.Set(start.ordinal(), members_[partitions_[start.ordinal()].owner].id);
  }
}

// Journals which partitions have changed and how, or ends the job where records that it needs are
// gone.
void JobState::ChangePartitions() {
  if (!partitions_.MayHaveChanges() || stage_ >= Stage::kEnding) {
    return;
  }
  const PartitionTable::Changes changes = partitions_.TakeChanges(history_);
  if (changes.ends_replays && KeepsSnapshots()) {
    snapshots_.Request();  // since batches cannot be run again, a snapshot behind them is wanted
  }
  if (changes.lost.has_value()) {
    EndForLostData(*changes.lost);
  } else {
    DropGonePartitions();
  }
  if (stage_ < Stage::kEnding && !(changes.retired.empty() && changes.identified.empty())) {
    Append(BuildPartitionsChanged(Origin(), changes.retired, changes.identified));
  }
}

void JobState::DropGonePartitions() {
  if (const auto lost = partitions_.LostBeforePlan(history_)) {
    EndForLostData(*lost);
    return;
  }
  PartitionsRetired gone{.partitions = partitions_.DropGone()};
  if (!gone.partitions.empty()) {
    actions_.push_back(std::move(gone));
  }
}

void JobState::EndForLostData(const PartitionTable::LostRecords& lost) {
  End(proto::JobEnded::FAILED,
      absl::StrCat("source table \"",
                   history_.plan().sources(static_cast<int>(lost.source)).table(), "\": partition ",
                   lost.name, ": ", lost.why, " before offsets [", lost.begin, ", ", lost.end,
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

}  // namespace millrace::driver
