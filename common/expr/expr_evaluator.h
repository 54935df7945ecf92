// Evaluates a bound expression over batches, a column at a time. Compiled once per task from the
// plan's Expr; constants, patterns and paths are prepared then. Thread-compatible: each task
// compiles its own.
#ifndef MILLRACE_COMMON_EXPR_EXPR_EVALUATOR_H_
#define MILLRACE_COMMON_EXPR_EXPR_EVALUATOR_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "common/columnar/batch.h"
#include "common/expr/function_registry.h"
#include "common/expr/row_errors.h"

namespace millrace {

namespace proto {
class Expr;
}

// What an evaluation needs besides the batch's rows.
struct EvalContext {
  int64_t batch_time_us = 0;
  RowErrors* errors = nullptr;  // REQUIRES: not null; rows added have no meaningful value
};

class ExprEvaluator {
 public:
  virtual ~ExprEvaluator() = default;

  // INTERNAL when the plan names a function the registry lacks; INVALID_ARGUMENT when a constant
  // argument is bad (an invalid regular expression). `registry` must outlive the evaluator.
  static absl::StatusOr<std::unique_ptr<ExprEvaluator>> Compile(const proto::Expr& expr,
                                                                const FunctionRegistry& registry);

  // The value for each of `rows` (physical rows of `batch`); other rows of the result are
  // undefined. Branches of CASE and the right-hand sides of AND, OR and COALESCE are evaluated only
  // for the rows that need them, so that `x <> 0 AND 1 / x > 2` has no division by zero.
  virtual ColumnPtr Evaluate(const Batch& batch, RowSet rows, const EvalContext& context) = 0;

  virtual const SqlType& type() const = 0;
  // Never adds row errors, whatever the input.
  virtual bool infallible() const = 0;
};

// IsConstant: whether an expression has the same value for every row (no column, nothing volatile,
// no batch time). EvaluateConstant: its value, as a column of one row; a row error becomes the
// returned status. The planner folds constants with these.
bool IsConstant(const proto::Expr& expr);
absl::StatusOr<ColumnPtr> EvaluateConstant(const proto::Expr& expr,
                                           const FunctionRegistry& registry);

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_EXPR_EVALUATOR_H_
