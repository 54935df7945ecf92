// Makes and reads savepoints, which are copies of a job's state in files, and removes snapshot
// files that nobody needs any more. Blocking I/O on the checkpoint store, so for threads that may
// wait; stateless and thread-safe.
#ifndef MILLRACE_DRIVER_SNAPSHOTS_SAVEPOINT_H_
#define MILLRACE_DRIVER_SNAPSHOTS_SAVEPOINT_H_

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/storage/file_system.h"
#include "driver/coordinator/job_history.h"
#include "proto/checkpoint.pb.h"

namespace millrace::driver {

// A savepoint with a higher number is from a newer version, and is refused.
inline constexpr uint32_t kSavepointFormatVersion = 1;

// Names of a job's snapshot files begin with this.
std::string SnapshotDirectoryOf(const std::string& incarnation);

// The point where the history's job can go on: after its newest snapshot, or after its last
// committed batch if it has no running state. FAILED_PRECONDITION when it has running state and no
// snapshot.
absl::StatusOr<proto::Savepoint> MakeSavepoint(const JobHistory& history);

// Copies the savepoint's files from the store at `from` to the one at `to`, the manifest last.
// Returns bytes copied. ALREADY_EXISTS: there is a savepoint at `to`.
absl::StatusOr<uint64_t> WriteSavepoint(const proto::Savepoint& savepoint, const std::string& from,
                                        const std::string& to);

// The bytes of a savepoint's manifest, and the way back. Errors are those of ReadSavepoint, and
// name `location`.
std::string SerializeSavepoint(const proto::Savepoint& savepoint);
absl::StatusOr<proto::Savepoint> ParseSavepoint(std::string_view bytes,
                                                const std::string& location);

// NOT_FOUND: no savepoint there. DATA_LOSS names the file that is damaged. FAILED_PRECONDITION: a
// newer version wrote it.
absl::StatusOr<proto::Savepoint> ReadSavepoint(const std::string& location);

// Copies the state of the savepoint at `from` to a new job's own snapshots at `to`, below the
// incarnation's directory, and returns the snapshot with the names that its files have there.
absl::StatusOr<proto::Snapshot> AdoptSnapshot(const proto::Savepoint& savepoint,
                                              const std::string& from, const std::string& to,
                                              const std::string& incarnation);

// Removes the job's files at `location` that are not in `keep`, unfinished ones included, if they
// were written up to the cut of `batch` in `epoch`. Later files stay: a newer driver may have
// written them while this one slept and did not notice. Returns the first error, and has then
// removed what else could be removed.
absl::Status RemoveOldSnapshots(const std::string& location, FileSystem* files,
                                const std::string& incarnation, Epoch epoch, BatchId batch,
                                const std::set<std::string>& keep);

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_SNAPSHOTS_SAVEPOINT_H_
