// Parts of FileSystem::Real() that tests must call directly, since the tests' own file system never
// needs them. Thread-safe.
#ifndef MILLRACE_COMMON_STORAGE_POSIX_FILE_SYSTEM_H_
#define MILLRACE_COMMON_STORAGE_POSIX_FILE_SYSTEM_H_

#include <string>

#include "common/storage/file_system.h"

namespace millrace::internal {

// RenameNoReplace for file systems without renameat2(RENAME_NOREPLACE).
absl::Status RenameByLink(const std::string& from, const std::string& to);

}  // namespace millrace::internal

#endif  // MILLRACE_COMMON_STORAGE_POSIX_FILE_SYSTEM_H_
