// The records of a job that follow its submission. Each is built here, and applied to a JobHistory
// by the function below it in job_records.cc, which first checks that the record follows from those
// before it: whoever changes what a record says finds both ends side by side. Pure functions.
//
// JobSubmitted is not among them: a submission is journaled before the job runs
// (driver/submission/submission.h).
#ifndef MILLRACE_DRIVER_COORDINATOR_JOB_RECORDS_H_
#define MILLRACE_DRIVER_COORDINATOR_JOB_RECORDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "driver/coordinator/job_history.h"
#include "proto/journal.pb.h"

namespace millrace::driver {

// Who decided what a record says. The epoch is 0 if it was decided before the job ran, or while it
// did not.
struct RecordOrigin {
  std::string job_id;
  Epoch epoch;
};

// An epoch of so many members begins. Its number is higher than that of any epoch before.
proto::JournalRecord BuildEpochStarted(const RecordOrigin& origin, const std::string& reason,
                                       uint32_t slots);

// All that the epoch may write through is claimed: shared sessions, as `sessions` says, and shards
// with sessions of their own, with these markers.
proto::JournalRecord BuildEpochOpened(const RecordOrigin& origin,
                                      const std::vector<proto::SinkMarker>& claimed,
                                      proto::OpenedSessions sessions);

// Shards of partitions that came within the epoch are claimed, with these markers.
proto::JournalRecord BuildShardsClaimed(const RecordOrigin& origin,
                                        const std::vector<proto::SinkMarker>& claimed);

// The next batch reads `splits`. `entering`: the partitions that are read from this batch on, new
// ones first; `slots`: of the member that owns each of them. `parallelism`: of the plan.
proto::JournalRecord BuildBatchPlanned(const RecordOrigin& origin, BatchId batch,
                                       int64_t batch_time_us, uint32_t parallelism,
                                       const std::vector<proto::Split>& splits,
                                       const std::vector<proto::PartitionStart>& entering,
                                       const std::vector<uint32_t>& slots);

// What the commit of a wave has changed of markers and marks.
struct CommitMarks {
  std::vector<proto::SinkMarker> shards;
  std::vector<proto::SessionMark> sessions;
};

// All shards have committed the batch. `marks`: those of the wave, if the batch is its first.
proto::JournalRecord BuildBatchCommitted(const RecordOrigin& origin, BatchId batch,
                                         const std::vector<proto::SplitReport>& splits,
                                         const CommitMarks& marks);

// The batches from `first` on are withdrawn; no shard has committed any of them.
proto::JournalRecord BuildBatchesAbandoned(const RecordOrigin& origin, BatchId first,
                                           const std::string& reason);

// The state after snapshot.batch() is in files, and that batch is durably committed.
proto::JournalRecord BuildSnapshotCompleted(const RecordOrigin& origin,
                                            const proto::Snapshot& snapshot);

// Files of the snapshot of this batch are gone or damaged: nobody is to restore it.
proto::JournalRecord BuildSnapshotDropped(const RecordOrigin& origin, BatchId batch,
                                          const std::string& reason);

// Partitions are retired, or are identified by something else than before.
proto::JournalRecord BuildPartitionsChanged(
    const RecordOrigin& origin, const std::vector<proto::RetiredPartition>& retired,
    const std::vector<proto::PartitionsChanged::Identified>& identified);

// The job is over. `at_us`: wall time.
proto::JournalRecord BuildJobEnded(const RecordOrigin& origin, proto::JobEnded::How how,
                                   const std::string& message, int64_t at_us);

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_JOB_RECORDS_H_
