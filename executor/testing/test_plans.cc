#include "executor/testing/test_plans.h"

#include "absl/functional/function_ref.h"
#include "common/expr/function_registry.h"
#include "plan/builder/plan_builder.h"
#include "plan/builder/testing/must_build.h"

namespace millrace::executor {
namespace {

using plan::Col;
using plan::Count;
using plan::StringAgg;
using plan::Text;

JobSettings Settings(const TestPlanOptions& options) {
  return {.parallelism = options.parallelism, .key_groups = 64};
}

plan::Stream ReadLines(const TestPlanOptions& options, plan::PlanBuilder* job) {
  return job->Read({.table = "lines",
                    .connector = "test",
                    .columns = {{"line", plan::kText}},
                    .on_error = options.on_error});
}

void Write(const plan::Stream& rows, const std::string& table, const TestPlanOptions& options) {
  rows.WriteTo({.table = table, .connector = options.sink, .mode = proto::SINK_CHANGES});
}

// What becomes of the lines ends in the table "out".
proto::JobPlan LinesPlan(const TestPlanOptions& options,
                         absl::FunctionRef<plan::Stream(const plan::Stream& lines)> use) {
  plan::PlanBuilder job(FunctionRegistry::BuiltIn(), Settings(options));
  Write(use(ReadLines(options, &job)), "out", options);
  return MustBuild(job);
}

}  // namespace

proto::JobPlan CopyPlan(const TestPlanOptions& options) {
  return LinesPlan(options, [](const plan::Stream& lines) { return lines.Project({Col("line")}); });
}

proto::JobPlan TwoTablesPlan(const TestPlanOptions& options) {
  plan::PlanBuilder job(FunctionRegistry::BuiltIn(), Settings(options));
  const plan::Stream lines = ReadLines(options, &job).Project({Col("line")});
  Write(lines, "out", options);
  Write(lines.Exchange({"line"}).Project({Col("line")}), "keyed", options);
  return MustBuild(job);
}

proto::JobPlan WordCountPlan(const TestPlanOptions& options, bool per_batch) {
  return LinesPlan(options, [&](const plan::Stream& lines) {
    return lines.TableFunction("string_to_table", {Col("line"), Text(" ")}, {.names = {"word"}})
        .GroupBy({Col("word")}, {Count().As("result")}, {.per_batch = per_batch});
  });
}

proto::JobPlan JoinLinesPlan(const TestPlanOptions& options) {
  return LinesPlan(options, [](const plan::Stream& lines) {
    return lines.GroupBy({}, {StringAgg(Col("line"), Text(",")).As("result")}, {.per_batch = true});
  });
}

proto::JobPlan CountPlan(const TestPlanOptions& options) {
  return LinesPlan(
      options, [](const plan::Stream& lines) { return lines.GroupBy({}, {Count().As("result")}); });
}

proto::JobPlan ExchangePlan(const TestPlanOptions& options) {
  return LinesPlan(options, [](const plan::Stream& lines) {
    return lines.Project({Col("line")}).Exchange({"line"}).Project({Col("line")});
  });
}

}  // namespace millrace::executor
