// The store of snapshots: files that are written once and then only read, listed or removed, by the
// driver and all executors of a job. Names are relative, with '/' between their parts.
//
// A visible name always belongs to a complete file: a write goes to a temporary name that ends in
// ".tmp", is synced, and only then renamed, which never replaces another file. A crash leaves at
// most a ".tmp" file that nobody reads; its name begins with the intended one.
#ifndef MILLRACE_COMMON_STORAGE_CHECKPOINT_STORE_H_
#define MILLRACE_COMMON_STORAGE_CHECKPOINT_STORE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/storage/file_system.h"

namespace millrace {

// What a write does if the file's directory is missing. If the directory must exist already, a
// missing one means that something is not mounted: making it would hide that, and put the file
// where no other process looks for it.
enum class MissingDirectories { kMake, kRefuse };

// Thread-safe; calls block. Errors name the file. INVALID_ARGUMENT: a name that is not below the
// store's directory.
class CheckpointStore {
 public:
  static constexpr std::string_view kTemporarySuffix = ".tmp";

  // `url` is "file:///path" or a path; INVALID_ARGUMENT for others lists what is allowed. Nothing
  // is created before the first Write. `files` outlives the store.
  static absl::StatusOr<std::unique_ptr<CheckpointStore>> Open(
      std::string_view url, FileSystem* files,
      MissingDirectories missing = MissingDirectories::kMake);
  virtual ~CheckpointStore() = default;

  // OK: the file is durable under its name. ALREADY_EXISTS: there is a file of that name, which is
  // left unchanged. NOT_FOUND: its directory is missing, and may not be made. After any other error
  // there may be a file of that name with all of `contents`, which a crash may remove: a caller
  // that tries again uses another name.
  virtual absl::Status Write(const std::string& name, std::string_view contents) = 0;

  virtual absl::StatusOr<std::string> Read(const std::string& name) = 0;
  // The bytes [offset, offset + length); fewer if the file ends before.
  virtual absl::StatusOr<std::string> ReadRange(const std::string& name, int64_t offset,
                                                int64_t length) = 0;

  // The sorted names in `directory` ("" = the store's own), without the directory's own; includes
  // unfinished files and directories. Empty if the directory does not exist.
  virtual absl::StatusOr<std::vector<std::string>> List(const std::string& directory) = 0;
  // OK if there is no such file.
  virtual absl::Status Remove(const std::string& name) = 0;
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_STORAGE_CHECKPOINT_STORE_H_
