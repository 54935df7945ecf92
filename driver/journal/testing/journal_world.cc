#include "driver/journal/testing/journal_world.h"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

#include "common/base/status.h"
#include "driver/journal/file_journal.h"

namespace millrace {

proto::JournalRecord NumberedRecord(int64_t number) {
  proto::JournalRecord record;
  record.mutable_epoch_started()->set_job_id("job");
  record.mutable_epoch_started()->set_epoch(number);
  return record;
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
  options.on_lost = [this](const absl::Status& why) { losses_.push_back(why); };
  ASSIGN_OR_RETURN(lease_, DirectoryLease::Acquire(std::move(options)));
  FileJournalOptions journal;
  journal.lease = lease_.get();
  journal.engine_version = "test";
  journal.driver_id = id_;
  ASSIGN_OR_RETURN(journal_, OpenFileJournal(std::move(journal), [this](const auto& record) {
                     read_.push_back(record.epoch_started().epoch());
                     return absl::OkStatus();
                   }));
  return absl::OkStatus();
}

absl::Status JournalDriver::Append(int64_t number) {
  std::mutex mutex;
  std::condition_variable answered;
  std::optional<absl::Status> result;
  journal_->Append(NumberedRecord(number), [&](const absl::Status& status) {
    std::lock_guard<std::mutex> lock(mutex);
    result = status;
    answered.notify_one();
  });
  std::unique_lock<std::mutex> lock(mutex);
  answered.wait(lock, [&] { return result.has_value(); });
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

}  // namespace millrace
