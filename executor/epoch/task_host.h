// The epoch as its tasks see it. Thread-safe.
#ifndef MILLRACE_EXECUTOR_EPOCH_TASK_HOST_H_
#define MILLRACE_EXECUTOR_EPOCH_TASK_HOST_H_

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "common/base/ids.h"
#include "executor/epoch/task_pool.h"

namespace millrace::executor {

class BatchRun;

class TaskHost {
 public:
  virtual ~TaskHost() = default;

  // Runs `task` on a slot, or on a thread where it may block. The epoch's parts live until the task
  // has returned. Returns false and runs nothing when the epoch has ended.
  virtual bool Spawn(std::function<void()> task, QueuePlace place) = 0;
  virtual bool SpawnBlocking(std::function<void()> task) = 0;
  // The same for a task that only reports to the driver: it does not wait for calls of
  // SpawnBlocking that hang.
  virtual bool SpawnReport(std::function<void()> task) = 0;

  // Tasks return as soon as they see this.
  virtual bool ended() const = 0;
  // Ends the epoch; the driver is told the status of the first call.
  virtual void Fail(BatchId batch, const absl::Status& status) = 0;

  // A split or keyed shard of `stage` is done with the batch.
  virtual void UnitEnded(const std::shared_ptr<BatchRun>& run, uint32_t stage) = 0;
};

// Calls each(0) … each(count − 1) on threads that may block; the last of them then calls done() (at
// once when count is 0).
inline void FanOut(TaskHost* host, size_t count, const std::function<void(size_t)>& each,
                   std::function<void()> done) {
  if (count == 0) {
    done();
    return;
  }
  struct Shared {
    std::atomic<size_t> left;
    std::function<void(size_t)> each;
    std::function<void()> done;
  };
  auto shared = std::make_shared<Shared>();
  shared->left = count;
  shared->each = each;
  shared->done = std::move(done);
  for (size_t i = 0; i < count; ++i) {
    host->SpawnBlocking([shared, i] {
      shared->each(i);
      if (shared->left.fetch_sub(1) == 1) {
        shared->done();
      }
    });
  }
}

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_TASK_HOST_H_
