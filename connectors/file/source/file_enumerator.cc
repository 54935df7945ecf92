#include "connectors/file/source/file_enumerator.h"

#include <fnmatch.h>

#include <algorithm>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace::file {
namespace {

namespace fs = std::filesystem;

// How long after its last change a renamed file counts as complete. The program that writes the log
// may write to the renamed file a little longer, until it is told to open another.
constexpr absl::Duration kRotatedIsWhole = absl::Minutes(1);
// A file that has not changed for this long is no longer opened. If it grows after all, it is found
// again.
constexpr absl::Duration kUnchangedIsWhole = absl::Hours(1);
// Rotation cuts a file as soon as its copy is made; a file that stays uncut for longer than this
// was not being copied.
constexpr absl::Duration kCopySettles = absl::Seconds(5);
constexpr absl::Duration kLongestCopy = absl::Minutes(10);

}  // namespace

PartitionName PartitionOfPath(const std::string& path) {
  return FirstLife(path) == path ? path : absl::StrCat(path, "#1");
}

std::string PathOfPartition(const PartitionName& name) { return FirstLife(name); }

void FileEnumerator::Remember(const std::vector<KnownPartition>& known) {
  for (const KnownPartition& one : known) {
    const auto found = watched_.find(one.name);
    Watched* watched = found == watched_.end() ? nullptr : found->second.get();
    if (watched == nullptr || (!one.identity.empty() && one.identity != watched->told)) {
      // An earlier version has journaled only a name: it means the file that has this name now.
      const absl::StatusOr<FileIdentity> identity =
          one.identity.empty() ? FileIdentity{.path = one.name} : FileIdentity::Parse(one.identity);
      watched = Add(one.name, identity.value_or(FileIdentity{.path = PathOfPartition(one.name)}));
      watched->told = one.identity;
    }
    watched->next = one.next.value();
    watched->retired = one.retired;
  }
}

FileEnumerator::Watched* FileEnumerator::Add(const PartitionName& name, FileIdentity identity) {
  std::unique_ptr<Watched>& place = watched_[name];
  if (place != nullptr) {
    Unindex(place.get());
  }
  place = std::make_unique<Watched>(Watched{
      .name = name, .identity = std::move(identity), .records = CompleteRecords(options_.framing)});
  Index(place.get());
  const std::string path = PathOfPartition(name);
  PartitionName& latest = latest_[path];
  if (IsLaterLife(name, latest)) {
    latest = name;
  }
  return place.get();
}

void FileEnumerator::Index(Watched* watched) {
  if (watched->identity.inode != 0) {
    by_inode_.emplace(watched->identity.inode, watched);
  }
}

void FileEnumerator::Unindex(Watched* watched) {
  const auto [begin, end] = by_inode_.equal_range(watched->identity.inode);
  const auto entry = std::find_if(begin, end, [&](const auto& e) { return e.second == watched; });
  if (entry != end) {
    by_inode_.erase(entry);
  }
}

FileEnumerator::Watched* FileEnumerator::FindByInode(const FileStat& stat) {
  const auto [begin, end] = by_inode_.equal_range(stat.inode);
  Watched* found = nullptr;
  for (auto it = begin; it != end; ++it) {
    // Of several partitions that had this inode, the last one that still exists.
    Watched* const watched = it->second;
    if (watched->identity.IsSameInode(stat) && watched->gone.empty() &&
        (found == nullptr || (found->retired && !watched->retired) ||
         (found->retired == watched->retired && IsLaterLife(watched->name, found->name)))) {
      found = watched;
    }
  }
  return found;
}

absl::Status FileEnumerator::Look(Watched* watched) {
  if (watched->retired) {
    return absl::OkStatus();
  }
  const absl::StatusOr<FileStat> stat = StatFile(watched->identity.path);
  if (stat.ok() && watched->stat.size >= 0 && watched->identity.IsSameInode(*stat) &&
      stat->size == watched->stat.size && stat->changed_us == watched->stat.changed_us) {
    return absl::OkStatus();
  }
  const absl::Status looked = LookAtChanged(watched);
  if (absl::IsNotFound(looked)) {
    watched->gone = ToStd(looked.message());
    return absl::OkStatus();
  }
  watched->gone.clear();
  return looked;
}

absl::Status FileEnumerator::LookAtChanged(Watched* watched) {
  FileIdentity& identity = watched->identity;
  FoundFile found;
  if (identity.inode == 0) {
    // Only the file's name is known.
    found.path = identity.path;
    ASSIGN_OR_RETURN(found.file, FileHandle::OpenToRead(found.path));
    ASSIGN_OR_RETURN(found.stat, StatFile(found.file, found.path));
    if (found.stat.size < watched->next) {
      return absl::NotFoundError(absl::StrCat("file ", found.path, " was cut or replaced"));
    }
  } else {
    ASSIGN_OR_RETURN(
        found, FindFile(identity, std::max(watched->next, watched->end),
                        [this](const FileStat& stat) { return FindByInode(stat) != nullptr; }));
  }
  RETURN_IF_ERROR(access_.CheckFile(found.path));
  const bool other_inode = !identity.IsSameInode(found.stat);
  const bool knows_more = identity.length < FileIdentity::kHashedBytes &&
                          std::min(found.stat.size, FileIdentity::kHashedBytes) >=
                              std::max<int64_t>(2 * identity.length, 1);
  if (other_inode || knows_more) {
    ASSIGN_OR_RETURN(FileIdentity now, IdentifyFile(found.file, found.path));
    Unindex(watched);
    identity = std::move(now);
    Index(watched);
  }
  identity.path = found.path;
  watched->moved = found.path != PathOfPartition(watched->name);
  watched->end = found.stat.size;
  if (options_.follow) {
    ASSIGN_OR_RETURN(watched->end, watched->records.End(found.file, found.path, found.stat.size));
  }
  watched->stat = found.stat;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<PartitionName>> FileEnumerator::Discover(absl::Duration) {
  RETURN_IF_ERROR(access_.CheckPath(options_.path));
  // Looks for the known files first, to find out where they are now: a file that has the name of a
  // known one now must not be taken for it.
  for (auto& [name, watched] : watched_) {
    RETURN_IF_ERROR(Look(watched.get()));
  }
  NoteBeginnings();
  ASSIGN_OR_RETURN(const std::vector<std::string> paths, ListFiles(options_.path, options_.follow));
  expects_partitions_ = options_.follow && LacksSuccessor(paths);
  std::vector<PartitionName> names;
  std::set<PartitionName> taken;
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(const std::optional<PartitionName> name, PartitionOf(path));
    if (name.has_value() && taken.insert(*name).second) {
      names.push_back(*name);
    }
  }
  return names;
}

absl::StatusOr<std::optional<PartitionName>> FileEnumerator::PartitionOf(const std::string& path) {
  RETURN_IF_ERROR(access_.CheckFile(path));  // a link may lead out of the allowed directories
  const absl::StatusOr<FileStat> stat = StatFile(path);
  if (absl::IsNotFound(stat.status())) {
    return std::nullopt;  // it is gone again
  }
  RETURN_IF_ERROR(stat.status());
  if (options_.follow && stat->size == 0) {  // it has no identity yet
    expects_partitions_ |= path == options_.path || latest_.contains(path);
    return std::nullopt;
  }
  Watched* const known = FindByInode(*stat);
  if (known != nullptr && (!known->retired || stat->size == known->next)) {
    return known->retired ? std::nullopt : std::optional<PartitionName>(known->name);
  }
  absl::StatusOr<FileHandle> file = FileHandle::OpenToRead(path);
  if (absl::IsNotFound(file.status())) {
    return std::nullopt;
  }
  RETURN_IF_ERROR(file.status());
  if (known != nullptr && stat->size > known->next) {
    ASSIGN_OR_RETURN(const bool grew, BeginsLike(*file, path, known->identity));
    if (grew) {
      known->identity.path = path;
      return known->name;
    }
  }
  ASSIGN_OR_RETURN(const bool may_be_copy, MayBeCopy(*file, path, *stat));
  if (may_be_copy) {
    expects_partitions_ = true;
    return std::nullopt;
  }
  ASSIGN_OR_RETURN(FileIdentity identity, IdentifyFile(*file, path));
  const PartitionName name = FreeName(path);
  Watched* const added = Add(name, std::move(identity));
  added->told = added->identity.ToString();
  return name;
}

bool FileEnumerator::LacksSuccessor(const std::vector<std::string>& paths) const {
  return paths.empty() ||
         std::any_of(watched_.begin(), watched_.end(), [&paths](const auto& entry) {
           const Watched& watched = *entry.second;
           return watched.moved && !watched.retired && watched.gone.empty() &&
                  !std::binary_search(paths.begin(), paths.end(), PathOfPartition(watched.name));
         });
}

void FileEnumerator::NoteBeginnings() {
  beginnings_.clear();
  for (const auto& [name, watched] : watched_) {
    const FileIdentity& identity = watched->identity;
    if (!watched->retired && watched->gone.empty() && identity.length > 0) {
      beginnings_[identity.length][identity.hash] = watched.get();
    }
  }
}

absl::StatusOr<bool> FileEnumerator::MayBeCopy(const FileHandle& file, const std::string& path,
                                               const FileStat& stat) {
  if (!options_.follow) {
    return false;
  }
  const bool settled = clock_->Now() - absl::FromUnixMicros(stat.changed_us) >= kCopySettles;
  const int64_t now_ns = clock_->MonotonicNs();
  const int64_t since_ns = maybe_copies_.try_emplace(path, now_ns).first->second;
  std::string bytes(static_cast<size_t>(std::min(stat.size, FileIdentity::kHashedBytes)), '\0');
  ASSIGN_OR_RETURN(const size_t count, ReadAt(file, path, 0, bytes.data(), bytes.size()));
  for (const auto& [length, by_hash] : beginnings_) {
    if (settled || absl::Nanoseconds(now_ns - since_ns) >= kLongestCopy ||
        length > static_cast<int64_t>(count)) {
      break;
    }
    const auto alike = by_hash.find(HashOfBytes({bytes.data(), static_cast<size_t>(length)}));
    // A copy is not longer than its original, and not older.
    if (alike != by_hash.end() && stat.size <= alike->second->stat.size &&
        stat.born_us >= alike->second->identity.born_us) {
      return true;
    }
  }
  maybe_copies_.erase(path);
  return false;
}

PartitionName FileEnumerator::FreeName(const std::string& path) const {
  const auto latest = latest_.find(path);
  PartitionName name = latest == latest_.end() ? PartitionOfPath(path) : NextLife(latest->second);
  while (watched_.contains(name)) {
    name = NextLife(name);
  }
  return name;
}

bool FileEnumerator::Selects(const KnownPartition& partition) const {
  const std::string path = PathOfPartition(partition.name);
  if (path == options_.path || fnmatch(options_.path.c_str(), path.c_str(), FNM_PATHNAME) == 0) {
    return true;
  }
  const std::string parent = fs::path(path).parent_path().string();
  std::string directory = options_.path;
  while (directory.size() > 1 && directory.back() == '/') {
    directory.pop_back();
  }
  return parent == directory;
}

absl::StatusOr<std::vector<PartitionOffset>> FileEnumerator::ResolveStart(
    const std::vector<PartitionName>& partitions, absl::Duration timeout) {
  if (!options_.latest) {
    return ResolveEarliest(partitions, timeout);
  }
  std::vector<PartitionOffset> out;
  ASSIGN_OR_RETURN(const std::vector<PartitionEnd> ends, Ends(partitions, timeout));
  for (const PartitionEnd& end : ends) {
    out.push_back({end.partition, end.stable_end});
  }
  return out;
}

absl::StatusOr<std::vector<PartitionOffset>> FileEnumerator::ResolveEarliest(
    const std::vector<PartitionName>& partitions, absl::Duration) {
  std::vector<PartitionOffset> out;
  out.reserve(partitions.size());
  for (const PartitionName& name : partitions) {
    out.push_back({name, Offset(0)});
  }
  return out;
}

absl::StatusOr<std::vector<PartitionEnd>> FileEnumerator::Ends(
    const std::vector<PartitionName>& partitions, absl::Duration) {
  std::vector<PartitionEnd> out;
  out.reserve(partitions.size());
  for (const PartitionName& name : partitions) {
    const auto found = watched_.find(name);
    Watched* const watched = found == watched_.end()
                                 ? Add(name, FileIdentity{.path = PathOfPartition(name)})
                                 : found->second.get();
    RETURN_IF_ERROR(Look(watched));
    out.push_back(EndOf(*watched));
    std::string identity = watched->identity.inode == 0 ? "" : watched->identity.ToString();
    if (identity != watched->told) {
      watched->told = identity;
      out.back().identity = std::move(identity);
    }
  }
  return out;
}

PartitionEnd FileEnumerator::EndOf(const Watched& watched) const {
  PartitionEnd end;
  end.partition = watched.name;
  end.stable_end = Offset(watched.end);
  end.end = Offset(std::max(watched.stat.size, watched.end));
  if (!watched.gone.empty()) {
    end.phase = PartitionPhase::kGone;
    end.stable_end = end.end;
    end.why = watched.gone;
    return end;
  }
  if (!options_.follow) {
    return end;
  }
  const absl::Duration age = clock_->Now() - absl::FromUnixMicros(watched.stat.changed_us);
  if (watched.moved && age >= kRotatedIsWhole) {
    end.phase = PartitionPhase::kClosed;
    end.stable_end = end.end;  // its last line no longer needs a line end
    end.why = absl::StrCat("it was rotated to ", watched.identity.path);
  } else if (!watched.moved && age >= kUnchangedIsWhole && watched.end == watched.stat.size) {
    end.phase = PartitionPhase::kClosed;
    end.why = "it has not changed for an hour";
  }
  return end;
}

absl::StatusOr<std::vector<std::string>> FileEnumerator::Identities(
    const std::vector<PartitionName>& partitions, absl::Duration) {
  std::vector<std::string> out;
  out.reserve(partitions.size());
  for (const PartitionName& name : partitions) {
    const auto found = watched_.find(name);
    out.push_back(found == watched_.end() ? "" : found->second->told);
  }
  return out;
}

}  // namespace millrace::file
