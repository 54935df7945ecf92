#include "driver/journal/file_journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/storage/memory_file_system.h"
#include "driver/journal/journal_frame.h"
#include "driver/journal/journal_reader.h"
#include "driver/journal/running_hash.h"
#include "driver/journal/segment_files.h"
#include "driver/journal/testing/journal_world.h"

namespace millrace::driver {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Operation = MemoryFileSystem::Operation;

class FileJournalTest : public ::testing::Test {
 protected:
  // Opens the journal as a new process does after the one before has crashed.
  absl::Status Open() { return driver_.Open(/*wait=*/false); }
  absl::Status Append(int64_t number) { return driver_.Append(number); }
  const std::vector<int64_t>& read() const { return driver_.read(); }
  std::string Bytes(int segment) {
    return *files_.Read(SegmentPath("/j", static_cast<uint64_t>(segment)));
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
    // The second start reads the cut from the new segment's header.
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

// A start without jobs, or with those of an older segment, would be taken for the truth.
TEST_F(FileJournalTest, ASegmentThatCountedIsNotPassedOverHoweverItWasDamaged) {
  for (const int starts : {1, 2}) {
    JournalWorld world;
    JournalDriver driver(&world, "driver");
    for (int start = 1; start <= starts; ++start) {
      ASSERT_TRUE(driver.Open().ok());
      ASSERT_TRUE(driver.Append(start).ok());
      driver.Release();
    }
    const std::string path = SegmentPath("/j", static_cast<uint64_t>(starts));
    const std::string whole = *world.files.Read(path);
    const std::string damages[] = {"", std::string(whole.size(), '\0'),
                                   std::string(whole.rbegin(), whole.rend()), whole.substr(0, 20)};
    for (const std::string& damaged : damages) {
      world.files.Overwrite(path, damaged);
      const std::vector<uint64_t> before = *ListSegments(&world.files, "/j");
      for (int tries = 0; tries < 3; ++tries) {
        const absl::Status status = driver.Open();
        ASSERT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
        EXPECT_THAT(std::string(status.message()), HasSubstr(path));
        EXPECT_THAT(std::string(status.message()), HasSubstr("restore the file from a copy"));
      }
      EXPECT_EQ(*ListSegments(&world.files, "/j"), before) << "a failed start leaves nothing";
    }
    world.files.Overwrite(path, whole);
    EXPECT_TRUE(driver.Open().ok());
    EXPECT_EQ(driver.read().size(), static_cast<size_t>(starts));
  }
}

// Without LEASE, only what no crash leaves is known to be damage.
TEST_F(FileJournalTest, WhatNoCrashLeavesOfAFrameIsDamage) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(1).ok());
  const std::string before = Bytes(1);
  ASSERT_TRUE(Append(2).ok());
  const std::string whole = Bytes(1);
  driver_.Abandon();
  const std::string longer = whole.substr(0, whole.size() - 1) + "\x01 and more";
  for (const std::string& damaged :
       {std::string(whole.rbegin(), whole.rend()), before + "a person's", longer}) {
    JournalWorld world;
    ASSERT_TRUE(world.files.MakeDirectory("/j").ok());
    world.files.Overwrite("/j/journal-000001.log", damaged);
    JournalDriver driver(&world, "driver");
    EXPECT_EQ(driver.Open().code(), absl::StatusCode::kDataLoss) << damaged;
    EXPECT_THAT(*ListSegments(&world.files, "/j"), ElementsAre(1));
  }
}

TEST_F(FileJournalTest, SegmentsBeforeTheLastAreNotNeeded) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(1).ok());
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(2).ok());
  driver_.Abandon();
  files_.Overwrite("/j/journal-000001.log", "whatever");
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(read(), ElementsAre(1, 2));
}

TEST_F(FileJournalTest, CheckpointOfManyFramesIsWholeOrNotThere) {
  driver_.SetFrameBytes(1);  // a frame for each record
  ASSERT_TRUE(Open().ok());
  for (int64_t number = 1; number <= 3; ++number) {
    ASSERT_TRUE(Append(number).ok());
  }
  ASSERT_TRUE(Open().ok());
  driver_.Abandon();
  const std::string whole = Bytes(2);
  for (size_t length = 0; length <= whole.size(); ++length) {
    JournalWorld world;
    ASSERT_TRUE(world.files.MakeDirectory("/j").ok());
    world.files.Overwrite("/j/journal-000001.log", Bytes(1));
    world.files.Overwrite("/j/journal-000002.log", whole.substr(0, length));
    JournalDriver driver(&world, "driver");
    ASSERT_TRUE(driver.Open().ok()) << "length " << length;
    EXPECT_THAT(driver.read(), ElementsAre(1, 2, 3)) << "length " << length;
  }
  std::string flipped = whole;
  flipped[whole.size() / 2] = static_cast<char>(flipped[whole.size() / 2] ^ 1);
  files_.Overwrite("/j/journal-000002.log", flipped);
  EXPECT_EQ(Open().code(), absl::StatusCode::kDataLoss) << "whole frames come after it";
}

TEST_F(FileJournalTest, LongSegmentIsReadInPieces) {
  constexpr int kFrames = 40;
  proto::JournalRecord record;
  record.mutable_epoch_started()->set_reason(std::string(200 << 10, 'x'));
  std::string bytes;
  for (int i = 0; i < kFrames; ++i) {
    AppendFrame({record}, &bytes);
  }
  ASSERT_TRUE(files_.MakeDirectory("/j").ok());
  files_.Overwrite(SegmentPath("/j", 1), bytes);
  int reads = 0;
  files_.SetFault([&](Operation operation, const std::string&) {
    reads += operation == Operation::kRead ? 1 : 0;
    return absl::OkStatus();
  });
  FrameReader frames(&files_, SegmentPath("/j", 1));
  int records = 0;
  absl::StatusOr<bool> more = true;
  while (more.ok() && *more) {
    more = frames.Next([&](const proto::JournalRecord&) {
      ++records;
      return absl::OkStatus();
    });
  }
  files_.SetFault(nullptr);
  EXPECT_TRUE(more.ok()) << more.status();
  EXPECT_EQ(records, kFrames);
  EXPECT_GE(reads, 8) << "8 MB, of which no more than one is in memory";
}

TEST_F(FileJournalTest, RecordThatDoesNotFollowIsNotWritten) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(1).ok());
  const std::string before = Bytes(1);
  EXPECT_EQ(Append(1).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(driver_.AppendTogether({2, 3, 3}).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Bytes(1), before);
  EXPECT_TRUE(Append(4).ok()) << "what follows is taken";
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(read(), ElementsAre(1, 4));
}

TEST_F(FileJournalTest, RecordsAppendedTogetherAreTornTogether) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(1).ok());
  const std::string before = Bytes(1);
  ASSERT_TRUE(driver_.AppendTogether({2, 3}).ok());
  const std::string whole = Bytes(1);
  driver_.Abandon();
  for (size_t length = before.size(); length < whole.size(); ++length) {
    JournalWorld world;
    ASSERT_TRUE(world.files.MakeDirectory("/j").ok());
    world.files.Overwrite("/j/journal-000001.log", whole.substr(0, length));
    JournalDriver driver(&world, "driver");
    ASSERT_TRUE(driver.Open().ok());
    EXPECT_THAT(driver.read(), ElementsAre(1));
  }
}

// A record that failed is not in the state either, so that it may be appended again.
TEST_F(FileJournalTest, RecordThatFailedMayBeAppendedAgain) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(1).ok());
  files_.SetCapacity(static_cast<int64_t>(Bytes(1).size()) + 5);
  EXPECT_FALSE(Append(2).ok());
  files_.SetCapacity(INT64_MAX);
  ASSERT_TRUE(driver_.journal().Reopen().ok());
  EXPECT_TRUE(Append(2).ok());
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(read(), ElementsAre(1, 2));
}

TEST_F(FileJournalTest, SegmentThatHasGrownIsFollowedByAnotherAndGoes) {
  driver_.SetSegmentBytes(100);
  driver_.SetKeptBytes(0);
  ASSERT_TRUE(Open().ok());
  std::vector<int64_t> numbers;
  int64_t most = 0;
  for (int64_t number = 1; number <= 200; ++number) {
    ASSERT_TRUE(Append(number).ok());
    numbers.push_back(number);
    most = std::max<int64_t>(most, std::ssize(*ListSegments(&files_, "/j")));
  }
  EXPECT_LE(most, 2) << "what is not needed is removed once the next one counts";
  EXPECT_GT(*LastSegment(&files_, "/j"), 3u);
  files_.Crash();
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(read(), numbers);
}

TEST_F(FileJournalTest, NewestOfWhatIsNotNeededIsKept) {
  driver_.SetSegmentBytes(100);
  driver_.SetKeptBytes(4000);
  ASSERT_TRUE(Open().ok());
  for (int64_t number = 1; number <= 200; ++number) {
    ASSERT_TRUE(Append(number).ok());
  }
  const std::vector<uint64_t> segments = *ListSegments(&files_, "/j");
  ASSERT_GT(segments.size(), 1u);
  uint64_t bytes = 0;
  for (size_t i = 0; i + 1 < segments.size(); ++i) {
    EXPECT_EQ(segments[i] + 1, segments[i + 1]) << "the lowest goes first";
    bytes += Bytes(static_cast<int>(segments[i])).size();
  }
  EXPECT_LE(bytes, 4000u);
  EXPECT_GT(segments.front(), 1u);

  // Segments that are kept for people show each record once, although checkpoints repeat them.
  std::vector<int64_t> numbers;
  ASSERT_TRUE(ReadJournalRecords(&files_, "/j", [&](const proto::JournalRecord& record) {
                numbers.push_back(record.epoch_started().epoch());
                return absl::OkStatus();
              }).ok());
  std::vector<int64_t> expected(
      200);  // the oldest segment's checkpoint has the records of those that are gone
  std::iota(expected.begin(), expected.end(), 1);
  EXPECT_EQ(numbers, expected);
}

TEST_F(FileJournalTest, SegmentsThatCannotBeRemovedStay) {
  driver_.SetKeptBytes(0);
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(1).ok());
  files_.SetFault([](Operation operation, const std::string&) {
    return operation == Operation::kRemove ? absl::InternalError("Input/output error")
                                           : absl::OkStatus();
  });
  ASSERT_TRUE(driver_.Open().ok());
  files_.SetFault(nullptr);
  EXPECT_TRUE(Append(2).ok());
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(read(), ElementsAre(1, 2));
  EXPECT_THAT(*ListSegments(&files_, "/j"), ElementsAre(3));
}

TEST_F(FileJournalTest, ASegmentThatCannotBeRemovedKeepsNoOther) {
  driver_.SetKeptBytes(0);
  files_.SetFault([](Operation operation, const std::string& path) {
    return operation == Operation::kRemove && path == "/j/journal-000001.log"
               ? absl::InternalError("Input/output error")
               : absl::OkStatus();
  });
  for (int64_t number = 1; number <= 4; ++number) {
    ASSERT_TRUE(Open().ok());
    ASSERT_TRUE(Append(number).ok());
  }
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(read(), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(*ListSegments(&files_, "/j"), ElementsAre(1, 5));
}

TEST_F(FileJournalTest, FilesWithOtherNamesAreNoSegments) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(1).ok());
  for (const char* name : {"journal-7.log", "journal-0000007.log", "journal-+00007.log",
                           "journal-18446744073709551615.log", "journal-000000.log"}) {
    files_.Overwrite(absl::StrCat("/j/", name), "a person's");
  }
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(read(), ElementsAre(1));
  EXPECT_THAT(*ListSegments(&files_, "/j"), ElementsAre(1, 2));
}

// ---- Journals of formats 1 and 2: segments go on from each other ----

struct LegacySegment {
  std::string bytes;
  size_t header = 0;  // length of its first frame
};

// `carried`: the records that format 2 repeats from the segment before.
LegacySegment MakeLegacySegment(uint32_t format, uint64_t previous, const std::string& cut,
                                const std::vector<int64_t>& carried,
                                const std::vector<int64_t>& numbers) {
  std::vector<proto::JournalRecord> first(1);
  proto::JournalHeader* header = first.front().mutable_header();
  header->set_format_version(format);
  header->set_previous_segment(previous);
  header->set_previous_length(cut.size());
  if (format >= 2) {
    RunningHash hash;
    hash.Add(cut);
    header->set_previous_checksum(hash.value());
  }
  for (const int64_t number : carried) {
    first.push_back(NumberedRecord(number));
  }
  LegacySegment segment;
  AppendFrame(first, &segment.bytes);
  segment.header = segment.bytes.size();
  for (const int64_t number : numbers) {
    AppendFrame({NumberedRecord(number)}, &segment.bytes);
  }
  return segment;
}

class LegacyJournalTest : public FileJournalTest {
 protected:
  LegacyJournalTest() {
    EXPECT_TRUE(files_.MakeDirectory("/j").ok());
    const LegacySegment one = MakeLegacySegment(2, 0, "", {}, {1});
    header_ = one.header;
    first_ = one.bytes;
    AppendFrame({NumberedRecord(2)}, &beyond_);
    second_ = MakeLegacySegment(2, 1, first_, {2}, {3}).bytes;
    files_.Overwrite("/j/journal-000001.log", first_ + beyond_);
    files_.Overwrite("/j/journal-000002.log", second_);
  }

  size_t header_ = 0;
  std::string first_;   // up to the cut
  std::string beyond_;  // what the second segment repeats
  std::string second_;
};

TEST_F(LegacyJournalTest, IsReadAndGoesOnInTheNewFormat) {
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(read(), ElementsAre(1, 2, 3));
  EXPECT_TRUE(Append(4).ok());
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(read(), ElementsAre(1, 2, 3, 4));
}

TEST_F(LegacyJournalTest, DamageInAClosedSegmentIsNeverATornTail) {
  for (size_t byte = 0; byte < first_.size(); ++byte) {
    std::string bytes = first_;
    bytes[byte] = static_cast<char>(bytes[byte] ^ 1);
    files_.Overwrite("/j/journal-000001.log", bytes);
    const absl::Status status = Open();
    ASSERT_EQ(status.code(), absl::StatusCode::kDataLoss) << "byte " << byte;
    EXPECT_THAT(std::string(status.message()), HasSubstr("journal-000001.log"));
    if (byte >= header_) {
      EXPECT_THAT(std::string(status.message()),
                  HasSubstr(absl::StrCat("is damaged at offset ", header_)));
    }
  }
  files_.Overwrite("/j/journal-000001.log", first_.substr(0, first_.size() - 1));
  EXPECT_EQ(Open().code(), absl::StatusCode::kDataLoss);
  ASSERT_TRUE(files_.Remove("/j/journal-000001.log").ok());
  const absl::Status missing = Open();
  EXPECT_EQ(missing.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(missing.message()),
              HasSubstr("bytes of journal-000001.log, which are not there"));
  files_.Overwrite("/j/journal-000001.log", first_);
  ASSERT_TRUE(Open().ok()) << "what is beyond the cut does not exist";
  EXPECT_THAT(read(), ElementsAre(1, 2, 3));
}

TEST_F(LegacyJournalTest, ClosedSegmentReplacedByAnotherWholeOneIsNamed) {
  const std::string other = MakeLegacySegment(2, 0, "", {}, {7}).bytes;
  ASSERT_EQ(other.size(), first_.size());
  files_.Overwrite("/j/journal-000001.log", other);
  const absl::Status status = Open();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(absl::StrCat("/j/journal-000001.log was changed: what is before offset ",
                                     first_.size(), " is whole, but not what /j/journal-00000")));
}

TEST_F(LegacyJournalTest, ReadsTheFormatBeforeChecksums) {
  const std::string one = MakeLegacySegment(1, 0, "", {}, {1}).bytes;
  files_.Overwrite("/j/journal-000001.log", one);
  files_.Overwrite("/j/journal-000002.log", MakeLegacySegment(1, 1, one, {}, {}).bytes);
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

class WaitingJournalTest : public FileJournalTest {
 protected:
  WaitingJournalTest() {
    driver_.WaitForEnvironment([this](const absl::Status& trouble) {
      absl::MutexLock lock(&mutex_);
      troubles_.push_back(trouble);
    });
  }
  ~WaitingJournalTest() override { driver_.Abandon(); }  // it tells members of this class
  std::string FirstTrouble() {
    absl::MutexLock lock(&mutex_);
    return troubles_.empty() ? "" : std::string(troubles_.front().message());
  }
  // Appends without waiting for the answers, which come in order.
  void AppendLater(int64_t number) {
    driver_.journal().Append({NumberedRecord(number)}, [this, number](const absl::Status& status) {
      absl::MutexLock lock(&mutex_);
      answers_.emplace_back(number, status);
    });
  }
  template <typename Condition>
  void Until(Condition condition) {
    absl::MutexLock lock(&mutex_);
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&condition), absl::Seconds(30)));
  }
  void FillDisk() { files_.SetCapacity(static_cast<int64_t>(Bytes(1).size()) + 5); }

  absl::Mutex mutex_;
  std::vector<absl::Status> troubles_;
  std::vector<std::pair<int64_t, absl::Status>> answers_;
};

// A full disk is no reason to end jobs.
TEST_F(WaitingJournalTest, AppendsWaitForRoomOnAFullDisk) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(1).ok());
  FillDisk();
  AppendLater(2);
  Until([this] { return !troubles_.empty(); });
  EXPECT_THAT(FirstTrouble(), HasSubstr("no space left on device"));
  AppendLater(3);
  for (int i = 0; i < 20; ++i) {
    EXPECT_THAT(std::string(driver_.journal().Reopen().message()), HasSubstr("no space left"));
  }
  Until([this] { return answers_.empty(); });
  EXPECT_LE(ListSegments(&files_, "/j")->size(), 2u) << "tries on a full disk leave no segments";
  files_.SetCapacity(INT64_MAX);
  Until([this] { return answers_.size() == 2; });
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(answers_[static_cast<size_t>(i)].first, i + 2);
    EXPECT_TRUE(answers_[static_cast<size_t>(i)].second.ok());
  }
  EXPECT_TRUE(troubles_.back().ok());
  EXPECT_TRUE(Append(4).ok());
  files_.Crash();
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(read(), ElementsAre(1, 2, 3, 4));
}

TEST_F(WaitingJournalTest, WhatTheStateRefusesIsRefusedAfterTheWaitToo) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(5).ok());
  FillDisk();
  AppendLater(6);
  AppendLater(6);
  AppendLater(7);
  Until([this] { return !troubles_.empty(); });
  files_.SetCapacity(INT64_MAX);
  Until([this] { return answers_.size() == 3; });
  EXPECT_TRUE(answers_[0].second.ok());
  EXPECT_TRUE(absl::IsDataLoss(answers_[1].second)) << answers_[1].second;
  EXPECT_TRUE(answers_[2].second.ok());
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(read(), ElementsAre(5, 6, 7));
}

TEST_F(WaitingJournalTest, AFailedSyncIsMadeUpForInTheNextSegment) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(1).ok());
  files_.SetFault(
      [failed = std::make_shared<bool>(false)](Operation operation, const std::string&) {
        return operation == Operation::kSync && !std::exchange(*failed, true)
                   ? absl::InternalError("Input/output error syncing x")
                   : absl::OkStatus();
      });
  EXPECT_TRUE(Append(2).ok());
  files_.SetFault(nullptr);
  files_.Crash();
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(read(), ElementsAre(1, 2));
}

TEST_F(WaitingJournalTest, ADriverThatWasReplacedMeanwhileAcknowledgesNothing) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(1).ok());
  FillDisk();
  AppendLater(2);
  Until([this] { return !troubles_.empty(); });
  // There is room again, but the first driver does not find it before the second has taken over.
  files_.SetFault([](Operation operation, const std::string& path) {
    return operation == Operation::kCreate && path == "/j/PROBE"
               ? absl::ResourceExhaustedError("no space left")
               : absl::OkStatus();
  });
  files_.SetCapacity(INT64_MAX);
  JournalDriver second(&world_, "second");
  ASSERT_TRUE(second.Open().ok());
  files_.SetFault(nullptr);
  Until([this] { return answers_.size() == 1; });
  EXPECT_TRUE(absl::IsAborted(answers_[0].second)) << answers_[0].second;
  EXPECT_THAT(second.read(), ElementsAre(1));
  EXPECT_TRUE(second.Append(3).ok());
}

TEST_F(WaitingJournalTest, ItsEndDoesNotWaitForRoom) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(1).ok());
  FillDisk();
  AppendLater(2);
  Until([this] { return !troubles_.empty(); });
  driver_.Abandon();
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_TRUE(absl::IsResourceExhausted(answers_[0].second)) << answers_[0].second;
  files_.SetCapacity(INT64_MAX);
  ASSERT_TRUE(Open().ok());
  EXPECT_TRUE(Append(2).ok());
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
  absl::Mutex mutex;
  absl::CondVar changed;
  bool open = false;
  files_.SetFault([&](Operation operation, const std::string&) {
    if (operation == Operation::kSync) {
      absl::MutexLock lock(&mutex);
      while (!open) {
        changed.Wait(&mutex);
      }
    }
    return absl::OkStatus();
  });
  const int64_t syncs = files_.sync_count();
  std::vector<int> order;
  for (int i = 0; i < 100; ++i) {
    driver_.journal().Append({NumberedRecord(i + 1)}, [&, i](const absl::Status& status) {
      EXPECT_TRUE(status.ok());
      absl::MutexLock lock(&mutex);
      order.push_back(i);
      changed.SignalAll();
    });
  }
  {
    absl::MutexLock lock(&mutex);
    open = true;
    changed.SignalAll();
    while (order.size() < 100) {
      changed.Wait(&mutex);
    }
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  }
  EXPECT_LE(files_.sync_count() - syncs, 2) << "the first, and one for all that came meanwhile";
}

// Format 4 has the form of format 3, and its records say what sessions have written. A version that
// passed over that would write batches twice.
TEST_F(FileJournalTest, AJournalOfFormat3GoesOnInOneThatItsVersionRefuses) {
  std::vector<proto::JournalRecord> first(2);
  first[0].mutable_header()->set_format_version(3);
  first[0].mutable_header()->set_checkpoint(true);
  first[1].mutable_checkpoint_end();
  std::string bytes;
  AppendFrame(first, &bytes);
  AppendFrame({NumberedRecord(1)}, &bytes);
  ASSERT_TRUE(files_.MakeDirectory("/j").ok());
  files_.Overwrite("/j/journal-000001.log", bytes);
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(read(), ElementsAre(1));
  EXPECT_TRUE(Append(2).ok());
  const auto last = FindLastSegment(&files_, "/j", UINT64_MAX);
  ASSERT_TRUE(last.ok() && last->has_value()) << last.status();
  EXPECT_EQ((*last)->number, 2u);
  EXPECT_EQ((*last)->header.format_version(), 4u);
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(read(), ElementsAre(1, 2));
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
}  // namespace millrace::driver
