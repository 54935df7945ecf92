#include "connectors/file/sink/file_sink.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/status.h"
#include "common/base/units.h"
#include "connectors/file/sink/file_sink_marker.h"
#include "connectors/file/sink/rolling_files.h"
#include "connectors/shared/flow_out.h"
#include "connectors/shared/options.h"
#include "connectors/shared/record_hash.h"

namespace millrace::file {
namespace {

constexpr char kRollSize[] = "roll_size";
constexpr char kRollInterval[] = "roll_interval";

// Lines are held in pieces of about this size, or of one Write if that is larger, so that a full
// piece is never copied when more lines come.
constexpr size_t kPieceBytes = 256 << 10;

// INTERNAL, which is an error of the disk, becomes UNAVAILABLE: the next try writes to another
// file, where the disk may not repeat it. So does a directory that is not there: its mount may be
// away. An error that a person must mend says how.
absl::Status ForPeople(const absl::Status& status) {
  if (absl::IsInternal(status)) {
    return absl::UnavailableError(status.message());
  }
  if (absl::IsNotFound(status)) {
    return absl::UnavailableError(absl::StrCat(
        status.message(), "; is the directory mounted? The job tries again until it is there"));
  }
  if (absl::IsResourceExhausted(status)) {
    return Reworded(status, absl::StrCat(status.message(),
                                         "; make room there: the job tries again until it can"));
  }
  return status;
}

// Holds rows as lines until their commit, or until they are so many that they go to the file ahead
// of it. Write may run beside Commit and Settle of earlier batches.
class FileSession : public SingleShardSession {
 public:
  FileSession(std::string directory, const SinkContext& context, int64_t max_held_bytes,
              const Format& format, std::unique_ptr<FormatEncoder> encoder, RollingFiles files)
      : directory_(std::move(directory)),
        memory_(context.memory),
        flow_out_(context, max_held_bytes),
        format_(format.name()),
        check_lines_(format.traits().line_ends == LineEnds::kAnywhere),
        encoder_(std::move(encoder)),
        files_(std::move(files)) {
    absl::MutexLock lock(&mutex_);
    Remember();
  }

  absl::Status Write(const SinkBatch& batch, const Batch& rows) override {
    ASSIGN_OR_RETURN(const EncodedRecords encoded, encoder_->Encode(rows));
    RETURN_IF_ERROR(CheckLines(rows, encoded));
    if (batch.id <= mark().batch) {
      return absl::OkStatus();
    }
    int64_t bytes = 0;
    for (const EncodedRecords::Record& record : encoded.records) {
      bytes += static_cast<int64_t>(record.value.size()) + 1;
    }
    HeldBytes memory;
    const absl::Status taken =
        memory.Add(memory_, bytes, absl::StrCat("the writer to ", directory_));
    if (taken.ok()) {
      Hold(batch, encoded, std::move(memory));
      if (!flow_out_.Wanted(held_bytes())) {
        return absl::OkStatus();
      }
    }
    const auto is_first = [&] { return IsFirst(batch.id); };
    if (!taken.ok()) {
      RETURN_IF_ERROR(flow_out_.AwaitTurn(taken, is_first));
    } else if (!is_first()) {
      return absl::OkStatus();
    }
    return WriteAhead(batch, taken.ok() ? std::string() : Lines(encoded));
  }

  std::vector<RowError> TakeRefused() override { return refused_.Take(); }

  void NoteBatch(BatchId batch, int64_t batch_time_us) override {
    absl::MutexLock lock(&mutex_);
    if (batch > mark_.batch) {
      uncommitted_[batch].time_us = batch_time_us;
    }
  }

  void Finish() override {
    absl::MutexLock lock(&mutex_);
    finish_ = true;
  }

  absl::Status Prepare(BatchId, absl::Time) override { return absl::OkStatus(); }

  absl::Status Commit(BatchId through, absl::Time) override {
    RollingFiles::Addition addition{.batch = through};
    absl::MutexLock files_lock(&files_mutex_);
    {
      absl::MutexLock lock(&mutex_);
      if (through <= mark_.batch) {
        return absl::OkStatus();
      }
      addition.close = finish_;
      // The addition only refers to the lines, which stay in place until the file has them: no
      // Write adds to a batch that is being committed.
      for (auto held = uncommitted_.begin(); held != uncommitted_.end() && held->first <= through;
           ++held) {
        if (addition.lines.empty()) {
          addition.begin_us = held->second.time_us;
        }
        addition.lines.insert(addition.lines.end(), held->second.pieces.begin(),
                              held->second.pieces.end());
        addition.end_us = held->second.time_us;
      }
    }
    if (const absl::Status status = files_.Commit(addition); !status.ok()) {
      return ForPeople(status);
    }
    absl::MutexLock lock(&mutex_);
    for (auto held = uncommitted_.begin(); held != uncommitted_.end() && held->first <= through;) {
      held_bytes_ -= held->second.memory.bytes();
      held = uncommitted_.erase(held);
    }
    Remember();
    return absl::OkStatus();
  }

  absl::Status Settle(BatchId batch, absl::Time) override {
    absl::MutexLock files_lock(&files_mutex_);
    RETURN_IF_ERROR(ForPeople(files_.Settle(batch)));
    absl::MutexLock lock(&mutex_);
    wake_at_us_ = files_.wake_at_us();
    return absl::OkStatus();
  }

  SinkMark mark() const override {
    absl::MutexLock lock(&mutex_);
    return mark_;
  }
  int64_t wake_at_us() const override {
    absl::MutexLock lock(&mutex_);
    return wake_at_us_;
  }
  bool hides_rows() const override {
    absl::MutexLock lock(&mutex_);
    return hides_rows_;
  }
  int64_t held_bytes() const override {
    absl::MutexLock lock(&mutex_);
    return held_bytes_;
  }
  int64_t held_bytes_of(BatchId batch) const override {
    absl::MutexLock lock(&mutex_);
    const auto held = uncommitted_.find(batch);
    return held == uncommitted_.end() ? 0 : held->second.memory.bytes() + held->second.left_bytes;
  }

 private:
  absl::Status CheckLines(const Batch& rows, const EncodedRecords& encoded) {
    refused_.Clear();
    const RowSet selected = rows.rows();
    for (size_t i = 0; check_lines_ && i < selected.count; ++i) {
      if (absl::Status status = CheckLine(encoded.records[i].value); !status.ok()) {
        refused_.Add(selected[i], std::move(status));
      }
    }
    return refused_.empty() ? absl::OkStatus() : refused_.errors().front().status;
  }

  // Refuses a value that would not be read back as it was written.
  absl::Status CheckLine(std::string_view value) const {
    const char* what = value.data() == nullptr                      ? "is NULL"
                       : value.find('\n') != std::string_view::npos ? "holds a line end"
                       : value.ends_with('\r')                      ? "ends with a carriage return"
                                                                    : nullptr;
    return what == nullptr ? absl::OkStatus()
                           : absl::InvalidArgumentError(absl::StrCat(
                                 "writing to ", directory_, ": a value ", what, ", which format ",
                                 format_, " cannot write to a file; use json or csv"));
  }

  struct Held {
    std::vector<std::string> pieces;
    int64_t time_us = 0;
    HeldBytes memory;
    int64_t left_bytes = 0;  // bytes of lines that are in the file already
  };

  void Hold(const SinkBatch& batch, const EncodedRecords& encoded, HeldBytes memory) {
    absl::MutexLock lock(&mutex_);
    Held& held = uncommitted_[batch.id];
    held.time_us = batch.time_us;
    held_bytes_ += memory.bytes();
    const auto bytes = static_cast<size_t>(memory.bytes());
    held.memory.Join(std::move(memory));
    if (held.pieces.empty() || held.pieces.back().size() + bytes > kPieceBytes) {
      held.pieces.emplace_back();
    }
    AppendLines(encoded, &held.pieces.back());
  }

  static void AppendLines(const EncodedRecords& encoded, std::string* lines) {
    for (const EncodedRecords::Record& record : encoded.records) {
      lines->append(record.value);
      lines->push_back('\n');
    }
  }

  static std::string Lines(const EncodedRecords& encoded) {
    std::string lines;
    AppendLines(encoded, &lines);
    return lines;
  }

  // Whether every commit that can come covers `batch`, which is being written now: no batch before
  // it has lines, or is to close an old file.
  bool IsFirst(BatchId batch) const {
    absl::MutexLock lock(&mutex_);
    return uncommitted_.empty() || uncommitted_.begin()->first >= batch;
  }

  // Moves the lines of the first batch to the file: those that are held, and `more`, for which
  // there was no memory.
  absl::Status WriteAhead(const SinkBatch& batch, const std::string& more) {
    RollingFiles::Addition addition{.batch = batch.id, .begin_us = batch.time_us};
    absl::MutexLock files_lock(&files_mutex_);
    {
      absl::MutexLock lock(&mutex_);
      Held& held = uncommitted_[batch.id];
      held.time_us = batch.time_us;
      addition.lines.assign(held.pieces.begin(), held.pieces.end());
    }
    addition.lines.push_back(more);
    if (const absl::Status status = files_.AppendAhead(addition); !status.ok()) {
      return ForPeople(status);
    }
    absl::MutexLock lock(&mutex_);
    Held& held = uncommitted_[batch.id];
    held_bytes_ -= held.memory.bytes();
    held.left_bytes += held.memory.bytes() + static_cast<int64_t>(more.size());
    held.memory = {};
    held.pieces.clear();
    return absl::OkStatus();
  }

  // Copies what other threads may ask for while files_ is in use.
  void Remember() ABSL_EXCLUSIVE_LOCKS_REQUIRED(files_mutex_, mutex_) {
    mark_ = {.written = {}, .batch = files_.marker().batch, .marker = files_.marker().ToString()};
    wake_at_us_ = files_.wake_at_us();
    hides_rows_ = !files_.marker().open.empty() || !files_.marker().closed.empty();
  }

  const std::string directory_;
  const std::shared_ptr<HeldMemory> memory_;
  const FlowOut flow_out_;
  const std::string format_;
  const bool check_lines_;  // records may hold line ends, which a file of lines cannot
  const std::unique_ptr<FormatEncoder> encoder_;
  RowErrors refused_;  // by the last Write

  // Locked by Commit and Settle, and by a Write whose lines go to the file, while they work.
  absl::Mutex files_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  RollingFiles files_ ABSL_GUARDED_BY(files_mutex_);

  mutable absl::Mutex mutex_;
  std::map<BatchId, Held> uncommitted_ ABSL_GUARDED_BY(mutex_);
  int64_t held_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool finish_ ABSL_GUARDED_BY(mutex_) = false;
  SinkMark mark_ ABSL_GUARDED_BY(mutex_);
  int64_t wake_at_us_ ABSL_GUARDED_BY(mutex_) = 0;
  bool hides_rows_ ABSL_GUARDED_BY(mutex_) = false;
};

class FileSinkConnector : public SinkConnector {
 public:
  FileSinkConnector(const ConnectorRegistry* formats, FileSystem* files)
      : formats_(formats), files_(files) {}

  absl::Status Validate(const proto::Sink& sink) const override {
    ASSIGN_OR_RETURN(const Format* format, FormatOf(sink));
    std::vector<std::string> allowed = format->Options({.sink = true, .in_files = true});
    allowed.insert(allowed.end(), {"path", kRollSize, kRollInterval, kMaxHeldOption});
    RETURN_IF_ERROR(CheckOptionNames(sink.options(), "file", allowed));
    RETURN_IF_ERROR(Directory(sink).status());
    RETURN_IF_ERROR(RollBytes(sink).status());
    RETURN_IF_ERROR(RollInterval(sink).status());
    RETURN_IF_ERROR(MaxHeldBytes(sink.options()).status());
    RETURN_IF_ERROR(CheckSinkMode(sink, "file", traits()));
    return format->ValidateSink(sink);
  }

  SinkTraits traits() const override { return {.path_option = "path", .holds_back = true}; }

  // Writes a file, which also finds what the directory's permissions do not tell: quotas, read-only
  // file systems.
  absl::Status Probe(const proto::Sink& sink, absl::Duration) const override {
    ASSIGN_OR_RETURN(const std::string path, Directory(sink));
    RETURN_IF_ERROR(formats_->access().CheckFile(path));
    RETURN_IF_ERROR(MakeDirectory(path));
    const std::string probe = path + "/.millrace-probe";
    const absl::Status created = files_->Create(probe).status();
    if (!created.ok() && !absl::IsAlreadyExists(created)) {
      return ForPeople(created);
    }
    files_->Remove(probe).IgnoreError();  // another job's probe may have been faster
    return absl::OkStatus();
  }

  std::vector<std::pair<std::string, SqlType>> MetadataColumns() const override { return {}; }

  absl::StatusOr<std::unique_ptr<SinkSession>> Open(const std::vector<SinkTable>& tables,
                                                    const SinkContext& context) const override {
    const proto::Sink& sink = *tables.front().table;
    FileSinkMarker marker;
    if (!context.marker.empty()) {
      ASSIGN_OR_RETURN(marker, FileSinkMarker::Parse(context.marker));
    }
    ASSIGN_OR_RETURN(const Format* format, FormatOf(sink));
    ASSIGN_OR_RETURN(std::unique_ptr<FormatEncoder> encoder, format->CreateEncoder(sink));
    ASSIGN_OR_RETURN(RollingFiles::Options options, FilesOf(sink, context, *format));
    RETURN_IF_ERROR(formats_->access().CheckFile(options.directory));
    if (context.marker.empty()) {
      // Later, a missing directory is one that is not mounted: what is made in its place would be
      // on another disk.
      RETURN_IF_ERROR(MakeDirectory(options.directory));
    }
    const std::string directory = options.directory;
    RollingFiles files(files_, std::move(options));
    if (const absl::Status claimed = files.Claim(marker); !claimed.ok()) {
      return ForPeople(claimed);
    }
    ASSIGN_OR_RETURN(const int64_t max_held_bytes, MaxHeldBytes(sink.options()));
    return std::make_unique<FileSession>(directory, context, max_held_bytes, *format,
                                         std::move(encoder), std::move(files));
  }

 private:
  static absl::StatusOr<std::string> Directory(const proto::Sink& sink) {
    return PathOption(sink.options(), "file", "path", "'/data/out'");
  }

  static absl::StatusOr<int64_t> RollBytes(const proto::Sink& sink) {
    absl::StatusOr<int64_t> bytes = ParseBytes(OptionOr(sink.options(), kRollSize, "128 MiB"));
    if (!bytes.ok()) {
      return Annotate(bytes.status(), "option roll_size");
    }
    return bytes;
  }

  static absl::StatusOr<absl::Duration> RollInterval(const proto::Sink& sink) {
    absl::StatusOr<absl::Duration> interval =
        ParseDuration(OptionOr(sink.options(), kRollInterval, "5 min"));
    if (!interval.ok()) {
      return Annotate(interval.status(), "option roll_interval");
    }
    return interval;
  }

  // Describes the lines: lines of another format, with other columns or under another header may
  // not share a file.
  static std::string ShapeOf(const proto::Sink& sink) {
    std::map<std::string, std::string> options(sink.options().begin(), sink.options().end());
    for (const char* name : {"path", kRollSize, kRollInterval, kMaxHeldOption}) {
      options.erase(name);
    }
    std::string shape = sink.format();
    for (const auto& [name, value] : options) {
      absl::StrAppend(&shape, "\n", name, "=", value);
    }
    RecordHash hash(0);
    for (const proto::Field& column : sink.columns()) {
      hash.Add(0, column.name(), column.type().SerializeAsString());
    }
    hash.Add(0, "", shape);
    return absl::StrCat(absl::Hex(hash.value(), absl::kZeroPad16));
  }

  static absl::StatusOr<RollingFiles::Options> FilesOf(const proto::Sink& sink,
                                                       const SinkContext& context,
                                                       const Format& format) {
    ASSIGN_OR_RETURN(std::string directory, Directory(sink));
    ASSIGN_OR_RETURN(const int64_t roll_bytes, RollBytes(sink));
    ASSIGN_OR_RETURN(const absl::Duration roll_interval, RollInterval(sink));
    ASSIGN_OR_RETURN(const bool with_header, BoolOption(sink.options(), "header", false));
    std::string header;
    if (with_header) {
      ASSIGN_OR_RETURN(header, format.FileHeader(sink));
    }
    return RollingFiles::Options{
        .directory = std::move(directory),
        .names = FileSinkNames(context.sink, context.shard, context.incarnation,
                               format.traits().file_extension),
        .epoch = context.epoch,
        .header = std::move(header),
        .shape = ShapeOf(sink),
        .roll_bytes = roll_bytes,
        .roll_us = absl::ToInt64Microseconds(roll_interval)};
  }

  absl::Status MakeDirectory(const std::string& path) const {
    const absl::Status made = files_->MakeDirectory(path);
    return absl::IsFailedPrecondition(made) ? absl::InvalidArgumentError(absl::StrCat(
                                                  "option path = '", path, "': ", made.message(),
                                                  "; a sink writes to a directory"))
                                            : ForPeople(made);
  }

  absl::StatusOr<const Format*> FormatOf(const proto::Sink& sink) const {
    if (sink.format().empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "table ", sink.table(), " needs the option format: raw (lines), json or csv"));
    }
    return formats_->FindFormat(sink.format());
  }

  const ConnectorRegistry* formats_;
  FileSystem* files_;
};

}  // namespace

std::unique_ptr<SinkConnector> NewFileSinkConnector(const ConnectorRegistry* formats,
                                                    FileSystem* files) {
  return std::make_unique<FileSinkConnector>(formats, files);
}

}  // namespace millrace::file
