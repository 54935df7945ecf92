// Whole plans over random input, against plain loops: whatever chunks, placement and order of
// arrival.
#include "executor/operators/stage_pipeline.h"

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "executor/operators/testing/local_job.h"
#include "gtest/gtest.h"

namespace millrace {
namespace {

using Sinks = std::map<std::pair<uint32_t, uint32_t>, std::vector<std::string>>;
using Splits = std::vector<LocalJob::Split>;

std::string Print(const Sinks& sinks) {
  std::string out;
  for (const auto& [sink, lines] : sinks) {
    absl::StrAppend(&out, "sink ", sink.first, " shard ", sink.second, ":\n  ",
                    absl::StrJoin(lines, "\n  "), "\n");
  }
  return out;
}

Sinks MustRun(LocalJob* job, const Splits& splits) {
  absl::StatusOr<Sinks> sinks = job->RunBatch(splits);
  EXPECT_TRUE(sinks.ok()) << sinks.status();
  return sinks.ok() ? *sinks : Sinks();
}

std::vector<std::string> AllRows(const Sinks& sinks) {
  std::vector<std::string> rows;
  for (const auto& [sink, lines] : sinks) {
    rows.insert(rows.end(), lines.begin(), lines.end());
  }
  return rows;
}

std::vector<std::string> Sorted(std::vector<std::string> rows) {
  std::sort(rows.begin(), rows.end());
  return rows;
}

const std::vector<LocalJob::Variation> kVariations = {
    {.chunk_rows = 1000},
    {.chunk_rows = 1},
    {.chunk_rows = 7, .shuffle = true, .seed = 1},
    {.chunk_rows = 1000, .shuffle = true, .seed = 2},
    {.chunk_rows = 3, .shuffle = true, .seed = 3}};

// Runs `batches` under every variation and expects the same bytes each time; returns what came of
// each batch.
std::vector<Sinks> RunEveryWay(const proto::JobPlan& plan, const std::vector<Splits>& batches) {
  std::vector<Sinks> first;
  for (const LocalJob::Variation& variation : kVariations) {
    LocalJob job(plan, variation);
    for (size_t i = 0; i < batches.size(); ++i) {
      Sinks sinks = MustRun(&job, batches[i]);
      if (first.size() <= i) {
        first.push_back(sinks);
      }
      EXPECT_EQ(Print(sinks), Print(first[i])) << "batch " << i << ", variation " << variation.seed;
    }
  }
  return first;
}

constexpr char kWords[] = R"pb(
  sources {
    table: "lines"
    columns {
      name: "value"
      type { kind: TYPE_TEXT }
    }
  }
  stages {
    id: 0
    source: 0
    operators {
      id: 1
      output {
        name: "word"
        type { kind: TYPE_TEXT }
      }
      table_function {
        function: "split_words"
        args {
          type { kind: TYPE_TEXT }
          column: 0
        }
        columns {
          name: "word"
          type { kind: TYPE_TEXT }
        }
      }
    }
    operators {
      id: 2
      inputs: 1
      output {
        name: "word"
        type { kind: TYPE_TEXT }
      }
      partial_aggregate {
        keys {
          type { kind: TYPE_TEXT }
          column: 0
        }
        aggregates {
          function: "count"
          result { kind: TYPE_INT64 }
        }
      }
    }
    operators {
      id: 3
      inputs: 2
      exchange_write { exchange: 0 keys: 0 }
    }
  }
  exchanges {
    id: 0
    columns {
      name: "word"
      type { kind: TYPE_TEXT }
    }
    columns {
      name: "count$0"
      type { kind: TYPE_INT64 }
    }
    columns {
      name: "weight$"
      type { kind: TYPE_INT64 }
    }
  }
  key_groups: 64
  parallelism: 3
)pb";

// `rest` follows the word count's final aggregate, operator 4 of stage 1; `per_batch` as in
// FinalAggregate.
proto::JobPlan WordCountPlan(const std::string& rest, bool per_batch) {
  std::string stage =
      absl::StrReplaceAll(R"pb(
                            stages { id: 1 exchange: 0
                                     operators {
                                       id: 4
                                       retracts: true
                                       output {
                                         name: "word"
                                         type { kind: TYPE_TEXT }
                                       }
                                       output {
                                         name: "count"
                                         type { kind: TYPE_INT64 }
                                       }
                                       final_aggregate {
                                         key_count: 1
                                         keys {
                                           name: "word"
                                           type { kind: TYPE_TEXT }
                                         }
                                         aggregates {
                                           function: "count"
                                           result { kind: TYPE_INT64 }
                                         }
                                         per_batch: PER_BATCH
                                       }
                                     } REST
                          )pb",
                          {{"PER_BATCH", per_batch ? "true" : "false"}, {"REST", rest}});
  return ParsePlan(absl::StrCat(kWords, stage));
}

constexpr char kToSink[] = "operators { id: 5 inputs: 4 sink_write { sink: 0 } } }";

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
  std::vector<Sinks> results = RunEveryWay(WordCountPlan(kToSink, false), batches);
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
  std::vector<Sinks> results = RunEveryWay(WordCountPlan(kToSink, true), batches);
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
    proto::JobPlan plan = WordCountPlan(kToSink, false);
    plan.set_parallelism(shards);
    std::vector<std::string> rows;
    LocalJob job(plan, {});
    for (const Splits& splits : batches) {
      // In order of key groups, which shards cut into contiguous ranges.
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
constexpr char kHistogram[] = R"pb(
  operators {
    id: 5
    inputs: 4
    output { name: "count" type { kind: TYPE_INT64 } }
    partial_aggregate {
      keys { type { kind: TYPE_INT64 } column: 1 }
      aggregates { function: "count" result { kind: TYPE_INT64 } }
      aggregates { function: "min" args { type { kind: TYPE_TEXT } column: 0 } result { kind: TYPE_TEXT } }
      aggregates { function: "max" args { type { kind: TYPE_TEXT } column: 0 } result { kind: TYPE_TEXT } }
      aggregates {
        function: "sum"
        args { type { kind: TYPE_INT64 } column: 1 }
        filter {
          type { kind: TYPE_BOOL }
          call { function: "is_even" args { type { kind: TYPE_INT64 } column: 1 } }
        }
        result { kind: TYPE_NUMERIC }
      }
      input_retracts: true
    }
  }
  operators { id: 6 inputs: 5 exchange_write { exchange: 1 keys: 0 } }
  }
    exchanges {
    id: 1
    columns { name: "count" type { kind: TYPE_INT64 } }
    retracts: true
  }
  stages {
    id: 2
    exchange: 1
    operators {
      id: 7
      final_aggregate {
        key_count: 1
        keys { name: "count" type { kind: TYPE_INT64 } }
        aggregates { function: "count" result { kind: TYPE_INT64 } }
        aggregates { function: "min" args { type { kind: TYPE_TEXT } } result { kind: TYPE_TEXT } }
        aggregates { function: "max" args { type { kind: TYPE_TEXT } } result { kind: TYPE_TEXT } }
        aggregates { function: "sum" args { type { kind: TYPE_INT64 } } result { kind: TYPE_NUMERIC } }
        input_retracts: true
      }
    }
    operators { id: 8 inputs: 7 sink_write { sink: 0 } }
  }
)pb";

TEST(StagePipelineTest, AggregateOverAggregateFollowsRetractions) {
  std::vector<Splits> batches = RandomLines(8, 9);
  proto::JobPlan plan = WordCountPlan(kHistogram, false);
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
constexpr char kUpsertInPlace[] = R"pb(
  operators {
    id: 5
    inputs: 4
    output { name: "word" type { kind: TYPE_TEXT } }
    output { name: "count" type { kind: TYPE_INT64 } }
    filter {
      predicate {
        type { kind: TYPE_BOOL }
        call { function: "is_even" args { type { kind: TYPE_INT64 } column: 1 } }
      }
    }
  }
  operators {
    id: 6
    inputs: 5
    consolidate { keys: 0 upsert: true }
  }
  operators { id: 7 inputs: 6 sink_write { sink: 0 } }
  }
)pb";

constexpr char kUpsertBehindExchange[] = R"pb(
  operators {
    id: 5
    inputs: 4
    filter {
      predicate {
        type { kind: TYPE_BOOL }
        call { function: "is_even" args { type { kind: TYPE_INT64 } column: 1 } }
      }
    }
  }
  operators {
    id: 6
    inputs: 5
    output { name: "count" type { kind: TYPE_INT64 } }
    output { name: "word" type { kind: TYPE_TEXT } }
    project {
      exprs { type { kind: TYPE_INT64 } column: 1 }
      exprs { type { kind: TYPE_TEXT } column: 0 }
    }
  }
  operators { id: 7 inputs: 6 exchange_write { exchange: 1 keys: 1 } }
  }
    exchanges {
    id: 1
    columns { name: "count" type { kind: TYPE_INT64 } }
    columns { name: "word" type { kind: TYPE_TEXT } }
  }
  stages {
    id: 2
    exchange: 1
    operators { id: 8 consolidate { keys: 1 upsert: UPSERT } }
    operators { id: 9 inputs: 8 sink_write { sink: 0 } }
  }
)pb";

// What an upsert sink holds: the last row per word.
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
  std::string behind = absl::StrReplaceAll(kUpsertBehindExchange, {{"UPSERT", "true"}});
  for (bool in_place : {true, false}) {
    std::vector<Sinks> results =
        RunEveryWay(WordCountPlan(in_place ? kUpsertInPlace : behind, false), batches);
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
  std::string behind = absl::StrReplaceAll(kUpsertBehindExchange, {{"UPSERT", "false"}});
  LocalJob job(WordCountPlan(behind, false), {});
  EXPECT_EQ(AllRows(MustRun(&job, {{0, 0, {"a a"}}})), std::vector<std::string>{"+1 2|a"});
  EXPECT_EQ(AllRows(MustRun(&job, {{0, 0, {"a a"}}})),
            (std::vector<std::string>{"-1 2|a", "+1 4|a"}));
  EXPECT_EQ(AllRows(MustRun(&job, {{0, 0, {"a"}}})), std::vector<std::string>{"-1 4|a"});
}

// ---- smaller plans over (k numeric, v bigint, t text) ----

constexpr char kRowsSource[] = R"pb(
  sources {
    table: "rows"
    columns {
      name: "k"
      type { kind: TYPE_NUMERIC }
    }
    columns {
      name: "v"
      type { kind: TYPE_INT64 }
    }
    columns {
      name: "t"
      type { kind: TYPE_TEXT }
    }
    on_error: ON_ERROR
  }
  key_groups: 64
  parallelism: 2
)pb";

proto::JobPlan RowsPlan(const std::string& stages, bool skip = false) {
  return ParsePlan(
      absl::StrCat(absl::StrReplaceAll(
                       kRowsSource, {{": ON_ERROR", skip ? ": ON_ERROR_SKIP" : ": ON_ERROR_FAIL"}}),
                   stages));
}

constexpr char kCheckedRows[] = R"pb(
  stages {
    id: 0
    source: 0
    operators {
      id: 1
      project {
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
      id: 2
      inputs: 1
      sink_write { sink: 0 }
    }
  }
)pb";

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

// GROUP BY k, with what stands for AGGREGATES and FLAGS.
constexpr char kGrouped[] = R"pb(
  stages {
    id: 0
    source: 0
    operators { id: 1 partial_aggregate { KEYS AGGREGATES } }
    operators {
      id: 2
      inputs: 1
      exchange_write { exchange: 0 WRITE_KEYS }
    }
  }
  exchanges {
    id: 0
    columns {
      name: "k"
      type { kind: TYPE_NUMERIC }
    }
  }
  stages {
    id: 1
    exchange: 0
    operators { id: 3 final_aggregate { FINAL_KEYS AGGREGATES FLAGS } }
    operators {
      id: 4
      inputs: 3
      sink_write { sink: 0 }
    }
  }
)pb";

proto::JobPlan GroupedPlan(const std::string& aggregates, const std::string& flags, bool keyed,
                           bool skip = false) {
  std::string text = absl::StrReplaceAll(
      kGrouped,
      {{"WRITE_KEYS", keyed ? "keys: 0" : ""},
       {"FINAL_KEYS", keyed ? "key_count: 1 keys { name: \"k\" type { kind: TYPE_NUMERIC } }" : ""},
       {"KEYS", keyed ? "keys { type { kind: TYPE_NUMERIC } column: 0 }" : ""},
       {"AGGREGATES", aggregates},
       {"FLAGS", flags}});
  return RowsPlan(text, skip);
}

constexpr char kCount[] = "aggregates { function: \"count\" result { kind: TYPE_INT64 } }";
constexpr char kSumOfK[] =
    "aggregates { function: \"sum\" args { type { kind: TYPE_NUMERIC } column: 0 } result { kind: "
    "TYPE_NUMERIC } }";
constexpr char kStringAgg[] =
    "aggregates { function: \"string_agg\" args { type { kind: TYPE_TEXT } column: 2 } "
    "args { type { kind: TYPE_TEXT } literal { text: \",\" } } result { kind: TYPE_TEXT } }";

TEST(AggregateStageTest, EqualKeysShowAsTheFirstRowHasThem) {
  std::vector<Splits> batches = {{{0, 0, {"2.0|1|a", "NULL|1|a"}},
                                  {0, 1, {"1.00|1|a", "2|1|a"}},
                                  {0, 2, {"1.0|1|a", "2.000|1|a", "NULL|1|b"}}},
                                 {{0, 0, {"1|1|a"}}}};
  std::vector<Sinks> results = RunEveryWay(GroupedPlan(kCount, "", true), batches);
  EXPECT_EQ(Sorted(AllRows(results[0])),
            (std::vector<std::string>{"+1 1.00|2", "+1 2.0|3", "+1 NULL|2"}));
  EXPECT_EQ(AllRows(results[1]), (std::vector<std::string>{"-1 1.00|2", "+1 1.00|3"}));
}

TEST(AggregateStageTest, DistinctIsGroupingWithoutAggregates) {
  std::vector<Splits> batches = {{{0, 0, {"1|1|a", "2|1|a", "1|1|a"}}},
                                 {{0, 1, {"2|1|a", "3|1|a"}}}};
  std::vector<Sinks> results = RunEveryWay(GroupedPlan("", "", true), batches);
  EXPECT_EQ(Sorted(AllRows(results[0])), (std::vector<std::string>{"+1 1", "+1 2"}));
  EXPECT_EQ(AllRows(results[1]), std::vector<std::string>{"+1 3"});
}

TEST(AggregateStageTest, OrderSensitiveAggregatesSeeSplitOrder) {
  std::vector<Splits> batches = {
      {{0, 0, {"1|1|a", "1|1|b", "2|1|x"}}, {0, 1, {"1|1|c"}}, {0, 2, {"2|1|y", "1|1|d"}}},
      {{0, 2, {"1|1|f"}}, {0, 1, {"1|1|e"}}}};
  std::vector<Sinks> results = RunEveryWay(GroupedPlan(kStringAgg, "", true), batches);
  EXPECT_EQ(Sorted(AllRows(results[0])), (std::vector<std::string>{"+1 1|a,b,c,d", "+1 2|x,y"}));
  EXPECT_EQ(AllRows(results[1]), (std::vector<std::string>{"-1 1|a,b,c,d", "+1 1|a,b,c,d,e,f"}));
}

TEST(AggregateStageTest, GlobalAggregateHasARowEvenOverNothing) {
  std::string aggregates = absl::StrCat(kCount, kSumOfK);
  std::vector<Splits> batches = {
      {}, {{0, 0, {"1.5|1|a"}}, {0, 1, {"2|1|a"}}}, {}, {{0, 1, {"NULL|1|a"}}}};
  std::vector<Sinks> results = RunEveryWay(GroupedPlan(aggregates, "global: true", false), batches);
  EXPECT_EQ(AllRows(results[0]), std::vector<std::string>{"+1 0|NULL"});
  EXPECT_EQ(AllRows(results[1]), (std::vector<std::string>{"-1 0|NULL", "+1 2|3.5"}));
  EXPECT_EQ(AllRows(results[2]), std::vector<std::string>());
  EXPECT_EQ(AllRows(results[3]), (std::vector<std::string>{"-1 2|3.5", "+1 3|3.5"}));
}

TEST(AggregateStageTest, PerBatchWithoutKeysHasARowPerBatchWithInput) {
  std::vector<Splits> batches = {{}, {{0, 0, {"1.5|1|a"}}}, {}, {{0, 1, {"2|1|a", "3|1|a"}}}};
  std::vector<Sinks> results = RunEveryWay(GroupedPlan(kCount, "per_batch: true", false), batches);
  EXPECT_EQ(AllRows(results[0]), std::vector<std::string>());
  EXPECT_EQ(AllRows(results[1]), std::vector<std::string>{"+1 1"});
  EXPECT_EQ(AllRows(results[2]), std::vector<std::string>());
  EXPECT_EQ(AllRows(results[3]), std::vector<std::string>{"+1 2"});
}

TEST(AggregateStageTest, AResultThatOverflowsNamesItsKeyOrIsSkipped) {
  std::string large = absl::StrCat("5", std::string(37, '0'));
  Splits splits = {{0, 0, {absl::StrCat(large, "|1|a"), "7|1|a"}},
                   {0, 1, {absl::StrCat(large, "|1|a")}}};
  LocalJob failing(GroupedPlan(kSumOfK, "", true), {});
  absl::Status status = failing.RunBatch(splits).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_NE(status.message().find(absl::StrCat("key (k = ", large, "): ")), absl::string_view::npos)
      << status;

  LocalJob skipping(GroupedPlan(kSumOfK, "", true, true), {});
  EXPECT_EQ(AllRows(MustRun(&skipping, splits)), std::vector<std::string>{"+1 7|7"});
  EXPECT_EQ(skipping.skipped().records, 1);
  // The good row of a key goes when its new one cannot be had.
  LocalJob later(GroupedPlan(kSumOfK, "", true, true), {});
  EXPECT_EQ(AllRows(MustRun(&later, {splits[0]})).size(), 2u);
  EXPECT_EQ(AllRows(MustRun(&later, {splits[1]})),
            std::vector<std::string>{absl::StrCat("-1 ", large, "|", large)});
}

TEST(AggregateStageTest, StateIsCountedWhileItOutlivesTheBatch) {
  LocalJob running(GroupedPlan(kCount, "", true), {});
  MustRun(&running, {{0, 0, {"1|1|a", "2|1|a", "NULL|1|a"}}});
  EXPECT_EQ(running.state_rows(), 3);
  LocalJob per_batch(GroupedPlan(kCount, "per_batch: true", true), {});
  MustRun(&per_batch, {{0, 0, {"1|1|a", "2|1|a"}}});
  EXPECT_EQ(per_batch.state_rows(), 0);
}

// ---- a keyed stage without an aggregate ----

constexpr char kUpsertRows[] = R"pb(
  stages {
    id: 0
    source: 0
    operators {
      id: 1
      exchange_write { exchange: 0 keys: 2 }
    }
  }
  exchanges {
    id: 0
    columns {
      name: "k"
      type { kind: TYPE_NUMERIC }
    }
    columns {
      name: "v"
      type { kind: TYPE_INT64 }
    }
    columns {
      name: "t"
      type { kind: TYPE_TEXT }
    }
  }
  stages { id: 1 exchange: 0 OPERATORS }
)pb";

TEST(ConsolidateTest, TwoLiveRowsOfAKeyAreAnErrorThatNamesIt) {
  proto::JobPlan plan = RowsPlan(
      absl::StrReplaceAll(kUpsertRows, {{"OPERATORS",
                                         "operators { id: 2 consolidate { keys: 2 upsert: true } } "
                                         "operators { id: 3 inputs: 2 sink_write { sink: 0 } }"}}));
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
  proto::JobPlan plan = RowsPlan(absl::StrReplaceAll(
      kUpsertRows, {{"OPERATORS", "operators { id: 2 sink_write { sink: 0 } }"}}));
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

// ---- plans that cannot be built ----

TEST(StagePipelineTest, PlansItCannotRunAreRefusedByOperator) {
  proto::JobPlan unknown = RowsPlan(absl::StrReplaceAll(kCheckedRows, {{"checked", "unheard_of"}}));
  EXPECT_NE(SourcePipeline::Create(unknown, 0, TestRegistry())
                .status()
                .message()
                .find("operator 1 of stage 0"),
            absl::string_view::npos);
  proto::JobPlan empty_kind = RowsPlan("stages { id: 0 source: 0 operators { id: 9 } }");
  EXPECT_EQ(SourcePipeline::Create(empty_kind, 0, TestRegistry()).status().code(),
            absl::StatusCode::kUnimplemented);
  EXPECT_FALSE(SourcePipeline::Create(empty_kind, 1, TestRegistry()).ok());
  EXPECT_FALSE(KeyedPipeline::Create(empty_kind, 0, 0, TestRegistry()).ok());
  // A final aggregate whose exchange is on other columns would find its groups on several shards.
  proto::JobPlan other_keys = GroupedPlan(kCount, "", true);
  other_keys.mutable_stages(0)->mutable_operators(1)->mutable_exchange_write()->clear_keys();
  EXPECT_EQ(KeyedPipeline::Create(other_keys, 1, 0, TestRegistry()).status().code(),
            absl::StatusCode::kInternal);
}

TEST(StagePipelineTest, CountsRowsPerOperator) {
  auto pipeline = SourcePipeline::Create(RowsPlan(kCheckedRows, true), 0, TestRegistry());
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
}  // namespace millrace
