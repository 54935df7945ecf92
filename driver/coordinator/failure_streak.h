// The failures of a job since it last committed a batch: how many in a row, whether the same one
// hits the same batch again and again, and how long to wait before the next attempt. Pure;
// thread-compatible.
#ifndef MILLRACE_DRIVER_COORDINATOR_FAILURE_STREAK_H_
#define MILLRACE_DRIVER_COORDINATOR_FAILURE_STREAK_H_

#include <cstdint>

#include "absl/status/status.h"
#include "common/base/ids.h"

namespace millrace::driver {

// The pause before each attempt: none before the first, since most often an executor has died and
// the others are ready; then doubled by every failure in a row.
struct Backoff {
  int64_t first_us = 0;
  int64_t longest_us = 0;
  uint64_t jitter_seed = 0;  // spreads retries of jobs that failed together

  // The pause after so many failures in a row; `epoch` is the one that failed.
  int64_t PauseUs(int failures, Epoch epoch) const;
};

class FailureStreak {
 public:
  // `max_same`: so often in a row may the same failure hit one batch.
  explicit FailureStreak(int max_same) : max_same_(max_same) {}

  // Counts a failure after which the job goes on, and returns how many there are in a row now.
  int Add() { return ++in_a_row_; }
  int in_a_row() const { return in_a_row_; }

  // Notes a failure that may be deterministic. Whether the same one has now hit the batch too
  // often.
  bool RepeatsTooOften(absl::StatusCode code, BatchId batch);

  // A batch has been committed. Returns whether that ended a row of failures.
  bool Clear();

 private:
  const int max_same_;
  int in_a_row_ = 0;
  // The last failure that may be deterministic, and how often in a row it has been the same.
  absl::StatusCode code_ = absl::StatusCode::kOk;
  BatchId batch_;
  int the_same_ = 0;
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_FAILURE_STREAK_H_
