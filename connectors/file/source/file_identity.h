// The identity of a file, which tells it from another file of the same name: its inode, the time
// when the inode was made, and a hash of the file's first bytes. A name does not identify a file:
// logs are rotated, exports are replaced.
#ifndef MILLRACE_CONNECTORS_FILE_SOURCE_FILE_IDENTITY_H_
#define MILLRACE_CONNECTORS_FILE_SOURCE_FILE_IDENTITY_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "connectors/file/source/file_access.h"

namespace millrace::file {

// What the system tells about a file without reading it.
struct FileStat {
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t born_us = 0;  // when the inode was made; 0 = the file system does not tell
  int64_t size = 0;
  int64_t changed_us = 0;  // the last change of contents, name or attributes
  bool regular = false;

  // Whether both are the same inode. Device numbers may change when the machine starts, so they
  // only count if the time when the inodes were made is not known.
  bool IsSameInode(uint64_t other_device, uint64_t other_inode, int64_t other_born_us) const;
};

// NOT_FOUND if there is no such file.
absl::StatusOr<FileStat> StatFile(const std::string& path);
absl::StatusOr<FileStat> StatFile(const FileHandle& file, const std::string& path);

struct FileIdentity {
  // How many bytes from the beginning are hashed, once the file has that many.
  static constexpr int64_t kHashedBytes = 4096;

  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t born_us = 0;
  int64_t length = 0;  // how many bytes are hashed
  uint64_t hash = 0;   // XXH3
  std::string path;    // where it was last seen

  // One line; Parse gives INVALID_ARGUMENT for anything else.
  std::string ToString() const;
  static absl::StatusOr<FileIdentity> Parse(const std::string& text);

  bool IsSameInode(const FileStat& stat) const { return stat.IsSameInode(device, inode, born_us); }
};

uint64_t HashOfBytes(std::string_view bytes);

// The present identity of an open file.
absl::StatusOr<FileIdentity> IdentifyFile(const FileHandle& file, const std::string& path);

// Whether the file begins with the bytes of the identity, whichever inode it is.
absl::StatusOr<bool> BeginsLike(const FileHandle& file, const std::string& path,
                                const FileIdentity& identity);

}  // namespace millrace::file

#endif  // MILLRACE_CONNECTORS_FILE_SOURCE_FILE_IDENTITY_H_
