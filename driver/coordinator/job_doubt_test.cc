// Output that is visible, but not known to be committed: what of it keeps a batch from being
// withdrawn, and what versions before sessions have left of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "driver/coordinator/job_state.h"
#include "driver/coordinator/testing/session_play.h"

namespace millrace::driver {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// ---- Withdrawal ----

void FailTooLarge(int64_t batch, Play* play) {
  play->FailedAs("e", FailureKind::kTooLarge, absl::StatusCode::kResourceExhausted, batch,
                 "the topic's sink would hold too much");
  play->At(play->now_us);
}

TEST(JobDoubtTest, WhatIsVisibleInSomePlaceIsNotWithdrawn) {
  Play play = Begin(1);
  play.Start();
  play.Ends(116);
  play.Write(0, 0, 1, 1);
  FailTooLarge(1, &play);
  play.Ready("e");
  EXPECT_THAT(Withdrawals(play), IsEmpty());
  ASSERT_EQ(play.runs.back().splits_size(), 1);
  EXPECT_EQ(play.runs.back().splits(0).end(), 116) << "it is run again as it was planned";
  FailTooLarge(1, &play);
  EXPECT_THAT(play.state().message(), HasSubstr("part of batch 1 is committed"));
}

// The epoch that withdraws has written nothing itself: it knows from the record of the one before
// what is visible.
TEST(JobDoubtTest, WhatWasVisibleTwoEpochsAgoIsNotWithdrawn) {
  Play play = Begin(1);
  play.Start();
  play.Ends(116);
  play.Write(0, 0, 1, 1);
  Replace({"e"}, &play);
  play.Ready("e");
  FailTooLarge(1, &play);
  play.Ready("e");
  EXPECT_THAT(Withdrawals(play), IsEmpty());
}

TEST(JobDoubtTest, WhatIsTooLargeIsWithdrawnBehindWhatIsVisible) {
  Play play = Begin(1);
  play.Start();
  play.Ends(110);
  play.Prepared("e", 1);
  play.Write(0, 0, 1, 1);
  play.Ends(130);
  FailTooLarge(2, &play);
  play.Ready("e");
  ASSERT_EQ(Withdrawals(play).size(), 1u);
  EXPECT_EQ(Withdrawals(play)[0].batches_abandoned().batch(), 2);
  EXPECT_FALSE(VisibleTo("e", 1, play).empty());
  play.Prepared("e", 1);
  play.CommittedIn("e", 1, 0, 0);
  ASSERT_EQ(play.runs.back().batch(), 2);
  EXPECT_EQ(play.runs.back().splits(0).end(), 120) << "half of it";
  EXPECT_THAT(VisibleTo("e", 2, play), IsEmpty());
}

TEST(JobDoubtTest, SettlingFinishesWhatIsVisibleAndWithdrawsTheRest) {
  Play before = Begin(1);
  before.Start();
  before.Ends(110);
  before.Prepared("e", 1);
  before.Write(0, 0, 1, 1);
  before.Ends(120);
  before.Prepared("e", 2);
  JobStateOptions settle = Shared();
  settle.settle = true;
  Play play = GoOn(WithTables(1), before, settle);
  play.Start();
  ASSERT_EQ(Withdrawals(play).size(), 1u);
  EXPECT_EQ(Withdrawals(play)[0].batches_abandoned().batch(), 2);
  EXPECT_EQ(VisibleTo("e", 1, play).size(), 5u);
  play.RunBatch(1);
  play.RunBatch(2);  // an empty one, which tells the sinks that no rows follow
  EXPECT_THAT(VisibleTo("e", 2, play), IsEmpty());
  play.Stopped("e");
  ASSERT_EQ(play.over.size(), 1u);
  EXPECT_EQ(play.over[0].how, proto::JobEnded::STOPPED);
}

// ---- Journals of versions before sessions ----

// Epoch 1 of a version before sessions has written with a marker in each shard of tables counts and
// log. Batch 1 is planned.
Play WithFormerJournal() {
  Play before(WithTables(2), Play::Settings(0), {});
  proto::EpochOpened opened;
  opened.set_job_id("job-1");
  opened.set_epoch(1);
  for (const uint32_t sink : {0u, 2u}) {
    for (uint32_t shard = 0; shard < 4; ++shard) {
      proto::SinkMarker* marker = opened.add_markers();
      marker->set_sink(sink);
      marker->set_shard(shard);
      marker->set_marker(absl::StrCat("1:0:limits of ", shard));
    }
  }
  proto::BatchPlanned planned;
  planned.set_job_id("job-1");
  planned.set_epoch(1);
  planned.set_batch(1);
  planned.set_batch_time_us(5);
  planned.add_splits()->set_begin(100);
  planned.mutable_splits(0)->set_end(110);
  before.journal.emplace_back().mutable_epoch_started()->set_epoch(1);
  *before.journal.emplace_back().mutable_epoch_opened() = opened;
  *before.journal.emplace_back().mutable_batch_planned() = planned;
  return before;
}

TEST(JobDoubtTest, ShardsOfAVersionBeforeSessionsAreClaimedInItsForm) {
  Play play = GoOn(WithTables(2), WithFormerJournal());
  play.Members({"a", "b"});
  EXPECT_THAT(FormerOf(play.started["a"]),
              ElementsAre("0/0: 1:0:limits of 0", "0/2: 1:0:limits of 2", "1/0"));
  EXPECT_THAT(FormerOf(play.started["b"]),
              ElementsAre("0/1: 1:0:limits of 1", "0/3: 1:0:limits of 3", "1/1"))
      << "partitions without a marker too: an epoch that did not open may have claimed them";
  EXPECT_THAT(PlacesOf(play.started["a"]), ElementsAre("0/0"));
  EXPECT_EQ(play.started["a"].markers_size() + play.started["b"].markers_size(), 4)
      << "table log goes on as ever";
}

TEST(JobDoubtTest, WhatAVersionBeforeSessionsHasWrittenIsNotWrittenAgain) {
  Play play = GoOn(WithTables(2), WithFormerJournal());
  play.former_batches = {{{0, 1}, 1}, {{1, 0}, 1}};
  play.Members({"a"});
  play.Ready("a");
  EXPECT_THAT(VisibleTo("a", 1, play), ElementsAre("0/1 by 1:0:limits of 1", "1/0 by "));
  // From now on the journal has it: the former shards are claimed once.
  for (const auto& [shard, marker] : play.state().history().markers()) {
    EXPECT_EQ(shard.first, 2u) << "markers of tables that share sessions have gone";
  }
  Replace({"b"}, &play);
  EXPECT_THAT(FormerOf(play.started["b"]), IsEmpty());
  play.Ready("b");
  EXPECT_THAT(VisibleTo("b", 1, play), ElementsAre("0/1 by 1:0:limits of 1", "1/0 by "));
}

TEST(JobDoubtTest, FormerShardsAreClaimedAgainUntilAnEpochOpens) {
  Play play = GoOn(WithTables(2), WithFormerJournal());
  play.Members({"a"});
  Replace({"b"}, &play);
  EXPECT_EQ(play.started["b"].former_shards_size(), 6);
}

TEST(JobDoubtTest, WhatAVersionBeforeSessionsHasWrittenIsNotWithdrawn) {
  JobStateOptions settle = Shared();
  settle.settle = true;
  Play play = GoOn(WithTables(2), WithFormerJournal(), settle);
  play.former_batches = {{{0, 1}, 1}};
  play.Start();
  EXPECT_THAT(Withdrawals(play), IsEmpty());
  EXPECT_THAT(VisibleTo("e", 1, play), ElementsAre("0/1 by 1:0:limits of 1"));
}

TEST(JobDoubtTest, AFormerShardAheadOfTheJournalEndsTheJob) {
  Play play = GoOn(WithTables(2), WithFormerJournal());
  play.former_batches = {{{0, 3}, 2}};
  play.Start();
  ASSERT_EQ(play.over.size(), 1u);
  EXPECT_EQ(play.over[0].how, proto::JobEnded::FAILED);
  EXPECT_THAT(play.over[0].message,
              HasSubstr("shard 3 of table \"counts\" holds the output of batch 2, but this journal "
                        "ends with batch 1: it is an old copy"));
  EXPECT_THAT(Openings(play), IsEmpty());
}

TEST(JobDoubtTest, NothingRunsBeforeEachFormerShardIsClaimed) {
  Play play = GoOn(WithTables(2), WithFormerJournal());
  play.Members({"e"});
  play.started["e"].mutable_former_shards()->RemoveLast();
  play.Ready("e");
  EXPECT_THAT(Openings(play), IsEmpty());
  EXPECT_THAT(play.state().message(),
              HasSubstr("shard 1 of table \"lines\" was not claimed from the version before"));
}

}  // namespace
}  // namespace millrace::driver
