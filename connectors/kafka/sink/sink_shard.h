// The write end of a shard of a Kafka table: encodes rows and judges them, on the thread of its
// caller, and gives the records to its session.
#ifndef MILLRACE_CONNECTORS_KAFKA_SINK_SINK_SHARD_H_
#define MILLRACE_CONNECTORS_KAFKA_SINK_SINK_SHARD_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/expr/row_errors.h"
#include "connectors/kafka/sink/held_batches.h"
#include "connectors/kafka/sink/record_encoder.h"
#include "connectors/kafka/sink/record_limits.h"
#include "connectors/sink.h"

namespace millrace::kafka {

// What shards want of their session. Thread-safe.
class KafkaShardOwner {
 public:
  virtual ~KafkaShardOwner() = default;

  // The last batch that is committed everywhere, or was by this session.
  virtual BatchId committed() const = 0;
  // Notes that rows of a batch that is not committed were refused. Then its commit leaves a mark
  // even without rows: if the batch runs again, the mark tells the next epoch to judge its rows by
  // the same limits.
  virtual void NoteRefusal(BatchId batch) = 0;
  // Takes rows until their commit, as SinkShard::Write does.
  virtual absl::Status Hold(HeldRows rows) = 0;
};

class KafkaSinkShard : public SinkShard {
 public:
  // `table`: by its place in the session. The rows of `shard` are judged by `limits`, of which the
  // number of partitions is known. `limits` and `owner` outlive the shard.
  KafkaSinkShard(size_t table, uint32_t shard, std::unique_ptr<KafkaRecordEncoder> encoder,
                 const KafkaRecordLimits* limits, KafkaShardOwner* owner)
      : table_(table),
        shard_(shard),
        encoder_(std::move(encoder)),
        limits_(limits),
        owner_(owner) {}

  absl::Status Write(const SinkBatch& batch, const Batch& rows) override;
  std::vector<RowError> TakeRefused() override { return refused_.Take(); }

 private:
  // By what rows of the batch are judged: a batch that runs again must refuse the rows that it
  // refused when its output became visible.
  absl::StatusOr<KafkaRecordLimits> LimitsOf(const SinkBatch& batch) const;
  // Gives records without a key and a partition one by their batch: a batch that is written again
  // goes to the same partition.
  void ChoosePartitions(BatchId batch, std::vector<KafkaRecord>* records) const;

  const size_t table_;
  const uint32_t shard_;
  const std::unique_ptr<KafkaRecordEncoder> encoder_;
  const KafkaRecordLimits* const limits_;
  KafkaShardOwner* const owner_;
  RowErrors refused_;
};

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_SINK_SINK_SHARD_H_
