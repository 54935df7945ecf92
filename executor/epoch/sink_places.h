// Where sinks are written. Values.
#ifndef MILLRACE_EXECUTOR_EPOCH_SINK_PLACES_H_
#define MILLRACE_EXECUTOR_EPOCH_SINK_PLACES_H_

#include <compare>
#include <cstdint>
#include <variant>

namespace millrace::executor {

// A shard of a sink. One executor writes it in an epoch.
struct ShardPlace {
  uint32_t sink = 0;
  uint32_t shard = 0;

  friend auto operator<=>(const ShardPlace&, const ShardPlace&) = default;
};

// A slot of a group of sinks: where one executor's session writes all shards of theirs that it has.
// The first of the sinks names the group.
struct SlotPlace {
  uint32_t group = 0;
  uint32_t slot = 0;

  friend auto operator<=>(const SlotPlace&, const SlotPlace&) = default;
};

// What a session claims: a shard with SinkTraits::Scope::kShard, a slot with kExecutor.
using SessionPlace = std::variant<ShardPlace, SlotPlace>;

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_SINK_PLACES_H_
