// The end of a stage: sends rows to the owners of their keys, with the hash of the key columns and
// the ordinal of their origin. If the hash of these columns was computed further up, it is used
// again.
#ifndef MILLRACE_EXECUTOR_OPERATORS_OUTPUT_EXCHANGE_WRITE_H_
#define MILLRACE_EXECUTOR_OPERATORS_OUTPUT_EXCHANGE_WRITE_H_

#include <optional>
#include <vector>

#include "executor/operators/operator.h"
#include "proto/plan.pb.h"

namespace millrace::executor {

class ExchangeWrite : public Operator {
 public:
  // `plan` is the operator of kind exchange_write.
  ExchangeWrite(const proto::Operator& plan, StageContext* context,
                const std::optional<std::vector<uint32_t>>& input_hashed);

 protected:
  absl::Status Process(const Batch& batch) override;

 private:
  void FindRuns(const Batch& batch);

  const uint32_t exchange_;
  const std::vector<uint32_t> keys_;
  const bool reuse_hashes_;
  std::vector<OutputRun> runs_;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_OPERATORS_OUTPUT_EXCHANGE_WRITE_H_
