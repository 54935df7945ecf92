// The file operations that the journal, snapshots and the file sink need: append, make durable,
// read, rename, list. Kept small, so that a test version can lose what was not made durable, and
// fail where a disk would.
//
// Durability: bytes are durable after AppendFile::Sync; a new, renamed or removed name is durable
// after SyncDirectory of its directory. Errors name the path: RESOURCE_EXHAUSTED "no space left on
// device writing PATH", NOT_FOUND, PERMISSION_DENIED, ALREADY_EXISTS, INTERNAL for the rest (EIO).
#ifndef MILLRACE_COMMON_STORAGE_FILE_SYSTEM_H_
#define MILLRACE_COMMON_STORAGE_FILE_SYSTEM_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace millrace {

// A new file that only grows. Used by one thread at a time. The destructor closes it without making
// anything durable.
class AppendFile {
 public:
  virtual ~AppendFile() = default;

  // After an error an unknown part of `bytes` may have been written.
  virtual absl::Status Append(std::string_view bytes) = 0;
  // OK: all appended bytes are durable. After an error nobody knows which bytes are. A second call
  // could return OK falsely (the kernel drops the pages that it could not write), so the file must
  // be given up.
  virtual absl::Status Sync() = 0;
  // Idempotent.
  virtual absl::Status Close() = 0;
};

// Thread-safe.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // ALREADY_EXISTS if there is a file of that name.
  virtual absl::StatusOr<std::unique_ptr<AppendFile>> Create(const std::string& path) = 0;
  // This and ReadRange never wait for another process: FAILED_PRECONDITION if the path is a FIFO,
  // a device or a socket.
  virtual absl::StatusOr<std::string> Read(const std::string& path) = 0;
  // The bytes [offset, offset + length); fewer, or none, where the file ends before. Reserves
  // `length` bytes of memory only as the file has them.
  virtual absl::StatusOr<std::string> ReadRange(const std::string& path, int64_t offset,
                                                int64_t length) = 0;
  virtual absl::StatusOr<int64_t> Size(const std::string& path) = 0;
  // Replaces `to`.
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  // ALREADY_EXISTS, without any change, if there is a file `to`: if several processes rename to one
  // name, one wins. Where the file system can only link, a crash may leave both names for the file.
  virtual absl::Status RenameNoReplace(const std::string& from, const std::string& to) = 0;
  virtual absl::Status Remove(const std::string& path) = 0;
  // Names (not paths) in the directory, sorted.
  virtual absl::StatusOr<std::vector<std::string>> List(const std::string& directory) = 0;
  // Makes the directory and its parents, and their names durable; OK if it exists.
  virtual absl::Status MakeDirectory(const std::string& directory) = 0;
  virtual absl::Status SyncDirectory(const std::string& directory) = 0;

  // The machine's file system; lives for ever.
  static FileSystem* Real();
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_STORAGE_FILE_SYSTEM_H_
