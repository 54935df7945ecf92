// Records that fail, in a projection or in a table function, and what on_error does with them.
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "executor/operators/testing/local_job.h"
#include "executor/operators/testing/pipeline_runs.h"
#include "gtest/gtest.h"

namespace millrace {
namespace {

TEST(RowErrorTest, FailNamesTableAndRecord) {
  LocalJob job(RowsPlan(kCheckedRows), {});
  absl::Status status = job.RunBatch({{0, 4, {"1|1|a", "1|13|a", "1|13|a"}}}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "table \"rows\", record p4@1: unlucky");
  // The pipeline can be used again.
  EXPECT_EQ(AllRows(MustRun(&job, {{0, 4, {"1|2|a"}}})), std::vector<std::string>{"+1 2"});
}

TEST(RowErrorTest, SkipDropsAndCounts) {
  LocalJob job(RowsPlan(kCheckedRows, true), {});
  EXPECT_EQ(AllRows(MustRun(&job, {{0, 0, {"1|1|a", "1|13|a", "1|3|a"}}, {0, 1, {"1|13|b"}}})),
            (std::vector<std::string>{"+1 1", "+1 3"}));
  EXPECT_EQ(job.skipped().records, 2);
  EXPECT_EQ(job.skipped().first_error, "table \"rows\", record p0@1: unlucky");
}

TEST(RowErrorTest, TableLeavesOutAndTellsEachRecordOnce) {
  // Two branches that fail on the same record, and a record that could not be decoded.
  proto::JobPlan plan = RowsPlan(kCheckedRows);
  plan.mutable_sources(0)->set_on_error(proto::ON_ERROR_TABLE);
  proto::Stage* stage = plan.mutable_stages(0);
  for (int i = 0; i < 2; ++i) {
    proto::Operator* copy = stage->add_operators();
    *copy = stage->operators(i);
    copy->set_id(copy->id() + 2);
    if (copy->inputs_size() > 0) {
      copy->set_inputs(0, copy->inputs(0) + 2);
    }
  }
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
  LocalJob skipping(RowsPlan(kCheckedRows, true), {});
  EXPECT_EQ(AllRows(MustRun(&skipping, {split})), (std::vector<std::string>{"+1 1", "+1 3"}));
  EXPECT_EQ(skipping.skipped().records, 1);
  LocalJob failing(RowsPlan(kCheckedRows), {});
  EXPECT_EQ(failing.RunBatch({split}).status().message(), "table \"rows\", record p0@1: no JSON");
}

TEST(RowErrorTest, ARowThatTheSinkRefusesFollowsOnError) {
  for (const proto::OnError on_error :
       {proto::ON_ERROR_FAIL, proto::ON_ERROR_SKIP, proto::ON_ERROR_TABLE}) {
    proto::JobPlan plan = RowsPlan(kCheckedRows);
    plan.mutable_sources(0)->set_on_error(on_error);
    auto pipeline = SourcePipeline::Create(plan, 0, TestRegistry());
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
  for (const bool skip : {false, true}) {
    LocalJob job(GroupedPlan(kCount, "", true, skip), {});
    job.Refuse({"+1 2|1"});
    const auto sinks = job.RunBatch({{0, 0, {"1|1|a", "2|2|a"}}});
    if (!skip) {
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
constexpr char kKeyed[] = R"pb(
  stages {
    id: 0
    source: 0
    operators {
      id: 1
      output { name: "k" }
      output { name: "v" }
      output { name: "t" }
      not_null { columns: 2 table: "latest" }
    }
    operators {
      id: 2
      inputs: 1
      sink_write { sink: 0 }
    }
  }
  sinks { table: "latest" }
)pb";

TEST(RowErrorTest, NullInAPrimaryKeyIsAnErrorOfTheRecord) {
  LocalJob failing(RowsPlan(kKeyed), {});
  const absl::Status status = failing.RunBatch({{0, 0, {"1|1|a", "1|2|NULL"}}}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StartsWith(status.message(),
                               "table \"rows\", record p0@1: null value in column \"t\" of "
                               "table \"latest\""))
      << status;
  LocalJob skipping(RowsPlan(kKeyed, true), {});
  EXPECT_EQ(AllRows(MustRun(&skipping, {{0, 0, {"1|1|a", "1|2|NULL", "NULL|NULL|b"}}})),
            (std::vector<std::string>{"+1 1|1|a", "+1 NULL|NULL|b"}));
  EXPECT_EQ(skipping.skipped().records, 1);
}

// repeat(v) in FROM, then an error in one of the rows of a record.
constexpr char kExpanded[] = R"pb(
  stages {
    id: 0
    source: 0
    operators {
      id: 1
      table_function {
        function: "repeat"
        args {
          type { kind: TYPE_INT64 }
          column: 1
        }
        kept: 2
        columns {
          name: "n"
          type { kind: TYPE_INT64 }
        }
        with_ordinality: true
        left: LEFT
      }
    }
    operators {
      id: 2
      inputs: 1
      project {
        exprs {
          type { kind: TYPE_TEXT }
          column: 0
        }
        exprs {
          type { kind: TYPE_INT64 }
          call {
            function: "checked"
            args {
              type { kind: TYPE_INT64 }
              column: 1
            }
          }
        }
        exprs {
          type { kind: TYPE_INT64 }
          column: 2
        }
      }
    }
    operators {
      id: 3
      inputs: 2
      sink_write { sink: 0 }
    }
  }
)pb";

TEST(TableFunctionTest, JoinsRowsWithWhatTheFunctionReturns) {
  for (bool left : {false, true}) {
    LocalJob job(RowsPlan(absl::StrReplaceAll(kExpanded, {{"LEFT", left ? "true" : "false"}})), {});
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
  LocalJob job(RowsPlan(absl::StrReplaceAll(kExpanded, {{"LEFT", "false"}}), true), {});
  Sinks sinks = MustRun(&job, {{0, 0, {"1|1|a", "1|20|b", "1|-1|c", "1|2|d"}}});
  EXPECT_EQ(AllRows(sinks), (std::vector<std::string>{"+1 a|1|1", "+1 d|1|1", "+1 d|2|2"}));
  EXPECT_EQ(job.skipped().records, 2);
  LocalJob failing(RowsPlan(absl::StrReplaceAll(kExpanded, {{"LEFT", "false"}})), {});
  EXPECT_EQ(failing.RunBatch({{0, 0, {"1|1|a", "1|-1|c"}}}).status().message(),
            "table \"rows\", record p0@1: negative");
}

TEST(TableFunctionTest, ARowThatTheSinkRefusesDropsTheWholeRecord) {
  LocalJob job(RowsPlan(absl::StrReplaceAll(kExpanded, {{"LEFT", "false"}}), true), {});
  job.Refuse({"+1 b|2|2"});
  EXPECT_EQ(AllRows(MustRun(&job, {{0, 0, {"1|1|a", "1|3|b", "1|2|d"}}})),
            (std::vector<std::string>{"+1 a|1|1", "+1 d|1|1", "+1 d|2|2"}));
  EXPECT_EQ(job.skipped().records, 1);
}

// repeat(v), repeat(1) in FROM, then an error in one of the rows of a record.
constexpr char kExpandedTwice[] = R"pb(
  stages {
    id: 0
    source: 0
    operators {
      id: 1
      table_function {
        function: "repeat"
        args {
          type { kind: TYPE_INT64 }
          column: 1
        }
        kept: 2
        columns {
          name: "n"
          type { kind: TYPE_INT64 }
        }
      }
    }
    operators {
      id: 2
      inputs: 1
      table_function {
        function: "repeat"
        args {
          type { kind: TYPE_INT64 }
          literal { text: "1" }
        }
        kept: 0
        kept: 1
        columns {
          name: "m"
          type { kind: TYPE_INT64 }
        }
      }
    }
    operators {
      id: 3
      inputs: 2
      project {
        exprs {
          type { kind: TYPE_TEXT }
          column: 0
        }
        exprs {
          type { kind: TYPE_INT64 }
          call {
            function: "checked"
            args {
              type { kind: TYPE_INT64 }
              column: 1
            }
          }
        }
      }
    }
    operators {
      id: 4
      inputs: 3
      sink_write { sink: 0 }
    }
  }
)pb";

TEST(TableFunctionTest, AnErrorDropsARecordOfMoreRowsThanASlice) {
  LocalJob job(RowsPlan(kExpandedTwice, true), {});
  EXPECT_EQ(AllRows(MustRun(&job, {{0, 0, {"1|1|a", "1|100000|b", "1|2|d"}}})),
            (std::vector<std::string>{"+1 a|1", "+1 d|1", "+1 d|2"}));
  EXPECT_EQ(job.skipped().records, 1);
}

}  // namespace
}  // namespace millrace
