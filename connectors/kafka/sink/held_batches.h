// Holds encoded batches of a sink shard between Write and the commit. Thread-safe: batches are
// added while earlier ones are committed; a batch that Upto has returned does not move until it is
// dropped. Rows of the first batch may leave before its commit (TakeRows).
#ifndef MILLRACE_CONNECTORS_KAFKA_SINK_HELD_BATCHES_H_
#define MILLRACE_CONNECTORS_KAFKA_SINK_HELD_BATCHES_H_

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/base/ids.h"
#include "connectors/held_memory.h"
#include "connectors/kafka/sink/record_encoder.h"

namespace millrace::kafka {

struct HeldBatch {
  BatchId batch;
  int64_t time_us = 0;
  HeldBytes memory;
  std::vector<KafkaRecord> records;
  std::vector<TextOwner> owners;  // own the memory that the records' views point into
  int64_t left_bytes = 0;         // bytes of rows that have left already
};

class HeldBatches {
 public:
  // `memory` accounts for the records.
  void Add(BatchId batch, int64_t time_us, KafkaRecordEncoder::Encoded encoded, HeldBytes memory);

  // The first batch that is held, even if all of its rows have left; 0 = none.
  BatchId first() const;
  // Moves the held rows of a batch out, together with the account of their memory. REQUIRES: it is
  // the first batch, and is not being committed.
  HeldBatch TakeRows(BatchId batch);
  // Notes that `bytes` of the batch have left.
  void NoteLeft(BatchId batch, int64_t bytes);

  // The batches up to `through` that have records, in order.
  std::vector<const HeldBatch*> Upto(BatchId through) const;
  void DropUpto(BatchId through);

  // Bytes that all batches hold; and bytes of one batch, including rows that have left.
  int64_t bytes() const;
  int64_t bytes_of(BatchId batch) const;

 private:
  mutable absl::Mutex mutex_;
  std::map<BatchId, HeldBatch> batches_ ABSL_GUARDED_BY(mutex_);
  int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_SINK_HELD_BATCHES_H_
