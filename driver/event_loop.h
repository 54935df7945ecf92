// A thread that runs closures one after another: what runs on it needs no locks among itself. The
// driver has one loop for all its jobs and executors, where every decision is made, and more loops
// for slow work that must stay in order.
#ifndef MILLRACE_DRIVER_EVENT_LOOP_H_
#define MILLRACE_DRIVER_EVENT_LOOP_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/base/clock.h"
#include "common/base/monotonic_cond_var.h"

namespace millrace::driver {

// Thread-safe.
class EventLoop {
 public:
  // `clock` outlives the loop. Timers wait in real time by its MonotonicNs.
  explicit EventLoop(Clock* clock);
  // Does what Stop does.
  ~EventLoop();

  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Runs `work` on the loop's thread, after everything posted before. False (and `work` never runs)
  // after Stop.
  bool Post(std::function<void()> work);

  // The time at which a timer is due, and its number, which tells apart those due at the same time.
  using TimerId = std::pair<int64_t, uint64_t>;

  // Runs `work` once Clock::MonotonicNs() / 1000 has reached `mono_us`. Timers that are not due
  // when Stop is called never run.
  TimerId PostAt(int64_t mono_us, std::function<void()> work);
  // Cancels a timer; does nothing if it was due already.
  void Cancel(const TimerId& timer);

  // Blocks the calling thread while the loop is far behind: for threads that post much. Not for the
  // loop's own thread.
  void WaitForRoom();

  // Runs `work` on the loop and returns what it returns; nothing after Stop. Not for the loop's own
  // thread.
  template <typename Work>
  auto Call(Work work) -> std::optional<decltype(work())> {
    std::optional<decltype(work())> result;
    absl::Mutex mutex;
    absl::CondVar done;
    const bool posted = Post([&] {
      auto value = work();
      absl::MutexLock lock(&mutex);
      result = std::move(value);
      done.Signal();
    });
    if (posted) {
      absl::MutexLock lock(&mutex);
      while (!result.has_value()) {
        done.Wait(&mutex);
      }
    }
    return result;
  }

  // Runs the work that was posted, but no timers that are not due yet, then ends the thread.
  // Idempotent; not for the loop's own thread.
  void Stop();

  int64_t NowUs() const { return clock_->MonotonicNs() / 1000; }

 private:
  void Run();

  Clock* const clock_;
  absl::Mutex mutex_;
  MonotonicCondVar wake_;
  absl::CondVar room_;
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mutex_);
  std::map<TimerId, std::function<void()>> timers_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_timer_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_EVENT_LOOP_H_
