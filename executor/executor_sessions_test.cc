// Sinks whose shards share a session of each executor, under a scripted driver: what is claimed and
// when, what one commit shows, and what is visible already.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "executor/testing/test_cluster.h"

namespace millrace::executor {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

constexpr TestPlanOptions kShared{.sink = "test-shared"};

// "g0/s1 e2 b3": slot 1 of group 0 was written last by epoch 2, through batch 3.
template <typename Messages>
std::vector<std::string> Marks(const Messages& messages) {
  std::vector<std::string> marks;
  for (const auto& message : messages) {
    for (const proto::SessionMark& mark : message.sessions()) {
      marks.push_back(absl::StrCat("g", mark.group(), "/s", mark.slot(), " e", mark.written_epoch(),
                                   " b", mark.batch()));
    }
  }
  std::sort(marks.begin(), marks.end());
  return marks;
}

std::vector<std::string> EventsOf(const TestOutput& output, const std::string& prefix) {
  std::vector<std::string> events = output.Events();
  std::erase_if(events, [&](const std::string& event) { return !event.starts_with(prefix); });
  return events;
}

proto::SessionMark LeftSlot(uint32_t group, uint32_t slot, const std::string& marker) {
  proto::SessionMark left;
  left.set_group(group);
  left.set_slot(slot);
  left.set_marker(marker);
  return left;
}

proto::VisibleShards Visible(uint32_t shard, const std::string& terms) {
  proto::VisibleShards visible;
  visible.add_shards(shard);
  visible.set_terms(terms);
  return visible;
}

// Line i of partition p is "p-i".
void AppendLines(TestCluster* cluster, const std::vector<std::string>& partitions, int count) {
  for (const std::string& partition : partitions) {
    std::vector<std::string> lines;
    for (int i = 0; i < count; ++i) {
      lines.push_back(absl::StrCat(partition, "-", i));
    }
    cluster->topic.Append(partition, lines);
  }
}

TEST(ExecutorSessionsTest, OneCommitShowsAllShardsOfAllSinksOfAGroup) {
  TestCluster cluster(2);
  const std::vector<std::string> partitions = {"t/0", "t/1", "t/2", "t/3"};
  AppendLines(&cluster, partitions, 20);
  TestJob job(&cluster, TwoTablesPlan(kShared), partitions);
  job.groups = {{0, 1}};
  const auto ready = job.Start(1);
  EXPECT_THAT(Marks(ready), ElementsAre("g0/s0 e0 b0", "g0/s1 e0 b0"));
  EXPECT_THAT(ready[0].markers(), IsEmpty());
  ASSERT_EQ(ready[1].sessions(0).terms_size(), 2);
  EXPECT_EQ(ready[1].sessions(0).terms(1).sink(), 1u);
  EXPECT_EQ(ready[1].sessions(0).terms(1).terms(), "e1 for 1");
  job.Run(1, {{"t/0", {0, 20}}, {"t/1", {0, 20}}, {"t/2", {0, 20}}, {"t/3", {0, 20}}});
  EXPECT_THAT(cluster.output.Rows(), IsEmpty());
  const auto committed = job.Commit(1);
  EXPECT_THAT(Marks(committed), ElementsAre("g0/s0 e1 b1", "g0/s1 e1 b1"));
  EXPECT_EQ(committed[0].sessions(0).marker(), "e1 b1");
  EXPECT_THAT(committed[0].markers(), IsEmpty());
  EXPECT_THAT(EventsOf(cluster.output, "prepare"),
              UnorderedElementsAre("prepare g0/s0 b1", "prepare g0/s1 b1"));
  EXPECT_THAT(
      EventsOf(cluster.output, "commit"),
      UnorderedElementsAre("commit g0/s0 b1: 0/0 0/2 1/0 1/2", "commit g0/s1 b1: 0/1 0/3 1/1 1/3"));
  EXPECT_EQ(cluster.output.RowsOf(1).size(), 160u);
}

TEST(ExecutorSessionsTest, GroupsCommitApart) {
  TestCluster cluster(1);
  AppendLines(&cluster, {"t/0"}, 20);
  TestJob job(&cluster, TwoTablesPlan(kShared), {"t/0"});
  job.groups = {{0}, {1}};
  job.Start(1);
  job.Run(1, {{"t/0", {0, 20}}});
  job.Commit(1);
  EXPECT_THAT(EventsOf(cluster.output, "commit"),
              UnorderedElementsAre("commit g0/s0 b1: 0/0", "commit g1/s0 b1: 1/0 1/1 1/2 1/3"));
}

TEST(ExecutorSessionsTest, ASessionWithoutRowsDoesNotCommit) {
  TestCluster cluster(2);
  AppendLines(&cluster, {"t/0", "t/1"}, 1);
  TestJob job(&cluster, CopyPlan(kShared), {"t/0", "t/1"});
  job.groups = {{0}};
  job.Start(1);
  job.Run(1, {{"t/1", {0, 1}}});
  EXPECT_THAT(Marks(job.Commit(1)), ElementsAre("g0/s1 e1 b1"));
}

TEST(ExecutorSessionsTest, TheNextEpochFindsWhatWasWritten) {
  TestCluster cluster(2);
  AppendLines(&cluster, {"t/0", "t/1"}, 1);
  TestJob job(&cluster, CopyPlan(kShared), {"t/0", "t/1"});
  job.groups = {{0}};
  job.Start(4);
  job.Run(1, {{"t/1", {0, 1}}});
  job.Commit(1);
  EXPECT_THAT(Marks(job.Start(5)), ElementsAre("g0/s0 e0 b0", "g0/s1 e4 b1"));
}

TEST(ExecutorSessionsTest, LeftSlotsAreClaimedAndClosedAtOnce) {
  TestCluster cluster(2);
  AppendLines(&cluster, {"t/0"}, 1);
  TestJob job(&cluster, TwoTablesPlan(kShared), {"t/0"});
  job.groups = {{0, 1}};
  // Slots 2 and 3 of members that the epoch has no more, and one of a group that is now part of
  // another.
  job.left_slots = {LeftSlot(0, 2, "two"), LeftSlot(0, 3, "three"), LeftSlot(1, 0, "zero")};
  const auto ready = job.Start(1);
  EXPECT_THAT(Marks(ready), ElementsAre("g0/s0 e0 b0", "g0/s1 e0 b0", "g0/s2 e0 b0", "g0/s3 e0 b0",
                                        "g1/s0 e0 b0"));
  EXPECT_EQ(ready[1].sessions_size(), 2) << "the second member has a share of them";
  for (const proto::EpochReady& of_member : ready) {
    for (const proto::SessionMark& mark : of_member.sessions()) {
      EXPECT_EQ(mark.terms_size(), mark.group() == 0 && mark.slot() < 2 ? 2 : 0);
    }
  }
  EXPECT_THAT(
      EventsOf(cluster.output, "open"),
      UnorderedElementsAre("open g0/s0 of 0,1 ''", "open g0/s1 of 0,1 ''", "open g0/s2 of 0 'two'",
                           "open g0/s3 of 0 'three'", "open g1/s0 of 1 'zero'"));
  EXPECT_THAT(EventsOf(cluster.output, "close"),
              UnorderedElementsAre("close g0/s2", "close g0/s3", "close g1/s0"));
  job.Run(1, {{"t/0", {0, 1}}});
  job.finish = true;
  EXPECT_THAT(Marks(job.Commit(1)), Each(AllOf(StartsWith("g0/s"), Not(HasSubstr("s2")))));
}

TEST(ExecutorSessionsTest, VisibleShardsAreJudgedAndNotWritten) {
  TestCluster cluster(1);
  AppendLines(&cluster, {"t/0", "t/1"}, 4);
  TestPlanOptions options = kShared;
  options.on_error = proto::ON_ERROR_SKIP;
  TestJob job(&cluster, CopyPlan(options), {"t/0", "t/1"});
  job.groups = {{0}};
  job.Start(3);

  job.visible = {Visible(0, "e2 for 0")};
  job.SendRun(1, {{"t/0", {0, 1}}, {"t/1", {0, 1}}});
  EXPECT_EQ(job.WaitPrepared(1)[0].rows_out(), 2) << "a replay counts what the first run counted";
  job.Commit(1);
  EXPECT_THAT(cluster.output.Rows(), ElementsAre("t/1-0"));
  EXPECT_THAT(EventsOf(cluster.output, "judge"), ElementsAre("judge 0/0 b1 by 'e2 for 0'"));

  job.Run(2, {{"t/0", {1, 2}}});
  EXPECT_THAT(Marks(job.Commit(2)), IsEmpty()) << "there is nothing to commit";

  // The rows are out, but it must also be known by which rows the failed records were chosen.
  cluster.output.Refuse({"t/0-2"});
  job.Run(3, {{"t/0", {2, 3}}});
  EXPECT_THAT(Marks(job.Commit(3)), ElementsAre("g0/s0 e3 b3"));
  EXPECT_THAT(EventsOf(cluster.output, "commit"),
              ElementsAre("commit g0/s0 b1: 0/1", "commit g0/s0 b3: "));

  job.visible.clear();
  job.Run(4, {{"t/0", {3, 4}}});
  job.Commit(4);
  EXPECT_THAT(cluster.output.RowsOf(4), ElementsAre("t/0-3"));
}

TEST(ExecutorSessionsTest, APartitionThatAppearsJoinsTheSessionWithoutAClaim) {
  TestCluster cluster(1);
  AppendLines(&cluster, {"t/0", "t/1"}, 2);
  TestJob job(&cluster, CopyPlan(kShared), {"t/0"});
  job.groups = {{0}};
  job.Start(1);
  job.Run(1, {{"t/0", {0, 1}}});
  job.SendCommit(1);
  job.AddPartition("t/1");
  job.SendRun(2, {{"t/0", {1, 2}}, {"t/1", {0, 2}}});
  EXPECT_THAT(job.WaitPrepared(2)[0].claimed(), IsEmpty());
  job.WaitCommitted(1);
  job.Commit(2);
  EXPECT_THAT(EventsOf(cluster.output, "open"), ElementsAre("open g0/s0 of 0 ''"));
  EXPECT_THAT(EventsOf(cluster.output, "add"), ElementsAre("add 0/0 to g0/s0", "add 0/1 to g0/s0"));
  EXPECT_THAT(EventsOf(cluster.output, "commit"),
              ElementsAre("commit g0/s0 b1: 0/0", "commit g0/s0 b2: 0/0 0/1"));
}

// Readers wait for the end of what a dead session has left open. Only the claim ends that.
TEST(ExecutorSessionsTest, ClaimsComeBeforeStateIsRestored) {
  for (const char* sink : {"test", "test-shared"}) {
    TestCluster cluster(1);
    AppendLines(&cluster, {"t/0"}, 1);
    TestJob job(&cluster, WordCountPlan({.sink = sink}, /*per_batch=*/false), {"t/0"});
    if (std::string(sink) == "test-shared") {
      job.groups = {{0}};
    }
    proto::SnapshotLayer* layer = job.restore.add_layers();
    layer->set_full(true);
    proto::SnapshotFile* file = layer->add_files();
    file->set_name("incarnation-1/is-not-there");
    file->add_key_groups()->set_end(64);
    job.SendStart(1);
    EXPECT_TRUE(job.WaitFailed().restore_failed());
    EXPECT_THAT(cluster.output.Events(), Contains(StartsWith("open")));
  }
}

TEST(ExecutorSessionsTest, FormerShardsAreClaimedFirst) {
  TestCluster cluster(2);
  TestJob job(&cluster, CopyPlan(kShared), {"t/0"});
  job.groups = {{0}};
  for (const uint32_t shard : {0, 1, 2}) {
    proto::SinkMarker& former = job.former_shards.emplace_back();
    former.set_shard(shard);
    former.set_marker(absl::StrCat(10 + shard));
  }
  std::vector<std::string> found;
  for (const proto::EpochReady& ready : job.Start(1)) {
    for (const proto::SinkMarker& former : ready.former_shards()) {
      found.push_back(absl::StrCat(former.sink(), "/", former.shard(), " b", former.batch()));
    }
  }
  EXPECT_THAT(found, UnorderedElementsAre("0/0 b10", "0/1 b11", "0/2 b12"));
  std::vector<std::string> of_first = cluster.output.Events();
  std::erase_if(of_first, [](const std::string& event) {
    return !event.starts_with("former 0/0") && !event.starts_with("former 0/2") &&
           !event.starts_with("open g0/s0");
  });
  ASSERT_EQ(of_first.size(), 3u);
  EXPECT_EQ(of_first[2], "open g0/s0 of 0 ''");
}

TEST(ExecutorSessionsTest, AFormerShardThatCannotBeClaimedIsNamed) {
  TestCluster cluster(1);
  TestJob job(&cluster, CopyPlan(kShared), {"t/0"});
  job.groups = {{0}};
  job.former_shards.emplace_back().set_shard(3);
  job.SendStart(1);
  EXPECT_THAT(job.WaitFailed().message(),
              HasSubstr("table out, shard 3: the marker is no batch number"));
  EXPECT_THAT(EventsOf(cluster.output, "open"), IsEmpty());
}

TEST(ExecutorSessionsTest, ErrorsNameTablesAndSlot) {
  TestCluster cluster(1);
  AppendLines(&cluster, {"t/0"}, 1);
  TestJob job(&cluster, TwoTablesPlan(kShared), {"t/0"});
  job.groups = {{0, 1}};
  job.Start(1);
  job.Run(1, {{"t/0", {0, 1}}});
  cluster.output.FailCommits(1, absl::PermissionDeniedError("topic out is not yours"));
  job.SendCommit(1);
  EXPECT_THAT(job.WaitFailed().message(),
              HasSubstr("table out and 1 more, slot 0: topic out is not yours"));
}

TEST(ExecutorSessionsTest, ADriverThatKnowsNoSessionsIsRefused) {
  TestCluster cluster(1);
  TestJob job(&cluster, CopyPlan(kShared), {"t/0"});
  job.SendStart(1);
  EXPECT_THAT(job.WaitFailed().message(), HasSubstr("connector test-shared shares sessions"));
  TestJob other(&cluster, CopyPlan({}), {"t/0"});
  other.SetName("other");
  other.groups = {{0}};
  other.SendStart(1);
  EXPECT_THAT(other.WaitFailed().message(), HasSubstr("connector test does not share sessions"));
}

TEST(ExecutorSessionsTest, RegistersWithTheProtocolOfSessions) {
  TestCluster cluster(1);
  EXPECT_EQ(cluster.driver.WaitForExecutor(cluster.id(0)).protocol(), 1u);
}

}  // namespace
}  // namespace millrace::executor
