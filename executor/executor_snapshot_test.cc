// Snapshots and restores under a scripted driver: results equal to a plain loop on any number of
// executors, and files that are not what was written are never restored.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/storage/memory_file_system.h"
#include "executor/testing/test_cluster.h"

namespace millrace::executor {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using Counts = std::map<std::string, int64_t>;

constexpr int kWords = 20000;
constexpr int kLinesPerBatch = 1500;
const std::vector<std::string> kPartitions = {"t/0", "t/1", "t/2"};

// Ten words a line; each batch touches about half of all words.
std::vector<std::string> Lines(int seed, int count) {
  std::vector<std::string> lines;
  uint32_t state = static_cast<uint32_t>(seed) * 2654435761u + 1;
  for (int i = 0; i < count; ++i) {
    std::string line;
    for (int w = 0; w < 10; ++w) {
      state = state * 1664525u + 1013904223u;
      const uint32_t word = (state >> 12) % kWords;
      absl::StrAppend(&line, line.empty() ? "" : " ", word % 3 == 0 ? "w" : "word-of-some-length-",
                      word);
    }
    lines.push_back(line);
  }
  return lines;
}

// Word counts over three partitions, and the expected counts by a plain loop.
class SnapshotTest : public ::testing::Test {
 protected:
  explicit SnapshotTest(const std::string& state_backend = "memory")
      : cluster(3), job(&cluster, Plan(state_backend), kPartitions) {
    for (const std::string& partition : kPartitions) {
      lines_[partition] = Lines(partition[2], 6 * kLinesPerBatch);
      cluster.topic.Append(partition, lines_[partition]);
    }
  }

  static proto::JobPlan Plan(const std::string& state_backend) {
    proto::JobPlan plan = WordCountPlan({}, /*per_batch=*/false);
    (*plan.mutable_settings())["state_backend"] = state_backend;
    return plan;
  }

  static TestJob::Ranges Batch(int64_t batch) {
    TestJob::Ranges ranges;
    for (const std::string& partition : kPartitions) {
      ranges[partition] = {(batch - 1) * kLinesPerBatch, batch * kLinesPerBatch};
    }
    return ranges;
  }

  void RunAndCommit(int64_t batch) {
    job.Run(batch, Batch(batch));
    job.Commit(batch);
  }

  // Starts a new epoch on this many executors that goes on after the snapshot's batch.
  void Restore(int64_t epoch, size_t executors, const std::vector<proto::SnapshotLayer>& layers) {
    SendRestore(epoch, executors, layers);
    job.WaitReady(epoch);
  }
  void SendRestore(int64_t epoch, size_t executors,
                   const std::vector<proto::SnapshotLayer>& layers) {
    job.Stop();
    job.executors = executors;
    job.restore.Clear();
    for (const proto::SnapshotLayer& layer : layers) {
      *job.restore.add_layers() = layer;
      job.first_batch = layer.batch() + 1;
    }
    for (const std::string& partition : kPartitions) {
      job.start_offsets[partition] = (job.first_batch - 1) * kLinesPerBatch;
    }
    job.SendStart(epoch);
  }

  Counts Expected(int64_t batches) const {
    Counts counts;
    for (const auto& [partition, lines] : lines_) {
      for (int64_t i = 0; i < batches * kLinesPerBatch; ++i) {
        std::istringstream words(lines[static_cast<size_t>(i)]);
        for (std::string word; words >> word;) {
          ++counts[word];
        }
      }
    }
    return counts;
  }

  // The counts that all committed deltas add up to. A count that is replaced must be the one that
  // was there.
  Counts Committed() const {
    std::map<std::string, int64_t> weights;
    for (const std::string& row : cluster.output.Rows()) {
      const bool removed = row.ends_with("|-1");
      weights[removed ? row.substr(0, row.size() - 3) : row] += removed ? -1 : 1;
    }
    Counts counts;
    for (const auto& [row, weight] : weights) {
      EXPECT_TRUE(weight == 0 || weight == 1) << row << " has weight " << weight;
      if (weight == 1) {
        const size_t bar = row.rfind('|');
        EXPECT_TRUE(counts.emplace(row.substr(0, bar), std::stoll(row.substr(bar + 1))).second)
            << row << " beside " << counts[row.substr(0, bar)];
      }
    }
    return counts;
  }

  TestCluster cluster;
  TestJob job;

 private:
  std::map<std::string, std::vector<std::string>> lines_;
};

// Parameters: the number of executors, and the state_backend.
class RestoreOn : public SnapshotTest,
                  public ::testing::WithParamInterface<std::tuple<size_t, std::string>> {
 protected:
  RestoreOn() : SnapshotTest(std::get<1>(GetParam())) {}
  size_t executors() const { return std::get<0>(GetParam()); }
};

TEST_P(RestoreOn, GoesOnAfterTheCutWhateverRanMeanwhile) {
  job.executors = 2;
  job.Start(1);
  RunAndCommit(1);
  job.SendSnapshot(1, /*full=*/true);
  // These batches change the state before its entries have been copied, and nobody commits them.
  job.SendRun(2, Batch(2));
  job.WaitPrepared(2);
  job.SendRun(3, Batch(3));
  job.WaitPrepared(3);
  proto::SnapshotLayer layer;
  layer.set_batch(1);
  layer.set_epoch(1);
  layer.set_full(true);
  for (const proto::SnapshotWritten& written : job.WaitSnapshot(1)) {
    EXPECT_EQ(written.error(), "");
    *layer.add_files() = written.file();
  }
  Restore(2, executors(), {layer});
  RunAndCommit(2);
  RunAndCommit(3);
  EXPECT_EQ(Committed(), Expected(3));
}

TEST_P(RestoreOn, LayersAddUp) {
  job.executors = 2;
  job.Start(1);
  RunAndCommit(1);
  std::vector<proto::SnapshotLayer> layers = {job.Snapshot(1, /*full=*/true)};
  RunAndCommit(2);
  layers.push_back(job.Snapshot(2, /*full=*/false));
  RunAndCommit(3);
  RunAndCommit(4);
  layers.push_back(job.Snapshot(4, /*full=*/false));
  Restore(2, executors(), layers);
  RunAndCommit(5);
  // The chain goes on after a restore from it.
  layers.push_back(job.Snapshot(5, /*full=*/false));
  Restore(3, 2, layers);
  RunAndCommit(6);
  EXPECT_EQ(Committed(), Expected(6));
}

INSTANTIATE_TEST_SUITE_P(Executors, RestoreOn,
                         ::testing::Combine(::testing::Values(1, 2, 3),
                                            ::testing::Values("memory", "rocksdb")));

TEST_F(SnapshotTest, LayerHoldsOnlyWhatChanged) {
  job.Start(1);
  RunAndCommit(1);
  uint64_t full_bytes = 0;
  const proto::SnapshotLayer full = job.Snapshot(1, true);
  for (const proto::SnapshotFile& file : full.files()) {
    full_bytes += file.bytes();
  }
  job.Run(2, {{"t/0", {kLinesPerBatch, kLinesPerBatch + 1}}});  // ten words
  job.SendSnapshot(2, false);
  int64_t rows = 0;
  uint64_t bytes = 0;
  for (const proto::SnapshotWritten& written : job.WaitSnapshot(2)) {
    rows += written.rows();
    bytes += written.file().bytes();
  }
  EXPECT_EQ(rows, 10);
  EXPECT_LT(bytes, full_bytes / 20);
}

TEST_F(SnapshotTest, OneBatchMayHaveSeveral) {
  job.executors = 2;
  job.Start(1);
  RunAndCommit(1);
  job.Snapshot(1, true);
  const proto::SnapshotLayer again = job.Snapshot(1, true);
  EXPECT_THAT(job.Snapshot(1, false).files(), IsEmpty()) << "nothing has changed";
  Restore(2, 1, {again});
  RunAndCommit(2);
  EXPECT_EQ(Committed(), Expected(2));
}

TEST_F(SnapshotTest, NothingChangedIsNoFile) {
  job.Start(1);
  RunAndCommit(1);
  EXPECT_THAT(job.Snapshot(1, true).files(), SizeIs(3));
  job.Run(2, {});
  EXPECT_THAT(job.Snapshot(2, false).files(), IsEmpty());
}

TEST(SnapshotOfPlansTest, ExecutorWithoutShardsHasNoFile) {
  TestCluster cluster(2);
  cluster.topic.Append("t/0", {"a b c"});
  TestJob job(&cluster, WordCountPlan({.parallelism = 1}, /*per_batch=*/false), {"t/0"});
  job.Start(1);
  job.Run(1, {{"t/0", {0, 1}}});
  job.SendSnapshot(1, true);
  const auto written = job.WaitSnapshot(1);
  EXPECT_TRUE(written[0].has_file());
  EXPECT_EQ(written[0].rows(), 3);
  EXPECT_FALSE(written[1].has_file());
  EXPECT_EQ(written[1].error(), "");
}

TEST(SnapshotOfPlansTest, JobWithoutKeptStateHasNoFile) {
  TestCluster cluster(1);
  cluster.topic.Append("t/0", {"a", "b"});
  TestJob job(&cluster, ExchangePlan({}), {"t/0"});
  job.Start(1);
  job.Run(1, {{"t/0", {0, 2}}});
  EXPECT_THAT(job.Snapshot(1, true).files(), IsEmpty());
}

TEST(SnapshotOfPlansTest, AggregateWithoutGroupByIsRestored) {
  TestCluster cluster(2);
  cluster.topic.Append("t/0", {"a", "b", "c"});
  TestJob job(&cluster, CountPlan({}), {"t/0"});
  job.Start(1);
  job.Run(1, {{"t/0", {0, 2}}});
  job.Commit(1);
  *job.restore.add_layers() = job.Snapshot(1, true);
  job.Stop();
  job.executors = 1;
  job.first_batch = 2;
  job.start_offsets["t/0"] = 2;
  job.Start(2);
  job.Run(2, {{"t/0", {2, 3}}});
  job.Commit(2);
  EXPECT_THAT(cluster.output.RowsOf(2), ::testing::ElementsAre("2|-1", "3"));
}

TEST_F(SnapshotTest, DamagedFileFailsTheEpochAndIsNamed) {
  job.executors = 2;
  job.Start(1);
  RunAndCommit(1);
  const proto::SnapshotLayer layer = job.Snapshot(1, true);
  ASSERT_THAT(layer.files(), SizeIs(2));
  const std::string path = "/snapshots/" + layer.files(1).name();
  const std::string whole = *cluster.files.Read(path);
  std::string flipped = whole;
  flipped[flipped.size() / 2] ^= 4;
  int64_t epoch = 2;
  for (const std::string& bytes : {whole.substr(0, whole.size() - 1), std::string(), flipped}) {
    cluster.files.Overwrite(path, bytes);
    SendRestore(epoch++, 2, {layer});
    const proto::EpochFailed failed = job.WaitFailed();
    EXPECT_EQ(failed.code(), static_cast<int32_t>(absl::StatusCode::kDataLoss));
    EXPECT_EQ(failed.batch(), 0);
    EXPECT_FALSE(failed.retryable());
    EXPECT_THAT(failed.message(), HasSubstr(layer.files(1).name()));
  }
  ASSERT_TRUE(cluster.files.Remove(path).ok());
  SendRestore(epoch++, 2, {layer});
  const proto::EpochFailed failed = job.WaitFailed();
  EXPECT_EQ(failed.code(), static_cast<int32_t>(absl::StatusCode::kDataLoss));
  EXPECT_THAT(failed.message(), HasSubstr(layer.files(1).name()));
  // With the file back, the restore works.
  cluster.files.Overwrite(path, whole);
  Restore(epoch++, 3, {layer});
  RunAndCommit(2);
  EXPECT_EQ(Committed(), Expected(2));
}

TEST_F(SnapshotTest, FileOfAnotherBatchIsNotTaken) {
  job.executors = 1;
  job.Start(1);
  RunAndCommit(1);
  const proto::SnapshotLayer first = job.Snapshot(1, true);
  RunAndCommit(2);
  proto::SnapshotLayer second = job.Snapshot(2, true);
  *second.mutable_files() = first.files();  // as if the journal had mixed up the files
  SendRestore(2, 1, {second});
  const proto::EpochFailed failed = job.WaitFailed();
  EXPECT_EQ(failed.code(), static_cast<int32_t>(absl::StatusCode::kDataLoss));
  EXPECT_THAT(failed.message(), HasSubstr("is another one"));
}

TEST_F(SnapshotTest, StateOfAnotherShapeIsRefused) {
  job.executors = 1;
  job.Start(1);
  RunAndCommit(1);
  const proto::SnapshotLayer layer = job.Snapshot(1, true);
  job.Stop();
  proto::JobPlan plan = WordCountPlan({}, /*per_batch=*/false);
  for (proto::Stage& stage : *plan.mutable_stages()) {
    for (proto::Operator& op : *stage.mutable_operators()) {
      if (op.has_final_aggregate()) {
        op.mutable_final_aggregate()->mutable_aggregates(0)->set_function("sum");
        op.mutable_final_aggregate()
            ->mutable_aggregates(0)
            ->mutable_args()
            ->Add()
            ->mutable_type()
            ->set_kind(proto::TYPE_INT32);
      }
    }
  }
  TestJob changed(&cluster, plan, kPartitions);
  changed.executors = 1;
  *changed.restore.add_layers() = layer;
  changed.SendStart(2);
  const proto::EpochFailed failed = changed.WaitFailed();
  EXPECT_EQ(failed.code(), static_cast<int32_t>(absl::StatusCode::kFailedPrecondition))
      << failed.message();
  EXPECT_THAT(failed.message(), HasSubstr(layer.files(0).name()));
}

TEST_F(SnapshotTest, FailedWriteIsReportedAndTheJobGoesOn) {
  job.executors = 2;
  job.Start(1);
  RunAndCommit(1);
  cluster.files.SetCapacity(1000);
  job.SendSnapshot(1, true);
  for (const proto::SnapshotWritten& written : job.WaitSnapshot(1)) {
    EXPECT_THAT(written.error(), HasSubstr("no space left on device"));
    EXPECT_FALSE(written.has_file());
  }
  cluster.files.SetCapacity(INT64_MAX);
  RunAndCommit(2);
  // The changes before the failed cut are in no layer.
  job.SendSnapshot(2, false);
  for (const proto::SnapshotWritten& written : job.WaitSnapshot(2)) {
    EXPECT_THAT(written.error(), HasSubstr("only a full one can follow"));
  }
  RunAndCommit(3);
  const proto::SnapshotLayer layer = job.Snapshot(3, true);
  Restore(2, 2, {layer});
  RunAndCommit(4);
  EXPECT_EQ(Committed(), Expected(4));
}

TEST_F(SnapshotTest, FullOneTakesThePlaceOfOneThatIsStillCopied) {
  job.executors = 1;
  job.Start(1);
  RunAndCommit(1);
  job.SendSnapshot(1, true);
  RunAndCommit(2);
  job.SendSnapshot(2, true);
  const proto::SnapshotWritten second = job.WaitSnapshot(2)[0];
  EXPECT_EQ(second.error(), "");
  proto::SnapshotLayer layer;
  layer.set_batch(2);
  layer.set_epoch(1);
  layer.set_full(true);
  *layer.add_files() = second.file();
  Restore(2, 1, {layer});
  RunAndCommit(3);
  EXPECT_EQ(Committed(), Expected(3));
}

TEST_F(SnapshotTest, OnlyTheStateAfterTheLastBatchCanBeCut) {
  job.executors = 1;
  job.Start(1);
  RunAndCommit(1);
  job.SendSnapshot(3, true);
  EXPECT_THAT(job.WaitSnapshot(3)[0].error(), HasSubstr("batch 3 is not the last"));
  cluster.topic.Withhold("t/0", 2 * kLinesPerBatch - 1);
  job.SendRun(2, Batch(2));
  cluster.topic.WaitUntilRead("t/0", 2 * kLinesPerBatch - 1);
  job.SendSnapshot(4, true);
  EXPECT_THAT(job.WaitSnapshot(4)[0].error(), HasSubstr("another one runs"));
  cluster.topic.Release("t/0");
  job.WaitPrepared(2);
}

TEST_F(SnapshotTest, EpochWithoutAPlaceForThemSaysSo) {
  job.executors = 1;
  job.snapshot_location = "";
  job.Start(1);
  RunAndCommit(1);
  job.SendSnapshot(1, true);
  EXPECT_THAT(job.WaitSnapshot(1)[0].error(), HasSubstr("without a place for snapshots"));
}

TEST_F(SnapshotTest, UnknownKindOfPlaceFailsTheEpoch) {
  job.executors = 1;
  job.snapshot_location = "s3://bucket/snapshots";
  job.SendStart(1);
  EXPECT_THAT(job.WaitFailed().message(), HasSubstr("no scheme s3"));
}

// Each look at this clock finds it some milliseconds further, so every step of copying costs the
// same, however fast the machine is.
class CostlyClock : public Clock {
 public:
  absl::Time Now() override { return absl::Now(); }
  int64_t MonotonicNs() override { return ns_.fetch_add(4'000'000); }
  void Advance(absl::Duration by) { ns_.fetch_add(absl::ToInt64Nanoseconds(by)); }

 private:
  std::atomic<int64_t> ns_ = 1;
};

TEST(SnapshotUnderLoadTest, ABatchThatTakesLongDoesNotKeepASnapshotFromItsEnd) {
  constexpr int kLines = 40'000;
  std::vector<std::string> lines(kLines + 2);
  for (size_t i = 0; i < lines.size(); ++i) {
    for (int w = 0; w < 10; ++w) {
      absl::StrAppend(&lines[i], w == 0 ? "" : " ", "word-", i * 10 + static_cast<size_t>(w));
    }
  }
  CostlyClock clock;
  TestCluster cluster(1, int64_t{64} << 20, 2, &clock);
  cluster.topic.Append("t/0", std::move(lines));
  TestJob job(&cluster, WordCountPlan({}, /*per_batch=*/false), {"t/0"});
  job.Start(1);
  job.Run(1, {{"t/0", {0, kLines}}});
  job.Commit(1);
  // The next batch begins at once and waits for its last record.
  cluster.topic.Withhold("t/0", kLines + 1);
  job.SendSnapshot(1, true);
  job.SendRun(2, {{"t/0", {kLines, kLines + 2}}});
  cluster.topic.WaitUntilRead("t/0", kLines + 1);
  EXPECT_THAT(
      cluster.driver.Take(cluster.id(0), [](const auto& m) { return m.has_snapshot_written(); }),
      IsEmpty())
      << "a young cut leaves the time to the batch";
  clock.Advance(absl::Seconds(60));
  const proto::SnapshotWritten written = job.WaitSnapshot(1)[0];
  EXPECT_EQ(written.error(), "");
  EXPECT_EQ(written.rows(), 10 * kLines);
  cluster.topic.Release("t/0");
  job.WaitPrepared(2);
}

TEST_F(SnapshotTest, AFileThatMayNotBeReadIsForTheDriverToLookAt) {
  job.executors = 1;
  job.Start(1);
  RunAndCommit(1);
  const proto::SnapshotLayer layer = job.Snapshot(1, true);
  int64_t epoch = 2;
  for (const absl::Status& error :
       {absl::PermissionDeniedError("not permitted"), absl::UnavailableError("stale file handle"),
        absl::InternalError("Input/output error")}) {
    // A text and no status is shared with the threads that read: TSan does not see how Debian's
    // Abseil counts references.
    cluster.files.SetFault([code = error.code(), text = std::string(error.message())](
                               MemoryFileSystem::Operation operation, const std::string&) {
      return operation == MemoryFileSystem::Operation::kRead ? absl::Status(code, text)
                                                             : absl::OkStatus();
    });
    SendRestore(epoch++, 1, {layer});
    const proto::EpochFailed failed = job.WaitFailed();
    EXPECT_TRUE(failed.restore_failed()) << failed.message();
    EXPECT_THAT(failed.message(), HasSubstr(std::string(error.message())));
    cluster.files.SetFault(nullptr);
  }
}

TEST_F(SnapshotTest, ReportIsSentAgainAfterABreakUntilTheNextSnapshot) {
  job.executors = 1;
  job.Start(1);
  RunAndCommit(1);
  job.Snapshot(1, true);
  cluster.driver.Drop(cluster.id(0));
  cluster.driver.WaitForExecutor(cluster.id(0));
  EXPECT_TRUE(job.WaitSnapshot(1)[0].has_file());
  RunAndCommit(2);
  job.Snapshot(2, false);
  cluster.driver.Drop(cluster.id(0));
  cluster.driver.WaitForExecutor(cluster.id(0));
  EXPECT_TRUE(job.WaitSnapshot(2)[0].has_file());
  EXPECT_THAT(
      cluster.driver.Take(cluster.id(0), [](const auto& m) { return m.has_snapshot_written(); }),
      IsEmpty());
}

TEST_F(SnapshotTest, DrainWaitsForTheCommitAndNotForASnapshot) {
  job.executors = 1;
  job.Start(1);
  job.Run(1, Batch(1));
  job.SendSnapshot(1, true);
  std::thread drain([&] { EXPECT_TRUE(cluster.executor(0).Drain(absl::Seconds(20)).ok()); });
  const auto draining =
      cluster.driver.Wait(cluster.id(0), [](const auto& m) { return m.heartbeat().draining(); });
  EXPECT_TRUE(draining.has_value());
  job.Commit(1);
  drain.join();
  EXPECT_EQ(Committed(), Expected(1));
  EXPECT_TRUE(cluster.executor(0).Wait().ok());
}

}  // namespace
}  // namespace millrace::executor
