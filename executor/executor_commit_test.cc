// How an executor claims sink shards, commits what is prepared and settles it, under a scripted
// driver.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/failure_kind.h"
#include "executor/testing/test_cluster.h"

namespace millrace::executor {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

// "sink/shard marker @batch".
template <typename Messages>
std::vector<std::string> Markers(const Messages& messages) {
  std::vector<std::string> markers;
  for (const auto& message : messages) {
    for (const proto::SinkMarker& marker : message.markers()) {
      markers.push_back(absl::StrCat(marker.sink(), "/", marker.shard(), " ", marker.marker(), " @",
                                     marker.batch()));
    }
  }
  std::sort(markers.begin(), markers.end());
  return markers;
}

std::vector<std::string> EventsOf(const TestOutput& output, const std::string& prefix) {
  std::vector<std::string> events = output.Events();
  std::erase_if(events, [&](const std::string& event) { return !event.starts_with(prefix); });
  return events;
}

// Lines 0 … of t/0 go to shard 0, those of t/1 to shard 1.
void AppendLines(TestCluster* cluster, int count) {
  for (const char* partition : {"t/0", "t/1"}) {
    std::vector<std::string> lines;
    for (int i = 0; i < count; ++i) {
      lines.push_back(absl::StrCat(partition, "-", i));
    }
    cluster->topic.Append(partition, lines);
  }
}

TEST(ExecutorCommitTest, BatchesThatWaitAreCommittedInOneStep) {
  TestCluster cluster(2);
  AppendLines(&cluster, 3);
  TestJob job(&cluster, CopyPlan({}), {"t/0", "t/1"});
  job.Start(1);
  job.Run(1, {{"t/0", {0, 1}}});
  job.Run(2, {{"t/1", {0, 1}}});
  job.Run(3, {{"t/0", {1, 3}}, {"t/1", {1, 2}}});
  job.Run(4, {{"t/1", {2, 3}}});
  EXPECT_THAT(cluster.output.Rows(), IsEmpty());
  const auto committed = job.Commit(3);
  EXPECT_THAT(Markers(committed), ElementsAre("0/0 m3 @3", "0/1 m3 @3"));
  EXPECT_THAT(EventsOf(cluster.output, "commit"),
              UnorderedElementsAre("commit 0/0 b3", "commit 0/1 b3"));
  EXPECT_THAT(cluster.output.RowsOf(1), ElementsAre("t/0-0"));
  EXPECT_THAT(cluster.output.RowsOf(2), ElementsAre("t/1-0"));
  EXPECT_THAT(cluster.output.RowsOf(3), ElementsAre("t/0-1", "t/0-2", "t/1-1"));
  EXPECT_THAT(cluster.output.RowsOf(4), IsEmpty());
  // The next commit has only the rows that had waited.
  EXPECT_THAT(Markers(job.Commit(4)), ElementsAre("0/1 m4 @4"));
  EXPECT_THAT(cluster.output.RowsOf(4), ElementsAre("t/1-2"));
}

// Only rows of the first batch can have left memory for the transaction that took too long.
TEST(ExecutorCommitTest, ACommitThatIsTooLargeIsBlamedOnItsFirstBatch) {
  TestCluster cluster(1);
  cluster.topic.Append("t/0", {"a", "b"});
  TestJob job(&cluster, CopyPlan({}), {"t/0"});
  job.Start(1);
  job.Run(1, {{"t/0", {0, 1}}});
  job.Run(2, {{"t/0", {1, 2}}});
  cluster.output.FailCommits(
      1, WithFailureKind(absl::AbortedError("it was open for too long"), FailureKind::kTooLarge));
  job.SendCommit(2);
  const proto::EpochFailed failed = job.WaitFailed();
  EXPECT_EQ(failed.kind(), proto::FAILURE_TOO_LARGE);
  EXPECT_EQ(failed.batch(), 1);
}

// BatchCommitted of one batch asks all sessions when they want to be woken, while the next batch
// opens those of a partition that has just appeared.
TEST(ExecutorCommitTest, ABatchCommitsWhileTheNextOneOpensSessions) {
  constexpr int64_t kBatches = 100;
  TestCluster cluster(1);
  TestJob job(&cluster, CopyPlan({}), {"t/0"});
  cluster.topic.Append("t/0", {"first"});
  job.Start(1);
  job.Run(1, {{"t/0", {0, 1}}});
  for (int64_t batch = 2; batch <= kBatches; ++batch) {
    const std::string partition = absl::StrCat("t/", batch);
    cluster.topic.Append(partition, {partition});
    job.AddPartition(partition);
    job.SendCommit(batch - 1);
    job.SendRun(batch, {{partition, {0, 1}}});
    job.WaitPrepared(batch);
    job.WaitCommitted(batch - 1);
  }
  job.Commit(kBatches);
  EXPECT_EQ(cluster.output.Rows().size(), static_cast<size_t>(kBatches));
}

// A job with more sessions than an executor has threads for them, all of which hang.
class HangingJobTest : public ::testing::Test {
 protected:
  static constexpr int kPartitions = 200;
  static constexpr int kEnoughCalls = 96;

  HangingJobTest()
      : cluster(1), partitions_(Partitions()), hanging(&cluster, CopyPlan({}), partitions_) {
    hanging.SetName("hanging");
    for (const std::string& partition : partitions_) {
      cluster.topic.Append(partition, {partition});
      all_[partition] = {0, 1};
    }
  }
  ~HangingJobTest() override { cluster.output.Release(); }

  static std::vector<std::string> Partitions() {
    std::vector<std::string> partitions;
    for (int p = 0; p < kPartitions; ++p) {
      partitions.push_back(absl::StrCat("h/", p));
    }
    return partitions;
  }

  // Runs another job from its claims to a commit.
  void ExpectAnotherJobWorks() {
    cluster.topic.Append("t/0", {"a"});
    TestJob other(&cluster, CopyPlan({}), {"t/0"});
    other.Start(7);
    other.Run(11, {{"t/0", {0, 1}}});
    other.Commit(11);
    EXPECT_THAT(cluster.output.RowsOf(11), ElementsAre("a"));
  }

  TestCluster cluster;
  const std::vector<std::string> partitions_;
  TestJob::Ranges all_;
  TestJob hanging;
};

TEST_F(HangingJobTest, CommitsThatHangDoNotHoldUpAnotherJob) {
  hanging.Start(1);
  hanging.Run(1, all_);
  cluster.output.Hang("hanging");
  hanging.SendCommit(1);
  cluster.output.WaitUntilHanging(kEnoughCalls);
  ExpectAnotherJobWorks();
  cluster.output.Release();
  hanging.WaitCommitted(1);
}

TEST_F(HangingJobTest, ClaimsThatHangDoNotHoldUpAnotherJob) {
  cluster.output.Hang("hanging");
  hanging.SendStart(1);
  cluster.output.WaitUntilHanging(kEnoughCalls);
  ExpectAnotherJobWorks();
  cluster.output.Release();
  hanging.WaitReady(1);
}

TEST_F(HangingJobTest, AJobsOwnReportsGoOnWhileItsCommitsHang) {
  hanging.Start(1);
  hanging.Run(1, all_);
  cluster.output.Hang("hanging");
  hanging.SendCommit(1);
  cluster.output.WaitUntilHanging(kEnoughCalls);
  hanging.Run(2, {});
  cluster.output.Release();
  hanging.WaitCommitted(1);
}

TEST(ExecutorCommitTest, CommitSaidAgainIsAnsweredAndNotDoneAgain) {
  TestCluster cluster(1);
  AppendLines(&cluster, 2);
  TestJob job(&cluster, CopyPlan({}), {"t/0"});
  job.Start(1);
  job.Run(1, {{"t/0", {0, 1}}});
  job.Run(2, {{"t/0", {1, 2}}});
  EXPECT_THAT(Markers(job.Commit(2)), ElementsAre("0/0 m2 @2"));
  EXPECT_THAT(Markers(job.Commit(2)), ElementsAre("0/0 m2 @2"));
  EXPECT_THAT(EventsOf(cluster.output, "commit"), ElementsAre("commit 0/0 b2"));
}

TEST(ExecutorCommitTest, ClaimsAreReportedWithWhatIsOut) {
  TestCluster cluster(2);
  AppendLines(&cluster, 2);
  TestJob job(&cluster, CopyPlan({}), {"t/0", "t/1"});
  EXPECT_THAT(Markers(job.Start(1)), ElementsAre("0/0 e1 after '' @0", "0/1 e1 after '' @0"));
  job.Run(1, {{"t/0", {0, 1}}});
  job.Commit(1);
  EXPECT_THAT(Markers(job.Start(2)), ElementsAre("0/0 e2 after '' @1", "0/1 e2 after '' @0"));
}

TEST(ExecutorCommitTest, RetiredShardsAreClaimedOnceAndLeft) {
  TestCluster cluster(2);
  AppendLines(&cluster, 1);
  TestJob job(&cluster, CopyPlan({}), {"t/0"});
  for (const uint32_t shard : {5, 6, 7}) {
    proto::SinkMarker& retired = job.retired_shards.emplace_back();
    retired.set_shard(shard);
    retired.set_marker(absl::StrCat("old", shard));
  }
  const auto ready = job.Start(1);
  EXPECT_THAT(Markers(ready), ElementsAre("0/0 e1 after '' @0", "0/5 e1 after 'old5' @0",
                                          "0/6 e1 after 'old6' @0", "0/7 e1 after 'old7' @0"));
  EXPECT_EQ(ready[1].markers_size(), 1) << "the second member has a share of them";
  for (const char* shard : {"0/5", "0/6", "0/7"}) {
    EXPECT_THAT(EventsOf(cluster.output, absl::StrCat("close ", shard)),
                ElementsAre(absl::StrCat("close ", shard)));
  }
  EXPECT_THAT(cluster.output.Events(), Not(Contains("close 0/0")));
}

TEST(ExecutorCommitTest, RetiredShardOfAnUnknownSinkIsRefused) {
  TestCluster cluster(1);
  TestJob job(&cluster, CopyPlan({}), {});
  job.retired_shards.emplace_back().set_sink(3);
  job.SendStart(1);
  EXPECT_THAT(job.WaitFailed().message(), HasSubstr("unknown sink"));
}

TEST(ExecutorCommitTest, SessionSettlesBeforeItsNextCommitWhatIsInTheJournal) {
  TestCluster cluster(1);
  AppendLines(&cluster, 3);
  TestJob job(&cluster, CopyPlan({}), {"t/0"});
  job.Start(1);
  job.Run(1, {{"t/0", {0, 1}}});
  job.Commit(1);
  EXPECT_THAT(EventsOf(cluster.output, "settle"), IsEmpty()) << "not in the journal yet";
  job.Run(2, {{"t/0", {1, 2}}});
  job.durable_batch = 1;
  job.Commit(2);
  job.Commit(2);
  job.Run(3, {{"t/0", {2, 3}}});
  job.durable_batch = 2;
  job.Commit(3);
  std::vector<std::string> events = cluster.output.Events();
  std::erase_if(events, [](const std::string& event) {
    return !event.starts_with("settle") && !event.starts_with("commit");
  });
  EXPECT_THAT(events, ElementsAre("commit 0/0 b1", "settle 0/0 b1", "commit 0/0 b2",
                                  "settle 0/0 b2", "commit 0/0 b3"));
}

TEST(ExecutorCommitTest, SessionWithoutRowsSettlesWhenTheJournalHasItsCommit) {
  TestCluster cluster(1);
  AppendLines(&cluster, 2);
  TestJob job(&cluster, CopyPlan({}), {"t/0", "t/1"});
  job.Start(1);
  job.Run(1, {{"t/0", {0, 1}}});
  job.Commit(1);
  job.durable_batch = 1;
  job.Run(2, {{"t/1", {0, 1}}});  // tells that batch 1 is durable; has no rows for shard 0
  job.Commit(2);
  EXPECT_THAT(EventsOf(cluster.output, "settle"), ElementsAre("settle 0/0 b1"));
}

TEST(ExecutorCommitTest, SettlingThatFailsEndsTheEpoch) {
  TestCluster cluster(1);
  AppendLines(&cluster, 2);
  TestJob job(&cluster, CopyPlan({}), {"t/0"});
  job.Start(1);
  job.Run(1, {{"t/0", {0, 1}}});
  job.Commit(1);
  cluster.output.FailSettling(absl::PermissionDeniedError("/out is not yours"));
  job.durable_batch = 1;
  job.SendRun(2, {{"t/0", {1, 2}}});
  job.SendCommit(2);
  const proto::EpochFailed failed = job.WaitFailed();
  EXPECT_FALSE(failed.retryable());
  EXPECT_THAT(failed.message(), HasSubstr("table out, shard 0: /out is not yours"));
}

// The driver takes DATA_LOSS without a batch to mean that a snapshot cannot be read, and falls back
// to an older one.
TEST(ExecutorCommitTest, LossThatASinkReportsIsNotTakenForASnapshots) {
  TestCluster cluster(1);
  TestJob job(&cluster, CopyPlan({}), {"t/0"});
  cluster.output.FailOpening(absl::DataLossError("the marker is gone"));
  job.SendStart(1);
  const proto::EpochFailed failed = job.WaitFailed();
  EXPECT_EQ(failed.code(), static_cast<int32_t>(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(failed.message(), HasSubstr("table out, shard 0: the marker is gone"));
}

TEST(ExecutorCommitTest, SessionWhoseTimeHasComeIsCommittedWithoutRows) {
  TestCluster cluster(1);
  AppendLines(&cluster, 3);
  TestJob job(&cluster, CopyPlan({}), {"t/0", "t/1"});
  job.Start(1);
  cluster.output.WakeAt(2000000);  // the time of batch 2
  job.SendRun(1, {{"t/0", {0, 1}}});
  EXPECT_EQ(job.WaitPrepared(1)[0].wake_at_us(), 2000000);
  EXPECT_THAT(Markers(job.Commit(1)), ElementsAre("0/0 m1 @1"));
  job.Run(2, {});
  EXPECT_THAT(Markers(job.Commit(2)), ElementsAre("0/0 m2 @2", "0/1 m2 @2"));
  EXPECT_THAT(EventsOf(cluster.output, "note"),
              UnorderedElementsAre("note 0/0 b1 at 1000000", "note 0/0 b2 at 2000000",
                                   "note 0/1 b2 at 2000000"));
  cluster.output.WakeAt(0);
  job.SendRun(3, {{"t/0", {1, 2}}});
  EXPECT_EQ(job.WaitPrepared(3)[0].wake_at_us(), 0);
  EXPECT_THAT(Markers(job.Commit(3)), ElementsAre("0/0 m3 @3"));
}

// The refusal is judged again with the batch, so the sink must know that the batch was committed.
TEST(ExecutorCommitTest, SessionThatRefusesAllRowsOfABatchCommitsIt) {
  TestCluster cluster(1);
  AppendLines(&cluster, 3);
  cluster.output.Refuse({"t/0-0", "t/0-1"});
  TestJob job(&cluster, CopyPlan({.on_error = proto::ON_ERROR_SKIP}), {"t/0", "t/1"});
  job.Start(1);
  job.Run(1, {{"t/0", {0, 1}}});
  EXPECT_THAT(EventsOf(cluster.output, "note"), ElementsAre("note 0/0 b1 at 1000000"));
  EXPECT_THAT(Markers(job.Commit(1)), ElementsAre("0/0 m1 @1"));
  EXPECT_THAT(cluster.output.Rows(), IsEmpty());
  job.Run(2, {{"t/0", {1, 3}}});
  EXPECT_THAT(Markers(job.Commit(2)), ElementsAre("0/0 m2 @2"));
  EXPECT_THAT(cluster.output.RowsOf(2), ElementsAre("t/0-2"));
}

// A session whose wake-up stays overdue must not hide the later wake-ups of others from the driver.
TEST(ExecutorCommitTest, AnOverdueWakeHidesNoLaterOne) {
  TestCluster cluster(1);
  AppendLines(&cluster, 3);
  TestJob job(&cluster, CopyPlan({}), {"t/0", "t/1"});
  job.Start(1);
  cluster.output.WakeOneAt("0/0", 1);
  cluster.output.WakeOneAt("0/1", 7000000);
  job.SendRun(1, {{"t/0", {0, 1}}});
  EXPECT_EQ(job.WaitPrepared(1)[0].wake_at_us(), 7000000);
}

// The wake-up of a shard with expiring state stays as it is until the batch that it was for has
// ended.
TEST(ExecutorCommitTest, AnOverdueWakeOfAShardHidesNoLaterOneWhileABatchRuns) {
  TestCluster cluster(1);
  std::string many;  // words for all shards
  for (int i = 0; i < 100; ++i) {
    absl::StrAppend(&many, i == 0 ? "" : " ", "word-", i);
  }
  cluster.topic.Append("t/0", {"first", many, "late"});
  cluster.topic.Withhold("t/0", 2);
  proto::JobPlan plan = WordCountPlan({}, /*per_batch=*/false);
  (*plan.mutable_settings())["state_ttl"] = "2 s";
  TestJob job(&cluster, plan, {"t/0"});
  job.Start(1);
  job.Run(1, {{"t/0", {0, 1}}});
  job.Commit(1);
  job.Run(2, {{"t/0", {1, 2}}});
  job.Commit(2);
  job.SendRun(3, {});
  EXPECT_EQ(job.WaitPrepared(3)[0].wake_at_us(), 3000001) << "the first word expires";
  job.SendRun(4, {{"t/0", {2, 3}}});  // at the time 4000000; waits for its record
  EXPECT_EQ(job.Commit(3)[0].wake_at_us(), 4000001) << "when the other words expire";
  cluster.topic.Release("t/0");
  EXPECT_EQ(job.WaitPrepared(4)[0].wake_at_us(), 4000001);
}

TEST(ExecutorCommitTest, LastCommitOfAJobIsEverySessionsAndSettledBeforeTheEnd) {
  TestCluster cluster(1);
  AppendLines(&cluster, 3);
  TestJob job(&cluster, CopyPlan({}), {"t/0", "t/1"});
  job.Start(1);
  job.Run(1, {{"t/0", {0, 1}}});
  job.Run(2, {{"t/0", {1, 2}}});
  job.finish = true;
  EXPECT_THAT(Markers(job.Commit(2)), ElementsAre("0/0 m2 @2", "0/1 m2 @2"));
  job.durable_batch = 2;
  job.Stop();
  for (const char* shard : {"0/0", "0/1"}) {
    std::vector<std::string> events = cluster.output.Events();
    std::erase_if(events, [&](const std::string& event) {
      return event.find(shard) == std::string::npos || event.starts_with("prepare") ||
             event.starts_with("note");
    });
    EXPECT_THAT(events,
                ElementsAre(absl::StrCat("open ", shard, " ''"), absl::StrCat("finish ", shard),
                            absl::StrCat("commit ", shard, " b2"),
                            absl::StrCat("settle ", shard, " b2"), absl::StrCat("close ", shard)));
  }
}

TEST(ExecutorCommitTest, SettlingThatFailsAtTheEndIsTheAnswer) {
  TestCluster cluster(1);
  AppendLines(&cluster, 1);
  TestJob job(&cluster, CopyPlan({}), {"t/0"});
  job.Start(1);
  job.Run(1, {{"t/0", {0, 1}}});
  job.Commit(1);
  cluster.output.FailSettling(absl::PermissionDeniedError("/out is not yours"));
  job.durable_batch = 1;
  job.SendStop();
  EXPECT_THAT(job.WaitFailed().message(), HasSubstr("/out is not yours"));
}

TEST(ExecutorCommitTest, HeldBytesOfAllThatWaitsAreReported) {
  TestCluster cluster(1);
  AppendLines(&cluster, 3);
  TestJob job(&cluster, CopyPlan({}), {"t/0"});
  job.Start(1);
  job.SendRun(1, {{"t/0", {0, 1}}});
  EXPECT_EQ(job.WaitPrepared(1)[0].held_bytes(), 5);
  job.SendRun(2, {{"t/0", {1, 3}}});
  EXPECT_EQ(job.WaitPrepared(2)[0].held_bytes(), 15);
  job.Commit(2);
  job.SendRun(3, {});
  EXPECT_EQ(job.WaitPrepared(3)[0].held_bytes(), 0);
}

TEST(ExecutorCommitTest, BatchThatIsOutIsNotWrittenAgain) {
  TestCluster cluster(1);
  AppendLines(&cluster, 2);
  TestJob job(&cluster, CopyPlan({}), {"t/0"});
  job.Start(1);
  job.Run(1, {{"t/0", {0, 1}}});
  job.Commit(1);  // and the driver dies before the commit is in its journal
  job.Start(2);
  job.Run(1, {{"t/0", {0, 1}}});
  job.Run(2, {{"t/0", {1, 2}}});
  EXPECT_THAT(Markers(job.Commit(2)), ElementsAre("0/0 m2 @2"));
  EXPECT_THAT(cluster.output.Rows(), ElementsAre("t/0-0", "t/0-1"));
}

}  // namespace
}  // namespace millrace::executor
