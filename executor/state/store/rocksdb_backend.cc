#include "executor/state/store/rocksdb_backend.h"

#include <fcntl.h>
#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/merge_operator.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <rocksdb/write_buffer_manager.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/failure_kind.h"
#include "common/base/status.h"

namespace millrace::executor {
namespace {

constexpr char kDirectoryPrefix[] = "millrace-state-";
constexpr size_t kWriteBufferBytes = 16 << 20;
constexpr size_t kCommitBytes = 4 << 20;  // pending writes beyond this are applied at once

// The first byte of a note: whether the cut before had the key.
constexpr char kNotShown = 0;
constexpr char kShown = 1;

rocksdb::Slice ToSlice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
std::string_view ToView(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

template <typename T>
void AppendBigEndian(T value, std::string* out) {
  for (int shift = static_cast<int>(sizeof(T)) * 8 - 8; shift >= 0; shift -= 8) {
    out->push_back(static_cast<char>(value >> shift));
  }
}

absl::Status ToStatus(const rocksdb::Status& status, const std::string& directory) {
  if (status.ok()) {
    return absl::OkStatus();
  }
  const std::string message = absl::StrCat("state in ", directory, ": ", status.ToString());
  if (status.IsNoSpace()) {
    return WithFailureKind(absl::ResourceExhaustedError(absl::StrCat(
                               message, "; free some space or choose another --state-directory")),
                           FailureKind::kEnvironment);
  }
  return absl::UnavailableError(message);
}

class FirstNote : public rocksdb::AssociativeMergeOperator {
 public:
  bool Merge(const rocksdb::Slice&, const rocksdb::Slice* first, const rocksdb::Slice& later,
             std::string* note, rocksdb::Logger*) const override {
    const rocksdb::Slice& kept = first == nullptr ? later : *first;
    note->assign(kept.data(), kept.size());
    return true;
  }
  const char* Name() const override { return "millrace.FirstNote"; }
};

// Discards RocksDB's log: errors come as statuses.
class Silent : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

// ---- directories ----

// Removes the database, unless some process has it open.
void RemoveDatabase(const std::string& directory) {
  rocksdb::Options options;
  options.info_log = std::make_shared<Silent>();
  rocksdb::DestroyDB(directory, options).PermitUncheckedError();
  rmdir(directory.c_str());  // if nothing was in it yet
}

// A lock between processes for one directory: no back end is opened below it while another one
// removes what killed processes left there.
class DirectoryLock {
 public:
  explicit DirectoryLock(const std::string& directory)
      : fd_(open((directory + "/" + kDirectoryPrefix + "lock").c_str(),
                 O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
    while (fd_ >= 0 && flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
    }
  }
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;
  ~DirectoryLock() {
    if (fd_ >= 0) {
      close(fd_);
    }
  }
  bool ok() const { return fd_ >= 0; }

 private:
  const int fd_;
};

void RemoveAbandoned(const std::filesystem::path& directory) {
  std::error_code ignored;
  std::vector<std::string> found;
  for (const auto& child : std::filesystem::directory_iterator(directory, ignored)) {
    if (child.path().filename().string().starts_with(kDirectoryPrefix) &&
        child.is_directory(ignored)) {
      found.push_back(child.path().string());
    }
  }
  for (const std::string& path : found) {
    RemoveDatabase(path);
  }
}

absl::StatusOr<std::string> MakeDirectory(const std::filesystem::path& below) {
  std::string path = (below / (std::string(kDirectoryPrefix) + "XXXXXX")).string();
  if (mkdtemp(path.data()) == nullptr) {
    return absl::UnavailableError(absl::StrCat("cannot create a directory for state below ",
                                               below.string(), ": ", std::strerror(errno)));
  }
  return path;
}

rocksdb::ColumnFamilyOptions FamilyOptions(const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.cache_index_and_filter_blocks = true;  // so that the limit includes them
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  rocksdb::ColumnFamilyOptions options;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.write_buffer_size = kWriteBufferBytes;
  options.level_compaction_dynamic_level_bytes = true;
  const std::vector<rocksdb::CompressionType> supported = rocksdb::GetSupportedCompressions();
  const bool lz4 =
      std::find(supported.begin(), supported.end(), rocksdb::kLZ4Compression) != supported.end();
  options.compression = lz4 ? rocksdb::kLZ4Compression : rocksdb::kNoCompression;
  return options;
}

// ---- the database ----

class Database : public StateBackend {
 public:
  static absl::StatusOr<std::unique_ptr<StateBackend>> Open(const RocksdbOptions& options);
  ~Database() override;

  std::unique_ptr<StateStore> OpenStore() override;

  const std::string& directory() const { return directory_; }
  rocksdb::DB* db() const { return db_; }
  rocksdb::ColumnFamilyHandle* entries() const { return families_[1]; }
  rocksdb::ColumnFamilyHandle* changes() const { return families_[2]; }
  size_t cache_bytes_of_a_store() const { return cache_bytes_ / std::max(1U, open_stores_.load()); }
  void StoreClosed() { open_stores_.fetch_sub(1); }

 private:
  Database(std::string directory, size_t cache_bytes)
      : directory_(std::move(directory)), cache_bytes_(cache_bytes) {}

  const std::string directory_;
  const size_t cache_bytes_;
  rocksdb::DB* db_ = nullptr;  // owned
  std::vector<rocksdb::ColumnFamilyHandle*> families_;
  std::atomic<uint32_t> next_store_ = 0;
  std::atomic<uint32_t> open_stores_ = 0;
};

absl::StatusOr<std::unique_ptr<StateBackend>> Database::Open(const RocksdbOptions& options) {
  std::error_code error;
  const std::filesystem::path below = options.directory.empty()
                                          ? std::filesystem::temp_directory_path(error)
                                          : std::filesystem::path(options.directory);
  std::filesystem::create_directories(below, error);
  const DirectoryLock lock(below.string());
  if (!lock.ok()) {
    return absl::UnavailableError(absl::StrCat("cannot keep state below ", below.string(),
                                               ": its directory cannot be written to"));
  }
  RemoveAbandoned(below);
  ASSIGN_OR_RETURN(std::string path, MakeDirectory(below));
  std::unique_ptr<Database> out(new Database(std::move(path), options.cache_bytes));

  const std::shared_ptr<rocksdb::Cache> cache = rocksdb::NewLRUCache(options.block_cache_bytes);
  rocksdb::DBOptions db_options;
  db_options.create_if_missing = true;
  db_options.create_missing_column_families = true;
  db_options.avoid_flush_during_shutdown = true;
  db_options.max_background_jobs = 2;
  db_options.max_open_files = 1000;
  db_options.info_log = std::make_shared<Silent>();
  db_options.write_buffer_manager =
      std::make_shared<rocksdb::WriteBufferManager>(options.block_cache_bytes / 2, cache);
  const rocksdb::ColumnFamilyOptions entries = FamilyOptions(cache);
  rocksdb::ColumnFamilyOptions changes = entries;
  changes.merge_operator = std::make_shared<FirstNote>();
  const rocksdb::Status status = rocksdb::DB::Open(
      db_options, out->directory_,
      {{rocksdb::kDefaultColumnFamilyName, entries}, {"entries", entries}, {"changes", changes}},
      &out->families_, &out->db_);
  RETURN_IF_ERROR(ToStatus(status, out->directory_));
  return out;
}

Database::~Database() {
  if (db_ != nullptr) {
    for (rocksdb::ColumnFamilyHandle* family : families_) {
      db_->DestroyColumnFamilyHandle(family).PermitUncheckedError();
    }
    db_->Close().PermitUncheckedError();
    delete db_;
  }
  // If the removal fails, the next back end that is opened tries again.
  RemoveDatabase(directory_);
}

// ---- a store ----

class RocksdbStore : public StateStore {
 public:
  RocksdbStore(Database* database, uint32_t number) : database_(*database), number_(number) {}
  ~RocksdbStore() override {
    ReleaseCut();
    database_.StoreClosed();
  }

  absl::StatusOr<std::vector<std::optional<std::string>>> Get(
      const std::vector<std::string>& keys) override {
    return GetAt(rocksdb::ReadOptions(), keys);
  }
  absl::Status Scan(std::string_view from, size_t max, std::vector<Entry>* entries) override;
  void Put(std::string_view key, std::string_view value) override {
    Check(pending_.Put(database_.entries(), EntryKey(key), ToSlice(value)));
    CommitLarge();
  }
  void Erase(std::string_view key) override {
    Check(pending_.Delete(database_.entries(), EntryKey(key)));
    CommitLarge();
  }
  void NoteChange(std::string_view key, std::optional<std::string_view> shown) override;
  absl::Status Commit() override;

  void BeginCut(bool full) override;
  absl::StatusOr<bool> ReadCut(size_t max, std::vector<CutEntry>* entries) override;
  void EndCut() override;

  size_t cache_bytes() const override { return database_.cache_bytes_of_a_store(); }

 private:
  std::string EntryPrefix(uint32_t number) const {
    std::string prefix;
    AppendBigEndian(number, &prefix);
    return prefix;
  }
  std::string ChangePrefix(uint64_t interval) const {
    std::string prefix = EntryPrefix(number_);
    AppendBigEndian(interval, &prefix);
    return prefix;
  }
  // Valid until the next call.
  const std::string& EntryKey(std::string_view key) {
    key_ = EntryPrefix(number_);
    key_ += key;
    return key_;
  }
  static void Check(const rocksdb::Status& status) {  // memory only
    MILLRACE_CHECK(status.ok()) << status.ToString();
  }
  void CommitLarge() {
    if (pending_.GetDataSize() > kCommitBytes && error_.ok()) {
      error_ = Commit();
    }
  }
  absl::StatusOr<std::vector<std::optional<std::string>>> GetAt(
      const rocksdb::ReadOptions& options, const std::vector<std::string>& keys);
  absl::Status ReadChanges(size_t max, std::vector<CutEntry>* entries);
  void ReleaseCut();

  Database& database_;
  const uint32_t number_;
  std::string key_;
  rocksdb::WriteBatch pending_;
  absl::Status error_;
  uint64_t interval_ = 1;  // since the last cut

  // The cut under way.
  bool full_ = false;
  const rocksdb::Snapshot* snapshot_ = nullptr;
  std::string cut_begin_;
  std::string cut_end_;
  rocksdb::Slice cut_bound_;  // views cut_end_
  std::unique_ptr<rocksdb::Iterator> cut_;
};

std::unique_ptr<StateStore> Database::OpenStore() {
  open_stores_.fetch_add(1);
  return std::make_unique<RocksdbStore>(this, next_store_.fetch_add(1));
}

absl::StatusOr<std::vector<std::optional<std::string>>> RocksdbStore::GetAt(
    const rocksdb::ReadOptions& options, const std::vector<std::string>& keys) {
  std::vector<std::string> full_keys;
  full_keys.reserve(keys.size());
  std::vector<rocksdb::Slice> slices;
  slices.reserve(keys.size());
  for (const std::string& key : keys) {
    full_keys.push_back(EntryKey(key));
    slices.emplace_back(full_keys.back());
  }
  std::vector<rocksdb::PinnableSlice> values(keys.size());
  std::vector<rocksdb::Status> statuses(keys.size());
  database_.db()->MultiGet(options, database_.entries(), keys.size(), slices.data(), values.data(),
                           statuses.data());
  std::vector<std::optional<std::string>> out(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    if (statuses[i].ok()) {
      out[i].emplace(values[i].data(), values[i].size());
    } else if (!statuses[i].IsNotFound()) {
      return ToStatus(statuses[i], database_.directory());
    }
  }
  return out;
}

absl::Status RocksdbStore::Scan(std::string_view from, size_t max, std::vector<Entry>* entries) {
  const std::string end = EntryPrefix(number_ + 1);
  const rocksdb::Slice bound(end);
  rocksdb::ReadOptions options;
  options.iterate_upper_bound = &bound;
  options.fill_cache = false;
  const std::unique_ptr<rocksdb::Iterator> scan(
      database_.db()->NewIterator(options, database_.entries()));
  size_t found = 0;
  for (scan->Seek(EntryKey(from)); scan->Valid() && found < max; scan->Next(), ++found) {
    entries->push_back({std::string(ToView(scan->key()).substr(sizeof(number_))),
                        std::string(ToView(scan->value()))});
  }
  return ToStatus(scan->status(), database_.directory());
}

void RocksdbStore::NoteChange(std::string_view key, std::optional<std::string_view> shown) {
  std::string note(1, shown.has_value() ? kShown : kNotShown);
  if (shown.has_value()) {
    note += *shown;
  }
  std::string change = ChangePrefix(interval_);
  change += key;
  Check(pending_.Merge(database_.changes(), change, note));
}

absl::Status RocksdbStore::Commit() {
  RETURN_IF_ERROR(error_);
  if (pending_.Count() == 0) {
    return absl::OkStatus();
  }
  rocksdb::WriteOptions options;
  options.disableWAL = true;
  const rocksdb::Status status = database_.db()->Write(options, &pending_);
  pending_.Clear();
  return ToStatus(status, database_.directory());
}

void RocksdbStore::BeginCut(bool full) {
  MILLRACE_CHECK(pending_.Count() == 0) << "a cut within uncommitted writes";
  MILLRACE_CHECK(full || snapshot_ == nullptr) << "the changes of a dropped cut would be lost";
  ReleaseCut();
  full_ = full;
  snapshot_ = database_.db()->GetSnapshot();
  cut_begin_ = full ? EntryPrefix(number_) : ChangePrefix(interval_);
  cut_end_ = full ? EntryPrefix(number_ + 1) : ChangePrefix(interval_ + 1);
  ++interval_;
}

absl::StatusOr<bool> RocksdbStore::ReadCut(size_t max, std::vector<CutEntry>* entries) {
  MILLRACE_CHECK(snapshot_ != nullptr) << "no cut is under way";
  if (cut_ == nullptr) {
    cut_bound_ = cut_end_;
    rocksdb::ReadOptions options;
    options.snapshot = snapshot_;
    options.iterate_upper_bound = &cut_bound_;
    options.fill_cache = false;
    cut_.reset(
        database_.db()->NewIterator(options, full_ ? database_.entries() : database_.changes()));
    cut_->Seek(cut_begin_);
  }
  if (full_) {
    for (; cut_->Valid() && max > 0; cut_->Next(), --max) {
      entries->push_back({std::string(ToView(cut_->key()).substr(cut_begin_.size())),
                          std::string(ToView(cut_->value())), ""});
    }
  } else {
    RETURN_IF_ERROR(ReadChanges(max, entries));
  }
  RETURN_IF_ERROR(ToStatus(cut_->status(), database_.directory()));
  return !cut_->Valid();
}

absl::Status RocksdbStore::ReadChanges(size_t max, std::vector<CutEntry>* entries) {
  std::vector<std::string> keys;
  std::vector<std::string> notes;
  for (; cut_->Valid() && keys.size() < max; cut_->Next()) {
    keys.emplace_back(ToView(cut_->key()).substr(cut_begin_.size()));
    notes.emplace_back(ToView(cut_->value()));
  }
  rocksdb::ReadOptions options;
  options.snapshot = snapshot_;
  ASSIGN_OR_RETURN(std::vector<std::optional<std::string>> values, GetAt(options, keys));
  for (size_t i = 0; i < keys.size(); ++i) {
    if (values[i].has_value() || notes[i][0] == kShown) {
      entries->push_back({std::move(keys[i]), std::move(values[i]), notes[i].substr(1)});
    }
  }
  return absl::OkStatus();
}

void RocksdbStore::EndCut() {
  ReleaseCut();
  // Notes from before the cut are no longer needed. If the deletion fails, they only take space.
  const std::string begin = ChangePrefix(0);
  const std::string end = ChangePrefix(interval_);
  rocksdb::WriteOptions options;
  options.disableWAL = true;
  database_.db()->DeleteRange(options, database_.changes(), begin, end).PermitUncheckedError();
}

void RocksdbStore::ReleaseCut() {
  cut_.reset();
  if (snapshot_ != nullptr) {
    database_.db()->ReleaseSnapshot(std::exchange(snapshot_, nullptr));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<StateBackend>> OpenRocksdbBackend(const RocksdbOptions& options) {
  return Database::Open(options);
}

}  // namespace millrace::executor
