// One committed batch of a job, run again from its journal entry: the records of a journal whose
// job does just that and prints its output. Pure.
#ifndef MILLRACE_DRIVER_JOBS_REPLAY_RECORDS_H_
#define MILLRACE_DRIVER_JOBS_REPLAY_RECORDS_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/ids.h"
#include "proto/journal.pb.h"

namespace millrace {

// `journal`: all records of a driver's directory, in order. `job` is a name (the latest of it) or
// an id. The result begins behind the newest snapshot in front of the batch whose files `has_file`
// finds; it reads the same ranges under the plan of then, writes to no sink but print, takes no
// snapshot, publishes no offsets, and ends with the batch. NOT_FOUND lists the jobs, or the batches
// that can be run again. FAILED_PRECONDITION: what lies in front of the batch is no longer there.
absl::StatusOr<std::vector<proto::JournalRecord>> ReplayRecords(
    const std::vector<proto::JournalRecord>& journal, const std::string& job, BatchId batch,
    const std::function<bool(const std::string& location, const proto::SnapshotFile& file)>&
        has_file);

}  // namespace millrace

#endif  // MILLRACE_DRIVER_JOBS_REPLAY_RECORDS_H_
