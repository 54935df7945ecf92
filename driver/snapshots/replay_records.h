// Runs one committed batch of a job again from its journal entry: makes the records of a journal
// whose only job reads that batch and prints its output. Pure.
#ifndef MILLRACE_DRIVER_SNAPSHOTS_REPLAY_RECORDS_H_
#define MILLRACE_DRIVER_SNAPSHOTS_REPLAY_RECORDS_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/ids.h"
#include "proto/journal.pb.h"

namespace millrace::driver {

// `journal`: all records of a driver's directory, in order. `job`: a name (the latest job of that
// name) or an id. The resulting job begins behind the newest snapshot before the batch whose files
// `has_file` finds. It reads the same ranges under the plan in force then, writes to print only,
// takes no snapshot, publishes no offsets, and ends with the batch. NOT_FOUND lists the jobs, or
// the batches that can be run again. FAILED_PRECONDITION: records before the batch that it needs
// are gone.
absl::StatusOr<std::vector<proto::JournalRecord>> ReplayRecords(
    const std::vector<proto::JournalRecord>& journal, const std::string& job, BatchId batch,
    const std::function<bool(const std::string& location, const proto::SnapshotFile& file)>&
        has_file);

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_SNAPSHOTS_REPLAY_RECORDS_H_
