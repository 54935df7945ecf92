#include "connectors/file/source/file_identity.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status.h"

namespace millrace::file {
namespace {

constexpr char kVersion[] = "file1";

int64_t Microseconds(const struct statx_timestamp& time) {
  return int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1000;
}

absl::StatusOr<FileStat> Stat(int directory, const char* path, int flags, const std::string& name) {
  struct statx status = {};
  if (statx(directory, path, flags, STATX_BASIC_STATS | STATX_BTIME, &status) != 0) {
    return SystemError(errno, "looking at", name);
  }
  const bool knows_birth = (status.stx_mask & STATX_BTIME) != 0;
  return FileStat{
      .device = makedev(status.stx_dev_major, status.stx_dev_minor),
      .inode = status.stx_ino,
      .born_us = knows_birth ? Microseconds(status.stx_btime) : 0,
      .size = static_cast<int64_t>(status.stx_size),
      .changed_us = std::max(Microseconds(status.stx_mtime), Microseconds(status.stx_ctime)),
      .regular = S_ISREG(status.stx_mode)};
}

absl::StatusOr<uint64_t> HashOfBeginning(const FileHandle& file, const std::string& path,
                                         int64_t* length) {
  std::vector<char> bytes(static_cast<size_t>(*length));
  ASSIGN_OR_RETURN(const size_t count, ReadAt(file, path, 0, bytes.data(), bytes.size()));
  *length = static_cast<int64_t>(count);
  return HashOfBytes({bytes.data(), count});
}

}  // namespace

uint64_t HashOfBytes(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

bool FileStat::IsSameInode(uint64_t other_device, uint64_t other_inode,
                           int64_t other_born_us) const {
  if (inode != other_inode) {
    return false;
  }
  return born_us != 0 && other_born_us != 0 ? born_us == other_born_us : device == other_device;
}

absl::StatusOr<FileStat> StatFile(const std::string& path) {
  return Stat(AT_FDCWD, path.c_str(), 0, path);
}

absl::StatusOr<FileStat> StatFile(const FileHandle& file, const std::string& path) {
  return Stat(file.fd(), "", AT_EMPTY_PATH, path);
}

std::string FileIdentity::ToString() const {
  return absl::StrCat(kVersion, " ", device, " ", inode, " ", born_us, " ", length, " ",
                      absl::Hex(hash, absl::kZeroPad16), " ", path);
}

absl::StatusOr<FileIdentity> FileIdentity::Parse(const std::string& text) {
  // The path is the last word, since it may have blanks.
  const std::vector<std::string> words = absl::StrSplit(text, absl::MaxSplits(' ', 6));
  FileIdentity out;
  if (words.size() != 7 || words[0] != kVersion || !absl::SimpleAtoi(words[1], &out.device) ||
      !absl::SimpleAtoi(words[2], &out.inode) || !absl::SimpleAtoi(words[3], &out.born_us) ||
      !absl::SimpleAtoi(words[4], &out.length) || !absl::SimpleHexAtoi(words[5], &out.hash) ||
      out.length < 0 || out.length > kHashedBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" does not identify a file: the journal is not this table's"));
  }
  out.path = words[6];
  return out;
}

absl::StatusOr<FileIdentity> IdentifyFile(const FileHandle& file, const std::string& path) {
  ASSIGN_OR_RETURN(const FileStat stat, StatFile(file, path));
  FileIdentity identity{.device = stat.device,
                        .inode = stat.inode,
                        .born_us = stat.born_us,
                        .length = std::min(stat.size, FileIdentity::kHashedBytes),
                        .path = path};
  ASSIGN_OR_RETURN(identity.hash, HashOfBeginning(file, path, &identity.length));
  return identity;
}

absl::StatusOr<bool> BeginsLike(const FileHandle& file, const std::string& path,
                                const FileIdentity& identity) {
  int64_t length = identity.length;
  ASSIGN_OR_RETURN(const uint64_t hash, HashOfBeginning(file, path, &length));
  return length == identity.length && hash == identity.hash;
}

}  // namespace millrace::file
