// Encoded batches of a sink shard between Write and the commit. Thread-safe: batches are added
// while earlier ones are committed; a batch that Upto has returned does not move until it is
// dropped.
#ifndef MILLRACE_CONNECTORS_KAFKA_HELD_BATCHES_H_
#define MILLRACE_CONNECTORS_KAFKA_HELD_BATCHES_H_

#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

#include "common/base/ids.h"
#include "connectors/kafka/record_encoder.h"

namespace millrace {

struct HeldBatch {
  BatchId batch;
  int64_t time_us = 0;
  int64_t bytes = 0;
  std::vector<KafkaRecord> records;
  std::vector<TextOwner> owners;  // of what the records' views show
};

class HeldBatches {
 public:
  // False, and nothing is added, if more than `max_bytes` would be held.
  bool Add(BatchId batch, int64_t time_us, KafkaRecordEncoder::Encoded encoded, int64_t bytes,
           int64_t max_bytes);

  // Those up to `through` that have records, in order.
  std::vector<const HeldBatch*> Upto(BatchId through) const;
  void DropUpto(BatchId through);

  int64_t bytes() const;

 private:
  mutable std::mutex mutex_;
  std::map<BatchId, HeldBatch> batches_;
  int64_t bytes_ = 0;
};

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_KAFKA_HELD_BATCHES_H_
