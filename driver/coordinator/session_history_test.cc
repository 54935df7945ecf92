#include "driver/coordinator/session_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace millrace::driver {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Groups = std::vector<std::vector<uint32_t>>;

// Tables counts (0) and totals (2) are keyed; the shards of lines (1) are partitions.
proto::JobPlan Plan() {
  proto::JobPlan plan;
  for (const auto& [table, keyed] :
       {std::pair("counts", true), std::pair("lines", false), std::pair("totals", true)}) {
    plan.add_sinks()->set_table(table);
    plan.mutable_sinks()->rbegin()->set_keyed(keyed);
  }
  return plan;
}

proto::SessionMark Mark(uint32_t group, uint32_t slot, int64_t written_epoch, int64_t batch) {
  proto::SessionMark mark;
  mark.set_group(group);
  mark.set_slot(slot);
  mark.set_written_epoch(written_epoch);
  mark.set_batch(batch);
  mark.set_marker(absl::StrCat(written_epoch, ":", batch));
  return mark;
}

// "0/3: 2:7": group 0, slot 3, and its marker.
std::vector<std::string> Words(const std::vector<proto::SessionMark>& places) {
  std::vector<std::string> words;
  for (const proto::SessionMark& place : places) {
    EXPECT_TRUE(place.terms().empty()) << "nobody needs the terms to claim";
    words.push_back(absl::StrCat(place.group(), "/", place.slot(),
                                 place.marker().empty() ? "" : ": ", place.marker()));
  }
  return words;
}

// "0/3: 7 by e2": sink 0, shard 3, visible through batch 7, by the terms of epoch 2.
std::vector<std::string> Visible(const proto::OpenedSessions& opened) {
  std::vector<std::string> words;
  for (const auto& [shard, entries] : VisibleOf(opened)) {
    for (const VisibleUpto& entry : entries) {
      words.push_back(absl::StrCat(shard.first, "/", shard.second, ": ", entry.batch.value(),
                                   entry.terms.empty() ? "" : " by ", entry.terms));
    }
  }
  return words;
}

// A history, and executors that claim what it asks for.
class Journal {
 public:
  void Start(int64_t epoch, uint32_t slots) {
    proto::EpochStarted started;
    started.set_epoch(epoch);
    started.set_slots(slots);
    history.OnStarted(started);
  }

  // What the claims of an epoch find: of each place what is known, unless `found` says otherwise.
  // Places that sessions of the epoch keep come with their terms, "e" and the epoch.
  std::vector<proto::SessionMark> Claim(int64_t epoch, const SessionAssignment& assignment,
                                        const std::vector<proto::SessionMark>& found) const {
    std::vector<proto::SessionMark> claimed =
        history.PlacesToClaim(assignment.groups, assignment.slots);
    for (proto::SessionMark& place : claimed) {
      for (const proto::SessionMark& one : found) {
        if (one.group() == place.group() && one.slot() == place.slot()) {
          place = one;
        }
      }
      for (const std::vector<uint32_t>& group : assignment.groups) {
        if (group.front() == place.group() && place.slot() < assignment.slots) {
          for (const uint32_t sink : group) {
            place.add_terms()->set_sink(sink);
            place.mutable_terms()->rbegin()->set_terms(absl::StrCat("e", epoch));
          }
        }
      }
    }
    return claimed;
  }

  // Starts an epoch that claims, and opens. Returns what it says.
  proto::OpenedSessions Open(int64_t epoch, const SessionAssignment& assignment,
                             const std::vector<proto::SessionMark>& found = {}) {
    Start(epoch, assignment.slots);
    const absl::StatusOr<proto::OpenedSessions> sessions =
        history.Open(Plan(), assignment, Claim(epoch, assignment, found), committed, planned);
    EXPECT_TRUE(sessions.ok()) << sessions.status();
    proto::EpochOpened opened;
    opened.set_epoch(epoch);
    *opened.mutable_sessions() = sessions.value_or(proto::OpenedSessions());
    history.OnOpened(opened);
    return opened.sessions();
  }

  // Batch `planned` + 1, in which these partitions (ordinal, slot) enter.
  void PlanBatch(int64_t epoch, const std::vector<std::pair<uint32_t, uint32_t>>& entering = {}) {
    planned = planned.Next();
    proto::BatchPlanned record;
    record.set_epoch(epoch);
    record.set_batch(planned.value());
    for (const auto& [ordinal, slot] : entering) {
      record.add_new_partitions()->set_ordinal(ordinal);
      record.add_new_slots(slot);
    }
    history.OnPlanned(record);
  }

  // Batch `committed` + 1. `marks`: of the sessions that have written it.
  void CommitBatch(const std::vector<proto::SessionMark>& marks = {}) {
    committed = committed.Next();
    proto::BatchCommittedRecord record;
    record.set_batch(committed.value());
    record.mutable_sessions()->Add(marks.begin(), marks.end());
    history.OnCommitted(record);
  }

  proto::JobCheckpoint Checkpoint() const {
    proto::JobCheckpoint checkpoint;
    history.WriteCheckpoint(&checkpoint);
    return checkpoint;
  }

  SessionHistory history;
  BatchId committed;
  BatchId planned = BatchId(9);
};

// Two executors with two keyed shards each, and two partitions each.
SessionAssignment TwoMembers(Groups groups = {{0, 1}}) {
  return {.slots = 2,
          .groups = std::move(groups),
          .shard_slot = {0, 0, 1, 1},
          .partition_slot = {1, 2, 1, 2}};
}

// The second one alone is left.
SessionAssignment OneMember(Groups groups = {{0, 1}}) {
  return {.slots = 1,
          .groups = std::move(groups),
          .shard_slot = {0, 0, 0, 0},
          .partition_slot = {1, 1, 1, 1}};
}

// ---- PlacesToClaim ----

TEST(SessionHistoryTest, TheFirstEpochClaimsASlotOfEachGroupForEachMember) {
  const SessionHistory history;
  EXPECT_THAT(Words(history.PlacesToClaim({{0, 1}, {2}}, 2)),
              ElementsAre("0/0", "0/1", "2/0", "2/1"));
  EXPECT_THAT(Words(history.PlacesToClaim({}, 2)), IsEmpty());
}

TEST(SessionHistoryTest, WhatIsKnownOfAPlaceGoesWithItsClaim) {
  Journal journal;
  journal.Open(1, TwoMembers(), {Mark(0, 1, 0, 0)});
  journal.CommitBatch({Mark(0, 0, 1, 1)});
  EXPECT_THAT(Words(journal.history.PlacesToClaim({{0, 1}}, 2)),
              ElementsAre("0/0: 1:1", "0/1: 0:0"));
}

TEST(SessionHistoryTest, MoreMembersClaimMoreSlots) {
  Journal journal;
  journal.Open(1, TwoMembers());
  EXPECT_THAT(Words(journal.history.PlacesToClaim({{0, 1}}, 4)),
              ElementsAre("0/0", "0/1", "0/2", "0/3"));
}

TEST(SessionHistoryTest, FewerMembersClaimTheSlotsOfThoseWhoAreGone) {
  Journal journal;
  journal.Open(1, TwoMembers(), {Mark(0, 1, 0, 0)});
  EXPECT_THAT(Words(journal.history.PlacesToClaim({{0, 1}}, 1)), ElementsAre("0/0", "0/1: 0:0"));
  journal.Open(2, OneMember());
  EXPECT_THAT(Words(journal.history.PlacesToClaim({{0, 1}}, 1)), ElementsAre("0/0"))
      << "the epoch that has opened has claimed the other one";
}

// The members of an epoch that never opened write nothing. They claim, though, and so a place may
// hold a transaction of theirs that readers would wait for.
TEST(SessionHistoryTest, SlotsOfEpochsThatDidNotOpenAreClaimedUntilOneOpens) {
  Journal journal;
  journal.Open(1, TwoMembers());
  journal.Start(2, 5);
  journal.Start(3, 1);
  EXPECT_THAT(Words(journal.history.PlacesToClaim({{0, 1}}, 1)),
              ElementsAre("0/0", "0/1", "0/2", "0/3", "0/4"));
  journal.Open(4, OneMember());
  EXPECT_THAT(Words(journal.history.PlacesToClaim({{0, 1}}, 1)), ElementsAre("0/0"));
}

TEST(SessionHistoryTest, GroupsThatVanishAreClaimedOnceMore) {
  Journal journal;
  journal.Open(1, TwoMembers({{0}, {1, 2}}), {Mark(1, 1, 0, 0)});
  EXPECT_THAT(Words(journal.history.PlacesToClaim({{0, 1, 2}}, 1)),
              ElementsAre("0/0", "0/1", "1/0", "1/1: 0:0"));
  journal.Open(2, OneMember({{0, 1, 2}}));
  EXPECT_THAT(Words(journal.history.PlacesToClaim({{0, 1, 2}}, 1)), ElementsAre("0/0"));
}

// ---- Open ----

TEST(SessionHistoryTest, AnEpochSaysWhoWritesWhatAndWhatItsClaimsFound) {
  Journal journal;
  const proto::OpenedSessions opened = journal.Open(1, TwoMembers({{0, 1}, {2}}));
  EXPECT_EQ(opened.slots(), 2u);
  ASSERT_EQ(opened.groups_size(), 2);
  EXPECT_THAT(opened.groups(0).sinks(), ElementsAre(0u, 1u));
  EXPECT_THAT(opened.groups(1).sinks(), ElementsAre(2u));
  EXPECT_THAT(opened.shard_slot(), ElementsAre(0u, 0u, 1u, 1u));
  EXPECT_THAT(opened.partition_slot(), ElementsAre(1u, 2u, 1u, 2u));
  EXPECT_EQ(opened.marks_size(), 4);
  EXPECT_EQ(opened.marks(1).slot(), 1u);
  EXPECT_EQ(opened.marks(1).terms(1).sink(), 1u);
  EXPECT_EQ(opened.marks(1).terms(1).terms(), "e1");
  EXPECT_EQ(opened.visible_size(), 0);
  EXPECT_EQ(journal.history.opened(), Epoch(1));
}

// One of two has committed batch 3 when both die. What is visible are the shards that it had then,
// by its terms, whoever has them now.
TEST(SessionHistoryTest, APlaceThatTheLastOpenedEpochHasWrittenMakesItsShardsVisible) {
  Journal journal;
  journal.Open(1, TwoMembers());
  EXPECT_THAT(Visible(journal.Open(2, OneMember(), {Mark(0, 1, 1, 3)})),
              ElementsAre("0/2: 3 by e1", "0/3: 3 by e1", "1/1: 3 by e1", "1/3: 3 by e1"));
}

TEST(SessionHistoryTest, APlaceOfOneGroupSaysNothingOfAnother) {
  Journal journal;
  journal.Open(1, TwoMembers({{0}, {1}, {2}}));
  EXPECT_THAT(Visible(journal.Open(2, TwoMembers({{0}, {1}, {2}}), {Mark(1, 0, 1, 3)})),
              ElementsAre("1/0: 3 by e1", "1/2: 3 by e1"));
}

// The group is what it was in the epoch that wrote, under whatever options the next one runs.
TEST(SessionHistoryTest, APlaceThatHasBeenWrittenCountsForTheGroupOfThatTime) {
  Journal journal;
  journal.Open(1, TwoMembers({{0, 2}, {1}}));
  EXPECT_THAT(Visible(journal.Open(2, TwoMembers({{0}, {1}, {2}}), {Mark(0, 0, 1, 3)})),
              ElementsAre("0/0: 3 by e1", "0/1: 3 by e1", "2/0: 3 by e1", "2/1: 3 by e1"));
}

TEST(SessionHistoryTest, APlaceThatOnlyEarlierEpochsHaveWrittenMakesNothingVisible) {
  Journal journal;
  journal.Open(1, TwoMembers());
  journal.Open(2, TwoMembers());
  EXPECT_THAT(Visible(journal.Open(3, TwoMembers(), {Mark(0, 0, 1, 3)})), IsEmpty());
}

TEST(SessionHistoryTest, WhatIsCommittedNeedNotBeSaid) {
  Journal journal;
  journal.Open(1, TwoMembers());
  journal.CommitBatch();
  journal.CommitBatch();
  EXPECT_THAT(Visible(journal.Open(2, TwoMembers(), {Mark(0, 0, 1, 2), Mark(0, 1, 1, 3)})),
              ElementsAre("0/2: 3 by e1", "0/3: 3 by e1", "1/1: 3 by e1", "1/3: 3 by e1"));
}

// An epoch that opens while a batch is in doubt, and dies before it writes, forgets nothing.
TEST(SessionHistoryTest, WhatWasVisibleStaysSoThroughEpochsThatWriteNothing) {
  Journal journal;
  const SessionAssignment keyed = {.slots = 2, .groups = {{0}}, .shard_slot = {0, 1}};
  const SessionAssignment swapped = {.slots = 2, .groups = {{0}}, .shard_slot = {1, 0}};
  journal.Open(1, keyed);
  const std::vector<proto::SessionMark> found = {Mark(0, 1, 1, 3)};
  EXPECT_THAT(Visible(journal.Open(2, swapped, found)), ElementsAre("0/1: 3 by e1"));
  EXPECT_THAT(Visible(journal.Open(3, swapped, found)), ElementsAre("0/1: 3 by e1"));
}

// Batch 3 is judged by the terms of the epoch that made it visible, batch 4 by those of the next.
TEST(SessionHistoryTest, LaterBatchesOfAShardAddToWhatWasVisible) {
  Journal journal;
  const SessionAssignment one = {.slots = 1, .groups = {{0}}, .shard_slot = {0, 0}};
  const SessionAssignment two = {.slots = 2, .groups = {{0}}, .shard_slot = {0, 1}};
  journal.Open(1, two);
  journal.Open(2, one, {Mark(0, 0, 1, 3)});
  const proto::OpenedSessions opened = journal.Open(3, one, {Mark(0, 0, 2, 4)});
  EXPECT_THAT(Visible(opened), ElementsAre("0/0: 3 by e1", "0/0: 4 by e2", "0/1: 4 by e2"));
  const std::vector<VisibleUpto> entries = VisibleOf(opened).at({0, 0});
  EXPECT_EQ(FindVisible(entries, BatchId(2))->terms, "e1");
  EXPECT_EQ(FindVisible(entries, BatchId(3))->terms, "e1");
  EXPECT_EQ(FindVisible(entries, BatchId(4))->terms, "e2");
  EXPECT_EQ(FindVisible(entries, BatchId(5)), nullptr);
}

// A session writes a batch in which only some of its shards have rows, and the others had written
// further in an earlier epoch.
TEST(SessionHistoryTest, APlaceThatHasWrittenLessDoesNotHideWhatWasVisible) {
  Journal journal;
  const SessionAssignment one = {.slots = 1, .groups = {{0}}, .shard_slot = {0, 0}};
  const SessionAssignment two = {.slots = 2, .groups = {{0}}, .shard_slot = {0, 1}};
  journal.Open(1, two);
  journal.Open(2, one, {Mark(0, 0, 1, 4)});
  EXPECT_THAT(Visible(journal.Open(3, one, {Mark(0, 0, 2, 3)})),
              ElementsAre("0/0: 4 by e1", "0/1: 3 by e2"));
}

TEST(SessionHistoryTest, CommitsPruneWhatIsVisible) {
  Journal journal;
  const SessionAssignment two = {.slots = 2, .groups = {{0}}, .shard_slot = {0, 1}};
  journal.Open(1, two);
  journal.Open(2, two, {Mark(0, 0, 1, 1), Mark(0, 1, 1, 2)});
  journal.CommitBatch();
  EXPECT_THAT(Visible(journal.Checkpoint().sessions().opened()), ElementsAre("0/1: 2 by e1"));
  EXPECT_THAT(Visible(journal.Open(3, two)), ElementsAre("0/1: 2 by e1"));
  journal.CommitBatch();
  EXPECT_THAT(Visible(journal.Open(4, two)), IsEmpty());
}

// The marks of a commit bring no terms: those that the epoch opened with hold.
TEST(SessionHistoryTest, TheTermsOfAnEpochOutliveItsCommits) {
  Journal journal;
  journal.Open(1, TwoMembers());
  journal.CommitBatch({Mark(0, 0, 1, 2)});
  EXPECT_THAT(Visible(journal.Open(2, TwoMembers(), {Mark(0, 0, 1, 2)})),
              ElementsAre("0/0: 2 by e1", "0/1: 2 by e1", "1/0: 2 by e1", "1/2: 2 by e1"));
}

// ---- Partitions that enter ----

TEST(SessionHistoryTest, APartitionThatEntersIsOfThePlaceThatItsPlanNames) {
  Journal journal;
  journal.Open(1, {.slots = 2, .groups = {{1}}, .partition_slot = {1}});
  journal.PlanBatch(1, {{1, 1}, {3, 1}});
  EXPECT_THAT(Visible(journal.Open(2, OneMember({{1}}), {Mark(1, 1, 1, 10)})),
              ElementsAre("1/1: 10 by e1", "1/3: 10 by e1"))
      << "and partition 2 of nobody";
}

TEST(SessionHistoryTest, APartitionThatIsReadAgainIsOfItsNewPlace) {
  Journal journal;
  journal.Open(1, {.slots = 2, .groups = {{1}}, .partition_slot = {1, 0}});
  journal.PlanBatch(1, {{1, 0}});
  EXPECT_THAT(Visible(journal.Open(2, OneMember({{1}}), {Mark(1, 0, 1, 10)})),
              ElementsAre("1/0: 10 by e1", "1/1: 10 by e1"));
}

// The plan is of an epoch that opened; then one began that did not. Or it is older than sessions.
TEST(SessionHistoryTest, OnlyPlansOfTheOpenedEpochPlacePartitions) {
  Journal journal;
  journal.Open(1, {.slots = 1, .groups = {{1}}, .partition_slot = {1}});
  journal.Open(2, {.slots = 1, .groups = {{1}}, .partition_slot = {1}});
  journal.PlanBatch(1, {{1, 0}});
  EXPECT_THAT(Visible(journal.Open(3, OneMember({{1}}), {Mark(1, 0, 2, 9)})),
              ElementsAre("1/0: 9 by e2"));
  Journal old;
  old.PlanBatch(0, {{1, 0}});
  EXPECT_FALSE(old.Checkpoint().has_sessions());
}

// ---- Refusals ----

TEST(SessionHistoryTest, APlaceThatAnUnknownEpochHasWrittenTellsAnOldCopy) {
  Journal journal;
  journal.Open(1, TwoMembers());
  journal.Start(2, 2);
  const absl::Status status =
      journal.history
          .Open(Plan(), TwoMembers(), {Mark(0, 0, 1, 3), Mark(0, 1, 2, 3)}, BatchId(0), BatchId(9))
          .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition)
      << "epoch 2 has begun, but has not opened, so only another life can have written in it";
  EXPECT_EQ(status.message(),
            "table counts, slot 1 was written by epoch 2, but the last epoch that this journal "
            "knows to have written is 1: it is an old copy. Restore the newest one, or cancel the "
            "job and submit it under another name");
}

TEST(SessionHistoryTest, ABatchThatNobodyPlannedTellsAnOldCopy) {
  Journal journal;
  journal.Open(1, TwoMembers({{0, 1}, {2}}));
  journal.Start(2, 2);
  const SessionAssignment next = TwoMembers({{0, 1}, {2}});
  const absl::Status status =
      journal.history
          .Open(Plan(), next, journal.Claim(2, next, {Mark(2, 0, 1, 10)}), BatchId(0), BatchId(9))
          .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("table totals, slot 0 holds the output of batch 10, but this journal ends "
                        "with batch 9: it is an old copy"));
}

TEST(SessionHistoryTest, WithoutTheClaimOfEachPlaceNothingOpens) {
  Journal journal;
  journal.Open(1, TwoMembers());
  journal.Start(2, 1);
  std::vector<proto::SessionMark> claimed = journal.Claim(2, OneMember(), {});
  ASSERT_EQ(claimed.size(), 2u);
  claimed.pop_back();  // the slot that has no member any more
  const absl::Status status =
      journal.history.Open(Plan(), OneMember(), claimed, BatchId(0), BatchId(9)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(status.message(), "table counts, slot 1 was not claimed");
}

TEST(SessionHistoryTest, AnEpochOfAVersionBeforeSessionsOpensWithout) {
  Journal journal;
  journal.Start(1, 0);
  proto::EpochOpened former;
  former.set_epoch(1);
  journal.history.OnOpened(former);
  EXPECT_EQ(journal.history.opened(), Epoch(0));
  EXPECT_FALSE(journal.Checkpoint().has_sessions()) << "there is nothing to keep";
  EXPECT_THAT(Visible(journal.Open(2, TwoMembers())), IsEmpty());
  EXPECT_EQ(journal.history.opened(), Epoch(2));
}

// ---- Checkpoints ----

// At each step, a history that is read from the checkpoint is as good as the one that wrote it:
// both write the same checkpoint, and say the same of the next epoch.
TEST(SessionHistoryTest, ACheckpointKeepsAllThatCounts) {
  Journal journal;
  const auto check = [&](const char* step) {
    SCOPED_TRACE(step);
    Journal restored = journal;
    restored.history = SessionHistory();
    restored.history.ReadCheckpoint(journal.Checkpoint());
    EXPECT_EQ(restored.history.opened(), journal.history.opened());
    EXPECT_EQ(restored.Checkpoint().DebugString(), journal.Checkpoint().DebugString());
    EXPECT_THAT(Words(restored.history.PlacesToClaim({{0, 1}}, 1)),
                ElementsAreArray(Words(journal.history.PlacesToClaim({{0, 1}}, 1))));
    Journal lives = journal;
    const int64_t opened = journal.history.opened().value();
    const std::vector<proto::SessionMark> found = {Mark(0, 0, opened, 9), Mark(0, 1, opened, 8)};
    EXPECT_EQ(restored.Open(100, OneMember(), found).DebugString(),
              lives.Open(100, OneMember(), found).DebugString());
  };
  EXPECT_FALSE(journal.Checkpoint().has_sessions());
  check("nothing");
  journal.Start(1, 3);
  check("an epoch has begun, and none has opened");
  journal.Open(2, TwoMembers({{0, 1}, {2}}));
  check("opened");
  journal.PlanBatch(2, {{5, 1}});
  check("a partition has entered");
  journal.CommitBatch({Mark(0, 1, 2, 1)});
  check("committed");
  journal.Start(3, 4);
  check("another epoch has begun");
  journal.Open(4, OneMember(), {Mark(0, 0, 2, 3), Mark(0, 1, 2, 4)});
  check("opened with output in doubt");
  journal.Open(5, TwoMembers(), {Mark(0, 0, 4, 6)});
  check("and with more");
  journal.CommitBatch();
  journal.CommitBatch();
  journal.CommitBatch({Mark(0, 0, 5, 4)});
  check("some of it is committed");
}

}  // namespace
}  // namespace millrace::driver
