// Counts the bytes of rows that sink sessions hold until commit, for a job on an executor and for
// the whole executor, which has one limit for all its jobs (a part of --memory). Thread-safe.
#ifndef MILLRACE_CONNECTORS_HELD_MEMORY_H_
#define MILLRACE_CONNECTORS_HELD_MEMORY_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "common/base/status.h"

namespace millrace {

class HeldMemory {
 public:
  explicit HeldMemory(int64_t limit_bytes) : limit_bytes_(limit_bytes), executor_(nullptr) {}
  // The part of one job. `executor` has the limit and outlives this object.
  explicit HeldMemory(HeldMemory* executor)
      : limit_bytes_(executor->limit_bytes_), executor_(executor) {}
  HeldMemory(const HeldMemory&) = delete;
  HeldMemory& operator=(const HeldMemory&) = delete;

  // Takes `bytes`, or nothing if that would exceed the limit. Then the error is of kind kTooLarge
  // (failure_kind.h) if the job itself needs too much, and of kind kEnvironment if other jobs hold
  // the missing memory. `holder` begins the message: "the writer of topic t".
  absl::Status Take(int64_t bytes, std::string_view holder);
  void Return(int64_t bytes);

  int64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

  // Whether all jobs together have taken more than half: time to give back what can be given back.
  bool scarce() const {
    return (executor_ != nullptr ? executor_->bytes() : bytes()) > limit_bytes_ / 2;
  }

 private:
  bool TryAdd(int64_t bytes);

  const int64_t limit_bytes_;
  HeldMemory* const executor_;  // null: this object is the executor's
  std::atomic<int64_t> bytes_ = 0;
};

// The bytes that one holder, such as a batch of a session, has taken; given back when the object is
// destroyed. Thread-compatible.
class HeldBytes {
 public:
  HeldBytes() = default;
  HeldBytes(HeldBytes&& other) noexcept
      : memory_(std::move(other.memory_)), bytes_(std::exchange(other.bytes_, 0)) {}
  HeldBytes& operator=(HeldBytes&& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~HeldBytes() {
    if (memory_ != nullptr) {
      memory_->Return(bytes_);
    }
  }

  // Does what HeldMemory::Take does. REQUIRES: `memory` is the same each time.
  absl::Status Add(const std::shared_ptr<HeldMemory>& memory, int64_t bytes,
                   std::string_view holder) {
    RETURN_IF_ERROR(memory->Take(bytes, holder));
    memory_ = memory;
    bytes_ += bytes;
    return absl::OkStatus();
  }

  // Takes over the bytes that `other` has taken of the same memory.
  void Join(HeldBytes other) {
    memory_ = other.memory_;
    bytes_ += std::exchange(other.bytes_, 0);
  }

  int64_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<HeldMemory> memory_;
  int64_t bytes_ = 0;
};

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_HELD_MEMORY_H_
