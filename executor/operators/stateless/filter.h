// WHERE and HAVING: passes on the rows for which a predicate is true. Rows are not moved; a
// selection vector tells which remain.
#ifndef MILLRACE_EXECUTOR_OPERATORS_STATELESS_FILTER_H_
#define MILLRACE_EXECUTOR_OPERATORS_STATELESS_FILTER_H_

#include <memory>
#include <optional>
#include <vector>

#include "common/expr/expr_evaluator.h"
#include "executor/operators/operator.h"

namespace millrace::executor {

class Filter : public Operator {
 public:
  Filter(uint32_t id, StageContext* context, std::unique_ptr<ExprEvaluator> predicate,
         std::optional<std::vector<uint32_t>> input_hashed)
      : Operator(id, context), predicate_(std::move(predicate)), hashed_(std::move(input_hashed)) {}

  std::optional<std::vector<uint32_t>> HashedColumns() const override { return hashed_; }

 protected:
  absl::Status Process(const Batch& batch) override;

 private:
  const std::unique_ptr<ExprEvaluator> predicate_;
  const std::optional<std::vector<uint32_t>> hashed_;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_OPERATORS_STATELESS_FILTER_H_
