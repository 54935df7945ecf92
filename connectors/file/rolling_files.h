// The files of one sink shard in one epoch: one that is open and grows by committed batches, closed
// ones that wait until their commit is in the journal, and final names. Knows bytes, not rows.
// docs/exactly-once.md §7 is the argument.
#ifndef MILLRACE_CONNECTORS_FILE_ROLLING_FILES_H_
#define MILLRACE_CONNECTORS_FILE_ROLLING_FILES_H_

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
#include "connectors/file/file_sink_marker.h"

namespace millrace {

// Thread-compatible. Errors are the file system's; DATA_LOSS where files are not what the marker
// says. After an error the same call may be made again.
class RollingFiles {
 public:
  struct Options {
    std::string directory;
    FileSinkNames names;
    Epoch epoch;
    std::string header;  // first bytes of every file
    std::string shape;   // FileSinkMarker::shape of what is written now
    int64_t roll_bytes = 0;
    int64_t roll_us = 0;
  };

  // What Commit adds, in pieces. `begin_us` and `end_us`: batch times of the first batch with rows,
  // and of the last one.
  struct Addition {
    BatchId batch;
    std::vector<std::string_view> lines;
    int64_t begin_us = 0;
    int64_t end_us = 0;
    bool close = false;  // nothing comes after it
  };

  // `files` outlives this.
  RollingFiles(FileSystem* files, Options options) : files_(files), options_(std::move(options)) {}

  // Goes on from the journal's marker (default: the shard has never been claimed): gives closed
  // files their names and copies what is committed of the open one to a file of our own. ABORTED: a
  // higher epoch has been here. REQUIRES: called once, before anything else.
  absl::Status Claim(const FileSinkMarker& journaled);

  // Appends lines of the batch that the next Commit covers, behind what is committed. They are
  // nowhere else then: after an error, also of that Commit, nothing can be committed any more.
  absl::Status AppendAhead(const Addition& addition);

  // Appends durably, closes the file if it is then large or old enough, and moves the marker on.
  // What was written counts only once that marker is in the journal.
  absl::Status Commit(const Addition& addition);

  // Commits up to `batch` are in the journal: gives the files that they closed their names.
  absl::Status Settle(BatchId batch);

  const FileSinkMarker& marker() const { return marker_; }
  // The batch time at which there is something to do without new lines; 0 = never.
  int64_t wake_at_us() const;

 private:
  std::string Path(const std::string& name) const { return options_.directory + "/" + name; }
  // Refuses directories that hold more than the marker can know of, and removes what earlier epochs
  // left and nobody needs.
  absl::Status LookAround(const FileSinkMarker& journaled);
  // Copies what is committed of the open file to one of our own.
  absl::Status TakeOver();
  // A new open file, empty or with the committed bytes of marker_.open, as file_; its name.
  absl::StatusOr<std::string> NewFile();
  absl::Status Copy(const std::string& name, int64_t length, AppendFile* to) const;
  absl::Status WriteLines(FileSinkMarker* next, const Addition& addition);
  // Lets lines of the addition's batch follow what is committed of the open file, or of a new one.
  absl::Status BeginAhead(const Addition& addition);
  absl::Status Append(const std::vector<std::string_view>& lines);
  // Gives up the file, which is in doubt after `status`.
  absl::Status Break(const absl::Status& status);
  absl::Status RemoveIfThere(const std::string& name);
  // Of a file that no marker has named: removes it now, or else later.
  void GiveUp(const std::string& name);
  // Moves the open file to the closed ones: by the commit of `batch`.
  void Close(FileSinkMarker* marker, BatchId batch);
  // Gives those that were closed up to `batch` their final names.
  absl::Status PublishClosed(int64_t batch);
  // False if the file has its final name already. Not durable before SyncDirectory.
  absl::StatusOr<bool> Publish(const FileSinkMarker::Closed& file);

  // What is in the file behind marker_.length, on its way to be committed.
  struct Ahead {
    BatchId batch;
    std::string open;  // name of the file
    int64_t bytes = 0;
    int64_t begin_us = 0;
    bool is_only_copy = false;  // by AppendAhead
  };

  FileSystem* const files_;
  const Options options_;
  FileSinkMarker marker_;
  // marker_.open with exactly marker_.length bytes, or the file that ahead_ names. Null: there is
  // none, or a failed write has left it in doubt, so that the next one goes to a copy.
  std::unique_ptr<AppendFile> file_;
  std::optional<Ahead> ahead_;
  absl::Status lost_;         // not OK: lines of AppendAhead are gone
  int64_t copies_ = 0;        // that this writer has begun of the open file
  int64_t unsettled_us_ = 0;  // the last batch time at which a closed file had no name yet
  // Files that a journaled marker may name until the commit of that batch is in the journal.
  std::vector<std::pair<std::string, BatchId>> unneeded_;
  std::string claimed_;  // the open file of the epoch before, until our first commit
};

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_FILE_ROLLING_FILES_H_
