// The sinks of a job's epoch on this executor: the sessions that are open, and the writers of the
// shards that live here, each of which writes through one of them. Sinks whose rows go to a person
// (gathered) have neither: their rows travel with the batch's report.
//
// Thread-safe after Init: sessions and writers of new partitions are added for one batch while
// another one commits. They stay as long as the set.
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
#include "executor/epoch/open_session.h"
#include "executor/epoch/sink_places.h"
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

// Writes one shard through a session.
class ShardWriter {
 public:
  // `session` has made `shard`; both outlive the writer. `name`: how errors call it.
  ShardWriter(OpenSession* session, SinkShard* shard, std::string name)
      : session_(session), name_(std::move(name)), shard_(shard) {}

  OpenSession* session() const { return session_; }

  // Rows that the sink can never take go to `refused`, and then none of `rows` has been written.
  // Errors name table and shard.
  absl::Status Write(const SinkBatch& batch, const Batch& rows, RowErrors* refused);

 private:
  OpenSession* const session_;
  const std::string name_;
  absl::Mutex mutex_;  // two stages may write to one sink; held while the shard takes rows
  SinkShard* const shard_ ABSL_PT_GUARDED_BY(mutex_);
};

class SinkSet {
 public:
  // `held_memory` is the executor's, for rows that wait for their commit; it outlives the set.
  // `ended`: whether the epoch has ended here, so that writers stop waiting.
  SinkSet(const EpochLayout* layout, const ConnectorRegistry* connectors, HeldMemory* held_memory,
          std::function<bool()> ended);

  // Resolves connectors. NOT_FOUND lists those there are; INVALID_ARGUMENT if driver and executor
  // do not agree which sinks share sessions.
  absl::Status Init();

  bool gathered(uint32_t sink) const { return connectors_of_sink_[sink]->traits().gathered; }
  // Whether the sink is of a group, whose session writes all its shards.
  bool shared(uint32_t sink) const { return layout_.group_of_sink[sink].has_value(); }

  // The shards that this executor writes from the start, and those of a partition that appears
  // later.
  std::vector<ShardPlace> OwnShards() const;
  std::vector<ShardPlace> ShardsOf(const proto::PartitionStart& partition) const;

  // Takes the markers of shards that will be opened for partitions that appear within the epoch.
  void NoteMarkers(const google::protobuf::RepeatedPtrField<proto::SinkMarker>& markers);
  // Claims a place, and opens a session there; may block. The session of a slot of another member,
  // or of a group that there was once, writes nothing: it is opened for the claim.
  absl::StatusOr<std::unique_ptr<OpenSession>> Open(const SessionPlace& place) const;
  // Claims a shard in the form of versions before sessions, and returns the last batch that is
  // visible there; may block.
  absl::StatusOr<BatchId> ClaimFormer(ShardPlace shard) const;

  void AddSession(std::unique_ptr<OpenSession> session);
  // Makes the writer of a shard. REQUIRES: its session has been added; no batch is being written.
  absl::Status AddWriter(ShardPlace shard);
  // Null when the writer has not been added.
  ShardWriter* Find(ShardPlace shard) const;

  std::vector<OpenSession*> Sessions() const;
  // The memory of this job's uncommitted rows on this executor.
  const std::shared_ptr<HeldMemory>& memory() const { return job_memory_; }
  int64_t held_bytes() const;
  int64_t held_bytes_of(BatchId batch) const;
  // The earliest batch time after this one at which a session wants a commit; 0 = none.
  int64_t WakeAfter(int64_t batch_time_us) const;

 private:
  const proto::Sink& Table(uint32_t sink) const {
    return layout_.plan.sinks(static_cast<int>(sink));
  }
  // What errors call a shard, and the session of a slot.
  std::string Name(ShardPlace shard) const;
  std::string Name(SlotPlace slot) const;
  // The place of the session that writes the shard.
  SessionPlace PlaceOf(ShardPlace shard) const;
  // The context of a claim but for its place.
  SinkContext ContextOf(const SessionPlace& place) const;

  const EpochLayout& layout_;
  const ConnectorRegistry& connectors_;
  const std::shared_ptr<HeldMemory> job_memory_;
  const std::function<bool()> ended_;
  std::vector<const SinkConnector*> connectors_of_sink_;
  // Held only while a map is read or changed: a session's calls may take long.
  mutable absl::Mutex mutex_;
  // The last journaled markers; none: the place has never been claimed.
  std::map<SessionPlace, std::string> markers_ ABSL_GUARDED_BY(mutex_);
  std::map<SessionPlace, std::unique_ptr<OpenSession>> sessions_ ABSL_GUARDED_BY(mutex_);
  std::map<ShardPlace, std::unique_ptr<ShardWriter>> writers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_SINK_SET_H_
