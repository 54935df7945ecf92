// A set-returning function in FROM: joins each input row with the rows that the function returns
// for it.
#ifndef MILLRACE_EXECUTOR_OPERATORS_STATELESS_TABLE_FUNCTION_H_
#define MILLRACE_EXECUTOR_OPERATORS_STATELESS_TABLE_FUNCTION_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "common/expr/expr_evaluator.h"
#include "common/expr/function_registry.h"
#include "executor/operators/operator.h"
#include "proto/plan.pb.h"

namespace millrace::executor {

class TableFunction : public Operator {
 public:
  static absl::StatusOr<std::unique_ptr<TableFunction>> Create(uint32_t id, StageContext* context,
                                                               const proto::TableFunction& plan,
                                                               const FunctionRegistry& registry);

 protected:
  absl::Status Process(const Batch& batch) override;

 private:
  using Operator::Operator;

  // An argument: an expression, or its value if that is the same for all rows.
  struct Arg {
    std::unique_ptr<ExprEvaluator> expr;
    ColumnPtr constant;
  };
  // What the function returned for some rows: for each output row, its parent and its row in
  // `columns`.
  struct Result {
    std::vector<uint32_t> parents;
    std::vector<ColumnPtr> columns;
  };

  // The number of selected rows that are processed together, from the `begin`-th on.
  size_t SliceLength(const Batch& batch, size_t begin) const;
  absl::Status EvaluateArgs(Batch* batch, std::vector<FunctionArg>* args);
  absl::Status ProcessSlice(const Batch& batch, const std::vector<FunctionArg>& args, Batch* slice);
  // Calls the kernel for the slice's rows, without the rows for which it fails and, if it is
  // strict, those with a NULL argument.
  absl::Status Call(const std::vector<FunctionArg>& args, Batch* slice, Result* result);
  // LEFT JOIN: adds a row of NULLs for each row of `slice` that has none.
  void AddMissing(const Batch& slice, Result* result) const;
  Batch Join(const Batch& slice, Result result) const;

  const TableFunctionDef* function_ = nullptr;
  std::shared_ptr<const FunctionState> state_;
  std::vector<Arg> args_;
  std::vector<uint32_t> kept_;
  std::vector<SqlType> column_types_;  // of the function's columns and the ordinality
  bool with_ordinality_ = false;
  bool left_ = false;
  // Adapted so that a slice gives about kOutputRows; of one record it may be more.
  size_t slice_rows_ = 1024;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_OPERATORS_STATELESS_TABLE_FUNCTION_H_
