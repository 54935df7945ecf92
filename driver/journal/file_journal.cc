#include "driver/journal/file_journal.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <iterator>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/failpoint.h"
#include "common/base/monotonic_cond_var.h"
#include "common/base/mutation.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "driver/journal/journal_frame.h"
#include "driver/journal/journal_reader.h"
#include "driver/journal/running_hash.h"
#include "driver/journal/segment_files.h"

namespace millrace::driver {
namespace {

// Of the file by which a full disk is told from one that has room again.
constexpr char kProbeName[] = "PROBE";
constexpr uint64_t kProbeBytes = 64 << 10;

constexpr uint64_t kMaxAppendBytes = 64 << 20;

uint64_t BytesOf(const std::vector<proto::JournalRecord>& records) {
  uint64_t bytes = 0;
  for (const proto::JournalRecord& record : records) {
    bytes += record.ByteSizeLong() + sizeof(uint32_t);
  }
  return bytes;
}

class FileJournal : public Journal {
 public:
  explicit FileJournal(FileJournalOptions options)
      : options_(std::move(options)), lease_(*options_.lease) {}

  ~FileJournal() override {
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = true;
    }
    wake_.SignalAll();
    if (writer_.joinable()) {
      writer_.join();
    }
  }

  absl::Status Start(const JournalEnd& end) {
    RETURN_IF_ERROR(BeginSegment({lease_.first_segment(), lease_.TakeFirstFile()}, end));
    writer_ = std::thread([this] { WriteGroups(); });
    return absl::OkStatus();
  }

  void Append(std::vector<proto::JournalRecord> records, Done done) override {
    absl::Status failure;
    {
      absl::MutexLock lock(&mutex_);
      if (failure_.ok()) {
        appended_.push_back({std::move(records), std::move(done)});
        wake_.Signal();
        return;
      }
      failure = failure_;
    }
    done(failure);
  }

  absl::Status Reopen() override {
    // One Reopen at a time; the writer thread does not touch the file after a failure.
    absl::MutexLock reopening(&reopen_mutex_);
    {
      absl::MutexLock lock(&mutex_);
      AwaitTry();
      if (!trouble_.ok()) {
        return Annotate(trouble_, "the journal cannot be written now");
      }
      if (failure_.ok()) {
        return absl::OkStatus();
      }
    }
    if (absl::Status opened = GoOnAfterFailure(); !opened.ok()) {
      return absl::IsAborted(opened) ? opened
                                     : Annotate(opened, "the journal still cannot be written");
    }
    absl::MutexLock lock(&mutex_);
    failure_ = absl::OkStatus();
    return absl::OkStatus();
  }

 private:
  // One call of Append.
  struct Appended {
    std::vector<proto::JournalRecord> records;
    Done done;
  };

  // An append whose records the state has taken, or why it has not.
  struct Taken {
    Appended append;  // its records are in the frame that is being written
    absl::Status status;
    size_t count = 0;
  };

  // Whether the failure may pass by itself. A driver that was replaced stays replaced, and a
  // journal that cannot be read back is not mended by waiting.
  bool MayPass(const absl::Status& failure) const {
    return options_.first_retry_pause > absl::ZeroDuration() && !failure.ok() &&
           !absl::IsAborted(failure) && !absl::IsDataLoss(failure);
  }

  // Has the writer thread try again, if it waits for the environment, and waits for the result.
  void AwaitTry() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const int64_t tries = tries_;
    retry_now_ = !trouble_.ok();
    wake_.SignalAll();
    while (!trouble_.ok() && tries_ == tries) {
      tried_.Wait(&mutex_);
    }
  }

  // Begins another segment after a failure. The state may have taken records that then failed to be
  // written; it is brought back by reading the journal again.
  absl::Status GoOnAfterFailure() {
    RETURN_IF_ERROR(lease_.Confirm());
    if (state_ahead_) {
      RETURN_IF_ERROR(ReadJournalUpTo(lease_.files(), lease_.directory(), end_, options_.state));
      state_ahead_ = false;
    }
    return GoOnInNextSegment();
  }

  absl::Status GoOnInNextSegment() {
    ASSIGN_OR_RETURN(DirectoryLease::Segment next, lease_.CreateNext());
    return BeginSegment(std::move(next), end_);
  }

  // Writes header and checkpoint. Once the checkpoint is whole, earlier segments no longer count.
  // If writing fails, the earlier segments still count, and the file stays: its number must remain
  // taken, and readers pass it over.
  absl::Status BeginSegment(DirectoryLease::Segment segment, JournalEnd before) {
    file_ = std::move(segment.file);
    end_ = {segment.number, 0, 0};
    hash_ = RunningHash();
    const absl::Status begun = WriteBeginning(before);
    if (!begun.ok()) {
      file_.reset();
      end_ = before;
      return begun;
    }
    MILLRACE_FAILPOINT("journal.segment_headed");
    RETURN_IF_ERROR(lease_.Confirm());
    lease_.NoteCounted(end_.segment);
    checkpoint_bytes_ = end_.length;
    // Old segments go only now: up to here, a driver that takes over may need them.
    const absl::Status removed =
        RemoveOldSegments(lease_.files(), lease_.directory(), end_.segment, options_.kept_bytes);
    if (!removed.ok()) {
      spdlog::warn("journal: old segments stay: {}", ToStd(removed.message()));
    }
    return absl::OkStatus();
  }

  bool HasGrown() const {
    return end_.length - checkpoint_bytes_ >
           std::max(options_.segment_bytes, 2 * checkpoint_bytes_);
  }

  absl::Status WriteBeginning(const JournalEnd& before) {
    std::vector<proto::JournalRecord> records(1);
    proto::JournalHeader* header = records.front().mutable_header();
    header->set_format_version(kJournalFormatVersion);
    header->set_engine_version(options_.engine_version);
    header->set_driver_id(options_.driver_id);
    header->set_previous_segment(before.segment);
    header->set_previous_length(before.length);
    header->set_previous_checksum(before.checksum);
    header->set_checkpoint(true);
    uint64_t bytes = 0;
    RETURN_IF_ERROR(
        options_.state->WriteCheckpoint([&](proto::JournalRecord record) -> absl::Status {
          bytes += record.ByteSizeLong();
          records.push_back(std::move(record));
          if (bytes < options_.frame_bytes) {
            return absl::OkStatus();
          }
          bytes = 0;
          return WriteBeginningFrame(std::exchange(records, {}));
        }));
    records.emplace_back().mutable_checkpoint_end();
    return WriteBeginningFrame(records);
  }

  absl::Status WriteBeginningFrame(const std::vector<proto::JournalRecord>& records) {
    std::string frame;
    AppendFrame(records, &frame);
    RETURN_IF_ERROR(file_->Append(frame));
    MILLRACE_FAILPOINT("journal.header_appended");
    RETURN_IF_ERROR(file_->Sync());
    NoteDurable(frame);
    return absl::OkStatus();
  }

  void NoteDurable(std::string_view frame) {
    hash_.Add(frame);
    end_.length += frame.size();
    end_.checksum = hash_.value();
  }

  void WriteGroups() {
    absl::MutexLock lock(&mutex_);
    while (true) {
      while (!stopping_ && appended_.empty()) {
        wake_.Wait(&mutex_);
      }
      if (appended_.empty()) {
        return;
      }
      group_ = std::exchange(appended_, {});
      mutex_.Unlock();
      absl::Status written = WriteGroup();
      while (MayPass(written) && (written = AwaitEnvironment(written)).ok()) {
        written = WriteGroup();
      }
      for (const Appended& failed : std::exchange(group_, {})) {
        failed.done(written);
      }
      mutex_.Lock();
    }
  }

  absl::Status WriteGroup() {
    while (!group_.empty()) {
      RETURN_IF_ERROR(WriteFirst());
    }
    if (!HasGrown()) {
      return absl::OkStatus();
    }
    // After an error, writing must not go on in the old segment: the new one may count already.
    absl::Status next = GoOnInNextSegment();
    if (!next.ok()) {
      Fail(next);
    }
    return next;
  }

  // Tries to begin another segment until it can, and says so to those who wait. An error: writing
  // cannot go on, and everything fails with it: another failure than of the environment has come,
  // or the journal is being destroyed. The appends of the group stay unanswered.
  absl::Status AwaitEnvironment(absl::Status trouble) {
    absl::Duration pause = options_.first_retry_pause;
    std::string told;
    while (MayPass(trouble)) {
      if (std::exchange(told, std::string(trouble.message())) != trouble.message()) {
        TellTrouble(trouble);
      }
      if (!PauseBeforeRetry(pause)) {
        break;
      }
      pause = std::min(2 * pause, options_.longest_retry_pause);
      trouble = lease_.Confirm();  // a driver that was replaced has nothing to wait for
      if (trouble.ok()) {
        trouble = ProbeRoom();
      }
      if (trouble.ok()) {
        trouble = GoOnAfterFailure();
      }
      NoteTry(trouble);
    }
    if (!trouble.ok()) {
      Fail(trouble, /*for_good=*/true);
    }
    TellTrouble(absl::OkStatus());
    return trouble;
  }

  // False: the journal is being destroyed.
  bool PauseBeforeRetry(absl::Duration pause) {
    absl::MutexLock lock(&mutex_);
    const absl::Time until = SteadyNow() + pause;
    while (!stopping_ && !retry_now_ && SteadyNow() < until) {
      wake_.WaitUntil(&mutex_, until);
    }
    retry_now_ = false;
    return !stopping_;
  }

  void NoteTry(const absl::Status& result) {
    absl::MutexLock lock(&mutex_);
    trouble_ = MayPass(result) ? result : absl::OkStatus();
    ++tries_;
    tried_.SignalAll();
  }

  void TellTrouble(const absl::Status& trouble) {
    if (options_.on_trouble != nullptr) {
      options_.on_trouble(trouble);
    }
  }

  // Whether the disk takes as much as a segment begins with. Each segment that is created and
  // cannot be begun keeps its number, so on a full disk there would soon be thousands of them.
  absl::Status ProbeRoom() {
    const std::string path = absl::StrCat(lease_.directory(), "/", kProbeName);
    FileSystem& files = *lease_.files();
    files.Remove(path).IgnoreError();  // of a driver that died during its probe
    absl::Status probed;
    {
      ASSIGN_OR_RETURN(const std::unique_ptr<AppendFile> file, files.Create(path));
      probed = file->Append(std::string(checkpoint_bytes_ + kProbeBytes, '\0'));
      if (probed.ok()) {
        probed = file->Sync();
      }
    }
    files.Remove(path).IgnoreError();
    return probed;
  }

  // Writes as many appends from the front of the group as fit into a frame, and answers them in
  // order. An append that the state refuses is answered in its place among them. If the frame
  // cannot be written because of the environment, nobody is answered, and the appends are in the
  // group as before.
  absl::Status WriteFirst() {
    std::vector<proto::JournalRecord> records;
    std::deque<Taken> taken;
    uint64_t bytes = 0;
    while (!group_.empty() && bytes < options_.frame_bytes) {
      Appended& next = group_.front();
      const uint64_t more = BytesOf(next.records);
      if (!records.empty() && bytes + more > options_.frame_bytes) {
        break;
      }
      absl::Status status = Take(next.records, more);
      const size_t count = status.ok() ? next.records.size() : 0;
      if (status.ok()) {
        bytes += more;
        std::move(next.records.begin(), next.records.end(), std::back_inserter(records));
      }
      taken.push_back({std::move(next), std::move(status), count});
      group_.pop_front();
    }
    const absl::Status written = records.empty() ? absl::OkStatus() : WriteFrame(records);
    if (MayPass(written)) {
      PutBack(std::move(taken), std::move(records));
      return written;
    }
    for (Taken& one : taken) {
      one.status.Update(written);
      one.append.done(one.status);
    }
    return written;
  }

  // The state is read anew before they are taken again, and decides about them once more.
  void PutBack(std::deque<Taken> taken, std::vector<proto::JournalRecord> records) {
    auto record = records.begin();
    for (Taken& one : taken) {
      if (one.status.ok()) {
        const auto end = record + static_cast<std::ptrdiff_t>(one.count);
        one.append.records.assign(std::make_move_iterator(record), std::make_move_iterator(end));
        record = end;
      }
    }
    for (auto one = taken.rbegin(); one != taken.rend(); ++one) {
      group_.push_front(std::move(one->append));
    }
  }

  absl::Status Take(const std::vector<proto::JournalRecord>& records, uint64_t bytes) {
    if (bytes > kMaxAppendBytes) {
      return absl::FailedPreconditionError(absl::StrCat("it would be an entry of ", bytes,
                                                        " bytes in the journal, which takes ",
                                                        kMaxAppendBytes, " at most"));
    }
    return options_.state->Apply(records);
  }

  absl::Status WriteFrame(const std::vector<proto::JournalRecord>& records) {
    std::string frame;
    AppendFrame(records, &frame);
    const auto start = std::chrono::steady_clock::now();
    const absl::Status written = MakeDurable(frame);
    if (!written.ok()) {
      state_ahead_ = true;
      Fail(written);
      return written;
    }
    NoteDurable(frame);
    if (options_.on_sync != nullptr) {
      options_.on_sync(
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
          records.size());
    }
    return absl::OkStatus();
  }

  // Called before any caller is told, so that a Reopen by such a caller finds the failure. All that
  // has been appended so far fails with it, unless it may pass and is not said to be for good: then
  // appends wait.
  void Fail(const absl::Status& failure, bool for_good = false) {
    spdlog::error("journal: {}; {} is given up at {} bytes", ToStd(failure.message()),
                  SegmentName(end_.segment), end_.length);
    file_.reset();
    absl::MutexLock lock(&mutex_);
    if (MayPass(failure) && !for_good) {
      trouble_ = failure;
      return;
    }
    trouble_ = absl::OkStatus();
    tried_.SignalAll();
    failure_ = failure;
    std::move(appended_.begin(), appended_.end(), std::back_inserter(group_));
    appended_.clear();
  }

  // Append, sync, confirm: the order matters. If no driver has taken over after the sync, then
  // every later one reads what was synced.
  absl::Status MakeDurable(std::string_view frame) {
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

  std::deque<Appended> group_;  // the appends that are being written; for the writer thread only

  // The members below belong to the writer thread while there is no failure, and to Reopen after
  // one; so does the state.
  std::unique_ptr<AppendFile> file_;
  JournalEnd end_;                 // the end of the durable frames
  uint64_t checkpoint_bytes_ = 0;  // size of the checkpoint that the segment begins with
  RunningHash hash_;
  bool state_ahead_ = false;  // the state has records that are not durable

  absl::Mutex reopen_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  absl::Mutex mutex_;
  MonotonicCondVar wake_;
  absl::CondVar tried_;
  std::deque<Appended> appended_ ABSL_GUARDED_BY(mutex_);
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  // Why appends wait; OK while they do not.
  absl::Status trouble_ ABSL_GUARDED_BY(mutex_);
  bool retry_now_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t tries_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread writer_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Journal>> OpenFileJournal(FileJournalOptions options,
                                                         JournalFollower* follower) {
  DirectoryLease& lease = *options.lease;
  JournalFollower own(lease.files(), lease.directory(), options.state);
  const absl::StatusOr<JournalEnd> end =
      (follower == nullptr ? own : *follower).Finish(lease.first_segment());
  if (!end.ok()) {
    RETURN_IF_ERROR(
        lease.Confirm());  // a successor may have removed segments that its checkpoint replaces
    return end.status();
  }
  auto journal = std::make_unique<FileJournal>(std::move(options));
  RETURN_IF_ERROR(journal->Start(*end));
  return journal;
}

}  // namespace millrace::driver
