#include "driver/coordinator/tick_grid.h"

#include <algorithm>

namespace millrace::driver {

TickGrid::TickGrid(int64_t batch_duration_us, int64_t least_interval_us)
    : batch_duration_us_(batch_duration_us), least_interval_us_(least_interval_us) {}

void TickGrid::Start(int64_t now_us) {
  origin_us_ = now_us;
  next_tick_us_ = now_us;
  input_since_us_ = kNeverUs;
}

int64_t TickGrid::DueUs(int64_t wake_us) const {
  const int64_t wanted_us = std::min(input_since_us_, wake_us);
  if (wanted_us == kNeverUs) {
    return kNeverUs;
  }
  if (wanted_us <= next_tick_us_ || batch_duration_us_ == 0) {
    return std::max(next_tick_us_, wanted_us);
  }
  const int64_t ticks = (wanted_us - origin_us_ + batch_duration_us_ - 1) / batch_duration_us_;
  return std::max(next_tick_us_, origin_us_ + ticks * batch_duration_us_);
}

void TickGrid::Planned(int64_t tick_us, bool backlog, int64_t now_us) {
  input_since_us_ = kNeverUs;
  if (backlog) {
    // The job is catching up: plan the next batch as soon as there is room.
    next_tick_us_ = now_us;
    input_since_us_ = now_us;
  } else if (batch_duration_us_ == 0) {
    next_tick_us_ = now_us + least_interval_us_;
  } else {
    // Ticks that were missed are not made up for one by one: this batch has all their input.
    const int64_t passed = (std::max(now_us, tick_us) - origin_us_) / batch_duration_us_;
    next_tick_us_ = origin_us_ + (passed + 1) * batch_duration_us_;
  }
}

}  // namespace millrace::driver
