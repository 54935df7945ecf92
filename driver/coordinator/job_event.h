// What can happen to a job, and what its state machine may ask for in return. Plain values.
#ifndef MILLRACE_DRIVER_COORDINATOR_JOB_EVENT_H_
#define MILLRACE_DRIVER_COORDINATOR_JOB_EVENT_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/ids.h"
#include "proto/checkpoint.pb.h"
#include "proto/cluster.pb.h"
#include "proto/journal.pb.h"

namespace millrace::driver {

// When something happened: monotonic time for decisions, wall time for batch times.
struct Moment {
  int64_t mono_us = 0;
  int64_t wall_us = 0;
};

// The moment that never comes, on the monotonic clock.
inline constexpr int64_t kNeverUs = INT64_MAX;

// ---- Events ----

// The time of JobState::next_wakeup_us() has come.
struct TimerFired {};

// The live executors are now `members`.
struct MembersChanged {
  struct Member {
    ExecutorId id;
    std::string name;
    std::string shuffle_address;
    uint32_t slots = 1;
    // Its stream broke a moment ago, or it has come and gone too often lately. It stays in its
    // present epochs, but new epochs do not include it yet.
    bool away = false;
    // It wants to go: it finishes its present epochs up to a batch boundary, and new epochs do not
    // include it.
    bool leaving = false;
    int64_t memory_bytes = 0;  // as in Register; 0 = not known
  };
  std::vector<Member> members;
};

// An executor's stream broke and came back within the grace period: messages on their way may be
// lost.
struct MemberReconnected {
  ExecutorId id;
};

// EpochReady, SourceProgress, BatchPrepared, BatchCommitted or EpochFailed; other messages are not
// for the state machine.
struct ExecutorReported {
  ExecutorId from;
  proto::ExecutorMessage message;
};

// Ends of some of a source's partitions, as an enumerator saw them.
struct EndsKnown {
  struct End {
    std::string partition;
    int64_t stable_end = 0;
    int64_t high_watermark = 0;
    double bytes_per_offset = 0;  // as in PartitionEnd
    bool closed = false;          // nothing will be appended behind stable_end
    bool gone = false;            // closed, and the partition does not exist any more
    std::string why = {};         // why it is closed or gone
    std::string identity = {};    // what now identifies the partition; empty = as before
  };
  uint32_t source = 0;
  std::vector<End> ends;
};

// Partitions that the job does not know yet, with their earliest offsets, and retired ones that are
// to be read again. Partitions that the job reads already are ignored.
struct PartitionsDiscovered {
  struct Found {
    std::string partition;
    int64_t earliest = 0;
    std::string topic_id = {};
  };
  uint32_t source = 0;
  std::vector<Found> found;
};

// The job cannot go on, neither now nor later, for a reason outside of it: a topic was deleted.
struct JobBroken {
  absl::Status cause;
};

// The record that AppendRecord numbered `id` is durable. These events come in the order of the ids.
struct RecordDurable {
  int64_t id = 0;
};

// No further record of this job will become durable. Either the journal cannot be written, or the
// record does not follow from the records before it (FAILED_PRECONDITION, DATA_LOSS).
struct JournalFailed {
  absl::Status cause;
};

struct StopRequested {
  enum class How {
    kDrain,      // finish what runs, then STOPPED; can be resumed
    kCancel,     // at once; cannot be resumed
    kInterrupt,  // the driver is going down: finish what runs, journal nothing
  };
  How how = How::kDrain;
};

// The client that follows the results has no room for more (true), or has room again (false).
struct ResultsHeld {
  bool held = false;
};

// A client wants a snapshot as soon as one can be cut.
struct SnapshotRequested {};

// What MarkStore asked for: the mark, or why the snapshot directory could not be written.
struct StoreMarked {
  Epoch epoch;
  absl::StatusOr<proto::StoreMark> mark;
};

// What CheckStoreAnswer asked for: OK if the driver has read what the executor wrote.
struct StoreAnswerChecked {
  Epoch epoch;
  ExecutorId from;
  absl::Status status;
};

// What CheckSnapshotFiles asked for: OK if all files are as they were written. Otherwise `file` is
// the first that is not; DATA_LOSS: it is gone, cut or changed; other errors: it cannot be read
// now.
struct SnapshotFilesChecked {
  Epoch epoch;
  BatchId batch;
  std::string file;
  absl::Status status;
};

using JobEvent = std::variant<TimerFired, MembersChanged, MemberReconnected, ExecutorReported,
                              EndsKnown, PartitionsDiscovered, JobBroken, RecordDurable,
                              JournalFailed, StopRequested, ResultsHeld, SnapshotRequested,
                              StoreMarked, StoreAnswerChecked, SnapshotFilesChecked>;

// ---- Actions, to be carried out in order ----

// Append the record to the journal; answer with RecordDurable{id} or JournalFailed.
struct AppendRecord {
  int64_t id = 0;
  proto::JournalRecord record;
};

struct SendToExecutor {
  ExecutorId to;
  proto::DriverMessage message;
};

// A new epoch has begun: rows and reports of lower epochs are void.
struct EpochBegan {
  Epoch epoch;
  std::string reason;
  bool restart = false;  // after a failure, as opposed to the first start or a change of membership
                         // without loss
};

// A batch is committed, and the journal says so durably: its offsets may be published and its
// results shown.
struct BatchDone {
  BatchId batch;
  Epoch epoch;
  int64_t batch_time_us = 0;
  std::vector<proto::SplitReport> splits;  // in ordinal order
  int64_t records = 0;
  int64_t bytes = 0;
  int64_t skipped = 0;
  int64_t lost = 0;        // offsets that on_data_loss = 'skip' went past
  int64_t held_bytes = 0;  // bytes of its output that sinks held until the commit
  std::string first_error;
  int64_t state_rows = 0;
  int64_t state_bytes = 0;
  int64_t tick_us = 0;  // all monotonic: when the batch was due,
  int64_t planned_us = 0;
  int64_t prepared_us = 0;
  int64_t committed_us = 0;  // when every sink had committed,
  int64_t done_us = 0;       // and when its commit was durable in the journal
};

// These partitions are retired: the driver need not ask about them any more.
struct PartitionsRetired {
  struct Retired {
    uint32_t source = 0;
    std::string partition;
    std::string why;
    int64_t lost_begin = 0;  // existed and will not be read
    int64_t lost_end = 0;
  };
  std::vector<Retired> partitions;
};

// The job is over as far as this process is concerned; no action follows.
struct JobOver {
  proto::JobEnded::How how = proto::JobEnded::UNKNOWN;  // UNKNOWN = interrupted
  std::string message;
};

// A snapshot is complete, and the journal says so durably. Files that history().SnapshotFiles()
// does not name may be removed.
struct SnapshotDone {
  BatchId batch;
  int64_t bytes = 0;  // of the layer that was written
  int64_t took_us = 0;
};

// The snapshot of this batch was given up.
struct SnapshotFailed {
  BatchId batch;
  std::string why;
};

// For the log: batch times no longer follow the wall clock, and why; or follow it again.
struct ClockDistrusted {
  std::string why;
};

// Leave a mark in the job's snapshot directory; answer with StoreMarked. `may_make`: whether a
// missing directory may be made. It may not when the job has snapshots: then the directory is
// missing because it is not mounted.
struct MarkStore {
  Epoch epoch;
  bool may_make = false;
};

// Look whether the snapshot directory has the file that an executor says it has written there;
// answer with StoreAnswerChecked.
struct CheckStoreAnswer {
  Epoch epoch;
  ExecutorId from;
  proto::StoreMark answer;
};

// Look whether all these files are as they were written; answer with SnapshotFilesChecked.
struct CheckSnapshotFiles {
  Epoch epoch;
  BatchId batch;
  std::vector<proto::SnapshotFile> files;
};

using JobAction = std::variant<AppendRecord, SendToExecutor, EpochBegan, BatchDone, SnapshotDone,
                               SnapshotFailed, MarkStore, CheckStoreAnswer, CheckSnapshotFiles,
                               ClockDistrusted, PartitionsRetired, JobOver>;

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_JOB_EVENT_H_
