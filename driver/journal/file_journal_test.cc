#include "driver/journal/file_journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/storage/memory_file_system.h"
#include "driver/journal/journal_frame.h"
#include "driver/journal/testing/journal_world.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Operation = MemoryFileSystem::Operation;

class FileJournalTest : public ::testing::Test {
 protected:
  // As a new process would: the one before it has crashed.
  absl::Status Open() { return driver_.Open(/*wait=*/false); }
  absl::Status Append(int64_t number) { return driver_.Append(number); }
  const std::vector<int64_t>& read() const { return driver_.read(); }
  std::string Bytes(int segment) {
    return *files_.Read(absl::StrCat("/j/journal-00000", segment, ".log"));
  }

  JournalWorld world_;
  MemoryFileSystem& files_ = world_.files;
  JournalDriver driver_{&world_, "driver"};
};

TEST_F(FileJournalTest, GivesBackWhatWasAcknowledgedAfterACrash) {
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(read(), IsEmpty());
  EXPECT_TRUE(Append(1).ok());
  EXPECT_TRUE(Append(2).ok());
  files_.Crash();
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(read(), ElementsAre(1, 2));
  EXPECT_TRUE(Append(3).ok());
  files_.Crash();
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(read(), ElementsAre(1, 2, 3));
}

TEST_F(FileJournalTest, TailTornAtAnyByteIsCutAndNothingElse) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(1).ok());
  const std::string before = Bytes(1);
  ASSERT_TRUE(Append(2).ok());
  const std::string whole = Bytes(1);
  driver_.Abandon();
  for (size_t length = before.size(); length <= whole.size(); ++length) {
    JournalWorld world;
    ASSERT_TRUE(world.files.MakeDirectory("/j").ok());
    world.files.Overwrite("/j/journal-000001.log", whole.substr(0, length));
    // The second one reads the cut from the new segment's header.
    for (int start = 0; start < 2; ++start) {
      JournalDriver driver(&world, "driver");
      const absl::Status opened = driver.Open();
      ASSERT_TRUE(opened.ok()) << "length " << length << ": " << opened;
      EXPECT_EQ(driver.read().size(), length == whole.size() ? 2u : 1u)
          << "length " << length << " start " << start;
    }
  }
}

TEST_F(FileJournalTest, FlippedBitInWhatWasDurableIsNamed) {
  ASSERT_TRUE(Open().ok());
  const size_t header = Bytes(1).size();
  ASSERT_TRUE(Append(1).ok());
  const size_t first_end = Bytes(1).size();
  ASSERT_TRUE(Append(2).ok());
  const std::string whole = Bytes(1);
  driver_.Abandon();
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
  const size_t header = Bytes(1).size();
  ASSERT_TRUE(Append(1).ok());
  const size_t cut = Bytes(1).size();
  ASSERT_TRUE(Append(2).ok());  // repeated in the next segment
  ASSERT_TRUE(Open().ok());
  driver_.Abandon();
  const std::string whole = Bytes(1);
  for (size_t byte = 0; byte < cut; ++byte) {
    std::string bytes = whole.substr(0, cut);
    bytes[byte] = static_cast<char>(bytes[byte] ^ 1);
    files_.Overwrite("/j/journal-000001.log", bytes);
    const absl::Status status = Open();
    ASSERT_EQ(status.code(), absl::StatusCode::kDataLoss) << "byte " << byte;
    EXPECT_THAT(std::string(status.message()), HasSubstr("journal-000001.log"));
    if (byte >= header) {
      EXPECT_THAT(std::string(status.message()),
                  HasSubstr(absl::StrCat("is damaged at offset ", header)));
    }
  }
  files_.Overwrite("/j/journal-000001.log", whole.substr(0, cut - 1));
  EXPECT_EQ(Open().code(), absl::StatusCode::kDataLoss);
  files_.Overwrite("/j/journal-000001.log", whole.substr(0, cut));
  ASSERT_TRUE(Open().ok()) << "what is beyond the cut does not exist";
  EXPECT_THAT(read(), ElementsAre(1, 2));
  driver_.Abandon();
  ASSERT_TRUE(files_.Remove("/j/journal-000001.log").ok());
  const absl::Status missing = Open();
  EXPECT_EQ(missing.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(missing.message()),
              HasSubstr("bytes of journal-000001.log, which are not there"));
}

TEST_F(FileJournalTest, ClosedSegmentReplacedByAnotherWholeOneIsNamed) {
  ASSERT_TRUE(Open().ok());
  const size_t header = Bytes(1).size();
  ASSERT_TRUE(Append(1).ok());
  const size_t cut = Bytes(1).size();
  ASSERT_TRUE(Append(2).ok());
  ASSERT_TRUE(Open().ok());
  driver_.Abandon();
  std::string other = Bytes(1).substr(0, header);
  AppendFrame({NumberedRecord(7)}, &other);
  ASSERT_EQ(other.size(), cut);
  files_.Overwrite("/j/journal-000001.log", other);
  const absl::Status status = Open();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(absl::StrCat("/j/journal-000001.log was changed: what is before offset ",
                                     cut, " is whole, but not what /j/journal-00000")));
  EXPECT_THAT(read(), IsEmpty()) << "nothing of it is handed out";
}

TEST_F(FileJournalTest, ReadsTheFormatBeforeChecksums) {
  std::string bytes;
  proto::JournalRecord header;
  header.mutable_header()->set_format_version(1);
  AppendFrame({header}, &bytes);
  AppendFrame({NumberedRecord(1)}, &bytes);
  ASSERT_TRUE(files_.MakeDirectory("/j").ok());
  files_.Overwrite("/j/journal-000001.log", bytes);
  header.mutable_header()->set_previous_segment(1);
  header.mutable_header()->set_previous_length(bytes.size());
  std::string next;
  AppendFrame({header}, &next);
  files_.Overwrite("/j/journal-000002.log", next);
  for (int start = 0; start < 2; ++start) {
    ASSERT_TRUE(Open().ok());
    EXPECT_THAT(read(), ElementsAre(1));
  }
}

TEST_F(FileJournalTest, FullDiskFailsEverythingUntilReopened) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(1).ok());
  files_.SetCapacity(static_cast<int64_t>(Bytes(1).size()) + 5);
  const absl::Status full = Append(2);
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(full.message()),
              HasSubstr("no space left on device writing /j/journal-000001.log"));
  EXPECT_EQ(Append(3), full);
  EXPECT_FALSE(driver_.journal().Reopen().ok()) << "still full";
  files_.SetCapacity(INT64_MAX);
  EXPECT_EQ(Append(4), full) << "only Reopen makes it good again";
  ASSERT_TRUE(driver_.journal().Reopen().ok());
  EXPECT_TRUE(Append(5).ok());
  files_.Crash(/*torn_bytes=*/1000);
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(read(), ElementsAre(1, 5));
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
  ASSERT_TRUE(driver_.journal().Reopen().ok());
  ASSERT_TRUE(Append(3).ok());
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(read(), ElementsAre(1, 3)) << "record 2 was reported as failed";
}

TEST_F(FileJournalTest, CrashWhileANewSegmentIsMadeLosesNothing) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(1).ok());
  driver_.Abandon();
  for (const Operation broken :
       {Operation::kCreate, Operation::kAppend, Operation::kSync, Operation::kSyncDirectory}) {
    files_.SetFault([&](Operation operation, const std::string&) {
      return operation == broken ? absl::InternalError("power cut") : absl::OkStatus();
    });
    EXPECT_FALSE(Open().ok());
    driver_.Abandon();
    files_.Crash(/*torn_bytes=*/7);
    files_.SetFault(nullptr);
    ASSERT_TRUE(Open().ok());
    EXPECT_THAT(read(), ElementsAre(1));
    driver_.Abandon();
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
    driver_.journal().Append(NumberedRecord(i + 1), [&, i](const absl::Status& status) {
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
