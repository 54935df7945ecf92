#include "driver/jobs/result_keys.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

proto::JobPlan Plan(const std::string& text) {
  proto::JobPlan plan;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &plan));
  return plan;
}

// GROUP BY a, b with the select list's projection as given, behind HAVING.
proto::JobPlan Grouped(const std::string& project) {
  return Plan(
      "sinks { columns { name: 'x' } columns { name: 'y' } columns { name: 'z' } } stages { "
      "exchange: 0 "
      "operators { id: 1 final_aggregate { key_count: 2 } } operators { id: 2 inputs: 1 filter {} "
      "} "
      "operators { id: 3 inputs: 2 project { " +
      project + " } } operators { id: 4 inputs: 3 sink_write { sink: 0 } } }");
}

TEST(ChangeKeysTest, PrimaryKeyComesFirst) {
  proto::JobPlan plan = Grouped("exprs { column: 0 } exprs { column: 1 } exprs { column: 2 }");
  plan.mutable_sinks(0)->add_key_columns(2);
  EXPECT_THAT(ChangeKeys(plan, 0), ElementsAre(2));
}

TEST(ChangeKeysTest, FindsTheGroupsKeysBehindProjectionAndFilter) {
  EXPECT_THAT(ChangeKeys(Grouped("exprs { column: 2 } exprs { column: 1 } exprs { column: 0 }"), 0),
              ElementsAre(1, 2));
}

TEST(ChangeKeysTest, IncompleteOrComputedKeysAreNone) {
  EXPECT_THAT(ChangeKeys(Grouped("exprs { column: 0 } exprs { column: 2 } exprs { column: 2 }"), 0),
              IsEmpty());
  EXPECT_THAT(ChangeKeys(Grouped("exprs { column: 0 } exprs { call { function: 'upper' args { "
                                 "column: 1 } } } exprs { column: 2 }"),
                         0),
              IsEmpty());
}

TEST(ChangeKeysTest, TwoInsertsIntoOneTableHaveNoneInCommon) {
  proto::JobPlan plan = Grouped("exprs { column: 0 } exprs { column: 1 } exprs { column: 2 }");
  *plan.add_stages() = plan.stages(0);
  EXPECT_THAT(ChangeKeys(plan, 0), IsEmpty());
}

TEST(ChangeKeysTest, WithoutAggregationThereAreNone) {
  EXPECT_THAT(
      ChangeKeys(
          Plan("sinks { columns { name: 'x' } } stages { source: 0 operators { id: 1 filter {} } "
               "operators { id: 2 inputs: 1 sink_write { sink: 0 } } }"),
          0),
      IsEmpty());
}

}  // namespace
}  // namespace millrace
