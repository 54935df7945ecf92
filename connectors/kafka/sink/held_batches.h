// Holds encoded rows of a session's shards between Write and the commit of their batch.
// Thread-safe: rows are added while earlier batches are committed; what Upto has returned does not
// move until it is dropped. Rows of the first batch may leave before its commit (TakeRows).
#ifndef MILLRACE_CONNECTORS_KAFKA_SINK_HELD_BATCHES_H_
#define MILLRACE_CONNECTORS_KAFKA_SINK_HELD_BATCHES_H_

#include <cstddef>
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

// Rows of one batch and one shard, in the order in which they were written.
struct HeldRows {
  size_t table = 0;  // by its place in the session
  uint32_t shard = 0;
  BatchId batch;
  int64_t time_us = 0;
  HeldBytes memory;  // accounts for the records
  std::vector<KafkaRecord> records;
  std::vector<TextOwner> owners;  // own the memory that the records' views point into
};

class HeldBatches {
 public:
  void Add(HeldRows rows);

  // The first batch that is held, even if all of its rows have left; 0 = none.
  BatchId first() const;
  // Moves the held rows of a batch out, because they leave. REQUIRES: it is the first batch, and is
  // not being committed.
  std::vector<HeldRows> TakeRows(BatchId batch);
  // Notes that rows of the batch leave that were never held.
  void NoteLeft(BatchId batch, int64_t bytes);

  // The rows of the batches up to `through`, by batch, table and shard.
  std::vector<const HeldRows*> Upto(BatchId through) const;
  void DropUpto(BatchId through);

  // Bytes that all batches hold; and bytes of one batch, including rows that have left.
  int64_t bytes() const;
  int64_t bytes_of(BatchId batch) const;

 private:
  struct Held {
    std::map<std::pair<size_t, uint32_t>, HeldRows> shards;  // by table and shard
    int64_t bytes = 0;
    int64_t left_bytes = 0;
  };

  mutable absl::Mutex mutex_;
  std::map<BatchId, Held> batches_ ABSL_GUARDED_BY(mutex_);
  int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_SINK_HELD_BATCHES_H_
