#include "connectors/file/source/file_finder.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace::file {
namespace {

namespace fs = std::filesystem;

struct Candidate {
  std::string path;
  FileStat stat;
};

// Opens the file at `path` if it has the contents of the identity's file; NOT_FOUND if not.
absl::StatusOr<FoundFile> OpenIfIt(const std::string& path, const FileIdentity& identity,
                                   int64_t least_bytes) {
  FoundFile found{.path = path};
  ASSIGN_OR_RETURN(found.file, FileHandle::OpenToRead(path));
  ASSIGN_OR_RETURN(found.stat, StatFile(found.file, path));
  ASSIGN_OR_RETURN(const bool begins_like, BeginsLike(found.file, path, identity));
  if (!begins_like || found.stat.size < least_bytes) {
    return absl::NotFoundError(absl::StrCat(path, " is another file by now"));
  }
  RETURN_IF_ERROR(CheckIsText(path));
  return found;
}

void AddFilesBeside(const fs::path& path, std::vector<Candidate>* files) {
  std::error_code error;
  const fs::path parent = path.parent_path();
  for (fs::directory_iterator it(parent.empty() ? fs::path(".") : parent, error), end;
       !error && it != end; it.increment(error)) {
    const std::string name = (parent / it->path().filename()).string();
    const absl::StatusOr<FileStat> stat = StatFile(name);
    if (stat.ok() && stat->regular) {
      files->push_back({name, *stat});
    }
  }
}

// The files beside `path` and, if it is a link, beside its target: rotation renames the target, and
// not the link.
std::vector<Candidate> FilesBeside(const std::string& path) {
  std::vector<Candidate> files;
  AddFilesBeside(path, &files);
  std::error_code error;
  if (fs::is_symlink(path, error)) {
    const fs::path target = fs::weakly_canonical(path, error);
    if (!error && target.parent_path() != fs::path(path).parent_path()) {
      AddFilesBeside(target, &files);
    }
  }
  return files;
}

}  // namespace

absl::StatusOr<FoundFile> FindFile(const FileIdentity& identity, int64_t least_bytes,
                                   const std::function<bool(const FileStat&)>& is_taken) {
  const absl::StatusOr<FileStat> in_place = StatFile(identity.path);
  if (!in_place.ok() && !absl::IsNotFound(in_place.status())) {
    return in_place.status();
  }
  bool was_cut = false;  // the inode exists, but its contents are others
  if (in_place.ok() && identity.IsSameInode(*in_place)) {
    absl::StatusOr<FoundFile> found = OpenIfIt(identity.path, identity, least_bytes);
    if (!absl::IsNotFound(found.status())) {
      return found;
    }
    was_cut = true;
  }
  std::vector<Candidate> beside = FilesBeside(identity.path);
  for (const Candidate& one : beside) {
    if (!was_cut && identity.IsSameInode(one.stat)) {
      absl::StatusOr<FoundFile> found = OpenIfIt(one.path, identity, least_bytes);
      if (!absl::IsNotFound(found.status())) {
        return found;
      }
      was_cut = true;
    }
  }
  if (!was_cut || identity.length == 0) {
    return absl::NotFoundError(
        absl::StrCat("file ", identity.path, " was ", was_cut ? "cut" : "deleted"));
  }
  std::sort(beside.begin(), beside.end(), [](const Candidate& a, const Candidate& b) {
    return a.stat.changed_us > b.stat.changed_us;
  });
  for (const Candidate& one : beside) {
    if (one.stat.size < std::max(least_bytes, identity.length) ||
        one.stat.born_us < identity.born_us || is_taken(one.stat)) {
      continue;
    }
    absl::StatusOr<FoundFile> found = OpenIfIt(one.path, identity, least_bytes);
    if (found.ok()) {
      return found;
    }
  }
  return absl::NotFoundError(
      absl::StrCat("file ", identity.path, " was cut or replaced, and no copy of it is beside it"));
}

}  // namespace millrace::file
