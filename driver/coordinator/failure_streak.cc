#include "driver/coordinator/failure_streak.h"

#include "driver/coordinator/doubling_pause.h"

namespace millrace::driver {
namespace {

// Spreads `value` over [value/2, value].
int64_t Jitter(int64_t value, uint64_t seed) {
  seed = (seed ^ (seed >> 33)) * 0xff51afd7ed558ccdULL;
  seed ^= seed >> 33;
  return value / 2 + static_cast<int64_t>(seed % static_cast<uint64_t>(value / 2 + 1));
}

}  // namespace

int64_t Backoff::PauseUs(int failures, Epoch epoch) const {
  if (failures <= 1) {
    return 0;
  }
  return Jitter(DoublingPauseUs(first_us, failures - 2, longest_us),
                jitter_seed ^ (static_cast<uint64_t>(epoch.value()) * 0x9e3779b97f4a7c15ULL));
}

bool FailureStreak::RepeatsTooOften(absl::StatusCode code, BatchId batch) {
  if (code_ != code || batch_ != batch) {
    the_same_ = 0;
  }
  code_ = code;
  batch_ = batch;
  return ++the_same_ > max_same_;
}

bool FailureStreak::Clear() {
  const bool was_failing = in_a_row_ > 0;
  in_a_row_ = 0;
  code_ = absl::StatusCode::kOk;
  batch_ = BatchId(0);
  the_same_ = 0;
  return was_failing;
}

}  // namespace millrace::driver
