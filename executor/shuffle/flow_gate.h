// Makes sources read more slowly while too many of the rows that they have produced wait to be
// applied, here or at a peer. Only source tasks stop at the gate, and only between chunks. So no
// task ever blocks a thread, and keyed shards, which make room by applying rows, always run. The
// rows that wait take at most the gate's limit, and the output of one chunk or split more for each
// running task.
//
// Thread-safe. Callbacks run on the thread whose call makes room, without locks held.
#ifndef MILLRACE_EXECUTOR_SHUFFLE_FLOW_GATE_H_
#define MILLRACE_EXECUTOR_SHUFFLE_FLOW_GATE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace millrace::executor {

class FlowGate {
 public:
  explicit FlowGate(int64_t limit_bytes) : limit_bytes_(limit_bytes) {}

  // Add counts bytes of rows that now wait; Release takes them off again.
  void Add(int64_t bytes) { pending_.fetch_add(bytes); }
  void Release(int64_t bytes);

  // True: go on. False: `resume` will be called once there is room, or by Cancel(owner).
  bool Pass(const void* owner, std::function<void()> resume);

  // Lets all tasks that wait for `owner` pass, so that they notice their cancellation.
  void Cancel(const void* owner);

  int64_t pending_bytes() const { return pending_.load(std::memory_order_relaxed); }

 private:
  const int64_t limit_bytes_;
  std::atomic<int64_t> pending_ = 0;
  std::atomic<bool> someone_waits_ = false;
  absl::Mutex mutex_;
  std::vector<std::pair<const void*, std::function<void()>>> waiting_ ABSL_GUARDED_BY(mutex_);
};

// Bytes in the gate that belong to rows on their way; released when the object is destroyed.
class FlowHold {
 public:
  FlowHold() = default;
  FlowHold(FlowGate* gate, int64_t bytes) : gate_(gate), bytes_(bytes) { gate_->Add(bytes); }
  FlowHold(FlowHold&& other) noexcept
      : gate_(std::exchange(other.gate_, nullptr)), bytes_(other.bytes_) {}
  FlowHold& operator=(FlowHold&& other) noexcept {
    std::swap(gate_, other.gate_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~FlowHold() {
    if (gate_ != nullptr) {
      gate_->Release(bytes_);
    }
  }

 private:
  FlowGate* gate_ = nullptr;
  int64_t bytes_ = 0;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_SHUFFLE_FLOW_GATE_H_
