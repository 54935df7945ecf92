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

// Sink 1 alone writes through shared sessions, on three executors.
proto::OpenedSessions Sessions() {
  proto::OpenedSessions sessions;
  sessions.set_slots(3);
  sessions.add_groups()->add_sinks(1);
  return sessions;
}

proto::SessionMark Mark(uint32_t slot, int64_t written_epoch, int64_t batch) {
  proto::SessionMark mark;
  mark.set_group(1);
  mark.set_slot(slot);
  mark.set_written_epoch(written_epoch);
  mark.set_batch(batch);
  return mark;
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
      BuildEpochStarted(Origin(), "submitted", 3),
      BuildEpochOpened(Origin(), {Marker(0, "claimed"), Marker(1, "claimed")}, Sessions()),
      BuildBatchPlanned(Origin(), BatchId(1), 100, 2, {Split(0, 10, 20, 25), Split(1, 0, 5)},
                        {entering}, {2}),
      BuildShardsClaimed(Origin(), {Marker(1, "claimed anew")}),
      BuildBatchPlanned(Origin(), BatchId(2), 200, 2, {Split(0, 20, 30)}, {}, {}),
      BuildBatchCommitted(Origin(), BatchId(1), {report},
                          {.shards = {Marker(0, "committed")}, .sessions = {Mark(1, 4, 2)}}),
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
  EXPECT_EQ(history.markers().at({0, 1}).marker(), "claimed anew");
  EXPECT_EQ(history.sessions().opened(), Epoch(4)) << "shards that are claimed later open nothing";
  const std::vector<proto::SessionMark> places = history.sessions().PlacesToClaim({}, 1);
  ASSERT_EQ(places.size(), 3u) << "one for each of the epoch's slots";
  EXPECT_EQ(places[1].batch(), 2);
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
  EXPECT_EQ(BuildEpochStarted(Origin(), "why", 3).epoch_started().reason(), "why");
  EXPECT_EQ(BuildEpochStarted(Origin(), "why", 3).epoch_started().slots(), 3u);
  const proto::BatchPlanned planned =
      BuildBatchPlanned(Origin(), BatchId(1), 100, 8, {}, {}, {5}).batch_planned();
  EXPECT_EQ(planned.epoch(), 4);
  EXPECT_EQ(planned.parallelism(), 8u);
  EXPECT_THAT(planned.new_slots(), ElementsAre(5u));
  EXPECT_EQ(BuildBatchCommitted(Origin(), BatchId(1), {}, {}).batch_committed().epoch(), 4);
  EXPECT_EQ(BuildSnapshotDropped(Origin(), BatchId(3), "gone").snapshot_dropped().reason(), "gone");
}

// A record that brings claims of single shards must not look like the opening of an epoch whose
// version has no sessions.
TEST(JobRecordsTest, AnEpochOpensWithSessionsEvenIfItHasNone) {
  EXPECT_TRUE(BuildEpochOpened(Origin(), {}, {}).epoch_opened().has_sessions());
  EXPECT_FALSE(BuildShardsClaimed(Origin(), {}).epoch_opened().has_sessions());
}

// What a version before sessions has left of a table is of no more use once an epoch has claimed it
// and said so; markers of other tables stay.
TEST(JobRecordsTest, FormerMarkersOfATableVanishWhenItsSessionsOpen) {
  JobHistory history = History();
  proto::SinkMarker grouped = Marker(7, "former");
  grouped.set_sink(1);
  ASSERT_TRUE(history.Apply(BuildEpochStarted({"id", Epoch(3)}, "", 0)).ok());
  ASSERT_TRUE(
      history.Apply(BuildShardsClaimed({"id", Epoch(3)}, {Marker(0, "own"), grouped})).ok());
  EXPECT_TRUE(history.wants_former_claims());
  ASSERT_TRUE(history.Apply(BuildEpochStarted(Origin(), "", 3)).ok());
  EXPECT_TRUE(history.wants_former_claims()) << "it has not opened";
  EXPECT_TRUE(history.markers().contains({1, 7}));
  ASSERT_TRUE(history.Apply(BuildEpochOpened(Origin(), {}, Sessions())).ok());
  EXPECT_FALSE(history.wants_former_claims());
  EXPECT_FALSE(history.markers().contains({1, 7}));
  EXPECT_EQ(history.markers().at({0, 0}).marker(), "own");
}

TEST(JobRecordsTest, OlderVersionsQuarantineAJobWhosePartitionsChanged) {
  const proto::JournalRecord record = BuildPartitionsChanged(Origin(), {}, {});
  EXPECT_EQ(record.about_job(), "id");
  EXPECT_FALSE(record.may_be_passed_over());
}

}  // namespace
}  // namespace millrace::driver
