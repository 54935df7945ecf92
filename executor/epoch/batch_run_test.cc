// The counters of a batch: when stages, exchanges and the batch are over. Layout: two sources feed
// exchange 0 (stages 0 and 1), stage 2 reads it and feeds exchange 1, stage 3 reads that. This
// executor is member 1 of 2 and owns shards 1 and 3.
#include "executor/epoch/batch_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "common/base/failure_kind.h"

namespace millrace::executor {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

proto::StartEpoch Start() {
  proto::StartEpoch start;
  start.set_job_id("job");
  start.set_epoch(2);
  start.set_suppress_until(5);
  proto::JobPlan* plan = start.mutable_plan();
  plan->add_sources();
  plan->add_sources();
  plan->add_exchanges();
  plan->add_exchanges();
  plan->add_sinks();
  const auto stage = [&](uint32_t id) {
    proto::Stage* added = plan->add_stages();
    added->set_id(id);
    return added;
  };
  proto::Stage* first = stage(0);
  first->set_source(0);
  first->add_operators()->mutable_exchange_write()->set_exchange(0);
  proto::Stage* second = stage(1);
  second->set_source(1);
  second->add_operators()->mutable_exchange_write()->set_exchange(0);
  proto::Stage* third = stage(2);
  third->set_exchange(0);
  third->add_operators()->mutable_final_aggregate()->set_global(true);
  third->add_operators()->mutable_exchange_write()->set_exchange(1);
  proto::Stage* fourth = stage(3);
  fourth->set_exchange(1);
  fourth->add_operators()->mutable_sink_write()->set_sink(0);
  for (const char* id : {"other", "self"}) {
    start.mutable_assignment()->add_members()->set_executor_id(id);
    start.add_stream_keys()->set_to("to");
    start.mutable_stream_keys()->rbegin()->set_from("from");
  }
  for (uint32_t shard = 0; shard < 4; ++shard) {
    start.mutable_assignment()->add_shard_owner(shard % 2);
  }
  proto::PartitionStart* partition = start.mutable_assignment()->add_partitions();
  partition->mutable_key()->set_source(1);
  partition->set_ordinal(1);
  return start;
}

EpochLayout Layout() {
  auto layout = EpochLayout::Make(Start(), "self");
  EXPECT_TRUE(layout.ok()) << layout.status();
  return *std::move(layout);
}

proto::RunBatch RunMessage(int64_t batch, int splits_of_source_1) {
  proto::RunBatch run;
  run.set_batch(batch);
  for (int i = 0; i < splits_of_source_1; ++i) {
    run.add_splits()->mutable_key()->set_source(1);
  }
  return run;
}

TEST(EpochLayoutTest, WhoFeedsAndReadsWhat) {
  const EpochLayout layout = Layout();
  EXPECT_EQ(layout.self, 1u);
  EXPECT_THAT(layout.own_shards, ElementsAre(1, 3));
  EXPECT_THAT(layout.exchanges[0].feeders, ElementsAre(0, 1));
  EXPECT_THAT(layout.exchanges[0].readers, ElementsAre(2));
  EXPECT_THAT(layout.exchanges[1].feeders, ElementsAre(2));
  EXPECT_THAT(layout.stages_of_source[1], ElementsAre(1));
  EXPECT_TRUE(layout.stages[2].every_batch);
  EXPECT_FALSE(layout.stages[3].every_batch);
  EXPECT_TRUE(layout.keyed_sink[0]);
  EXPECT_THAT(layout.sources_of_sink[0], IsEmpty());
  ASSERT_EQ(layout.own_partitions.size(), 1u);
  EXPECT_EQ(layout.own_partitions[0].ordinal(), 1u);
}

TEST(EpochLayoutTest, ContradictionsAreRefused) {
  EXPECT_THAT(std::string(EpochLayout::Make(Start(), "stranger").status().message()),
              HasSubstr("executor stranger is not a member"));
  proto::StartEpoch start = Start();
  start.mutable_assignment()->set_shard_owner(2, 9);
  EXPECT_THAT(std::string(EpochLayout::Make(start, "self").status().message()),
              HasSubstr("shard 2 has no owner"));
  start = Start();
  start.mutable_plan()->mutable_stages(0)->set_source(7);
  EXPECT_THAT(std::string(EpochLayout::Make(start, "self").status().message()),
              HasSubstr("stage 0"));
  start = Start();
  start.mutable_assignment()->clear_shard_owner();
  EXPECT_FALSE(EpochLayout::Make(start, "self").ok());
}

TEST(BatchRunTest, VisibleShardsAreJudgedByTheTermsOfTheirSession) {
  const EpochLayout layout = Layout();
  proto::RunBatch message = RunMessage(6, 0);
  message.set_batch_time_us(7);
  proto::VisibleShards* visible = message.add_visible();
  visible->add_shards(1);
  visible->add_shards(3);
  visible->set_terms("old");
  BatchRun run(layout, message, 0);
  EXPECT_EQ(run.ForShard({.sink = 0, .shard = 1}).visible, "old");
  EXPECT_EQ(run.ForShard({.sink = 0, .shard = 3}).visible, "old");
  const SinkBatch other = run.ForShard({.sink = 0, .shard = 2});
  EXPECT_EQ(other.visible, std::nullopt);
  EXPECT_EQ(other.id, BatchId(6));
  EXPECT_EQ(other.time_us, 7);
}

TEST(BatchRunTest, StagesEndWhenTheirUnitsHave) {
  const EpochLayout layout = Layout();
  BatchRun run(layout, RunMessage(1, /*splits_of_source_1=*/2), 0);
  // Source 0 has no split here, but exchange 0 is open until source 1's stage has ended too.
  BatchRun::Consequences after = run.EndEmptyStages();
  EXPECT_THAT(after.exchanges, IsEmpty());
  EXPECT_FALSE(after.sources_ended);
  after = run.UnitEnded(1);
  EXPECT_THAT(after.exchanges, IsEmpty());
  after = run.UnitEnded(1);
  EXPECT_THAT(after.exchanges, ElementsAre(0));
  EXPECT_TRUE(after.sources_ended);
  EXPECT_FALSE(after.all_ended);
  EXPECT_THAT(run.UnitEnded(2).exchanges, IsEmpty());
  after = run.UnitEnded(2);
  EXPECT_THAT(after.exchanges, ElementsAre(1));
  EXPECT_FALSE(after.sources_ended) << "once";
  EXPECT_FALSE(run.UnitEnded(3).all_ended);
  EXPECT_TRUE(run.UnitEnded(3).all_ended);
}

TEST(BatchRunTest, WithoutSplitsTheExchangeEndsAtOnce) {
  const EpochLayout layout = Layout();
  BatchRun run(layout, RunMessage(1, 0), 0);
  const BatchRun::Consequences after = run.EndEmptyStages();
  EXPECT_THAT(after.exchanges, ElementsAre(0));
  EXPECT_TRUE(after.sources_ended);
  EXPECT_FALSE(after.all_ended);
}

TEST(BatchRunTest, ExchangeEndsWithItsLastMember) {
  const EpochLayout layout = Layout();
  BatchRun run(layout, RunMessage(1, 0), 0);
  ASSERT_TRUE(run.CountReceived(0, 0).ok());
  ASSERT_TRUE(run.CountReceived(0, 0).ok());
  auto last = run.MemberEnded(0, 1, 0);
  ASSERT_TRUE(last.ok());
  EXPECT_FALSE(*last);
  last = run.MemberEnded(0, 0, 2);
  ASSERT_TRUE(last.ok());
  EXPECT_TRUE(*last);
}

TEST(BatchRunTest, LostBlockIsNoticed) {
  const EpochLayout layout = Layout();
  BatchRun run(layout, RunMessage(1, 0), 0);
  ASSERT_TRUE(run.CountReceived(0, 0).ok());
  const auto last = run.MemberEnded(0, 0, 2);
  EXPECT_TRUE(absl::IsAborted(last.status()));
  EXPECT_THAT(std::string(last.status().message()),
              HasSubstr("executor other sent 2 blocks of batch 1"));
}

TEST(BatchRunTest, MemberThatEndsTwiceDoesNotEndForAnother) {
  const EpochLayout layout = Layout();
  BatchRun run(layout, RunMessage(1, 0), 0);
  ASSERT_TRUE(run.MemberEnded(0, 0, 0).ok());
  EXPECT_TRUE(absl::IsAborted(run.MemberEnded(0, 0, 0).status()));
  EXPECT_TRUE(absl::IsAborted(run.CountReceived(0, 0))) << "rows after the end";
  const auto last = run.MemberEnded(0, 1, 0);
  ASSERT_TRUE(last.ok());
  EXPECT_TRUE(*last);
}

TEST(BatchRunTest, SuppressedUpToAndIncludingTheLastCommitted) {
  const EpochLayout layout = Layout();
  EXPECT_TRUE(BatchRun(layout, RunMessage(5, 0), 0).suppressed());
  EXPECT_FALSE(BatchRun(layout, RunMessage(6, 0), 0).suppressed());
}

TEST(BatchRunTest, ReportIsInOrderOfPartitions) {
  const EpochLayout layout = Layout();
  BatchRun run(layout, RunMessage(7, 0), 0);
  for (const char* partition : {"t/2", "t/0", "t/1"}) {
    proto::SplitReport report;
    report.mutable_key()->set_partition(partition);
    run.AddReport(report);
  }
  run.AddSkipped({.records = 2, .first_error = "first"});
  run.AddSkipped({.records = 1, .first_error = "second"});
  const auto memory = std::make_shared<HeldMemory>(3);
  EXPECT_TRUE(run.AddResult(1, 0, "c", memory).ok());
  EXPECT_TRUE(run.AddResult(0, 3, "b", memory).ok());
  EXPECT_TRUE(run.AddResult(0, 1, "a", memory).ok());
  EXPECT_EQ(FailureKindOf(run.AddResult(0, 1, "x", memory)), FailureKind::kTooLarge);
  proto::BatchPrepared prepared;
  run.FillPrepared(&prepared);
  EXPECT_EQ(prepared.splits(0).key().partition(), "t/0");
  EXPECT_EQ(prepared.splits(2).key().partition(), "t/2");
  EXPECT_EQ(prepared.skipped(), 3);
  EXPECT_EQ(prepared.first_error(), "first");
  EXPECT_THAT(run.TakeResults(), ElementsAre(std::make_pair(0u, "a"), std::make_pair(0u, "b"),
                                             std::make_pair(1u, "c")));
}

}  // namespace
}  // namespace millrace::executor
