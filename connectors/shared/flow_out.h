// Decides when rows leave a session's memory before their commit. They leave for a place that hides
// them until then: an open transaction, or a file behind its committed length. A session holds its
// rows as long as they are few, because rows that have left cannot be written a second time: if the
// place breaks, that costs the epoch. Only rows of the session's first batch that is not committed
// may leave, since every commit that can come covers that batch. Rows of later batches stay; if
// memory has no room for them, Write waits until their batch is the first.
//
// That wait ends by itself. A batch begins when everybody has prepared the one before, so the
// commit that Write waits for needs only the journal and threads of its own, and nothing of the
// batch that waits. If the commit does not come in time, Write fails as it does where a batch is
// too large for all memory, even if it is other jobs that hold the memory: the batch is withdrawn
// and planned anew, smaller and alone. Run again as planned, it might wait in vain each time.
// Thread-safe.
#ifndef MILLRACE_CONNECTORS_SHARED_FLOW_OUT_H_
#define MILLRACE_CONNECTORS_SHARED_FLOW_OUT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "connectors/held_memory.h"
#include "connectors/shared/options.h"
#include "connectors/sink.h"

namespace millrace {

// The option of sinks whose rows may leave.
inline constexpr char kMaxHeldOption[] = "max_held";
// The option's value in bytes; 16 MiB if it is not set.
absl::StatusOr<int64_t> MaxHeldBytes(const OptionMap& options);

class FlowOut {
 public:
  FlowOut(const SinkContext& context, int64_t max_held_bytes)
      : memory_(context.memory), ended_(context.ended), max_held_bytes_(max_held_bytes) {}

  // Whether a session that holds this many bytes is to pass them on as soon as it may.
  bool Wanted(int64_t held_bytes) const;

  // Waits until `is_first` says that the batch, for whose rows memory had no room, is the session's
  // first one. Otherwise returns `no_room` for Write: as it is when the epoch has ended, and as
  // kTooLarge when the wait takes longer than `patience`. REQUIRES: `no_room` is not OK.
  absl::Status AwaitTurn(const absl::Status& no_room, absl::FunctionRef<bool()> is_first,
                         absl::Duration patience = kPatience) const;

 private:
  // How long to wait for a commit, which a slow broker delays. Not longer, because other jobs want
  // the thread that waits.
  static constexpr absl::Duration kPatience = absl::Seconds(10);

  const std::shared_ptr<HeldMemory> memory_;
  const std::function<bool()> ended_;
  const int64_t max_held_bytes_;
};

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_SHARED_FLOW_OUT_H_
