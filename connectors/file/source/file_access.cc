#include "connectors/file/source/file_access.h"

#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/base/utf8.h"
#include "common/storage/regular_file.h"
#include "connectors/shared/options.h"

namespace millrace::file {
namespace {

namespace fs = std::filesystem;

constexpr size_t kScanBytes = 256 << 10;

absl::Status NoSuchPath(const std::string& path) {
  std::vector<std::string> names;
  std::error_code error;
  fs::path parent = fs::path(path).parent_path();
  for (const auto& entry : fs::directory_iterator(parent.empty() ? fs::path(".") : parent, error)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  std::vector<std::string> near = NearNames(fs::path(path).filename().string(), names);
  return absl::NotFoundError(absl::StrCat(
      "there is no file ", path,
      near.empty() ? "" : absl::StrCat("; did you mean ", absl::StrJoin(near, ", "), "?")));
}

absl::Status NotRegular(const std::string& path) {
  return absl::InvalidArgumentError(
      absl::StrCat(path, " is not a regular file, and only those can be read"));
}

std::vector<std::string> Glob(const std::string& pattern) {
  glob_t found = {};
  std::vector<std::string> paths;
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    for (size_t i = 0; i < found.gl_pathc; ++i) {
      std::error_code error;
      if (fs::is_regular_file(found.gl_pathv[i], error)) {
        paths.emplace_back(found.gl_pathv[i]);
      }
    }
  }
  globfree(&found);
  return paths;
}

}  // namespace

absl::Status SystemError(int error, std::string_view what, const std::string& path) {
  std::string message = absl::StrCat(ToAbsl(what), " ", path, ": ", strerror(error));
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(message);
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(message);
    case ENXIO:
      return NotRegular(path);
    default:
      return absl::UnavailableError(message);
  }
}

FileHandle& FileHandle::operator=(FileHandle&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

FileHandle::~FileHandle() {
  if (fd_ >= 0) {
    close(fd_);
  }
}

absl::StatusOr<FileHandle> FileHandle::OpenToRead(const std::string& path) {
  int fd = OpenRegularFile(path);
  if (fd < 0) {
    return errno == ENOENT ? NoSuchPath(path) : SystemError(errno, "opening", path);
  }
  return FileHandle(fd);
}

absl::StatusOr<int64_t> FileSize(const FileHandle& file, const std::string& path) {
  struct stat status = {};
  if (fstat(file.fd(), &status) != 0) {
    return SystemError(errno, "looking at", path);
  }
  return static_cast<int64_t>(status.st_size);
}

absl::StatusOr<size_t> ReadAt(const FileHandle& file, const std::string& path, int64_t offset,
                              char* out, size_t size) {
  size_t done = 0;
  while (done < size) {
    ssize_t count = pread(file.fd(), out + done, size - done, offset + static_cast<int64_t>(done));
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      return SystemError(errno, "reading", path);
    }
    if (count == 0) {
      break;
    }
    done += static_cast<size_t>(count);
  }
  return done;
}

absl::Status CheckIsText(const std::string& path) {
  return IsUtf8(path) ? absl::OkStatus()
                      : absl::InvalidArgumentError(absl::StrCat(
                            "file ", EscapeInvalidUtf8(path),
                            " has a name that is not UTF-8: rename it, or select others"));
}

absl::StatusOr<std::vector<std::string>> ListFiles(const std::string& path, bool may_come) {
  std::error_code error;
  std::vector<std::string> paths;
  if (fs::is_directory(path, error)) {
    for (const auto& entry : fs::directory_iterator(path, error)) {
      std::string name = entry.path().filename().string();
      if (entry.is_regular_file(error) && name[0] != '.' && name[0] != '_') {
        paths.push_back(entry.path().string());
      }
    }
    if (error) {
      return SystemError(error.value(), "listing", path);
    }
  } else if (fs::exists(path, error)) {
    if (!fs::is_regular_file(path, error)) {
      return NotRegular(path);
    }
    paths.push_back(path);
  } else if (path.find_first_of("*?[") != std::string::npos) {
    paths = Glob(path);
    if (paths.empty() && !may_come) {
      return absl::NotFoundError(absl::StrCat("no file matches ", path));
    }
  } else if (!may_come) {
    return NoSuchPath(path);
  }
  for (const std::string& one : paths) {
    RETURN_IF_ERROR(CheckIsText(one));
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

RecordEnds::RecordEnds(RecordFraming framing) {
  if (framing.csv_delimiter.has_value()) {
    csv_.emplace(*framing.csv_delimiter);
  }
}

size_t RecordEnds::Next(std::string_view bytes, size_t at) {
  if (csv_.has_value()) {
    return csv_->Next(bytes, at);
  }
  const size_t end = bytes.find('\n', at);
  return end == std::string_view::npos ? end : end + 1;
}

size_t FindRecordEnd(std::string_view bytes, size_t begin, RecordFraming framing) {
  return RecordEnds(framing).Next(bytes, begin);
}

absl::StatusOr<int64_t> NextRecord(const FileHandle& file, const std::string& path, int64_t offset,
                                   RecordFraming framing) {
  if (offset == 0) {
    return 0;
  }
  // Whether a line end is between quotes depends on what is before it.
  int64_t at = framing.csv_delimiter.has_value() ? 0 : offset - 1;
  RecordEnds ends(framing);
  std::string block(kScanBytes, '\0');
  while (true) {
    ASSIGN_OR_RETURN(size_t count, ReadAt(file, path, at, block.data(), block.size()));
    const std::string_view bytes(block.data(), count);
    for (size_t end = 0; (end = ends.Next(bytes, end)) != std::string_view::npos;) {
      if (at + static_cast<int64_t>(end) >= offset) {
        return at + static_cast<int64_t>(end);
      }
    }
    at += static_cast<int64_t>(count);
    if (count < block.size()) {
      return at;
    }
  }
}

absl::StatusOr<int64_t> CompleteRecords::End(const FileHandle& file, const std::string& path,
                                             int64_t size) {
  if (size != size_) {
    if (framing_.csv_delimiter.has_value()) {
      RETURN_IF_ERROR(ScanForward(file, path, size));
    } else {
      ASSIGN_OR_RETURN(end_, LastLineEnd(file, path, size));
    }
    size_ = size;
  }
  return end_;
}

absl::StatusOr<int64_t> CompleteRecords::LastLineEnd(const FileHandle& file,
                                                     const std::string& path, int64_t size) const {
  std::string block;
  for (int64_t stop = size; stop > end_;) {
    int64_t begin = std::max(end_, stop - static_cast<int64_t>(kScanBytes));
    block.resize(static_cast<size_t>(stop - begin));
    ASSIGN_OR_RETURN(size_t count, ReadAt(file, path, begin, block.data(), block.size()));
    size_t newline = std::string_view(block.data(), count).rfind('\n');
    if (newline != std::string_view::npos) {
      return begin + static_cast<int64_t>(newline) + 1;
    }
    stop = begin;
  }
  return end_;
}

absl::Status CompleteRecords::ScanForward(const FileHandle& file, const std::string& path,
                                          int64_t size) {
  std::string block;
  while (scanned_ < size) {
    block.resize(std::min(kScanBytes, static_cast<size_t>(size - scanned_)));
    ASSIGN_OR_RETURN(const size_t count, ReadAt(file, path, scanned_, block.data(), block.size()));
    const std::string_view bytes(block.data(), count);
    for (size_t end = 0; (end = ends_.Next(bytes, end)) != std::string_view::npos;) {
      end_ = scanned_ + static_cast<int64_t>(end);
    }
    scanned_ += static_cast<int64_t>(count);
    if (count < block.size()) {
      break;  // the file has been cut
    }
  }
  return absl::OkStatus();
}

}  // namespace millrace::file
