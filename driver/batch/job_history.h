// What the journal knows about one job: built record by record, at start from the files and while
// running from each record that has become durable. The state machine plans from it, a recovery
// replays it. Pure; thread-compatible.
//
// What a recovery may need is kept, and no more: the two newest snapshots and the plans behind the
// older one; without two, the plans from the job's beginning; of a job without running state, the
// plans that are not committed. A plan without running state drops the state of those before it:
// what comes after begins with an empty one.
#ifndef MILLRACE_DRIVER_BATCH_JOB_HISTORY_H_
#define MILLRACE_DRIVER_BATCH_JOB_HISTORY_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/ids.h"
#include "proto/journal.pb.h"

namespace millrace {

// Newer plans are refused by number.
inline constexpr uint32_t kPlanFormatVersion = 1;

// Whether the table's option on_data_loss lets the job go on without what is lost; by default not.
bool SkipsLostData(const proto::Source& table);

// A partition of the job. Its ordinal is its index in JobHistory::partitions().
struct JobPartition {
  uint32_t source = 0;
  std::string name;  // of the connector
  int64_t start = 0;
  std::string topic_id = {};  // PartitionStart.topic_id, or what a later Identified says
  bool retired = false;       // not read any more
  std::string why = {};       // it is retired
};

struct PlannedSplit {
  uint32_t ordinal = 0;
  int64_t begin = 0;
  int64_t end = 0;
};

// Records and hash of a committed split; a replay must find the same.
struct SplitDigest {
  uint32_t ordinal = 0;
  int64_t records = 0;
  uint64_t input_hash = 0;
};

struct PlannedBatch {
  BatchId batch;
  int64_t batch_time_us = 0;
  std::vector<PlannedSplit> splits;
  std::vector<SplitDigest> committed;  // empty until committed
};

// All splits of the batch together.
int64_t OffsetsOf(const PlannedBatch& batch);

// How an epoch begins: the state to restore, and the batches to run again behind it.
struct RecoveryPlan {
  const proto::Snapshot* snapshot = nullptr;  // null = no state; lives as long as the history
  std::vector<int64_t> read_from;             // per partition
  std::deque<PlannedBatch> batches;           // ascending, without gaps, up to last_planned()
};

class JobHistory {
 public:
  static constexpr size_t kSnapshotsKept = 2;

  // REQUIRES: `submitted` is the job's first record.
  explicit JobHistory(proto::JobSubmitted submitted);

  // Takes the job's next record. DATA_LOSS says what does not follow from what came before, and
  // nothing has changed then: the journal is not this job's, or not whole, or the record should not
  // be journaled.
  absl::Status Apply(const proto::JournalRecord& record);

  // The same as it was when it wrote itself down, but for the plans, which follow by
  // TakeCheckpointPlans.
  explicit JobHistory(const proto::JobCheckpoint& checkpoint);
  absl::Status TakeCheckpointPlans(const proto::CheckpointPlans& plans);
  // Once all have come. DATA_LOSS: some are missing.
  absl::Status CheckCheckpoint() const;

  // Hands out a JobCheckpoint and as many CheckpointPlans as it takes; ends with the first error of
  // `write`.
  absl::Status WriteCheckpoint(
      const std::function<absl::Status(proto::JournalRecord)>& write) const;

  // Why the first record cannot be used, which is then what Apply answers; OK if it can.
  const absl::Status& first_error() const { return first_error_; }

  const proto::JobSubmitted& submitted() const { return submitted_; }
  const proto::JobPlan& plan() const { return submitted_.plan(); }
  const std::string& job_id() const { return submitted_.job_id(); }
  const std::string& name() const { return submitted_.name(); }

  Epoch last_epoch() const { return last_epoch_; }
  BatchId last_planned() const { return last_planned_; }
  BatchId last_committed() const { return last_committed_; }
  int64_t last_batch_time_us() const { return last_batch_time_us_; }

  const std::vector<JobPartition>& partitions() const { return partitions_; }
  // Ends of the last planned and of the last committed batch, per partition.
  const std::vector<int64_t>& planned_to() const { return planned_to_; }
  const std::vector<int64_t>& committed_to() const { return committed_to_; }
  // How far each was seen to go when it was last planned; ≥ planned_to().
  const std::vector<int64_t>& seen_to() const { return seen_to_; }

  // From the newest snapshot. DATA_LOSS: no snapshot can be read any more, and the plans from the
  // beginning are no longer kept.
  absl::StatusOr<RecoveryPlan> PlanRecovery() const;

  // Complete and not dropped, ascending, at most kSnapshotsKept.
  const std::deque<proto::Snapshot>& snapshots() const { return snapshots_; }
  // Of the newest; 0 = there is none.
  BatchId last_snapshot() const;
  // Names of the files that these snapshots are made of.
  std::set<std::string> SnapshotFiles() const;

  // The last epoch in which all shards were claimed.
  Epoch last_opened() const { return last_opened_; }
  // Last marker of every sink shard, by (sink, shard).
  const std::map<std::pair<uint32_t, uint32_t>, proto::SinkMarker>& markers() const {
    return markers_;
  }
  // Whether the shards that the plan has no more are still to be claimed.
  bool wants_retirement() const {
    return submitted_.retired_shards_size() > 0 && last_opened_ <= opened_before_submission_;
  }

  // What a script says about a way out of a failure (on_lost_marker of its sinks, on_data_loss of
  // its sources) holds already while the job is brought to where the script may change. Not
  // journaled.
  void AdoptLossOptions(const proto::JobPlan& next);

  // How it ended; none while it is live or interrupted.
  const std::optional<proto::JobEnded>& ended() const { return ended_; }

 private:
  absl::Status ApplySubmitted(const proto::JobSubmitted& submitted);
  absl::Status ApplyEpoch(const proto::EpochStarted& epoch);
  absl::Status ApplyPlanned(const proto::BatchPlanned& planned);
  absl::Status ApplyCommitted(const proto::BatchCommittedRecord& committed);
  absl::Status ApplyOpened(const proto::EpochOpened& opened);
  absl::Status ApplySnapshot(const proto::SnapshotCompleted& completed);
  absl::Status ApplyDropped(const proto::SnapshotDropped& dropped);
  absl::Status ApplyAbandoned(const proto::BatchesAbandoned& abandoned);
  using NewPartition = google::protobuf::RepeatedPtrField<proto::PartitionStart>::const_iterator;
  absl::Status CheckNewPartitions(NewPartition first, NewPartition last) const;
  // `added`: how many of the batch's partitions are new.
  absl::Status CheckSplits(const proto::BatchPlanned& planned, size_t added) const;
  void AddPartition(const proto::PartitionStart& partition);
  absl::Status ApplyChanged(const proto::PartitionsChanged& changed);
  absl::Status CheckRetired(const proto::RetiredPartition& retired) const;
  void Retire(const proto::RetiredPartition& retired);
  // A retired partition is read again, from where it was left.
  absl::Status CheckReopened(uint32_t ordinal) const;
  void Reopen(uint32_t ordinal);
  void DropState();
  // Forgets the first of replayable_.
  void ForgetFirstPlan();
  absl::Status Broken(const std::string& what) const;

  // All of them are in a checkpoint (job_checkpoint.cc).
  proto::JobSubmitted submitted_;
  Epoch last_epoch_;
  Epoch last_opened_;
  Epoch opened_before_submission_;
  BatchId last_planned_;
  BatchId last_committed_;
  int64_t last_batch_time_us_ = 0;
  std::vector<JobPartition> partitions_;
  std::map<std::pair<uint32_t, std::string>, uint32_t> ordinals_;
  std::vector<int64_t> planned_to_;
  std::vector<int64_t> committed_to_;
  std::vector<int64_t> seen_to_;
  std::deque<PlannedBatch> replayable_;
  std::vector<int64_t> replayable_from_;  // per partition, where the first of replayable_ begins
  std::deque<proto::Snapshot> snapshots_;
  std::map<std::pair<uint32_t, uint32_t>, proto::SinkMarker> markers_;
  std::optional<proto::JobEnded> ended_;
  absl::Status first_error_;
};

// The job a record belongs to; empty for what is about none.
const std::string& JobIdOf(const proto::JournalRecord& record);

}  // namespace millrace

#endif  // MILLRACE_DRIVER_BATCH_JOB_HISTORY_H_
