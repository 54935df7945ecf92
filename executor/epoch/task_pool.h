// Threads that run tasks in order. An executor has two: its slots (source tasks and keyed shards,
// which never wait for each other) and, under BlockingLanes, one for calls that block.
//
// Thread-safe. The queue is not bounded here: each task stands for a split, a shard or a writer,
// and each of these has at most one task queued.
#ifndef MILLRACE_EXECUTOR_EPOCH_TASK_POOL_H_
#define MILLRACE_EXECUTOR_EPOCH_TASK_POOL_H_

#include <atomic>
#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace millrace::executor {

// Where in the queue a task goes.
enum class QueuePlace {
  kBack,
  kFront,   // a task that gave up its thread for an urgent one; goes on next
  kUrgent,  // before all others: rows that wait to be applied hold memory and credit
};

class TaskPool {
 public:
  // Threads are started when first needed and then stay. `name` is what a debugger shows (15
  // bytes).
  TaskPool(const std::string& name, size_t threads);
  // Runs all queued tasks to their end. REQUIRES: nothing is submitted any more.
  ~TaskPool();

  TaskPool(const TaskPool&) = delete;
  TaskPool& operator=(const TaskPool&) = delete;

  void Submit(std::function<void()> task, QueuePlace place = QueuePlace::kBack);

  // Tasks that wait for a thread, and the urgent ones among them.
  size_t queued() const { return queued_.load(std::memory_order_relaxed); }
  size_t urgent() const { return urgent_count_.load(std::memory_order_relaxed); }
  size_t threads() const { return max_threads_; }

 private:
  void Work();
  std::function<void()> Next() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void UpdateCounts() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string name_;
  const size_t max_threads_;
  std::atomic<size_t> queued_ = 0;
  std::atomic<size_t> urgent_count_ = 0;
  absl::Mutex mutex_;
  absl::CondVar wake_;
  std::deque<std::function<void()>> urgent_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mutex_);
  size_t idle_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_TASK_POOL_H_
