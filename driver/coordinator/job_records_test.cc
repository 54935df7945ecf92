#include "driver/coordinator/job_records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace millrace::driver {
namespace {

using ::testing::ElementsAre;

RecordOrigin Origin() { return {"id", Epoch(4)}; }

proto::Split Split(uint32_t ordinal, int64_t begin, int64_t end, int64_t seen_end = 0) {
  proto::Split split;
  split.mutable_key()->set_partition("t/" + std::to_string(ordinal));
  split.set_ordinal(ordinal);
  split.set_begin(begin);
  split.set_end(end);
  split.set_seen_end(seen_end);
  return split;
}

proto::SinkMarker Marker(uint32_t shard, const std::string& words) {
  proto::SinkMarker marker;
  marker.set_shard(shard);
  marker.set_marker(words);
  return marker;
}

// A job with running state and one partition, which begins at offset 10.
JobHistory History() {
  proto::JobSubmitted submitted;
  submitted.set_job_id("id");
  submitted.mutable_plan()->set_running_state(true);
  submitted.set_snapshot_location("/snapshots");
  submitted.add_partitions()->mutable_key()->set_partition("t/0");
  submitted.mutable_partitions(0)->set_offset(10);
  return JobHistory(submitted);
}

// What is built can be applied, in the order in which a job journals it.
TEST(JobRecordsTest, AHistoryTakesWhatIsBuilt) {
  JobHistory history = History();
  proto::PartitionStart entering;
  entering.mutable_key()->set_partition("t/1");
  entering.set_ordinal(1);
  proto::SplitReport report;
  report.mutable_key()->set_partition("t/0");
  report.set_records(7);
  proto::Snapshot snapshot;
  snapshot.set_batch(1);
  proto::RetiredPartition retired;
  retired.set_ordinal(1);
  retired.set_reason("deleted");
  proto::PartitionsChanged::Identified identified;
  identified.set_identity("inode 7");

  const std::vector<proto::JournalRecord> records = {
      BuildEpochStarted(Origin(), "submitted"),
      BuildEpochOpened(Origin(), {Marker(0, "claimed"), Marker(1, "claimed")}),
      BuildBatchPlanned(Origin(), BatchId(1), 100, 2, {Split(0, 10, 20, 25), Split(1, 0, 5)},
                        {entering}),
      BuildBatchPlanned(Origin(), BatchId(2), 200, 2, {Split(0, 20, 30)}, {}),
      BuildBatchCommitted(Origin(), BatchId(1), {report}, {Marker(0, "committed")}),
      BuildSnapshotCompleted(Origin(), snapshot),
      BuildBatchesAbandoned(Origin(), BatchId(2), "too large"),
      BuildPartitionsChanged(Origin(), {retired}, {identified}),
      BuildSnapshotDropped(Origin(), BatchId(1), "file gone"),
      BuildJobEnded(Origin(), proto::JobEnded::STOPPED, "", 500),
  };
  for (const proto::JournalRecord& record : records) {
    SCOPED_TRACE(record.record_case());
    EXPECT_EQ(JobIdOf(record), "id");
    const absl::Status applied = history.Apply(record);
    ASSERT_TRUE(applied.ok()) << applied;
  }
  EXPECT_EQ(history.last_epoch(), Epoch(4));
  EXPECT_EQ(history.last_opened(), Epoch(4));
  EXPECT_EQ(history.markers().at({0, 0}).marker(), "committed");
  EXPECT_EQ(history.markers().at({0, 1}).marker(), "claimed");
  EXPECT_EQ(history.last_planned(), BatchId(1));
  EXPECT_EQ(history.last_committed(), BatchId(1));
  EXPECT_THAT(history.planned_to(), ElementsAre(20, 5));
  EXPECT_EQ(history.partitions()[0].topic_id, "inode 7");
  EXPECT_TRUE(history.partitions()[1].retired);
  EXPECT_EQ(history.partitions()[1].why, "deleted");
  EXPECT_TRUE(history.snapshots().empty());
  ASSERT_TRUE(history.ended().has_value());
  EXPECT_EQ(history.ended()->at_us(), 500);
}

TEST(JobRecordsTest, ARecordSaysWhoDecidedIt) {
  EXPECT_EQ(BuildEpochStarted(Origin(), "why").epoch_started().reason(), "why");
  EXPECT_EQ(BuildBatchPlanned(Origin(), BatchId(1), 100, 8, {}, {}).batch_planned().epoch(), 4);
  EXPECT_EQ(BuildBatchPlanned(Origin(), BatchId(1), 100, 8, {}, {}).batch_planned().parallelism(),
            8u);
  EXPECT_EQ(BuildBatchCommitted(Origin(), BatchId(1), {}, {}).batch_committed().epoch(), 4);
  EXPECT_EQ(BuildSnapshotDropped(Origin(), BatchId(3), "gone").snapshot_dropped().reason(), "gone");
}

TEST(JobRecordsTest, OlderVersionsQuarantineAJobWhosePartitionsChanged) {
  const proto::JournalRecord record = BuildPartitionsChanged(Origin(), {}, {});
  EXPECT_EQ(record.about_job(), "id");
  EXPECT_FALSE(record.may_be_passed_over());
}

}  // namespace
}  // namespace millrace::driver
