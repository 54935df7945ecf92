#include "executor/epoch/store_proof.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "common/storage/memory_file_system.h"

namespace millrace::executor {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kDirectory[] = "/snapshots";

EpochLayout Layout(const std::string& mark) {
  EpochLayout layout;
  layout.incarnation = Incarnation("inc-1");
  layout.epoch = Epoch(3);
  layout.snapshot_location = kDirectory;
  layout.store_mark = mark;
  return layout;
}

std::unique_ptr<CheckpointStore> ExecutorsStore(MemoryFileSystem* files) {
  auto store = CheckpointStore::Open(kDirectory, files, MissingDirectories::kRefuse);
  EXPECT_TRUE(store.ok()) << store.status();
  return *std::move(store);
}

TEST(StoreProofTest, TellsWhatTheDriversMarkHoldsAndLeavesOneForTheDriver) {
  MemoryFileSystem files;
  const auto drivers = *CheckpointStore::Open(kDirectory, &files);
  const auto mark = LeaveMark(drivers.get(), StoreMarkPrefix("inc-1", Epoch(3), "driver"));
  ASSERT_TRUE(mark.ok()) << mark.status();
  const auto proof = ProveStore(ExecutorsStore(&files).get(), Layout(mark->name));
  ASSERT_TRUE(proof.ok()) << proof.status();
  EXPECT_EQ(proof->nonce, mark->nonce);
  EXPECT_NE(proof->answer.name, mark->name);
  EXPECT_TRUE(CheckMark(drivers.get(), proof->answer).ok());
}

TEST(StoreProofTest, AnotherDirectoryOfThatNameIsNoProof) {
  MemoryFileSystem files;
  const auto drivers = *CheckpointStore::Open(kDirectory, &files);
  const auto mark = LeaveMark(drivers.get(), StoreMarkPrefix("inc-1", Epoch(3), "driver"));
  ASSERT_TRUE(mark.ok()) << mark.status();
  MemoryFileSystem elsewhere;
  const absl::Status status =
      ProveStore(ExecutorsStore(&elsewhere).get(), Layout(mark->name)).status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("snapshot directory /snapshots"),
                    HasSubstr("mount the one that the driver uses")));
}

}  // namespace
}  // namespace millrace::executor
