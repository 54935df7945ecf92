#include "driver/coordinator/batch_clock.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace millrace::driver {
namespace {

std::string UtcText(int64_t micros) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", absl::FromUnixMicros(micros),
                          absl::UTCTimeZone());
}

std::string SecondsText(int64_t micros) {
  return absl::FormatDuration(absl::Seconds(micros / 1'000'000));
}

}  // namespace

BatchClock::BatchClock(int64_t max_step_us, bool state_expires)
    : max_step_us_(max_step_us), state_expires_(state_expires) {}

void BatchClock::Restore(int64_t last_us) {
  planned_at_us_ -= last_us_ - last_us;  // keeps Expected() unchanged
  last_us_ = last_us;
}

bool BatchClock::IsAhead(Moment now) const {
  if (max_step_us_ == 0 || last_us_ == 0) {
    return false;
  }
  return now.wall_us - (running_ ? Expected(now) : last_us_) > max_step_us_;
}

int64_t BatchClock::Read(Moment now) const {
  if (!running_) {
    return MayPlan(now) ? std::max(now.wall_us, last_us_ + 1) : last_us_ + 1;
  }
  if (IsAhead(now)) {
    return std::max(Expected(now), last_us_ + 1);
  }
  const int64_t slowest = last_us_ + std::max<int64_t>((now.mono_us - planned_at_us_) / 2, 1);
  return std::max(now.wall_us, slowest);
}

bool BatchClock::MayPlan(Moment now) const { return running_ || !state_expires_ || !IsAhead(now); }

void BatchClock::NotePlanned(Moment now, int64_t time_us) {
  last_us_ = time_us;
  planned_at_us_ = now.mono_us;
  running_ = true;
}

std::string BatchClock::Trouble(Moment now) const {
  if (!IsAhead(now) || (!running_ && !state_expires_)) {
    return "";
  }
  const std::string clock = absl::StrCat("the driver's clock says ", UtcText(now.wall_us));
  if (!running_) {
    return absl::StrCat(
        clock, ", ", SecondsText(now.wall_us - last_us_), " after the job's last batch (",
        UtcText(last_us_), "): more than max_clock_step, ", SecondsText(max_step_us_),
        ", and state_ttl would let state expire by it; no batch is planned. If the clock is wrong, "
        "set it right and the job goes on; if the job was away for that long, submit it again with "
        "a larger max_clock_step (0: any)");
  }
  return absl::StrCat(
      clock, ", ", SecondsText(now.wall_us - Expected(now)),
      " ahead of what has passed since the last batch (", UtcText(last_us_),
      "): more than max_clock_step, ", SecondsText(max_step_us_),
      "; batch times go on as if it had not been set. If the clock is wrong, set it right; if it "
      "is right now, stop the job and submit it again with a larger max_clock_step (0: any)");
}

}  // namespace millrace::driver
