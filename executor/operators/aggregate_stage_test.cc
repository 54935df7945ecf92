// Aggregates and keyed operators as whole plans over a few rows.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "executor/operators/testing/local_job.h"
#include "executor/operators/testing/pipeline_runs.h"
#include "gtest/gtest.h"
#include "plan/builder/plan_builder.h"

namespace millrace::executor {
namespace {

using plan::Col;
using plan::Count;
using plan::StringAgg;
using plan::Sum;
using plan::Text;

TEST(AggregateStageTest, EqualKeysShowAsTheFirstRowHasThem) {
  std::vector<Splits> batches = {{{0, 0, {"2.0|1|a", "NULL|1|a"}},
                                  {0, 1, {"1.00|1|a", "2|1|a"}},
                                  {0, 2, {"1.0|1|a", "2.000|1|a", "NULL|1|b"}}},
                                 {{0, 0, {"1|1|a"}}}};
  std::vector<Sinks> results = RunEveryWay(GroupedPlan({Count()}), batches);
  EXPECT_EQ(Sorted(AllRows(results[0])),
            (std::vector<std::string>{"+1 1.00|2", "+1 2.0|3", "+1 NULL|2"}));
  EXPECT_EQ(AllRows(results[1]), (std::vector<std::string>{"-1 1.00|2", "+1 1.00|3"}));
}

TEST(AggregateStageTest, DistinctIsGroupingWithoutAggregates) {
  std::vector<Splits> batches = {{{0, 0, {"1|1|a", "2|1|a", "1|1|a"}}},
                                 {{0, 1, {"2|1|a", "3|1|a"}}}};
  std::vector<Sinks> results = RunEveryWay(GroupedPlan({}), batches);
  EXPECT_EQ(Sorted(AllRows(results[0])), (std::vector<std::string>{"+1 1", "+1 2"}));
  EXPECT_EQ(AllRows(results[1]), std::vector<std::string>{"+1 3"});
}

TEST(AggregateStageTest, OrderSensitiveAggregatesSeeSplitOrder) {
  std::vector<Splits> batches = {
      {{0, 0, {"1|1|a", "1|1|b", "2|1|x"}}, {0, 1, {"1|1|c"}}, {0, 2, {"2|1|y", "1|1|d"}}},
      {{0, 2, {"1|1|f"}}, {0, 1, {"1|1|e"}}}};
  std::vector<Sinks> results = RunEveryWay(GroupedPlan({StringAgg(Col("t"), Text(","))}), batches);
  EXPECT_EQ(Sorted(AllRows(results[0])), (std::vector<std::string>{"+1 1|a,b,c,d", "+1 2|x,y"}));
  EXPECT_EQ(AllRows(results[1]), (std::vector<std::string>{"-1 1|a,b,c,d", "+1 1|a,b,c,d,e,f"}));
}

TEST(AggregateStageTest, GlobalAggregateHasARowEvenOverNothing) {
  std::vector<Splits> batches = {
      {}, {{0, 0, {"1.5|1|a"}}, {0, 1, {"2|1|a"}}}, {}, {{0, 1, {"NULL|1|a"}}}};
  std::vector<Sinks> results =
      RunEveryWay(GroupedPlan({Count(), Sum(Col("k"))}, {.keyed = false}), batches);
  EXPECT_EQ(AllRows(results[0]), std::vector<std::string>{"+1 0|NULL"});
  EXPECT_EQ(AllRows(results[1]), (std::vector<std::string>{"-1 0|NULL", "+1 2|3.5"}));
  EXPECT_EQ(AllRows(results[2]), std::vector<std::string>());
  EXPECT_EQ(AllRows(results[3]), (std::vector<std::string>{"-1 2|3.5", "+1 3|3.5"}));
}

TEST(AggregateStageTest, PerBatchWithoutKeysHasARowPerBatchWithInput) {
  std::vector<Splits> batches = {{}, {{0, 0, {"1.5|1|a"}}}, {}, {{0, 1, {"2|1|a", "3|1|a"}}}};
  std::vector<Sinks> results =
      RunEveryWay(GroupedPlan({Count()}, {.keyed = false, .per_batch = true}), batches);
  EXPECT_EQ(AllRows(results[0]), std::vector<std::string>());
  EXPECT_EQ(AllRows(results[1]), std::vector<std::string>{"+1 1"});
  EXPECT_EQ(AllRows(results[2]), std::vector<std::string>());
  EXPECT_EQ(AllRows(results[3]), std::vector<std::string>{"+1 2"});
}

TEST(AggregateStageTest, AResultThatOverflowsNamesItsKeyOrIsSkipped) {
  std::string large = absl::StrCat("5", std::string(131071, '0'));
  Splits splits = {{0, 0, {absl::StrCat(large, "|1|a"), "7|1|a"}},
                   {0, 1, {absl::StrCat(large, "|1|a")}}};
  LocalJob failing(GroupedPlan({Sum(Col("k"))}), {});
  absl::Status status = failing.RunBatch(splits).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_NE(status.message().find(absl::StrCat("key (k = ", large.substr(0, 40))),
            absl::string_view::npos)
      << status.message().substr(0, 200);

  LocalJob skipping(GroupedPlan({Sum(Col("k"))}, {.on_error = proto::ON_ERROR_SKIP}), {});
  EXPECT_EQ(AllRows(MustRun(&skipping, splits)), std::vector<std::string>{"+1 7|7"});
  EXPECT_EQ(skipping.skipped().records, 1);
  // The earlier, valid row of a key is taken back when its new one fails.
  LocalJob later(GroupedPlan({Sum(Col("k"))}, {.on_error = proto::ON_ERROR_SKIP}), {});
  EXPECT_EQ(AllRows(MustRun(&later, {splits[0]})).size(), 2u);
  EXPECT_EQ(AllRows(MustRun(&later, {splits[1]})),
            std::vector<std::string>{absl::StrCat("-1 ", large, "|", large)});
}

TEST(AggregateStageTest, StateIsCountedWhileItOutlivesTheBatch) {
  LocalJob running(GroupedPlan({Count()}), {});
  MustRun(&running, {{0, 0, {"1|1|a", "2|1|a", "NULL|1|a"}}});
  EXPECT_EQ(running.state_rows(), 3);
  LocalJob per_batch(GroupedPlan({Count()}, {.per_batch = true}), {});
  MustRun(&per_batch, {{0, 0, {"1|1|a", "2|1|a"}}});
  EXPECT_EQ(per_batch.state_rows(), 0);
}

// ---- a keyed stage without an aggregate ----

TEST(ConsolidateTest, TwoLiveRowsOfAKeyAreAnErrorThatNamesIt) {
  const proto::JobPlan plan = RowsPlan([](const plan::Stream& rows) {
    rows.Exchange({"t"}).Consolidate({"t"}).WriteTo({.table = "latest"});
  });
  LocalJob job(plan, {});
  EXPECT_EQ(Sorted(AllRows(MustRun(&job, {{0, 0, {"1|1|a", "1|2|b"}}}))),
            (std::vector<std::string>{"+1 1|1|a", "+1 1|2|b"}));
  for (const char* second : {"1.0|1|a", "1|1|a"}) {
    LocalJob again(plan, {});
    absl::Status status = again.RunBatch({{0, 0, {"1|1|a", second}}}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_NE(status.message().find("PRIMARY key (t = a)"), absl::string_view::npos) << status;
  }
}

TEST(KeyedStageTest, OperatorsWithoutStateSeeRowsInOrderOfOriginWithinAKeyGroup) {
  const proto::JobPlan plan =
      RowsPlan([](const plan::Stream& rows) { rows.Exchange({"t"}).WriteTo({.table = "all"}); });
  std::vector<Splits> batches = {{{0, 0, {"1|1|a", "1|2|b", "1|3|a"}},
                                  {0, 1, {"1|4|a", "1|5|c"}},
                                  {0, 2, {"1|6|b", "1|7|a"}}}};
  std::vector<Sinks> results = RunEveryWay(plan, batches);
  std::vector<std::string> of_a;
  for (const std::string& row : AllRows(results[0])) {
    if (row.back() == 'a') {
      of_a.push_back(row);
    }
  }
  EXPECT_EQ(of_a, (std::vector<std::string>{"+1 1|1|a", "+1 1|3|a", "+1 1|4|a", "+1 1|7|a"}));
  EXPECT_EQ(AllRows(results[0]).size(), 7u);
}

}  // namespace
}  // namespace millrace::executor
