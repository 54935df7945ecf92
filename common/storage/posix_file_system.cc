#include "common/storage/posix_file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/failure_kind.h"
#include "common/base/status.h"
#include "common/storage/regular_file.h"

namespace millrace {
namespace {

constexpr int64_t kReadBytes = 1 << 20;  // at once

absl::Status OfTheEnvironment(absl::Status status) {
  return WithFailureKind(std::move(status), FailureKind::kEnvironment);
}

// `doing` completes "no space left on device … PATH". A full disk is of kind kEnvironment: it may
// have room later.
absl::Status Error(int error, std::string_view doing, const std::string& path) {
  const std::string where = absl::StrCat(ToAbsl(doing), " ", path);
  switch (error) {
    case ENOSPC:
      return OfTheEnvironment(
          absl::ResourceExhaustedError(absl::StrCat("no space left on device ", where)));
    case EDQUOT:
      return OfTheEnvironment(
          absl::ResourceExhaustedError(absl::StrCat("disk quota exceeded ", where)));
    case ENOENT:
      return absl::NotFoundError(absl::StrCat("no such file or directory ", where));
    case ENXIO:
      return OfTheEnvironment(
          absl::FailedPreconditionError(absl::StrCat("not a regular file ", where)));
    case EEXIST:
      return absl::AlreadyExistsError(absl::StrCat("file exists ", where));
    case EACCES:
    case EPERM:
    case EROFS:
      return OfTheEnvironment(absl::PermissionDeniedError(
          absl::StrCat(error == EROFS ? "read-only file system " : "not permitted ", where)));
    default:
      return OfTheEnvironment(absl::InternalError(absl::StrCat(std::strerror(error), " ", where)));
  }
}

class PosixAppendFile : public AppendFile {
 public:
  PosixAppendFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~PosixAppendFile() override { Close().IgnoreError(); }

  absl::Status Append(std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t written = write(fd_, bytes.data(), bytes.size());
      if (written < 0) {
        if (errno == EINTR) {
          continue;
        }
        return Error(errno, "writing", path_);
      }
      bytes.remove_prefix(static_cast<size_t>(written));
    }
    return absl::OkStatus();
  }

  absl::Status Sync() override {
    return fdatasync(fd_) == 0 ? absl::OkStatus() : Error(errno, "syncing", path_);
  }

  absl::Status Close() override {
    if (fd_ < 0) {
      return absl::OkStatus();
    }
    const int result = close(fd_);
    fd_ = -1;
    return result == 0 ? absl::OkStatus() : Error(errno, "closing", path_);
  }

 private:
  int fd_;
  std::string path_;
};

class PosixFileSystem : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<AppendFile>> Create(const std::string& path) override {
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0) {
      return Error(errno, "creating", path);
    }
    return std::make_unique<PosixAppendFile>(fd, path);
  }

  absl::StatusOr<std::string> Read(const std::string& path) override {
    const int fd = OpenRegularFile(path);
    if (fd < 0) {
      return Error(errno, "reading", path);
    }
    std::string contents;
    struct stat status = {};
    if (fstat(fd, &status) == 0 && status.st_size > 0) {
      contents.reserve(static_cast<size_t>(status.st_size));
    }
    char buffer[1 << 16];
    ssize_t got;
    while ((got = read(fd, buffer, sizeof(buffer))) != 0) {
      if (got > 0) {
        contents.append(buffer, static_cast<size_t>(got));
      } else if (errno != EINTR) {
        const int error = errno;
        close(fd);
        return Error(error, "reading", path);
      }
    }
    close(fd);
    return contents;
  }

  absl::StatusOr<std::string> ReadRange(const std::string& path, int64_t offset,
                                        int64_t length) override {
    const int fd = OpenRegularFile(path);
    if (fd < 0) {
      return Error(errno, "reading", path);
    }
    std::string contents;
    while (length > 0) {
      const size_t before = contents.size();
      const size_t wanted = static_cast<size_t>(std::min(length, kReadBytes));
      contents.resize(before + wanted);
      const ssize_t got = pread(fd, contents.data() + before, wanted, offset);
      contents.resize(before + static_cast<size_t>(std::max<ssize_t>(got, 0)));
      if (got < 0 && errno == EINTR) {
        continue;
      }
      if (got <= 0) {
        const int error = errno;
        close(fd);
        return got == 0 ? absl::StatusOr<std::string>(std::move(contents))
                        : Error(error, "reading", path);
      }
      offset += got;
      length -= got;
    }
    close(fd);
    return contents;
  }

  absl::StatusOr<int64_t> Size(const std::string& path) override {
    struct stat status = {};
    if (stat(path.c_str(), &status) != 0) {
      return Error(errno, "looking at", path);
    }
    return static_cast<int64_t>(status.st_size);
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    return rename(from.c_str(), to.c_str()) == 0
               ? absl::OkStatus()
               : Error(errno, absl::StrCat("renaming ", from, " to"), to);
  }

  absl::Status RenameNoReplace(const std::string& from, const std::string& to) override {
    if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) {
      return absl::OkStatus();
    }
    if (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP) {
      return internal::RenameByLink(from, to);  // NFS and some FUSE file systems
    }
    return Error(errno, absl::StrCat("renaming ", from, " to"), to);
  }

  absl::Status Remove(const std::string& path) override {
    return unlink(path.c_str()) == 0 ? absl::OkStatus() : Error(errno, "removing", path);
  }

  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override {
    DIR* const dir = opendir(directory.c_str());
    if (dir == nullptr) {
      return Error(errno, "listing", directory);
    }
    std::vector<std::string> names;
    while (const dirent* entry = readdir(dir)) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") {
        names.push_back(name);
      }
    }
    closedir(dir);
    std::sort(names.begin(), names.end());
    return names;
  }

  absl::Status MakeDirectory(const std::string& directory) override {
    for (size_t slash = directory.find('/', 1);; slash = directory.find('/', slash + 1)) {
      const std::string prefix = directory.substr(0, slash);
      if (mkdir(prefix.c_str(), 0755) == 0) {
        const size_t parent = prefix.rfind('/');
        RETURN_IF_ERROR(SyncDirectory(parent == std::string::npos ? "."
                                      : parent == 0               ? "/"
                                                                  : prefix.substr(0, parent)));
      } else {
        const int error = errno;
        struct stat status = {};
        if (stat(prefix.c_str(), &status) != 0) {
          return Error(error, "creating directory", prefix);
        }
        if (!S_ISDIR(status.st_mode)) {
          return absl::FailedPreconditionError(absl::StrCat(prefix, " is a file, not a directory"));
        }
      }
      if (slash == std::string::npos) {
        return absl::OkStatus();
      }
    }
  }

  absl::Status SyncDirectory(const std::string& directory) override {
    const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
      return Error(errno, "syncing directory", directory);
    }
    const int result = fsync(fd);
    const int error = errno;
    close(fd);
    return result == 0 ? absl::OkStatus() : Error(error, "syncing directory", directory);
  }
};

}  // namespace

absl::Status internal::RenameByLink(const std::string& from, const std::string& to) {
  if (link(from.c_str(), to.c_str()) != 0) {
    return Error(errno, absl::StrCat("renaming ", from, " to"), to);
  }
  return unlink(from.c_str()) == 0 ? absl::OkStatus() : Error(errno, "removing", from);
}

FileSystem* FileSystem::Real() {
  static FileSystem* const real = new PosixFileSystem();
  return real;
}

}  // namespace millrace
