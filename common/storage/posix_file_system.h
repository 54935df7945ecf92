// What FileSystem::Real() is made of and tests must reach where their own file system has no use
// for it. Thread-safe.
#ifndef MILLRACE_COMMON_STORAGE_POSIX_FILE_SYSTEM_H_
#define MILLRACE_COMMON_STORAGE_POSIX_FILE_SYSTEM_H_

#include <string>

#include "common/storage/file_system.h"

namespace millrace::internal {

// RenameNoReplace where the file system has no renameat2(RENAME_NOREPLACE).
absl::Status RenameByLink(const std::string& from, const std::string& to);

}  // namespace millrace::internal

#endif  // MILLRACE_COMMON_STORAGE_POSIX_FILE_SYSTEM_H_
