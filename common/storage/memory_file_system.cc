#include "common/storage/memory_file_system.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/failure_kind.h"
#include "common/base/status.h"

namespace millrace {
namespace {

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

std::string NameOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

absl::Status Missing(const std::string& path) {
  return absl::NotFoundError(absl::StrCat("no such file or directory reading ", path));
}

}  // namespace

class MemoryFileSystem::OpenFile : public AppendFile {
 public:
  OpenFile(MemoryFileSystem* owner, std::string path, std::shared_ptr<File> file)
      : owner_(owner), path_(std::move(path)), file_(std::move(file)) {}

  absl::Status Append(std::string_view bytes) override {
    const absl::Status fault = owner_->Check(Operation::kAppend, path_);
    absl::MutexLock lock(&owner_->mutex_);
    if (file_->dead) {
      return absl::InternalError(absl::StrCat("crashed writing ", path_));
    }
    if (!fault.ok()) {
      file_->contents.append(bytes.substr(0, bytes.size() / 2));
      return fault;
    }
    const int64_t room = std::max<int64_t>(owner_->capacity_ - owner_->BytesUsed(), 0);
    const size_t fits = std::min<size_t>(bytes.size(), static_cast<size_t>(room));
    file_->contents.append(bytes.substr(0, fits));
    if (fits < bytes.size()) {
      return WithFailureKind(
          absl::ResourceExhaustedError(absl::StrCat("no space left on device writing ", path_)),
          FailureKind::kEnvironment);
    }
    return absl::OkStatus();
  }

  absl::Status Sync() override {
    const absl::Status fault = owner_->Check(Operation::kSync, path_);
    absl::MutexLock lock(&owner_->mutex_);
    if (file_->dead) {
      return absl::InternalError(absl::StrCat("crashed syncing ", path_));
    }
    if (!fault.ok()) {
      file_->sync_failed = true;
      return fault;
    }
    if (!file_->sync_failed) {
      file_->durable_bytes = file_->contents.size();
    }
    ++owner_->sync_count_;
    return absl::OkStatus();
  }

  absl::Status Close() override { return absl::OkStatus(); }

 private:
  MemoryFileSystem* owner_;
  std::string path_;
  std::shared_ptr<File> file_;
};

MemoryFileSystem::MemoryFileSystem() = default;
MemoryFileSystem::~MemoryFileSystem() = default;

absl::Status MemoryFileSystem::Check(Operation operation, const std::string& path) {
  Fault fault;
  {
    absl::MutexLock lock(&mutex_);
    fault = fault_;
  }
  return fault == nullptr ? absl::OkStatus() : fault(operation, path);
}

absl::StatusOr<std::shared_ptr<MemoryFileSystem::File>> MemoryFileSystem::Find(
    const std::string& path) {
  const auto found = names_.find(path);
  if (found == names_.end()) {
    return Missing(path);
  }
  return found->second;
}

int64_t MemoryFileSystem::BytesUsed() const {
  int64_t used = 0;
  for (const auto& [path, file] : names_) {
    used += static_cast<int64_t>(file->contents.size());
  }
  return used;
}

absl::StatusOr<std::unique_ptr<AppendFile>> MemoryFileSystem::Create(const std::string& path) {
  RETURN_IF_ERROR(Check(Operation::kCreate, path));
  absl::MutexLock lock(&mutex_);
  if (names_.contains(path)) {
    return absl::AlreadyExistsError(absl::StrCat("file exists creating ", path));
  }
  if (!directories_.contains(DirectoryOf(path))) {
    return absl::NotFoundError(absl::StrCat("no such file or directory creating ", path));
  }
  auto file = std::make_shared<File>();
  names_[path] = file;
  return std::make_unique<OpenFile>(this, path, std::move(file));
}

absl::StatusOr<std::string> MemoryFileSystem::Read(const std::string& path) {
  RETURN_IF_ERROR(Check(Operation::kRead, path));
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const std::shared_ptr<File> file, Find(path));
  return file->contents;
}

absl::StatusOr<std::string> MemoryFileSystem::ReadRange(const std::string& path, int64_t offset,
                                                        int64_t length) {
  RETURN_IF_ERROR(Check(Operation::kRead, path));
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const std::shared_ptr<File> file, Find(path));
  const size_t begin = std::min(static_cast<size_t>(offset), file->contents.size());
  return file->contents.substr(begin, static_cast<size_t>(length));
}

absl::StatusOr<int64_t> MemoryFileSystem::Size(const std::string& path) {
  RETURN_IF_ERROR(Check(Operation::kSize, path));
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const std::shared_ptr<File> file, Find(path));
  return static_cast<int64_t>(file->contents.size());
}

absl::Status MemoryFileSystem::Rename(const std::string& from, const std::string& to) {
  RETURN_IF_ERROR(Check(Operation::kRename, from));
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(std::shared_ptr<File> file, Find(from));
  names_.erase(from);
  names_[to] = std::move(file);
  return absl::OkStatus();
}

absl::Status MemoryFileSystem::RenameNoReplace(const std::string& from, const std::string& to) {
  RETURN_IF_ERROR(Check(Operation::kRename, from));
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(std::shared_ptr<File> file, Find(from));
  if (names_.contains(to)) {
    return absl::AlreadyExistsError(absl::StrCat("file exists renaming ", from, " to ", to));
  }
  names_.erase(from);
  names_[to] = std::move(file);
  return absl::OkStatus();
}

absl::Status MemoryFileSystem::Remove(const std::string& path) {
  RETURN_IF_ERROR(Check(Operation::kRemove, path));
  absl::MutexLock lock(&mutex_);
  return names_.erase(path) == 1 ? absl::OkStatus() : Missing(path);
}

absl::StatusOr<std::vector<std::string>> MemoryFileSystem::List(const std::string& directory) {
  RETURN_IF_ERROR(Check(Operation::kList, directory));
  absl::MutexLock lock(&mutex_);
  if (!directories_.contains(directory)) {
    return Missing(directory);
  }
  std::vector<std::string> names;
  for (const auto& [path, file] : names_) {
    if (DirectoryOf(path) == directory) {
      names.push_back(NameOf(path));
    }
  }
  return names;
}

absl::Status MemoryFileSystem::MakeDirectory(const std::string& directory) {
  RETURN_IF_ERROR(Check(Operation::kMakeDirectory, directory));
  absl::MutexLock lock(&mutex_);
  for (std::string prefix = directory; !prefix.empty(); prefix = DirectoryOf(prefix)) {
    directories_.insert(prefix);
  }
  return absl::OkStatus();
}

absl::Status MemoryFileSystem::SyncDirectory(const std::string& directory) {
  RETURN_IF_ERROR(Check(Operation::kSyncDirectory, directory));
  absl::MutexLock lock(&mutex_);
  for (auto it = durable_names_.begin(); it != durable_names_.end();) {
    it = DirectoryOf(it->first) == directory ? durable_names_.erase(it) : std::next(it);
  }
  for (const auto& [path, file] : names_) {
    if (DirectoryOf(path) == directory) {
      durable_names_[path] = file;
    }
  }
  return absl::OkStatus();
}

void MemoryFileSystem::SetFault(Fault fault) {
  absl::MutexLock lock(&mutex_);
  fault_ = std::move(fault);
}

void MemoryFileSystem::SetCapacity(int64_t bytes) {
  absl::MutexLock lock(&mutex_);
  capacity_ = bytes;
}

void MemoryFileSystem::Crash(size_t torn_bytes, bool keep_names) {
  absl::MutexLock lock(&mutex_);
  Names survivors;
  for (const auto& [path, file] : keep_names ? names_ : durable_names_) {
    auto survivor = std::make_shared<File>();
    survivor->contents = file->contents.substr(0, file->durable_bytes + torn_bytes);
    survivor->durable_bytes = survivor->contents.size();
    survivors[path] = std::move(survivor);
  }
  for (const Names* names : {&names_, &durable_names_}) {
    for (const auto& [path, file] : *names) {
      file->dead = true;
    }
  }
  names_ = survivors;
  durable_names_ = std::move(survivors);
}

void MemoryFileSystem::Overwrite(const std::string& path, std::string contents) {
  absl::MutexLock lock(&mutex_);
  auto file = std::make_shared<File>();
  file->durable_bytes = contents.size();
  file->contents = std::move(contents);
  names_[path] = file;
  durable_names_[path] = std::move(file);
}

int64_t MemoryFileSystem::sync_count() const {
  absl::MutexLock lock(&mutex_);
  return sync_count_;
}

}  // namespace millrace
