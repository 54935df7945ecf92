#include "driver/batch/rate_controller.h"

#include <algorithm>

namespace millrace {

int64_t RateController::Budget(size_t partitions) const {
  const int64_t count = std::max<int64_t>(static_cast<int64_t>(partitions), 1);
  int64_t budget = budget_ == 0 ? kInitialRecordsPerPartition * count : budget_;
  budget = std::max(budget, kLeastRecordsPerPartition * count);
  if (bytes_per_record_ > 0) {
    budget = std::min(
        budget, static_cast<int64_t>(static_cast<double>(kMaxBatchBytes) / bytes_per_record_));
  }
  return std::max(budget, count);
}

void RateController::OnBatch(int64_t budget, int64_t records, int64_t bytes, int64_t elapsed_us) {
  if (records <= 0) {
    return;
  }
  const double average = static_cast<double>(bytes) / static_cast<double>(records);
  bytes_per_record_ = bytes_per_record_ == 0 ? average : 0.7 * bytes_per_record_ + 0.3 * average;

  const double scale =
      static_cast<double>(target_us_) / static_cast<double>(std::max<int64_t>(elapsed_us, 1));
  const double on_target = static_cast<double>(records) * scale;
  const double current = static_cast<double>(budget_ == 0 ? budget : budget_);
  double next = current;
  if (scale < 1.0) {
    next = std::clamp(on_target, current / 4, current);
  } else if (records >= budget / 2) {
    next = std::clamp(on_target, current, current * 4);
  }
  // Far beyond any machine, but clear of overflow.
  budget_ = static_cast<int64_t>(std::clamp(next, 1.0, 1e12));
}

}  // namespace millrace
