// Exact decimal numbers as PostgreSQL's numeric: up to 131,072 digits before the point and 16,383
// behind it, with a display scale: 1.0 and 1.00 are equal and print differently.
//
// There are two forms. *Narrow*: up to 38 digits in all, stored in the 32 bytes of the cell; nearly
// all values are narrow, and every operation has a fast path for them. *Wide*: all others; their
// digits are outside of the cell. A value is narrow whenever it can be, so that equal values of one
// scale have the same form.
//
// Numeric is to NumericValue what string_view is to string. Numeric is a plain cell, as columns
// hold it, whose wide digits belong to a column or a NumericValue; NumericValue owns its digits. A
// new value that may be wide is returned as a NumericValue. A view of a temporary does not compile;
// keep the value.
//
// Wide arithmetic is GMP's (wide_numeric.h). Plain values, thread-compatible.
#ifndef MILLRACE_COMMON_TYPES_NUMERIC_H_
#define MILLRACE_COMMON_TYPES_NUMERIC_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace millrace {

class NumericValue;

struct Numeric {
  // Specials order as in PostgreSQL: -Infinity < numbers < Infinity < NaN.
  enum class Kind : int32_t {
    kFinite = 0,  // narrow: unscaled / 10^scale
    kInfinity = 1,
    kNegativeInfinity = -1,
    kNaN = 2,
    kWide = 3,  // ± digits · 10^exponent, where digits is an integer that 10 does not divide
    kNegativeWide = 4,
  };

  // In a wide value: the address of the digits (low 8 bytes), their length in bytes, the exponent.
  __int128 unscaled = 0;
  int32_t scale = 0;  // digits shown behind the point, ≥ 0
  Kind kind = Kind::kFinite;

  static constexpr int kMaxNarrowDigits = 38;
  // PostgreSQL's bounds of any value.
  static constexpr int kMaxWholeDigits = 131072;
  static constexpr int kMaxScale = 16383;
  // The limit for results of division, roots, logarithms and powers.
  static constexpr int kMaxResultScale = 1000;

  static Numeric FromInt64(int64_t value) { return Numeric{.unscaled = value}; }
  static NumericValue FromInt128(__int128 value);
  static Numeric NaN() { return Numeric{.kind = Kind::kNaN}; }
  static Numeric Infinity() { return Numeric{.kind = Kind::kInfinity}; }
  // Shortest decimal that reads back as `value` to 15 significant digits, as PostgreSQL's float8 →
  // numeric does.
  static absl::StatusOr<NumericValue> FromDouble(double value);
  // INVALID_ARGUMENT for what is no number, OUT_OF_RANGE for one beyond the bounds; both in
  // PostgreSQL's words.
  static absl::StatusOr<NumericValue> Parse(std::string_view text);

  bool IsWide() const { return kind == Kind::kWide || kind == Kind::kNegativeWide; }
  bool IsFinite() const { return kind == Kind::kFinite || IsWide(); }
  bool IsNaN() const { return kind == Kind::kNaN; }
  bool IsZero() const {
    return kind == Kind::kFinite ? unscaled == 0 : kind == Kind::kWide && digit_bytes() == 0;
  }
  // −1, 0 or 1; 0 for NaN.
  int Sign() const;
  std::string ToString() const;
  // The nearest double; ±infinity or 0 where it is out of range.
  double ToDouble() const;
  absl::StatusOr<int64_t> ToInt64() const;  // rounded half away from zero

  // Rounds half away from zero to `scale` digits behind the point (pads with zeros where it has
  // fewer); a negative one rounds before the point.
  absl::StatusOr<NumericValue> Rescale(int32_t new_scale) const;
  // Rounds towards zero, without padding.
  absl::StatusOr<NumericValue> Truncate(int32_t new_scale) const;
  // The same number with no trailing zeros behind the point: the canonical form for hashing. A view
  // of the same digits. A wide value may have become narrow by it.
  Numeric Canonical() const;
  // The power of ten of the first digit: 0 for 1 to 9.99…, −1 for 0.1. REQUIRES: finite, not zero.
  int LeadingExponent() const;
  // Whether the integer is odd. REQUIRES: finite, without digits behind the point but zeros.
  bool IsOdd() const;

  static absl::StatusOr<NumericValue> Add(const Numeric& a, const Numeric& b);
  static absl::StatusOr<NumericValue> Subtract(const Numeric& a, const Numeric& b);
  static absl::StatusOr<NumericValue> Multiply(const Numeric& a, const Numeric& b);
  // Result scale as PostgreSQL's select_div_scale (numeric.c). Division by zero is
  // INVALID_ARGUMENT.
  static absl::StatusOr<NumericValue> Divide(const Numeric& a, const Numeric& b);
  // The quotient without its fraction.
  static absl::StatusOr<NumericValue> DivideWhole(const Numeric& a, const Numeric& b);
  static absl::StatusOr<NumericValue> Modulo(const Numeric& a, const Numeric& b);
  // A view of the same digits.
  Numeric Negate() const;

  // Orders by value, not by scale; NaN equals NaN and is the largest.
  static std::strong_ordering Compare(const Numeric& a, const Numeric& b);

  // ---- Where wide digits are ----

  // Little-endian bytes of the integer; empty for what is not wide.
  std::string_view digits() const;
  // The power of ten that the digits are multiplied with. REQUIRES: wide.
  int32_t exponent() const { return static_cast<int32_t>(static_cast<uint64_t>(unscaled >> 96)); }
  // The same value with its digits elsewhere. REQUIRES: a copy of digits() is there.
  Numeric WithDigitsAt(const char* digits) const;
  static Numeric Wide(bool negative, std::string_view digits, int32_t exponent, int32_t scale);

  // ---- Bytes outside of the process ----

  // Appends the cell, without addresses and padding, then the digits. A narrow value has no digits
  // there, so its bytes are those of versions without wide values.
  void AppendBytes(std::string* out) const;
  // Checks a cell from outside. Nothing else but digit_bytes() may be called before.
  absl::Status Check() const;
  size_t digit_bytes() const {
    return IsWide() ? static_cast<uint32_t>(static_cast<uint64_t>(unscaled >> 64)) : 0;
  }
  // Removes what AppendBytes wrote from the front of `bytes`, and returns a view of it. DATA_LOSS
  // if it is not there.
  static absl::StatusOr<Numeric> CutBytes(std::string_view* bytes);
};

// A Numeric that owns its digits. Moves, and copies deeply.
class NumericValue {
 public:
  NumericValue() = default;
  NumericValue(const Numeric& value) { *this = value; }  // NOLINT: as string from string_view
  NumericValue(const NumericValue& other) { *this = other.view_; }
  NumericValue& operator=(const NumericValue& other) { return *this = other.view_; }
  NumericValue(NumericValue&& other) noexcept = default;
  NumericValue& operator=(NumericValue&& other) noexcept = default;
  NumericValue& operator=(const Numeric& value);

  const Numeric& view() const& { return view_; }
  const Numeric& view() && = delete;
  operator const Numeric&() const& { return view_; }  // NOLINT: as string to string_view
  operator const Numeric&() && = delete;              // would be left without digits
  const Numeric* operator->() const { return &view_; }

  // The bytes that it holds outside of the object.
  size_t OwnedBytes() const { return view_.digit_bytes(); }

 private:
  Numeric view_;
  std::unique_ptr<char[]> digits_;
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_TYPES_NUMERIC_H_
