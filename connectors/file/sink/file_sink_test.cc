// Behaviour that only the file sink has, one per test. file_sink_model_test.cc looks for cases that
// are missing here.
#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "common/base/failure_kind.h"
#include "common/base/status.h"
#include "common/storage/memory_file_system.h"
#include "connectors/file/sink/file_sink_testing.h"
#include "connectors/formats/utf8.h"

namespace millrace::file {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Operation = MemoryFileSystem::Operation;

constexpr char kOut[] = "/out";
constexpr int64_t kSecond = 1'000'000;

class FileSinkTest : public FileSinkFixture {
 protected:
  FileSinkTest() { EXPECT_TRUE(files_.MakeDirectory(kOut).ok()); }

  static proto::Sink Target(const std::string& format, const std::string& roll_size = "",
                            const std::string& roll_interval = "") {
    proto::Sink sink = Table(kOut, format);
    if (!roll_size.empty()) {
      (*sink.mutable_options())["roll_size"] = roll_size;
    }
    if (!roll_interval.empty()) {
      (*sink.mutable_options())["roll_interval"] = roll_interval;
    }
    return sink;
  }
  std::unique_ptr<SingleShardSession> Open(const proto::Sink& sink, int64_t epoch = 1,
                                           const std::string& marker = "") {
    auto session = FileSinkFixture::Open(&files_, sink, epoch, marker);
    EXPECT_TRUE(session.ok()) << session.status();
    return *std::move(session);
  }
  absl::Status OpenStatus(const proto::Sink& sink, int64_t epoch, const std::string& marker) {
    return FileSinkFixture::Open(&files_, sink, epoch, marker).status();
  }
  // Returns the new marker.
  static absl::StatusOr<std::string> Commit(SinkSession* session, int64_t through) {
    RETURN_IF_ERROR(session->Commit(BatchId(through), absl::InfiniteFuture()));
    return session->mark().marker;
  }
  static absl::Status Settle(SinkSession* session, int64_t batch) {
    return session->Settle(BatchId(batch), absl::InfiniteFuture());
  }
  static std::string CommitRow(SingleShardSession* session, int64_t batch, const std::string& value,
                               int64_t time_us = 0) {
    EXPECT_TRUE(Write(session, batch, {value}, time_us).ok());
    auto marker = Commit(session, batch);
    EXPECT_TRUE(marker.ok()) << marker.status();
    return *marker;
  }
  std::vector<std::string> Names() { return *files_.List(kOut); }
  std::string Contents(const std::string& name) {
    return *files_.Read(absl::StrCat(kOut, "/", name));
  }

  MemoryFileSystem files_;
};

TEST_F(FileSinkTest, RawRefusesWhatWouldNotBeReadAsItWasWritten) {
  auto session = Open(Target("raw"));
  for (const char* value : {"two\nlines", "end\n", "end\r"}) {
    const absl::Status status = Write(session.get(), 1, {value});
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("which format raw cannot write to a file"));
  }
  auto null = std::make_shared<Column>(MakeType(TypeId::kText), 1);
  null->SetNull(0);
  EXPECT_THAT(std::string(session->Write({.id = BatchId(1)}, Batch({null}, 1)).message()),
              HasSubstr("a value is NULL"));
  // If one row is refused, Write takes none of the rows.
  EXPECT_FALSE(Write(session.get(), 1, {"one", "two\nlines", "three\r"}).ok());
  const std::vector<RowError> refused = session->TakeRefused();
  ASSERT_EQ(refused.size(), 2u);
  EXPECT_EQ(refused[0].row, 1u);
  EXPECT_EQ(refused[1].row, 2u);
  EXPECT_EQ(session->held_bytes(), 0);
  EXPECT_TRUE(Write(session.get(), 1, {"in\rside", "", " "}).ok());
}

TEST_F(FileSinkTest, AFileIsHiddenUntilItsLastCommitIsInTheJournal) {
  auto session = Open(Target("raw", "8 B"));
  CommitRow(session.get(), 1, "one");
  EXPECT_THAT(Names(), ElementsAre(".part-0-0-0f0e0d0c-000000.txt.e1.open"));
  ASSERT_TRUE(Settle(session.get(), 1).ok());
  CommitRow(session.get(), 2, "two");
  EXPECT_THAT(Names(), ElementsAre(".part-0-0-0f0e0d0c-000000.txt.e1.open"));
  EXPECT_GT(session->wake_at_us(), 0) << "an idle job must hear that batch 2 is settled";
  ASSERT_TRUE(Settle(session.get(), 1).ok());
  EXPECT_THAT(Names(), ElementsAre(".part-0-0-0f0e0d0c-000000.txt.e1.open"));
  ASSERT_TRUE(Settle(session.get(), 2).ok());
  EXPECT_THAT(Names(), ElementsAre("part-0-0-0f0e0d0c-000000.txt"));
  EXPECT_EQ(Contents("part-0-0-0f0e0d0c-000000.txt"), "one\ntwo\n");
  EXPECT_EQ(session->wake_at_us(), 0);
  CommitRow(session.get(), 3, "three");
  EXPECT_THAT(Names(),
              ElementsAre(".part-0-0-0f0e0d0c-000001.txt.e1.open", "part-0-0-0f0e0d0c-000000.txt"));
}

TEST_F(FileSinkTest, AnIdleFileRollsByAge) {
  auto session = Open(Target("raw", "", "10 s"));
  EXPECT_EQ(session->wake_at_us(), 0);
  CommitRow(session.get(), 1, "one", 5 * kSecond);
  EXPECT_EQ(session->wake_at_us(), 15 * kSecond);
  CommitRow(session.get(), 2, "two", 14 * kSecond);
  EXPECT_EQ(session->wake_at_us(), 15 * kSecond) << "age counts from the first batch";
  session->NoteBatch(BatchId(3), 15 * kSecond);
  ASSERT_TRUE(Commit(session.get(), 3).ok());
  ASSERT_TRUE(Settle(session.get(), 3).ok());
  EXPECT_EQ(Published(&files_, kOut), "one\ntwo\n");
  EXPECT_EQ(session->wake_at_us(), 0);
}

TEST_F(FileSinkTest, AgeGoesOnInTheNextEpoch) {
  auto session = Open(Target("raw", "", "10 s"));
  const std::string marker = CommitRow(session.get(), 1, "one", 5 * kSecond);
  session = Open(Target("raw", "", "10 s"), 2, marker);
  EXPECT_EQ(session->wake_at_us(), 15 * kSecond);
}

TEST_F(FileSinkTest, TheLastCommitClosesWhatIsOpen) {
  auto session = Open(Target("raw"));
  CommitRow(session.get(), 1, "one");
  session->Finish();
  ASSERT_TRUE(Commit(session.get(), 2).ok());
  EXPECT_EQ(Published(&files_, kOut), "");
  ASSERT_TRUE(Settle(session.get(), 2).ok());
  EXPECT_EQ(Published(&files_, kOut), "one\n");
  EXPECT_EQ(Names().size(), 1u);
}

TEST_F(FileSinkTest, AClosedFileIsPublishedByTheNextEpochIfItsOwnDies) {
  auto session = Open(Target("raw", "0"));
  const std::string marker = CommitRow(session.get(), 1, "one");
  auto next = Open(Target("raw", "0"), 2, marker);
  EXPECT_EQ(Published(&files_, kOut), "one\n");
  ASSERT_TRUE(Settle(session.get(), 1).ok()) << "a zombie finds the work done";
  EXPECT_EQ(Published(&files_, kOut), "one\n");
}

TEST_F(FileSinkTest, BatchesThatWaitGoOutTogether) {
  auto session = Open(Target("raw"));
  ASSERT_TRUE(Write(session.get(), 1, {"one"}).ok());
  ASSERT_TRUE(Write(session.get(), 2, {"two"}).ok());
  ASSERT_TRUE(Write(session.get(), 3, {"three"}).ok());
  EXPECT_EQ(session->held_bytes(), 14);
  const int64_t syncs = files_.sync_count();
  ASSERT_TRUE(Commit(session.get(), 2).ok());
  EXPECT_EQ(files_.sync_count(), syncs + 1);
  EXPECT_EQ(session->mark().batch, BatchId(2));
  EXPECT_EQ(session->held_bytes(), 6);
  EXPECT_EQ(Contents(Names()[0]), "one\ntwo\n");
}

TEST_F(FileSinkTest, WhatTheJournalDoesNotKnowIsGone) {
  auto session = Open(Target("raw"));
  const std::string marker = CommitRow(session.get(), 1, "one");
  CommitRow(session.get(), 2, "two");
  auto next = Open(Target("raw"), 2, marker);
  EXPECT_EQ(next->mark().batch, BatchId(1));
  CommitRow(session.get(), 3, "a zombie's");
  next->Finish();
  CommitRow(next.get(), 2, "zwei");
  ASSERT_TRUE(Settle(next.get(), 2).ok());
  EXPECT_EQ(Published(&files_, kOut), "one\nzwei\n");
  EXPECT_EQ(Names().size(), 1u) << "files of both epochs are cleared away";
}

TEST_F(FileSinkTest, TheOldFileStaysUntilTheNewMarkerIsInTheJournal) {
  auto session = Open(Target("raw"));
  const std::string marker = CommitRow(session.get(), 1, "one");
  session = Open(Target("raw"), 2, marker);
  ASSERT_TRUE(Settle(session.get(), 1).ok());
  CommitRow(session.get(), 2, "two");
  session = Open(Target("raw"), 3, marker);
  EXPECT_THAT(Names(), ElementsAre(".part-0-0-0f0e0d0c-000000.txt.e1.open",
                                   ".part-0-0-0f0e0d0c-000000.txt.e3.open"));
  CommitRow(session.get(), 2, "two");
  ASSERT_TRUE(Settle(session.get(), 2).ok());
  EXPECT_THAT(Names(), ElementsAre(".part-0-0-0f0e0d0c-000000.txt.e3.open"));
}

TEST_F(FileSinkTest, AFileThatWasCutOrTakenAwayIsDataLoss) {
  auto session = Open(Target("raw"));
  const std::string open = CommitRow(session.get(), 1, "one");
  const std::string open_path = absl::StrCat(kOut, "/", Names()[0]);
  files_.Overwrite(open_path, "on");
  absl::Status status = OpenStatus(Target("raw"), 2, open);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(open_path + " holds 2 bytes, but 4 were committed"));
  ASSERT_TRUE(files_.Remove(open_path).ok());
  status = OpenStatus(Target("raw"), 3, open);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr(open_path + " is gone, of which 4 bytes"));
}

TEST_F(FileSinkTest, AClosedFileThatIsNotWhatWasCommittedIsDataLoss) {
  auto session = Open(Target("raw", "0"));
  const std::string closed = CommitRow(session.get(), 1, "one");
  const std::string path = absl::StrCat(kOut, "/", Names()[0]);
  files_.Overwrite(path, "one\ntwo\n");
  EXPECT_EQ(OpenStatus(Target("raw"), 2, closed).code(), absl::StatusCode::kDataLoss);
  ASSERT_TRUE(files_.Remove(path).ok());
  EXPECT_EQ(Settle(session.get(), 1).code(), absl::StatusCode::kDataLoss);
  files_.Overwrite(absl::StrCat(kOut, "/part-0-0-0f0e0d0c-000000.txt"), "on");
  const absl::Status status = Settle(session.get(), 1);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("holds 2 bytes, but 4 were committed"));
}

TEST_F(FileSinkTest, AJournalOlderThanTheDirectoryIsRefused) {
  auto session = Open(Target("raw", "8 B"));
  const std::string old = CommitRow(session.get(), 1, "one");
  CommitRow(session.get(), 2, "two");
  ASSERT_TRUE(Settle(session.get(), 2).ok());
  const absl::Status status = OpenStatus(Target("raw"), 2, old);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("part-0-0-0f0e0d0c-000000.txt is not in the journal"));
}

TEST_F(FileSinkTest, ALowerEpochComesTooLate) {
  auto session = Open(Target("raw"), 1);
  const std::string marker = CommitRow(session.get(), 1, "one");
  session = Open(Target("raw"), 3, marker);
  EXPECT_EQ(OpenStatus(Target("raw"), 2, marker).code(), absl::StatusCode::kAborted);
}

TEST_F(FileSinkTest, EveryCsvFileBeginsWithTheHeader) {
  proto::Sink sink = Target("csv", "14 B");
  (*sink.mutable_options())["header"] = "true";
  auto session = Open(sink);
  CommitRow(session.get(), 1, "a,b");
  session = Open(sink, 2, session->mark().marker);
  CommitRow(session.get(), 2, "c");
  session->Finish();
  CommitRow(session.get(), 3, "d");
  ASSERT_TRUE(Settle(session.get(), 3).ok());
  EXPECT_THAT(Names(), ElementsAre("part-0-0-0f0e0d0c-000000.csv", "part-0-0-0f0e0d0c-000001.csv"));
  EXPECT_EQ(Contents("part-0-0-0f0e0d0c-000000.csv"), "value\n\"a,b\"\nc\n");
  EXPECT_EQ(Contents("part-0-0-0f0e0d0c-000001.csv"), "value\nd\n");
}

// A reader passes over the mark at the start of a file, and would take it from the value.
TEST_F(FileSinkTest, AMarkThatBeginsTheFirstValueIsWrittenTwice) {
  const std::string mark(kByteOrderMark);
  auto session = Open(Target("raw", "1 B"));
  CommitRow(session.get(), 1, mark + "one");
  CommitRow(session.get(), 2, "two");
  ASSERT_TRUE(Settle(session.get(), 2).ok());
  EXPECT_EQ(Contents("part-0-0-0f0e0d0c-000000.txt"), mark + mark + "one\n");
  EXPECT_EQ(Contents("part-0-0-0f0e0d0c-000001.txt"), "two\n");
  session = Open(Target("raw"), 2, session->mark().marker);
  CommitRow(session.get(), 3, "three");
  session->Finish();
  CommitRow(session.get(), 4, mark + "four");
  ASSERT_TRUE(Settle(session.get(), 4).ok());
  EXPECT_EQ(Contents("part-0-0-0f0e0d0c-000002.txt"), "three\n" + mark + "four\n");
}

TEST_F(FileSinkTest, LinesOfAnotherShapeBeginAFileOfTheirOwn) {
  auto session = Open(Target("raw"));
  const std::string marker = CommitRow(session.get(), 1, "one");
  session = Open(Target("json"), 2, marker);
  session->Finish();
  CommitRow(session.get(), 2, "two");
  ASSERT_TRUE(Settle(session.get(), 2).ok());
  EXPECT_THAT(Names(),
              ElementsAre("part-0-0-0f0e0d0c-000000.txt", "part-0-0-0f0e0d0c-000001.json"));
  EXPECT_EQ(Contents("part-0-0-0f0e0d0c-000000.txt"), "one\n");
}

TEST_F(FileSinkTest, AFullDiskIsSaidAndCanBeTriedAgain) {
  auto session = Open(Target("raw"));
  CommitRow(session.get(), 1, "one");
  files_.SetCapacity(6);
  ASSERT_TRUE(Write(session.get(), 2, {"two"}).ok());
  for (int i = 0; i < 2; ++i) {
    const absl::Status status = Commit(session.get(), 2).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("no space left on device"));
    EXPECT_THAT(std::string(status.message()), HasSubstr("make room there"));
  }
  files_.SetCapacity(INT64_MAX);
  session->Finish();
  ASSERT_TRUE(Commit(session.get(), 2).ok());
  ASSERT_TRUE(Settle(session.get(), 2).ok());
  EXPECT_EQ(Published(&files_, kOut), "one\ntwo\n");
  EXPECT_EQ(Names().size(), 1u);
}

// A mount that went away ended the job for good, with the first batch that came.
TEST_F(FileSinkTest, ADirectoryThatIsAwayIsWaitedFor) {
  const auto away = [](Operation, const std::string& path) {
    return absl::NotFoundError(absl::StrCat("no such file or directory ", path));
  };
  const auto expect_waits = [](const absl::Status& status) {
    EXPECT_EQ(FailureKindOf(status), FailureKind::kEnvironment) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("is the directory mounted?"));
  };
  auto session = Open(Target("raw"));
  ASSERT_TRUE(Write(session.get(), 1, {"one"}).ok());
  files_.SetFault(away);
  expect_waits(Commit(session.get(), 1).status());
  files_.SetFault(nullptr);
  const std::string marker = *Commit(session.get(), 1);
  files_.SetFault(away);
  expect_waits(OpenStatus(Target("raw"), 2, marker));
  files_.SetFault([&](Operation operation, const std::string& path) {
    EXPECT_NE(operation, Operation::kMakeDirectory) << path << " would be on another disk";
    return absl::OkStatus();
  });
  session = Open(Target("raw"), 2, marker);
  session->Finish();
  CommitRow(session.get(), 2, "two");
  files_.SetFault(away);
  expect_waits(Settle(session.get(), 2));
  files_.SetFault(nullptr);
  ASSERT_TRUE(Settle(session.get(), 2).ok());
  EXPECT_EQ(Published(&files_, kOut), "one\ntwo\n");
}

TEST_F(FileSinkTest, AFileWhoseSyncFailedIsGivenUp) {
  auto session = Open(Target("raw"));
  CommitRow(session.get(), 1, "one");
  files_.SetFault([](Operation operation, const std::string&) {
    return operation == Operation::kSync ? absl::InternalError("Input/output error")
                                         : absl::OkStatus();
  });
  ASSERT_TRUE(Write(session.get(), 2, {"two"}).ok());
  EXPECT_EQ(Commit(session.get(), 2).status().code(), absl::StatusCode::kUnavailable);
  files_.SetFault(nullptr);
  const std::string marker = *Commit(session.get(), 2);
  files_.Crash();
  session = Open(Target("raw"), 2, marker);
  session->Finish();
  ASSERT_TRUE(Commit(session.get(), 3).ok());
  ASSERT_TRUE(Settle(session.get(), 3).ok());
  EXPECT_EQ(Published(&files_, kOut), "one\ntwo\n");
}

TEST_F(FileSinkTest, AFileInDoubtStaysUntilItsCopyIsInTheJournal) {
  auto session = Open(Target("raw"));
  const std::string marker = CommitRow(session.get(), 1, "one");
  files_.SetFault([](Operation operation, const std::string&) {
    return operation == Operation::kSync ? absl::InternalError("Input/output error")
                                         : absl::OkStatus();
  });
  ASSERT_TRUE(Write(session.get(), 2, {"two"}).ok());
  EXPECT_FALSE(Commit(session.get(), 2).ok());
  files_.SetFault(nullptr);
  ASSERT_TRUE(Commit(session.get(), 2).ok());
  ASSERT_TRUE(Settle(session.get(), 1).ok());
  EXPECT_TRUE(OpenStatus(Target("raw"), 2, marker).ok()) << "the journal ends with batch 1";
}

TEST_F(FileSinkTest, ManyLinesGoToTheFileAheadOfTheirCommit) {
  proto::Sink sink = Target("csv", "1 MiB");
  (*sink.mutable_options())["header"] = "true";
  (*sink.mutable_options())["max_held"] = "10 B";
  auto session = Open(sink);
  ASSERT_TRUE(Write(session.get(), 1, {"first", "second"}).ok());
  EXPECT_EQ(session->held_bytes(), 0);
  EXPECT_EQ(session->held_bytes_of(BatchId(1)), 13);
  ASSERT_TRUE(Write(session.get(), 1, {"third"}).ok());
  EXPECT_EQ(session->held_bytes(), 6);
  const int64_t syncs = files_.sync_count();
  ASSERT_TRUE(Commit(session.get(), 1).ok());
  EXPECT_EQ(files_.sync_count(), syncs + 1);
  const std::string marker = CommitRow(session.get(), 2, "fourth");
  session = Open(sink, 2, marker);
  session->Finish();
  ASSERT_TRUE(Commit(session.get(), 3).ok());
  ASSERT_TRUE(Settle(session.get(), 3).ok());
  EXPECT_EQ(Published(&files_, kOut), "value\nfirst\nsecond\nthird\nfourth\n");
}

// Lines that have left memory are nowhere else, and the other lines of the batch must not be
// published without them.
TEST_F(FileSinkTest, LinesAheadOfTheirCommitAreLostWithTheirFile) {
  std::string marker;
  for (const auto failing : {Operation::kAppend, Operation::kSync}) {
    proto::Sink sink = Target("raw");
    (*sink.mutable_options())["max_held"] = "10 B";
    const int64_t epoch = failing == Operation::kAppend ? 1 : 3;
    auto session = Open(sink, epoch, marker);
    marker = CommitRow(session.get(), epoch * 10, "one");
    ASSERT_TRUE(Write(session.get(), epoch * 10 + 1, {"first", "second"}).ok());
    ASSERT_TRUE(Write(session.get(), epoch * 10 + 1, {"third"}).ok());
    files_.SetFault([failing](Operation operation, const std::string&) {
      return operation == failing
                 ? WithFailureKind(absl::ResourceExhaustedError("no space left on device"),
                                   FailureKind::kEnvironment)
                 : absl::OkStatus();
    });
    absl::Status status = failing == Operation::kAppend
                              ? Write(session.get(), epoch * 10 + 1, {"fourth", "fifth"})
                              : Commit(session.get(), epoch * 10 + 1).status();
    files_.SetFault(nullptr);
    EXPECT_EQ(FailureKindOf(status), FailureKind::kEnvironment) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("make room there"));
    status = Commit(session.get(), epoch * 10 + 1).status();
    EXPECT_EQ(FailureKindOf(status), FailureKind::kEnvironment) << status;
    session = Open(sink, epoch + 1, marker);
    marker = CommitRow(session.get(), epoch * 10 + 1, "all again");
  }
  auto session = Open(Target("raw"), 5, marker);
  session->Finish();
  ASSERT_TRUE(Commit(session.get(), 100).ok());
  ASSERT_TRUE(Settle(session.get(), 100).ok());
  EXPECT_EQ(Published(&files_, kOut), "one\nall again\none\nall again\n");
}

TEST_F(FileSinkTest, RawLinesHoldNoLineEnd) {
  auto session = Open(Target("raw"));
  EXPECT_EQ(Write(session.get(), 1, {"one\ntwo"}).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(FileSinkTest, RefusesOptionsAndMarkersThatMeanNothing) {
  const auto connector = NewFileSinkConnector(&registry_, &files_);
  EXPECT_TRUE(connector->Validate(Target("raw", "1 GiB", "1 h")).ok());
  absl::Status status = connector->Validate(Target("raw", "big"));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("roll_size"));
  status = connector->Validate(Target("raw", "1", "soon"));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("roll_interval"));
  for (const char* marker :
       {"1", "1 4 part-0-0-0f0e0d0c.txt", "1 0 - 4 0 -", "1 0 - 0 0 .f.e1.open",
        "1 0 - 4 0 ../.f.e1.open", "1 0 - 4 0 f", "1 0 - 0 0 - 4", "1 0 - 0 0 - 0 .f.e1.open",
        "-1 0 - 0 0 -", "1 0 - 4 0 .f.ex.open", "1 0 - 4 0 .e1.open"}) {
    EXPECT_EQ(OpenStatus(Target("raw"), 1, marker).code(), absl::StatusCode::kDataLoss) << marker;
  }
}

class RealFileSinkTest : public FileSinkFixture {
 protected:
  RealFileSinkTest() {
    std::string pattern = std::string(std::getenv("TEST_TMPDIR")) + "/files-XXXXXX";
    directory_ = mkdtemp(pattern.data());
  }
  ~RealFileSinkTest() override { std::filesystem::remove_all(directory_); }

  FileSystem* const files_ = FileSystem::Real();
  std::string directory_;
};

TEST_F(RealFileSinkTest, WritesThroughEpochsWithAZombie) {
  proto::Sink sink = Table(directory_ + "/out", "raw");
  (*sink.mutable_options())["roll_size"] = "100 B";
  ASSERT_TRUE(NewFileSinkConnector(&registry_)->Probe(sink, absl::Seconds(1)).ok());
  std::string expected;
  std::string marker;
  std::unique_ptr<SingleShardSession> zombie;
  for (int64_t batch = 1; batch <= 40; ++batch) {
    auto session = *Open(files_, sink, batch, marker);
    if (zombie != nullptr && batch < 40) {  // the next claim removes what a zombie leaves behind
      ASSERT_TRUE(Write(zombie.get(), batch, {"from the grave"}).ok());
      ASSERT_TRUE(zombie->Commit(BatchId(batch), absl::InfiniteFuture()).ok());
      ASSERT_TRUE(zombie->Settle(BatchId(batch - 1), absl::InfiniteFuture()).ok());
    }
    const std::string line = absl::StrCat("line ", batch);
    expected += line + "\n";
    ASSERT_TRUE(Write(session.get(), batch, {line}).ok());
    if (batch == 40) {
      session->Finish();
    }
    ASSERT_TRUE(session->Commit(BatchId(batch), absl::InfiniteFuture()).ok());
    marker = session->mark().marker;
    if (batch % 3 == 0 || batch == 40) {
      ASSERT_TRUE(session->Settle(BatchId(batch), absl::InfiniteFuture()).ok());
    }
    zombie = std::move(session);
  }
  EXPECT_EQ(Published(files_, directory_ + "/out"), expected);
  const std::vector<std::string> listed = *files_->List(directory_ + "/out");
  for (const std::string& name : listed) {
    EXPECT_EQ(name[0], 'p') << name;
  }
}

TEST_F(RealFileSinkTest, AFileUrlIsThePathInIt) {
  const auto connector = NewFileSinkConnector(&registry_);
  const proto::Sink sink = Table("file://" + directory_ + "/out", "raw");
  ASSERT_TRUE(connector->Validate(sink).ok());
  ASSERT_TRUE(connector->Probe(sink, absl::Seconds(1)).ok());
  auto session = *Open(files_, sink, 1, "");
  ASSERT_TRUE(Write(session.get(), 1, {"line"}).ok());
  session->Finish();
  ASSERT_TRUE(session->Commit(BatchId(1), absl::InfiniteFuture()).ok());
  ASSERT_TRUE(session->Settle(BatchId(1), absl::InfiniteFuture()).ok());
  EXPECT_EQ(Published(files_, directory_ + "/out"), "line\n");
  const absl::Status refused = connector->Validate(Table("s3://bucket/out", "raw"));
  EXPECT_TRUE(absl::IsInvalidArgument(refused)) << refused;
}

TEST_F(RealFileSinkTest, AFileIsNoDirectory) {
  std::ofstream(directory_ + "/f") << "x";
  const absl::Status status =
      NewFileSinkConnector(&registry_)->Probe(Table(directory_ + "/f", "raw"), absl::Seconds(1));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("a sink writes to a directory"));
}

}  // namespace
}  // namespace millrace::file
