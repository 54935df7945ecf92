#include "driver/journal/file_journal.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "driver/journal/journal_frame.h"

namespace millrace {
namespace {

constexpr uint32_t kFormatVersion = 1;

std::string SegmentName(uint64_t number) { return absl::StrFormat("journal-%06d.log", number); }

// 0 = not a segment's name.
uint64_t SegmentNumber(std::string_view name) {
  uint64_t number = 0;
  if (!absl::StartsWith(ToAbsl(name), "journal-") || !absl::EndsWith(ToAbsl(name), ".log") ||
      !absl::SimpleAtoi(ToAbsl(name.substr(8, name.size() - 12)), &number)) {
    return 0;
  }
  return number;
}

// A position in the journal: everything before it is durable.
struct Position {
  uint64_t segment = 0;
  uint64_t length = 0;
};

// Reads the segments of a directory in order.
class JournalReader {
 public:
  JournalReader(const FileJournalOptions& options,
                const std::function<absl::Status(const proto::JournalRecord&)>& on_record)
      : options_(options), on_record_(on_record) {}

  // Returns where the journal ends; `last_number` becomes the highest number in use.
  absl::StatusOr<Position> Read(uint64_t* last_number) {
    ASSIGN_OR_RETURN(const std::vector<std::string> names,
                     options_.files->List(options_.directory));
    std::optional<Segment> current;
    for (const std::string& name : names) {
      const uint64_t number = SegmentNumber(name);
      if (number == 0) {
        continue;
      }
      *last_number = number;
      ASSIGN_OR_RETURN(std::optional<Segment> next, Load(number));
      if (!next.has_value()) {
        continue;  // a crash while it was created: nothing was ever in it
      }
      RETURN_IF_ERROR(ReadCut(current, *next));
      current = std::move(next);
    }
    return current.has_value() ? ReadLast(*current) : Position{};
  }

 private:
  struct Segment {
    uint64_t number;
    std::string path;
    std::string bytes;
    proto::JournalHeader header;
  };

  absl::StatusOr<std::optional<Segment>> Load(uint64_t number) {
    Segment segment{number, absl::StrCat(options_.directory, "/", SegmentName(number)), "", {}};
    ASSIGN_OR_RETURN(segment.bytes, options_.files->Read(segment.path));
    bool has_header = false;
    const auto take_header = [&](const proto::JournalRecord& record) {
      has_header = record.has_header();
      segment.header = record.header();
      return absl::CancelledError("one record is enough");
    };
    const absl::StatusOr<SegmentEnd> end = ReadFrames(segment.bytes, segment.path, take_header);
    if (end.ok() && end->whole_bytes == 0) {
      return std::optional<Segment>();
    }
    if (!end.ok() && !absl::IsCancelled(end.status())) {
      return end.status();
    }
    if (!has_header) {
      return absl::DataLossError(
          absl::StrCat(segment.path, " does not begin with a journal's header"));
    }
    if (segment.header.format_version() > kFormatVersion) {
      return absl::FailedPreconditionError(absl::StrCat(
          segment.path, " was written by Millrace ", segment.header.engine_version(),
          " in journal format ", segment.header.format_version(), "; this one reads formats up to ",
          kFormatVersion, ": start that version, or use another directory"));
    }
    return std::make_optional(std::move(segment));
  }

  // A segment with a successor counts up to where that one cut it, and must be whole up to there.
  absl::Status ReadCut(const std::optional<Segment>& segment, const Segment& next) {
    const uint64_t number = segment.has_value() ? segment->number : 0;
    const uint64_t length = segment.has_value() ? segment->bytes.size() : 0;
    if (next.header.previous_segment() != number || next.header.previous_length() > length) {
      return absl::DataLossError(
          absl::StrCat(next.path, " goes on after ", next.header.previous_length(), " bytes of ",
                       SegmentName(next.header.previous_segment()),
                       ", which are not there: restore the file from a copy, or move the directory "
                       "away and submit the jobs anew"));
    }
    if (!segment.has_value()) {
      return absl::OkStatus();
    }
    const std::string_view kept =
        std::string_view(segment->bytes).substr(0, next.header.previous_length());
    ASSIGN_OR_RETURN(const SegmentEnd end, ReadFrames(kept, segment->path, Records()));
    if (end.torn_bytes > 0) {
      return absl::DataLossError(
          absl::StrCat(segment->path, " is damaged at offset ", end.whole_bytes,
                       ": restore the file from a copy, or move the directory away and submit the "
                       "jobs anew"));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Position> ReadLast(const Segment& segment) {
    ASSIGN_OR_RETURN(const SegmentEnd end, ReadFrames(segment.bytes, segment.path, Records()));
    if (end.torn_bytes > 0) {
      spdlog::warn(
          "{}: the last {} bytes, from offset {}, were not written whole before a crash; they are "
          "cut off",
          segment.path, end.torn_bytes, end.whole_bytes);
    }
    return Position{segment.number, end.whole_bytes};
  }

  std::function<absl::Status(const proto::JournalRecord&)> Records() {
    return [this](const proto::JournalRecord& record) {
      return record.has_header() ? absl::OkStatus() : on_record_(record);
    };
  }

  const FileJournalOptions& options_;
  const std::function<absl::Status(const proto::JournalRecord&)>& on_record_;
};

class FileJournal : public Journal {
 public:
  FileJournal(FileJournalOptions options, std::unique_ptr<FileLock> lock, Position end,
              uint64_t last_number)
      : options_(std::move(options)),
        lock_(std::move(lock)),
        durable_(end),
        last_number_(last_number) {}

  ~FileJournal() override {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    if (writer_.joinable()) {
      writer_.join();
    }
  }

  absl::Status Start() {
    RETURN_IF_ERROR(OpenSegment());
    writer_ = std::thread([this] { WriteGroups(); });
    return absl::OkStatus();
  }

  void Append(proto::JournalRecord record, Done done) override {
    std::unique_lock<std::mutex> lock(mutex_);
    if (!failure_.ok()) {
      const absl::Status failure = failure_;
      lock.unlock();
      done(failure);
      return;
    }
    records_.push_back(std::move(record));
    waiting_.push_back(std::move(done));
    lock.unlock();
    wake_.notify_one();
  }

  absl::Status Reopen() override {
    // One at a time; the writer does not touch the file after a failure.
    std::lock_guard<std::mutex> reopening(reopen_mutex_);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (failure_.ok()) {
        return absl::OkStatus();
      }
    }
    if (absl::Status opened = OpenSegment(); !opened.ok()) {
      return Annotate(opened, "the journal still cannot be written");
    }
    std::lock_guard<std::mutex> lock(mutex_);
    failure_ = absl::OkStatus();
    return absl::OkStatus();
  }

 private:
  // Makes the next segment, whose header cuts the one before at what is durable of it. A number is
  // used once, even if the attempt fails: its file may be there after a crash.
  absl::Status OpenSegment() {
    const uint64_t number = ++last_number_;
    const std::string path = absl::StrCat(options_.directory, "/", SegmentName(number));
    ASSIGN_OR_RETURN(std::unique_ptr<AppendFile> file, options_.files->Create(path));
    proto::JournalRecord record;
    record.mutable_header()->set_format_version(kFormatVersion);
    record.mutable_header()->set_engine_version(options_.engine_version);
    record.mutable_header()->set_driver_id(options_.driver_id);
    record.mutable_header()->set_previous_segment(durable_.segment);
    record.mutable_header()->set_previous_length(durable_.length);
    std::string frame;
    AppendFrame({record}, &frame);
    absl::Status written = file->Append(frame);
    if (written.ok()) {
      written = file->Sync();
    }
    if (written.ok()) {
      written = options_.files->SyncDirectory(options_.directory);
    }
    if (!written.ok()) {
      // It must not be taken for the journal's end: the old one may still be what counts.
      options_.files->Remove(path).IgnoreError();
      return written;
    }
    file_ = std::move(file);
    durable_ = {number, frame.size()};
    return absl::OkStatus();
  }

  void WriteGroups() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return stopping_ || !records_.empty(); });
      if (records_.empty()) {
        return;
      }
      const std::vector<proto::JournalRecord> records = std::exchange(records_, {});
      const std::vector<Done> waiting = std::exchange(waiting_, {});
      lock.unlock();
      const absl::Status written = WriteGroup(records);
      lock.lock();
      std::vector<Done> failed_too;
      if (!written.ok()) {
        failure_ = written;
        records_.clear();
        failed_too = std::exchange(waiting_, {});
      }
      lock.unlock();
      for (const std::vector<Done>* group :
           {&waiting, static_cast<const std::vector<Done>*>(&failed_too)}) {
        for (const Done& done : *group) {
          done(written);
        }
      }
      lock.lock();
    }
  }

  absl::Status WriteGroup(const std::vector<proto::JournalRecord>& records) {
    std::string frame;
    AppendFrame(records, &frame);
    const auto start = std::chrono::steady_clock::now();
    absl::Status written = file_->Append(frame);
    if (written.ok()) {
      written = file_->Sync();
    }
    if (!written.ok()) {
      spdlog::error("journal: {}; {} is given up at {} bytes", ToStd(written.message()),
                    SegmentName(durable_.segment), durable_.length);
      file_.reset();
      return written;
    }
    durable_.length += frame.size();
    if (options_.on_sync != nullptr) {
      options_.on_sync(
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
          records.size());
    }
    return absl::OkStatus();
  }

  const FileJournalOptions options_;
  const std::unique_ptr<FileLock> lock_;

  // Of the writer thread while there is no failure, else of Reopen.
  std::unique_ptr<AppendFile> file_;
  Position durable_;
  uint64_t last_number_;

  std::mutex reopen_mutex_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<proto::JournalRecord> records_;
  std::vector<Done> waiting_;  // of records_
  absl::Status failure_;
  bool stopping_ = false;
  std::thread writer_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Journal>> OpenFileJournal(
    FileJournalOptions options,
    const std::function<absl::Status(const proto::JournalRecord&)>& on_record) {
  RETURN_IF_ERROR(options.files->MakeDirectory(options.directory));
  absl::StatusOr<std::unique_ptr<FileLock>> lock =
      options.files->Lock(absl::StrCat(options.directory, "/LOCK"));
  if (absl::IsAlreadyExists(lock.status())) {
    return absl::AlreadyExistsError(
        absl::StrCat("directory ", options.directory,
                     " is in use by another driver; stop that one or use another directory"));
  }
  RETURN_IF_ERROR(lock.status());
  uint64_t last_number = 0;
  ASSIGN_OR_RETURN(const Position end, JournalReader(options, on_record).Read(&last_number));
  auto journal =
      std::make_unique<FileJournal>(std::move(options), *std::move(lock), end, last_number);
  RETURN_IF_ERROR(journal->Start());
  return journal;
}

}  // namespace millrace
