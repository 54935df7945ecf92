// A FileSystem in memory for tests: knows which bytes and names are durable, loses the others at a
// crash, and fails where it is told to. Thread-safe.
#ifndef MILLRACE_COMMON_STORAGE_MEMORY_FILE_SYSTEM_H_
#define MILLRACE_COMMON_STORAGE_MEMORY_FILE_SYSTEM_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "common/storage/file_system.h"

namespace millrace {

class MemoryFileSystem : public FileSystem {
 public:
  enum class Operation {
    kCreate,
    kAppend,
    kSync,
    kRead,
    kRename,
    kRemove,
    kList,
    kMakeDirectory,
    kSyncDirectory,
    kLock
  };

  // Asked before every operation; a status that is not OK becomes its result, and nothing happens
  // (except that a failed Sync makes nothing durable, as on a real disk). Called without locks
  // held.
  using Fault = std::function<absl::Status(Operation operation, const std::string& path)>;

  MemoryFileSystem();
  ~MemoryFileSystem() override;

  absl::StatusOr<std::unique_ptr<AppendFile>> Create(const std::string& path) override;
  absl::StatusOr<std::string> Read(const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override;
  absl::Status MakeDirectory(const std::string& directory) override;
  absl::Status SyncDirectory(const std::string& directory) override;
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override;

  void SetFault(Fault fault);
  // Room for this many bytes in all files together; an Append beyond it writes what fits and fails
  // as a full disk does.
  void SetCapacity(int64_t bytes);

  // The machine loses power: names and bytes go back to what was durable, except that each file
  // keeps up to `torn_bytes` of what it had beyond that. Open files are dead (their calls fail),
  // locks are free.
  void Crash(size_t torn_bytes = 0);

  // Replaces a file's contents as if they had always been there and durable (bit flips, cuts).
  void Overwrite(const std::string& path, std::string contents);

  // Calls of Sync that were OK, for tests of group commit.
  int64_t sync_count() const;

 private:
  struct File {
    std::string contents;
    size_t durable_bytes = 0;
    bool dead = false;  // opened before a crash
  };
  class OpenFile;
  class HeldLock;
  using Names = std::map<std::string, std::shared_ptr<File>>;

  absl::Status Check(Operation operation, const std::string& path);
  int64_t BytesUsed() const;  // REQUIRES: mutex_ held

  mutable std::mutex mutex_;
  Fault fault_;
  int64_t capacity_ = INT64_MAX;
  int64_t sync_count_ = 0;
  int64_t crashes_ = 0;
  Names names_;          // as a running program sees them
  Names durable_names_;  // as they are after a crash
  std::set<std::string> directories_;
  std::shared_ptr<std::set<std::string>> locks_;
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_STORAGE_MEMORY_FILE_SYSTEM_H_
