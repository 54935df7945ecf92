// The sink writers of a job's epoch on this executor, one per sink and shard that lives here. Sinks
// whose rows go to a person (gathered) have no writers: their rows travel with the batch's report.
//
// Thread-safe after Init: writers of new partitions are added for one batch while another one
// commits. Writers stay as long as the set.
#ifndef MILLRACE_EXECUTOR_EPOCH_SINK_SET_H_
#define MILLRACE_EXECUTOR_EPOCH_SINK_SET_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "connectors/held_memory.h"
#include "connectors/registry.h"
#include "executor/epoch/epoch_layout.h"
#include "proto/cluster.pb.h"

namespace millrace::executor {

// The earlier of two batch times at which a batch is wanted; 0 = none.
inline int64_t EarlierWake(int64_t a, int64_t b) {
  return a == 0 || b == 0 ? a + b : std::min(a, b);
}

// The wake time if it lies behind a batch of that time, else 0: an overdue wake, whatever the
// reason for it, must not hide a later one.
inline int64_t LaterWake(int64_t wake_at_us, int64_t batch_time_us) {
  return wake_at_us > batch_time_us ? wake_at_us : 0;
}

// One writer, and the last batch that it was given rows of.
class ShardWriter {
 public:
  // `sets_aside`: the writer's rows are failed records.
  ShardWriter(uint32_t sink, uint32_t shard, bool sets_aside, std::string name,
              std::unique_ptr<SinkWriter> writer)
      : sink_(sink),
        shard_(shard),
        sets_aside_(sets_aside),
        name_(std::move(name)),
        writer_(std::move(writer)) {}

  uint32_t sink() const { return sink_; }
  uint32_t shard() const { return shard_; }
  bool sets_aside() const { return sets_aside_; }

  // `first` becomes true for the first rows of the batch, even if they are refused: a writer that
  // has refused rows commits the batch like one that has taken some (SinkWriter::TakeRefused). Rows
  // that the sink can never take go to `refused`, and then none of `rows` has been written. Errors
  // name table and shard, here and below.
  absl::Status Write(BatchId batch, int64_t batch_time_us, const Batch& rows, RowErrors* refused,
                     bool* first);
  absl::Status Prepare(BatchId batch, absl::Time deadline);
  absl::StatusOr<std::string> Commit(BatchId through, absl::Time deadline);
  absl::Status Settle(BatchId batch, absl::Time deadline);
  // As in SinkWriter. Not during Write.
  void NoteBatch(BatchId batch, int64_t batch_time_us) { writer_->NoteBatch(batch, batch_time_us); }
  void Finish() { writer_->Finish(); }

  // The shard's marker in the form that the driver keeps; `marker` is what Commit returned.
  proto::SinkMarker Marker(std::string marker) const;
  // The same after the claim, before any Commit.
  proto::SinkMarker ClaimedMarker() const { return Marker(writer_->marker()); }

  // Thread-safe.
  int64_t wake_at_us() const { return writer_->wake_at_us(); }
  int64_t held_bytes() const { return writer_->held_bytes(); }
  int64_t held_bytes_of(BatchId batch) const { return writer_->held_bytes_of(batch); }
  // Whether the writer is to be committed at this batch time although it has no rows.
  bool IsDue(int64_t batch_time_us) const {
    const int64_t wake_at_us = writer_->wake_at_us();
    return wake_at_us != 0 && wake_at_us <= batch_time_us;
  }

 private:
  const uint32_t sink_;
  const uint32_t shard_;
  const bool sets_aside_;
  const std::string name_;
  const std::unique_ptr<SinkWriter> writer_;
  absl::Mutex mutex_;  // guards Write, since two stages may write to one sink; Commit does not take
                       // it the next batch
  BatchId last_written_ ABSL_GUARDED_BY(mutex_);
};

class SinkSet {
 public:
  // `held_memory` is the executor's, for rows that wait for their commit; it outlives the set.
  // `ended`: whether the epoch has ended here, so that writers stop waiting.
  SinkSet(const EpochLayout* layout, const ConnectorRegistry* connectors, HeldMemory* held_memory,
          std::function<bool()> ended);

  // Resolves connectors. NOT_FOUND lists those there are.
  absl::Status Init();

  bool gathered(uint32_t sink) const { return connectors_of_sink_[sink]->traits().gathered; }

  // The (sink, shard) pairs to open for this executor at the start, and for a partition that
  // appears later.
  std::vector<std::pair<uint32_t, uint32_t>> WritersToOpen() const;
  std::vector<std::pair<uint32_t, uint32_t>> WritersFor(
      const proto::PartitionStart& partition) const;

  // Takes the markers of shards that will be opened for partitions that appear within the epoch.
  void NoteMarkers(const google::protobuf::RepeatedPtrField<proto::SinkMarker>& markers);
  // Opens one; may block.
  absl::StatusOr<std::unique_ptr<ShardWriter>> OpenWriter(uint32_t sink, uint32_t shard) const;
  void AddWriter(std::unique_ptr<ShardWriter> writer);

  // The markers of all present writers.
  std::vector<proto::SinkMarker> ClaimedMarkers() const;
  std::vector<ShardWriter*> All() const;
  // The memory of this job's uncommitted rows on this executor.
  const std::shared_ptr<HeldMemory>& memory() const { return job_memory_; }
  int64_t held_bytes() const;
  int64_t held_bytes_of(BatchId batch) const;
  // The earliest batch time after this one at which a writer wants a commit; 0 = none.
  int64_t WakeAfter(int64_t batch_time_us) const;

  // Null when the writer has not been opened.
  ShardWriter* Find(uint32_t sink, uint32_t shard) const;

 private:
  std::string MarkerBefore(uint32_t sink, uint32_t shard) const;

  const EpochLayout& layout_;
  const ConnectorRegistry& connectors_;
  const std::shared_ptr<HeldMemory> job_memory_;
  const std::function<bool()> ended_;
  std::vector<const SinkConnector*> connectors_of_sink_;
  // Held only while a map is read or changed: a writer's calls may take long.
  mutable absl::Mutex mutex_;
  // The last journaled marker by (sink, shard); none: it has never been claimed.
  std::map<std::pair<uint32_t, uint32_t>, std::string> markers_ ABSL_GUARDED_BY(mutex_);
  std::map<std::pair<uint32_t, uint32_t>, std::unique_ptr<ShardWriter>> writers_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_SINK_SET_H_
