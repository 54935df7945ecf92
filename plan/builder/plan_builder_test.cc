#include "plan/builder/plan_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/version.h"
#include "plan/format_version.h"

namespace millrace::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// "name type, …"
template <typename Fields>
std::string Words(const Fields& fields) {
  std::string words;
  for (const auto& field : fields) {
    absl::StrAppend(&words, words.empty() ? "" : ", ", field.name(), " ",
                    TypeFromProto(field.type()).ToString());
  }
  return words;
}

class PlanBuilderTest : public ::testing::Test {
 protected:
  Stream Sales() {
    return job_.Read(
        {.table = "sales", .columns = {{"item", kText}, {"price", kNumeric}, {"amount", kInt64}}});
  }

  proto::JobPlan Plan() {
    absl::StatusOr<proto::JobPlan> plan = job_.Build();
    EXPECT_TRUE(plan.ok()) << plan.status();
    return plan.ok() ? *std::move(plan) : proto::JobPlan();
  }

  std::string Error() { return std::string(job_.Build().status().message()); }

  PlanBuilder job_{FunctionRegistry::BuiltIn(), {.parallelism = 3, .key_groups = 64}};
};

TEST_F(PlanBuilderTest, AProjectionOfATableStaysInOneStage) {
  Sales()
      .Filter(IsNotNull(Col("price")))
      .Project({Col("item"), Call("+", {Col("amount"), Int64(1)}).As("next")})
      .WriteTo({.table = "out"});
  const proto::JobPlan plan = Plan();
  EXPECT_EQ(plan.exchanges_size(), 0);
  EXPECT_FALSE(plan.running_state());
  ASSERT_EQ(plan.stages_size(), 1);
  const proto::Stage& stage = plan.stages(0);
  EXPECT_TRUE(stage.has_source());
  ASSERT_EQ(stage.operators_size(), 3);
  EXPECT_THAT(stage.operators(0).inputs(), IsEmpty());
  EXPECT_EQ(stage.operators(0).name(), "filter-1");
  EXPECT_EQ(Words(stage.operators(0).output()), "item text, price numeric, amount bigint");
  EXPECT_EQ(stage.operators(0).filter().predicate().form().args(0).column(), 1u);
  EXPECT_THAT(stage.operators(1).inputs(), ElementsAre(1));
  EXPECT_EQ(Words(stage.operators(1).output()), "item text, next bigint");
  EXPECT_THAT(stage.operators(2).inputs(), ElementsAre(2));
  EXPECT_EQ(stage.operators(2).id(), 3u);
  EXPECT_EQ(stage.operators(2).output_size(), 0);
  ASSERT_EQ(plan.sinks_size(), 1);
  EXPECT_EQ(Words(plan.sinks(0).columns()), "item text, next bigint");
  EXPECT_EQ(plan.sinks(0).mode(), proto::SINK_APPEND);
  EXPECT_FALSE(plan.sinks(0).keyed());
}

TEST_F(PlanBuilderTest, AGroupingHasTwoPhasesWithAnExchangeBetween) {
  Sales()
      .GroupBy({Col("item")},
               {Count(), Sum(Col("amount")).As("total").Where(IsNotNull(Col("price")))},
               {.name = "by_item"})
      .WriteTo({.table = "out"});
  const proto::JobPlan plan = Plan();
  EXPECT_TRUE(plan.running_state());
  ASSERT_EQ(plan.stages_size(), 2);
  ASSERT_EQ(plan.stages(0).operators_size(), 2);
  const proto::Operator& partial = plan.stages(0).operators(0);
  EXPECT_EQ(partial.name(), "by_item/partial");
  EXPECT_FALSE(partial.retracts());
  EXPECT_EQ(partial.partial_aggregate().keys(0).column(), 0u);
  EXPECT_EQ(partial.partial_aggregate().aggregates(1).args(0).column(), 2u);
  EXPECT_TRUE(partial.partial_aggregate().aggregates(1).has_filter());
  EXPECT_FALSE(partial.partial_aggregate().input_retracts());
  EXPECT_THAT(Words(partial.output()), ::testing::StartsWith("item text, count$0 bigint, sum$0 "));
  EXPECT_THAT(Words(partial.output()), ::testing::EndsWith(", weight$ bigint"));
  EXPECT_THAT(plan.stages(0).operators(1).exchange_write().keys(), ElementsAre(0));

  ASSERT_EQ(plan.exchanges_size(), 1);
  EXPECT_EQ(Words(plan.exchanges(0).columns()), Words(partial.output()));
  EXPECT_FALSE(plan.exchanges(0).ordered());

  EXPECT_TRUE(plan.stages(1).has_exchange());
  ASSERT_EQ(plan.stages(1).operators_size(), 2);
  const proto::Operator& final_op = plan.stages(1).operators(0);
  EXPECT_EQ(final_op.name(), "by_item");
  EXPECT_TRUE(final_op.retracts());
  EXPECT_THAT(final_op.inputs(), IsEmpty());
  EXPECT_EQ(Words(final_op.output()), "item text, count bigint, total numeric");
  const proto::FinalAggregate& grouping = final_op.final_aggregate();
  EXPECT_EQ(grouping.key_count(), 1u);
  EXPECT_EQ(Words(grouping.keys()), "item text");
  EXPECT_FALSE(grouping.global());
  ASSERT_EQ(grouping.aggregates_size(), 2);
  EXPECT_FALSE(grouping.aggregates(1).has_filter());
  EXPECT_EQ(grouping.aggregates(1).args(0).type().kind(), proto::TYPE_INT64);
  EXPECT_EQ(grouping.aggregates(1).args(0).node_case(), proto::Expr::NODE_NOT_SET);
  EXPECT_EQ(plan.sinks(0).mode(), proto::SINK_CHANGES);
  EXPECT_TRUE(plan.sinks(0).keyed());
}

TEST_F(PlanBuilderTest, AGroupingOverChangesTakesThemBack) {
  const Stream by_item = Sales().GroupBy({Col("item")}, {Count().As("n")});
  by_item.WriteTo({.table = "items"});
  by_item.GroupBy({Col("n")}, {Min(Col("item"))}).WriteTo({.table = "counts"});
  by_item.GroupBy({}, {Count()}).WriteTo({.table = "total"});
  const proto::JobPlan plan = Plan();
  ASSERT_EQ(plan.stages_size(), 4);
  const proto::Stage& stage = plan.stages(1);
  ASSERT_EQ(stage.operators_size(), 6);
  for (const int reader : {1, 2, 4}) {  // the sink and the two groupings
    EXPECT_THAT(stage.operators(reader).inputs(), ElementsAre(stage.operators(0).id()));
  }
  EXPECT_TRUE(stage.operators(2).partial_aggregate().input_retracts());
  // min keeps only the least value unless it can be taken back.
  EXPECT_EQ(Words(plan.exchanges(1).columns()), "n bigint, min$0 bytea, weight$ bigint");
  EXPECT_FALSE(plan.exchanges(1).retracts());
  EXPECT_THAT(stage.operators(5).exchange_write().keys(), IsEmpty());
  EXPECT_TRUE(plan.stages(2).operators(0).final_aggregate().input_retracts());
  EXPECT_TRUE(plan.stages(3).operators(0).final_aggregate().global());
  EXPECT_EQ(plan.stages(3).exchange(), 2u);
}

TEST_F(PlanBuilderTest, AGroupingPerBatchGivesFinalRowsAndKeepsNoState) {
  Sales()
      .GroupBy({}, {StringAgg(Col("item"), Text(","))}, {.per_batch = true})
      .WriteTo({.table = "out"});
  const proto::JobPlan plan = Plan();
  EXPECT_FALSE(plan.running_state());
  EXPECT_TRUE(plan.exchanges(0).ordered()) << "string_agg depends on the order of its rows";
  const proto::Operator& op = plan.stages(1).operators(0);
  EXPECT_EQ(op.name(), "aggregate-1");
  EXPECT_TRUE(op.final_aggregate().per_batch());
  EXPECT_FALSE(op.final_aggregate().global());
  EXPECT_FALSE(op.retracts());
  EXPECT_EQ(plan.sinks(0).mode(), proto::SINK_APPEND);
}

TEST_F(PlanBuilderTest, AnUpsertBringsTheRowsOfAKeyTogether) {
  Sales()
      .NotNull({"item"}, "latest")
      .Exchange({"item"})
      .Consolidate({"item"})
      .WriteTo({.table = "latest",
                .connector = "kafka",
                .format = "json",
                .options = {{"topic", "latest"}},
                .primary_key = {"item"}});
  const proto::JobPlan plan = Plan();
  ASSERT_EQ(plan.stages_size(), 2);
  EXPECT_THAT(plan.stages(0).operators(0).not_null().columns(), ElementsAre(0));
  EXPECT_EQ(plan.stages(0).operators(0).not_null().table(), "latest");
  EXPECT_THAT(plan.stages(0).operators(1).exchange_write().keys(), ElementsAre(0));
  EXPECT_EQ(Words(plan.exchanges(0).columns()), "item text, price numeric, amount bigint");
  EXPECT_THAT(plan.stages(1).operators(0).consolidate().keys(), ElementsAre(0));
  EXPECT_TRUE(plan.stages(1).operators(0).consolidate().upsert());
  const proto::Sink& sink = plan.sinks(0);
  EXPECT_EQ(sink.connector(), "kafka");
  EXPECT_EQ(sink.format(), "json");
  EXPECT_EQ(sink.options().at("topic"), "latest");
  EXPECT_THAT(sink.key_columns(), ElementsAre(0));
  EXPECT_EQ(sink.mode(), proto::SINK_UPSERT);
}

TEST_F(PlanBuilderTest, ATableFunctionAddsItsColumnsToThoseThatAreKept) {
  const Stream words = Sales().TableFunction(
      "string_to_table", {Col("item"), Text(" ")},
      {.keep = {"amount"}, .names = {"word"}, .with_ordinality = true, .left = true});
  words.WriteTo({.table = "out", .mode = proto::SINK_CHANGES});
  const proto::JobPlan plan = Plan();
  const proto::Operator& op = plan.stages(0).operators(0);
  EXPECT_EQ(Words(op.output()), "amount bigint, word text, ordinality bigint");
  EXPECT_EQ(Words(op.table_function().columns()), "word text");
  EXPECT_THAT(op.table_function().kept(), ElementsAre(2));
  EXPECT_TRUE(op.table_function().with_ordinality());
  EXPECT_TRUE(op.table_function().left());
  ASSERT_EQ(words.columns().size(), 3u);
  EXPECT_EQ(words.columns()[1].name, "word");
  EXPECT_EQ(plan.sinks(0).mode(), proto::SINK_CHANGES);
}

TEST_F(PlanBuilderTest, SourcesAndSettingsAreAsGiven) {
  job_.Read({.table = "lines",
             .connector = "file",
             .format = "csv",
             .options = {{"path", "/in"}},
             .columns = {{"id", kInt64}, {"line", kText}},
             .primary_key = {"id"},
             .on_error = proto::ON_ERROR_SKIP})
      .WriteTo({.table = "out"});
  const proto::JobPlan plan = Plan();
  const proto::Source& source = plan.sources(0);
  EXPECT_EQ(source.table(), "lines");
  EXPECT_EQ(source.connector(), "file");
  EXPECT_EQ(source.format(), "csv");
  EXPECT_EQ(source.options().at("path"), "/in");
  EXPECT_EQ(Words(source.columns()), "id bigint, line text");
  EXPECT_EQ(Words(source.declared()), "id bigint, line text");
  EXPECT_EQ(source.columns(1).declared(), 1);
  EXPECT_THAT(source.primary_key(), ElementsAre("id"));
  EXPECT_EQ(source.on_error(), proto::ON_ERROR_SKIP);
  EXPECT_EQ(plan.format_version(), kPlanFormatVersion);
  EXPECT_EQ(plan.engine_version(), kEngineVersion);
  EXPECT_EQ(plan.key_groups(), 64u);
  EXPECT_EQ(plan.parallelism(), 3u);
  EXPECT_EQ(plan.settings().at("key_groups"), "64");
  EXPECT_EQ(plan.settings().at("batch_duration"), "2 s");
}

// ---- errors ----

TEST_F(PlanBuilderTest, TheFirstErrorNamesItsOperator) {
  Sales().Filter(Col("item")).Project({Col("nothing")}).WriteTo({.table = "out"});
  EXPECT_EQ(Error(), "filter-1: the predicate must be boolean, not text");
}

TEST_F(PlanBuilderTest, ErrorsNameWhatIsWrong) {
  const std::vector<std::pair<std::function<void(const Stream&)>, std::string>> kCases = {
      {[](const Stream& rows) { rows.Project({Col("itme")}); },
       "project-1: no column \"itme\"; there are item, price, amount"},
      {[](const Stream& rows) {
         rows.GroupBy({Col("item")}, {Sum(Col("item"))}, {.name = "sums"});
       },
       "sums: no aggregate sum(text); there are "},
      {[](const Stream& rows) {
         rows.GroupBy({Col("item")}, {Count().As("n")})
             .GroupBy({}, {StringAgg(Col("item"), Text(","))});
       },
       "aggregate-2: aggregate string_agg cannot take back rows"},
      {[](const Stream& rows) {
         rows.GroupBy({}, {Count()}, {.name = "n"}).WriteTo({.table = "out"});
         rows.GroupBy({}, {Count()}, {.name = "n"}).WriteTo({.table = "out"});
       },
       "n: two operators have this name"},
      {[](const Stream& rows) { rows.Exchange({"key"}); }, "exchange-1: no column \"key\""},
      {[](const Stream& rows) { rows.Consolidate({"item"}); },
       "consolidate-1: rows of equal keys are not together"},
      {[](const Stream& rows) { rows.NotNull({"key"}, "t"); }, "not-null-1: no column \"key\""},
      {[](const Stream& rows) {
         rows.TableFunction("unnest", {Col("item")}).WriteTo({.table = "out"});
       },
       "table-function-1: no table function unnest(text)"},
      {[](const Stream& rows) {
         rows.TableFunction("string_to_table", {Col("item"), Text(" ")}, {.names = {"a", "b"}});
       },
       "table-function-1: string_to_table returns 1 columns, for which there are 2 names"},
      {[](const Stream& rows) { rows.WriteTo({.table = "out", .primary_key = {"key"}}); },
       "sink-1: no column \"key\""},
      {[](const Stream& rows) { rows.Filter(IsNull(Col("item"))); }, "nothing reads filter-1"},
      {[](const Stream& rows) { rows.Exchange({"item"}); }, "nothing reads exchange 0"},
      {[](const Stream&) {}, "nothing reads table \"sales\""},
  };
  for (const auto& [use, error] : kCases) {
    PlanBuilder job(FunctionRegistry::BuiltIn());
    use(job.Read(
        {.table = "sales", .columns = {{"item", kText}, {"price", kNumeric}, {"amount", kInt64}}}));
    EXPECT_THAT(std::string(job.Build().status().message()), HasSubstr(error));
  }
}

TEST_F(PlanBuilderTest, ErrorsOfTablesAndSettingsNameThem) {
  EXPECT_EQ(Error(), "the plan reads no table");
  job_.Read({.table = "t", .columns = {{"a", kText}, {"a", kText}}}).WriteTo({.table = "out"});
  EXPECT_EQ(Error(), "table \"t\": two columns have the name \"a\"");

  PlanBuilder keyless(FunctionRegistry::BuiltIn());
  keyless.Read({.table = "t", .columns = {{"a", kText}}, .primary_key = {"b"}})
      .WriteTo({.table = "out"});
  EXPECT_THAT(std::string(keyless.Build().status().message()), HasSubstr("table \"t\": no column"));

  PlanBuilder wide(FunctionRegistry::BuiltIn(), {.key_groups = 0});
  wide.Read({.table = "t", .columns = {{"a", kText}}}).WriteTo({.table = "out"});
  EXPECT_THAT(std::string(wide.Build().status().message()), HasSubstr("setting key_groups: '0'"));
}

}  // namespace
}  // namespace millrace::plan
