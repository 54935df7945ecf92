#include "common/storage/checkpoint_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/failpoint.h"
#include "common/base/status.h"
#include "common/base/uuid.h"
#include "common/storage/file_location.h"

namespace millrace {
namespace {

std::string DirectoryOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

// Adds what a person can do about an error of the file system, which itself names the file.
absl::Status WithWayOut(const absl::Status& status) {
  if (absl::IsResourceExhausted(status)) {
    return Reworded(status,
                    absl::StrCat(status.message(),
                                 "; free space there or set checkpoint_location to another place"));
  }
  if (absl::IsPermissionDenied(status)) {
    return Reworded(
        status,
        absl::StrCat(status.message(),
                     "; the driver and all executors must be able to read and write there"));
  }
  return status;
}

absl::Status WithMissingDirectory(const absl::Status& status) {
  if (absl::IsNotFound(status)) {
    return absl::NotFoundError(
        absl::StrCat(status.message(),
                     "; its directory is missing: mount here what driver and executors share"));
  }
  return status;
}

class DirectoryStore : public CheckpointStore {
 public:
  DirectoryStore(std::string directory, FileSystem* files, MissingDirectories missing)
      : directory_(std::move(directory)), files_(files), missing_(missing) {}

  absl::Status Write(const std::string& name, std::string_view contents) override {
    ASSIGN_OR_RETURN(const std::string path, PathOf(name));
    return WithWayOut(WriteOnce(path, contents));
  }

  absl::StatusOr<std::string> Read(const std::string& name) override {
    ASSIGN_OR_RETURN(const std::string path, PathOf(name));
    absl::StatusOr<std::string> contents = files_->Read(path);
    return contents.ok() ? std::move(contents) : WithWayOut(contents.status());
  }

  absl::StatusOr<std::string> ReadRange(const std::string& name, int64_t offset,
                                        int64_t length) override {
    ASSIGN_OR_RETURN(const std::string path, PathOf(name));
    absl::StatusOr<std::string> contents = files_->ReadRange(path, offset, length);
    return contents.ok() ? std::move(contents) : WithWayOut(contents.status());
  }

  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override {
    std::string path = directory_;
    if (!directory.empty()) {
      ASSIGN_OR_RETURN(path, PathOf(directory));
    }
    absl::StatusOr<std::vector<std::string>> names = files_->List(path);
    if (absl::IsNotFound(names.status())) {
      return std::vector<std::string>();
    }
    return names.ok() ? std::move(names) : WithWayOut(names.status());
  }

  absl::Status Remove(const std::string& name) override {
    ASSIGN_OR_RETURN(const std::string path, PathOf(name));
    MILLRACE_FAILPOINT("store.before_remove");
    const absl::Status removed = files_->Remove(path);
    if (absl::IsNotFound(removed)) {
      return absl::OkStatus();
    }
    MILLRACE_FAILPOINT("store.removed");
    return WithWayOut(removed);
  }

 private:
  absl::StatusOr<std::string> PathOf(const std::string& name) const {
    for (const std::string& part : std::vector<std::string>(absl::StrSplit(name, '/'))) {
      if (part.empty() || part == "." || part == "..") {
        return absl::InvalidArgumentError(
            absl::StrCat("\"", name, "\" is not the name of a file below ", directory_));
      }
    }
    return absl::StrCat(directory_, "/", name);
  }

  absl::Status WriteOnce(const std::string& path, std::string_view contents) {
    // Each writer has a temporary file of its own: a writer that is taken for dead may still be
    // writing to its file.
    const std::string temporary = absl::StrCat(path, ".", NewUuid(), ToAbsl(kTemporarySuffix));
    if (missing_ == MissingDirectories::kMake) {
      RETURN_IF_ERROR(files_->MakeDirectory(DirectoryOf(path)));
    }
    const absl::Status written = WithMissingDirectory(WriteTemporary(temporary, contents));
    absl::Status renamed = written;
    if (written.ok()) {
      MILLRACE_FAILPOINT("store.before_rename");
      renamed = files_->RenameNoReplace(temporary, path);
    }
    if (!renamed.ok()) {
      files_->Remove(temporary).IgnoreError();
      return renamed;
    }
    MILLRACE_FAILPOINT("store.renamed");
    RETURN_IF_ERROR(files_->SyncDirectory(DirectoryOf(path)));
    MILLRACE_FAILPOINT("store.directory_synced");
    return absl::OkStatus();
  }

  absl::Status WriteTemporary(const std::string& path, std::string_view contents) {
    MILLRACE_FAILPOINT("store.before_write");
    ASSIGN_OR_RETURN(const std::unique_ptr<AppendFile> file, files_->Create(path));
    RETURN_IF_ERROR(file->Append(contents));
    MILLRACE_FAILPOINT("store.written");
    RETURN_IF_ERROR(file->Sync());
    MILLRACE_FAILPOINT("store.synced");
    return file->Close();
  }

  const std::string directory_;
  FileSystem* const files_;
  const MissingDirectories missing_;
};

absl::Status BadUrl(std::string_view url, std::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("snapshots cannot be kept at \"", ToAbsl(url), "\": ", ToAbsl(why),
                   "; allowed are file:///path and a path, which the driver and all executors "
                   "must see alike"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<CheckpointStore>> CheckpointStore::Open(std::string_view url,
                                                                       FileSystem* files,
                                                                       MissingDirectories missing) {
  const absl::StatusOr<std::string> location = PathOfLocation(url);
  if (!location.ok()) {
    return BadUrl(url, ToStd(location.status().message()));
  }
  std::string_view path = *location;
  while (path.size() > 1 && path.ends_with('/')) {
    path.remove_suffix(1);
  }
  if (path.empty() || path == "/") {
    return BadUrl(url, "it names no directory");
  }
  return std::make_unique<DirectoryStore>(std::string(path), files, missing);
}

}  // namespace millrace
