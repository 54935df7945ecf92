#include "driver/results/ended_results.h"

#include <utility>

namespace millrace::driver {

void EndedResults::Add(std::shared_ptr<ResultBuffer> results, int64_t max_bytes) {
  absl::MutexLock lock(&mutex_);
  kept_.push_back(std::move(results));
  int64_t bytes = OwedBytes();
  for (const std::shared_ptr<ResultBuffer>& kept : kept_) {
    bytes += kept->kept_bytes();
  }
  while (kept_.size() > 1 && (kept_.size() > kMaxJobs || bytes > max_bytes)) {
    const int64_t before = kept_.front()->kept_bytes();
    kept_.front()->LetGo();
    const int64_t owed = kept_.front()->kept_bytes();
    bytes -= before - owed;
    if (owed > 0) {
      owing_.push_back(kept_.front());
    }
    kept_.pop_front();
  }
}

int64_t EndedResults::OwedBytes() {
  int64_t bytes = 0;
  std::erase_if(owing_, [&](const std::weak_ptr<ResultBuffer>& weak) {
    const std::shared_ptr<ResultBuffer> results = weak.lock();
    const int64_t owed = results == nullptr ? 0 : results->kept_bytes();
    bytes += owed;
    return owed == 0;
  });
  return bytes;
}

}  // namespace millrace::driver
