// Sessions that several shards share: which places each epoch claims, what it journals of them, and
// which output executors must not write again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "driver/coordinator/job_state.h"
#include "driver/coordinator/testing/session_play.h"

namespace millrace::driver {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// ---- Places ----

TEST(JobSessionsTest, AnEpochSaysHowManyMembersItHasBeforeTheyClaim) {
  Play play = Begin();
  play.Members({"a", "b", "c"});
  ASSERT_EQ(play.journal.size(), 1u);
  EXPECT_EQ(play.journal[0].epoch_started().slots(), 3u);
  for (const char* member : {"a", "b", "c"}) {
    ASSERT_EQ(play.started[member].groups_size(), 1);
    EXPECT_THAT(play.started[member].groups(0).sinks(), ElementsAre(0u, 1u));
  }
  EXPECT_THAT(PlacesOf(play.started["a"]), ElementsAre("0/0"));
  EXPECT_THAT(PlacesOf(play.started["b"]), ElementsAre("0/1"));
  EXPECT_THAT(PlacesOf(play.started["c"]), ElementsAre("0/2"));
}

TEST(JobSessionsTest, ASlotIsTheIndexAmongTheMembers) {
  Play play = Begin();
  play.Members({"b", "a"});
  const proto::StartEpoch& start = play.started["b"];
  ASSERT_EQ(start.assignment().members_size(), 2);
  EXPECT_EQ(start.assignment().members(static_cast<int>(start.sessions(0).slot())).executor_id(),
            "b");
}

TEST(JobSessionsTest, ThoseWhoStayClaimThePlacesOfThoseWhoAreGone) {
  Play play = Begin();
  play.Members({"a", "b", "c", "d", "e"});
  AllReady({"a", "b", "c", "d", "e"}, &play);
  Replace({"d", "e"}, &play);
  EXPECT_THAT(PlacesOf(play.started["d"]), ElementsAre("0/0", "0/2", "0/4"));
  EXPECT_THAT(PlacesOf(play.started["e"]), ElementsAre("0/1", "0/3"));
  AllReady({"d", "e"}, &play);
  ASSERT_EQ(Openings(play).size(), 2u);
  EXPECT_EQ(Openings(play)[1].epoch_opened().sessions().marks_size(), 5);
  Replace({"e"}, &play);
  EXPECT_THAT(PlacesOf(play.started["e"]), ElementsAre("0/0", "0/1"))
      << "the others are claimed once";
}

// A script that no longer groups its tables so, and one that has other tables.
TEST(JobSessionsTest, PlacesOfGroupsThatAreGoneAreSharedOutLikeThose) {
  Play before = Begin();
  before.Members({"a", "b"});
  AllReady({"a", "b"}, &before);
  JobStateOptions options;
  options.session_groups = {{1}};
  Play play = GoOn(WithTables(2), before, options);
  play.Members({"a", "b"});
  EXPECT_THAT(PlacesOf(play.started["a"]), ElementsAre("0/0", "1/0"));
  EXPECT_THAT(PlacesOf(play.started["b"]), ElementsAre("0/1", "1/1"));
}

TEST(JobSessionsTest, WhatTheJournalKnowsOfAPlaceGoesWithIt) {
  Play play = Begin();
  play.Members({"a", "b"});
  AllReady({"a", "b"}, &play);
  play.Ends(110, 2);
  play.Prepared("a", 1);
  play.Prepared("b", 1);
  play.Committed("a", 1);
  play.CommittedIn("b", 1, 0, 1);
  EXPECT_EQ(play.state().history().last_committed(), BatchId(1));
  Replace({"a"}, &play);
  EXPECT_THAT(PlacesOf(play.started["a"]), ElementsAre("0/0", "0/1: 1:1"));
}

// Its answers may be lost on the way, so it is told again, and the same.
TEST(JobSessionsTest, AMemberThatIsBackHearsOfTheSamePlaces) {
  Play play = Begin();
  play.Members({"a", "b", "c"});
  AllReady({"a", "b", "c"}, &play);
  Replace({"c"}, &play);
  const proto::StartEpoch first = play.started["c"];
  EXPECT_EQ(first.sessions_size(), 3);
  play.Do(MemberReconnected{ExecutorId("c")});
  EXPECT_EQ(play.started["c"].DebugString(), first.DebugString());
}

// The checkpoint falls between the start of an epoch and its opening, and the next driver has fewer
// executors. Those of the epoch that did not open may have claimed.
TEST(JobSessionsTest, ADriverThatTakesOverAtACheckpointClaimsForAnEpochThatDidNotOpen) {
  Play before = Begin();
  before.Members({"a", "b"});
  AllReady({"a", "b"}, &before);
  Replace({"a", "b", "c", "d"}, &before);
  ASSERT_TRUE(before.journal.back().has_epoch_started());
  std::vector<proto::JournalRecord> checkpoint;
  ASSERT_TRUE(before.state()
                  .history()
                  .WriteCheckpoint([&](proto::JournalRecord record) {
                    checkpoint.push_back(std::move(record));
                    return absl::OkStatus();
                  })
                  .ok());
  Play play(JobHistory(checkpoint[0].job_checkpoint()), Play::Settings(0), Shared());
  play.Members({"x"});
  EXPECT_THAT(PlacesOf(play.started["x"]), ElementsAre("0/0", "0/1", "0/2", "0/3"));
  EXPECT_THAT(FormerOf(play.started["x"]), IsEmpty());
}

TEST(JobSessionsTest, TablesThatShareSessionsHaveNoMarkersAndOthersDo) {
  Play play = Begin();
  play.Start();
  play.Ends(110, 2);
  play.Prepared("e", 1);
  proto::ExecutorMessage committed;
  committed.mutable_batch_committed()->set_epoch(1);
  committed.mutable_batch_committed()->set_batch(1);
  committed.mutable_batch_committed()->add_markers()->set_sink(2);
  committed.mutable_batch_committed()->mutable_markers(0)->set_marker("bytes 70");
  play.Report("e", committed);
  Replace({"e"}, &play);
  ASSERT_EQ(play.started["e"].markers_size(), 1);
  EXPECT_EQ(play.started["e"].markers(0).marker(), "bytes 70");
}

// ---- What is journaled ----

TEST(JobSessionsTest, TheOpeningSaysWhoWritesWhatThroughWhichPlace) {
  Play play = Begin(3);
  play.Members({"a", "b"});
  play.Write(0, 1, 0, 0).set_marker("claimed");
  play.Ready("a");
  EXPECT_THAT(Openings(play), IsEmpty());
  play.Ready("b");
  ASSERT_EQ(Openings(play).size(), 1u);
  const proto::OpenedSessions sessions = Openings(play)[0].epoch_opened().sessions();
  EXPECT_EQ(sessions.slots(), 2u);
  ASSERT_EQ(sessions.groups_size(), 1);
  EXPECT_THAT(sessions.groups(0).sinks(), ElementsAre(0u, 1u));
  const auto& owners = play.started["a"].assignment().shard_owner();
  EXPECT_THAT(sessions.shard_slot(), ElementsAre(owners[0], owners[1], owners[2], owners[3]));
  std::vector<uint32_t> slots(3);
  for (const auto& [member, slot] : {std::pair("a", 1u), std::pair("b", 2u)}) {
    for (const proto::PartitionStart& partition : play.started[member].assignment().partitions()) {
      slots[partition.ordinal()] = slot;
    }
  }
  EXPECT_THAT(sessions.partition_slot(), ElementsAre(slots[0], slots[1], slots[2]));
  ASSERT_EQ(sessions.marks_size(), 2);
  EXPECT_EQ(sessions.marks(1).marker(), "claimed");
  ASSERT_EQ(sessions.marks(1).terms_size(), 2);
  EXPECT_EQ(sessions.marks(1).terms(1).sink(), 1u);
  EXPECT_EQ(sessions.marks(1).terms(1).terms(), "e1");
}

TEST(JobSessionsTest, ThePlanOfANewPartitionSaysThroughWhichPlaceItIsWritten) {
  Play play = Begin(2);
  play.Members({"a", "b"});
  AllReady({"a", "b"}, &play);
  play.Do(PartitionsDiscovered{0, {{"t/2", 0}, {"t/3", 0}}});
  play.Do(EndsKnown{.ends = {{"t/2", 5, 5}, {"t/3", 5, 5}}});
  const proto::BatchPlanned& planned = play.journal.back().batch_planned();
  ASSERT_EQ(planned.new_partitions_size(), 2);
  ASSERT_EQ(planned.new_slots_size(), 2);
  for (int i = 0; i < 2; ++i) {
    const std::string owner = planned.new_slots(i) == 0 ? "a" : "b";
    for (size_t run = 0; run < play.runs.size(); ++run) {
      const auto& told = play.runs[run].new_partitions();
      EXPECT_EQ(std::any_of(told.begin(), told.end(),
                            [&](const proto::PartitionStart& start) {
                              return start.ordinal() == planned.new_partitions(i).ordinal();
                            }),
                play.receiver_of[run] == owner);
    }
  }
  EXPECT_NE(planned.new_slots(0), planned.new_slots(1)) << "they are shared out";
}

// The partition enters in batch 1, and only its place writes that batch before all die.
TEST(JobSessionsTest, WhatIsWrittenOfAPartitionThatHasJustEnteredIsNotWrittenAgain) {
  Play play = Begin(1);
  play.Members({"a", "b"});
  AllReady({"a", "b"}, &play);
  play.Do(PartitionsDiscovered{0, {{"t/1", 0}}});
  play.Do(EndsKnown{.ends = {{"t/1", 5, 5}}});
  ASSERT_EQ(play.journal.back().batch_planned().new_slots_size(), 1);
  const uint32_t slot = play.journal.back().batch_planned().new_slots(0);
  play.Write(0, slot, 1, 1);
  Replace({"c"}, &play);
  play.Ready("c");
  EXPECT_THAT(VisibleTo("c", 1, play), Contains("1/1 by e1"));
}

// The first batch of a wave is journaled with the marks of all, as with markers: whichever records
// are lost, the journal never counts a batch as committed before it knows the marks.
TEST(JobSessionsTest, TheFirstRecordOfAWaveHasTheMarks) {
  Play play = Begin(1);
  play.Start();
  for (int64_t batch = 1; batch <= 3; ++batch) {
    play.Ends(100 + batch * 10);
    play.Prepared("e", batch);
  }
  play.CommittedIn("e", 1, 0, 0);
  play.CommittedIn("e", 3, 0, 0);
  const std::vector<proto::JournalRecord> commits =
      Journaled(play, [](const auto& record) { return record.has_batch_committed(); });
  ASSERT_EQ(commits.size(), 3u);
  ASSERT_EQ(commits[0].batch_committed().sessions_size(), 1);
  EXPECT_EQ(commits[0].batch_committed().sessions(0).batch(), 1);
  ASSERT_EQ(commits[1].batch_committed().sessions_size(), 1);
  EXPECT_EQ(commits[1].batch_committed().sessions(0).marker(), "1:3");
  EXPECT_EQ(commits[2].batch_committed().sessions_size(), 0);
}

// ---- Output that is visible ----

TEST(JobSessionsTest, WhoeverHasTheShardsNowIsToldWhatIsVisible) {
  Play play = WithBatchInDoubt();
  const proto::OpenedSessions before = Openings(play)[0].epoch_opened().sessions();
  Words visible;  // what a had
  for (uint32_t shard = 0; shard < 4; ++shard) {
    if (before.shard_slot(static_cast<int>(shard)) == 0) {
      visible.push_back(absl::StrCat("0/", shard, " by e1"));
    }
  }
  for (uint32_t partition = 0; partition < 2; ++partition) {
    if (before.partition_slot(static_cast<int>(partition)) == 1) {
      visible.push_back(absl::StrCat("1/", partition, " by e1"));
    }
  }
  ASSERT_EQ(visible.size(), 3u) << "half of each table";
  // The one that takes over has all shards, and only half of them are visible.
  Replace({"c"}, &play);
  play.Ready("c");
  EXPECT_EQ(VisibleTo("c", 1, play), visible);
  // Again, before it has written anything. Each of four now has one shard of table counts.
  const std::vector<std::string> members = {"d", "e", "f", "g"};
  Replace(members, &play);
  AllReady(members, &play);
  const proto::Assignment& now = play.started["d"].assignment();
  Words told;
  for (size_t member = 0; member < members.size(); ++member) {
    for (const std::string& shard : VisibleTo(members[member], 1, play)) {
      if (shard[0] == '0') {
        EXPECT_EQ(now.shard_owner(shard[2] - '0'), member);
      }
      told.push_back(shard);
    }
  }
  std::sort(told.begin(), told.end());
  EXPECT_EQ(told, visible);
}

TEST(JobSessionsTest, ABatchThatNobodyHasWrittenHasNothingVisible) {
  Play play = WithBatchInDoubt();
  Replace({"c"}, &play);
  play.Ready("c");
  play.Ends(120, 2);
  play.Prepared("c", 1);
  EXPECT_FALSE(VisibleTo("c", 1, play).empty());
  ASSERT_EQ(play.runs.back().batch(), 2);
  EXPECT_THAT(VisibleTo("c", 2, play), IsEmpty());
}

TEST(JobSessionsTest, AMemberThatIsBackHearsAgainWhatIsVisible) {
  Play play = WithBatchInDoubt();
  Replace({"c"}, &play);
  play.Ready("c");
  const Words first = VisibleTo("c", 1, play);
  const size_t runs = play.runs.size();
  play.Do(MemberReconnected{ExecutorId("c")});
  ASSERT_EQ(play.runs.size(), runs + 1);
  EXPECT_EQ(VisibleTo("c", 1, play), first);
}

// The second epoch finishes what the first has left, and each half has its own terms.
TEST(JobSessionsTest, ShardsAreJudgedByTheTermsOfTheEpochThatMadeThemVisible) {
  Play play = WithBatchInDoubt();
  Replace({"c"}, &play);
  play.Ready("c");
  const Words by_first = VisibleTo("c", 1, play);
  play.Prepared("c", 1);
  play.Write(0, 0, 2, 1);  // and dies before it says so
  Replace({"d"}, &play);
  play.Ready("d");
  const Words by_both = VisibleTo("d", 1, play);
  EXPECT_EQ(by_both.size(), 6u) << "all shards of both tables";
  for (const std::string& shard : by_both) {
    const bool was_first = std::find(by_first.begin(), by_first.end(), shard) != by_first.end();
    EXPECT_THAT(shard, HasSubstr(was_first ? "by e1" : "by e2"));
  }
  EXPECT_EQ(std::count_if(by_both.begin(), by_both.end(),
                          [](const std::string& shard) { return shard.ends_with("e1"); }),
            static_cast<int64_t>(by_first.size()));
}

// A driver that takes over after the second epoch has opened finds what the first one made visible
// in the record of the second.
TEST(JobSessionsTest, WhatIsVisibleIsInTheJournal) {
  Play before = WithBatchInDoubt();
  Replace({"c"}, &before);
  before.Ready("c");
  Play play = GoOn(WithTables(2), before);
  play.Members({"x"});
  play.Ready("x");
  EXPECT_EQ(VisibleTo("x", 1, play), VisibleTo("c", 1, before));
}

// Batches that only rebuild state are written nowhere, so there is nothing to tell about them.
TEST(JobSessionsTest, RebuildingAsksForNothingThatIsVisible) {
  const proto::JobSubmitted submitted = WithTables(1, /*running_state=*/true);
  Play play(submitted, Play::Settings(0), Shared());
  play.Start();
  play.Ends(110);
  play.Prepared("e", 1);
  play.CommittedIn("e", 1, 0, 0);
  play.Ends(120);
  play.Prepared("e", 2);
  play.Write(0, 0, 1, 2);
  Replace({"c"}, &play);
  play.Ready("c");
  ASSERT_EQ(play.runs.back().batch(), 1) << "to rebuild its state";
  EXPECT_THAT(VisibleTo("c", 1, play), IsEmpty());
  play.Prepared("c", 1);
  ASSERT_EQ(play.runs.back().batch(), 2);
  EXPECT_EQ(VisibleTo("c", 2, play).size(), 5u);
}

// ---- Refusals ----

TEST(JobSessionsTest, APlaceThatAnUnknownEpochHasWrittenEndsTheJob) {
  Play play = Begin();
  play.Write(0, 0, 9, 0);
  play.Start();
  ASSERT_EQ(play.over.size(), 1u);
  EXPECT_EQ(play.over[0].how, proto::JobEnded::FAILED);
  EXPECT_EQ(play.over[0].message,
            "table counts, slot 0 was written by epoch 9, but the last epoch that this journal "
            "knows to have written is 0: it is an old copy. Restore the newest one, or cancel the "
            "job and submit it under another name");
  EXPECT_THAT(Openings(play), IsEmpty());
}

TEST(JobSessionsTest, ABatchThatNobodyPlannedEndsTheJob) {
  Play play = WithBatchInDoubt();
  play.Write(0, 1, 1, 2);
  Replace({"c"}, &play);
  play.Ready("c");
  ASSERT_EQ(play.over.size(), 1u);
  EXPECT_EQ(play.over[0].how, proto::JobEnded::FAILED);
  EXPECT_THAT(play.over[0].message,
              HasSubstr("table counts, slot 1 holds the output of batch 2, but this journal ends "
                        "with batch 1: it is an old copy"));
}

TEST(JobSessionsTest, NothingRunsBeforeEachPlaceIsClaimed) {
  Play play = Begin();
  play.Ends(110, 2);
  play.claims_places = false;
  play.Start();
  EXPECT_THAT(Openings(play), IsEmpty());
  EXPECT_THAT(play.runs, IsEmpty());
  EXPECT_THAT(play.state().message(), HasSubstr("table counts, slot 0 was not claimed"));
  play.claims_places = true;
  play.Ready("e");
  EXPECT_EQ(Openings(play).size(), 1u) << "the next epoch can do better";
}

}  // namespace
}  // namespace millrace::driver
