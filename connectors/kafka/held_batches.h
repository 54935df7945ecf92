// Encoded batches of a sink shard between Write and the commit. Thread-safe: batches are added
// while earlier ones are committed; a batch that Upto has returned does not move until it is
// dropped. Rows of the first one may leave before that (TakeRows).
#ifndef MILLRACE_CONNECTORS_KAFKA_HELD_BATCHES_H_
#define MILLRACE_CONNECTORS_KAFKA_HELD_BATCHES_H_

#include <cstdint>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "common/base/ids.h"
#include "connectors/held_memory.h"
#include "connectors/kafka/record_encoder.h"

namespace millrace {

struct HeldBatch {
  BatchId batch;
  int64_t time_us = 0;
  HeldBytes memory;
  std::vector<KafkaRecord> records;
  std::vector<TextOwner> owners;  // of what the records' views show
  int64_t left_bytes = 0;         // of rows that have left
};

class HeldBatches {
 public:
  // `memory` is what the records take.
  void Add(BatchId batch, int64_t time_us, KafkaRecordEncoder::Encoded encoded, HeldBytes memory);

  // The first batch that is here, with rows or without any that have not left; 0 = none.
  BatchId first() const;
  // The rows of a batch that are held, with their memory; they are no longer here. REQUIRES: it is
  // the first one, and is not being committed.
  HeldBatch TakeRows(BatchId batch);
  // So many bytes of the batch have left.
  void NoteLeft(BatchId batch, int64_t bytes);

  // Those up to `through` that have records, in order.
  std::vector<const HeldBatch*> Upto(BatchId through) const;
  void DropUpto(BatchId through);

  // Of all that is held; and of one batch, with what has left.
  int64_t bytes() const;
  int64_t bytes_of(BatchId batch) const;

 private:
  mutable std::mutex mutex_;
  std::map<BatchId, HeldBatch> batches_;
  int64_t bytes_ = 0;
};

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_KAFKA_HELD_BATCHES_H_
