// A stage's operators, built from the plan and connected. Owned by a pipeline.
#ifndef MILLRACE_EXECUTOR_OPERATORS_COMPILED_STAGE_H_
#define MILLRACE_EXECUTOR_OPERATORS_COMPILED_STAGE_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "common/expr/function_registry.h"
#include "executor/operators/operator.h"
#include "executor/operators/stage_context.h"
#include "executor/state/snapshot/operator_state.h"
#include "proto/plan.pb.h"

namespace millrace::executor {

struct CompiledStage {
  std::vector<std::unique_ptr<Operator>> operators;  // inputs before their consumers
  std::vector<Operator*> roots;                      // take the stage's input
  std::vector<KeyedOperator*> keyed_roots;           // the roots that can take an exchange's blocks
  std::vector<OperatorState*> states;  // the states that outlive a batch; their names differ

  // In a keyed stage: numbers and names of the exchange's key columns.
  std::vector<uint32_t> input_keys;
  std::vector<std::string> input_key_names;

  // Builds stage `stage_id`; `context` outlives the result. INTERNAL or UNIMPLEMENTED name the
  // operator that cannot be built: the plan is of a newer engine, or has a shape that this
  // version's planner never makes.
  static absl::StatusOr<CompiledStage> Create(const proto::JobPlan& plan, uint32_t stage_id,
                                              StageContext* context,
                                              const FunctionRegistry& registry);

  std::vector<OperatorStats> Stats() const;
};

// The settings of a stage's context. Sources upstream decide whether its failed rows are skipped.
// INVALID_ARGUMENT for job settings that cannot be read.
absl::StatusOr<StageContext::Settings> StageSettings(const proto::JobPlan& plan, uint32_t stage_id,
                                                     uint32_t shard);

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_OPERATORS_COMPILED_STAGE_H_
