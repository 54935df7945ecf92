#include "executor/shuffle/flow_gate.h"

namespace millrace::executor {

void FlowGate::Release(int64_t bytes) {
  const int64_t left = pending_.fetch_sub(bytes) - bytes;
  // Waiters are woken only at half the limit: one wake-up for many chunks instead of one for each.
  if (left > limit_bytes_ / 2 || !someone_waits_.load()) {
    return;
  }
  std::vector<std::pair<const void*, std::function<void()>>> ready;
  {
    absl::MutexLock lock(&mutex_);
    ready.swap(waiting_);
    someone_waits_.store(false);
  }
  for (auto& [owner, resume] : ready) {
    resume();
  }
}

bool FlowGate::Pass(const void* owner, std::function<void()> resume) {
  if (pending_.load() < limit_bytes_) {
    return true;
  }
  absl::MutexLock lock(&mutex_);
  // First this thread announces that it waits, then it looks at the count again. So no wake-up is
  // missed: a Release that comes before the announcement, and wakes nobody, has lowered the count
  // that this thread then sees.
  someone_waits_.store(true);
  if (pending_.load() <= limit_bytes_ / 2) {
    someone_waits_.store(!waiting_.empty());
    return true;
  }
  waiting_.emplace_back(owner, std::move(resume));
  return false;
}

void FlowGate::Cancel(const void* owner) {
  std::vector<std::function<void()>> ready;
  {
    absl::MutexLock lock(&mutex_);
    std::erase_if(waiting_, [&](auto& waiting) {
      if (waiting.first != owner) {
        return false;
      }
      ready.push_back(std::move(waiting.second));
      return true;
    });
    someone_waits_.store(!waiting_.empty());
  }
  for (auto& resume : ready) {
    resume();
  }
}

}  // namespace millrace::executor
