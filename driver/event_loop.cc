#include "driver/event_loop.h"

namespace millrace::driver {
namespace {

constexpr size_t kMuchBehind = 4096;

}  // namespace

EventLoop::EventLoop(Clock* clock) : clock_(clock), thread_([this] { Run(); }) {}

EventLoop::~EventLoop() { Stop(); }

bool EventLoop::Post(std::function<void()> work) {
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) {
      return false;
    }
    queue_.push_back(std::move(work));
  }
  wake_.Signal();
  return true;
}

EventLoop::TimerId EventLoop::PostAt(int64_t mono_us, std::function<void()> work) {
  TimerId timer;
  {
    absl::MutexLock lock(&mutex_);
    timer = {mono_us, ++last_timer_};
    if (stopping_) {
      return timer;
    }
    timers_.emplace(timer, std::move(work));
  }
  wake_.Signal();
  return timer;
}

void EventLoop::Cancel(const TimerId& timer) {
  std::function<void()> work;  // destroyed after the lock is released, with all that it holds
  absl::MutexLock lock(&mutex_);
  if (const auto found = timers_.find(timer); found != timers_.end()) {
    work = std::move(found->second);
    timers_.erase(found);
  }
}

void EventLoop::WaitForRoom() {
  absl::MutexLock lock(&mutex_);
  while (!stopping_ && queue_.size() >= kMuchBehind) {
    room_.Wait(&mutex_);
  }
}

void EventLoop::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  wake_.Signal();
  room_.SignalAll();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void EventLoop::Run() {
  absl::MutexLock lock(&mutex_);
  while (true) {
    const int64_t now_us = NowUs();
    // Timers that are due go behind the queued work, so that neither starves the other.
    while (!timers_.empty() && timers_.begin()->first.first <= now_us) {
      queue_.push_back(std::move(timers_.begin()->second));
      timers_.erase(timers_.begin());
    }
    if (!queue_.empty()) {
      std::function<void()> work = std::move(queue_.front());
      queue_.pop_front();
      if (queue_.size() + 1 == kMuchBehind) {
        room_.SignalAll();
      }
      mutex_.Unlock();
      work();
      work = nullptr;  // without the lock: destructors of what it captured may call Post
      mutex_.Lock();
    } else if (stopping_) {
      timers_.clear();
      return;
    } else if (timers_.empty()) {
      wake_.Wait(&mutex_);
    } else {
      wake_.WaitFor(&mutex_, absl::Microseconds(timers_.begin()->first.first - now_us));
    }
  }
}

}  // namespace millrace::driver
