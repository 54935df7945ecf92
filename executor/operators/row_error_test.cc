// Records that fail, in a projection or in a table function, and what on_error does with them.
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "executor/operators/testing/local_job.h"
#include "executor/operators/testing/pipeline_runs.h"
#include "gtest/gtest.h"
#include "plan/builder/plan_builder.h"

namespace millrace::executor {
namespace {

using plan::Call;
using plan::Col;
using plan::Count;
using plan::Int64;

TEST(RowErrorTest, FailNamesTableAndRecord) {
  LocalJob job(RowsPlan(WriteChecked), {});
  absl::Status status = job.RunBatch({{0, 4, {"1|1|a", "1|13|a", "1|13|a"}}}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "table \"rows\", record p4@1: unlucky");
  // The pipeline can be used again.
  EXPECT_EQ(AllRows(MustRun(&job, {{0, 4, {"1|2|a"}}})), std::vector<std::string>{"+1 2"});
}

TEST(RowErrorTest, SkipDropsAndCounts) {
  LocalJob job(RowsPlan(WriteChecked, proto::ON_ERROR_SKIP), {});
  EXPECT_EQ(AllRows(MustRun(&job, {{0, 0, {"1|1|a", "1|13|a", "1|3|a"}}, {0, 1, {"1|13|b"}}})),
            (std::vector<std::string>{"+1 1", "+1 3"}));
  EXPECT_EQ(job.skipped().records, 2);
  EXPECT_EQ(job.skipped().first_error, "table \"rows\", record p0@1: unlucky");
}

TEST(RowErrorTest, TableLeavesOutAndTellsEachRecordOnce) {
  // Two branches that fail on the same record, and a record that could not be decoded.
  proto::JobPlan plan = RowsPlan(
      [](const plan::Stream& rows) {
        WriteChecked(rows);
        WriteChecked(rows);
      },
      proto::ON_ERROR_TABLE);
  // Both write the same table, so that the order between them shows.
  plan.mutable_stages(0)->mutable_operators(3)->mutable_sink_write()->set_sink(0);
  auto pipeline = SourcePipeline::Create(plan, 0, TestRegistry());
  ASSERT_TRUE(pipeline.ok()) << pipeline.status();
  RecordedOutputs outputs;
  (*pipeline)->BeginSplit(5, BatchId(1), 0, &outputs);
  const std::vector<SqlType> types = {MakeType(TypeId::kInt64), MakeType(TypeId::kInt64),
                                      MakeType(TypeId::kText)};
  const auto describe = [](uint32_t row) { return absl::StrCat("p@", row); };
  ASSERT_TRUE((*pipeline)
                  ->Push(MakeRows(types, {"1|1|a", "1|13|a", "1|3|a", "1|4|a"}),
                         {{2, absl::InvalidArgumentError("no JSON")}}, describe)
                  .ok());
  EXPECT_EQ(outputs.sinks.at({0, 5}), (std::vector<std::string>{"+1 1", "+1 4", "+1 1", "+1 4"}));
  std::map<uint32_t, std::string> failed;
  for (const RowError& error : (*pipeline)->TakeFailed()) {
    EXPECT_TRUE(failed.emplace(error.row, error.status.message()).second);
  }
  EXPECT_EQ(failed, (std::map<uint32_t, std::string>{{1, "table \"rows\", record p@1: unlucky"},
                                                     {2, "table \"rows\", record p@2: no JSON"}}));
  ASSERT_TRUE((*pipeline)->Push(MakeRows(types, {"1|1|a"}), {}, describe).ok());
  EXPECT_TRUE((*pipeline)->TakeFailed().empty());
  const auto report = (*pipeline)->EndSplit();
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->records, 2);
}

TEST(RowErrorTest, RecordsThatCouldNotBeDecodedFollowOnError) {
  LocalJob::Split split{
      0, 0, {"1|1|a", "1|2|a", "1|3|a"}, {{1, absl::InvalidArgumentError("no JSON")}}};
  LocalJob skipping(RowsPlan(WriteChecked, proto::ON_ERROR_SKIP), {});
  EXPECT_EQ(AllRows(MustRun(&skipping, {split})), (std::vector<std::string>{"+1 1", "+1 3"}));
  EXPECT_EQ(skipping.skipped().records, 1);
  LocalJob failing(RowsPlan(WriteChecked), {});
  EXPECT_EQ(failing.RunBatch({split}).status().message(), "table \"rows\", record p0@1: no JSON");
}

TEST(RowErrorTest, ARowThatTheSinkRefusesFollowsOnError) {
  for (const proto::OnError on_error :
       {proto::ON_ERROR_FAIL, proto::ON_ERROR_SKIP, proto::ON_ERROR_TABLE}) {
    auto pipeline = SourcePipeline::Create(RowsPlan(WriteChecked, on_error), 0, TestRegistry());
    ASSERT_TRUE(pipeline.ok()) << pipeline.status();
    RecordedOutputs outputs;
    outputs.refuses = {"+1 2", "+1 4"};
    (*pipeline)->BeginSplit(5, BatchId(1), 0, &outputs);
    const absl::Status pushed = (*pipeline)->Push(
        MakeRows({MakeType(TypeId::kInt64), MakeType(TypeId::kInt64), MakeType(TypeId::kText)},
                 {"1|1|a", "1|2|a", "1|3|a", "1|4|a"}),
        {}, [](uint32_t row) { return absl::StrCat("p@", row); });
    const std::string message = "table \"rows\", record p@1: the sink takes no such row";
    if (on_error == proto::ON_ERROR_FAIL) {
      EXPECT_EQ(pushed.message(), message);
      EXPECT_TRUE(outputs.sinks.empty());
      continue;
    }
    ASSERT_TRUE(pushed.ok()) << pushed;
    EXPECT_EQ(outputs.sinks.at({0, 5}), (std::vector<std::string>{"+1 1", "+1 3"}));
    const std::vector<RowError> failed = (*pipeline)->TakeFailed();
    ASSERT_EQ(failed.size(), on_error == proto::ON_ERROR_TABLE ? 2u : 0u);
    if (!failed.empty()) {
      EXPECT_EQ(failed[0].row, 1u);
      EXPECT_EQ(failed[0].status.message(), message);
    }
    const auto report = (*pipeline)->EndSplit();
    ASSERT_TRUE(report.ok());
    EXPECT_EQ(report->records, 2);
    EXPECT_EQ(report->first_error, message);
  }
}

// A row of an aggregate is not a record: only SKIP leaves it out.
TEST(RowErrorTest, ARowOfAGroupThatTheSinkRefusesIsNamedByItsKey) {
  for (const proto::OnError on_error : {proto::ON_ERROR_FAIL, proto::ON_ERROR_SKIP}) {
    LocalJob job(GroupedPlan({Count()}, {.on_error = on_error}), {});
    job.Refuse({"+1 2|1"});
    const auto sinks = job.RunBatch({{0, 0, {"1|1|a", "2|2|a"}}});
    if (on_error == proto::ON_ERROR_FAIL) {
      EXPECT_TRUE(absl::StrContains(sinks.status().message(), "(k = 2)")) << sinks.status();
      EXPECT_TRUE(absl::StrContains(sinks.status().message(), "takes no such row"));
      continue;
    }
    ASSERT_TRUE(sinks.ok()) << sinks.status();
    EXPECT_EQ(AllRows(*sinks), std::vector<std::string>{"+1 1|1"});
    EXPECT_EQ(job.skipped().records, 1);
  }
}

// A table whose PRIMARY KEY is t takes the rows.
void WriteKeyed(const plan::Stream& rows) {
  rows.NotNull({"t"}, "latest").WriteTo({.table = "latest", .primary_key = {"t"}});
}

TEST(RowErrorTest, NullInAPrimaryKeyIsAnErrorOfTheRecord) {
  LocalJob failing(RowsPlan(WriteKeyed), {});
  const absl::Status status = failing.RunBatch({{0, 0, {"1|1|a", "1|2|NULL"}}}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StartsWith(status.message(),
                               "table \"rows\", record p0@1: null value in column \"t\" of "
                               "table \"latest\""))
      << status;
  LocalJob skipping(RowsPlan(WriteKeyed, proto::ON_ERROR_SKIP), {});
  EXPECT_EQ(AllRows(MustRun(&skipping, {{0, 0, {"1|1|a", "1|2|NULL", "NULL|NULL|b"}}})),
            (std::vector<std::string>{"+1 1|1|a", "+1 NULL|NULL|b"}));
  EXPECT_EQ(skipping.skipped().records, 1);
}

// repeat(v) in FROM, then an error in one of the rows of a record.
proto::JobPlan ExpandedPlan(bool left, proto::OnError on_error = proto::ON_ERROR_FAIL) {
  return RowsPlan(
      [&](const plan::Stream& rows) {
        rows.TableFunction("repeat", {Col("v")},
                           {.keep = {"t"}, .with_ordinality = true, .left = left})
            .Project({Col("t"), Call("checked", {Col("n")}), Col("ordinality")})
            .WriteTo({.table = "expanded"});
      },
      on_error);
}

TEST(TableFunctionTest, JoinsRowsWithWhatTheFunctionReturns) {
  for (bool left : {false, true}) {
    LocalJob job(ExpandedPlan(left), {});
    std::vector<std::string> expected = {"+1 a|1|1", "+1 a|2|2", "+1 c|1|1"};
    if (left) {
      expected = {"+1 a|1|1", "+1 a|2|2", "+1 z|NULL|NULL", "+1 n|NULL|NULL", "+1 c|1|1"};
    }
    EXPECT_EQ(AllRows(MustRun(&job, {{0, 0, {"1|2|a", "1|0|z", "1|NULL|n", "1|1|c"}}})), expected);
    std::vector<std::string> none =
        left ? std::vector<std::string>{"+1 z|NULL|NULL"} : std::vector<std::string>{};
    EXPECT_EQ(AllRows(MustRun(&job, {{0, 0, {"1|NULL|z"}}})), none);
    EXPECT_EQ(AllRows(MustRun(&job, {{0, 0, {"1|0|z"}}})), none);
  }
}

TEST(TableFunctionTest, AnErrorInOneOfItsRowsDropsTheWholeRecord) {
  LocalJob job(ExpandedPlan(/*left=*/false, proto::ON_ERROR_SKIP), {});
  Sinks sinks = MustRun(&job, {{0, 0, {"1|1|a", "1|20|b", "1|-1|c", "1|2|d"}}});
  EXPECT_EQ(AllRows(sinks), (std::vector<std::string>{"+1 a|1|1", "+1 d|1|1", "+1 d|2|2"}));
  EXPECT_EQ(job.skipped().records, 2);
  LocalJob failing(ExpandedPlan(/*left=*/false), {});
  EXPECT_EQ(failing.RunBatch({{0, 0, {"1|1|a", "1|-1|c"}}}).status().message(),
            "table \"rows\", record p0@1: negative");
}

TEST(TableFunctionTest, ARowThatTheSinkRefusesDropsTheWholeRecord) {
  LocalJob job(ExpandedPlan(/*left=*/false, proto::ON_ERROR_SKIP), {});
  job.Refuse({"+1 b|2|2"});
  EXPECT_EQ(AllRows(MustRun(&job, {{0, 0, {"1|1|a", "1|3|b", "1|2|d"}}})),
            (std::vector<std::string>{"+1 a|1|1", "+1 d|1|1", "+1 d|2|2"}));
  EXPECT_EQ(job.skipped().records, 1);
}

// repeat(v), repeat(1) in FROM, then an error in one of the rows of a record.
void WriteExpandedTwice(const plan::Stream& rows) {
  rows.TableFunction("repeat", {Col("v")}, {.keep = {"t"}})
      .TableFunction("repeat", {Int64(1)}, {.keep = {"t", "n"}, .names = {"m"}})
      .Project({Col("t"), Call("checked", {Col("n")})})
      .WriteTo({.table = "expanded"});
}

TEST(TableFunctionTest, AnErrorDropsARecordOfMoreRowsThanASlice) {
  LocalJob job(RowsPlan(WriteExpandedTwice, proto::ON_ERROR_SKIP), {});
  EXPECT_EQ(AllRows(MustRun(&job, {{0, 0, {"1|1|a", "1|100000|b", "1|2|d"}}})),
            (std::vector<std::string>{"+1 a|1", "+1 d|1", "+1 d|2"}));
  EXPECT_EQ(job.skipped().records, 1);
}

}  // namespace
}  // namespace millrace::executor
