// The life of partitions, step by step: found, closed, gone, retired, read again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "driver/coordinator/job_state.h"
#include "driver/coordinator/testing/job_play.h"

namespace millrace::driver {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

proto::JobSubmitted SubmittedWith(int partitions, const std::string& on_data_loss) {
  proto::JobSubmitted submitted = Submitted(partitions);
  (*submitted.mutable_plan()->mutable_sources(0)->mutable_options())["on_data_loss"] = on_data_loss;
  return submitted;
}

// The job as another driver finds it in the journal.
JobHistory Reread(const Play& play, const proto::JobSubmitted& submitted) {
  JobHistory history(submitted);
  for (const proto::JournalRecord& record : play.journal) {
    const absl::Status applied = history.Apply(record);
    EXPECT_TRUE(applied.ok()) << applied;
  }
  return history;
}

TEST(JobPartitionsTest, ADeletedPartitionThatWasReadIsRetiredAndTheJobGoesOn) {
  Play play(Submitted(2), Play::Settings(0));
  play.Start();
  play.Ends(110, 2);
  play.Closed(0, 110, /*gone=*/true);
  EXPECT_THAT(play.retired, IsEmpty()) << "its batch is not committed yet";
  play.RunBatch(1);
  ASSERT_THAT(play.retired, SizeIs(1));
  EXPECT_EQ(play.retired[0].partition, "t/0");
  EXPECT_EQ(play.retired[0].why, "it was deleted");
  EXPECT_EQ(play.retired[0].lost_end, 0);
  EXPECT_EQ(play.state().phase(), proto::PHASE_RUNNING);
  EXPECT_THAT(play.state().Partitions(), SizeIs(1));
  // The other partition goes on, and the executors are told that this one need not be read.
  play.Do(EndsKnown{.ends = {{"t/1", 120, 120}}});
  ASSERT_THAT(play.runs, SizeIs(2));
  EXPECT_EQ(play.runs[1].splits(0).key().partition(), "t/1");
  ASSERT_EQ(play.runs[1].retired_partitions_size(), 1);
  EXPECT_EQ(play.runs[1].retired_partitions(0).partition(), "t/0");
}

TEST(JobPartitionsTest, ARetiredPartitionIsNotPlacedInLaterEpochs) {
  Play play(Submitted(2), Play::Settings(0));
  play.Start();
  play.Ends(110, 2);
  play.RunBatch(1);
  play.Closed(0, 110);
  ASSERT_THAT(play.retired, SizeIs(1));
  Play next(Reread(play, Submitted(2)), Play::Settings(0), {});
  next.Start();
  ASSERT_EQ(next.starts[0].assignment().partitions_size(), 1);
  EXPECT_EQ(next.starts[0].assignment().partitions(0).key().partition(), "t/1");
  EXPECT_EQ(next.starts[0].assignment().partitions(0).ordinal(), 1u);
  next.Do(EndsKnown{.ends = {{"t/1", 120, 120}}});
  next.RunBatch(2);
  EXPECT_EQ(next.state().LagRecords(), 0);
}

TEST(JobPartitionsTest, UnreadRecordsOfADeletedPartitionEndTheJobAndAreNamed) {
  Play play(SubmittedWith(1, "fail"), Play::Settings(0));
  play.Start();
  play.Ends(110);
  play.RunBatch(1);
  play.Closed(0, 125, /*gone=*/true);
  EXPECT_EQ(play.state().phase(), proto::PHASE_FAILED);
  EXPECT_THAT(
      play.state().message(),
      HasSubstr("source table \"lines\": partition t/0: it was deleted before offsets [110, "
                "125) were read: they are lost; to go on without them"));
}

TEST(JobPartitionsTest, AJobEndsOnceWhereAKnownAndAFoundPartitionAreLostTogether) {
  const proto::JobSubmitted submitted = SubmittedWith(1, "fail");
  Play play(submitted, Play::Settings(0));
  play.Start();
  play.Ends(110);
  play.RunBatch(1);
  play.Do(ResultsHeld{true});  // so that the partition that is found is not planned
  play.Do(PartitionsDiscovered{0, {{"t/1", 7}}});
  EndsKnown both;
  for (const auto& [name, end] : {std::pair("t/0", 125), std::pair("t/1", 9)}) {
    both.ends.push_back({.partition = name,
                         .stable_end = end,
                         .high_watermark = end,
                         .closed = true,
                         .gone = true,
                         .why = "it was deleted"});
  }
  play.Do(both);
  EXPECT_EQ(play.state().phase(), proto::PHASE_FAILED);
  EXPECT_THAT(play.state().message(), HasSubstr("partition t/0: it was deleted"));
  EXPECT_EQ(std::count_if(play.journal.begin(), play.journal.end(),
                          [](const auto& record) { return record.has_job_ended(); }),
            1);
  EXPECT_THAT(play.over, SizeIs(1));
  EXPECT_EQ(Reread(play, submitted).ended()->message(), play.over[0].message);
}

TEST(JobPartitionsTest, OnDataLossSkipGoesOnWithoutThemAndNotesTheRange) {
  Play play(SubmittedWith(2, "skip"), Play::Settings(0));
  play.Start();
  play.Ends(110, 2);
  play.RunBatch(1);
  play.Closed(0, 125, /*gone=*/true);
  ASSERT_THAT(play.retired, SizeIs(1));
  EXPECT_EQ(play.retired[0].lost_begin, 110);
  EXPECT_EQ(play.retired[0].lost_end, 125);
  EXPECT_EQ(play.state().phase(), proto::PHASE_RUNNING);
  EXPECT_THAT(play.runs, SizeIs(1)) << "nothing of it is planned";
}

TEST(JobPartitionsTest, WhatWasSeenAndNotReadIsKnownToTheNextDriver) {
  JobSettings settings = Play::Settings(1000);
  settings.max_rate_per_partition = 10;
  const proto::JobSubmitted submitted = SubmittedWith(1, "fail");
  Play play(submitted, settings);
  play.Start();
  play.Ends(150);
  play.RunBatch(1);
  ASSERT_EQ(play.runs[0].splits(0).end(), 110);
  Play next(Reread(play, submitted), settings, {});
  next.Closed(0, 0,
              /*gone=*/true);  // a watcher that sees it for the first time cannot tell its end
  EXPECT_EQ(next.state().phase(), proto::PHASE_FAILED);
  EXPECT_THAT(next.state().message(), HasSubstr("[110, 150)"));
}

TEST(JobPartitionsTest, AWholePartitionIsReadToItsEndBeforeItIsRetired) {
  Play play(Submitted(1), Play::Settings(0));
  play.Start();
  play.Closed(0, 125);
  play.RunBatch(1);
  EXPECT_EQ(play.runs[0].splits(0).end(), 125);
  ASSERT_THAT(play.retired, SizeIs(1));
}

TEST(JobPartitionsTest, ARetiredPartitionThatGrowsIsReadOnWhereItWasLeft) {
  const proto::JobSubmitted submitted = Submitted(1);
  Play play(submitted, Play::Settings(0));
  play.Start();
  play.Closed(0, 125);
  play.RunBatch(1);
  play.Do(PartitionsDiscovered{0, {{"t/0", 0}}});
  play.Do(EndsKnown{.ends = {{"t/0", 130, 130}}});
  ASSERT_THAT(play.runs, SizeIs(2));
  ASSERT_EQ(play.runs[1].new_partitions_size(), 1);
  EXPECT_EQ(play.runs[1].new_partitions(0).ordinal(), 0u);
  EXPECT_EQ(play.runs[1].new_partitions(0).offset(), 125);
  EXPECT_EQ(play.runs[1].splits(0).begin(), 125);
  play.RunBatch(2);
  const JobHistory history = Reread(play, submitted);
  EXPECT_FALSE(history.partitions()[0].retired);
  EXPECT_EQ(history.committed_to()[0], 130);
}

TEST(JobPartitionsTest, APartitionWhoseRowsASinkHidesKeepsItsShardsAndIsNotRead) {
  const proto::JobSubmitted submitted = Submitted(1);
  Play play(submitted, Play::Settings(0));
  play.Start();
  play.Closed(0, 125);
  play.Prepared("e", 1);
  proto::ExecutorMessage committed;
  committed.mutable_batch_committed()->set_epoch(1);
  committed.mutable_batch_committed()->set_batch(1);
  committed.mutable_batch_committed()->add_markers()->set_hides_rows(true);
  play.Report("e", committed);
  ASSERT_THAT(play.retired, SizeIs(1));
  Play next(Reread(play, submitted), Play::Settings(0), {});
  next.Start();
  ASSERT_EQ(next.starts[0].assignment().partitions_size(), 1);
  EXPECT_TRUE(next.starts[0].assignment().partitions(0).sinks_only());
}

TEST(JobPartitionsTest, ReplaysReadARetiredPartitionAgain) {
  const proto::JobSubmitted submitted = Submitted(2, /*running_state=*/true);
  Play play(submitted, Play::Settings(0));
  play.Start();
  play.Ends(110, 2);
  play.RunBatch(1);
  play.Closed(0, 110);
  ASSERT_THAT(play.retired, SizeIs(1));
  Play next(Reread(play, submitted), Play::Settings(0), {});
  next.Start();
  ASSERT_EQ(next.starts[0].assignment().partitions_size(), 2);
  EXPECT_FALSE(next.starts[0].assignment().partitions(0).sinks_only());
  EXPECT_EQ(next.starts[0].assignment().partitions(0).offset(), 100);
  ASSERT_THAT(next.runs, SizeIs(1));
  EXPECT_EQ(next.runs[0].splits_size(), 2);
}

TEST(JobPartitionsTest, ABoundedJobFinishesWithoutWhatIsGone) {
  proto::JobSubmitted submitted = SubmittedWith(2, "skip");
  submitted.set_once(true);
  for (int p = 0; p < 2; ++p) {
    auto* stop = submitted.add_stop_at();
    stop->mutable_key()->set_partition(absl::StrCat("t/", p));
    stop->set_offset(120);
  }
  JobSettings settings = Play::Settings(1000);
  settings.max_rate_per_partition = 10;
  Play play(submitted, settings);
  play.Start();
  play.RunBatch(1);
  play.Closed(0, 0, /*gone=*/true);
  ASSERT_THAT(play.retired, SizeIs(1));
  EXPECT_EQ(play.retired[0].lost_begin, 110);
  EXPECT_EQ(play.retired[0].lost_end, 120);
  play.At(1000 * kMs);
  play.RunBatch(2);
  play.Stopped("e");
  EXPECT_EQ(play.state().phase(), proto::PHASE_FINISHED) << play.state().message();
}

TEST(JobPartitionsTest, NewPartitionsComeBeforeThoseThatAreReadAgain) {
  const proto::JobSubmitted submitted = Submitted(1);
  Play play(submitted, Play::Settings(0));
  play.Start();
  play.Closed(0, 125);
  play.RunBatch(1);
  play.Do(PartitionsDiscovered{0, {{"t/0", 0}, {"t/0#2", 7}}});
  play.now_us += kMs;
  play.Do(EndsKnown{.ends = {{"t/0", 130, 130}, {"t/0#2", 9, 9}}});
  ASSERT_EQ(play.runs[1].new_partitions_size(), 2);
  EXPECT_EQ(play.runs[1].new_partitions(0).ordinal(), 1u);
  EXPECT_EQ(play.runs[1].new_partitions(1).ordinal(), 0u);
  play.RunBatch(2);
  EXPECT_EQ(Reread(play, submitted).committed_to()[1], 9);
}

TEST(JobPartitionsTest, WhatTellsAPartitionBetterIsJournaled) {
  const proto::JobSubmitted submitted = Submitted(1);
  Play play(submitted, Play::Settings(0));
  play.Start();
  play.Do(EndsKnown{.ends = {{.partition = "t/0", .identity = "A"}}});
  play.Do(EndsKnown{.ends = {{.partition = "t/0", .identity = "A"}}});
  play.Do(EndsKnown{.ends = {{.partition = "t/0", .identity = "AB"}}});
  EXPECT_EQ(Reread(play, submitted).partitions()[0].topic_id, "AB");
  EXPECT_EQ(std::count_if(play.journal.begin(), play.journal.end(),
                          [](const auto& record) { return record.has_partitions_changed(); }),
            2);
}

}  // namespace
}  // namespace millrace::driver
