// The time that batches get. It follows the machine's wall clock while that goes as the monotonic
// one does, and is kept from following a step of it: state_ttl, rolling files and markers all count
// in batch time, and what a wrong day lets expire does not come back with the right one. No I/O, no
// clock of its own; thread-compatible.
//
//   wall clock                                   batch time
//   as the monotonic clock                       the wall clock
//   ahead by more than the limit, while running  goes on by the monotonic clock
//   ahead by more than the limit, at the start   (if state can expire) no batch is planned
//   behind the last batch                        half as fast as the monotonic clock, until the
//   wall
//                                                clock has caught up: time never steps back
#ifndef MILLRACE_DRIVER_BATCH_BATCH_CLOCK_H_
#define MILLRACE_DRIVER_BATCH_BATCH_CLOCK_H_

#include <cstdint>
#include <string>

#include "driver/batch/job_event.h"

namespace millrace {

class BatchClock {
 public:
  // `max_step_us`: the limit; 0 = none. `state_expires`: whether the job forgets state by batch
  // time. What lies between the last batch and the first one after a start may be a wrong clock or
  // a job that was away: only somebody who looks can tell, and only such a job cannot bear it.
  BatchClock(int64_t max_step_us, bool state_expires);

  // What the journal knows: the time of the last batch, 0 = there was none. An earlier one than
  // this clock has given, when what was planned behind it has been dropped.
  void Restore(int64_t last_us);

  // The time of a batch that is planned now; more than that of the batch before.
  int64_t Read(Moment now) const;
  // Whether a batch may have it. False only before the first batch after a start.
  bool MayPlan(Moment now) const;
  // A batch was planned with this time.
  void NotePlanned(Moment now, int64_t time_us);

  // What is wrong with the wall clock and what to do about it; empty while nothing is.
  std::string Trouble(Moment now) const;

  int64_t last_us() const { return last_us_; }

 private:
  // Where the wall clock ought to be, by the monotonic one. REQUIRES: running_.
  int64_t Expected(Moment now) const { return last_us_ + (now.mono_us - planned_at_us_); }
  bool IsAhead(Moment now) const;

  const int64_t max_step_us_;
  const bool state_expires_;
  int64_t last_us_ = 0;
  bool running_ = false;       // the last batch was timed by this clock
  int64_t planned_at_us_ = 0;  // then; monotonic
};

}  // namespace millrace

#endif  // MILLRACE_DRIVER_BATCH_BATCH_CLOCK_H_
