// Checks the columns of a table's PRIMARY KEY before rows go to the table: a row with NULL in one
// of them is an error of the record that it came from, as by PostgreSQL's not-null constraint. Rows
// without NULL pass unchanged.
#ifndef MILLRACE_EXECUTOR_OPERATORS_STATELESS_NOT_NULL_H_
#define MILLRACE_EXECUTOR_OPERATORS_STATELESS_NOT_NULL_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "executor/operators/operator.h"
#include "proto/plan.pb.h"

namespace millrace::executor {

class NotNull : public Operator {
 public:
  NotNull(const proto::Operator& op, StageContext* context,
          std::optional<std::vector<uint32_t>> input_hashed);

  std::optional<std::vector<uint32_t>> HashedColumns() const override { return hashed_; }

 protected:
  absl::Status Process(const Batch& batch) override;

 private:
  struct Checked {
    uint32_t column = 0;
    std::string name;
  };

  const std::string table_;
  std::vector<Checked> columns_;
  const std::optional<std::vector<uint32_t>> hashed_;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_OPERATORS_STATELESS_NOT_NULL_H_
