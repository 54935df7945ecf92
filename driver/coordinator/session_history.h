// What the journal says about a job's sink sessions (docs/exactly-once.md §3): who writes which
// shard through which place while the last opened epoch is open, what each place is known to have
// written, and which output is visible beyond the last committed batch. A part of JobHistory. Pure;
// thread-compatible.
//
// A place is (group, slot): a group of sinks that share a session (connectors/session_groups.h),
// named by its first sink, and the number of an executor in its epoch. An epoch claims every place
// through which a session may still write. What the claims find, together with what is known here,
// says exactly which output is visible: Open.
#ifndef MILLRACE_DRIVER_COORDINATOR_SESSION_HISTORY_H_
#define MILLRACE_DRIVER_COORDINATOR_SESSION_HISTORY_H_

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/ids.h"
#include "proto/cluster.pb.h"
#include "proto/journal.pb.h"
#include "proto/plan.pb.h"

namespace millrace::driver {

struct SessionPlace {
  uint32_t group = 0;
  uint32_t slot = 0;
  friend auto operator<=>(const SessionPlace&, const SessionPlace&) = default;
};

// Which output of a shard is visible: of all batches up to `batch`, judged by `terms` where no
// entry of a lower batch covers it.
struct VisibleUpto {
  BatchId batch;
  std::string terms;
  friend bool operator==(const VisibleUpto&, const VisibleUpto&) = default;
};
// By (sink, shard), ascending batches.
using VisibleOutput = std::map<std::pair<uint32_t, uint32_t>, std::vector<VisibleUpto>>;

// The entry that covers the batch; null if the output of that batch is not visible.
const VisibleUpto* FindVisible(const std::vector<VisibleUpto>& entries, BatchId batch);

// Who writes what in an epoch that is about to open.
struct SessionAssignment {
  uint32_t slots = 0;                         // its members
  std::vector<std::vector<uint32_t>> groups;  // ascending sinks
  std::vector<uint32_t> shard_slot;           // per keyed shard
  std::vector<uint32_t> partition_slot;       // per partition: its slot + 1; 0 = nobody has it
};

class SessionHistory {
 public:
  // ---- Records, in the journal's order ----

  void OnStarted(const proto::EpochStarted& started);
  // The first EpochOpened of its epoch. One of a version before sessions has none.
  void OnOpened(const proto::EpochOpened& opened);
  void OnPlanned(const proto::BatchPlanned& planned);
  void OnCommitted(const proto::BatchCommittedRecord& committed);

  // Adds nothing if there is nothing to keep.
  void WriteCheckpoint(proto::JobCheckpoint* checkpoint) const;
  void ReadCheckpoint(const proto::JobCheckpoint& checkpoint);

  // ---- The next epoch ----

  // The last epoch that opened with sessions, if no epoch of a version before sessions has opened
  // since; 0 = there is none.
  Epoch opened() const { return opened_; }
  // The places that an epoch with these groups and so many members claims, ascending, each with
  // what is known of it: every slot of its own groups, and of those of the last opened epoch, that
  // any epoch since then has had.
  std::vector<proto::SessionMark> PlacesToClaim(const std::vector<std::vector<uint32_t>>& groups,
                                                uint32_t members) const;
  // What EpochOpened says of an epoch: its assignment, the marks that its claims have found in all
  // places, and the output that is visible beyond `last_committed`. FAILED_PRECONDITION: a place
  // was written in another life of the job, or by a batch behind `last_planned`: this journal is an
  // old copy. INTERNAL: a place was not claimed.
  absl::StatusOr<proto::OpenedSessions> Open(const proto::JobPlan& plan,
                                             const SessionAssignment& assignment,
                                             const std::vector<proto::SessionMark>& found,
                                             BatchId last_committed, BatchId last_planned) const;

 private:
  void TakeOpened(const proto::OpenedSessions& opened);
  proto::OpenedSessions DescribeOpened() const;
  absl::Status CheckFound(const proto::JobPlan& plan, const proto::SessionMark& found,
                          BatchId last_planned) const;
  // Adds what the session of this place had written when the claim found it.
  void AddFound(const proto::JobPlan& plan, const proto::SessionMark& found, BatchId last_committed,
                VisibleOutput* visible) const;

  Epoch opened_;
  SessionAssignment assignment_;                      // of opened_
  std::map<SessionPlace, proto::SessionMark> marks_;  // terms: those of opened_
  VisibleOutput visible_;                             // as of opened_
  uint32_t most_slots_ = 0;                           // of opened_ and every epoch since
};

// The output that was visible when an epoch opened.
VisibleOutput VisibleOf(const proto::OpenedSessions& opened);

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_SESSION_HISTORY_H_
