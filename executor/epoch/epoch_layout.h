// What an executor has to do in an epoch, computed once from the plan and the assignment. Immutable
// after Make, so safe from any thread.
#ifndef MILLRACE_EXECUTOR_EPOCH_EPOCH_LAYOUT_H_
#define MILLRACE_EXECUTOR_EPOCH_EPOCH_LAYOUT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/ids.h"
#include "common/config/settings.h"
#include "executor/epoch/sink_places.h"
#include "executor/shuffle/shuffle_hub.h"
#include "executor/state/snapshot/snapshot_file.h"
#include "proto/cluster.pb.h"

namespace millrace::executor {

struct StageLayout {
  std::optional<uint32_t> source;  // exactly one of these two
  std::optional<uint32_t> exchange;
  std::vector<uint32_t> feeds;  // exchanges it writes to
  std::vector<uint32_t> sinks;  // sinks it writes to
  bool every_batch = false;     // has output even without input, as an aggregate without GROUP BY
};

struct ExchangeLayout {
  std::vector<uint32_t> feeders;  // stages that write to it
  std::vector<uint32_t> readers;  // stages that read it
};

struct EpochLayout {
  JobId job;
  std::string job_name;
  Incarnation incarnation;
  Epoch epoch;
  BatchId first_batch;
  BatchId suppress_until;
  BatchId committed_batch;  // the last batch that the journal knows as committed
  BatchId planned_batch;
  int64_t batch_time_us = 0;      // when the epoch began
  std::string snapshot_location;  // empty = none are taken
  std::string store_mark;   // a file that the driver has just written there as proof; empty = none
  proto::Snapshot restore;  // without layers: the state begins empty

  proto::JobPlan plan;
  JobSettings settings;  // the plan's settings
  std::vector<StageLayout> stages;
  std::vector<ExchangeLayout> exchanges;
  std::vector<std::vector<uint32_t>> stages_of_source;
  // Sources whose stages write to the sink directly, or their failed records.
  std::vector<std::vector<uint32_t>> sources_of_sink;
  std::vector<bool> keyed_sink;  // some keyed stage writes to it
  std::vector<bool> error_sink;  // some source writes its failed records to it

  uint32_t self = 0;  // index into members
  std::vector<ShufflePeer> members;
  std::vector<uint32_t> shard_owner;  // per keyed shard, index into members
  std::vector<uint32_t> own_shards;
  std::vector<proto::PartitionStart> own_partitions;

  // Sinks that share sessions, ascending, by the name of their group; and per sink, the name of its
  // group. None: each shard of the sink has a session of its own.
  std::map<uint32_t, std::vector<uint32_t>> groups;
  std::vector<std::optional<uint32_t>> group_of_sink;
  // What this member claims when the epoch starts: its own slot of each group, and slots that an
  // earlier epoch has left.
  std::vector<SlotPlace> slots;
  // It claims these too, and then leaves them: shards of earlier plans, and shards as versions
  // before sessions have written them.
  std::vector<ShardPlace> retired_shards;
  std::vector<ShardPlace> former_shards;
  // Of places that it claims when the epoch starts; none: the place has never been claimed.
  std::map<SessionPlace, std::string> markers;

  // Whether this member writes in the slot, rather than only claim it.
  bool IsOwn(SlotPlace place) const { return place.slot == self && groups.contains(place.group); }

  uint32_t shard_count() const { return static_cast<uint32_t>(shard_owner.size()); }
  KeyGroups KeyGroupsOf(uint32_t shard) const {
    return KeyGroupsOfShard(shard, plan.key_groups(), shard_count());
  }

  // INVALID_ARGUMENT when the message contradicts itself or `self_id` is not among the members.
  static absl::StatusOr<EpochLayout> Make(proto::StartEpoch start, const std::string& self_id);
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_EPOCH_LAYOUT_H_
