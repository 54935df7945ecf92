#include "common/expr/aggregates/exact_sum.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "common/base/check.h"
#include "common/expr/aggregates/aggregate_base.h"

namespace millrace {
namespace {

constexpr uint32_t kMaxAdditions = 1u << 29;  // · 2^33 stays within 62 bits
constexpr uint64_t kLimbMask = 0xFFFFFFFF;
constexpr char kFinite = 0;
constexpr char kWithSpecials = 1;

// Bits [from, from + count) of a magnitude in 32-bit digits. REQUIRES: count ≤ 64.
uint64_t ExtractBits(const std::vector<uint32_t>& digits, int from, int count) {
  uint64_t bits = 0;
  for (int i = count - 1; i >= 0; --i) {
    int bit = from + i;
    uint64_t digit = static_cast<size_t>(bit / 32) < digits.size() ? digits[bit / 32] : 0;
    bits = (bits << 1) | ((digit >> (bit % 32)) & 1);
  }
  return bits;
}

bool AnyBitBelow(const std::vector<uint32_t>& digits, int end) {
  for (int bit = 0; bit < end;) {
    uint32_t digit = digits[bit / 32];
    if (end - bit >= 32) {
      if (digit != 0) {
        return true;
      }
      bit += 32;
    } else {
      return (digit & ((1u << (end - bit)) - 1)) != 0;
    }
  }
  return false;
}

void Negate(std::vector<uint32_t>* digits) {
  uint64_t carry = 1;
  for (uint32_t& digit : *digits) {
    carry += static_cast<uint32_t>(~digit);
    digit = static_cast<uint32_t>(carry);
    carry >>= 32;
  }
}

void CarryLimbs(int64_t* limbs, int count) {
  for (int i = 0; i + 1 < count; ++i) {
    limbs[i + 1] += limbs[i] >> 32;
    limbs[i] = static_cast<int64_t>(static_cast<uint64_t>(limbs[i]) & kLimbMask);
  }
}

}  // namespace

void ExactSum::Add(double value, int64_t weight) {
  uint64_t bits = std::bit_cast<uint64_t>(value);
  int exponent = static_cast<int>((bits >> 52) & 0x7FF);
  uint64_t mantissa = bits & ((uint64_t{1} << 52) - 1);
  if (exponent == 0x7FF) {
    AddSpecial(value, weight);
    return;
  }
  if (exponent == 0) {
    exponent = 1;  // subnormal: no implied bit
  } else {
    mantissa |= uint64_t{1} << 52;
  }
  if (mantissa == 0 || weight == 0) {
    return;
  }
  bool negative = (bits >> 63) != 0;
  if (weight < 0) {
    negative = !negative;
  }
  uint64_t times = weight < 0 ? -static_cast<uint64_t>(weight) : static_cast<uint64_t>(weight);
  AddBits(static_cast<unsigned __int128>(mantissa) * times, exponent - 1075 + kBias, negative);
}

void ExactSum::AddSpecial(double value, int64_t weight) {
  Widen();
  (std::isnan(value) ? wide_->nans
   : value > 0       ? wide_->infinities
                     : wide_->negative_infinities) += weight;
}

void ExactSum::AddBits(unsigned __int128 magnitude, int bit, bool negative) {
  int first = bit / 32;
  int shift = bit % 32;
  bool small = (magnitude >> 64) == 0;  // a weight of ±1 gives 53 bits: three limbs
  int64_t* limbs = Limbs(first, small ? 3 : 5);
  int64_t sign = negative ? -1 : 1;
  for (int i = 0; magnitude != 0; ++i, magnitude >>= 32) {
    uint64_t piece = (static_cast<uint64_t>(magnitude) & kLimbMask) << shift;
    limbs[i] += sign * static_cast<int64_t>(piece & kLimbMask);
    limbs[i + 1] += sign * static_cast<int64_t>(piece >> 32);
  }
  if (++additions_ >= kMaxAdditions) {
    Carry();
  }
}

int64_t* ExactSum::Limbs(int first, int count) {
  if (wide_ != nullptr) {
    return wide_->limbs + first;
  }
  if (base_ < 0) {
    base_ = std::clamp(first - 1, 0, kLimbs - kWindow);
  }
  if (first < base_ || first + count > base_ + kWindow) {
    Widen();
    return wide_->limbs + first;
  }
  return window_ + (first - base_);
}

void ExactSum::Widen() {
  if (wide_ != nullptr) {
    return;
  }
  wide_ = new Wide();
  if (base_ >= 0) {
    std::memcpy(wide_->limbs + base_, window_, sizeof(window_));
    CarryLimbs(wide_->limbs, kLimbs);
    additions_ = 1;
  }
}

void ExactSum::Carry() {
  if (wide_ == nullptr) {
    CarryLimbs(window_, kWindow);
    // The window's last limb keeps what exceeds 32 bits: beyond half of its range, the sum needs
    // more limbs.
    if (std::abs(window_[kWindow - 1]) > (int64_t{1} << 61)) {
      Widen();
    }
  } else {
    CarryLimbs(wide_->limbs, kLimbs);
  }
  additions_ = 1;
}

ExactSum::Digits ExactSum::Canonical() const {
  Digits out;
  int count = wide_ == nullptr ? kWindow : kLimbs;
  const int64_t* limbs = wide_ == nullptr ? window_ : wide_->limbs;
  out.base = wide_ == nullptr ? std::max(base_, 0) : 0;
  int64_t carry = 0;
  for (int i = 0; i < count || (carry != 0 && carry != -1); ++i) {
    int64_t value = (i < count ? limbs[i] : 0) + carry;
    out.digits.push_back(static_cast<uint32_t>(value));
    carry = value >> 32;
  }
  out.digits.push_back(static_cast<uint32_t>(carry));  // the sign
  // Drops top digits that only repeat the sign of the digit below, and zeros at the low end.
  while (out.digits.size() > 1) {
    uint32_t top = out.digits.back();
    bool below_negative = (out.digits[out.digits.size() - 2] >> 31) != 0;
    if (!((top == 0 && !below_negative) || (top == kLimbMask && below_negative))) {
      break;
    }
    out.digits.pop_back();
  }
  size_t zeros = 0;
  while (zeros < out.digits.size() && out.digits[zeros] == 0) {
    ++zeros;
  }
  out.digits.erase(out.digits.begin(), out.digits.begin() + static_cast<ptrdiff_t>(zeros));
  out.base = out.digits.empty() ? 0 : out.base + static_cast<int>(zeros);
  return out;
}

bool ExactSum::HasSpecials() const {
  return wide_ != nullptr &&
         (wide_->nans != 0 || wide_->infinities != 0 || wide_->negative_infinities != 0);
}

std::string ExactSum::Encode() const {
  std::string out;
  out.push_back(HasSpecials() ? kWithSpecials : kFinite);
  if (HasSpecials()) {
    AppendRaw(wide_->nans, &out);
    AppendRaw(wide_->infinities, &out);
    AppendRaw(wide_->negative_infinities, &out);
  }
  Digits sum = Canonical();
  out.push_back(static_cast<char>(sum.base));
  for (uint32_t digit : sum.digits) {
    AppendRaw(digit, &out);
  }
  return out;
}

absl::Status ExactSum::AddEncoded(std::string_view encoded) {
  size_t specials = !encoded.empty() && encoded[0] == kWithSpecials ? 3 * sizeof(int64_t) : 0;
  size_t header = 2 + specials;
  if (encoded.size() < header || (encoded.size() - header) % sizeof(uint32_t) != 0) {
    return absl::DataLossError("a partial sum of doubles is damaged");
  }
  if (specials != 0) {
    Widen();
    wide_->nans += ReadRaw<int64_t>(encoded.data() + 1);
    wide_->infinities += ReadRaw<int64_t>(encoded.data() + 9);
    wide_->negative_infinities += ReadRaw<int64_t>(encoded.data() + 17);
  }
  int base = static_cast<uint8_t>(encoded[header - 1]);
  int count = static_cast<int>((encoded.size() - header) / sizeof(uint32_t));
  if (count == 0) {
    return absl::OkStatus();
  }
  if (base + count > kLimbs) {
    return absl::DataLossError("a partial sum of doubles is out of range");
  }
  int64_t* limbs = Limbs(base, count);
  for (int i = 0; i < count; ++i) {
    auto digit = ReadRaw<uint32_t>(encoded.data() + header + i * sizeof(uint32_t));
    limbs[i] += i + 1 < count ? static_cast<int64_t>(digit) : static_cast<int32_t>(digit);
  }
  if (++additions_ >= kMaxAdditions) {
    Carry();
  }
  return absl::OkStatus();
}

double ExactSum::Special() const {
  if (wide_->nans != 0 || (wide_->infinities != 0 && wide_->negative_infinities != 0)) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  double infinity = std::numeric_limits<double>::infinity();
  return wide_->infinities != 0 ? infinity : -infinity;
}

double ExactSum::Round(int mantissa_bits, int least_bit) const {
  Digits sum = Canonical();
  if (sum.digits.empty()) {
    return 0;
  }
  bool negative = (sum.digits.back() >> 31) != 0;
  if (negative) {
    Negate(&sum.digits);
  }
  while (!sum.digits.empty() && sum.digits.back() == 0) {
    sum.digits.pop_back();
  }
  int top = static_cast<int>(sum.digits.size()) * 32 - 1 - std::countl_zero(sum.digits.back());
  // The result's last bit, counted within the digits; below the smallest subnormal there is none.
  int last = std::max(top - mantissa_bits + 1, least_bit - sum.base * 32);
  int position = last + sum.base * 32 - kBias;
  if (last <= 0) {
    uint64_t bits = ExtractBits(sum.digits, 0, top + 1);
    double exact = std::ldexp(static_cast<double>(bits), sum.base * 32 - kBias);
    return negative ? -exact : exact;
  }
  uint64_t mantissa = top >= last ? ExtractBits(sum.digits, last, top - last + 1) : 0;
  bool half = ExtractBits(sum.digits, last - 1, 1) != 0;
  if (half && ((mantissa & 1) != 0 || AnyBitBelow(sum.digits, last - 1))) {
    ++mantissa;
  }
  double rounded = std::ldexp(static_cast<double>(mantissa), position);
  return negative ? -rounded : rounded;
}

absl::StatusOr<double> ExactSum::ToDouble() const {
  if (HasSpecials()) {
    return Special();
  }
  double rounded = Round(53, kBias - 1074);
  if (std::isinf(rounded)) {
    return absl::OutOfRangeError("value out of range: overflow");
  }
  return rounded;
}

absl::StatusOr<float> ExactSum::ToFloat() const {
  if (HasSpecials()) {
    return static_cast<float>(Special());
  }
  double rounded = Round(24, kBias - 149);
  if (std::abs(rounded) > std::numeric_limits<float>::max()) {
    return absl::OutOfRangeError("value out of range: overflow");
  }
  return static_cast<float>(rounded);
}

}  // namespace millrace
