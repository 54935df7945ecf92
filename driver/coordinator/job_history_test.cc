#include "driver/coordinator/job_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace millrace::driver {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

proto::JobSubmitted Submitted(bool running_state) {
  proto::JobSubmitted submitted;
  submitted.set_job_id("id");
  submitted.set_name("words");
  submitted.set_incarnation("inc");
  submitted.mutable_plan()->set_running_state(running_state);
  proto::PartitionStart* start = submitted.add_partitions();
  start->mutable_key()->set_partition("t/0");
  start->set_offset(10);
  return submitted;
}

proto::JournalRecord Planned(int64_t batch, int64_t begin, int64_t end, uint32_t ordinal = 0) {
  proto::JournalRecord record;
  record.mutable_batch_planned()->set_batch(batch);
  record.mutable_batch_planned()->set_batch_time_us(batch * 100);
  proto::Split* split = record.mutable_batch_planned()->add_splits();
  split->set_begin(begin);
  split->set_end(end);
  split->set_ordinal(ordinal);
  return record;
}

proto::JournalRecord Committed(int64_t batch, const std::string& marker = "") {
  proto::JournalRecord record;
  record.mutable_batch_committed()->set_batch(batch);
  proto::SplitReport* report = record.mutable_batch_committed()->add_splits();
  report->mutable_key()->set_partition("t/0");
  report->set_records(7);
  report->set_input_hash(99);
  if (!marker.empty()) {
    record.mutable_batch_committed()->add_markers()->set_marker(marker);
  }
  return record;
}

proto::JournalRecord EpochStarted(int64_t epoch) {
  proto::JournalRecord record;
  record.mutable_epoch_started()->set_epoch(epoch);
  return record;
}

TEST(JobHistoryTest, StatelessJobKeepsOnlyWhatIsInDoubt) {
  JobHistory history(Submitted(false));
  ASSERT_TRUE(history.Apply(EpochStarted(1)).ok());
  ASSERT_TRUE(history.Apply(Planned(1, 10, 20)).ok());
  ASSERT_TRUE(history.Apply(Planned(2, 20, 25)).ok());
  ASSERT_TRUE(history.Apply(Committed(1, "m")).ok());
  EXPECT_THAT(history.planned_to(), ElementsAre(25));
  EXPECT_THAT(history.committed_to(), ElementsAre(20));
  const RecoveryPlan recovery = history.PlanRecovery().value();
  ASSERT_EQ(recovery.batches.size(), 1u);
  EXPECT_EQ(recovery.batches[0].batch, BatchId(2));
  EXPECT_THAT(recovery.read_from, ElementsAre(20));
  EXPECT_EQ(history.markers().at({0, 0}).marker(), "m");
  EXPECT_EQ(history.last_batch_time_us(), 200);
}

TEST(JobHistoryTest, RunningStateKeepsEverythingWithItsDigests) {
  JobHistory history(Submitted(true));
  ASSERT_TRUE(history.Apply(Planned(1, 10, 20)).ok());
  ASSERT_TRUE(history.Apply(Committed(1)).ok());
  ASSERT_TRUE(history.Apply(Planned(2, 20, 25)).ok());
  const RecoveryPlan recovery = history.PlanRecovery().value();
  EXPECT_EQ(recovery.snapshot, nullptr);
  EXPECT_THAT(recovery.read_from, ElementsAre(10));
  ASSERT_EQ(recovery.batches.size(), 2u);
  ASSERT_EQ(recovery.batches[0].committed.size(), 1u);
  EXPECT_EQ(recovery.batches[0].committed[0].records, 7);
  EXPECT_EQ(recovery.batches[0].committed[0].input_hash, 99u);
  EXPECT_TRUE(recovery.batches[1].committed.empty());
}

proto::JournalRecord SnapshotOf(int64_t batch, const std::string& file = "f") {
  proto::JournalRecord record;
  record.mutable_snapshot_completed()->mutable_snapshot()->set_batch(batch);
  proto::SnapshotLayer* layer =
      record.mutable_snapshot_completed()->mutable_snapshot()->add_layers();
  layer->set_batch(batch);
  layer->add_files()->set_name(file);
  return record;
}

proto::JournalRecord Dropped(int64_t batch) {
  proto::JournalRecord record;
  record.mutable_snapshot_dropped()->set_batch(batch);
  return record;
}

// Batches 1 to `count` of ten offsets each, committed.
JobHistory WithCommitted(int64_t count) {
  JobHistory history(Submitted(true));
  for (int64_t batch = 1; batch <= count; ++batch) {
    EXPECT_TRUE(history.Apply(Planned(batch, batch * 10, batch * 10 + 10)).ok());
    EXPECT_TRUE(history.Apply(Committed(batch)).ok());
  }
  return history;
}

TEST(JobHistoryTest, RecoveryBeginsBehindTheNewestSnapshot) {
  JobHistory history = WithCommitted(5);
  ASSERT_TRUE(history.Apply(SnapshotOf(2, "a")).ok());
  ASSERT_TRUE(history.Apply(SnapshotOf(4, "b")).ok());
  ASSERT_TRUE(history.Apply(Planned(6, 60, 61)).ok());
  const RecoveryPlan recovery = history.PlanRecovery().value();
  ASSERT_NE(recovery.snapshot, nullptr);
  EXPECT_EQ(recovery.snapshot->batch(), 4);
  EXPECT_THAT(recovery.read_from, ElementsAre(50));
  ASSERT_EQ(recovery.batches.size(), 2u);
  EXPECT_EQ(recovery.batches.front().batch, BatchId(5));
  EXPECT_THAT(history.SnapshotFiles(), ElementsAre("a", "b"));
}

TEST(JobHistoryTest, AnUnreadableSnapshotLeavesTheOneBefore) {
  JobHistory history = WithCommitted(5);
  ASSERT_TRUE(history.Apply(SnapshotOf(2)).ok());
  ASSERT_TRUE(history.Apply(SnapshotOf(4)).ok());
  ASSERT_TRUE(history.Apply(Dropped(4)).ok());
  EXPECT_EQ(history.PlanRecovery()->snapshot->batch(), 2);
  EXPECT_THAT(history.PlanRecovery()->read_from, ElementsAre(30));
  ASSERT_TRUE(history.Apply(Dropped(2)).ok());
  const absl::Status status = history.PlanRecovery().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << "plans up to batch 2 are not kept";
  EXPECT_THAT(std::string(status.message()), HasSubstr("batches up to 2 are not kept"));
}

TEST(JobHistoryTest, WithOneSnapshotTheBeginningIsStillThere) {
  JobHistory history = WithCommitted(3);
  ASSERT_TRUE(history.Apply(SnapshotOf(2)).ok());
  ASSERT_TRUE(history.Apply(Dropped(2)).ok());
  const RecoveryPlan recovery = history.PlanRecovery().value();
  EXPECT_EQ(recovery.snapshot, nullptr);
  EXPECT_THAT(recovery.read_from, ElementsAre(10));
  EXPECT_EQ(recovery.batches.size(), 3u);
}

TEST(JobHistoryTest, WithdrawnBatchesArePlannedAnew) {
  JobHistory history = WithCommitted(2);
  ASSERT_TRUE(history.Apply(Planned(3, 30, 35)).ok());
  ASSERT_TRUE(history.Apply(Planned(4, 35, 36)).ok());
  proto::JournalRecord abandoned;
  abandoned.mutable_batches_abandoned()->set_batch(3);
  ASSERT_TRUE(history.Apply(abandoned).ok());
  EXPECT_EQ(history.last_planned(), BatchId(2));
  EXPECT_THAT(history.planned_to(), ElementsAre(30));
  proto::JournalRecord again = Planned(3, 30, 32);
  again.mutable_batch_planned()->set_batch_time_us(
      401);  // later than the times of all planned batches
  EXPECT_TRUE(history.Apply(again).ok());
  EXPECT_EQ(history.PlanRecovery()->batches.size(), 3u);
}

TEST(JobHistoryTest, AJobFromASavepointCountsOn) {
  proto::JobSubmitted submitted = Submitted(true);
  submitted.set_base_batch(7);
  submitted.set_base_batch_time_us(500);
  JobHistory history(submitted);
  ASSERT_TRUE(history.Apply(SnapshotOf(7)).ok());
  proto::JournalRecord planned = Planned(8, 10, 20);
  EXPECT_TRUE(history.Apply(planned).ok());
  EXPECT_EQ(history.PlanRecovery()->snapshot->batch(), 7);
  EXPECT_THAT(history.PlanRecovery()->read_from, ElementsAre(10));
}

TEST(JobHistoryTest, ResubmissionResumesWithNewSettingsAndPartitions) {
  JobHistory history(Submitted(false));
  ASSERT_TRUE(history.Apply(Planned(1, 10, 20)).ok());
  proto::JournalRecord ended;
  ended.mutable_job_ended()->set_how(proto::JobEnded::STOPPED);
  ASSERT_TRUE(history.Apply(ended).ok());
  ASSERT_TRUE(history.ended().has_value());

  proto::JournalRecord resubmitted;
  *resubmitted.mutable_job_submitted() = Submitted(false);
  resubmitted.mutable_job_submitted()->set_once(true);
  proto::PartitionStart* found = resubmitted.mutable_job_submitted()->add_partitions();
  found->mutable_key()->set_partition("t/1");
  found->set_ordinal(1);
  ASSERT_TRUE(history.Apply(resubmitted).ok());
  EXPECT_FALSE(history.ended().has_value());
  EXPECT_TRUE(history.submitted().once());
  EXPECT_THAT(history.planned_to(), ElementsAre(20, 0)) << "it goes on where it was";
}

TEST(JobHistoryTest, OnErrorBecomesSkipBeforeTheScriptChangesAndNothingElse) {
  proto::JobSubmitted submitted = Submitted(false);
  proto::JobPlan next;
  for (const auto& [now, wanted] : std::vector<std::pair<proto::OnError, proto::OnError>>{
           {proto::ON_ERROR_FAIL, proto::ON_ERROR_SKIP},
           {proto::ON_ERROR_FAIL, proto::ON_ERROR_TABLE},
           {proto::ON_ERROR_TABLE, proto::ON_ERROR_SKIP},
           {proto::ON_ERROR_SKIP, proto::ON_ERROR_FAIL}}) {
    submitted.mutable_plan()->add_sources()->set_on_error(now);
    next.add_sources()->set_on_error(wanted);
  }
  JobHistory history(submitted);
  history.AdoptFailureOptions(next);
  std::vector<proto::OnError> taken;
  for (const proto::Source& source : history.plan().sources()) {
    taken.push_back(source.on_error());
  }
  EXPECT_THAT(taken, ElementsAre(proto::ON_ERROR_SKIP, proto::ON_ERROR_FAIL, proto::ON_ERROR_TABLE,
                                 proto::ON_ERROR_SKIP));
}

TEST(JobHistoryTest, WhatDoesNotFollowIsDataLoss) {
  const struct {
    std::vector<proto::JournalRecord> before;
    proto::JournalRecord record;
    const char* words;
  } cases[] = {
      {{}, Planned(2, 10, 20), "batch 2 planned after batch 0"},
      {{}, Planned(1, 11, 20), "from 11 to 20, but the batches before end at 10"},
      {{}, Planned(1, 10, 10), "from 10 to 10"},
      {{}, Planned(1, 10, 20, 5), "unknown partition 5"},
      {{}, Committed(1), "with batches up to 0 planned"},
      {{Planned(1, 10, 20), Committed(1)}, Committed(1), "batch 1 committed after batch 1"},
      {{EpochStarted(3)}, EpochStarted(3), "epoch 3 after epoch 3"},
      {{}, proto::JournalRecord(), "a kind that this version does not know"},
      {{}, SnapshotOf(1), "a snapshot of batch 1 after that of batch 0, with batches up to 0"},
  };
  for (const auto& c : cases) {
    JobHistory history(Submitted(false));
    for (const proto::JournalRecord& record : c.before) {
      ASSERT_TRUE(history.Apply(record).ok());
    }
    const absl::Status status = history.Apply(c.record);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << c.words;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.words));
    EXPECT_THAT(std::string(status.message()), HasSubstr("job 'words'"));
  }
}

}  // namespace
}  // namespace millrace::driver
