// Snapshots that only one side sees: the driver journals nothing that it has not seen, gives
// nothing up on an executor's word, and names and excludes an executor that does not see the
// directory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "driver/coordinator/job_state.h"
#include "driver/coordinator/testing/job_play.h"

namespace millrace::driver {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr int64_t kSecondUs = 1'000'000;

proto::JobSubmitted WithState() {
  proto::JobSubmitted submitted = Submitted(1, /*running_state=*/true);
  submitted.mutable_plan()->add_sinks()->set_table("counts");
  submitted.set_snapshot_location("/share/snapshots");
  return submitted;
}

JobSettings EverySecond() {
  JobSettings settings = Play::Settings(10);
  settings.checkpoint_interval = absl::Seconds(1);
  return settings;
}

// Plans, runs and commits `batch` on executor e.
void CommitOne(Play* play, int64_t batch) {
  play->Ends(100 + batch * 10);
  if (play->runs.empty() || play->runs.back().batch() != batch) {
    play->At(play->state().next_wakeup_us());
  }
  play->RunBatch(batch);
}

std::vector<std::string> MembersOf(const proto::StartEpoch& start) {
  std::vector<std::string> members;
  for (const auto& member : start.assignment().members()) {
    members.push_back(member.executor_id());
  }
  return members;
}

// Waits for the next epoch, which may have begun at once.
void NextEpoch(Play* play) {
  constexpr int64_t kLongestPauseUs = 10 * kSecondUs;
  if (play->state().next_wakeup_us() <= play->now_us + kLongestPauseUs) {
    play->At(play->state().next_wakeup_us());
  }
}

// What `jobs list` shows.
std::string Said(Play& play) {
  return play.state().message().empty() ? play.state().snapshot_trouble() : play.state().message();
}

int Dropped(const Play& play) {
  return static_cast<int>(
      std::count_if(play.journal.begin(), play.journal.end(),
                    [](const auto& record) { return record.has_snapshot_dropped(); }));
}

// A job with snapshots of batches 1 and 2, taken up by a new driver.
Play TakenUp() {
  Play before(WithState(), EverySecond());
  before.Start();
  for (int64_t batch = 1; batch <= 2; ++batch) {
    CommitOne(&before, batch);
    before.Do(SnapshotRequested{});
    before.SnapshotWritten("e", batch);
  }
  JobHistory history(WithState());
  for (const proto::JournalRecord& record : before.journal) {
    EXPECT_TRUE(history.Apply(record).ok());
  }
  EXPECT_EQ(history.last_snapshot(), BatchId(2));
  return Play(std::move(history), EverySecond(), {});
}

// ---- An epoch begins with the proof ----

TEST(JobStoreProofTest, ExecutorsHearOfAnEpochWhenThereIsAMarkToFind) {
  Play play(WithState(), EverySecond());
  play.store_answers = false;
  play.Members({"e"});
  ASSERT_THAT(play.marks, SizeIs(1));
  EXPECT_TRUE(play.marks[0].may_make) << "a new job has nothing to lose there";
  EXPECT_THAT(play.starts, IsEmpty());
  play.AnswerMark();
  ASSERT_THAT(play.starts, SizeIs(1));
  EXPECT_EQ(play.starts[0].store_mark(), "mark");
  EXPECT_THAT(play.starts[0].DebugString(), Not(HasSubstr("nonce"))) << "it is to be read";
}

TEST(JobStoreProofTest, AJobWithoutStateNeedsNoProof) {
  Play play(Submitted(1));
  play.Members({"e"});
  EXPECT_THAT(play.marks, IsEmpty());
  EXPECT_THAT(play.starts, SizeIs(1));
}

TEST(JobStoreProofTest, NobodyIsReadyBeforeTheDriverHasReadTheAnswer) {
  Play play(WithState(), EverySecond());
  play.Members({"e"});
  play.store_answers = false;
  play.Ready("e");
  play.Ends(110);
  EXPECT_THAT(play.runs, IsEmpty());
  play.Do(StoreAnswerChecked{play.state().epoch(), ExecutorId("e"), absl::OkStatus()});
  EXPECT_THAT(play.runs, SizeIs(1));
}

TEST(JobStoreProofTest, AnExecutorThatSeesAnotherDirectoryIsNamedAndTheOthersGoOn) {
  Play play(WithState(), EverySecond());
  play.Members({"e", "f"});
  play.Ready("e");
  play.SeesNoStore("f", "no such file or directory reading /share/snapshots/mark");
  NextEpoch(&play);
  ASSERT_THAT(play.starts, SizeIs(3));
  EXPECT_THAT(MembersOf(play.starts[2]), ElementsAre("e"));
  play.Ready("e");
  CommitOne(&play, 1);
  EXPECT_THAT(play.state().snapshot_trouble(), HasSubstr("without executor host:f: no such file"));
  EXPECT_THAT(play.over, IsEmpty());
}

TEST(JobStoreProofTest, AnswersThatTheDriverDoesNotFindCountAsNone) {
  Play play(WithState(), EverySecond());
  play.Members({"e", "f"});
  play.answers_seen["f"] = absl::NotFoundError("no file answer of f");
  play.Ready("e");
  play.Ready("f");
  NextEpoch(&play);
  EXPECT_THAT(MembersOf(play.starts.back()), ElementsAre("e"));
  play.Ready("e");
  EXPECT_THAT(play.state().snapshot_trouble(), HasSubstr("executor host:f"));
  EXPECT_THAT(play.state().snapshot_trouble(), HasSubstr("no file answer of f"));
}

TEST(JobStoreProofTest, AnExecutorThatHasReadSomethingElseIsLeftOut) {
  // The last one: a mark whose contents the executor's machine has not, as with a stale cache.
  for (const char* read : {"of an old copy", "nonc", ""}) {
    Play play(WithState(), EverySecond());
    play.read_nonce = read;
    play.Members({"e"});
    play.Ready("e");
    play.Ends(110);
    EXPECT_THAT(play.runs, IsEmpty()) << read;
    EXPECT_THAT(Said(play), HasSubstr("executor host:e: it has not read in")) << read;
    EXPECT_THAT(play.over, IsEmpty()) << read;
  }
}

TEST(JobStoreProofTest, AloneItIsTriedForEverAndTheJobDoesNotFail) {
  Play play(WithState(), EverySecond());
  play.Members({"e"});
  for (int i = 0; i < 50; ++i) {
    play.SeesNoStore("e", "not mounted");
    EXPECT_THAT(Said(play), HasSubstr("executor host:e: not mounted"));
    NextEpoch(&play);
  }
  EXPECT_LE(play.now_us, 50 * 10 * kSecondUs);
  EXPECT_THAT(play.over, IsEmpty());
  play.Ready("e");
  CommitOne(&play, 1);
  EXPECT_EQ(play.state().snapshot_trouble(), "");
}

TEST(JobStoreProofTest, WhoWasLeftOutIsTriedAgainLaterAndEverMoreRarely) {
  Play play(WithState(), EverySecond());
  play.Members({"e", "f"});
  play.SeesNoStore("f", "not mounted");
  NextEpoch(&play);
  play.Ready("e");
  const size_t starts = play.starts.size();
  EXPECT_EQ(play.state().next_wakeup_us(), 30 * kSecondUs);
  play.At(30 * kSecondUs);
  play.At(play.state().next_wakeup_us());
  ASSERT_EQ(play.starts.size(), starts + 2);
  EXPECT_THAT(MembersOf(play.starts.back()), ElementsAre("e", "f"));
  play.SeesNoStore("f", "not mounted");
  NextEpoch(&play);
  play.Ready("e");
  EXPECT_GE(play.state().next_wakeup_us(), 90 * kSecondUs);
  play.At(play.state().next_wakeup_us());
  play.At(play.state().next_wakeup_us());
  play.Ready("e");
  play.Ready("f");
  EXPECT_EQ(play.state().snapshot_trouble(), "") << "it is mounted now";
}

TEST(JobStoreProofTest, ADriverWithoutTheDirectoryWaitsForItAndMakesNone) {
  Play play = TakenUp();
  play.store_writable = absl::NotFoundError("no such directory /share/snapshots/inc-1");
  play.Members({"e"});
  EXPECT_FALSE(play.marks[0].may_make) << "an empty one would take the place of the real one";
  for (int i = 0; i < 50; ++i) {
    EXPECT_THAT(Said(play), HasSubstr("no such directory"));
    NextEpoch(&play);
  }
  EXPECT_THAT(play.starts, IsEmpty());
  EXPECT_THAT(play.over, IsEmpty());
  play.store_writable = absl::OkStatus();
  play.At(play.state().next_wakeup_us());
  ASSERT_THAT(play.starts, SizeIs(1));
  EXPECT_EQ(play.starts[0].restore().batch(), 2);
}

TEST(JobStoreProofTest, ADirectoryThatHangsIsSaid) {
  Play play(WithState(), EverySecond());
  play.store_answers = false;
  play.Members({"e"});
  EXPECT_EQ(play.state().next_wakeup_us(), 60 * kSecondUs);
  play.At(60 * kSecondUs);
  EXPECT_THAT(Said(play), HasSubstr("/share/snapshots within 60 s"));
  EXPECT_THAT(play.over, IsEmpty());
}

// ---- What is journaled has been seen ----

TEST(JobStoreProofTest, ASnapshotThatTheDriverDoesNotFindIsNotJournaled) {
  Play play(WithState(), EverySecond());
  play.Start();
  CommitOne(&play, 1);
  play.broken_files["b1"] = absl::DataLossError("b1 is not there");
  play.At(kSecondUs);
  play.SnapshotWritten("e", 1);
  EXPECT_EQ(play.state().history().last_snapshot(), BatchId(0));
  EXPECT_THAT(play.state().snapshot_trouble(), HasSubstr("executor host:e"));
  EXPECT_THAT(play.state().snapshot_trouble(), HasSubstr("b1 is not there"));
  CommitOne(&play, 2);
  play.At(play.now_us + kSecondUs);
  ASSERT_THAT(play.cuts, SizeIs(2));
  EXPECT_TRUE(play.cuts[1].full()) << "what the first had is in no layer";
  play.SnapshotWritten("e", 2);
  EXPECT_EQ(play.state().history().last_snapshot(), BatchId(2));
}

TEST(JobStoreProofTest, BatchesGoOnWhileTheDriverReads) {
  Play play(WithState(), EverySecond());
  play.Start();
  CommitOne(&play, 1);
  play.store_answers = false;
  play.At(kSecondUs);
  play.SnapshotWritten("e", 1);
  EXPECT_EQ(play.state().history().last_snapshot(), BatchId(0));
  for (int64_t batch = 2; batch <= 5; ++batch) {
    CommitOne(&play, batch);
  }
  EXPECT_EQ(play.state().history().last_committed(), BatchId(5));
  play.AnswerCheck();
  EXPECT_EQ(play.state().history().last_snapshot(), BatchId(1));
}

TEST(JobStoreProofTest, ADriverThatCannotReadInTimeGivesTheSnapshotUp) {
  Play play(WithState(), EverySecond());
  play.Start();
  CommitOne(&play, 1);
  play.store_answers = false;
  play.At(kSecondUs);
  play.SnapshotWritten("e", 1);
  play.At(601 * kSecondUs);
  EXPECT_THAT(play.state().snapshot_trouble(), HasSubstr("the driver has not read its files"));
  play.AnswerCheck();
  EXPECT_EQ(play.state().history().last_snapshot(), BatchId(0)) << "it is too late";
}

// ---- What is given up is broken ----

TEST(JobStoreProofTest, NoMembersWordGivesASnapshotUp) {
  Play play = TakenUp();
  play.Members({"e"});
  for (int i = 0; i < 20; ++i) {
    play.FailedToRestore("e", "snapshot file b2 cannot be read");
    EXPECT_THAT(Said(play), HasSubstr("executor host:e: snapshot file b2"));
    EXPECT_THAT(Said(play), HasSubstr("the driver finds it whole"));
    NextEpoch(&play);
    EXPECT_EQ(play.starts.back().restore().batch(), 2);
  }
  EXPECT_EQ(Dropped(play), 0);
  EXPECT_THAT(play.over, IsEmpty());
  play.Ready("e");
  CommitOne(&play, 3);
}

TEST(JobStoreProofTest, TheDriverLooksAtAllLayersBeforeItJudges) {
  Play play = TakenUp();
  play.Members({"e"});
  play.store_answers = false;
  play.FailedToRestore("e", "snapshot file b2 cannot be read");
  ASSERT_THAT(play.checks, SizeIs(1));
  EXPECT_THAT(play.checks[0].files, SizeIs(2));
  EXPECT_THAT(play.starts, SizeIs(1)) << "nothing begins before it knows";
  play.broken_files["b1"] = absl::DataLossError("b1 was cut");
  play.AnswerCheck();
  EXPECT_EQ(Dropped(play), 1);
}

TEST(JobStoreProofTest, WhatTheDriverCannotReadNowMayBeReadableLater) {
  Play play = TakenUp();
  play.Members({"e"});
  play.broken_files["b2"] = absl::InternalError("Input/output error reading b2");
  for (int i = 0; i < 20; ++i) {
    play.FailedToRestore("e", "b2 cannot be read");
    EXPECT_THAT(Said(play), HasSubstr("Input/output error"));
    NextEpoch(&play);
  }
  EXPECT_EQ(Dropped(play), 0);
  EXPECT_THAT(play.over, IsEmpty());
}

TEST(JobStoreProofTest, ALookThatHangsIsTriedAgain) {
  Play play = TakenUp();
  play.Members({"e"});
  play.store_answers = false;
  play.FailedToRestore("e", "b2 cannot be read");
  play.At(play.state().next_wakeup_us());
  EXPECT_THAT(Said(play), HasSubstr("not been able to read"));
  EXPECT_EQ(Dropped(play), 0);
}

}  // namespace
}  // namespace millrace::driver
