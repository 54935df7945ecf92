#include "connectors/flow_out.h"

#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/status.h"
#include "common/base/units.h"

namespace millrace {
namespace {

// If memory is scarce, to pass on less than this would not help.
constexpr int64_t kWorthwhileBytes = 16 << 10;
// How long to wait for a commit, which a slow broker delays. Not longer, because other jobs want
// the thread that waits.
constexpr absl::Duration kPatience = absl::Seconds(10);
constexpr absl::Duration kPause = absl::Milliseconds(2);

}  // namespace

absl::StatusOr<int64_t> MaxHeldBytes(const OptionMap& options) {
  absl::StatusOr<int64_t> bytes = ParseBytes(OptionOr(options, kMaxHeldOption, "16 MiB"));
  if (!bytes.ok()) {
    return Annotate(bytes.status(), std::string("option ") + kMaxHeldOption);
  }
  return bytes;
}

bool FlowOut::Wanted(int64_t held_bytes) const {
  return held_bytes > max_held_bytes_ || (held_bytes >= kWorthwhileBytes && memory_->scarce());
}

bool FlowOut::AwaitTurn(absl::FunctionRef<bool()> is_first) const {
  const absl::Time until = absl::Now() + kPatience;
  while (!is_first()) {
    if (ended_() || absl::Now() >= until) {
      return false;
    }
    absl::SleepFor(kPause);
  }
  return true;
}

}  // namespace millrace
