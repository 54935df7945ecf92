// Executors whose machines see the snapshot directory, do not see it, or lose it later.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/status/status.h"
#include "common/storage/checkpoint_store.h"
#include "common/storage/memory_file_system.h"
#include "common/storage/store_mark.h"
#include "executor/testing/test_cluster.h"

namespace millrace::executor {
namespace {

using ::testing::HasSubstr;

// Two machines' file systems; the second one's is empty, as a mount point is.
class MountTest : public ::testing::Test {
 protected:
  MountTest() { EXPECT_TRUE(share.MakeDirectory("/snapshots/incarnation-1").ok()); }

  // Writes the mark that a driver leaves for the executors of an epoch.
  std::string DriversMark(int64_t epoch) {
    const auto store = *CheckpointStore::Open("/snapshots", &share);
    driver_mark = *LeaveMark(store.get(), StoreMarkPrefix("incarnation-1", Epoch(epoch), "driver"));
    return driver_mark.name;
  }

  MemoryFileSystem share;
  MemoryFileSystem empty;
  StoreMark driver_mark;
};

TEST_F(MountTest, ExecutorsProveThatTheySeeTheDriversDirectory) {
  TestCluster cluster({&share, &share});
  TestJob job(&cluster, CountPlan({}), {"t/0"});
  job.store_mark = DriversMark(1);
  const auto store = *CheckpointStore::Open("/snapshots", &share);
  for (const proto::EpochReady& ready : job.Start(1)) {
    EXPECT_EQ(ready.store_mark_nonce(), driver_mark.nonce);
    const StoreMark answer{ready.store_answer().name(), ready.store_answer().nonce()};
    EXPECT_TRUE(CheckMark(store.get(), answer).ok());
  }
}

TEST_F(MountTest, AnExecutorWithoutTheMountSaysSoAndMakesNoDirectory) {
  TestCluster cluster({&share, &empty});
  TestJob job(&cluster, CountPlan({}), {"t/0"});
  job.store_mark = DriversMark(1);
  job.SendStart(1);
  const proto::EpochFailed failed = job.WaitFailed();
  EXPECT_TRUE(failed.store_unseen());
  EXPECT_TRUE(failed.retryable());
  EXPECT_THAT(failed.message(), HasSubstr("snapshot directory /snapshots"));
  EXPECT_THAT(failed.message(), HasSubstr("mount the one that the driver uses"));
  EXPECT_TRUE(absl::IsNotFound(empty.List("/snapshots").status()));
}

TEST_F(MountTest, AnOldCopyOfTheDirectoryIsNotTheDirectory) {
  ASSERT_TRUE(empty.MakeDirectory("/snapshots/incarnation-1").ok());
  TestCluster cluster({&empty});
  TestJob job(&cluster, CountPlan({}), {"t/0"});
  job.store_mark = DriversMark(1);
  job.SendStart(1);
  EXPECT_TRUE(job.WaitFailed().store_unseen());
}

TEST_F(MountTest, AReadOnlyMountIsSaidBeforeTheEpochBegins) {
  TestCluster cluster({&share});
  TestJob job(&cluster, CountPlan({}), {"t/0"});
  job.store_mark = DriversMark(1);
  share.SetFault([](MemoryFileSystem::Operation operation, const std::string&) {
    return operation == MemoryFileSystem::Operation::kCreate
               ? absl::PermissionDeniedError("read-only file system")
               : absl::OkStatus();
  });
  job.SendStart(1);
  const proto::EpochFailed failed = job.WaitFailed();
  EXPECT_TRUE(failed.store_unseen());
  EXPECT_THAT(failed.message(), HasSubstr("read-only file system"));
}

TEST_F(MountTest, ADirectoryThatVanishesLaterGetsNoSnapshots) {
  TestCluster cluster({&empty});
  cluster.topic.Append("t/0", {"a", "b"});
  TestJob job(&cluster, CountPlan({}), {"t/0"});
  job.Start(1);
  job.Run(1, {{"t/0", {0, 2}}});
  job.Commit(1);
  job.SendSnapshot(1, true);
  EXPECT_THAT(job.WaitSnapshot(1)[0].error(), HasSubstr("its directory is missing"));
  EXPECT_TRUE(absl::IsNotFound(empty.List("/snapshots").status()));
}

}  // namespace
}  // namespace millrace::executor
