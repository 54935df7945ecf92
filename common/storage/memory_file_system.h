// A FileSystem in memory for tests: knows which bytes and names are durable, loses the others at a
// crash, and fails where it is told to. Thread-safe.
#ifndef MILLRACE_COMMON_STORAGE_MEMORY_FILE_SYSTEM_H_
#define MILLRACE_COMMON_STORAGE_MEMORY_FILE_SYSTEM_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/storage/file_system.h"

namespace millrace {

class MemoryFileSystem : public FileSystem {
 public:
  enum class Operation {
    kCreate,
    kAppend,
    kSync,
    kRead,  // Read and ReadRange
    kSize,
    kRename,  // Rename and RenameNoReplace
    kRemove,
    kList,
    kMakeDirectory,
    kSyncDirectory
  };

  // Called before every operation. If it returns an error, that becomes the result of the
  // operation, which does nothing, with two exceptions, as on a real disk: a failed Append has
  // written the first half of its bytes, and after a failed Sync nothing of that file becomes
  // durable any more, although later Syncs return OK. So a test
  // can end the process at every point: for each k, it lets the k-th operation fail and all later
  // ones. Called without locks held.
  using Fault = std::function<absl::Status(Operation operation, const std::string& path)>;

  MemoryFileSystem();
  ~MemoryFileSystem() override;

  absl::StatusOr<std::unique_ptr<AppendFile>> Create(const std::string& path) override;
  absl::StatusOr<std::string> Read(const std::string& path) override;
  absl::StatusOr<std::string> ReadRange(const std::string& path, int64_t offset,
                                        int64_t length) override;
  absl::StatusOr<int64_t> Size(const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status RenameNoReplace(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override;
  absl::Status MakeDirectory(const std::string& directory) override;
  absl::Status SyncDirectory(const std::string& directory) override;

  void SetFault(Fault fault);
  // Limits all files together to this many bytes; an Append beyond that writes what fits and fails,
  // as on a full disk.
  void SetCapacity(int64_t bytes);

  // The machine loses power: names and bytes go back to what was durable, except that each file
  // keeps up to `torn_bytes` of its other bytes. With `keep_names`, present names stay too: a
  // kernel may have written a directory before it was asked to, so a file may have its name without
  // its bytes. Open files are dead (their calls fail).
  void Crash(size_t torn_bytes = 0, bool keep_names = false);

  // Replaces a file's contents as if they had always been there and durable (bit flips, cuts).
  void Overwrite(const std::string& path, std::string contents);

  // The number of successful calls of Sync, for tests of group commit.
  int64_t sync_count() const;

 private:
  struct File {
    std::string contents;
    size_t durable_bytes = 0;
    bool sync_failed = false;  // its unsynced pages are dropped: never durable any more
    bool dead = false;         // opened before a crash
  };
  class OpenFile;
  using Names = std::map<std::string, std::shared_ptr<File>>;

  absl::Status Check(Operation operation, const std::string& path);
  absl::StatusOr<std::shared_ptr<File>> Find(const std::string& path)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int64_t BytesUsed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  Fault fault_ ABSL_GUARDED_BY(mutex_);
  int64_t capacity_ ABSL_GUARDED_BY(mutex_) = INT64_MAX;
  int64_t sync_count_ ABSL_GUARDED_BY(mutex_) = 0;
  Names names_ ABSL_GUARDED_BY(mutex_);          // as a running program sees them
  Names durable_names_ ABSL_GUARDED_BY(mutex_);  // as they are after a crash
  std::set<std::string> directories_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_STORAGE_MEMORY_FILE_SYSTEM_H_
