// Holds encoded batches of a sink shard between Write and the commit. Thread-safe: batches are
// added while earlier ones are committed; a batch that Upto has returned does not move until it is
// dropped.
#ifndef MILLRACE_CONNECTORS_KAFKA_HELD_BATCHES_H_
#define MILLRACE_CONNECTORS_KAFKA_HELD_BATCHES_H_

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "common/base/ids.h"
#include "connectors/held_memory.h"
#include "connectors/kafka/record_encoder.h"

namespace millrace {

struct HeldBatch {
  BatchId batch;
  int64_t time_us = 0;
  HeldBytes memory;
  std::vector<KafkaRecord> records;
  std::vector<TextOwner> owners;  // own the memory that the records' views point into
};

class HeldBatches {
 public:
  explicit HeldBatches(std::shared_ptr<HeldMemory> memory) : memory_(std::move(memory)) {}

  // Nothing is added if there is no memory for `bytes`; `holder` as for HeldMemory::Take.
  absl::Status Add(BatchId batch, int64_t time_us, KafkaRecordEncoder::Encoded encoded,
                   int64_t bytes, std::string_view holder);

  // The batches up to `through` that have records, in order.
  std::vector<const HeldBatch*> Upto(BatchId through) const;
  void DropUpto(BatchId through);

  int64_t bytes() const;
  int64_t bytes_of(BatchId batch) const;

 private:
  const std::shared_ptr<HeldMemory> memory_;
  mutable std::mutex mutex_;
  std::map<BatchId, HeldBatch> batches_;
  int64_t bytes_ = 0;
};

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_KAFKA_HELD_BATCHES_H_
