// The first phase of GROUP BY: folds rows into a table of groups, within one split. Emits, in order
// of first touch: keys, the partial columns of each aggregate, and the group's weight (how many
// rows it stands for), with hashes of the keys.
//
// When the table grows large, it is emitted early. A group may then have several partial rows, but
// they add up to the same, so the result does not depend on when that happens.
#ifndef MILLRACE_EXECUTOR_OPERATORS_AGGREGATE_PARTIAL_AGGREGATE_H_
#define MILLRACE_EXECUTOR_OPERATORS_AGGREGATE_PARTIAL_AGGREGATE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/expr/expr_evaluator.h"
#include "executor/operators/aggregate/aggregate_layout.h"
#include "executor/operators/operator.h"
#include "executor/state/entries/group_table.h"
#include "proto/plan.pb.h"

namespace millrace::executor {

class PartialAggregate : public Operator {
 public:
  struct Limits {
    size_t groups = 64 << 10;
    size_t bytes = 32 << 20;
  };

  // `plan` is the operator of kind partial_aggregate.
  static absl::StatusOr<std::unique_ptr<PartialAggregate>> Create(const proto::Operator& plan,
                                                                  StageContext* context,
                                                                  const FunctionRegistry& registry,
                                                                  Limits limits);
  ~PartialAggregate() override;

  absl::Status Flush() override;
  void Reset() override;
  std::optional<std::vector<uint32_t>> HashedColumns() const override;

 protected:
  absl::Status Process(const Batch& batch) override;
  void AddStateStats(OperatorStats* stats) const override;

 private:
  struct Call {
    std::vector<std::unique_ptr<ExprEvaluator>> args;
    std::unique_ptr<ExprEvaluator> filter;  // null = all rows
    // For the present batch:
    std::vector<ColumnPtr> columns;
    std::vector<uint32_t> rows;     // rows that pass the filter
    std::vector<uint32_t> indexes;  // indexes of `rows` among the batch's rows
    std::vector<uint32_t> groups;
  };

  PartialAggregate(uint32_t id, StageContext* context, AggregateLayout layout,
                   std::vector<SqlType> key_types, Limits limits);

  void Evaluate(const Batch& batch);
  void EvaluateCall(const Batch& batch, Call* call);
  void FindGroups(const Batch& batch);
  void UpdateStates(const Batch& batch);
  absl::Status EmitGroups(uint32_t begin, uint32_t end);

  const AggregateLayout layout_;
  const Limits limits_;
  std::vector<std::unique_ptr<ExprEvaluator>> keys_;
  std::vector<std::string> key_names_;
  std::vector<Call> calls_;
  bool retracts_ = false;
  GroupTable table_;
  // Ordinal of each group's first row; empty in a source stage, where all groups are the split's.
  std::vector<uint32_t> ordinals_;
  // Of the batch in hand.
  std::vector<ColumnPtr> key_columns_;
  std::vector<uint64_t> hashes_;
  std::vector<uint32_t> groups_;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_OPERATORS_AGGREGATE_PARTIAL_AGGREGATE_H_
