#include "driver/jobs/ended_results.h"

#include <utility>

namespace millrace {

void EndedResults::Add(std::shared_ptr<ResultBuffer> results, int64_t max_bytes) {
  std::lock_guard<std::mutex> lock(mutex_);
  kept_.push_back(std::move(results));
  int64_t bytes = 0;
  for (const std::shared_ptr<ResultBuffer>& kept : kept_) {
    bytes += kept->kept_bytes();
  }
  while (kept_.size() > 1 && (kept_.size() > kMaxJobs || bytes > max_bytes)) {
    bytes -= kept_.front()->kept_bytes();
    kept_.front()->LetGo();
    kept_.pop_front();
  }
}

}  // namespace millrace
