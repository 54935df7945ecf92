#include "driver/coordinator/partition_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace millrace::driver {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uint32_t kNobody = PartitionTable::kNoOwner;

// A job over one source with partitions t/0 and t/1, which begin at offsets 10 and 20.
proto::JobSubmitted Submitted(const std::string& on_data_loss = "") {
  proto::JobSubmitted submitted;
  submitted.set_job_id("id");
  proto::Source* source = submitted.mutable_plan()->add_sources();
  if (!on_data_loss.empty()) {
    (*source->mutable_options())["on_data_loss"] = on_data_loss;
  }
  for (uint32_t i = 0; i < 2; ++i) {
    proto::PartitionStart* start = submitted.add_partitions();
    start->mutable_key()->set_partition("t/" + std::to_string(i));
    start->set_offset(10 + 10 * i);
    start->set_ordinal(i);
  }
  return submitted;
}

PartitionTable TableOf(const JobHistory& history, bool bounded = false, PartitionRate rate = {}) {
  PartitionTable table(bounded, rate);
  table.Load(history);
  return table;
}

EndsKnown Ends(std::vector<EndsKnown::End> ends) { return {.source = 0, .ends = std::move(ends)}; }

EndsKnown::End End(const std::string& partition, int64_t end) {
  return {.partition = partition, .stable_end = end, .high_watermark = end};
}

EndsKnown::End Closed(const std::string& partition, int64_t end) {
  EndsKnown::End closed = End(partition, end);
  closed.closed = true;
  closed.why = "rotated";
  return closed;
}

EndsKnown::End Gone(const std::string& partition, int64_t end) {
  EndsKnown::End gone = End(partition, end);
  gone.gone = true;
  gone.why = "deleted";
  return gone;
}

// Journals that batch `number` read these splits, and that it is committed.
void PlanAndCommit(int64_t number, const std::vector<PlannedSplit>& splits, JobHistory* history) {
  proto::JournalRecord planned;
  planned.mutable_batch_planned()->set_batch(number);
  planned.mutable_batch_planned()->set_batch_time_us(number);
  for (const PlannedSplit& split : splits) {
    proto::Split* out = planned.mutable_batch_planned()->add_splits();
    out->set_ordinal(split.ordinal);
    out->set_begin(split.begin);
    out->set_end(split.end);
  }
  ASSERT_TRUE(history->Apply(planned).ok());
  proto::JournalRecord committed;
  committed.mutable_batch_committed()->set_batch(number);
  ASSERT_TRUE(history->Apply(committed).ok());
}

TEST(PartitionTableTest, EndsOnlyMoveForwardsAndAreWhatIsPlanned) {
  const JobHistory history(Submitted());
  PartitionTable table = TableOf(history);
  EXPECT_FALSE(table.HasInput());
  table.On(Ends({End("t/0", 15)}));
  table.On(Ends({End("t/0", 13), End("unknown", 5)}));
  EXPECT_TRUE(table.HasInput());
  EXPECT_EQ(table[0].stable_end, 15);
  const std::vector<SplitDemand> demands = table.Demands(BatchSizer(), 0);
  ASSERT_EQ(demands.size(), 2u);
  EXPECT_EQ(demands[0].lag, 5);
  EXPECT_EQ(demands[0].limit, INT64_MAX);
  EXPECT_EQ(demands[1].lag, 0);

  const std::vector<PlannedSplit> splits = table.Plan({5, 0});
  ASSERT_EQ(splits.size(), 1u);
  EXPECT_EQ(splits[0].begin, 10);
  EXPECT_EQ(splits[0].end, 15);
  EXPECT_FALSE(table.HasInput());
  table.Load(history);
  EXPECT_EQ(table[0].planned_to, 10) << "the plan did not become durable";
  EXPECT_TRUE(table.HasInput()) << "what is known of ends stays";
}

TEST(PartitionTableTest, WhoeverKnewTheFurthestEndLeads) {
  const JobHistory history(Submitted());
  PartitionTable table = TableOf(history);
  proto::SourceProgress progress;
  progress.add_partitions()->mutable_key()->set_partition("t/0");
  progress.mutable_partitions(0)->set_fetched_to(30);
  table.On(progress);
  EXPECT_TRUE(table.ProgressLeads(0));
  table.On(Ends({End("t/0", 30)}));
  EXPECT_TRUE(table.ProgressLeads(0)) << "no news";
  table.On(Ends({End("t/0", 31)}));
  EXPECT_FALSE(table.ProgressLeads(0));
  progress.mutable_partitions(0)->set_fetched_to(32);
  table.On(progress);
  table.EndEpoch();
  EXPECT_FALSE(table.ProgressLeads(0)) << "nobody reports between epochs";
}

TEST(PartitionTableTest, ABoundedJobStopsWhereItWasToldTo) {
  proto::JobSubmitted submitted = Submitted();
  submitted.add_stop_at()->mutable_key()->set_partition("t/0");
  submitted.mutable_stop_at(0)->set_offset(12);
  JobHistory history(submitted);
  PartitionTable table = TableOf(history, /*bounded=*/true);
  table.On(Ends({End("t/0", 100), End("t/1", 100)}));
  EXPECT_EQ(table[0].PlannableEnd(), 12);
  EXPECT_EQ(table[1].PlannableEnd(), 20) << "it had nothing when the job was submitted";
  EXPECT_FALSE(table.IsPlannedToStop());
  const std::vector<PlannedSplit> splits = table.Plan({2, 0});
  EXPECT_TRUE(table.IsPlannedToStop());
  EXPECT_FALSE(table.IsCommittedToStop(history));
  PlanAndCommit(1, splits, &history);
  EXPECT_TRUE(table.IsCommittedToStop(history));
  table.On(PartitionsDiscovered{.source = 0, .found = {{.partition = "t/2"}}});
  EXPECT_THAT(table.found(), IsEmpty());
}

TEST(PartitionTableTest, FoundPartitionsEnterWhenTheyHaveInput) {
  const JobHistory history(Submitted());
  PartitionTable table = TableOf(history);
  table.Place({0, 1}, {0, 0});
  table.On(PartitionsDiscovered{
      .source = 0,
      .found = {{.partition = "t/2", .earliest = 5}, {.partition = "t/3"}, {.partition = "t/0"}}});
  table.On(PartitionsDiscovered{.source = 0, .found = {{.partition = "t/2", .earliest = 6}}});
  ASSERT_EQ(table.found().size(), 2u) << "t/0 is read already, t/2 waits already";
  EXPECT_THAT(table.Admit({1, 1}), IsEmpty());
  table.On(Ends({End("t/2", 9)}));
  EXPECT_TRUE(table.HasInput());
  const std::vector<proto::PartitionStart> starts = table.Admit({1, 1});
  ASSERT_EQ(starts.size(), 1u);
  EXPECT_EQ(starts[0].key().partition(), "t/2");
  EXPECT_EQ(starts[0].ordinal(), 2u);
  EXPECT_EQ(starts[0].offset(), 5);
  EXPECT_EQ(table[2].owner, 1u) << "the member with the fewest partitions";
  EXPECT_EQ(table[2].PlannableEnd(), 9);
  EXPECT_EQ(table.OrdinalOf(0, "t/2"), 2u);
  ASSERT_EQ(table.found().size(), 1u);
  EXPECT_EQ(table.found()[0].name, "t/3");
}

TEST(PartitionTableTest, AClosedPartitionIsRetiredOnceItIsCommitted) {
  JobHistory history(Submitted());
  PartitionTable table = TableOf(history);
  table.TakeChanges(history);
  EXPECT_FALSE(table.MayHaveChanges());
  table.On(Ends({Closed("t/0", 12)}));
  EXPECT_TRUE(table.MayHaveChanges());
  EXPECT_THAT(table.TakeChanges(history).retired, IsEmpty()) << "its rest is read first";
  const std::vector<PlannedSplit> splits = table.Plan({2, 0});
  EXPECT_THAT(table.TakeChanges(history).retired, IsEmpty()) << "not committed";
  EXPECT_TRUE(table.MayHaveChanges());
  PlanAndCommit(1, splits, &history);
  const PartitionTable::Changes changes = table.TakeChanges(history);
  ASSERT_EQ(changes.retired.size(), 1u);
  EXPECT_EQ(changes.retired[0].ordinal(), 0u);
  EXPECT_EQ(changes.retired[0].reason(), "rotated");
  EXPECT_FALSE(changes.ends_replays) << "it can still be read";
  EXPECT_EQ(table.CountRead(), 1u);
  EXPECT_THAT(table.TakeRetiredUntold(), ElementsAre(0));
  EXPECT_THAT(table.TakeRetiredUntold(), IsEmpty());

  // It has grown since: it enters again, behind partitions that are new, under its old ordinal.
  table.On(
      PartitionsDiscovered{.source = 0, .found = {{.partition = "t/0"}, {.partition = "t/2"}}});
  table.On(Ends({End("t/0", 14), End("t/2", 1)}));
  const std::vector<proto::PartitionStart> starts = table.Admit({1});
  ASSERT_EQ(starts.size(), 2u);
  EXPECT_EQ(starts[0].ordinal(), 2u);
  EXPECT_EQ(starts[1].ordinal(), 0u);
  EXPECT_EQ(starts[1].offset(), 12) << "where it was left";
  EXPECT_FALSE(table[0].retired);
}

TEST(PartitionTableTest, RecordsOfAGonePartitionAreLostOrSkipped) {
  struct Case {
    std::string name;
    std::string on_data_loss;
    int64_t end;
    bool lost;
    int64_t lost_end;  // in the record; 0 = nothing was lost
  };
  const std::vector<Case> cases = {
      {"read to its end", "", 10, false, 0},
      {"not read, by default", "", 12, true, 0},
      {"not read, and skipped", "skip", 12, false, 12},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const JobHistory history(Submitted(c.on_data_loss));
    PartitionTable table = TableOf(history);
    table.On(Ends({Gone("t/0", c.end)}));
    EXPECT_FALSE(table.HasInput()) << "nothing of it can be read any more";
    const PartitionTable::Changes changes = table.TakeChanges(history);
    ASSERT_EQ(changes.lost.has_value(), c.lost);
    EXPECT_EQ(changes.ends_replays, !c.lost);
    if (c.lost) {
      EXPECT_EQ(changes.lost->name, "t/0");
      EXPECT_EQ(changes.lost->begin, 10);
      EXPECT_EQ(changes.lost->end, c.end);
      continue;
    }
    ASSERT_EQ(changes.retired.size(), 1u);
    EXPECT_EQ(changes.retired[0].lost_end(), c.lost_end);
  }
}

TEST(PartitionTableTest, APartitionCanBeGoneBeforeItIsRead) {
  for (const bool skip : {false, true}) {
    SCOPED_TRACE(skip);
    const JobHistory history(Submitted(skip ? "skip" : ""));
    PartitionTable table = TableOf(history);
    table.On(PartitionsDiscovered{.source = 0, .found = {{.partition = "t/2"}}});
    table.On(Ends({Gone("t/2", 3)}));
    EXPECT_THAT(table.Admit({1}), IsEmpty());
    EXPECT_EQ(table.LostBeforePlan(history).has_value(), !skip);
    const std::vector<PartitionsRetired::Retired> dropped = table.DropGone();
    ASSERT_EQ(dropped.size(), 1u);
    EXPECT_EQ(dropped[0].partition, "t/2");
    EXPECT_EQ(dropped[0].lost_end, 3);
    EXPECT_THAT(table.found(), IsEmpty());
  }
}

TEST(PartitionTableTest, AnotherIdentityIsReportedOnce) {
  const JobHistory history(Submitted());
  PartitionTable table = TableOf(history);
  EndsKnown::End end = End("t/1", 20);
  end.identity = "inode 7";
  table.On(Ends({end}));
  const PartitionTable::Changes changes = table.TakeChanges(history);
  ASSERT_EQ(changes.identified.size(), 1u);
  EXPECT_EQ(changes.identified[0].ordinal(), 1u);
  EXPECT_EQ(changes.identified[0].identity(), "inode 7");
  table.On(Ends({end}));
  EXPECT_THAT(table.TakeChanges(history).identified, IsEmpty());
}

TEST(PartitionTableTest, AnEpochPlacesWhatIsReadOrStillHidesRows) {
  JobHistory history(Submitted());
  PartitionTable table = TableOf(history);
  table.On(Ends({Closed("t/0", 10)}));
  table.TakeChanges(history);
  EXPECT_THAT(table.ToPlace({10, 20}, {}), ElementsAre(1)) << "t/0 is retired";
  EXPECT_THAT(table.ToPlace({10, 20}, {0}), ElementsAre(0, 1)) << "a sink hides rows of it";
  EXPECT_THAT(table.ToPlace({9, 20}, {}), ElementsAre(0, 1)) << "a batch reads it again";
  table.Place({0, 1}, {1, 0});
  table.Place({1}, {2});
  EXPECT_EQ(table[0].owner, kNobody);
  EXPECT_EQ(table[1].owner, 2u);
}

TEST(PartitionTableTest, TheRateLimitHoldsInputBack) {
  const JobHistory history(Submitted());
  PartitionTable table = TableOf(
      history, false, {.records_per_second = 10, .first_us = 100'000, .most_us = 1'000'000});
  EXPECT_FALSE(table.IsHeldByRate(0)) << "there is no input";
  table.On(Ends({End("t/0", 1000)}));
  EXPECT_EQ(table.Demands(BatchSizer(), 0)[0].limit, 1);
  proto::SplitReport report;
  report.set_begin(10);
  report.set_end(11);
  report.set_records(1);
  table.OnRead(0, report, /*is_new=*/true);
  EXPECT_TRUE(table.IsHeldByRate(50'000));
  EXPECT_FALSE(table.IsHeldByRate(100'000));
  table.OnRead(0, report, /*is_new=*/false);
  EXPECT_FALSE(table.IsHeldByRate(100'000)) << "reading again uses up nothing";
}

}  // namespace
}  // namespace millrace::driver
