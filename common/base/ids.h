// Strong types for the engine's identifiers and offsets, so that a batch number never meets an
// offset by accident. Values: trivially copyable, thread-compatible.
#ifndef MILLRACE_COMMON_BASE_IDS_H_
#define MILLRACE_COMMON_BASE_IDS_H_

#include <compare>
#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <utility>

namespace millrace {

// An int64 that only mixes with its own kind. `Next()` and `Prev()` are the only arithmetic; ranges
// are half-open.
template <typename Tag>
class StrongInt {
 public:
  constexpr StrongInt() = default;
  constexpr explicit StrongInt(int64_t value) : value_(value) {}

  constexpr int64_t value() const { return value_; }
  constexpr StrongInt Next() const { return StrongInt(value_ + 1); }
  constexpr StrongInt Prev() const { return StrongInt(value_ - 1); }

  friend constexpr auto operator<=>(StrongInt, StrongInt) = default;
  friend std::ostream& operator<<(std::ostream& out, StrongInt id) { return out << id.value_; }
  template <typename H>
  friend H AbslHashValue(H state, StrongInt id) {
    return H::combine(std::move(state), id.value_);
  }

 private:
  int64_t value_ = 0;
};

// A string that only mixes with its own kind.
template <typename Tag>
class StrongString {
 public:
  StrongString() = default;
  explicit StrongString(std::string value) : value_(std::move(value)) {}

  const std::string& value() const { return value_; }
  bool empty() const { return value_.empty(); }

  friend auto operator<=>(const StrongString&, const StrongString&) = default;
  friend std::ostream& operator<<(std::ostream& out, const StrongString& id) {
    return out << id.value_;
  }
  template <typename H>
  friend H AbslHashValue(H state, const StrongString& id) {
    return H::combine(std::move(state), id.value_);
  }

 private:
  std::string value_;
};

using BatchId = StrongInt<struct BatchIdTag>;  // 1 is a job's first batch; 0 = none yet
using Epoch = StrongInt<struct EpochTag>;      // 1 is a job's first start; higher wins everywhere
using Offset = StrongInt<struct OffsetTag>;    // position in a source partition
using JobId = StrongString<struct JobIdTag>;
using ExecutorId = StrongString<struct ExecutorIdTag>;
using Incarnation = StrongString<struct IncarnationTag>;

}  // namespace millrace

template <typename Tag>
struct std::hash<millrace::StrongInt<Tag>> {
  size_t operator()(millrace::StrongInt<Tag> id) const noexcept {
    return std::hash<int64_t>()(id.value());
  }
};

template <typename Tag>
struct std::hash<millrace::StrongString<Tag>> {
  size_t operator()(const millrace::StrongString<Tag>& id) const noexcept {
    return std::hash<std::string>()(id.value());
  }
};

#endif  // MILLRACE_COMMON_BASE_IDS_H_
