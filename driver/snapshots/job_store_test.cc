// A job's snapshot directory as the driver uses it, over file systems that lose things.
#include "driver/snapshots/job_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/storage/checkpoint_store.h"
#include "common/storage/memory_file_system.h"
#include "common/storage/store_mark.h"

namespace millrace::driver {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using Operation = MemoryFileSystem::Operation;

constexpr char kDirectory[] = "/share/snapshots";

// Waits for the answer to a call of JobStore.
template <typename Result>
class Answer {
 public:
  std::function<void(Result)> Take() {
    return [this](Result result) {
      result_ = std::move(result);
      come_.Notify();
    };
  }
  const Result& Wait() {
    EXPECT_TRUE(come_.WaitForNotificationWithTimeout(absl::Seconds(20)));
    return *result_;
  }

 private:
  std::optional<Result> result_;
  absl::Notification come_;
};

class JobStoreTest : public ::testing::Test {
 protected:
  JobStoreTest() { Restart(); }

  // Starts as another driver that has left no mark yet.
  void Restart() {
    store_ = std::make_unique<JobStore>(Clock::Real(), &files_, pinned_, kDirectory, "inc-1");
  }
  absl::StatusOr<proto::StoreMark> Mark(int64_t epoch, bool may_make = true) {
    Answer<absl::StatusOr<proto::StoreMark>> answer;
    store_->Mark(Epoch(epoch), may_make, answer.Take());
    return answer.Wait();
  }
  absl::Status CheckAnswer(const StoreMark& mark) {
    proto::StoreMark sent;
    sent.set_name(mark.name);
    sent.set_nonce(mark.nonce);
    Answer<absl::Status> answer;
    store_->CheckAnswer(sent, answer.Take());
    return answer.Wait();
  }
  JobStore::Finding CheckFiles(const std::vector<proto::SnapshotFile>& files) {
    Answer<JobStore::Finding> answer;
    store_->CheckFiles(files, answer.Take());
    return answer.Wait();
  }
  // Opens the store as an executor does.
  std::unique_ptr<CheckpointStore> ExecutorsStore() {
    return *CheckpointStore::Open(kDirectory, &files_, MissingDirectories::kRefuse);
  }
  proto::SnapshotFile Write(const std::string& name, const std::string& bytes) {
    proto::SnapshotFile file;
    file.set_name("inc-1/" + name);
    file.set_bytes(bytes.size());
    file.set_checksum(XXH3_64bits(bytes.data(), bytes.size()));
    EXPECT_TRUE(ExecutorsStore()->Write(file.name(), bytes).ok());
    return file;
  }
  std::vector<std::string> Names() { return *ExecutorsStore()->List("inc-1"); }

  MemoryFileSystem files_;
  std::shared_ptr<PinnedFiles> pinned_ = std::make_shared<PinnedFiles>();
  std::unique_ptr<JobStore> store_;
};

TEST_F(JobStoreTest, BothSidesProveThatTheySeeOneDirectory) {
  const auto mark = Mark(3);
  ASSERT_TRUE(mark.ok()) << mark.status();
  const auto executors = ExecutorsStore();
  EXPECT_EQ(*ReadMark(executors.get(), mark->name()), mark->nonce());
  const auto answer = LeaveMark(executors.get(), StoreMarkPrefix("inc-1", Epoch(3), "executor"));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_TRUE(CheckAnswer(*answer).ok());
  EXPECT_THAT(Names(), ElementsAre(StartsWith("e3-b0-driver-"))) << "an answer is read once";
}

TEST_F(JobStoreTest, AnAnswerThatIsElsewhereOrAnotherOneIsNone) {
  ASSERT_TRUE(Mark(1).ok());
  MemoryFileSystem elsewhere;
  const auto there = *CheckpointStore::Open(kDirectory, &elsewhere);
  const auto answer = LeaveMark(there.get(), StoreMarkPrefix("inc-1", Epoch(1), "executor"));
  EXPECT_TRUE(absl::IsNotFound(CheckAnswer(*answer)));
  const auto executors = ExecutorsStore();
  auto other = *LeaveMark(executors.get(), StoreMarkPrefix("inc-1", Epoch(1), "executor"));
  other.nonce = "something else";
  EXPECT_TRUE(absl::IsDataLoss(CheckAnswer(other)));
}

TEST_F(JobStoreTest, AnswersOutsideOfTheJobsDirectoryAreNotTouched) {
  ASSERT_TRUE(Mark(1).ok());
  const auto store = *CheckpointStore::Open(kDirectory, &files_);
  ASSERT_TRUE(store->Write("inc-2/e1-b0-executor-x", "n").ok());
  EXPECT_TRUE(absl::IsInvalidArgument(CheckAnswer({"inc-2/e1-b0-executor-x", "n"})));
  EXPECT_TRUE(absl::IsInvalidArgument(CheckAnswer({"inc-1/../inc-2/e1-b0-executor-x", "n"})));
  EXPECT_TRUE(store->Read("inc-2/e1-b0-executor-x").ok());
}

TEST_F(JobStoreTest, ADirectoryThatIsNotMountedIsNotMadeAnew) {
  const auto mark = Mark(5, /*may_make=*/false);
  EXPECT_TRUE(absl::IsNotFound(mark.status())) << mark.status();
  EXPECT_THAT(std::string(mark.status().message()), HasSubstr("/share/snapshots/inc-1"));
  EXPECT_TRUE(absl::IsNotFound(files_.List("/share/snapshots").status()));
  // The share is mounted again.
  ASSERT_TRUE(files_.MakeDirectory("/share/snapshots/inc-1").ok());
  EXPECT_TRUE(Mark(6, /*may_make=*/false).ok());
}

TEST_F(JobStoreTest, FilesAreComparedWithWhatWasWritten) {
  ASSERT_TRUE(Mark(1).ok());
  const std::string large(size_t{9} << 20, 'x');  // several pieces
  const std::vector<proto::SnapshotFile> files = {Write("e1-b1-a-1.state", "first"),
                                                  Write("e1-b2-a-2.state", large + "y")};
  EXPECT_TRUE(CheckFiles(files).status.ok());
  const std::string path = absl::StrCat(kDirectory, "/", files[1].name());
  for (const std::string& bytes :
       {large, large + "z", large + "yy", std::string(), "z" + large, large + large}) {
    files_.Overwrite(path, bytes);
    const JobStore::Finding found = CheckFiles(files);
    EXPECT_TRUE(absl::IsDataLoss(found.status)) << bytes.size() << ": " << found.status;
    EXPECT_EQ(found.file, files[1].name());
  }
  ASSERT_TRUE(files_.Remove(path).ok());
  const JobStore::Finding gone = CheckFiles(files);
  EXPECT_TRUE(absl::IsDataLoss(gone.status)) << gone.status;
  EXPECT_THAT(std::string(gone.status.message()), HasSubstr(files[1].name()));
}

TEST_F(JobStoreTest, WhatCannotBeReadNowIsNotBroken) {
  ASSERT_TRUE(Mark(1).ok());
  const std::vector<proto::SnapshotFile> files = {Write("e1-b1-a-1.state", "first")};
  for (const absl::Status& error :
       {absl::InternalError("Input/output error"), absl::PermissionDeniedError("not permitted")}) {
    files_.SetFault([&](Operation operation, const std::string& path) {
      return operation == Operation::kRead && path.ends_with(".state") ? error : absl::OkStatus();
    });
    EXPECT_EQ(CheckFiles(files).status.code(), error.code());
    files_.SetFault(nullptr);
  }
  EXPECT_TRUE(CheckFiles(files).status.ok());
}

TEST_F(JobStoreTest, FilesThatAreGoneWithTheirDirectoryAreElsewhere) {
  const auto mark = Mark(1);
  const std::vector<proto::SnapshotFile> files = {Write("e1-b1-a-1.state", "first")};
  ASSERT_TRUE(files_.Remove(absl::StrCat(kDirectory, "/", files[0].name())).ok());
  ASSERT_TRUE(files_.Remove(absl::StrCat(kDirectory, "/", mark->name())).ok());
  const JobStore::Finding found = CheckFiles(files);
  EXPECT_TRUE(absl::IsUnavailable(found.status)) << found.status;
  EXPECT_THAT(std::string(found.status.message()), HasSubstr("is it mounted?"));
}

TEST_F(JobStoreTest, MarksGoWithOldSnapshotsAndTheOneInUseStays) {
  ASSERT_TRUE(Mark(1).ok());
  Restart();
  ASSERT_TRUE(Mark(2).ok());
  ASSERT_TRUE(Mark(3).ok());
  EXPECT_EQ(Names().size(), 2u) << "its own one before goes at once";
  Write("e3-b7-a-1.state", "old");
  const proto::SnapshotFile kept = Write("e3-b8-a-2.state", "new");
  store_->RemoveOld(Epoch(3), BatchId(8), {kept.name()});
  EXPECT_TRUE(CheckFiles({kept}).status.ok()) << "comes after";
  EXPECT_THAT(Names(), ElementsAre(StartsWith("e3-b0-driver-"), "e3-b8-a-2.state"));
}

// A directory of that name, say, or another user's file. The disk would fill up behind it.
TEST_F(JobStoreTest, AFileThatCannotBeRemovedKeepsNoOther) {
  ASSERT_TRUE(Mark(1).ok());
  Write("e1-b1-a-1.state", "it stays");
  Write("e1-b2-a-2.state", "old");
  const proto::SnapshotFile kept = Write("e1-b3-a-3.state", "new");
  files_.SetFault([](MemoryFileSystem::Operation operation, const std::string& path) {
    return operation == MemoryFileSystem::Operation::kRemove && path.ends_with("e1-b1-a-1.state")
               ? absl::InternalError("Is a directory")
               : absl::OkStatus();
  });
  store_->RemoveOld(Epoch(1), BatchId(3), {kept.name()});
  EXPECT_TRUE(CheckFiles({kept}).status.ok()) << "comes after";
  EXPECT_THAT(Names(),
              ElementsAre(StartsWith("e1-b0-driver-"), "e1-b1-a-1.state", "e1-b3-a-3.state"));
}

TEST_F(JobStoreTest, WhatIsBeingCopiedStays) {
  ASSERT_TRUE(Mark(1).ok());
  const proto::SnapshotFile copied = Write("e1-b1-a-1.state", "old");
  const proto::SnapshotFile kept = Write("e1-b2-a-2.state", "new");
  std::shared_ptr<void> pin = pinned_->Pin({copied.name()});
  std::shared_ptr<void> second = pinned_->Pin({copied.name()});
  store_->RemoveOld(Epoch(1), BatchId(2), {kept.name()});
  pin.reset();
  store_->RemoveOld(Epoch(1), BatchId(2), {kept.name()});
  EXPECT_TRUE(CheckFiles({copied, kept}).status.ok());
  second.reset();
  store_->RemoveOld(Epoch(1), BatchId(2), {kept.name()});
  EXPECT_EQ(CheckFiles({copied}).file, copied.name()) << "it is gone";
}

TEST_F(JobStoreTest, ADirectoryThatHangsHoldsNobodyUp) {
  ASSERT_TRUE(Mark(1).ok());
  const std::vector<proto::SnapshotFile> files = {Write("e1-b1-a-1.state", "first")};
  absl::Notification answers_again;
  files_.SetFault([&](Operation, const std::string&) {
    answers_again.WaitForNotification();
    return absl::OkStatus();
  });
  Answer<JobStore::Finding> looked;
  store_->CheckFiles(files, looked.Take());
  store_->RemoveOld(Epoch(1), BatchId(1), {});
  answers_again.Notify();
  EXPECT_TRUE(looked.Wait().status.ok());
}

}  // namespace
}  // namespace millrace::driver
