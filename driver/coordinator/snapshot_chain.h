// The snapshots of one job, as its epochs take them: the chain of layers that the next increment
// adds to, and the snapshot that is being taken. A snapshot is taken in four steps:
//
//   Cut          every member is asked to write its part of the state after one batch
//   OnWritten    a member has; once all have, the driver is to look for the files itself
//   OnChecked    it has found them
//   Complete     the batch is durably committed: the snapshot may be journaled; TakeDone reports it
//                once that is durable
//
// Executors keep track of what has changed since the last cut only. So a snapshot that is given up
// leaves its changes in no layer, and the one after it is full.
//
// This class knows which snapshot is taken and what becomes of it. Whether one may be cut at this
// point of the pipeline is for the state machine to say. Moments are monotonic and in microseconds.
// Pure; thread-compatible.
#ifndef MILLRACE_DRIVER_COORDINATOR_SNAPSHOT_CHAIN_H_
#define MILLRACE_DRIVER_COORDINATOR_SNAPSHOT_CHAIN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "driver/coordinator/job_event.h"
#include "driver/coordinator/member_answers.h"
#include "proto/checkpoint.pb.h"
#include "proto/cluster.pb.h"

namespace millrace::driver {

// What a snapshot says of the plan whose state it holds.
struct StateOfPlan {
  std::string engine_version;
  uint32_t key_groups = 0;
  std::vector<proto::StateIdentity> operators;  // those with state
};

class SnapshotChain {
 public:
  // A chain has at most this many layers: restoring it would then cost more than a full snapshot
  // costs now.
  static constexpr int kMaxLayers = 16;

  // `interval_us`: from one cut to the next. `step_timeout_us`: for the members to write their
  // parts, and again for the driver to find them.
  SnapshotChain(StateOfPlan plan, int64_t interval_us, int64_t step_timeout_us);

  // ---- The chain ----

  // An epoch begins with the state of this snapshot; null = with none. Operators that have no place
  // in the plan are left out of the chain.
  void Restore(const proto::Snapshot* restored);

  // What members restore; null if there is no state to restore.
  const proto::Snapshot* restored() const;
  // The batch after which the chain has the state; 0 = none.
  BatchId batch() const { return BatchId(chain_.batch()); }
  bool HasLayers() const { return !chain_.layers().empty(); }
  // Asks for all files of the chain to be checked.
  CheckSnapshotFiles CheckOf(Epoch epoch) const;

  // ---- When to cut ----

  // The epoch's first batch may run: the interval to the first cut begins.
  void StartInterval(int64_t now_us) { interval_began_us_ = now_us; }
  // A snapshot is wanted as soon as one can be cut.
  void Request() { requested_ = true; }
  // When the next cut is wanted, `now_us` at the earliest.
  int64_t CutDueUs(int64_t now_us) const;
  // Whether the state after this batch has not been cut in this epoch. What was cut and given up is
  // not cut again.
  bool IsUncut(BatchId batch) const { return batch > last_cut_; }

  // ---- The snapshot that is being taken ----

  bool IsTaking() const { return taking_.has_value(); }
  // Begins a snapshot of the state after `batch`. `members`: the names of those that write it.
  // REQUIRES: !IsTaking().
  void Cut(BatchId batch, Epoch epoch, std::vector<std::string> members, int64_t now_us);
  // The layer that is being written. REQUIRES: IsTaking().
  const proto::SnapshotLayer& layer() const { return taking_->layer; }
  // Whether a snapshot is taken, and this member has not answered yet.
  bool IsOwedBy(size_t member) const { return IsTaking() && !taking_->answered.Has(member); }
  // When the present step is to be over; kNeverUs if no step is under way.
  int64_t DeadlineUs() const;

  // A member has written its part, or could not. The last answer leads to CheckSnapshotFiles, to
  // SnapshotFailed or, if there was nothing to write, straight to Complete. Answers that do not
  // belong to the snapshot are ignored.
  std::optional<JobAction> OnWritten(size_t member, const proto::SnapshotWritten& written,
                                     int64_t now_us);
  // The driver has looked for the files.
  std::optional<SnapshotFailed> OnChecked(const SnapshotFilesChecked& checked);
  // Gives up the snapshot whose deadline has passed. REQUIRES: IsTaking().
  SnapshotFailed GiveUpLate();
  // The chain with the snapshot as its last layer, once the snapshot is written and checked and its
  // batch durably committed; to be journaled. Null otherwise, and each time after that.
  const proto::Snapshot* Complete(BatchId last_committed);
  // Reports the snapshot once the journal has it, and forgets it.
  std::optional<SnapshotDone> TakeDone(BatchId last_snapshot, int64_t now_us);
  // The epoch is over: what its members have written of a snapshot is void.
  void Abandon() { taking_.reset(); }

  // Why the last snapshot failed; empty if it did not.
  const std::string& trouble() const { return trouble_; }

 private:
  struct Taking {
    proto::SnapshotLayer layer;
    std::vector<std::string> members;  // their names
    MemberAnswers answered;
    std::vector<std::string> writers;  // who wrote layer.files, by name
    std::string trouble;               // of the first member that could not write its part
    int64_t since_us = 0;
    int64_t deadline_us = 0;  // of the present step
    bool checked = false;     // the driver has found all files as they were written
    bool journaled = false;
  };

  bool WantsFull() const;
  SnapshotFailed GiveUp(const std::string& why);

  const StateOfPlan plan_;
  const int64_t interval_us_;
  const int64_t step_timeout_us_;

  // The last snapshot that members have restored, or written and the journal is told of. Without
  // layers, the next snapshot is full.
  proto::Snapshot chain_;
  bool of_other_plan_ = false;  // the chain lacks operators of the plan, or has had others
  std::optional<Taking> taking_;
  BatchId last_cut_;  // of this epoch
  std::string trouble_;
  int64_t interval_began_us_ = 0;
  bool requested_ = false;
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_SNAPSHOT_CHAIN_H_
