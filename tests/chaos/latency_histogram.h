// Times in microseconds, each known to 3 %, in constant memory. Thread-compatible.
#ifndef MILLRACE_TESTS_CHAOS_LATENCY_HISTOGRAM_H_
#define MILLRACE_TESTS_CHAOS_LATENCY_HISTOGRAM_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace millrace::chaos {

class LatencyHistogram {
 public:
  void Add(int64_t us) {
    const auto value = static_cast<uint64_t>(std::max<int64_t>(us, 0));
    ++buckets_[Bucket(value)];
    ++count_;
    max_ = std::max(max_, us);
  }

  // The time that `share` (0 … 1) of all do not exceed, in milliseconds; 0 if there is none.
  double Ms(double share) const {
    const auto rank = static_cast<int64_t>(share * static_cast<double>(count_));
    int64_t seen = 0;
    for (size_t bucket = 0; bucket < kBuckets; ++bucket) {
      seen += buckets_[bucket];
      if (seen > rank) {
        return static_cast<double>(std::min(UpperBound(bucket), max_)) / 1000;
      }
    }
    return static_cast<double>(max_) / 1000;
  }

  int64_t count() const { return count_; }

 private:
  static constexpr int kFineBits = 5;  // buckets per power of two: 32
  static constexpr size_t kFine = size_t{1} << kFineBits;
  static constexpr size_t kBuckets = (64 - kFineBits + 1) * kFine;

  static size_t Bucket(uint64_t value) {
    if (value < kFine) {
      return static_cast<size_t>(value);
    }
    const int shift = std::bit_width(value) - 1 - kFineBits;
    return (static_cast<size_t>(shift) + 1) * kFine + ((value >> shift) - kFine);
  }

  static int64_t UpperBound(size_t bucket) {
    if (bucket < kFine) {
      return static_cast<int64_t>(bucket);
    }
    const size_t shift = bucket / kFine - 1;
    return static_cast<int64_t>(((bucket % kFine + kFine + 1) << shift) - 1);
  }

  std::array<int64_t, kBuckets> buckets_ = {};
  int64_t count_ = 0;
  int64_t max_ = 0;
};

}  // namespace millrace::chaos

#endif  // MILLRACE_TESTS_CHAOS_LATENCY_HISTOGRAM_H_
