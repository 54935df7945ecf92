// Splits the rows that one task writes to one exchange by keyed shard, and counts positions, so
// that a shard can restore the order of rows from any order of arrival. Small pieces for a shard
// are joined; large ones are sent at once. Thread-compatible: belongs to the task, and is used
// again for each of its splits or batches.
#ifndef MILLRACE_EXECUTOR_SHUFFLE_EXCHANGE_WRITER_H_
#define MILLRACE_EXECUTOR_SHUFFLE_EXCHANGE_WRITER_H_

#include <cstdint>
#include <span>
#include <vector>

#include "common/columnar/batch.h"
#include "executor/operators/operator.h"

namespace millrace::executor {

// Where a shard's rows go.
class ShardTarget {
 public:
  virtual ~ShardTarget() = default;
  // Takes the selected rows, which the runs cover in order. `owned`: the columns own all memory
  // that they point to.
  virtual void SendToShard(uint32_t exchange, uint32_t shard, const Batch& rows, bool owned,
                           std::vector<InputRun> runs) = 0;
};

class ExchangeWriter {
 public:
  // Pieces of at least this many rows are sent as they are.
  static constexpr size_t kLargeRows = 1024;

  ExchangeWriter(uint32_t exchange, uint32_t key_groups, uint32_t shards);

  // REQUIRES: hashes are set; the runs cover the selected rows in order; ordinals do not fall until
  // Finish.
  void Write(const Batch& rows, std::span<const OutputRun> runs, ShardTarget* target);
  // Sends the joined pieces, and counts positions from 0 again.
  void Finish(ShardTarget* target);

 private:
  struct Shard {
    std::vector<uint32_t> rows;  // rows of the present batch for this shard
    std::vector<InputRun> runs;  // runs that cover `rows`
    uint32_t ordinal = 0;        // origin of the last row, and the position of its next
    uint64_t position = 0;
    std::vector<Batch> pending;
    std::vector<InputRun> pending_runs;
    size_t pending_rows = 0;
  };

  void Split(const Batch& rows, std::span<const OutputRun> runs);
  void AddRow(uint32_t row, uint32_t ordinal, Shard* shard);
  void Keep(const Batch& rows, Shard* shard);
  void SendPending(uint32_t index, ShardTarget* target);

  const uint32_t exchange_;
  const uint32_t key_groups_;
  std::vector<Shard> shards_;
  std::vector<uint32_t> touched_;  // shards that have rows of the present batch
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_SHUFFLE_EXCHANGE_WRITER_H_
