#include "executor/operators/testing/pipeline_runs.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "plan/builder/testing/must_build.h"

namespace millrace::executor {
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

}  // namespace millrace::executor
