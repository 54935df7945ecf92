// The snapshot directory of a running job as the driver uses it: the marks by which driver and
// executors prove that they see the same directory, checks of the files that executors have
// written, and the removal of files that nobody needs.
//
// All I/O happens on a thread of the store's own, in order. A directory that does not answer (a
// file server that is away) holds up the job's snapshots and nothing else.
#ifndef MILLRACE_DRIVER_SNAPSHOTS_JOB_STORE_H_
#define MILLRACE_DRIVER_SNAPSHOTS_JOB_STORE_H_

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/storage/file_system.h"
#include "common/storage/store_mark.h"
#include "driver/event_loop.h"
#include "driver/snapshots/pinned_files.h"
#include "proto/checkpoint.pb.h"
#include "proto/cluster.pb.h"

namespace millrace::driver {

// Thread-safe. Calls return at once; `done` is called on the store's thread.
class JobStore {
 public:
  // `clock` and `files` outlive the store. `pinned`: files that are not removed.
  JobStore(Clock* clock, FileSystem* files, std::shared_ptr<const PinnedFiles> pinned,
           std::string location, std::string incarnation);
  // Cancels the check that is under way and waits for the thread: not for a thread that must not
  // block.
  ~JobStore();

  JobStore(const JobStore&) = delete;
  JobStore& operator=(const JobStore&) = delete;

  // Leaves a mark for the executors of `epoch` and removes the mark before it. NOT_FOUND if the
  // job's directory is missing and not `may_make`.
  void Mark(Epoch epoch, bool may_make, std::function<void(absl::StatusOr<proto::StoreMark>)> done);

  // OK if the directory has the file that an executor wrote in answer to the mark; the file is then
  // removed.
  void CheckAnswer(const proto::StoreMark& answer, std::function<void(absl::Status)> done);

  // What a check of files has found: OK, or the first file that is not as it was written.
  struct Finding {
    std::string file;
    absl::Status status;
  };
  // DATA_LOSS only if the directory still has this store's mark: when the mark is missing too,
  // another directory is mounted there, and the files are not lost.
  void CheckFiles(std::vector<proto::SnapshotFile> files, std::function<void(Finding)> done);

  // RemoveOldSnapshots (savepoint.h), but never removes the mark of this store, nor files that are
  // pinned at the time of their removal.
  void RemoveOld(Epoch epoch, BatchId batch, std::set<std::string> keep);

 private:
  absl::StatusOr<proto::StoreMark> LeaveMarkFor(Epoch epoch, bool may_make);
  absl::Status ReadAnswer(const StoreMark& answer);
  Finding LookAt(const std::vector<proto::SnapshotFile>& files);
  absl::Status CheckStillThere();

  FileSystem* const files_;
  const std::shared_ptr<const PinnedFiles> pinned_;
  const std::string location_;
  const std::string incarnation_;
  std::optional<StoreMark> mark_;  // used by the thread only
  std::stop_source stop_;
  EventLoop thread_;  // last: it ends before what it uses
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_SNAPSHOTS_JOB_STORE_H_
