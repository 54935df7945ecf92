// The driver's view of a table of files: which there are, how far each holds whole records, and
// what has become of those that are read.
//
// A partition is a file by its identity, not by its name: it stays itself when rotation renames it,
// or copies and cuts it, and what then appears under its name is another partition. Looking at a
// file that has not changed costs a stat; it is opened only when it has, and never once it is
// retired.
#ifndef MILLRACE_CONNECTORS_FILE_FILE_ENUMERATOR_H_
#define MILLRACE_CONNECTORS_FILE_FILE_ENUMERATOR_H_

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
#include "connectors/file/file_access.h"
#include "connectors/file/file_finder.h"
#include "connectors/file/file_identity.h"
#include "connectors/source.h"

namespace millrace {

// The path that a partition began under, whatever it is called today.
std::string PathOfPartition(const PartitionName& name);
// Its first partition's name.
PartitionName PartitionOfPath(const std::string& path);

class FileEnumerator : public SourceEnumerator {
 public:
  struct Options {
    std::string path;
    bool follow = false;
    bool latest = false;
    bool csv = false;
  };

  // `clock` and `access`, which says what may be read, outlive it.
  FileEnumerator(Options options, Clock* clock, const AccessPolicy* access)
      : options_(std::move(options)), clock_(clock), access_(*access) {}

  void Remember(const std::vector<KnownPartition>& known) override;
  absl::StatusOr<std::vector<PartitionName>> Discover(absl::Duration timeout) override;
  bool Selects(const KnownPartition& partition) const override;
  bool may_lose_partitions() const override { return true; }
  absl::StatusOr<std::vector<PartitionOffset>> ResolveStart(
      const std::vector<PartitionName>& partitions, absl::Duration timeout) override;
  absl::StatusOr<std::vector<PartitionOffset>> ResolveEarliest(
      const std::vector<PartitionName>& partitions, absl::Duration timeout) override;
  absl::StatusOr<std::vector<PartitionEnd>> Ends(const std::vector<PartitionName>& partitions,
                                                 absl::Duration timeout) override;
  absl::StatusOr<std::vector<std::string>> TopicIds(const std::vector<PartitionName>& partitions,
                                                    absl::Duration timeout) override;
  absl::Status PublishOffsets(const std::vector<PartitionOffset>&, absl::Duration) override {
    return absl::OkStatus();
  }
  bool bounded() const override { return !options_.follow; }

 private:
  struct Watched {
    PartitionName name;
    FileIdentity identity;
    int64_t next = 0;  // read below
    bool retired = false;
    std::string told;  // the identity that the driver has
    // As of the last look; size −1 = none yet.
    FileStat stat{.size = -1};
    CompleteRecords records;
    int64_t end = 0;
    bool moved = false;  // it is not where it began
    std::string gone;    // why it is not there any more; empty = it is
  };
  // By inode number; few files share one.
  using ByInode = std::unordered_multimap<uint64_t, Watched*>;

  // Looks whether the file has changed, and follows it where it went.
  absl::Status Look(Watched* watched);
  absl::Status LookAtChanged(Watched* watched);
  Watched* FindByInode(const FileStat& stat);
  void Index(Watched* watched);
  void Unindex(Watched* watched);
  Watched* Add(const PartitionName& name, FileIdentity identity);

  // The partition that the file is, if it is to be read; makes one if need be.
  absl::StatusOr<std::optional<PartitionName>> PartitionOf(const std::string& path);
  void NoteBeginnings();
  // Whether a file that nobody knows may be a copy that rotation is making of a known one, which it
  // will cut in a moment.
  absl::StatusOr<bool> MayBeCopy(const FileHandle& file, const std::string& path,
                                 const FileStat& stat);
  PartitionName FreeName(const std::string& path) const;
  PartitionEnd EndOf(const Watched& watched) const;

  const Options options_;
  Clock* const clock_;
  const AccessPolicy& access_;
  std::unordered_map<PartitionName, std::unique_ptr<Watched>> watched_;
  ByInode by_inode_;
  std::unordered_map<std::string, PartitionName>
      latest_;  // by path: of its partitions the last one
  // Of this discovery: files known before it that are read, by length and hash of what identifies
  // them.
  std::map<int64_t, std::unordered_map<uint64_t, const Watched*>> beginnings_;
  std::map<std::string, absl::Time> maybe_copies_;  // since when they are there
};

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_FILE_FILE_ENUMERATOR_H_
