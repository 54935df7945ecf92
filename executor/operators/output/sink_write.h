// The end of a stage: sends rows to a sink, to the shard that the plan gives them. Rows that the
// sink refuses follow on_error.
#ifndef MILLRACE_EXECUTOR_OPERATORS_OUTPUT_SINK_WRITE_H_
#define MILLRACE_EXECUTOR_OPERATORS_OUTPUT_SINK_WRITE_H_

#include "executor/operators/operator.h"
#include "proto/plan.pb.h"

namespace millrace::executor {

class SinkWrite : public Operator {
 public:
  // `plan` is the operator of kind sink_write.
  SinkWrite(const proto::Operator& plan, StageContext* context)
      : Operator(plan.id(), context), sink_(plan.sink_write().sink()) {}

 protected:
  absl::Status Process(const Batch& input) override;

 private:
  const uint32_t sink_;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_OPERATORS_OUTPUT_SINK_WRITE_H_
