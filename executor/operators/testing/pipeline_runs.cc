#include "executor/operators/testing/pipeline_runs.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "gtest/gtest.h"
#include "plan/builder/testing/must_build.h"

namespace millrace {
namespace {

const std::vector<LocalJob::Variation> kVariations = {
    {.chunk_rows = 1000},
    {.chunk_rows = 1},
    {.chunk_rows = 7, .shuffle = true, .seed = 1},
    {.chunk_rows = 1000, .shuffle = true, .seed = 2},
    {.chunk_rows = 3, .shuffle = true, .seed = 3}};

std::string Print(const Sinks& sinks) {
  std::string out;
  for (const auto& [sink, lines] : sinks) {
    absl::StrAppend(&out, "sink ", sink.first, " shard ", sink.second, ":\n  ",
                    absl::StrJoin(lines, "\n  "), "\n");
  }
  return out;
}

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

}  // namespace

Sinks MustRun(LocalJob* job, const Splits& splits) {
  absl::StatusOr<Sinks> sinks = job->RunBatch(splits);
  EXPECT_TRUE(sinks.ok()) << sinks.status();
  return sinks.ok() ? *sinks : Sinks();
}

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

proto::JobPlan RowsPlan(absl::FunctionRef<void(const plan::Stream& rows)> use,
                        proto::OnError on_error) {
  plan::PlanBuilder job(TestRegistry(), {.parallelism = 2, .key_groups = 64});
  use(job.Read({.table = "rows",
                .columns = {{"k", plan::kNumeric}, {"v", plan::kInt64}, {"t", plan::kText}},
                .on_error = on_error}));
  return plan::MustBuild(job);
}

void WriteChecked(const plan::Stream& rows) {
  rows.Project({plan::Call("checked", {plan::Col("v")})}).WriteTo({.table = "checked"});
}

proto::JobPlan GroupedPlan(const std::vector<plan::AggregateExpression>& aggregates,
                           const GroupedOptions& options) {
  std::vector<plan::Expression> keys;
  if (options.keyed) {
    keys.push_back(plan::Col("k"));
  }
  return RowsPlan(
      [&](const plan::Stream& rows) {
        rows.GroupBy(keys, aggregates, {.per_batch = options.per_batch})
            .WriteTo({.table = "groups"});
      },
      options.on_error);
}

proto::JobPlan RowsPlan(const std::string& stages, bool skip) {
  return ParsePlan(
      absl::StrCat(absl::StrReplaceAll(
                       kRowsSource, {{": ON_ERROR", skip ? ": ON_ERROR_SKIP" : ": ON_ERROR_FAIL"}}),
                   stages));
}

const char kCheckedRows[] = R"pb(
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

proto::JobPlan GroupedPlan(const std::string& aggregates, const std::string& flags, bool keyed,
                           bool skip) {
  std::string text = absl::StrReplaceAll(
      kGrouped,
      {{"WRITE_KEYS", keyed ? "keys: 0" : ""},
       {"FINAL_KEYS", keyed ? "key_count: 1 keys { name: \"k\" type { kind: TYPE_NUMERIC } }" : ""},
       {"KEYS", keyed ? "keys { type { kind: TYPE_NUMERIC } column: 0 }" : ""},
       {"AGGREGATES", aggregates},
       {"FLAGS", flags}});
  return RowsPlan(text, skip);
}

const char kCount[] = "aggregates { function: \"count\" result { kind: TYPE_INT64 } }";

}  // namespace millrace
