#include "driver/snapshots/replay_records.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "driver/coordinator/job_history.h"
#include "driver/coordinator/job_records.h"

namespace millrace::driver {
namespace {

// The records of one job that a replay needs.
struct JobRecords {
  proto::JobSubmitted submitted;  // the submission in force when the batch was planned
  std::map<int64_t, proto::BatchPlanned> planned;
  std::map<int64_t, proto::BatchCommittedRecord> committed;
  std::map<int64_t, proto::Snapshot> snapshots;
};

// The submission that the record is, or that it repeats; null: neither.
const proto::JobSubmitted* SubmissionIn(const proto::JournalRecord& record) {
  return record.has_job_submitted()    ? &record.job_submitted()
         : record.has_job_checkpoint() ? &record.job_checkpoint().submitted()
                                       : nullptr;
}

// The id of the job that `job`, a name or an id, means.
absl::StatusOr<std::string> FindJob(const std::vector<proto::JournalRecord>& journal,
                                    const std::string& job) {
  std::string found;
  std::set<std::string> names;
  for (const proto::JournalRecord& record : journal) {
    const proto::JobSubmitted* const submitted = SubmissionIn(record);
    if (submitted == nullptr) {
      continue;
    }
    names.insert(submitted->name());
    if (submitted->name() == job || submitted->job_id() == job) {
      found = submitted->job_id();
    }
  }
  if (found.empty()) {
    return absl::NotFoundError(absl::StrCat("this journal knows no job '", job,
                                            "'; it has: ", absl::StrJoin(names, ", ")));
  }
  return found;
}

// Starts from a checkpoint: as if the job had been submitted where the oldest plan in the
// checkpoint begins. Earlier records are gone.
void BeginAt(const proto::JobCheckpoint& checkpoint, JobRecords* job,
             proto::JobSubmitted* submitted) {
  *submitted = checkpoint.submitted();
  submitted->clear_partitions();
  for (const proto::CheckpointPartition& partition : checkpoint.partitions()) {
    proto::PartitionStart* start = submitted->add_partitions();
    *start = partition.start();
    start->set_offset(partition.kept_from());
  }
  for (const proto::Snapshot& snapshot : checkpoint.snapshots()) {
    job->snapshots[snapshot.batch()] = snapshot;
  }
}

// Adds the plans of a checkpoint as if they were the records that first journaled them.
void AddPlans(const proto::CheckpointPlans& plans, const proto::JobSubmitted& submitted,
              JobRecords* job) {
  for (const proto::CheckpointPlans::Plan& plan : plans.plans()) {
    proto::BatchPlanned& planned = job->planned[plan.batch()];
    planned.set_job_id(plans.job_id());
    planned.set_batch(plan.batch());
    planned.set_batch_time_us(plan.batch_time_us());
    for (const proto::CheckpointPlans::Range& range : plan.splits()) {
      proto::Split* split = planned.add_splits();
      *split->mutable_key() = submitted.partitions(static_cast<int>(range.ordinal())).key();
      split->set_ordinal(range.ordinal());
      split->set_begin(range.begin());
      split->set_end(range.end());
    }
    for (const proto::CheckpointPlans::Digest& digest : plan.committed()) {
      proto::BatchCommittedRecord& committed = job->committed[plan.batch()];
      committed.set_job_id(plans.job_id());
      committed.set_batch(plan.batch());
      proto::SplitReport* report = committed.add_splits();
      *report->mutable_key() = submitted.partitions(static_cast<int>(digest.ordinal())).key();
      report->set_records(digest.records());
      report->set_input_hash(digest.input_hash());
    }
  }
}

JobRecords Collect(const std::vector<proto::JournalRecord>& journal, const std::string& job_id,
                   BatchId batch) {
  JobRecords job;
  proto::JobSubmitted latest;
  for (const proto::JournalRecord& record : journal) {
    if (JobIdOf(record) != job_id) {
      continue;
    }
    if (record.has_job_submitted()) {
      latest = record.job_submitted();
    } else if (record.has_job_checkpoint()) {
      BeginAt(record.job_checkpoint(), &job, &latest);
    } else if (record.has_checkpoint_plans()) {
      AddPlans(record.checkpoint_plans(), latest, &job);
      job.submitted = job.planned.contains(batch.value()) ? latest : job.submitted;
    } else if (record.has_batch_planned()) {
      job.planned[record.batch_planned().batch()] = record.batch_planned();
      if (record.batch_planned().batch() == batch.value()) {
        job.submitted = latest;
      }
    } else if (record.has_batches_abandoned()) {
      job.planned.erase(job.planned.lower_bound(record.batches_abandoned().batch()),
                        job.planned.end());
    } else if (record.has_batch_committed()) {
      job.committed[record.batch_committed().batch()] = record.batch_committed();
    } else if (record.has_snapshot_completed()) {
      const proto::Snapshot& snapshot = record.snapshot_completed().snapshot();
      job.snapshots[snapshot.batch()] = snapshot;
    }
  }
  return job;
}

// The newest snapshot before `batch` whose files still exist; null: none.
template <typename HasFile>
const proto::Snapshot* SnapshotBefore(const JobRecords& job, BatchId batch,
                                      const HasFile& has_file) {
  const proto::Snapshot* best = nullptr;
  for (const auto& [number, snapshot] : job.snapshots) {
    const bool whole =
        std::all_of(snapshot.layers().begin(), snapshot.layers().end(), [&](const auto& layer) {
          return std::all_of(layer.files().begin(), layer.files().end(), [&](const auto& file) {
            return has_file(job.submitted.snapshot_location(), file);
          });
        });
    if (number < batch.value() && whole) {
      best = &snapshot;
    }
  }
  return best;
}

// Where the job's partitions stand after batch `through`, without those that entered later; sets
// `time_us` to that batch's time.
std::vector<proto::PartitionStart> PositionsAfter(const JobRecords& job, int64_t through,
                                                  int64_t* time_us) {
  std::vector<proto::PartitionStart> positions;
  const auto add = [&](const proto::PartitionStart& start) {
    if (start.ordinal() >= positions.size()) {
      positions.push_back(start);
    }
  };
  // A partition that entered with a batch is in that batch's plan; a later submission repeats it,
  // which does not make it known earlier.
  std::set<uint32_t> entered_later;
  for (const auto& [batch, planned] : job.planned) {
    for (const proto::PartitionStart& start : planned.new_partitions()) {
      if (batch > through) {
        entered_later.insert(start.ordinal());
      }
    }
  }
  for (const proto::PartitionStart& start : job.submitted.partitions()) {
    if (!entered_later.contains(start.ordinal())) {
      add(start);
    }
  }
  for (const auto& [batch, planned] : job.planned) {
    if (batch > through) {
      break;
    }
    *time_us = planned.batch_time_us();
    for (const proto::PartitionStart& start : planned.new_partitions()) {
      add(start);
    }
    for (const proto::Split& split : planned.splits()) {
      positions[split.ordinal()].set_offset(split.end());
    }
  }
  return positions;
}

// Replaces every sink by print, so that a replay writes nothing outside.
void PrintInsteadOfWriting(proto::JobPlan* plan) {
  for (proto::Sink& sink : *plan->mutable_sinks()) {
    sink.set_connector("print");
    sink.clear_format();
    sink.clear_options();
  }
}

void StopBehind(const JobRecords& job, BatchId batch,
                const std::vector<proto::PartitionStart>& positions,
                proto::JobSubmitted* submitted) {
  std::map<uint32_t, proto::PartitionStart> ends;
  for (const proto::PartitionStart& position : positions) {
    ends[position.ordinal()] = position;
  }
  for (const auto& [number, planned] : job.planned) {
    if (number <= submitted->base_batch() || number > batch.value()) {
      continue;
    }
    for (const proto::PartitionStart& start : planned.new_partitions()) {
      ends[start.ordinal()] = start;
    }
    for (const proto::Split& split : planned.splits()) {
      ends[split.ordinal()].set_offset(split.end());
    }
  }
  submitted->clear_stop_at();
  for (const auto& [ordinal, end] : ends) {
    proto::JobSubmitted::BoundedEnd* bound = submitted->add_stop_at();
    *bound->mutable_key() = end.key();
    bound->set_offset(end.offset());
  }
}

absl::Status CheckCommitted(const JobRecords& job, const std::string& name, BatchId batch) {
  if (job.committed.contains(batch.value()) && job.planned.contains(batch.value())) {
    return absl::OkStatus();
  }
  return absl::NotFoundError(
      job.committed.empty()
          ? absl::StrCat("job '", name, "' has no committed batch")
          : absl::StrCat("batch ", batch.value(), " of job '", name, "' is not among those that ",
                         "this journal has committed: ", job.committed.begin()->first, " to ",
                         job.committed.rbegin()->first));
}

}  // namespace

absl::StatusOr<std::vector<proto::JournalRecord>> ReplayRecords(
    const std::vector<proto::JournalRecord>& journal, const std::string& job, BatchId batch,
    const std::function<bool(const std::string& location, const proto::SnapshotFile& file)>&
        has_file) {
  ASSIGN_OR_RETURN(const std::string id, FindJob(journal, job));
  const JobRecords records = Collect(journal, id, batch);
  RETURN_IF_ERROR(CheckCommitted(records, job, batch));

  std::vector<proto::JournalRecord> replay(1);
  proto::JobSubmitted* submitted = replay.front().mutable_job_submitted();
  *submitted = records.submitted;
  const bool has_state = submitted->plan().running_state();
  const proto::Snapshot* snapshot = has_state ? SnapshotBefore(records, batch, has_file) : nullptr;
  if (has_state) {
    submitted->set_base_batch(snapshot == nullptr ? records.submitted.base_batch()
                                                  : snapshot->batch());
  } else {
    submitted->set_base_batch(batch.value() - 1);
  }
  for (int64_t number = submitted->base_batch() + 1; number <= batch.value(); ++number) {
    if (!records.planned.contains(number)) {
      return absl::FailedPreconditionError(absl::StrCat(
          "batch ", batch.value(), " of job '", job, "' cannot be run again: no snapshot in front ",
          "of it is left, and this journal does not have the plan of batch ", number));
    }
  }
  int64_t base_time_us = 0;
  const std::vector<proto::PartitionStart> positions =
      PositionsAfter(records, submitted->base_batch(), &base_time_us);
  submitted->set_base_batch_time_us(base_time_us);
  submitted->clear_partitions();
  submitted->mutable_partitions()->Add(positions.begin(), positions.end());
  submitted->clear_retired_shards();
  submitted->set_once(true);
  submitted->set_replay(true);
  StopBehind(records, batch, positions, submitted);
  PrintInsteadOfWriting(submitted->mutable_plan());

  if (snapshot != nullptr) {
    replay.push_back(BuildSnapshotCompleted({id, Epoch()}, *snapshot));
  }
  for (int64_t number = submitted->base_batch() + 1; number <= batch.value(); ++number) {
    *replay.emplace_back().mutable_batch_planned() = records.planned.at(number);
    if (number < batch.value()) {
      *replay.emplace_back().mutable_batch_committed() = records.committed.at(number);
      replay.back().mutable_batch_committed()->clear_markers();
      replay.back().mutable_batch_committed()->clear_sessions();
    }
  }
  return replay;
}

}  // namespace millrace::driver
