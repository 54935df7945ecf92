// Executors in one process under a scripted driver: results equal to plain loops, order, errors,
// back pressure, losses.
#include "executor/executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/notification.h"
#include "executor/testing/test_cluster.h"

namespace millrace::executor {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

std::vector<std::string> Lines(int seed, int count) {
  std::vector<std::string> lines;
  uint32_t state = static_cast<uint32_t>(seed) * 2654435761u + 1;
  for (int i = 0; i < count; ++i) {
    std::vector<std::string> words;
    for (int w = 0; w < 5; ++w) {
      state = state * 1664525u + 1013904223u;
      words.push_back(absl::StrCat("word-of-some-length-", (state >> 16) % 700));
    }
    lines.push_back(absl::StrJoin(words, " "));
  }
  return lines;
}

void CountWords(const std::vector<std::string>& lines, size_t begin, size_t end,
                std::map<std::string, int64_t>* counts) {
  for (size_t i = begin; i < end; ++i) {
    std::istringstream words(lines[i]);
    for (std::string word; words >> word;) {
      ++(*counts)[word];
    }
  }
}

std::vector<std::string> AsRows(const std::map<std::string, int64_t>& counts) {
  std::vector<std::string> rows;
  rows.reserve(counts.size());
  for (const auto& [word, count] : counts) {
    rows.push_back(absl::StrCat(word, "|", count));
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

class WordCount : public ::testing::TestWithParam<size_t> {};

TEST_P(WordCount, EachBatchEqualsAPlainLoop) {
  TestCluster cluster(GetParam());
  std::map<std::string, std::vector<std::string>> lines;
  for (const char* partition : {"t/0", "t/1", "t/2", "t/3"}) {
    lines[partition] = Lines(partition[2], 9000);
    cluster.topic.Append(partition, lines[partition]);
  }
  TestJob job(&cluster, WordCountPlan({}, /*per_batch=*/true), {"t/0", "t/1", "t/2", "t/3"});
  job.Start(1);
  for (int64_t batch = 1; batch <= 3; ++batch) {
    TestJob::Ranges ranges;
    std::map<std::string, int64_t> expected;
    for (auto& [partition, all] : lines) {
      ranges[partition] = {(batch - 1) * 3000, batch * 3000};
      CountWords(all, static_cast<size_t>(batch - 1) * 3000, static_cast<size_t>(batch) * 3000,
                 &expected);
    }
    const auto reports = job.Run(batch, ranges);
    ASSERT_EQ(reports.size(), 4u);
    EXPECT_EQ(reports.at("t/2").records(), 3000);
    EXPECT_EQ(reports.at("t/2").begin(), (batch - 1) * 3000);
    job.Commit(batch);
    EXPECT_EQ(cluster.output.RowsOf(batch), AsRows(expected)) << "batch " << batch;
  }
  job.Stop();
}

TEST_P(WordCount, RunningCountsAddUpOverBatches) {
  TestCluster cluster(GetParam());
  const std::vector<std::string> lines = Lines(7, 4000);
  cluster.topic.Append("t/0", lines);
  TestJob job(&cluster, WordCountPlan({}, /*per_batch=*/false), {"t/0"});
  job.Start(1);
  job.Run(1, {{"t/0", {0, 1000}}});
  job.Commit(1);
  job.Run(2, {{"t/0", {1000, 4000}}});
  job.Commit(2);
  // Deltas of all batches add up to the counts over all lines.
  std::map<std::string, int64_t> expected;
  CountWords(lines, 0, 4000, &expected);
  std::map<std::string, int64_t> rows;
  for (const std::string& row : cluster.output.Rows()) {
    const bool removed = row.ends_with("|-1");
    rows[removed ? row.substr(0, row.size() - 3) : row] += removed ? -1 : 1;
  }
  std::erase_if(rows, [](const auto& row) { return row.second == 0; });
  std::vector<std::string> left;
  for (const auto& [row, weight] : rows) {
    EXPECT_EQ(weight, 1) << row;
    left.push_back(row);
  }
  EXPECT_EQ(left, AsRows(expected));
}

INSTANTIATE_TEST_SUITE_P(Executors, WordCount, ::testing::Values(1, 2, 3));

TEST(ExecutorTest, ReportsWhatWasRead) {
  TestCluster cluster(1);
  cluster.topic.Append("t/0", {"a b", "c", "d", "e"});
  TestJob job(&cluster, CopyPlan({}), {"t/0"});
  job.Start(1);
  job.SendRun(1, {{"t/0", {0, 3}}});
  const proto::BatchPrepared prepared = job.WaitPrepared(1).at(0);
  ASSERT_EQ(prepared.splits_size(), 1);
  EXPECT_EQ(prepared.splits(0).records(), 3);
  EXPECT_EQ(prepared.splits(0).bytes(), 5);
  EXPECT_EQ(prepared.splits(0).begin(), 0);
  EXPECT_EQ(prepared.splits(0).end(), 3);
  EXPECT_EQ(prepared.splits(0).skipped(), 0);
  EXPECT_EQ(prepared.rows_out(), 3);
  EXPECT_GE(prepared.total_us(), prepared.read_us());
  EXPECT_THAT(cluster.output.Rows(), IsEmpty()) << "nothing is visible before the commit";
  const std::vector<proto::BatchCommitted> committed = job.Commit(1);
  ASSERT_EQ(committed[0].markers_size(), 1);
  EXPECT_EQ(committed[0].markers(0).marker(), "m1");
  EXPECT_THAT(cluster.output.Rows(), ElementsAre("a b", "c", "d"));
}

TEST(ExecutorTest, InputHashDoesNotDependOnChunks) {
  uint64_t hashes[2];
  for (const int64_t withheld : {1, 3}) {
    TestCluster cluster(1);
    cluster.topic.Append("t/0", {"a", "b", "c", "d"});
    cluster.topic.Withhold("t/0", withheld);
    TestJob job(&cluster, CopyPlan({}), {"t/0"});
    job.Start(1);
    job.SendRun(1, {{"t/0", {0, 4}}});
    cluster.topic.WaitUntilRead("t/0", withheld);
    cluster.topic.Release("t/0");
    hashes[withheld / 2] = job.WaitPrepared(1).at(0).splits(0).input_hash();
  }
  EXPECT_EQ(hashes[0], hashes[1]);
}

TEST(ExecutorTest, GatheredRowsGoToTheDriverBeforeTheReport) {
  TestCluster cluster(2);
  cluster.topic.Append("t/0", {"b a b"});
  cluster.topic.Append("t/1", {"a c"});
  TestJob job(&cluster, WordCountPlan({.sink = "test-print"}, /*per_batch=*/true), {"t/0", "t/1"});
  job.Start(1);
  job.Run(1, {{"t/0", {0, 1}}, {"t/1", {0, 1}}});
  EXPECT_THAT(job.ResultsOf(1), ElementsAre("a|2", "b|2", "c|1"));
  EXPECT_THAT(job.Commit(1).at(0).markers(), IsEmpty());
}

TEST(ExecutorTest, LargeResultsTravelInSmallFrames) {
  TestCluster cluster(1);
  std::vector<std::string> lines;
  lines.reserve(300);
  for (int i = 0; i < 300; ++i) {
    lines.push_back(absl::StrCat(i, std::string(20000, 'x')));
  }
  cluster.topic.Append("t/0", lines);
  TestJob job(&cluster, CopyPlan({.sink = "test-print"}), {"t/0"});
  job.Start(1);
  job.Run(1, {{"t/0", {0, 300}}});
  const auto frames =
      cluster.driver.Take(cluster.id(0), [](const auto& m) { return m.has_result_rows(); });
  EXPECT_GE(frames.size(), 6u);
  for (const proto::ExecutorMessage& frame : frames) {
    EXPECT_LE(frame.result_rows().rows().size(), 1u << 20);
  }
}

TEST(ExecutorTest, OrderedExchangeJoinsLinesInPartitionOrder) {
  TestCluster cluster(3);
  std::vector<std::string> partitions;
  TestJob::Ranges ranges;
  std::vector<std::string> expected;
  for (int p = 0; p < 6; ++p) {
    const std::string name = absl::StrCat("t/", p);
    std::vector<std::string> lines;
    lines.reserve(50);
    for (int i = 0; i < 50; ++i) {
      lines.push_back(absl::StrCat("line-", p, "-", i));
    }
    partitions.push_back(name);
    ranges[name] = {0, 50};
    expected.insert(expected.end(), lines.begin(), lines.end());
    cluster.topic.Append(name, lines);
  }
  // The rows of the lowest ordinal come last, so that all others have to wait for them.
  cluster.topic.Withhold("t/0", 10);
  TestJob job(&cluster, JoinLinesPlan({}), partitions);
  job.Start(1);
  job.SendRun(1, ranges);
  for (int p = 1; p < 6; ++p) {
    cluster.topic.WaitUntilRead(absl::StrCat("t/", p), 50);
  }
  cluster.topic.Release("t/0");
  job.WaitPrepared(1);
  job.Commit(1);
  EXPECT_THAT(cluster.output.Rows(), ElementsAre(absl::StrJoin(expected, ",")));
}

TEST(ExecutorTest, AggregateWithoutGroupByHasARowWithoutInput) {
  TestCluster cluster(2);
  cluster.topic.Append("t/0", {"a", "b"});
  TestJob job(&cluster, CountPlan({}), {"t/0"});
  job.Start(1);
  job.Run(1, {});
  job.Commit(1);
  EXPECT_THAT(cluster.output.RowsOf(1), ElementsAre("0"));
  job.Run(2, {{"t/0", {0, 2}}});
  job.Commit(2);
  EXPECT_THAT(cluster.output.RowsOf(2), UnorderedElementsAre("0|-1", "2"));
}

TEST(ExecutorTest, SkippedRecordsAreCountedAndNamed) {
  TestCluster cluster(1);
  cluster.topic.Append("t/0", {"a", "<bad>", "b", "<bad>"});
  TestJob job(&cluster, CopyPlan({.on_error = proto::ON_ERROR_SKIP}), {"t/0"});
  job.Start(1);
  const auto reports = job.Run(1, {{"t/0", {0, 4}}});
  EXPECT_EQ(reports.at("t/0").records(), 4);
  EXPECT_EQ(reports.at("t/0").skipped(), 2);
  EXPECT_THAT(reports.at("t/0").first_error(), HasSubstr("offset 1 of partition t/0"));
  job.Commit(1);
  EXPECT_THAT(cluster.output.Rows(), ElementsAre("a", "b"));
}

// A sink may refuse a row at its commit. Then the batch runs again with the row set aside: the
// writer of failed records must not have committed the batch without it.
TEST(ExecutorTest, FailedRecordsAreCommittedBehindAllElse) {
  TestCluster cluster(1);
  proto::JobPlan plan = CopyPlan({.on_error = proto::ON_ERROR_TABLE});
  // The table of failed records is the first sink, where it would commit first if tasks were in the
  // order of sinks.
  *plan.add_sinks() = plan.sinks(0);
  plan.mutable_sinks(0)->set_table("dead");
  plan.mutable_sinks(0)->mutable_columns(0)->set_name("error");
  plan.mutable_sources(0)->set_error_sink(0);
  plan.mutable_stages(0)->mutable_operators(1)->mutable_sink_write()->set_sink(1);
  TestJob job(&cluster, std::move(plan), {"t/0"});
  cluster.topic.Append("t/0", {"a", "<bad>", "b", "<bad>"});
  job.Start(1);
  job.Run(1, {{"t/0", {0, 2}}});
  job.Commit(1);
  std::vector<std::string> commits;
  for (const std::string& event : cluster.output.Events()) {
    if (event.starts_with("commit")) {
      commits.push_back(event);
    }
  }
  EXPECT_THAT(commits, ElementsAre("commit 1/0 b1", "commit 0/0 b1"));

  cluster.output.FailCommits(1, absl::InvalidArgumentError("too large"));
  job.Run(2, {{"t/0", {2, 4}}});
  job.SendCommit(2);
  EXPECT_THAT(job.WaitFailed().message(), HasSubstr("too large"));
  EXPECT_THAT(cluster.output.RowsOf(2), IsEmpty());
}

// The driver has its own rules, and who speaks as the driver may have none.
TEST(ExecutorTest, WhatItsOperatorDoesNotAllowIsRefusedWhoeverAsks) {
  TestCluster cluster(1, int64_t{64} << 20, 2, nullptr,
                      *AccessPolicy::Confined("millrace-executor", {"/snapshots"}, {"env:OURS"}));
  cluster.topic.Append("t/0", {"a"});
  proto::JobPlan plan = CopyPlan({});
  TestJob(&cluster, plan, {"t/0"}).Start(1);

  (*plan.mutable_sources(0)->mutable_options())["password"] = "${env:OURS} ${env:THEIRS}";
  TestJob secret(&cluster, plan, {"t/0"});
  secret.SetName("secret");
  secret.SendStart(1);
  EXPECT_THAT(secret.WaitFailed().message(),
              HasSubstr("millrace-executor --allow-secret env:THEIRS"));

  TestJob elsewhere(&cluster, CopyPlan({}), {"t/0"});
  elsewhere.SetName("elsewhere");
  elsewhere.snapshot_location = "/elsewhere";
  elsewhere.SendStart(1);
  EXPECT_THAT(elsewhere.WaitFailed().message(), HasSubstr("millrace-executor --allow-path"));
}

TEST(ExecutorTest, BadRecordFailsTheEpochForGood) {
  TestCluster cluster(1);
  cluster.topic.Append("t/0", {"a", "b", "<bad>"});
  TestJob job(&cluster, CopyPlan({}), {"t/0"});
  job.Start(1);
  job.SendRun(1, {{"t/0", {0, 3}}});
  const proto::EpochFailed failed = job.WaitFailed();
  EXPECT_FALSE(failed.retryable());
  EXPECT_EQ(failed.batch(), 1);
  EXPECT_THAT(failed.message(), HasSubstr("offset 2 of partition t/0"));
  EXPECT_THAT(cluster.output.Events(), Contains("close 0/0"))
      << "it is reported once its writers are closed";
}

TEST(ExecutorTest, UnreachableSourceIsWorthAnotherTry) {
  TestCluster cluster(1);
  cluster.topic.Append("t/0", {"a"});
  cluster.topic.Break("t/0", absl::UnavailableError("broker 1 is down"));
  TestJob job(&cluster, CopyPlan({}), {"t/0"});
  job.Start(1);
  job.SendRun(1, {{"t/0", {0, 1}}});
  const proto::EpochFailed failed = job.WaitFailed();
  EXPECT_TRUE(failed.retryable());
  EXPECT_THAT(failed.message(), HasSubstr("broker 1 is down"));
  EXPECT_THAT(failed.message(), HasSubstr("table lines"));
}

TEST(ExecutorTest, SplitThatLeavesAGapIsRefused) {
  TestCluster cluster(1);
  cluster.topic.Append("t/0", {"a", "b", "c"});
  TestJob job(&cluster, CopyPlan({}), {"t/0"});
  job.Start(1);
  job.SendRun(1, {{"t/0", {1, 3}}});
  EXPECT_THAT(job.WaitFailed().message(), HasSubstr("begins at offset 1, but reading stands at 0"));
}

TEST(ExecutorTest, SplitWithoutDataDoesNotHoldUpOthers) {
  TestCluster cluster(1, int64_t{64} << 20, /*slots=*/1);
  cluster.topic.Append("t/0", {"late"});
  cluster.topic.Append("t/1", {"early"});
  cluster.topic.Withhold("t/0", 0);
  TestJob job(&cluster, CopyPlan({}), {"t/0", "t/1"});
  job.Start(1);
  job.SendRun(1, {{"t/0", {0, 1}}, {"t/1", {0, 1}}});
  cluster.topic.WaitUntilRead("t/1", 1);
  cluster.topic.Release("t/0");
  job.WaitPrepared(1);
  job.Commit(1);
  EXPECT_THAT(cluster.output.Rows(), UnorderedElementsAre("late", "early"));
}

TEST(ExecutorTest, SuppressedBatchesBuildStateAndWriteNothing) {
  TestCluster cluster(2);
  cluster.topic.Append("t/0", {"a", "a", "a"});
  TestJob job(&cluster, WordCountPlan({}, /*per_batch=*/false), {"t/0"});
  job.suppress_until = 2;
  job.Start(1);
  job.Run(1, {{"t/0", {0, 1}}});
  job.Run(2, {{"t/0", {1, 2}}});
  job.Run(3, {{"t/0", {2, 3}}});
  job.Commit(3);
  EXPECT_THAT(cluster.output.Rows(), UnorderedElementsAre("a|2|-1", "a|3"));
  EXPECT_THAT(cluster.output.Events(), Not(Contains(HasSubstr("b1"))));
  EXPECT_THAT(cluster.output.Events(), Not(Contains(HasSubstr("b2"))));
}

TEST(ExecutorTest, NextBatchRunsWhileTheLastCommits) {
  TestCluster cluster(1);
  cluster.topic.Append("t/0", {"a", "b"});
  TestJob job(&cluster, CopyPlan({}), {"t/0"});
  job.Start(1);
  job.Run(1, {{"t/0", {0, 1}}});
  absl::Notification go_on;
  cluster.output.OnCommit([&] { go_on.WaitForNotificationWithTimeout(absl::Seconds(20)); });
  job.SendCommit(1);
  job.Run(2, {{"t/0", {1, 2}}});
  EXPECT_THAT(cluster.output.Rows(), IsEmpty());
  go_on.Notify();
  job.Commit(2);
  EXPECT_THAT(cluster.output.Rows(), ElementsAre("a", "b"));
}

TEST(ExecutorTest, CommitIsTriedAgainWhenTheSinkIsAway) {
  TestCluster cluster(1);
  cluster.topic.Append("t/0", {"a"});
  TestJob job(&cluster, CopyPlan({}), {"t/0"});
  job.Start(1);
  job.Run(1, {{"t/0", {0, 1}}});
  cluster.output.FailCommits(2, absl::UnavailableError("broker 2 is down"));
  job.Commit(1);
  EXPECT_THAT(cluster.output.Rows(), ElementsAre("a"));
}

TEST(ExecutorTest, CommitThatCannotWorkFailsTheEpoch) {
  TestCluster cluster(1);
  cluster.topic.Append("t/0", {"a"});
  TestJob job(&cluster, CopyPlan({}), {"t/0"});
  job.Start(1);
  job.Run(1, {{"t/0", {0, 1}}});
  cluster.output.FailCommits(1, absl::PermissionDeniedError("topic out is not yours"));
  job.SendCommit(1);
  const proto::EpochFailed failed = job.WaitFailed();
  EXPECT_FALSE(failed.retryable());
  EXPECT_THAT(failed.message(), HasSubstr("table out, shard 0: topic out is not yours"));
}

TEST(ExecutorTest, NewEpochInTheMiddleOfABatchReplacesTheOld) {
  TestCluster cluster(2);
  const std::vector<std::string> lines = Lines(3, 2000);
  cluster.topic.Append("t/0", lines);
  cluster.topic.Append("t/1", lines);
  cluster.topic.Withhold("t/1", 500);
  TestJob job(&cluster, WordCountPlan({}, /*per_batch=*/true), {"t/0", "t/1"});
  job.Start(1);
  job.SendRun(1, {{"t/0", {0, 2000}}, {"t/1", {0, 2000}}});
  cluster.topic.WaitUntilRead("t/1", 500);
  job.Start(2);
  cluster.topic.Release("t/1");
  job.Run(1, {{"t/0", {0, 2000}}, {"t/1", {0, 2000}}});
  job.Commit(1);
  std::map<std::string, int64_t> expected;
  CountWords(lines, 0, 2000, &expected);
  CountWords(lines, 0, 2000, &expected);
  EXPECT_EQ(cluster.output.Rows().size(), expected.size());
  EXPECT_EQ(cluster.output.RowsOf(1), AsRows(expected));
}

TEST(ExecutorTest, MessagesOfALowerEpochAreDropped) {
  TestCluster cluster(1);
  cluster.topic.Append("t/0", {"a"});
  TestJob job(&cluster, CopyPlan({}), {"t/0"});
  job.Start(5);
  job.SendStart(4);
  job.SendRun(1, {{"t/0", {0, 1}}});  // a batch of epoch 4
  job.SendStart(6);
  job.Start(7);
  job.Run(1, {{"t/0", {0, 1}}});
  job.Commit(1);
  EXPECT_THAT(cluster.output.Rows(), ElementsAre("a"));
  const auto of_four = cluster.driver.Take(cluster.id(0), [](const auto& m) {
    return m.batch_prepared().epoch() == 4 || m.epoch_ready().epoch() == 4;
  });
  EXPECT_THAT(of_four, IsEmpty());
}

TEST(ExecutorTest, LostPeerFailsTheEpochAndIsNamed) {
  TestCluster cluster(3);
  cluster.topic.Append("t/0", Lines(1, 100));
  cluster.topic.Withhold("t/0", 50);
  TestJob job(&cluster, WordCountPlan({}, /*per_batch=*/true), {"t/0"});
  job.Start(1);
  job.SendRun(1, {{"t/0", {0, 100}}});
  const std::string lost = cluster.id(2);
  cluster.Kill(2);
  const proto::EpochFailed failed = job.WaitFailed();
  EXPECT_TRUE(failed.retryable());
  EXPECT_THAT(failed.message(), HasSubstr(lost));
}

TEST(ExecutorTest, RowsBeyondAllCreditStillArrive) {
  // 1 MiB of credit per sender and of rows in flight; every row (about 40 MB) crosses the exchange.
  TestCluster cluster(2, int64_t{1} << 20);
  std::vector<std::string> lines;
  lines.reserve(20000);
  for (int i = 0; i < 20000; ++i) {
    lines.push_back(absl::StrCat(i, "-", std::string(1000, static_cast<char>('a' + i % 26))));
  }
  cluster.topic.Append("t/0", lines);
  cluster.topic.Append("t/1", lines);
  TestJob job(&cluster, ExchangePlan({}), {"t/0", "t/1"});
  job.Start(1);
  job.Run(1, {{"t/0", {0, 20000}}, {"t/1", {0, 20000}}});
  job.Commit(1);
  std::vector<std::string> expected = lines;
  expected.insert(expected.end(), lines.begin(), lines.end());
  std::sort(expected.begin(), expected.end());
  EXPECT_TRUE(cluster.output.RowsOf(1) == expected);
}

TEST(ExecutorTest, BrokenControlStreamDoesNotDisturbTheBatch) {
  TestCluster cluster(1);
  cluster.topic.Append("t/0", {"a", "b"});
  cluster.topic.Withhold("t/0", 1);
  TestJob job(&cluster, CopyPlan({}), {"t/0"});
  job.Start(1);
  job.SendRun(1, {{"t/0", {0, 2}}});
  cluster.driver.Drop(cluster.id(0));
  cluster.topic.Release("t/0");
  cluster.driver.WaitForExecutor(cluster.id(0));
  EXPECT_EQ(cluster.driver.Registrations(cluster.id(0)), 2);
  job.WaitPrepared(1);
  job.Commit(1);
  // After the stream breaks, the executor sends again what may have been lost, and does not repeat
  // what the driver sends again.
  cluster.driver.Drop(cluster.id(0));
  cluster.driver.WaitForExecutor(cluster.id(0));
  job.SendRun(1, {{"t/0", {0, 2}}});
  job.Commit(1);
  EXPECT_THAT(cluster.output.Rows(), ElementsAre("a", "b"));
}

TEST(ExecutorTest, UnansweredReportIsSentAgainAfterABreak) {
  TestCluster cluster(1);
  cluster.topic.Append("t/0", {"a"});
  TestJob job(&cluster, CopyPlan({.sink = "test-print"}), {"t/0"});
  job.Start(1);
  job.Run(1, {{"t/0", {0, 1}}});
  EXPECT_THAT(job.ResultsOf(1), ElementsAre("a"));
  cluster.driver.Drop(cluster.id(0));
  cluster.driver.WaitForExecutor(cluster.id(0));
  job.WaitPrepared(1);
  EXPECT_THAT(job.ResultsOf(1), ElementsAre("a"));
}

// A driver that does not need the epoch any more can only end it if it hears of it.
TEST(ExecutorTest, EpochOfAnExecutorThatReadsNothingIsAnnouncedAfterABreak) {
  TestCluster cluster(2);
  cluster.topic.Append("t/0", {"a"});
  TestJob job(&cluster, WordCountPlan({}, /*per_batch=*/true), {"t/0"});
  job.Start(1);
  const auto announces = [](const proto::ExecutorMessage& m) {
    return m.source_progress().job_id() == "job-1" && m.source_progress().epoch() == 1;
  };
  EXPECT_THAT(cluster.driver.Take(cluster.id(1), announces), IsEmpty());
  cluster.driver.Drop(cluster.id(1));
  EXPECT_TRUE(cluster.driver.Wait(cluster.id(1), announces).has_value());
}

TEST(ExecutorTest, AnotherDriverEndsTheEpochsOfTheFirst) {
  TestCluster cluster(1);
  cluster.topic.Append("t/0", {"a"});
  TestJob job(&cluster, CopyPlan({}), {"t/0"});
  job.Start(1);
  cluster.driver.set_driver_id("driver-2");
  cluster.driver.Drop(cluster.id(0));
  cluster.driver.WaitForExecutor(cluster.id(0));
  job.Start(2);
  job.Run(1, {{"t/0", {0, 1}}});
  job.Commit(1);
  EXPECT_THAT(cluster.output.Rows(), ElementsAre("a"));
}

TEST(ExecutorTest, PartitionFoundLaterIsReadAndWritten) {
  TestCluster cluster(1);
  cluster.topic.Append("t/0", {"a"});
  cluster.topic.Append("t/1", {"skipped", "b"});
  TestJob job(&cluster, CopyPlan({}), {"t/0"});
  job.Start(1);
  job.Run(1, {{"t/0", {0, 1}}});
  proto::DriverMessage message;
  proto::RunBatch* run = message.mutable_run_batch();
  run->set_job_id("job-1");
  run->set_epoch(1);
  run->set_batch(2);
  proto::Split* split = run->add_splits();
  split->mutable_key()->set_partition("t/1");
  split->set_begin(1);
  split->set_end(2);
  split->set_ordinal(7);
  proto::PartitionStart* found = run->add_new_partitions();
  found->mutable_key()->set_partition("t/1");
  found->set_offset(1);
  found->set_ordinal(7);
  cluster.driver.Send(cluster.id(0), message);
  job.WaitPrepared(2);
  job.Commit(1);
  job.Commit(2);
  EXPECT_THAT(cluster.output.RowsOf(2), ElementsAre("b"));
  EXPECT_THAT(cluster.output.Events(), Contains("open 0/7 ''"));
}

TEST(ExecutorTest, ProgressOfTheReadersIsReported) {
  TestCluster cluster(1);
  cluster.topic.Append("t/0", {"a", "b", "c"});
  TestJob job(&cluster, CopyPlan({}), {"t/0"});
  job.Start(1);
  const auto progress =
      cluster.driver.Wait(cluster.id(0), [](const auto& m) { return m.has_source_progress(); });
  ASSERT_TRUE(progress.has_value());
  ASSERT_EQ(progress->source_progress().partitions_size(), 1);
  EXPECT_EQ(progress->source_progress().partitions(0).fetched_to(), 3);
  EXPECT_EQ(progress->source_progress().partitions(0).key().partition(), "t/0");
}

TEST(ExecutorTest, UnknownConnectorFailsTheEpoch) {
  TestCluster cluster(1);
  TestJob job(&cluster, CopyPlan({.sink = "nothing"}), {});
  job.SendStart(1);
  const proto::EpochFailed failed = job.WaitFailed();
  EXPECT_FALSE(failed.retryable());
  EXPECT_THAT(failed.message(), HasSubstr("test-print")) << "it lists what there is";
}

TEST(ExecutorTest, RejectedExecutorEndsWithTheReason) {
  FakeDriver driver;
  driver.set_reject("version 0.0 is too old");
  TestTopic topic;
  TestOutput output;
  const auto connectors = TestConnectors(&topic, &output);
  ExecutorOptions options;
  options.driver_address = driver.address();
  options.connectors = connectors.get();
  auto executor = Executor::Start(options);
  ASSERT_TRUE(executor.ok()) << executor.status();
  const absl::Status end = (*executor)->Wait();
  EXPECT_TRUE(absl::IsFailedPrecondition(end)) << end;
  EXPECT_THAT(std::string(end.message()), HasSubstr("version 0.0 is too old"));
}

TEST(ExecutorTest, SaysWhenThereIsNoDriver) {
  TestTopic topic;
  TestOutput output;
  const auto connectors = TestConnectors(&topic, &output);
  ExecutorOptions options;
  options.driver_address = "127.0.0.1:1";
  options.driver_timeout = absl::Milliseconds(50);
  options.connectors = connectors.get();
  auto executor = Executor::Start(options);
  ASSERT_TRUE(executor.ok()) << executor.status();
  const absl::Status end = (*executor)->Wait();
  EXPECT_TRUE(absl::IsUnavailable(end)) << end;
  EXPECT_THAT(std::string(end.message()), HasSubstr("no driver at 127.0.0.1:1"));
}

TEST(ExecutorTest, WorksOverTheInProcessChannel) {
  FakeDriver driver(/*listen=*/false);
  TestTopic topic;
  TestOutput output;
  const auto connectors = TestConnectors(&topic, &output);
  ExecutorOptions options;
  options.driver_channel = driver.InProcessChannel();
  options.connectors = connectors.get();
  auto executor = Executor::Start(options);
  ASSERT_TRUE(executor.ok()) << executor.status();
  EXPECT_TRUE((*executor)->WaitUntilRegistered(absl::Seconds(20)).ok());
  EXPECT_EQ((*executor)->shuffle_address(), "");
}

TEST(ExecutorTest, DrainTellsTheDriverAndWaitsForTheCommit) {
  TestCluster cluster(1);
  cluster.topic.Append("t/0", {"a"});
  TestJob job(&cluster, CopyPlan({}), {"t/0"});
  job.Start(1);
  job.Run(1, {{"t/0", {0, 1}}});
  std::thread drain([&] { EXPECT_TRUE(cluster.executor(0).Drain(absl::Seconds(20)).ok()); });
  const auto draining =
      cluster.driver.Wait(cluster.id(0), [](const auto& m) { return m.heartbeat().draining(); });
  EXPECT_TRUE(draining.has_value());
  job.Commit(1);
  drain.join();
  EXPECT_THAT(cluster.output.Rows(), ElementsAre("a"));
  EXPECT_TRUE(cluster.executor(0).Wait().ok());
}

}  // namespace
}  // namespace millrace::executor
