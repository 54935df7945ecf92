// The driver's view of a table of files: which files there are, how far each has complete records,
// and what has happened to those that are read.
//
// A partition is a file, known by its identity and not by its name. It stays the same partition
// when rotation renames the file, or copies and cuts it; a file that then appears under the old
// name is another partition. Looking at a file that has not changed costs a stat; it is opened only
// when it has changed, and never once it is retired.
#ifndef MILLRACE_CONNECTORS_FILE_SOURCE_FILE_ENUMERATOR_H_
#define MILLRACE_CONNECTORS_FILE_SOURCE_FILE_ENUMERATOR_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "connectors/access_policy.h"
#include "connectors/file/source/file_access.h"
#include "connectors/file/source/file_finder.h"
#include "connectors/file/source/file_identity.h"
#include "connectors/source.h"

namespace millrace::file {

// The path of the file when the partition began, whatever its name is now.
std::string PathOfPartition(const PartitionName& name);
// The name of the first partition of a path.
PartitionName PartitionOfPath(const std::string& path);

class FileEnumerator : public SourceEnumerator {
 public:
  struct Options {
    std::string path;
    bool follow = false;
    bool latest = false;
    RecordFraming framing;
  };

  // `access` says which files may be read; it and `clock` outlive this object.
  FileEnumerator(Options options, Clock* clock, const AccessPolicy* access)
      : options_(std::move(options)), clock_(clock), access_(*access) {}

  void Remember(const std::vector<KnownPartition>& known) override;
  absl::StatusOr<std::vector<PartitionName>> Discover(absl::Duration timeout) override;
  bool expects_partitions() const override { return expects_partitions_; }
  bool Selects(const KnownPartition& partition) const override;
  absl::StatusOr<std::vector<PartitionOffset>> ResolveStart(
      const std::vector<PartitionName>& partitions, absl::Duration timeout) override;
  absl::StatusOr<std::vector<PartitionOffset>> ResolveEarliest(
      const std::vector<PartitionName>& partitions, absl::Duration timeout) override;
  absl::StatusOr<std::vector<PartitionEnd>> Ends(const std::vector<PartitionName>& partitions,
                                                 absl::Duration timeout) override;
  absl::StatusOr<std::vector<std::string>> Identities(const std::vector<PartitionName>& partitions,
                                                      absl::Duration timeout) override;
  absl::Status PublishOffsets(const std::vector<PartitionOffset>&, absl::Duration) override {
    return absl::OkStatus();
  }

 private:
  struct Watched {
    PartitionName name;
    FileIdentity identity;
    int64_t next = 0;  // offsets below were read
    bool retired = false;
    std::string told;  // the identity that the driver was told last
    // The file as of the last look; size −1 = not looked at yet.
    FileStat stat{.size = -1};
    CompleteRecords records;
    int64_t end = 0;
    bool moved = false;  // the file has another path than at its beginning
    std::string gone;    // why the file does not exist any more; empty = it exists
  };
  // Files by inode number; rarely several have the same one.
  using ByInode = std::unordered_multimap<uint64_t, Watched*>;

  // Checks whether the file has changed, and finds it again if it was renamed or copied.
  absl::Status Look(Watched* watched);
  absl::Status LookAtChanged(Watched* watched);
  Watched* FindByInode(const FileStat& stat);
  void Index(Watched* watched);
  void Unindex(Watched* watched);
  Watched* Add(const PartitionName& name, FileIdentity identity);

  // The file's partition, which is made if need be; nothing if the file is not to be read.
  absl::StatusOr<std::optional<PartitionName>> PartitionOf(const std::string& path);
  // Whether a file was renamed and no other has its name yet. `paths`: those that exist, sorted.
  bool LacksSuccessor(const std::vector<std::string>& paths) const;
  void NoteBeginnings();
  // Whether an unknown file may be a copy of a known one, which rotation will cut in a moment.
  absl::StatusOr<bool> MayBeCopy(const FileHandle& file, const std::string& path,
                                 const FileStat& stat);
  PartitionName FreeName(const std::string& path) const;
  PartitionEnd EndOf(const Watched& watched) const;

  const Options options_;
  Clock* const clock_;
  const AccessPolicy& access_;
  std::unordered_map<PartitionName, std::unique_ptr<Watched>> watched_;
  ByInode by_inode_;
  // By path: the last partition of that path.
  std::unordered_map<std::string, PartitionName> latest_;
  // For the present discovery: the files that were known before it and are read, by the length and
  // hash of their identity.
  std::map<int64_t, std::unordered_map<uint64_t, const Watched*>> beginnings_;
  std::map<std::string, int64_t> maybe_copies_;  // Clock::MonotonicNs() when each was first seen
  bool expects_partitions_ = false;              // since the last discovery
};

}  // namespace millrace::file

#endif  // MILLRACE_CONNECTORS_FILE_SOURCE_FILE_ENUMERATOR_H_
