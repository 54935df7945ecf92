// What the journal knows about one job: built record by record, at start from the files and while
// running from each record that has become durable. The state machine plans from it, a recovery
// replays it. Pure; thread-compatible.
//
// The history keeps what a recovery may need, and no more. A job with running state keeps its two
// newest snapshots and the plans behind the older one; while there are fewer than two, it keeps the
// plans from its beginning. If no snapshots are taken at all, many plans are folded into fewer
// (plan_folding.h); where the state or the plans' size does not allow that, the oldest plans are
// dropped, and the state can then no longer be rebuilt. A job without running state keeps the plans
// that are not committed. A submission without running state drops the state of those before it:
// later submissions begin with empty state.
#ifndef MILLRACE_DRIVER_COORDINATOR_JOB_HISTORY_H_
#define MILLRACE_DRIVER_COORDINATOR_JOB_HISTORY_H_

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
#include "driver/coordinator/session_history.h"
#include "proto/journal.pb.h"

namespace millrace::driver {

// Whether the table's option on_data_loss lets the job go on without records that are lost; by
// default it does not.
bool SkipsLostData(const proto::Source& table);

// A partition of the job. Its ordinal is its index in JobHistory::partitions().
struct JobPartition {
  uint32_t source = 0;
  std::string name;  // as the connector calls it
  int64_t start = 0;
  std::string topic_id = {};  // PartitionStart.topic_id, or what a later Identified says
  bool retired = false;       // not read any more
  std::string why = {};       // why it is retired
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
  std::optional<uint64_t> input_hash;  // none of folded batches
};

struct PlannedBatch {
  BatchId batch;
  int64_t batch_time_us = 0;
  std::vector<PlannedSplit> splits;
  std::vector<SplitDigest> committed;  // empty until committed
  int64_t stands_for = 1;  // number of batches folded into this one, the last of which is `batch`

  BatchId first() const { return BatchId(batch.value() - stands_for + 1); }
};

// All splits of the batch together.
int64_t OffsetsOf(const PlannedBatch& batch);

// How an epoch begins: the state to restore, and the batches behind that state to run again.
struct RecoveryPlan {
  const proto::Snapshot* snapshot = nullptr;  // null = no state to restore; owned by the history
  std::vector<int64_t> read_from;             // per partition
  // In ascending order, without gaps, up to last_planned(). Folded batches are given numbers that
  // leave no gap, since executors rely on that.
  std::deque<PlannedBatch> batches;
};

class JobHistory {
 public:
  static constexpr size_t kSnapshotsKept = 2;
  // The plans of a job without snapshots are folded when they have more splits and digests than
  // this; plans that cannot be folded, or not any further, are dropped when they have more than so
  // many times that number.
  static constexpr size_t kMaxRanges = 200'000;
  static constexpr size_t kUnfoldedFactor = 10;

  // REQUIRES: `submitted` is the job's first record.
  explicit JobHistory(proto::JobSubmitted submitted);

  // Applies the job's next record. DATA_LOSS says how the record does not follow from those before
  // it; then the history is unchanged. Either the journal is another job's or incomplete, or the
  // record must not be journaled.
  absl::Status Apply(const proto::JournalRecord& record);

  // Restores the history that wrote this checkpoint, except for its plans, which
  // TakeCheckpointPlans adds.
  explicit JobHistory(const proto::JobCheckpoint& checkpoint);
  absl::Status TakeCheckpointPlans(const proto::CheckpointPlans& plans);
  // To be called after the last TakeCheckpointPlans. DATA_LOSS: some plans are missing.
  absl::Status CheckCheckpoint() const;

  // Passes a JobCheckpoint and as many CheckpointPlans as it takes to `write`; ends with the first
  // error of `write`.
  absl::Status WriteCheckpoint(
      const std::function<absl::Status(proto::JournalRecord)>& write) const;

  // OK if the job's first record can be used; otherwise why not, which is then what every Apply
  // returns.
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
  // Per partition: where the last planned batch ends, and where the last committed one does.
  const std::vector<int64_t>& planned_to() const { return planned_to_; }
  const std::vector<int64_t>& committed_to() const { return committed_to_; }
  // Per partition: the end that was known when a batch last read it; ≥ planned_to().
  const std::vector<int64_t>& seen_to() const { return seen_to_; }

  // Plans a recovery from the newest snapshot. DATA_LOSS: no snapshot can be read any more, and the
  // plans from the job's beginning are no longer kept.
  absl::StatusOr<RecoveryPlan> PlanRecovery() const;

  // Whether the state can still be rebuilt if it is lost now.
  bool is_rebuildable() const { return PlansReachBack(); }

  // The snapshots that are complete and not dropped, in ascending order, at most kSnapshotsKept.
  const std::deque<proto::Snapshot>& snapshots() const { return snapshots_; }
  // The batch of the newest snapshot; 0 = there is none.
  BatchId last_snapshot() const;
  // Names of the files that these snapshots are made of.
  std::set<std::string> SnapshotFiles() const;

  // The last epoch that had all its shards claimed.
  Epoch last_opened() const { return last_opened_; }
  // Last marker of every sink shard that has a session of its own, by (sink, shard).
  const std::map<std::pair<uint32_t, uint32_t>, proto::SinkMarker>& markers() const {
    return markers_;
  }
  // What is known of sessions that several shards share.
  const SessionHistory& sessions() const { return sessions_; }
  // Whether the last epoch that opened was of a version before sessions, so that its shards must be
  // claimed in the form of that version.
  bool wants_former_claims() const {
    return last_opened_ != Epoch() && sessions_.opened() == Epoch();
  }
  // Whether shards that the present plan no longer has are still to be claimed.
  bool wants_retirement() const {
    return submitted_.retired_shards_size() > 0 && last_opened_ <= opened_before_submission_;
  }

  // Takes over from `next`, a script that is being submitted, the options that say how to go on
  // after a loss or a failed row: on_lost_marker of its sinks, on_data_loss of its sources, and
  // their on_error where it changes from FAIL to SKIP. They hold already while the job, under its
  // old plan, is brought to a point where the plan may change. Not journaled.
  void AdoptFailureOptions(const proto::JobPlan& next);

  // How the job ended; none while it is live or interrupted.
  const std::optional<proto::JobEnded>& ended() const { return ended_; }

 private:
  absl::Status ApplySubmitted(const proto::JobSubmitted& submitted);
  // In job_records.cc, each beside the function that builds its record. All leave the history
  // unchanged if the record does not follow.
  absl::Status ApplyEpoch(const proto::EpochStarted& epoch);
  absl::Status ApplyPlanned(const proto::BatchPlanned& planned);
  absl::Status ApplyCommitted(const proto::BatchCommittedRecord& committed);
  absl::Status ApplyOpened(const proto::EpochOpened& opened);
  absl::Status ApplySnapshot(const proto::SnapshotCompleted& completed);
  absl::Status ApplyDropped(const proto::SnapshotDropped& dropped);
  absl::Status ApplyAbandoned(const proto::BatchesAbandoned& abandoned);
  absl::Status ApplyChanged(const proto::PartitionsChanged& changed);
  absl::Status ApplyEnded(const proto::JobEnded& ended);
  using NewPartition = google::protobuf::RepeatedPtrField<proto::PartitionStart>::const_iterator;
  absl::Status CheckNewPartitions(NewPartition first, NewPartition last) const;
  // `added`: how many new partitions enter with the batch.
  absl::Status CheckSplits(const proto::BatchPlanned& planned, size_t added) const;
  void AddPartition(const proto::PartitionStart& partition);
  absl::Status CheckRetired(const proto::RetiredPartition& retired) const;
  void Retire(const proto::RetiredPartition& retired);
  // OK if the partition is retired, so that it can be read again from where it was left.
  absl::Status CheckReopened(uint32_t ordinal) const;
  void Reopen(uint32_t ordinal);
  void DropState();
  // Whether the plans that are kept, with a snapshot or alone, suffice to rebuild the state.
  bool PlansReachBack() const;
  // Whether snapshots of the state come, or have come. An empty snapshot is none of these: it is
  // where a submission began with empty state.
  bool TakesSnapshots() const;
  // Keeps the plans of a job without snapshots from growing without end.
  void BoundPlans();
  // Forgets the first plan of replayable_.
  void ForgetFirstPlan();
  absl::Status Broken(const std::string& what) const;

  // A checkpoint has each of these members (job_checkpoint.cc).
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
  // Per partition, where the first plan of replayable_ begins.
  std::vector<int64_t> replayable_from_;
  std::deque<proto::Snapshot> snapshots_;
  std::map<std::pair<uint32_t, uint32_t>, proto::SinkMarker> markers_;
  SessionHistory sessions_;
  std::optional<proto::JobEnded> ended_;
  absl::Status first_error_;

  // Not in checkpoints. No folding while there are no more plans than this, so that not every batch
  // tries it when it leaves many.
  size_t fold_above_ = 0;
};

// The job that a record belongs to; empty for a record that belongs to none.
const std::string& JobIdOf(const proto::JournalRecord& record);

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_JOB_HISTORY_H_
