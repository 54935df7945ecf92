// The state machine of one running job: events in, actions out. No I/O, no clock, no threads, so
// that a test can put any history through it and the same events always give the same actions.
// Thread-compatible.
//
// What it decides alone is the course of an epoch: its stage, its members, when to stop. The rest
// is kept by parts that know nothing of each other, and return what is to be done:
//   PartitionTable     what can be read, is planned, closed, retired or lost
//   BatchPipeline      batches on their way from plan to durable commit
//   TickGrid           when the next plan is due; BatchClock: the time that it is given
//   RateController, BatchSizer, split_planner.h   how much it reads
//   SnapshotChain      the snapshot that is being taken, and those that it builds on
//   FailureStreak, ExcludedExecutors              what has gone wrong before
//   StickyOwners       who owned what in the epoch before
//   JobHistory         what is durable; job_records.h: what is journaled
//
// Epochs. Every start of work is an epoch: it is journaled, then StartEpoch goes to all live
// executors with a fixed assignment, and work begins when all of them have answered EpochReady. The
// loss of a member ends the epoch at once; an executor that joins ends it at the next batch
// boundary.
//
// Batches (batch_pipeline.h). At most one batch runs. Batches before it may be waiting for their
// commit, or their commit may be on its way to the journal:
//   RunBatch(n+1)    is sent after BatchPrepared(n) from every member
//   CommitBatch(n)   commits all batches up to n that are prepared everywhere, as one wave: once
//                    their plans and the claims of their shards are durable, and the wave before
//                    is committed
//   Committed(k)     is journaled for each batch k of a wave that is committed everywhere;
//                    BatchDone(k) follows once that is durable
// A batch is planned when its tick (tick_grid.h: a multiple of batch_duration since the epoch's
// first) has come and there is input. While a backlog exceeds what one batch may have, the next one
// is planned as soon as there is room.
//
// Recovery. A new epoch restores the newest snapshot and first runs again the batches planned
// behind it, exactly as they were planned. Batches up to the last committed one only rebuild state
// (they are suppressed), and their reports must equal the committed ones. Batches that were planned
// and never committed follow, then new ones.
//
// Snapshots (snapshot_chain.h). Every checkpoint_interval, and before work ends or moves,
// TakeSnapshot is sent between two batches; SnapshotCompleted is journaled when all members have
// written their part and the batch is durably committed.
//
// Partitions (partition_table.h). When the source says that a partition is closed (nothing more
// will come) or gone, the journal records it as retired once everything that can be read of it is
// committed. A retired partition is no longer read, asked about or assigned. If a gone partition
// had records that were not read, the job ends, or notes them as lost (on_data_loss = 'skip'). A
// retired partition that has something to read again enters like a new one, at the offset where it
// was left.
//
// Failures (common/base/failure_kind.h, failure_streak.h). A failure caused by the environment is
// retried for as long as it takes, with pauses. A failure that may be deterministic is retried
// until the same one has hit the same batch several times in a row. A failure that is certain to
// come back ends the job.
//
// Size. A plan is cut by time (RateController) and by bytes (BatchSizer). A batch that still needs
// more memory than an executor has, and that nobody has committed, is withdrawn in the next epoch
// and planned anew with half its offsets; again and again, down to one offset. Meanwhile no other
// batch waits for its commit beside it, since a waiting batch takes memory too.
//
// Settling brings a job, under its old plan, to a point where plan and parallelism may change:
// batches that no shard has committed are withdrawn, batches that some shard has committed are
// finished, and the state is in a snapshot.
#ifndef MILLRACE_DRIVER_COORDINATOR_JOB_STATE_H_
#define MILLRACE_DRIVER_COORDINATOR_JOB_STATE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "common/base/failure_kind.h"
#include "common/base/ids.h"
#include "common/config/settings.h"
#include "driver/coordinator/batch_clock.h"
#include "driver/coordinator/batch_pipeline.h"
#include "driver/coordinator/batch_sizer.h"
#include "driver/coordinator/excluded_executors.h"
#include "driver/coordinator/failure_streak.h"
#include "driver/coordinator/job_event.h"
#include "driver/coordinator/job_history.h"
#include "driver/coordinator/job_records.h"
#include "driver/coordinator/partition_table.h"
#include "driver/coordinator/rate_controller.h"
#include "driver/coordinator/snapshot_chain.h"
#include "driver/coordinator/split_planner.h"
#include "driver/coordinator/sticky_owners.h"
#include "driver/coordinator/tick_grid.h"
#include "proto/jobs.pb.h"

namespace millrace::driver {

struct JobStateOptions {
  std::string driver_address;                   // for the message of a job that waits for executors
  uint64_t jitter_seed = 0;                     // spreads retries of jobs that failed together
  std::vector<proto::StateIdentity> operators;  // of the plan, those with state
  // The plan's sinks that share sessions (connectors/session_groups.h): ascending, named by the
  // first.
  std::vector<std::vector<uint32_t>> session_groups;

  int64_t ready_timeout_us = 60'000'000;  // StartEpoch to EpochReady: readers and sessions connect
  int64_t prepare_timeout_us = 600'000'000;   // RunBatch to BatchPrepared, for each
                                              // batch of a folded plan
  int64_t commit_timeout_us = 120'000'000;    // CommitBatch to BatchCommitted
  int64_t snapshot_timeout_us = 600'000'000;  // TakeSnapshot to SnapshotWritten, and the driver's
                                              // check of the snapshot's files; then the snapshot is
                                              // given up
  int64_t first_exclusion_us = 30'000'000;    // for an executor that does not see the snapshots;
  int64_t max_exclusion_us = 3'600'000'000;   // doubled each time, up to this
  int64_t finish_timeout_us = 60'000'000;     // StopEpoch of a finished job to EpochStopped
  int64_t join_delay_us = 300'000;            // lets executors that start together join together
  int64_t first_backoff_us = 100'000;         // doubled by every failure in a row
  int64_t max_backoff_us = 10'000'000;
  int max_same_failures = 5;  // of one batch in a row, each of kind kUndecided; then FAILED

  bool settle = false;  // see above; ends with STOPPED, or FAILED
};

class JobState {
 public:
  static constexpr int64_t kNever = kNeverUs;

  // `settings`: of the history's plan.
  JobState(JobHistory history, const JobSettings& settings, JobStateOptions options);

  // REQUIRES: moments do not go back. After JobOver has been returned, events have no effect.
  std::vector<JobAction> Handle(const JobEvent& event, Moment now);

  // When TimerFired is wanted next (monotonic); kNever = not before another event.
  int64_t next_wakeup_us() const;

  // ---- What people ask about ----

  struct PartitionView {
    uint32_t source = 0;
    std::string name;
    int64_t committed = 0;
    int64_t stable_end = 0;
    int64_t high_watermark = 0;
    ExecutorId owner;  // empty between epochs
  };

  const JobHistory& history() const { return history_; }
  // REQUIRES: over(), and no other member is called any more.
  JobHistory TakeHistory() { return std::move(history_); }
  proto::JobPhase phase() const;
  const std::string& message() const { return message_; }
  // Why the newest state is in no snapshot, or which executor is excluded because it does not see
  // the snapshots; empty while all is well.
  std::string snapshot_trouble() const;
  // What keeps batch times from following the wall clock; empty while they do.
  std::string clock_trouble() const { return clock_.Trouble(now_); }
  // The present epoch; between epochs, the last one.
  Epoch epoch() const { return epoch_; }
  // Whether epoch() is the present one: it has begun, or is about to, and is not given up or over.
  bool InEpoch() const;
  int64_t restarts() const { return restarts_; }
  std::vector<PartitionView> Partitions() const;
  // (stable end, high watermark) by ordinal.
  std::vector<std::pair<int64_t, int64_t>> Ends() const;
  int64_t LagRecords() const;
  // Whether a batch is planned that is neither committed nor given up.
  bool HasBatchesUnderWay() const { return !pipeline_.in_flight().empty(); }
  // Whether the last news of this source's ends came in executors' reports: then asking the source
  // itself can wait.
  bool ProgressLeads(uint32_t source) const { return partitions_.ProgressLeads(source); }
  // An executor that did not see the snapshots, and so is excluded from epochs for a while.
  struct LeftOut {
    ExecutorId executor;
    int64_t until_us = 0;
    std::string why;
  };
  std::vector<LeftOut> LeftOutUntil(int64_t now_us) const;
  // Partitions and keyed shards per member of the current epoch.
  std::map<ExecutorId, std::pair<uint32_t, uint32_t>> Load() const;
  bool over() const { return stage_ == Stage::kOver; }
  // Whether the state after the last batch planned is in a complete snapshot.
  bool is_secured() const { return history_.last_snapshot() == pipeline_.last_planned(); }

 private:
  // What a job goes through. Enter() is the only place that sets the stage.
  //
  //   kWaitingForMembers ─BeginEpoch─> kJournalingEpoch ─StartEpochOnMembers─> kStartingEpoch
  //      ^           ^                                                              │
  //      │           └──AbandonEpoch: executors join or leave──┐               EnterRunning
  //      │                                                     │                    v
  //   kWaitingToRetry <─Retry: a failure, from any stage    kRunning <──────────────┘
  //      ^              with an epoch                          │
  //      │                                                FinishIfDone
  //   kCheckingSnapshot <─SuspectSnapshot, from                v
  //                       kStartingEpoch                   kFinishing
  //
  //   any stage before kEnding ─End─> kEnding ─its record is durable─> kOver
  //   any stage before kOver ─the journal fails─> kOver
  //   any stage before kEnding ─an interrupt that has nothing to wait for─> kOver
  //
  // A job that is asked to stop, and is not settling, begins no further epoch: Fail and
  // RetryForStore leave it in kWaitingForMembers, where it ends. The order of the stages counts:
  // comparisons with kEnding use it.
  enum class Stage {
    kWaitingForMembers,
    kWaitingToRetry,
    kCheckingSnapshot,  // a member could not restore it; the driver checks its files
    kJournalingEpoch,
    kStartingEpoch,
    kRunning,
    kFinishing,  // a bounded job is all committed; members settle their sinks
    kEnding,     // JobEnded is on its way to the journal
    kOver,
  };

  struct Member {
    ExecutorId id;
    std::string name;
    std::string shuffle_address;
    uint32_t slots = 1;
    int64_t memory_bytes = 0;
    bool answered = false;  // it has said EpochReady
    bool ready = false;     // and it sees the same snapshot directory as the driver
    bool stopped = false;
    int64_t held_bytes = 0;  // rows that its sinks hold until their commit
    int64_t wake_at_us = 0;  // batch time at which it wants a batch without input; 0 = never
  };

  // What claims have found: in shards with sessions of their own, in places of shared sessions, and
  // in shards that versions before sessions had.
  struct Claims {
    std::vector<proto::SinkMarker> shards;
    std::vector<proto::SessionMark> sessions;
    std::vector<proto::SinkMarker> former;
  };

  // The batch that needs more memory than an executor has.
  struct TooLarge {
    BatchId batch;
    std::string why;
  };

  // The member that could not restore the snapshot, and what it said.
  struct RestoreFailure {
    ExecutorId by;
    std::string name;
    std::string words;
  };

  // job_state.cc: events
  void On(const TimerFired& event);
  void On(const MembersChanged& event);
  void On(const MemberReconnected& event);
  void On(const ExecutorReported& event);
  void On(const EndsKnown& event);
  void On(const PartitionsDiscovered& event);
  void On(const JobBroken& event);
  void On(const RecordDurable& event);
  void On(const JournalFailed& event);
  void On(const StopRequested& event);
  void On(const ResultsHeld& event);
  void On(const SnapshotRequested& event);
  void On(const StoreMarked& event);
  void On(const StoreAnswerChecked& event);
  void On(const SnapshotFilesChecked& event);

  void Enter(Stage stage);
  void Advance();
  void AdvanceStage();
  void OnEpochStopped(size_t member);
  // An interrupt or a cancel ends it early.
  bool Settling() const { return options_.settle && stop_ == StopRequested::How::kDrain; }

  // job_partitions.cc: what becomes of partitions
  void AdmitNewPartitions(BatchPipeline::Batch* batch);
  void ChangePartitions();
  void DropGonePartitions();
  void EndForLostData(const PartitionTable::LostRecords& lost);
  void ReportRetired(const proto::PartitionsChanged& changed);
  // Shards that have rows yet to be shown. A shard behind no exchange has its partition's ordinal.
  std::set<uint32_t> ShardsWithHiddenRows() const;

  // job_epochs.cc: from the decision to begin an epoch to its first batch
  void BeginEpoch();
  void StartEpochOnMembers();
  std::vector<uint32_t> MemberSlots() const;
  void AssignPartitionsAndShards();
  // What StartEpoch tells all members, and what of the epoch concerns each of them.
  proto::StartEpoch CommonStart() const;
  struct MemberShare {
    std::vector<uint32_t> partitions;               // ordinals
    std::vector<const proto::SinkMarker*> markers;  // of the shards that it claims
    std::vector<const proto::SinkMarker*> retired;  // shards that it claims and leaves
    std::vector<proto::SessionMark> places;         // places of shared sessions that it claims
    std::vector<proto::SinkMarker> former;  // shards that it claims as versions before sessions did
  };
  std::vector<MemberShare> Shares() const;
  void ShareClaims(std::vector<MemberShare>* shares) const;
  // Whether the sink's shards share sessions.
  bool IsGrouped(uint32_t sink) const;
  std::vector<proto::SinkMarker> FormerShards() const;
  SessionAssignment AssignSessions() const;
  void SendStart(size_t member, const proto::StartEpoch& common, const MemberShare& share);
  void OnEpochReady(size_t member, const proto::EpochReady& ready);
  void TakeForReady(size_t member);
  void OpenEpoch();
  void EndForOldCopy(const proto::SinkMarker& marker);
  // INTERNAL: a shard of a version before sessions was not claimed.
  absl::Status CheckFormerClaimed() const;
  void AddFormer(const proto::SinkMarker& former, proto::OpenedSessions* opened) const;
  // The first planned batch to withdraw; 0 = none. `furthest`: the last batch that a claimed shard
  // has committed.
  BatchId FirstToWithdraw(BatchId furthest);
  void AbandonBatches(BatchId first);
  void TakeBackPlans();
  void EnterRunning();

  // job_failures.cc
  void OnEpochFailed(size_t member, const proto::EpochFailed& failed);
  void Fail(const absl::Status& cause, FailureKind kind, const std::string& who,
            BatchId batch = BatchId(0));
  // Begins a new epoch after the pause. `times`: the failures in a row so far, for the job's
  // message.
  void Retry(const std::string& words, int times, int64_t backoff_us);
  // Called when `batch` needs too much memory. Arranges for a smaller batch, or for the same one to
  // run alone, and returns true if that may help. `words` becomes a message about the record if the
  // batch has no more than one.
  bool PlanSmaller(BatchId batch, std::string* words);

  void AbandonEpoch();
  void End(proto::JobEnded::How how, const std::string& message);
  void CheckStop();
  bool MembershipWantsNewEpoch() const;
  static bool CanJoin(const MembersChanged::Member& live);
  bool MayJoin(const MembersChanged::Member& live) const;
  bool AnyoneCanJoin() const;
  void LoadPartitions();
  std::optional<size_t> MemberIndex(const ExecutorId& id) const;
  // For the records that this epoch journals.
  RecordOrigin Origin() const { return {history_.job_id(), epoch_}; }
  int64_t Append(proto::JournalRecord record);
  // The last record that is durable; records become so in the order of their ids.
  int64_t DurableRecord() const {
    return (undurable_.empty() ? next_record_id_ : undurable_.front().first) - 1;
  }
  void Send(size_t member, proto::DriverMessage message);
  void StopEpochOnMembers();
  void SendStop(size_t member);

  // job_batches.cc: the pipeline of batches; job_view.cc: the const members above
  void AdvanceBatches();
  void FinishSuppressed();
  void SendCommits();
  void SendCommit(size_t member);
  void FinishDurable();
  bool RunNextReplay();
  bool PlanNext();
  void PlanBatch(int64_t due_us);
  bool HasRoom() const;
  bool Quiescing() const;
  // Whether an executor waits to join or to leave, and the time for a new epoch has come.
  bool RebalanceDue() const;
  int64_t NextLaunchUs() const;
  int64_t WakeDueUs() const;
  bool HasInput() const;
  SplitShares ShareInput(int64_t budget);
  void AddSplits(BatchPipeline::Batch* batch, bool* backlog);
  void NoteInput();
  void TellClockTrouble();
  void Launch(BatchPipeline::Batch batch);
  // By member.
  std::vector<proto::RunBatch> RunBatchMessages(const BatchPipeline::Batch& batch) const;
  void AddVisible(BatchId batch, std::vector<proto::RunBatch>* runs) const;
  uint32_t OwnerOf(uint32_t sink, uint32_t shard) const;
  void OnPrepared(size_t member, const proto::BatchPrepared& prepared);
  void FinishPreparing(BatchPipeline::Batch* batch);
  void OnCommitted(size_t member, const proto::BatchCommitted& committed);
  bool ReachedStop() const;
  // Takes a bounded job from its last commit to FINISHED, step by step.
  void FinishIfDone();
  bool HasOutput() const;
  void CheckStepDeadlines();

  // job_snapshots.cc
  bool KeepsSnapshots() const;
  // Whether there is state that no snapshot has, and one can be cut now.
  bool CanCut() const;
  void SnapshotIfDue();
  int64_t SnapshotDueUs() const;
  // Whether the state after the last batch is in a snapshot, or cannot be brought into one. Begins
  // a snapshot if only that is missing.
  bool SecureState();
  void TakeSnapshot();
  void SendTakeSnapshot(size_t member);
  void OnSnapshotWritten(size_t member, const proto::SnapshotWritten& written);
  // Journals a snapshot that is written, once its batch is committed; reports it once that record
  // is durable. Called whenever one of these may have happened; does nothing otherwise.
  void FinishSnapshot();

  // job_store_proof.cc
  std::string StoreName() const;
  void StartEpochIfProven();
  void CheckStoreOf(size_t member, const proto::EpochReady& ready);
  void SuspectSnapshot(size_t member, const proto::EpochFailed& failed);
  void JudgeSnapshot(const SnapshotFilesChecked& checked);
  // Ends the epoch and excludes this executor, which made it impossible, from the next ones for a
  // while.
  void ExcludeExecutor(const ExecutorId& id, const std::string& name, const std::string& words);
  // Begins another epoch later, without limit: a directory that is missing now may be mounted
  // again.
  void RetryForStore(const std::string& words);
  int64_t ReadmissionUs() const;

  JobHistory history_;
  const JobStateOptions options_;
  const bool bounded_;           // the job ends when every partition has reached its stop_at
  const bool runs_empty_first_;  // a global aggregate has a row even over no input

  Moment now_;
  std::vector<JobAction> actions_;

  Stage stage_ = Stage::kWaitingForMembers;
  int64_t stage_since_us_ = 0;
  std::string message_;
  std::optional<StopRequested::How> stop_;
  std::vector<MembersChanged::Member> live_;
  std::vector<Member> members_;  // of the current epoch
  absl::flat_hash_map<ExecutorId, size_t> member_index_;
  std::vector<uint32_t> shard_owners_;
  StickyOwners sticky_shards_;
  StickyOwners sticky_partitions_;

  Epoch epoch_;
  int64_t epoch_record_ = 0;
  bool epoch_durable_ = false;
  int64_t abandoned_record_ = 0;
  int64_t retry_at_us_ = kNever;
  int64_t rebalance_at_us_ = kNever;
  const Backoff backoff_;
  FailureStreak failures_;
  std::optional<TooLarge>
      too_large_;             // until the next epoch has withdrawn it, or found that it cannot
  BatchId partly_committed_;  // too large, but some shard has committed it
  bool one_batch_at_a_time_ = false;  // no batch runs while another waits for its commit
  int64_t restarts_ = 0;
  std::string epoch_reason_ = "submitted";
  bool epoch_is_restart_ = false;

  int64_t next_record_id_ = 1;
  std::deque<std::pair<int64_t, proto::JournalRecord>> undurable_;
  proto::JobEnded ending_;
  int64_t ended_record_ = 0;

  PartitionTable partitions_;
  RateController controller_;
  BatchSizer sizer_;
  bool results_held_ = false;

  std::vector<int64_t> read_from_;  // by ordinal, where this epoch begins to read
  Claims claimed_;                  // what the members that are ready have claimed
  VisibleOutput visible_;           // when this epoch opened, beyond the last committed batch
  BatchId visible_through_;         // the last batch of which some output is in it
  BatchPipeline pipeline_;
  BatchClock clock_;
  bool clock_trouble_told_ = false;
  TickGrid ticks_;
  SnapshotChain snapshots_;

  std::optional<proto::StoreMark> store_mark_;  // of this epoch, once it is written
  RestoreFailure restore_failure_;              // while a snapshot is being checked
  ExcludedExecutors excluded_;
  int store_failures_ = 0;  // since an epoch last opened
  std::string store_trouble_;
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_JOB_STATE_H_
