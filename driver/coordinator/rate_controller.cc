#include "driver/coordinator/rate_controller.h"

#include <algorithm>

namespace millrace::driver {
namespace {

// A ceiling above this is forgotten: it limits nothing.
constexpr int64_t kForgottenCeiling = int64_t{1} << 40;

}  // namespace

int64_t RateController::Budget(size_t partitions) const {
  const int64_t count = std::max<int64_t>(static_cast<int64_t>(partitions), 1);
  int64_t budget = budget_ == 0 ? kInitialRecordsPerPartition * count : budget_;
  budget = std::max(budget, kLeastRecordsPerPartition * count);
  return std::max<int64_t>(std::min(budget, ceiling_), 1);
}

void RateController::OnTooLarge(int64_t offsets) { ceiling_ = std::min(ceiling_, offsets / 2); }

void RateController::OnBatch(int64_t budget, int64_t offsets, int64_t elapsed_us) {
  if (offsets <= 0) {
    return;
  }
  if (ceiling_ < INT64_MAX && offsets >= ceiling_ / 2) {
    const int64_t raised = ceiling_ + std::max<int64_t>(ceiling_ / 4, 1);
    ceiling_ = raised < kForgottenCeiling ? raised : INT64_MAX;
  }

  const double scale =
      static_cast<double>(target_us_) / static_cast<double>(std::max<int64_t>(elapsed_us, 1));
  const double on_target = static_cast<double>(offsets) * scale;
  const double current = static_cast<double>(budget_ == 0 ? budget : budget_);
  double next = current;
  if (scale < 1.0) {
    next = std::clamp(on_target, current / 4, current);
  } else if (offsets >= budget / 2) {
    next = std::clamp(on_target, current, current * 4);
  }
  // The upper limit is far beyond any machine, and still far from an overflow.
  budget_ = static_cast<int64_t>(std::clamp(next, 1.0, 1e12));
}

}  // namespace millrace::driver
