// Threads of an executor for calls that block: opening, preparing, committing and settling
// sessions, reading and writing snapshots, reports that wait for the driver. Each job has lanes of
// its own, so that a job whose calls hang does not stop the others.
//
// A lane runs a limited number of tasks at once; the rest wait in it. All lanes share a number of
// threads, but each lane is always given a few, whatever the others do. When threads are scarce,
// lanes take turns.
//
// Thread-safe. Queues are not bounded here: each task stands for a session or a report, and each of
// these has at most one task queued.
#ifndef MILLRACE_EXECUTOR_EPOCH_BLOCKING_LANES_H_
#define MILLRACE_EXECUTOR_EPOCH_BLOCKING_LANES_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "executor/epoch/task_pool.h"

namespace millrace::executor {

class BlockingLanes {
 public:
  // How many tasks of a lane may run at once, and how many may run even when all shared threads are
  // taken. REQUIRES: 0 < reserved <= most.
  struct Quota {
    size_t most = 1;
    size_t reserved = 1;
  };

  // Tasks start in the order in which they were submitted; several may run at once.
  class Lane : public std::enable_shared_from_this<Lane> {
   public:
    Lane(const Lane&) = delete;
    Lane& operator=(const Lane&) = delete;

    void Submit(std::function<void()> task);

   private:
    friend class BlockingLanes;
    Lane(BlockingLanes* owner, Quota quota) : owner_(*owner), quota_(quota) {}

    BlockingLanes& owner_;
    const Quota quota_;
    size_t running_ = 0;                         // guarded by owner_.mutex_,
    std::deque<std::function<void()>> waiting_;  // guarded by owner_.mutex_, too
  };

  explicit BlockingLanes(size_t shared_threads);
  // Runs all submitted tasks to their end. REQUIRES: only tasks may still submit.
  ~BlockingLanes();

  BlockingLanes(const BlockingLanes&) = delete;
  BlockingLanes& operator=(const BlockingLanes&) = delete;

  // A lane lives until its last reference is gone and its tasks have ended, but not longer than
  // this object.
  std::shared_ptr<Lane> NewLane(Quota quota);

 private:
  using LanePtr = std::shared_ptr<Lane>;

  bool MayStart(const Lane& lane) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Submit(const LanePtr& lane, std::function<void()> task);
  void Start(const LanePtr& lane, std::function<void()> task) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Starts the tasks that may start now that one has ended.
  void StartWaiting() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Ended(const LanePtr& lane);

  const size_t shared_threads_;
  absl::Mutex mutex_;
  size_t running_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<LanePtr> turns_ ABSL_GUARDED_BY(mutex_);  // lanes with waiting tasks
  TaskPool pool_;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_EPOCH_BLOCKING_LANES_H_
