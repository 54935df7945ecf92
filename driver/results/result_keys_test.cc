#include "driver/results/result_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "common/expr/function_registry.h"
#include "plan/builder/plan_builder.h"
#include "plan/builder/testing/must_build.h"

namespace millrace::driver {
namespace {

using plan::Col;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// SELECT … FROM rows GROUP BY a, b HAVING …, with the select list as given.
proto::JobPlan Grouped(const std::vector<plan::Expression>& select) {
  plan::PlanBuilder job(FunctionRegistry::BuiltIn());
  job.Read({.table = "rows", .columns = {{"a", plan::kText}, {"b", plan::kText}}})
      .GroupBy({Col("a"), Col("b")}, {plan::Count()})
      .Filter(plan::IsNotNull(Col("count")))
      .Project(select)
      .WriteTo({.table = "out"});
  return MustBuild(job);
}

TEST(ChangeKeysTest, PrimaryKeyComesFirst) {
  proto::JobPlan plan = Grouped({Col("a"), Col("b"), Col("count")});
  plan.mutable_sinks(0)->add_key_columns(2);
  EXPECT_THAT(ChangeKeys(plan, 0), ElementsAre(2));
}

TEST(ChangeKeysTest, FindsTheGroupsKeysBehindProjectionAndFilter) {
  EXPECT_THAT(ChangeKeys(Grouped({Col("count"), Col("b"), Col("a")}), 0), ElementsAre(1, 2));
}

TEST(ChangeKeysTest, IncompleteOrComputedKeysAreNone) {
  EXPECT_THAT(ChangeKeys(Grouped({Col("a"), Col("count"), Col("count")}), 0), IsEmpty());
  EXPECT_THAT(ChangeKeys(Grouped({Col("a"), plan::Call("upper", {Col("b")}), Col("count")}), 0),
              IsEmpty());
}

TEST(ChangeKeysTest, TwoInsertsIntoOneTableHaveNoneInCommon) {
  proto::JobPlan plan = Grouped({Col("a"), Col("b"), Col("count")});
  *plan.add_stages() = plan.stages(1);
  EXPECT_THAT(ChangeKeys(plan, 0), IsEmpty());
}

TEST(ChangeKeysTest, WithoutAggregationThereAreNone) {
  plan::PlanBuilder job(FunctionRegistry::BuiltIn());
  job.Read({.table = "rows", .columns = {{"a", plan::kText}}})
      .Filter(plan::IsNotNull(Col("a")))
      .WriteTo({.table = "out"});
  EXPECT_THAT(ChangeKeys(MustBuild(job), 0), IsEmpty());
}

}  // namespace
}  // namespace millrace::driver
