// SELECT's list: new columns computed from the input's, row by row.
#ifndef MILLRACE_EXECUTOR_OPERATORS_STATELESS_PROJECT_H_
#define MILLRACE_EXECUTOR_OPERATORS_STATELESS_PROJECT_H_

#include <memory>
#include <optional>
#include <vector>

#include "common/expr/expr_evaluator.h"
#include "executor/operators/operator.h"

namespace millrace::executor {

class Project : public Operator {
 public:
  // `hashed`: the output columns that the input's hashes were computed from, if they are passed
  // through.
  Project(uint32_t id, StageContext* context, std::vector<std::unique_ptr<ExprEvaluator>> exprs,
          std::optional<std::vector<uint32_t>> hashed)
      : Operator(id, context), exprs_(std::move(exprs)), hashed_(std::move(hashed)) {}

  std::optional<std::vector<uint32_t>> HashedColumns() const override { return hashed_; }

 protected:
  absl::Status Process(const Batch& batch) override;

 private:
  const std::vector<std::unique_ptr<ExprEvaluator>> exprs_;
  const std::optional<std::vector<uint32_t>> hashed_;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_OPERATORS_STATELESS_PROJECT_H_
