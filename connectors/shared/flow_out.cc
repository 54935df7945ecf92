#include "connectors/shared/flow_out.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/failure_kind.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/base/units.h"

namespace millrace {
namespace {

// If memory is scarce, to pass on less than this would not help.
constexpr int64_t kWorthwhileBytes = 16 << 10;
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

absl::Status FlowOut::AwaitTurn(const absl::Status& no_room, absl::FunctionRef<bool()> is_first,
                                absl::Duration patience) const {
  const absl::Time until = SteadyNow() + patience;
  while (!is_first()) {
    if (ended_()) {
      return no_room;
    }
    if (SteadyNow() >= until) {
      return WithFailureKind(
          Reworded(no_room, absl::StrCat(no_room.message(), "; the batch before was not committed ",
                                         "within ", DurationToString(patience))),
          FailureKind::kTooLarge);
    }
    absl::SleepFor(kPause);
  }
  return absl::OkStatus();
}

}  // namespace millrace
