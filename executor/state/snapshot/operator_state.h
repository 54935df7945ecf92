// The state of one operator that outlives its batches, as snapshots see it: cut between two
// batches, copied while later batches run, restored into a new operator. KeyedPipeline calls it on
// the pipeline's thread and states the whole contract.
#ifndef MILLRACE_EXECUTOR_STATE_SNAPSHOT_OPERATOR_STATE_H_
#define MILLRACE_EXECUTOR_STATE_SNAPSHOT_OPERATOR_STATE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "executor/state/snapshot/state_block.h"
#include "proto/checkpoint.pb.h"

namespace millrace::executor {

class OperatorState {
 public:
  virtual ~OperatorState() = default;

  virtual const proto::StateIdentity& identity() const = 0;

  // As in KeyedPipeline.
  virtual void BeginSnapshot(bool full) = 0;
  // Copies up to *max_entries and lowers that by the number it copied; true when all are copied.
  virtual absl::StatusOr<bool> ContinueSnapshot(size_t* max_entries) = 0;
  virtual std::vector<StateBlock> TakeSnapshot() = 0;
  virtual absl::Status Restore(const StateBlock& block) = 0;
  virtual int64_t wake_at_us() const = 0;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_STATE_SNAPSHOT_OPERATOR_STATE_H_
