#include "driver/coordinator/record_pace.h"

#include <algorithm>
#include <cmath>

namespace millrace::driver {
namespace {

// In a hole, each plan looks twice as far ahead as the one before, up to this factor over the
// distance that records had: behind the hole they may be dense.
constexpr double kWidest = 16;
constexpr double kWeightOfLast = 0.5;
constexpr double kMostPositions = 1e15;

}  // namespace

int64_t RecordPace::Allowed(int64_t records_per_second, int64_t first_us, int64_t most_us,
                            int64_t now_us) {
  const double rate = static_cast<double>(records_per_second) * 1e-6;
  const double most = std::max(rate * static_cast<double>(most_us), 1.0);
  const int64_t since_us = granted_us_ < 0 ? now_us - first_us : granted_us_;
  records_left_ = std::min(records_left_ + rate * static_cast<double>(now_us - since_us), most);
  granted_us_ = now_us;
  // A rounding error of binary fractions must not cost a record.
  const double records = std::floor(records_left_ + 1e-6);
  if (records < 1) {
    return 0;
  }
  return static_cast<int64_t>(
      std::min(std::ceil(records * positions_per_record_ * holes_), kMostPositions));
}

void RecordPace::OnRead(int64_t positions, int64_t records) {
  records_left_ -= static_cast<double>(records);
  if (positions <= 0) {
    return;
  }
  if (records == 0) {
    holes_ = std::min(holes_ * 2, kWidest);
    return;
  }
  holes_ = 1;
  const double last = static_cast<double>(positions) / static_cast<double>(records);
  positions_per_record_ =
      measured_ ? kWeightOfLast * last + (1 - kWeightOfLast) * positions_per_record_ : last;
  measured_ = true;
}

}  // namespace millrace::driver
