#include "executor/epoch/blocking_lanes.h"

#include <cstdint>
#include <utility>

namespace millrace::executor {

void BlockingLanes::Lane::Submit(std::function<void()> task) {
  owner_.Submit(shared_from_this(), std::move(task));
}

BlockingLanes::BlockingLanes(size_t shared_threads)
    : shared_threads_(shared_threads), pool_("blocking", /*threads=*/SIZE_MAX) {}

BlockingLanes::~BlockingLanes() {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](BlockingLanes* lanes)
           ABSL_NO_THREAD_SAFETY_ANALYSIS { return lanes->running_ == 0 && lanes->turns_.empty(); },
      this));
}

std::shared_ptr<BlockingLanes::Lane> BlockingLanes::NewLane(Quota quota) {
  return LanePtr(new Lane(this, quota));
}

bool BlockingLanes::MayStart(const Lane& lane) const {
  return lane.running_ < lane.quota_.most &&
         (running_ < shared_threads_ || lane.running_ < lane.quota_.reserved);
}

void BlockingLanes::Submit(const LanePtr& lane, std::function<void()> task) {
  absl::MutexLock lock(&mutex_);
  if (lane->waiting_.empty() && MayStart(*lane)) {
    Start(lane, std::move(task));
    return;
  }
  if (lane->waiting_.empty()) {
    turns_.push_back(lane);
  }
  lane->waiting_.push_back(std::move(task));
}

void BlockingLanes::Start(const LanePtr& lane, std::function<void()> task) {
  ++running_;
  ++lane->running_;
  pool_.Submit([this, lane, task = std::move(task)]() mutable {
    task();
    task = nullptr;  // destroyed while the task still counts as running: destructors of what it
                     // captured may submit more
    Ended(lane);
  });
}

void BlockingLanes::Ended(const LanePtr& lane) {
  absl::MutexLock lock(&mutex_);
  --running_;
  --lane->running_;
  StartWaiting();
}

// Starts one waiting task of each lane in turn, until no lane may start another.
void BlockingLanes::StartWaiting() {
  for (size_t passed_over = 0; passed_over < turns_.size();) {
    const LanePtr lane = std::move(turns_.front());
    turns_.pop_front();
    if (!MayStart(*lane)) {
      turns_.push_back(lane);
      ++passed_over;
      continue;
    }
    std::function<void()> task = std::move(lane->waiting_.front());
    lane->waiting_.pop_front();
    Start(lane, std::move(task));
    if (!lane->waiting_.empty()) {
      turns_.push_back(lane);
    }
    passed_over = 0;
  }
}

}  // namespace millrace::executor
