#include "driver/journal/testing/journal_world.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/status.h"
#include "driver/journal/file_journal.h"
#include "driver/journal/journal_follower.h"

namespace millrace::driver {

proto::JournalRecord NumberedRecord(int64_t number) {
  proto::JournalRecord record;
  record.mutable_epoch_started()->set_job_id("job");
  record.mutable_epoch_started()->set_epoch(number);
  return record;
}

absl::Status NumberState::Replay(const proto::JournalRecord& record) {
  ++replayed_;
  if (!record.has_checkpoint_end()) {
    numbers_.push_back(record.epoch_started().epoch());
  }
  return absl::OkStatus();
}

absl::Status NumberState::Apply(const std::vector<proto::JournalRecord>& records) {
  std::vector<int64_t> numbers = numbers_;
  for (const proto::JournalRecord& record : records) {
    const int64_t number = record.epoch_started().epoch();
    if (!numbers.empty() && number <= numbers.back()) {
      return absl::DataLossError(absl::StrCat("number ", number, " after ", numbers.back()));
    }
    numbers.push_back(number);
  }
  numbers_ = std::move(numbers);
  return absl::OkStatus();
}

absl::Status NumberState::WriteCheckpoint(
    const std::function<absl::Status(proto::JournalRecord)>& write) const {
  for (const int64_t number : numbers_) {
    RETURN_IF_ERROR(write(NumberedRecord(number)));
  }
  return absl::OkStatus();
}

absl::Status JournalDriver::Open(bool wait) {
  Abandon();
  read_.clear();
  DirectoryLeaseOptions options;
  options.files = &world_->files;
  options.clock = &world_->clock;
  options.directory = JournalWorld::kDirectory;
  options.driver_id = id_;
  options.wait = wait;
  options.renew_in_background = false;
  options.pause = [this](absl::Duration time) {
    world_->clock.Advance(time);
    return world_->at_pause == nullptr || world_->at_pause();
  };
  JournalFollower follower(&world_->files, JournalWorld::kDirectory, &state_);
  options.while_waiting = [&follower] { follower.CatchUp().IgnoreError(); };
  options.before_taking = [&follower](uint64_t counted) { return follower.Check(counted); };
  options.on_lost = [this](const absl::Status& why) { losses_.push_back(why); };
  ASSIGN_OR_RETURN(lease_, DirectoryLease::Acquire(std::move(options)));
  FileJournalOptions journal;
  journal.lease = lease_.get();
  journal.engine_version = "test";
  journal.driver_id = id_;
  journal.state = &state_;
  journal.frame_bytes = frame_bytes_;
  journal.segment_bytes = segment_bytes_;
  journal.kept_bytes = kept_bytes_;
  journal.on_trouble = on_trouble_;
  journal.first_retry_pause = on_trouble_ == nullptr ? absl::ZeroDuration() : absl::Milliseconds(1);
  ASSIGN_OR_RETURN(journal_, OpenFileJournal(std::move(journal), &follower));
  read_ = state_.numbers();
  return absl::OkStatus();
}

absl::Status JournalDriver::AppendTogether(const std::vector<int64_t>& numbers) {
  std::vector<proto::JournalRecord> records;
  for (const int64_t number : numbers) {
    records.push_back(NumberedRecord(number));
  }
  absl::Mutex mutex;
  absl::CondVar answered;
  std::optional<absl::Status> result;
  journal_->Append(std::move(records), [&](const absl::Status& status) {
    absl::MutexLock lock(&mutex);
    result = status;
    answered.Signal();
  });
  absl::MutexLock lock(&mutex);
  while (!result.has_value()) {
    answered.Wait(&mutex);
  }
  return *result;
}

void JournalDriver::Abandon() {
  journal_.reset();
  lease_.reset();
}

void JournalDriver::Release() {
  journal_.reset();
  lease_->Release();
  lease_.reset();
}

}  // namespace millrace::driver
