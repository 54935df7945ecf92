#include "executor/operators/testing/keyed_jobs.h"

#include <algorithm>

#include "common/base/check.h"
#include "common/config/settings.h"
#include "gtest/gtest.h"
#include "plan/builder/plan_builder.h"
#include "plan/builder/testing/must_build.h"

namespace millrace::executor {

using plan::Avg;
using plan::Col;
using plan::Count;
using plan::kInt64;
using plan::kNumeric;
using plan::kText;
using plan::Max;
using plan::Min;
using plan::StringAgg;
using plan::Sum;
using plan::Text;

proto::JobPlan KeyedPlan(const std::string& state_ttl, bool ordered, uint32_t shards) {
  JobSettings settings{.parallelism = shards, .key_groups = 64};
  const absl::Status set = settings.Set("state_ttl", state_ttl);
  MILLRACE_CHECK(set.ok()) << set;
  plan::PlanBuilder job(TestRegistry(), settings);
  std::vector<plan::AggregateExpression> aggregates = {Count(), Sum(Col("v")), Min(Col("t")),
                                                       Max(Col("v"))};
  if (ordered) {
    aggregates.push_back(StringAgg(Col("t"), Text(",")));
  }
  const plan::Stream by_key =
      job.Read({.table = "rows", .columns = {{"k", kNumeric}, {"v", kNumeric}, {"t", kText}}})
          .GroupBy({Col("k")}, aggregates, {.name = "by_key"});
  by_key.WriteTo({.table = "by_key"});
  by_key
      .GroupBy({Col("sum")}, {Count(), Min(Col("min")), Max(Col("max")), Avg(Col("count"))},
               {.name = "by_sum"})
      .WriteTo({.table = "by_sum"});
  by_key.GroupBy({}, {Count(), Sum(Col("count"))}, {.name = "total"}).WriteTo({.table = "total"});
  return MustBuild(job);
}

proto::JobPlan MaximaPlan() {
  plan::PlanBuilder job(TestRegistry(),
                        {.parallelism = 2, .key_groups = 64, .state_ttl = absl::Seconds(1)});
  job.Read({.table = "rows", .columns = {{"k", kInt64}, {"v", kInt64}}})
      .GroupBy({Col("k")}, {Max(Col("v"))}, {.name = "by_key"})
      .GroupBy({Col("max")}, {Count()}, {.name = "by_max"})
      .WriteTo({.table = "maxima"});
  return MustBuild(job);
}

std::vector<std::string> SinkRows(LocalJob* job, const std::vector<LocalJob::Split>& splits) {
  auto sinks = job->RunBatch(splits);
  EXPECT_TRUE(sinks.ok()) << sinks.status();
  std::vector<std::string> rows;
  for (const auto& [sink, lines] : *sinks) {
    if (sink.first == 0) {
      rows.insert(rows.end(), lines.begin(), lines.end());
    }
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

size_t EntryCount(const LocalJob::StateLayer& layer, int64_t weight) {
  size_t count = 0;
  for (const auto& [stage, blocks] : layer) {
    for (const StateBlock& block : blocks) {
      block.rows.rows().ForEach(
          [&](uint32_t row) { count += block.rows.weight(row) == weight ? 1 : 0; });
    }
  }
  return count;
}

LocalJob::StateLayer TakeAll(LocalJob* job, bool full) {
  job->BeginSnapshot(full);
  while (!job->ContinueSnapshot(1000)) {
  }
  return job->TakeSnapshot();
}

}  // namespace millrace::executor
