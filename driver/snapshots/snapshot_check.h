// Checks that a snapshot's file is as it was written: its length and its checksum, read piece by
// piece.
//
// Stateless; blocks.
#ifndef MILLRACE_DRIVER_SNAPSHOTS_SNAPSHOT_CHECK_H_
#define MILLRACE_DRIVER_SNAPSHOTS_SNAPSHOT_CHECK_H_

#include <stop_token>

#include "absl/status/status.h"
#include "common/storage/checkpoint_store.h"
#include "proto/checkpoint.pb.h"

namespace millrace::driver {

// DATA_LOSS says how the file is missing or differs from what was written. CANCELLED: `stop` was
// requested. Other errors are the store's: the file may be intact, and cannot be read now.
absl::Status CheckSnapshotFile(CheckpointStore* store, const proto::SnapshotFile& file,
                               const std::stop_token& stop);

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_SNAPSHOTS_SNAPSHOT_CHECK_H_
