#include "driver/jobs/event_loop.h"

#include <chrono>

namespace millrace {
namespace {

constexpr size_t kMuchBehind = 4096;

}  // namespace

EventLoop::EventLoop(Clock* clock) : clock_(clock), thread_([this] { Run(); }) {}

EventLoop::~EventLoop() { Stop(); }

bool EventLoop::Post(std::function<void()> work) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_) {
      return false;
    }
    queue_.push_back(std::move(work));
  }
  wake_.notify_one();
  return true;
}

EventLoop::TimerId EventLoop::PostAt(int64_t mono_us, std::function<void()> work) {
  TimerId timer;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    timer = {mono_us, ++last_timer_};
    if (stopping_) {
      return timer;
    }
    timers_.emplace(timer, std::move(work));
  }
  wake_.notify_one();
  return timer;
}

void EventLoop::Cancel(const TimerId& timer) {
  std::function<void()> work;  // destroyed after the lock is released, with all that it holds
  std::lock_guard<std::mutex> lock(mutex_);
  if (const auto found = timers_.find(timer); found != timers_.end()) {
    work = std::move(found->second);
    timers_.erase(found);
  }
}

void EventLoop::WaitForRoom() {
  std::unique_lock<std::mutex> lock(mutex_);
  room_.wait(lock, [this] { return stopping_ || queue_.size() < kMuchBehind; });
}

void EventLoop::Stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  room_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void EventLoop::Run() {
  std::unique_lock<std::mutex> lock(mutex_);
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
        room_.notify_all();
      }
      lock.unlock();
      work();
      work = nullptr;  // without the lock: destructors of what it captured may call Post
      lock.lock();
    } else if (stopping_) {
      timers_.clear();
      return;
    } else if (timers_.empty()) {
      wake_.wait(lock);
    } else {
      wake_.wait_for(lock, std::chrono::microseconds(timers_.begin()->first.first - now_us));
    }
  }
}

}  // namespace millrace
