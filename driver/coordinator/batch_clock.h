// Decides the time of each batch. Batch time follows the machine's wall clock as long as the wall
// clock advances like the monotonic clock, and ignores a step of the wall clock: state_ttl, rolling
// files and markers all count in batch time, and state that expired at a wrong time does not come
// back when the clock is set right. No I/O, no clock of its own; thread-compatible.
//
//   wall clock                                   batch time
//   advances like the monotonic clock            is the wall clock
//   ahead by more than the limit, while running  goes on by the monotonic clock
//   ahead by more than the limit, at the start   no batch is planned, if state can expire
//   behind the last batch                        advances half as fast as the monotonic clock until
//                                                the wall clock has caught up; it never steps back
#ifndef MILLRACE_DRIVER_COORDINATOR_BATCH_CLOCK_H_
#define MILLRACE_DRIVER_COORDINATOR_BATCH_CLOCK_H_

#include <cstdint>
#include <string>

#include "driver/coordinator/job_event.h"

namespace millrace::driver {

class BatchClock {
 public:
  // `max_step_us`: how far the wall clock may be ahead; 0 = any distance. `state_expires`: whether
  // the job forgets state by batch time. A gap between the last batch and the first one after a
  // start has two possible causes: the clock is wrong, or the job was stopped for that long. Only a
  // person can tell which, and only a job whose state expires is harmed by guessing wrong.
  BatchClock(int64_t max_step_us, bool state_expires);

  // Sets the time of the last batch that the journal knows; 0 = there was none. That time may be
  // earlier than one that this clock has given out: the batches in between were planned and then
  // dropped.
  void Restore(int64_t last_us);

  // The time for a batch that is planned now; always later than the time of the batch before.
  int64_t Read(Moment now) const;
  // Whether a batch may be planned with the time that Read returns. False only before the first
  // batch after a start.
  bool MayPlan(Moment now) const;
  // Records that a batch was planned with this time.
  void NotePlanned(Moment now, int64_t time_us);

  // What is wrong with the wall clock and what a person can do about it; empty while nothing is
  // wrong.
  std::string Trouble(Moment now) const;

  int64_t last_us() const { return last_us_; }

 private:
  // What the wall clock ought to show, by the monotonic clock. REQUIRES: running_.
  int64_t Expected(Moment now) const { return last_us_ + (now.mono_us - planned_at_us_); }
  bool IsAhead(Moment now) const;

  const int64_t max_step_us_;
  const bool state_expires_;
  int64_t last_us_ = 0;
  bool running_ = false;       // this object gave the last batch its time
  int64_t planned_at_us_ = 0;  // when that batch was planned; monotonic
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_BATCH_CLOCK_H_
