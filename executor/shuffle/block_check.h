// Checks the rows of a peer: a block's bytes against the exchange that it names, its runs against
// its rows, its rows against the shard to which they were sent. Rows that pass are as safe to apply
// as this executor's own. Pure functions.
#ifndef MILLRACE_EXECUTOR_SHUFFLE_BLOCK_CHECK_H_
#define MILLRACE_EXECUTOR_SHUFFLE_BLOCK_CHECK_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/columnar/batch.h"
#include "common/columnar/batch_shape.h"
#include "executor/shuffle/shuffle_block.h"
#include "proto/plan.pb.h"

namespace millrace::executor {

// The columns and limits of the blocks of one exchange for one keyed shard.
struct BlockShape {
  BatchShape rows;
  uint32_t key_groups = 0;
  uint32_t shards = 0;
  uint32_t shard = 0;

  // INTERNAL when the plan has no such exchange or no key groups.
  static absl::StatusOr<BlockShape> Of(const proto::JobPlan& plan, uint32_t exchange,
                                       uint32_t shard, uint32_t shards);
};

// Decodes the rows of `block.encoded`. ABORTED names the sender and what does not fit.
absl::StatusOr<Batch> DecodeBlock(const ShuffleBlock& block, const BlockShape& shape);

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_SHUFFLE_BLOCK_CHECK_H_
