#include "executor/operators/aggregate/partial_aggregate.h"

#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "executor/operators/output/exchange_write.h"
#include "executor/operators/stage_context.h"
#include "executor/operators/testing/local_job.h"
#include "gtest/gtest.h"
#include "plan/builder/plan_builder.h"
#include "plan/builder/testing/must_build.h"

namespace millrace::executor {
namespace {

using plan::Col;

// Aggregates of (t text, x double precision) by t: a partial aggregate and the exchange's write are
// the operators of stage 0, the final aggregate is in stage 1.
proto::JobPlan GroupedByText(const std::vector<plan::AggregateExpression>& aggregates) {
  plan::PlanBuilder job(TestRegistry(), {.parallelism = 1, .key_groups = 16});
  job.Read({.table = "rows", .columns = {{"t", plan::kText}, {"x", plan::kFloat64}}})
      .GroupBy({Col("t")}, aggregates)
      .WriteTo({.table = "groups"});
  return MustBuild(job);
}

std::vector<std::string> RandomRows() {
  std::mt19937 random(4);
  std::vector<std::string> rows;
  rows.reserve(400);
  for (int i = 0; i < 400; ++i) {
    rows.push_back(absl::StrCat("key-", random() % 50, "|", static_cast<double>(random()) * 1e-3));
  }
  return rows;
}

// The output of a source stage with these limits and the keyed stage behind it.
std::vector<std::string> RunWith(PartialAggregate::Limits limits, size_t* blocks) {
  StageContext context({.key_groups = 16});
  const proto::JobPlan plan =
      GroupedByText({plan::Sum(Col("x")), plan::StringAgg(Col("t"), Col("t"))});
  const proto::Stage& source = plan.stages(0);
  auto partial = PartialAggregate::Create(source.operators(0), &context, TestRegistry(), limits);
  EXPECT_TRUE(partial.ok()) << partial.status();
  ExchangeWrite exchange(source.operators(1), &context, (*partial)->HashedColumns());
  (*partial)->AddConsumer(&exchange);
  RecordedOutputs outputs;
  context.Begin(BatchId(1), 0, 0, &outputs);
  std::vector<std::string> rows = RandomRows();
  for (size_t begin = 0; begin < rows.size(); begin += 10) {
    std::vector<std::string> chunk(rows.begin() + static_cast<ptrdiff_t>(begin),
                                   rows.begin() + static_cast<ptrdiff_t>(begin + 10));
    auto describe = [](uint32_t) { return std::string(); };
    RootRows root{.describe = describe};
    StageContext::RootScope scope(&context, &root);
    EXPECT_TRUE((*partial)
                    ->Push(MakeRows({MakeType(TypeId::kText), MakeType(TypeId::kFloat64)}, chunk))
                    .ok());
  }
  EXPECT_TRUE((*partial)->Flush().ok());
  *blocks = outputs.blocks.size();

  auto keyed = KeyedPipeline::Create(plan, 1, 0, TestRegistry());
  EXPECT_TRUE(keyed.ok()) << keyed.status();
  (*keyed)->BeginBatch(BatchId(1), 0, &outputs);
  uint64_t position = 0;
  for (const RecordedOutputs::Block& block : outputs.blocks) {
    InputRun run{0, position, static_cast<uint32_t>(block.rows.row_count())};
    EXPECT_TRUE((*keyed)->Apply(block.rows, std::span(&run, 1)).ok());
    position += run.rows;
  }
  EXPECT_TRUE((*keyed)->EndBatch().ok());
  return outputs.sinks[{0, 0}];
}

TEST(PartialAggregateTest, ResultDoesNotDependOnWhenTheTableIsEmptied) {
  size_t blocks = 0;
  std::vector<std::string> once = RunWith({}, &blocks);
  EXPECT_EQ(blocks, 1u);
  EXPECT_EQ(once.size(), 50u);
  EXPECT_EQ(RunWith({.groups = 3}, &blocks), once);
  EXPECT_EQ(blocks, 40u);
  EXPECT_EQ(RunWith({.groups = 25}, &blocks), once);
  EXPECT_GT(blocks, 2u);
  EXPECT_EQ(RunWith({.bytes = 1}, &blocks), once);
}

TEST(PartialAggregateTest, WeightsOfRowsAddUpInTheLastColumn) {
  StageContext context({.key_groups = 16});
  proto::JobPlan plan = GroupedByText({plan::Count()});
  proto::Stage* source = plan.mutable_stages(0);
  // As behind an aggregate that changes its rows.
  source->mutable_operators(0)->mutable_partial_aggregate()->set_input_retracts(true);
  auto partial = PartialAggregate::Create(source->operators(0), &context, TestRegistry(), {});
  ASSERT_TRUE(partial.ok());
  ExchangeWrite exchange(source->operators(1), &context, (*partial)->HashedColumns());
  (*partial)->AddConsumer(&exchange);
  RecordedOutputs outputs;
  context.Begin(BatchId(1), 0, 7, &outputs);
  auto describe = [](uint32_t) { return std::string(); };
  RootRows root{.describe = describe};
  StageContext::RootScope scope(&context, &root);
  Batch rows = MakeRows({MakeType(TypeId::kText)}, {"a", "b", "a", "c", "c"});
  auto weights = std::make_shared<Column>(MakeType(TypeId::kInt64), 5);
  int64_t values[] = {1, -2, 4, 1, -1};
  std::copy(values, values + 5, weights->mutable_values<int64_t>());
  rows.set_weights(weights);
  ASSERT_TRUE((*partial)->Push(rows).ok());
  ASSERT_TRUE((*partial)->Flush().ok());
  ASSERT_EQ(outputs.blocks.size(), 1u);
  EXPECT_EQ(PrintRows(outputs.blocks[0].rows),
            (std::vector<std::string>{"+1 a|5|5", "+1 b|-2|-2", "+1 c|0|0"}));
  ASSERT_EQ(outputs.blocks[0].runs.size(), 1u);
  EXPECT_EQ(outputs.blocks[0].runs[0].ordinal, 7u);
}

}  // namespace
}  // namespace millrace::executor
