// The sum of doubles without rounding: a fixed-point number wide enough for every finite double and
// 2^63 of them, after Radford Neal, "Fast exact summation using small and large superaccumulators"
// (2015). Adding commutes and associates exactly and can be undone, so a sum does not depend on
// order, placement or retractions; it is rounded once, to nearest even, when it is read. NaN and
// infinities are counted apart, so that they can be retracted too.
//
// Movable with memcpy. Thread-compatible.
#ifndef MILLRACE_COMMON_EXPR_AGGREGATES_EXACT_SUM_H_
#define MILLRACE_COMMON_EXPR_AGGREGATES_EXACT_SUM_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace millrace {

class ExactSum {
 public:
  ExactSum() = default;
  ExactSum(const ExactSum&) = delete;
  ExactSum& operator=(const ExactSum&) = delete;
  ~ExactSum() { delete wide_; }

  // Adds weight · value.
  void Add(double value, int64_t weight);

  // Adds another sum's Encode. DATA_LOSS for other bytes.
  absl::Status AddEncoded(std::string_view encoded);

  // The sum in canonical form: equal sums encode to equal bytes. Usually under 24 bytes.
  std::string Encode() const;

  // The nearest double (ties to even); NaN and ±Inf as IEEE addition gives them. OUT_OF_RANGE when
  // a finite sum is beyond the largest finite value.
  absl::StatusOr<double> ToDouble() const;
  // The same for float, rounded once.
  absl::StatusOr<float> ToFloat() const;

  size_t OwnedBytes() const { return wide_ == nullptr ? 0 : sizeof(Wide); }

 private:
  // Limb i counts 2^(32·i − kBias). Limbs are signed and may exceed 32 bits until they are carried.
  static constexpr int kBias = 1088;
  static constexpr int kLimbs = 72;
  static constexpr int kWindow = 6;

  // The whole range, used once the values' magnitudes no longer fit the window or a special value
  // came.
  struct Wide {
    int64_t limbs[kLimbs] = {};
    int64_t nans = 0;
    int64_t infinities = 0;
    int64_t negative_infinities = 0;
  };

  // Two's complement digits, least first, from limb `base` on; the last holds the sign.
  struct Digits {
    int base = 0;
    std::vector<uint32_t> digits;
  };

  void AddSpecial(double value, int64_t weight);
  // Adds `magnitude` · 2^(bit − kBias) with the sign.
  void AddBits(unsigned __int128 magnitude, int bit, bool negative);
  // Makes room for limbs [first, first + count): inside the window if possible, else in the wide
  // form.
  int64_t* Limbs(int first, int count);
  void Widen();
  // Moves what exceeds 32 bits of each limb to the next.
  void Carry();
  Digits Canonical() const;
  double Round(int mantissa_bits, int least_bit) const;
  bool HasSpecials() const;
  double Special() const;

  int64_t window_[kWindow] = {};
  Wide* wide_ = nullptr;
  int32_t base_ = -1;       // limb of window_[0]; -1 = nothing added yet
  uint32_t additions_ = 0;  // since the last carry; each adds less than 2^33 to a limb
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_AGGREGATES_EXACT_SUM_H_
