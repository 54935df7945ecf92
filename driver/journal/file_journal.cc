#include "driver/journal/file_journal.h"

#include <spdlog/spdlog.h>
#include <xxhash.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/failpoint.h"
#include "common/base/mutation.h"
#include "common/base/status.h"
#include "driver/journal/journal_frame.h"
#include "driver/journal/journal_reader.h"
#include "driver/journal/segment_files.h"

namespace millrace {
namespace {

// XXH3 of bytes that come in pieces.
class RunningHash {
 public:
  RunningHash() : state_(XXH3_createState(), &XXH3_freeState) { XXH3_64bits_reset(state_.get()); }
  void Add(std::string_view bytes) { XXH3_64bits_update(state_.get(), bytes.data(), bytes.size()); }
  uint64_t value() const { return XXH3_64bits_digest(state_.get()); }

 private:
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state_;
};

class FileJournal : public Journal {
 public:
  explicit FileJournal(FileJournalOptions options)
      : options_(std::move(options)), lease_(*options_.lease) {}

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

  absl::Status Start(const JournalEnd& end) {
    RETURN_IF_ERROR(
        BeginSegment({lease_.first_segment(), lease_.TakeFirstFile()}, end.cut, end.carried));
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
    if (absl::Status opened = GoOnInNextSegment(); !opened.ok()) {
      return absl::IsAborted(opened) ? opened
                                     : Annotate(opened, "the journal still cannot be written");
    }
    std::lock_guard<std::mutex> lock(mutex_);
    failure_ = absl::OkStatus();
    return absl::OkStatus();
  }

 private:
  absl::Status GoOnInNextSegment() {
    const JournalCut cut{segment_, durable_length_, durable_hash_.value()};
    ASSIGN_OR_RETURN(DirectoryLease::Segment next, lease_.CreateNext());
    return BeginSegment(std::move(next), cut, /*carried=*/{});
  }

  // Writes the header, which cuts what came before. If it fails, that one is still what counts, and
  // the file is left to be passed over: its number must stay taken.
  absl::Status BeginSegment(DirectoryLease::Segment segment, const JournalCut& cut,
                            const std::vector<proto::JournalRecord>& carried) {
    std::vector<proto::JournalRecord> records(1);
    proto::JournalHeader* header = records.front().mutable_header();
    header->set_format_version(kJournalFormatVersion);
    header->set_engine_version(options_.engine_version);
    header->set_driver_id(options_.driver_id);
    header->set_previous_segment(cut.segment);
    header->set_previous_length(cut.length);
    header->set_previous_checksum(cut.checksum);
    records.insert(records.end(), carried.begin(), carried.end());
    std::string frame;
    AppendFrame(records, &frame);
    RETURN_IF_ERROR(segment.file->Append(frame));
    MILLRACE_FAILPOINT("journal.header_appended");
    RETURN_IF_ERROR(segment.file->Sync());
    MILLRACE_FAILPOINT("journal.segment_headed");
    RETURN_IF_ERROR(lease_.Confirm());
    file_ = std::move(segment.file);
    segment_ = segment.number;
    durable_length_ = frame.size();
    durable_hash_ = RunningHash();
    durable_hash_.Add(frame);
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
    const absl::Status written = WriteFrame(frame);
    if (!written.ok()) {
      spdlog::error("journal: {}; {} is given up at {} bytes", ToStd(written.message()),
                    SegmentName(segment_), durable_length_);
      file_.reset();
      return written;
    }
    durable_length_ += frame.size();
    durable_hash_.Add(frame);
    if (options_.on_sync != nullptr) {
      options_.on_sync(
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
          records.size());
    }
    return absl::OkStatus();
  }

  // The order is the argument: if nobody has taken over after the sync, then whoever does later
  // reads what was synced.
  absl::Status WriteFrame(std::string_view frame) {
    MILLRACE_FAILPOINT("journal.before_append");
    RETURN_IF_ERROR(file_->Append(frame));
    MILLRACE_FAILPOINT("journal.appended");
    if (!IsMutation("fsync_order")) {
      RETURN_IF_ERROR(file_->Sync());
    }
    MILLRACE_FAILPOINT("journal.synced");
    RETURN_IF_ERROR(lease_.Confirm());
    MILLRACE_FAILPOINT("journal.confirmed");
    return absl::OkStatus();
  }

  const FileJournalOptions options_;
  DirectoryLease& lease_;

  // Of the writer thread while there is no failure, else of Reopen.
  std::unique_ptr<AppendFile> file_;
  uint64_t segment_ = 0;
  uint64_t durable_length_ = 0;
  RunningHash durable_hash_;  // of that length

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
  DirectoryLease& lease = *options.lease;
  ASSIGN_OR_RETURN(const JournalEnd end,
                   ReadJournal(lease.files(), lease.directory(), lease.first_segment(), on_record));
  auto journal = std::make_unique<FileJournal>(std::move(options));
  RETURN_IF_ERROR(journal->Start(end));
  return journal;
}

}  // namespace millrace
