#include "driver/jobs/journaled_jobs.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <random>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/storage/file_system.h"
#include "driver/journal/journal_follower.h"
#include "plan/format_version.h"

namespace millrace::driver {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

proto::JournalRecord Submitted(const std::string& id, const std::string& name,
                               bool running_state = true) {
  proto::JournalRecord record;
  proto::JobSubmitted* submitted = record.mutable_job_submitted();
  submitted->set_job_id(id);
  submitted->set_name(name);
  submitted->set_incarnation(absl::StrCat(id, "-incarnation"));
  submitted->mutable_plan()->set_running_state(running_state);
  submitted->add_partitions()->mutable_key()->set_partition("t/0");
  return record;
}

proto::JournalRecord Planned(const std::string& id, int64_t batch, int64_t begin, int64_t end) {
  proto::JournalRecord record;
  proto::BatchPlanned* planned = record.mutable_batch_planned();
  planned->set_job_id(id);
  planned->set_batch(batch);
  planned->set_batch_time_us(batch * 1000);
  planned->add_splits()->set_begin(begin);
  planned->mutable_splits(0)->set_end(end);
  planned->mutable_splits(0)->set_seen_end(end + 5);
  return record;
}

proto::JournalRecord Committed(const std::string& id, int64_t batch) {
  proto::JournalRecord record;
  proto::BatchCommittedRecord* committed = record.mutable_batch_committed();
  committed->set_job_id(id);
  committed->set_batch(batch);
  committed->add_splits()->mutable_key()->set_partition("t/0");
  committed->mutable_splits(0)->set_records(batch);
  committed->mutable_splits(0)->set_input_hash(static_cast<uint64_t>(batch) * 77);
  committed->add_markers()->set_marker(absl::StrCat("m", batch));
  return record;
}

proto::JournalRecord Epoch(const std::string& id, int64_t epoch, bool opened) {
  proto::JournalRecord record;
  if (opened) {
    record.mutable_epoch_opened()->set_job_id(id);
    record.mutable_epoch_opened()->set_epoch(epoch);
  } else {
    record.mutable_epoch_started()->set_job_id(id);
    record.mutable_epoch_started()->set_epoch(epoch);
  }
  return record;
}

// An epoch in which two executors share sessions, and output is visible up to this batch.
proto::JournalRecord OpenedWithSessions(const std::string& id, int64_t epoch, int64_t visible) {
  proto::JournalRecord record = Epoch(id, epoch, /*opened=*/true);
  proto::OpenedSessions* sessions = record.mutable_epoch_opened()->mutable_sessions();
  sessions->set_slots(2);
  sessions->add_groups()->add_sinks(1);
  sessions->add_partition_slot(2);
  sessions->add_marks()->set_group(1);
  sessions->mutable_marks(0)->add_terms()->set_terms(absl::StrCat("terms of ", epoch));
  sessions->add_visible()->set_sink(1);
  sessions->mutable_visible(0)->set_batch(visible);
  return record;
}

// The same commit, which a session of this epoch has written.
proto::JournalRecord WithMark(proto::JournalRecord commit, int64_t epoch) {
  proto::SessionMark* mark = commit.mutable_batch_committed()->add_sessions();
  mark->set_group(1);
  mark->set_written_epoch(epoch);
  mark->set_batch(commit.batch_committed().batch());
  return commit;
}

proto::JournalRecord SnapshotOf(const std::string& id, int64_t batch, bool dropped = false) {
  proto::JournalRecord record;
  if (dropped) {
    record.mutable_snapshot_dropped()->set_job_id(id);
    record.mutable_snapshot_dropped()->set_batch(batch);
  } else {
    record.mutable_snapshot_completed()->set_job_id(id);
    record.mutable_snapshot_completed()->mutable_snapshot()->set_batch(batch);
    record.mutable_snapshot_completed()->mutable_snapshot()->add_layers()->set_batch(batch);
  }
  return record;
}

proto::JournalRecord Retired(const std::string& id) {
  proto::JournalRecord record;
  record.mutable_partitions_changed()->set_job_id(id);
  record.mutable_partitions_changed()->add_retired()->set_reason("it is gone");
  record.mutable_partitions_changed()->add_identified()->set_identity("inode 7");
  return record;
}

proto::JournalRecord Reopened(const std::string& id) {
  proto::JournalRecord record = Submitted(id, "words");
  record.mutable_job_submitted()->add_reopened_partitions(0);
  return record;
}

proto::JournalRecord Ended(const std::string& id, proto::JobEnded::How how) {
  proto::JournalRecord record;
  record.mutable_job_ended()->set_job_id(id);
  record.mutable_job_ended()->set_how(how);
  return record;
}

std::vector<proto::JournalRecord> CheckpointOf(const JournaledJobs& jobs) {
  std::vector<proto::JournalRecord> records;
  EXPECT_TRUE(jobs.WriteCheckpoint([&](proto::JournalRecord record) {
                    records.push_back(std::move(record));
                    return absl::OkStatus();
                  })
                  .ok());
  records.emplace_back().mutable_checkpoint_end();
  return records;
}

// A checkpoint has the whole state, so equal checkpoints mean equal states.
std::string Text(const JournaledJobs& jobs) {
  std::string text;
  for (const proto::JournalRecord& record : CheckpointOf(jobs)) {
    absl::StrAppend(&text, record.DebugString(), "\n");
  }
  return text;
}

void ReplayAll(const std::vector<proto::JournalRecord>& records, JournaledJobs* jobs) {
  for (const proto::JournalRecord& record : records) {
    ASSERT_TRUE(jobs->Replay(record).ok());
  }
}

TEST(JournaledJobsTest, RecordThatDoesNotFollowIsRefusedUntilTheNextSubmission) {
  JournaledJobs jobs;
  ASSERT_TRUE(jobs.Apply({Submitted("a", "words")}).ok());
  ASSERT_TRUE(jobs.Apply({Planned("a", 1, 0, 10)}).ok());
  EXPECT_EQ(jobs.Apply({Committed("a", 2)}).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(jobs.Apply({Committed("a", 1)}).code(), absl::StatusCode::kDataLoss)
      << "the job does not know that this one would be taken";
  EXPECT_TRUE(jobs.Apply({Submitted("a", "words")}).ok());
  EXPECT_TRUE(jobs.Apply({Committed("a", 1)}).ok());
  EXPECT_EQ(jobs.Apply({Committed("b", 1)}).code(), absl::StatusCode::kDataLoss);
}

TEST(JournaledJobsTest, RecordsTogetherAreAllTakenOrNone) {
  JournaledJobs jobs;
  EXPECT_FALSE(jobs.Apply({Submitted("a", "words"), SnapshotOf("a", 3)}).ok());
  EXPECT_TRUE(jobs.jobs().empty());
  ASSERT_TRUE(jobs.Apply({Submitted("a", "words")}).ok());
  const std::string before = Text(jobs);
  EXPECT_FALSE(jobs.Apply({Planned("a", 1, 0, 10), Planned("a", 2, 11, 12)}).ok());
  EXPECT_EQ(Text(jobs), before);
}

TEST(JournaledJobsTest, SecondJobOfANameIsRefusedWhileTheFirstHasNotEnded) {
  JournaledJobs jobs;
  ASSERT_TRUE(jobs.Apply({Submitted("a", "words")}).ok());
  EXPECT_EQ(jobs.Apply({Submitted("b", "words")}).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(jobs.Apply({Submitted("c", "other")}).ok());
  ASSERT_TRUE(jobs.Apply({Ended("a", proto::JobEnded::CANCELLED)}).ok());
  EXPECT_TRUE(jobs.Apply({Submitted("b", "words")}).ok());
}

TEST(JournaledJobsTest, FirstRecordWithAPartitionTwiceIsRefused) {
  proto::JournalRecord twice = Submitted("a", "words");
  twice.mutable_job_submitted()->add_partitions()->set_ordinal(1);
  twice.mutable_job_submitted()->mutable_partitions(1)->mutable_key()->set_partition("t/0");
  JournaledJobs jobs;
  EXPECT_EQ(jobs.Apply({twice}).code(), absl::StatusCode::kDataLoss);
  ASSERT_TRUE(jobs.Replay(twice).ok());
  EXPECT_FALSE(jobs.jobs().at("a").quarantine.ok());
}

TEST(JournaledJobsTest, JobThatDoesNotAddUpIsQuarantinedAndItsRecordsAreKept) {
  JournaledJobs jobs;
  ReplayAll({Submitted("a", "words"), Submitted("b", "other"), Planned("a", 1, 0, 10),
             Planned("a", 3, 10, 20), Planned("b", 1, 0, 5), Planned("a", 2, 10, 20)},
            &jobs);
  EXPECT_THAT(std::string(jobs.jobs().at("a").quarantine.message()),
              HasSubstr("journal of job 'words': batch 3 planned after batch 1"));
  EXPECT_EQ(jobs.jobs().at("a").history.last_planned(), BatchId(1));
  EXPECT_TRUE(jobs.jobs().at("b").quarantine.ok());
  EXPECT_TRUE(jobs.Apply({Committed("b", 1)}).ok()) << "the others go on";
  EXPECT_FALSE(jobs.Apply({Planned("a", 2, 10, 20)}).ok());

  JournaledJobs next;
  ReplayAll(CheckpointOf(jobs), &next);
  EXPECT_THAT(next.jobs().at("a").kept, SizeIs(2));
  EXPECT_EQ(Text(next), Text(jobs));

  ASSERT_TRUE(next.Apply({Ended("a", proto::JobEnded::CANCELLED)}).ok());
  EXPECT_TRUE(next.jobs().at("a").quarantine.ok());
  EXPECT_TRUE(next.Apply({Submitted("c", "words")}).ok()) << "the name is free again";
}

TEST(JournaledJobsTest, JobWithoutASubmissionIsQuarantinedAndCanBeCancelled) {
  JournaledJobs jobs;
  ReplayAll({Planned("a", 1, 0, 10), Submitted("b", "other")}, &jobs);
  EXPECT_THAT(std::string(jobs.jobs().at("a").quarantine.message()),
              HasSubstr("speaks of job a before its submission"));
  JournaledJobs next;
  ReplayAll(CheckpointOf(jobs), &next);
  EXPECT_EQ(Text(next), Text(jobs));
  ASSERT_TRUE(next.Apply({Ended("a", proto::JobEnded::CANCELLED)}).ok());
  EXPECT_FALSE(next.jobs().contains("a"));
}

TEST(JournaledJobsTest, PlanOfANewerVersionIsKeptForIt) {
  proto::JournalRecord newer = Submitted("a", "words");
  newer.mutable_job_submitted()->mutable_plan()->set_format_version(plan::kPlanFormatVersion + 1);
  newer.mutable_job_submitted()->mutable_plan()->set_engine_version("7.1");
  JournaledJobs jobs;
  EXPECT_EQ(jobs.Apply({newer}).code(), absl::StatusCode::kFailedPrecondition);
  ReplayAll({newer, Planned("a", 1, 0, 10)}, &jobs);
  EXPECT_THAT(std::string(jobs.jobs().at("a").quarantine.message()),
              HasSubstr("was planned by Millrace 7.1 in plan format"));
  for (int round = 0; round < 2; ++round) {
    const std::vector<proto::JournalRecord> checkpoint = CheckpointOf(jobs);
    ASSERT_THAT(checkpoint, SizeIs(3)) << "its two records as they were, and the end";
    EXPECT_TRUE(checkpoint[0].has_job_submitted());
    EXPECT_TRUE(checkpoint[1].has_batch_planned());
    jobs.Reset();
    ReplayAll(checkpoint, &jobs);
  }
}

TEST(JournaledJobsTest, CheckpointThatDoesNotAddUpIsQuarantined) {
  proto::JournalRecord checkpoint;
  proto::JobCheckpoint* job = checkpoint.mutable_job_checkpoint();
  *job->mutable_submitted() = Submitted("a", "words").job_submitted();
  job->set_last_planned(2);
  proto::JournalRecord end;
  end.mutable_checkpoint_end();
  JournaledJobs jobs;
  ReplayAll({checkpoint, end}, &jobs);
  EXPECT_THAT(std::string(jobs.jobs().at("a").quarantine.message()),
              HasSubstr("its checkpoint has the plans of batches 3 to 2"));
  jobs.Reset();
  ReplayAll({checkpoint, Committed("a", 1)}, &jobs);
  EXPECT_THAT(std::string(jobs.jobs().at("a").quarantine.message()),
              HasSubstr("batch 1 committed, but its plan is not there"));
  jobs.Reset();
  ReplayAll({end, checkpoint}, &jobs);
  EXPECT_THAT(std::string(jobs.jobs().at("a").quarantine.message()),
              HasSubstr("a checkpoint of job a where there is none"));
}

// A record whose field 99 is of a kind that this version does not know.
proto::JournalRecord OfUnknownKind(const std::string& about_job, bool may_be_passed_over) {
  proto::JournalRecord record;
  EXPECT_TRUE(record.ParseFromString(std::string("\x9a\x06\x01x", 4)));
  record.set_about_job(about_job);
  record.set_may_be_passed_over(may_be_passed_over);
  return record;
}

TEST(JournaledJobsTest, UnknownKindIsPassedOverLeftToItsJobOrRefused) {
  JournaledJobs jobs;
  ReplayAll({Submitted("a", "words"), Submitted("b", "other"), OfUnknownKind("a", true),
             OfUnknownKind("", true)},
            &jobs);
  EXPECT_TRUE(jobs.jobs().at("a").quarantine.ok());
  ReplayAll({OfUnknownKind("a", false)}, &jobs);
  EXPECT_FALSE(jobs.jobs().at("a").quarantine.ok());
  EXPECT_TRUE(jobs.jobs().at("b").quarantine.ok());
  JournaledJobs next;
  ReplayAll(CheckpointOf(jobs), &next);
  ASSERT_THAT(next.jobs().at("a").kept, SizeIs(1));
  EXPECT_EQ(next.jobs().at("a").kept[0].SerializeAsString(),
            OfUnknownKind("a", false).SerializeAsString())
      << "for the version that knows it";
  EXPECT_EQ(jobs.Replay(OfUnknownKind("", false)).code(), absl::StatusCode::kFailedPrecondition);
}

// In any history, the state that a checkpoint brings back takes the same records as the original.
TEST(JournaledJobsTest, CheckpointAnywhereChangesNothing) {
  std::mt19937 random(7);
  const auto dice = [&](int sides) {
    return static_cast<int>(std::uniform_int_distribution<>(1, sides)(random));
  };
  for (int run = 0; run < 200; ++run) {
    JournaledJobs straight;
    JournaledJobs stopped;
    int64_t planned = 0;
    int64_t committed = 0;
    int64_t epoch = 0;
    for (int step = 0; step < 60; ++step) {
      std::vector<proto::JournalRecord> records;
      switch (step == 0 ? 8 : dice(11)) {
        case 1:
        case 2:
          ++planned;
          records = {Planned("a", planned, planned * 10 - 10, planned * 10)};
          break;
        case 3:
        case 4:
          records = {WithMark(Committed("a", ++committed), epoch)};
          committed = std::min(committed, planned);
          break;
        case 5:
          records = {Epoch("a", ++epoch, false)};
          records[0].mutable_epoch_started()->set_slots(static_cast<uint32_t>(dice(4)));
          break;
        case 6:
          records = {dice(4) == 1 ? Epoch("a", epoch, true)
                                  : OpenedWithSessions("a", epoch, committed + dice(3)),
                     SnapshotOf("a", dice(static_cast<int>(planned + 1)))};
          break;
        case 7:
          records = {SnapshotOf("a", dice(static_cast<int>(planned + 1)),
                                /*dropped=*/true)};
          break;
        case 8:
          records = {Submitted("a", "words", dice(2) == 1)};
          break;
        case 9:
          records = {Retired("a")};
          break;
        case 10:
          records = {Reopened("a")};
          break;
        default:
          records = {Ended("a", proto::JobEnded::STOPPED)};
      }
      const absl::Status taken = straight.Apply(records);
      EXPECT_EQ(stopped.Apply(records), taken);
      if (dice(5) == 1) {
        const std::vector<proto::JournalRecord> checkpoint = CheckpointOf(stopped);
        stopped.Reset();
        ReplayAll(checkpoint, &stopped);
        if (!straight.jobs().at("a").refused.ok()) {
          break;  // the journal is opened anew, the job submitted again
        }
      }
      ASSERT_EQ(Text(stopped), Text(straight));
      planned = straight.jobs().at("a").history.last_planned().value();
      committed = straight.jobs().at("a").history.last_committed().value();
    }
  }
}

absl::Status ReadTestJournal(const std::string& name, JournaledJobs* jobs) {
  return JournalFollower(FileSystem::Real(), absl::StrCat("driver/jobs/testdata/ad1ebd1/", name),
                         jobs)
      .Finish(UINT64_MAX)
      .status();
}

TEST(JournaledJobsTest, ReadsAJournalOfThreeSegmentsInFormat2) {
  JournaledJobs jobs;
  ASSERT_TRUE(ReadTestJournal("resumed", &jobs).ok());
  ASSERT_THAT(jobs.jobs(), SizeIs(1));
  const JournaledJob& job = jobs.jobs().begin()->second;
  EXPECT_TRUE(job.quarantine.ok()) << job.quarantine;
  EXPECT_EQ(job.history.name(), "words");
  EXPECT_EQ(job.history.last_committed(), BatchId(3)) << "one in each run";
  EXPECT_EQ(job.history.last_snapshot(), BatchId(3));
  EXPECT_THAT(job.history.committed_to(), ElementsAre(10));
  EXPECT_EQ(job.history.ended()->how(), proto::JobEnded::FINISHED);
  EXPECT_TRUE(job.history.wants_former_claims()) << "no epoch has had sessions";
  JournaledJobs next;
  ReplayAll(CheckpointOf(jobs), &next);
  EXPECT_EQ(Text(next), Text(jobs));
}

// A job has a snapshot of batch 1, is submitted without state, then with state again. Once, that
// last submission was journaled, and from then on no driver could start over the directory.
TEST(JournaledJobsTest, DirectoryThatWasShutForEverOpens) {
  JournaledJobs jobs;
  ASSERT_TRUE(ReadTestJournal("refused", &jobs).ok());
  const JournaledJob& job = jobs.jobs().begin()->second;
  EXPECT_TRUE(job.quarantine.ok()) << job.quarantine;
  EXPECT_TRUE(job.history.PlanRecovery().ok());
  ASSERT_NE(job.history.PlanRecovery()->snapshot, nullptr);
  EXPECT_EQ(job.history.PlanRecovery()->snapshot->layers_size(), 0) << "its state was dropped";
}

}  // namespace
}  // namespace millrace::driver
