// Exact decimal numbers with PostgreSQL's display scale: 1.0 and 1.00 are equal and print
// differently. Up to 38 digits in all; beyond that operations return OUT_OF_RANGE where PostgreSQL
// would go on (docs/sql.md says so). Plain value, thread-compatible.
#ifndef MILLRACE_COMMON_TYPES_NUMERIC_H_
#define MILLRACE_COMMON_TYPES_NUMERIC_H_

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace millrace {

// value = unscaled / 10^scale, or one of the specials. Specials order as in PostgreSQL: -Inf <
// numbers < +Inf < NaN.
struct Numeric {
  enum class Kind : int32_t { kFinite = 0, kInfinity = 1, kNegativeInfinity = -1, kNaN = 2 };

  __int128 unscaled = 0;
  int32_t scale = 0;  // digits behind the point, ≥ 0
  Kind kind = Kind::kFinite;

  static constexpr int kMaxDigits = 38;

  static Numeric FromInt64(int64_t value) { return Numeric{.unscaled = value}; }
  // Shortest decimal that reads back as `value` to 15 significant digits, as PostgreSQL's float8 →
  // numeric does.
  static absl::StatusOr<Numeric> FromDouble(double value);
  static absl::StatusOr<Numeric> Parse(std::string_view text);

  bool IsFinite() const { return kind == Kind::kFinite; }
  std::string ToString() const;
  double ToDouble() const;
  absl::StatusOr<int64_t> ToInt64() const;  // rounded half away from zero

  // Rounds half away from zero to `scale` digits behind the point (pads with zeros where it has
  // fewer).
  absl::StatusOr<Numeric> Rescale(int32_t new_scale) const;
  // The same number with no trailing zeros behind the point: the canonical form for hashing.
  Numeric Canonical() const;

  static absl::StatusOr<Numeric> Add(const Numeric& a, const Numeric& b);
  static absl::StatusOr<Numeric> Subtract(const Numeric& a, const Numeric& b);
  static absl::StatusOr<Numeric> Multiply(const Numeric& a, const Numeric& b);
  // Result scale as PostgreSQL's select_div_scale (numeric.c). Division by zero is
  // INVALID_ARGUMENT.
  static absl::StatusOr<Numeric> Divide(const Numeric& a, const Numeric& b);
  static absl::StatusOr<Numeric> Modulo(const Numeric& a, const Numeric& b);
  Numeric Negate() const;

  // Orders by value, not by scale; NaN equals NaN and is the largest.
  static std::strong_ordering Compare(const Numeric& a, const Numeric& b);
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_TYPES_NUMERIC_H_
