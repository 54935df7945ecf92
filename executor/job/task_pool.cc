#include "executor/job/task_pool.h"

#include <pthread.h>

#include <utility>

namespace millrace {

TaskPool::TaskPool(std::string name, size_t threads)
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

void TaskPool::Submit(std::function<void()> task) {
  absl::MutexLock lock(&mutex_);
  queue_.push_back(std::move(task));
  queued_.store(queue_.size(), std::memory_order_relaxed);
  // A woken thread counts as idle until it runs: compare with the queue, or a burst would start no
  // thread.
  if (idle_ >= queue_.size()) {
    wake_.Signal();
  } else if (threads_.size() < max_threads_) {
    threads_.emplace_back([this] { Work(); });
  } else if (idle_ > 0) {
    wake_.Signal();
  }
}

void TaskPool::Work() {
  pthread_setname_np(pthread_self(), name_.c_str());
  while (true) {
    std::function<void()> task;
    {
      absl::MutexLock lock(&mutex_);
      while (queue_.empty()) {
        if (closing_) {
          return;
        }
        ++idle_;
        wake_.Wait(&mutex_);
        --idle_;
      }
      task = std::move(queue_.front());
      queue_.pop_front();
      queued_.store(queue_.size(), std::memory_order_relaxed);
    }
    task();
  }
}

}  // namespace millrace
