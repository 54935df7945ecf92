#include "executor/epoch/task_pool.h"

#include <pthread.h>

#include <utility>

namespace millrace::executor {

TaskPool::TaskPool(const std::string& name, size_t threads)
    : name_(name.substr(0, 15)), max_threads_(threads) {}

TaskPool::~TaskPool() {
  std::vector<std::thread> threads;
  {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
    wake_.SignalAll();
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

void TaskPool::Submit(std::function<void()> task, QueuePlace place) {
  absl::MutexLock lock(&mutex_);
  switch (place) {
    case QueuePlace::kBack:
      queue_.push_back(std::move(task));
      break;
    case QueuePlace::kFront:
      queue_.push_front(std::move(task));
      break;
    case QueuePlace::kUrgent:
      urgent_.push_back(std::move(task));
      break;
  }
  UpdateCounts();
  // A thread that was woken still counts as idle until it runs. So compare with the queue's length,
  // or a burst of tasks would start no thread.
  if (idle_ < queue_.size() + urgent_.size() && threads_.size() < max_threads_) {
    threads_.emplace_back([this] { Work(); });
  } else if (idle_ > 0) {
    wake_.Signal();
  }
}

std::function<void()> TaskPool::Next() {
  std::deque<std::function<void()>>& from = urgent_.empty() ? queue_ : urgent_;
  std::function<void()> task = std::move(from.front());
  from.pop_front();
  UpdateCounts();
  return task;
}

void TaskPool::UpdateCounts() {
  queued_.store(queue_.size() + urgent_.size(), std::memory_order_relaxed);
  urgent_count_.store(urgent_.size(), std::memory_order_relaxed);
}

void TaskPool::Work() {
  pthread_setname_np(pthread_self(), name_.c_str());
  while (true) {
    std::function<void()> task;
    {
      absl::MutexLock lock(&mutex_);
      while (queue_.empty() && urgent_.empty()) {
        if (closing_) {
          return;
        }
        ++idle_;
        wake_.Wait(&mutex_);
        --idle_;
      }
      task = Next();
    }
    task();
  }
}

}  // namespace millrace::executor
