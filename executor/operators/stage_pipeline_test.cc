// Whole plans over random input, compared with plain loops, for any chunks, placement and order of
// arrival.
#include "executor/operators/stage_pipeline.h"

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "executor/operators/testing/local_job.h"
#include "executor/operators/testing/pipeline_runs.h"
#include "gtest/gtest.h"
#include "plan/builder/plan_builder.h"
#include "plan/builder/testing/must_build.h"

namespace millrace::executor {
namespace {

using plan::Call;
using plan::Col;
using plan::Count;
using plan::Max;
using plan::Min;
using plan::Sum;

// Counts words of lines; `use` says what becomes of the counts (word text, count bigint).
proto::JobPlan WordCountPlan(absl::FunctionRef<void(const plan::Stream& counts)> use,
                             const plan::GroupByOptions& options = {}) {
  plan::PlanBuilder job(TestRegistry(), {.parallelism = 3, .key_groups = 64});
  use(job.Read({.table = "lines", .columns = {{"value", plan::kText}}})
          .TableFunction("split_words", {Col("value")})
          .GroupBy({Col("word")}, {Count()}, options));
  return MustBuild(job);
}

void Write(const plan::Stream& rows) { rows.WriteTo({.table = "out"}); }

// Lines of up to six words, short ones and one longer than a text view holds inside.
std::vector<Splits> RandomLines(int batches, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<Splits> out;
  for (int batch = 0; batch < batches; ++batch) {
    Splits splits;
    for (uint32_t ordinal = 0; ordinal < 3; ++ordinal) {
      LocalJob::Split split{0, ordinal, {}};
      for (int line = 0; line < 15; ++line) {
        std::string text;
        for (uint32_t words = random() % 7; words > 0; --words) {
          uint32_t number = random() % 40;
          absl::StrAppend(&text, number % 5 == 0 ? "a-word-longer-than-twelve-bytes-" : "w", number,
                          " ");
        }
        split.rows.push_back(text);
      }
      splits.push_back(std::move(split));
    }
    out.push_back(std::move(splits));
  }
  return out;
}

void CountWords(const Splits& splits, std::map<std::string, int64_t>* counts) {
  for (const LocalJob::Split& split : splits) {
    for (const std::string& line : split.rows) {
      for (absl::string_view word : absl::StrSplit(line, ' ', absl::SkipEmpty())) {
        ++(*counts)[std::string(word)];
      }
    }
  }
}

TEST(StagePipelineTest, RunningWordCountEmitsWhatChanged) {
  std::vector<Splits> batches = RandomLines(6, 5);
  std::vector<Sinks> results = RunEveryWay(WordCountPlan(Write), batches);
  ChangedTable table;
  std::map<std::string, int64_t> counts;
  for (size_t i = 0; i < batches.size(); ++i) {
    CountWords(batches[i], &counts);
    table.Apply(results[i]);
    std::vector<std::string> expected;
    expected.reserve(counts.size());
    for (const auto& [word, count] : counts) {
      expected.push_back(absl::StrCat(word, "|", count));
    }
    EXPECT_EQ(table.Rows(), Sorted(expected)) << "batch " << i;
  }
}

TEST(StagePipelineTest, PerBatchWordCountStartsAnew) {
  std::vector<Splits> batches = RandomLines(4, 6);
  batches.push_back({});
  std::vector<Sinks> results = RunEveryWay(WordCountPlan(Write, {.per_batch = true}), batches);
  for (size_t i = 0; i < batches.size(); ++i) {
    std::map<std::string, int64_t> counts;
    CountWords(batches[i], &counts);
    std::vector<std::string> expected;
    expected.reserve(counts.size());
    for (const auto& [word, count] : counts) {
      expected.push_back(absl::StrCat("+1 ", word, "|", count));
    }
    EXPECT_EQ(Sorted(AllRows(results[i])), Sorted(expected)) << "batch " << i;
  }
}

TEST(StagePipelineTest, PlacementDoesNotChangeRows) {
  std::vector<Splits> batches = RandomLines(3, 8);
  std::vector<std::string> expected;
  for (uint32_t shards : {1u, 2u, 5u}) {
    proto::JobPlan plan = WordCountPlan(Write);
    plan.set_parallelism(shards);
    std::vector<std::string> rows;
    LocalJob job(plan, {});
    for (const Splits& splits : batches) {
      // Rows come in order of key groups, of which each shard has a contiguous range.
      for (const std::string& row : AllRows(MustRun(&job, splits))) {
        rows.push_back(row);
      }
    }
    expected = expected.empty() ? rows : expected;
    EXPECT_EQ(rows, expected) << shards << " shards";
  }
}

// How many words have each count, with least and greatest word: an aggregate over one that
// retracts.
void WriteHistogram(const plan::Stream& counts) {
  Write(counts.GroupBy({Col("count")}, {Count().As("words"), Min(Col("word")), Max(Col("word")),
                                        Sum(Col("count")).Where(Call("is_even", {Col("count")}))}));
}

TEST(StagePipelineTest, AggregateOverAggregateFollowsRetractions) {
  std::vector<Splits> batches = RandomLines(8, 9);
  proto::JobPlan plan = WordCountPlan(WriteHistogram);
  std::vector<Sinks> results = RunEveryWay(plan, batches);
  ChangedTable table;
  std::map<std::string, int64_t> counts;
  size_t groups = 0;
  for (size_t i = 0; i < batches.size(); ++i) {
    CountWords(batches[i], &counts);
    std::map<int64_t, std::set<std::string>> words;
    for (const auto& [word, count] : counts) {
      words[count].insert(word);
    }
    std::vector<std::string> expected;
    for (const auto& [count, of_count] : words) {
      auto size = static_cast<int64_t>(of_count.size());
      expected.push_back(absl::StrCat(count, "|", size, "|", *of_count.begin(), "|",
                                      *of_count.rbegin(), "|",
                                      count % 2 == 0 ? absl::StrCat(count * size) : "NULL"));
    }
    table.Apply(results[i]);
    ASSERT_EQ(table.Rows(), Sorted(expected)) << "batch " << i;
    groups = counts.size() + words.size();
  }
  // Groups whose rows have all been taken back are gone.
  LocalJob job(plan, {});
  for (const Splits& splits : batches) {
    MustRun(&job, splits);
  }
  EXPECT_EQ(job.state_rows(), static_cast<int64_t>(groups));
}

// HAVING is_even(count), then an upsert of count by word: in the same stage, or behind an exchange
// of its own.
void UpsertInPlace(const plan::Stream& counts) {
  Write(counts.Filter(Call("is_even", {Col("count")})).Consolidate({"word"}));
}

void UpsertBehindExchange(const plan::Stream& counts, bool upsert) {
  Write(counts.Filter(Call("is_even", {Col("count")}))
            .Project({Col("count"), Col("word")})
            .Exchange({"word"})
            .Consolidate({"word"}, upsert));
}

// Applies changes as an upsert sink does: it holds the last row per word.
void ApplyUpserts(const Sinks& sinks, bool word_first, std::map<std::string, std::string>* table) {
  std::set<std::string> seen;
  for (const std::string& line : AllRows(sinks)) {
    std::vector<std::string> values = absl::StrSplit(line.substr(3), '|');
    const std::string& word = values[word_first ? 0 : 1];
    const std::string& count = values[word_first ? 1 : 0];
    EXPECT_TRUE(seen.insert(word).second) << "two records for " << word;
    if (line[0] == '-') {
      EXPECT_EQ((*table)[word], count);
      table->erase(word);
    } else {
      (*table)[word] = count;
    }
  }
}

TEST(StagePipelineTest, UpsertSinkGetsAtMostOneRecordPerKeyAndBatch) {
  std::vector<Splits> batches = RandomLines(8, 10);
  for (bool in_place : {true, false}) {
    const proto::JobPlan plan = WordCountPlan([&](const plan::Stream& counts) {
      in_place ? UpsertInPlace(counts) : UpsertBehindExchange(counts, /*upsert=*/true);
    });
    std::vector<Sinks> results = RunEveryWay(plan, batches);
    std::map<std::string, std::string> table;
    std::map<std::string, int64_t> counts;
    for (size_t i = 0; i < batches.size(); ++i) {
      CountWords(batches[i], &counts);
      std::map<std::string, std::string> expected;
      for (const auto& [word, count] : counts) {
        if (count % 2 == 0) {
          expected[word] = absl::StrCat(count);
        }
      }
      ApplyUpserts(results[i], in_place, &table);
      ASSERT_EQ(table, expected) << "batch " << i;
    }
  }
}

TEST(StagePipelineTest, ConsolidationWithoutUpsertKeepsTheDelete) {
  const proto::JobPlan plan = WordCountPlan(
      [](const plan::Stream& counts) { UpsertBehindExchange(counts, /*upsert=*/false); });
  LocalJob job(plan, {});
  EXPECT_EQ(AllRows(MustRun(&job, {{0, 0, {"a a"}}})), std::vector<std::string>{"+1 2|a"});
  EXPECT_EQ(AllRows(MustRun(&job, {{0, 0, {"a a"}}})),
            (std::vector<std::string>{"-1 2|a", "+1 4|a"}));
  EXPECT_EQ(AllRows(MustRun(&job, {{0, 0, {"a"}}})), std::vector<std::string>{"-1 4|a"});
}

// ---- plans that cannot be built ----

TEST(StagePipelineTest, PlansItCannotRunAreRefusedByOperator) {
  proto::JobPlan unknown = RowsPlan(WriteChecked);
  proto::Project* project = unknown.mutable_stages(0)->mutable_operators(0)->mutable_project();
  project->mutable_exprs(0)->mutable_call()->set_function("unheard_of");
  EXPECT_NE(SourcePipeline::Create(unknown, 0, TestRegistry())
                .status()
                .message()
                .find("operator 1 of stage 0"),
            absl::string_view::npos);
  proto::JobPlan empty_kind = RowsPlan(WriteChecked);
  empty_kind.mutable_stages(0)->mutable_operators(0)->clear_kind();
  EXPECT_EQ(SourcePipeline::Create(empty_kind, 0, TestRegistry()).status().code(),
            absl::StatusCode::kUnimplemented);
  EXPECT_FALSE(SourcePipeline::Create(empty_kind, 1, TestRegistry()).ok());
  EXPECT_FALSE(KeyedPipeline::Create(empty_kind, 0, 0, TestRegistry()).ok());
  // A final aggregate whose exchange is on other columns would find its groups on several shards.
  proto::JobPlan other_keys = GroupedPlan({Count()});
  other_keys.mutable_stages(0)->mutable_operators(1)->mutable_exchange_write()->clear_keys();
  EXPECT_EQ(KeyedPipeline::Create(other_keys, 1, 0, TestRegistry()).status().code(),
            absl::StatusCode::kInternal);
}

TEST(StagePipelineTest, CountsRowsPerOperator) {
  auto pipeline =
      SourcePipeline::Create(RowsPlan(WriteChecked, proto::ON_ERROR_SKIP), 0, TestRegistry());
  ASSERT_TRUE(pipeline.ok());
  RecordedOutputs outputs;
  (*pipeline)->BeginSplit(0, BatchId(1), 0, &outputs);
  Batch rows =
      MakeRows({MakeType(TypeId::kNumeric), MakeType(TypeId::kInt64), MakeType(TypeId::kText)},
               {"1|1|a", "1|13|a", "1|2|a"});
  ASSERT_TRUE((*pipeline)->Push(rows, {}, [](uint32_t) { return "r"; }).ok());
  ASSERT_TRUE((*pipeline)->EndSplit().ok());
  std::vector<OperatorStats> stats = (*pipeline)->Stats();
  ASSERT_EQ(stats.size(), 2u);
  EXPECT_EQ(stats[0].operator_id, 1u);
  EXPECT_EQ(stats[0].rows_in, 3);
  EXPECT_EQ(stats[0].rows_out, 2);
  EXPECT_EQ(stats[1].rows_in, 2);
}

}  // namespace
}  // namespace millrace::executor
