// Helpers for tests of pipelines over LocalJob, and plans over a small table.
#ifndef MILLRACE_EXECUTOR_OPERATORS_TESTING_PIPELINE_RUNS_H_
#define MILLRACE_EXECUTOR_OPERATORS_TESTING_PIPELINE_RUNS_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "executor/operators/testing/local_job.h"
#include "plan/builder/plan_builder.h"
#include "proto/plan.pb.h"

namespace millrace::executor {

using Sinks = std::map<std::pair<uint32_t, uint32_t>, std::vector<std::string>>;
using Splits = std::vector<LocalJob::Split>;

// Runs a batch that must succeed.
Sinks MustRun(LocalJob* job, const Splits& splits);

// Runs `batches` under every variation, expects the same bytes each time, and returns the output of
// each batch.
std::vector<Sinks> RunEveryWay(const proto::JobPlan& plan, const std::vector<Splits>& batches);

// The rows of all sinks and shards, in their order.
std::vector<std::string> AllRows(const Sinks& sinks);
std::vector<std::string> Sorted(std::vector<std::string> rows);

// What becomes of the table "rows" (k numeric, v bigint, t text), with 64 key groups in two shards.
proto::JobPlan RowsPlan(absl::FunctionRef<void(const plan::Stream& rows)> use,
                        proto::OnError on_error = proto::ON_ERROR_FAIL);

// Writes checked(v), which fails for 13.
void WriteChecked(const plan::Stream& rows);

struct GroupedOptions {
  bool keyed = true;  // GROUP BY k; else one group
  bool per_batch = false;
  proto::OnError on_error = proto::ON_ERROR_FAIL;
};
// The aggregates over the rows of RowsPlan.
proto::JobPlan GroupedPlan(const std::vector<plan::AggregateExpression>& aggregates,
                           const GroupedOptions& options = {});

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_OPERATORS_TESTING_PIPELINE_RUNS_H_
