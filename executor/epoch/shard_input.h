// A keyed shard of a stage as rows reach it. Thread-safe; calls return at once and the work happens
// elsewhere.
#ifndef MILLRACE_EXECUTOR_EPOCH_SHARD_INPUT_H_
#define MILLRACE_EXECUTOR_EPOCH_SHARD_INPUT_H_

#include "executor/shuffle/shuffle_block.h"

namespace millrace::executor {

class ShardInput {
 public:
  virtual ~ShardInput() = default;
  virtual void Deliver(ShuffleBlock block) = 0;
  // Says that no more rows of this batch come. Called once a batch.
  virtual void EndInput() = 0;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_SHARD_INPUT_H_
