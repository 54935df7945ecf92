#include "driver/journal/file_journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "common/storage/memory_file_system.h"
#include "driver/journal/journal_frame.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Operation = MemoryFileSystem::Operation;

proto::JournalRecord Epoch(int64_t number) {
  proto::JournalRecord record;
  record.mutable_epoch_started()->set_job_id("job");
  record.mutable_epoch_started()->set_epoch(number);
  return record;
}

class FileJournalTest : public ::testing::Test {
 protected:
  // Opens and collects the epochs in it.
  absl::Status Open() {
    journal_.reset();
    epochs_.clear();
    FileJournalOptions options;
    options.files = &files_;
    options.directory = "/j";
    options.engine_version = "test";
    auto opened = OpenFileJournal(options, [this](const proto::JournalRecord& record) {
      epochs_.push_back(record.epoch_started().epoch());
      return absl::OkStatus();
    });
    if (!opened.ok()) {
      return opened.status();
    }
    journal_ = *std::move(opened);
    return absl::OkStatus();
  }

  // Appends and waits for the answer.
  absl::Status Append(int64_t epoch) {
    std::mutex mutex;
    std::condition_variable answered;
    std::optional<absl::Status> result;
    journal_->Append(Epoch(epoch), [&](const absl::Status& status) {
      std::lock_guard<std::mutex> lock(mutex);
      result = status;
      answered.notify_one();
    });
    std::unique_lock<std::mutex> lock(mutex);
    answered.wait(lock, [&] { return result.has_value(); });
    return *result;
  }

  MemoryFileSystem files_;
  std::unique_ptr<Journal> journal_;
  std::vector<int64_t> epochs_;
};

TEST_F(FileJournalTest, GivesBackWhatWasAcknowledgedAfterACrash) {
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(epochs_, IsEmpty());
  EXPECT_TRUE(Append(1).ok());
  EXPECT_TRUE(Append(2).ok());
  files_.Crash();
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(epochs_, ElementsAre(1, 2));
  EXPECT_TRUE(Append(3).ok());
  files_.Crash();
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(epochs_, ElementsAre(1, 2, 3));
}

TEST_F(FileJournalTest, RefusesASecondDriver) {
  ASSERT_TRUE(Open().ok());
  FileJournalOptions options;
  options.files = &files_;
  options.directory = "/j";
  const auto second =
      OpenFileJournal(options, [](const proto::JournalRecord&) { return absl::OkStatus(); });
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(second.status().message()),
              HasSubstr("directory /j is in use by another driver"));
}

TEST_F(FileJournalTest, TailTornAtAnyByteIsCutAndNothingElse) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(1).ok());
  const std::string before = *files_.Read("/j/journal-000001.log");
  ASSERT_TRUE(Append(2).ok());
  const std::string whole = *files_.Read("/j/journal-000001.log");
  journal_.reset();
  for (size_t length = before.size(); length <= whole.size(); ++length) {
    MemoryFileSystem files;
    ASSERT_TRUE(files.MakeDirectory("/j").ok());
    files.Overwrite("/j/journal-000001.log", whole.substr(0, length));
    for (int start = 0; start < 2;
         ++start) {  // the second one reads the cut from the new segment's header
      std::vector<int64_t> epochs;
      FileJournalOptions options;
      options.files = &files;
      options.directory = "/j";
      const auto opened = OpenFileJournal(options, [&](const proto::JournalRecord& record) {
        epochs.push_back(record.epoch_started().epoch());
        return absl::OkStatus();
      });
      ASSERT_TRUE(opened.ok()) << "length " << length << ": " << opened.status();
      EXPECT_EQ(epochs.size(), length == whole.size() ? 2u : 1u)
          << "length " << length << " start " << start;
    }
  }
}

TEST_F(FileJournalTest, FlippedBitInWhatWasDurableIsNamed) {
  ASSERT_TRUE(Open().ok());
  const size_t header = files_.Read("/j/journal-000001.log")->size();
  ASSERT_TRUE(Append(1).ok());
  const size_t first_end = files_.Read("/j/journal-000001.log")->size();
  ASSERT_TRUE(Append(2).ok());
  const std::string whole = *files_.Read("/j/journal-000001.log");
  journal_.reset();
  for (size_t bit = header * 8; bit < first_end * 8; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    files_.Overwrite("/j/journal-000001.log", flipped);
    const absl::Status status = Open();
    ASSERT_EQ(status.code(), absl::StatusCode::kDataLoss) << "bit " << bit;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr(absl::StrCat("/j/journal-000001.log is damaged at offset ", header)));
  }
}

TEST_F(FileJournalTest, DamageInAClosedSegmentIsNeverATornTail) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(1).ok());
  ASSERT_TRUE(Open().ok());
  journal_.reset();
  std::string bytes = *files_.Read("/j/journal-000001.log");
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  files_.Overwrite("/j/journal-000001.log", bytes);
  EXPECT_EQ(Open().code(), absl::StatusCode::kDataLoss);
  files_.Overwrite("/j/journal-000001.log", bytes.substr(0, bytes.size() - 1));
  EXPECT_EQ(Open().code(), absl::StatusCode::kDataLoss);
  ASSERT_TRUE(files_.Remove("/j/journal-000001.log").ok());
  const absl::Status missing = Open();
  EXPECT_EQ(missing.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(missing.message()),
              HasSubstr("bytes of journal-000001.log, which are not there"));
}

TEST_F(FileJournalTest, FullDiskFailsEverythingUntilReopened) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(1).ok());
  files_.SetCapacity(static_cast<int64_t>(files_.Read("/j/journal-000001.log")->size()) + 5);
  const absl::Status full = Append(2);
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(full.message()),
              HasSubstr("no space left on device writing /j/journal-000001.log"));
  EXPECT_EQ(Append(3), full);
  EXPECT_FALSE(journal_->Reopen().ok()) << "still full";
  files_.SetCapacity(INT64_MAX);
  EXPECT_EQ(Append(4), full) << "only Reopen makes it good again";
  ASSERT_TRUE(journal_->Reopen().ok());
  EXPECT_TRUE(Append(5).ok());
  files_.Crash(/*torn_bytes=*/1000);
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(epochs_, ElementsAre(1, 5));
}

TEST_F(FileJournalTest, FailedSyncGivesTheFileUpEvenIfItsBytesAreThere) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(1).ok());
  files_.SetFault([](Operation operation, const std::string&) {
    return operation == Operation::kSync ? absl::InternalError("Input/output error syncing x")
                                         : absl::OkStatus();
  });
  EXPECT_FALSE(Append(2).ok());
  files_.SetFault(nullptr);
  ASSERT_TRUE(journal_->Reopen().ok());
  ASSERT_TRUE(Append(3).ok());
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(epochs_, ElementsAre(1, 3)) << "record 2 was reported as failed";
}

TEST_F(FileJournalTest, CrashWhileANewSegmentIsMadeLosesNothing) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(1).ok());
  journal_.reset();
  for (const Operation broken :
       {Operation::kCreate, Operation::kAppend, Operation::kSync, Operation::kSyncDirectory}) {
    files_.SetFault([&](Operation operation, const std::string&) {
      return operation == broken ? absl::InternalError("power cut") : absl::OkStatus();
    });
    EXPECT_FALSE(Open().ok());
    files_.Crash(/*torn_bytes=*/7);
    files_.SetFault(nullptr);
    ASSERT_TRUE(Open().ok());
    EXPECT_THAT(epochs_, ElementsAre(1));
    journal_.reset();
  }
}

TEST_F(FileJournalTest, RecordsThatGatherShareASync) {
  ASSERT_TRUE(Open().ok());
  std::mutex mutex;
  std::condition_variable changed;
  bool open = false;
  files_.SetFault([&](Operation operation, const std::string&) {
    if (operation == Operation::kSync) {
      std::unique_lock<std::mutex> lock(mutex);
      changed.wait(lock, [&] { return open; });
    }
    return absl::OkStatus();
  });
  const int64_t syncs = files_.sync_count();
  std::vector<int> order;
  for (int i = 0; i < 100; ++i) {
    journal_->Append(Epoch(i + 1), [&, i](const absl::Status& status) {
      EXPECT_TRUE(status.ok());
      std::lock_guard<std::mutex> lock(mutex);
      order.push_back(i);
      changed.notify_all();
    });
  }
  std::unique_lock<std::mutex> lock(mutex);
  open = true;
  changed.notify_all();
  changed.wait(lock, [&] { return order.size() == 100; });
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  lock.unlock();
  EXPECT_LE(files_.sync_count() - syncs, 2) << "the first, and one for all that came meanwhile";
}

TEST_F(FileJournalTest, RefusesANewerFormatByNumber) {
  proto::JournalRecord record;
  record.mutable_header()->set_format_version(9);
  record.mutable_header()->set_engine_version("7.1");
  std::string bytes;
  AppendFrame({record}, &bytes);
  ASSERT_TRUE(files_.MakeDirectory("/j").ok());
  files_.Overwrite("/j/journal-000004.log", bytes);
  const absl::Status status = Open();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("written by Millrace 7.1 in journal format 9"));
}

}  // namespace
}  // namespace millrace
