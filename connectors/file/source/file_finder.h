// Finds a file again that was seen before: at its old path, under the name that rotation gave it,
// or as the copy that rotation made before it cut the file itself.
#ifndef MILLRACE_CONNECTORS_FILE_SOURCE_FILE_FINDER_H_
#define MILLRACE_CONNECTORS_FILE_SOURCE_FILE_FINDER_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "connectors/file/source/file_identity.h"

namespace millrace::file {

struct FoundFile {
  FileHandle file;
  std::string path;
  FileStat stat;
};

// Finds the file of that identity with at least `least_bytes`, wherever it is in its directory now:
// the inode, if it still begins as it did. If the inode was cut or written anew, then the youngest
// file that begins as the old one did, is not older than it, and does not belong to another
// partition (`is_taken`). NOT_FOUND, with the reason, if there is none.
absl::StatusOr<FoundFile> FindFile(const FileIdentity& identity, int64_t least_bytes,
                                   const std::function<bool(const FileStat&)>& is_taken);

}  // namespace millrace::file

#endif  // MILLRACE_CONNECTORS_FILE_SOURCE_FILE_FINDER_H_
