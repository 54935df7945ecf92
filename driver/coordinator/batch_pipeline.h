// The batches of one epoch on their way from plan to durable commit:
//
//   replays ──TakeReplay──┐                           ┌──PopRebuilt──> over, if it is suppressed
//                         ├──Launch──> running ──> prepared ──BeginWave──> committing
//   new plans ────────────┘                                                    │ MoveToJournal
//                                                       reported <──TakeDone── journaling
//
// Batches are launched in the order of their numbers, and each step keeps that order. At most one
// batch runs, the newest. All batches that are prepared commit together, as one wave, and one wave
// at a time. What waits for the journal outlives the epoch; everything before that is void with it.
//
// A suppressed batch was committed in an earlier epoch and runs again only to rebuild state.
// Moments are monotonic and in microseconds. Pure; thread-compatible.
#ifndef MILLRACE_DRIVER_COORDINATOR_BATCH_PIPELINE_H_
#define MILLRACE_DRIVER_COORDINATOR_BATCH_PIPELINE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "common/base/ids.h"
#include "driver/coordinator/job_event.h"
#include "driver/coordinator/job_history.h"
#include "driver/coordinator/job_records.h"
#include "driver/coordinator/member_answers.h"
#include "proto/cluster.pb.h"

namespace millrace::driver {

class BatchPipeline {
 public:
  struct Batch {
    enum class Step { kRunning, kPrepared, kCommitting };

    PlannedBatch plan;
    std::vector<proto::PartitionStart> new_partitions;  // entered with this batch
    std::vector<uint32_t> retired;  // ordinals that executors hear of with this batch
    bool suppressed = false;
    Step step = Step::kRunning;
    MemberAnswers prepared;                          // who has prepared it
    std::map<uint32_t, proto::SplitReport> reports;  // by ordinal
    std::vector<proto::SinkMarker> claimed;          // for partitions that came with this batch
    // The record that journals `claimed`, durable before the commit; 0 = none.
    int64_t claims_record = 0;
    int64_t budget = 0;  // offsets that it could have had; 0 = it was not planned in this epoch
    int64_t step_since_us = 0;
    BatchDone done;

    // Adds up what a member reports: of each split, and then of what belongs to no split.
    void Add(uint32_t ordinal, const proto::SplitReport& report);
    void Add(const proto::BatchPrepared& report);
  };

  // The batches that commit together.
  struct Wave {
    BatchId through;
    MemberAnswers committed;
    bool finish = false;  // nothing comes after it
    CommitMarks marks;
  };

  struct Times {
    // From a batch's launch until all members have prepared it, times the number of batches that
    // are folded into it; and from a wave's begin until all members have committed it.
    int64_t prepare_us = 0;
    int64_t commit_us = 0;
    // At least so long from a wave's begin to that of the next one.
    int64_t wave_interval_us = 0;
  };

  explicit BatchPipeline(Times times) : times_(times) {}

  // ---- Epochs ----

  // The next batch to be planned is the one after this.
  void PlanAfter(BatchId last_planned) { last_planned_ = last_planned; }
  // An epoch of so many members begins. It runs `replays` first; those up to `suppress_until` are
  // suppressed. REQUIRES: nothing of another epoch is left.
  void BeginEpoch(Epoch epoch, size_t members, std::deque<PlannedBatch> replays,
                  BatchId suppress_until);
  // Forgets the replays from this batch on, which are withdrawn.
  void Withdraw(BatchId first);
  void EndEpoch();
  // Forgets also what waits for the journal, which will not answer any more.
  void Discard();

  // ---- Launching ----

  BatchId last_planned() const { return last_planned_; }
  BatchId suppress_until() const { return suppress_until_; }
  // The batch that is to run again next; null = none is left.
  const PlannedBatch* next_replay() const { return replays_.empty() ? nullptr : &replays_.front(); }
  bool IsReplaying() const { return !replays_.empty(); }
  // Takes the next replay. REQUIRES: IsReplaying().
  Batch TakeReplay();
  // The next batch is an empty one, planned only to tell the sinks that no rows follow.
  void PlanFinish() { finish_batch_ = last_planned_.Next(); }
  bool IsFinish(BatchId batch) const { return batch == finish_batch_; }
  // Whether another batch may run, when so many may be uncommitted. The journal may lag behind by
  // more.
  bool HasRoom(size_t uncommitted) const;
  // REQUIRES: HasRoom, for some number; the batch is the next replay or the one after
  // last_planned(). The reference holds until the pipeline changes.
  const Batch& Launch(Batch batch, int64_t now_us);

  // ---- Preparing ----

  // A member has prepared this batch. Returns the batch, for its reports to be added; null if the
  // answer is not news. The pointer holds until the pipeline changes.
  Batch* OnPrepared(size_t member, BatchId batch);
  // Takes the batch, for which all members have answered, to its next step.
  void FinishPreparing(Batch* batch, int64_t now_us);
  // The first batch in flight, if it is suppressed and prepared, and so has nothing left to do.
  const Batch* rebuilt() const;
  // REQUIRES: rebuilt() != nullptr.
  void PopRebuilt() { in_flight_.pop_front(); }

  // ---- Committing ----

  // Begins the next wave, of all batches that are prepared and whose plans and claims are durable:
  // the plans are up to `durably_planned`, the records up to the id `durable_record`.
  // `input_ends`: nothing is left to plan after last_planned(). Null if a wave is under way or
  // began too recently, or if there is nothing to commit.
  const Wave* BeginWave(BatchId durably_planned, int64_t durable_record, bool input_ends,
                        int64_t now_us);
  // When the next wave may begin, if only its interval keeps it waiting; else kNeverUs.
  int64_t NextWaveUs(int64_t now_us) const;
  // The wave under way; null = none.
  const Wave* wave() const { return wave_.has_value() ? &*wave_ : nullptr; }
  // A member has committed the wave. False if the answer is not news.
  bool OnCommitted(size_t member, const proto::BatchCommitted& committed);
  // Takes the wave once all members have committed it.
  std::optional<Wave> TakeCommittedWave();
  // Moves the first batch in flight to those that wait for the journal, and returns it; null if it
  // is not in a wave up to `through`.
  const BatchDone* MoveToJournal(BatchId through, int64_t now_us);
  // Takes the first batch that waits for the journal, if it is durably committed.
  std::optional<BatchDone> TakeDone(BatchId last_committed, int64_t now_us);
  // Whether a wave of this epoch has told the sinks that no rows follow.
  bool IsFinishCommitted() const { return finish_committed_; }

  // ---- Where everything is ----

  // From launch to commit, in ascending order.
  const std::deque<Batch>& in_flight() const { return in_flight_; }
  // Null if the batch is not in flight.
  const Batch* Find(BatchId batch) const;
  // Whether the newest batch runs.
  bool IsRunning() const {
    return !in_flight_.empty() && in_flight_.back().step == Batch::Step::kRunning;
  }
  // Whether nothing is in flight, nor waits for the journal. Replays may be left.
  bool IsEmpty() const { return in_flight_.empty() && journaling_.empty(); }
  // Whether a batch in flight does more than rebuild state.
  bool HasUnsuppressed() const;
  // Whether the epoch is still rebuilding state.
  bool IsRebuilding() const;
  // When the step of the first batch in flight is to be over; kNeverUs if it waits for nobody.
  // Records on their way to the journal need no deadline: the journal always answers.
  int64_t DeadlineUs() const;
  // DEADLINE_EXCEEDED if the first batch in flight has not finished its step in time.
  absl::Status CheckDeadline(int64_t now_us) const;

 private:
  int64_t PrepareTimeoutUs(const PlannedBatch& plan) const;

  const Times times_;
  Epoch epoch_;
  size_t members_ = 0;
  BatchId last_planned_;
  BatchId suppress_until_;
  std::deque<PlannedBatch> replays_;
  std::deque<Batch> in_flight_;        // ascending
  std::optional<Wave> wave_;           // of the first batches in flight
  int64_t wave_since_us_ = -kNeverUs;  // the last one's begin
  std::deque<BatchDone> journaling_;   // committed everywhere, not yet durably so
  BatchId finish_batch_;               // 0 = none is planned
  bool finish_committed_ = false;
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_BATCH_PIPELINE_H_
