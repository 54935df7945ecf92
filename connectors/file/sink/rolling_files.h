// The files of one sink shard in one epoch: an open one that grows by committed batches, closed
// ones that wait until their commit is in the journal, and final names. Knows bytes, not rows. The
// argument is in docs/exactly-once.md §7.
#ifndef MILLRACE_CONNECTORS_FILE_SINK_ROLLING_FILES_H_
#define MILLRACE_CONNECTORS_FILE_SINK_ROLLING_FILES_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/ids.h"
#include "common/storage/file_system.h"
#include "connectors/file/sink/file_sink_marker.h"

namespace millrace::file {

// Thread-compatible. Errors are the file system's; DATA_LOSS where files do not agree with the
// marker. After an error the same call may be made again.
class RollingFiles {
 public:
  struct Options {
    std::string directory;
    FileSinkNames names;
    Epoch epoch;
    std::string header;  // first bytes of every file
    std::string shape;   // FileSinkMarker::shape of the lines that are written now
    int64_t roll_bytes = 0;
    int64_t roll_us = 0;
  };

  // The lines that Commit adds, in pieces. `begin_us` and `end_us`: batch times of the first batch
  // with rows, and of the last batch.
  struct Addition {
    BatchId batch;
    std::vector<std::string_view> lines;
    int64_t begin_us = 0;
    int64_t end_us = 0;
    bool close = false;  // no lines follow
  };

  // `files` outlives this.
  RollingFiles(FileSystem* files, Options options) : files_(files), options_(std::move(options)) {}

  // Goes on from the journal's marker (default: the shard has never been claimed): gives closed
  // files their final names, and copies the committed bytes of the open file to a file of our own.
  // ABORTED: a higher epoch has been here. REQUIRES: called once, before anything else.
  absl::Status Claim(const FileSinkMarker& journaled);

  // Appends lines of the batch that the next Commit covers, behind the committed bytes of the file.
  // The caller may then drop these lines, so that they are nowhere else. If this call or that
  // Commit fails, the lines are lost, and all later calls fail.
  absl::Status AppendAhead(const Addition& addition);

  // Appends durably, closes the file if it is then large or old enough, and advances the marker.
  // What was written counts only once that marker is in the journal.
  absl::Status Commit(const Addition& addition);

  // Called when commits up to `batch` are in the journal: gives the files that they closed their
  // final names.
  absl::Status Settle(BatchId batch);

  const FileSinkMarker& marker() const { return marker_; }
  // The batch time at which there is work even without new lines; 0 = never.
  int64_t wake_at_us() const;

 private:
  std::string Path(const std::string& name) const { return options_.directory + "/" + name; }
  // DATA_LOSS for a committed file that is not found, NOT_FOUND if its directory is not either.
  absl::Status Missing(const std::string& path, int64_t expected) const;
  // Refuses a directory with more files than the marker can account for, and removes files that
  // earlier epochs left and nobody needs.
  absl::Status LookAround(const FileSinkMarker& journaled);
  // Copies the committed bytes of the open file to a file of our own.
  absl::Status TakeOver();
  // Makes a new open file, empty or with the committed bytes of marker_.open, as file_; returns its
  // name.
  absl::StatusOr<std::string> NewFile();
  absl::Status Copy(const std::string& name, int64_t length, AppendFile* to) const;
  absl::Status WriteLines(FileSinkMarker* next, const Addition& addition);
  // Prepares file_ so that lines of the addition's batch can follow the committed bytes of the open
  // file, or begin a new one.
  absl::Status BeginAhead(const Addition& addition);
  absl::Status Append(const std::vector<std::string_view>& lines);
  // What a file begins with whose first lines are these.
  std::string_view FirstBytes(const std::vector<std::string_view>& lines) const;
  // Gives up file_, whose contents are unknown after the error `status`.
  absl::Status Break(const absl::Status& status);
  absl::Status RemoveIfThere(const std::string& name);
  // Removes a file that no marker has named, now or, if that fails, later.
  void GiveUp(const std::string& name);
  // Moves the open file to the closed ones, closed by the commit of `batch`.
  void Close(FileSinkMarker* marker, BatchId batch);
  // Gives the files that were closed up to `batch` their final names.
  absl::Status PublishClosed(int64_t batch);
  // False if the file has its final name already. Not durable before SyncDirectory.
  absl::StatusOr<bool> Publish(const FileSinkMarker::Closed& file);

  // The bytes of the file behind marker_.length, which are not committed yet.
  struct Ahead {
    BatchId batch;
    std::string open;  // name of the file
    int64_t bytes = 0;
    int64_t begin_us = 0;
    // Whether the lines are nowhere else: AppendAhead's caller has dropped them.
    bool is_only_copy = false;
  };

  FileSystem* const files_;
  const Options options_;
  FileSinkMarker marker_;
  // The file marker_.open, with exactly marker_.length bytes, or the file that ahead_ names. Null:
  // there is no open file, or a failed write has left it in an unknown state, so that the next
  // write goes to a copy.
  std::unique_ptr<AppendFile> file_;
  std::optional<Ahead> ahead_;
  absl::Status lost_;         // not OK: lines of AppendAhead are lost
  int64_t copies_ = 0;        // copies of the open file that this writer has begun
  int64_t unsettled_us_ = 0;  // the last batch time at which a closed file lacked its final name
  // Files that a journaled marker may name until the commit of that batch is in the journal.
  std::vector<std::pair<std::string, BatchId>> unneeded_;
  std::string claimed_;  // the open file of the epoch before, until this epoch's first commit
};

}  // namespace millrace::file

#endif  // MILLRACE_CONNECTORS_FILE_SINK_ROLLING_FILES_H_
