// When the next batch of an epoch is to be planned. Ticks are `batch_duration` apart, counted from
// the epoch's first; a batch is planned at the first tick that finds something to do, and a job
// that has nothing to do has no tick, so that it costs nothing. A backlog that one batch could not
// take is planned on without waiting for ticks. With batch_duration = 0 every moment is a tick.
//
// Moments are monotonic and in microseconds. Invariant: the next tick is a moment of the grid, or
// the moment from which a backlog, or a job without a grid, may be planned. Pure;
// thread-compatible.
#ifndef MILLRACE_DRIVER_COORDINATOR_TICK_GRID_H_
#define MILLRACE_DRIVER_COORDINATOR_TICK_GRID_H_

#include <cstdint>

#include "driver/coordinator/job_event.h"

namespace millrace::driver {

class TickGrid {
 public:
  // `least_interval_us`: without a grid, plans are at least this far apart.
  TickGrid(int64_t batch_duration_us, int64_t least_interval_us);

  // The epoch's first tick is now, and there is no input yet.
  void Start(int64_t now_us);

  // Whether input is waiting for its tick.
  bool HasInput() const { return input_since_us_ != kNeverUs; }
  // There is input now. REQUIRES: !HasInput().
  void NoteInput(int64_t now_us) { input_since_us_ = now_us; }

  // The first tick that finds input, or the wish for a batch at `wake_us`; kNeverUs if there is
  // neither. May lie in the past.
  int64_t DueUs(int64_t wake_us) const;

  // A batch was planned, or could have been, at the tick `tick_us`, and took the input. `backlog`:
  // not all of it.
  void Planned(int64_t tick_us, bool backlog, int64_t now_us);

 private:
  const int64_t batch_duration_us_;
  const int64_t least_interval_us_;
  int64_t origin_us_ = 0;
  int64_t next_tick_us_ = 0;
  int64_t input_since_us_ = kNeverUs;
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_TICK_GRID_H_
