// Decimal numbers of any length, as GMP integers: for Numeric's wide values, and for exact sums.
// Every result is held to numeric's own limits, which limits sizes. Plain values and pure
// functions.
#ifndef MILLRACE_COMMON_TYPES_WIDE_NUMERIC_H_
#define MILLRACE_COMMON_TYPES_WIDE_NUMERIC_H_

#include <gmpxx.h>

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/types/numeric.h"

namespace millrace {

// unscaled / 10^scale.
struct WideNumeric {
  mpz_class unscaled;
  int32_t scale = 0;

  // REQUIRES: finite.
  static WideNumeric From(const Numeric& value);
  static mpz_class FromInt128(__int128 value);
  // OUT_OF_RANGE: beyond numeric's bounds.
  absl::StatusOr<NumericValue> ToNumeric() const;

  // The number at `new_scale`, which must not be smaller: no digit is lost.
  mpz_class ScaledTo(int32_t new_scale) const;
  // Rounded half away from zero, or cut towards zero. A negative scale rounds before the point.
  WideNumeric Rounded(int32_t new_scale) const;
  WideNumeric Truncated(int32_t new_scale) const;
  // As Numeric::LeadingExponent. REQUIRES: not zero.
  int LeadingExponent() const;

  static WideNumeric Add(const WideNumeric& a, const WideNumeric& b);
  // The exact product, but rounded to PostgreSQL's limit of digits behind the point.
  static WideNumeric Multiply(const WideNumeric& a, const WideNumeric& b);
  // Rounded half away from zero to `scale`, or cut there. REQUIRES: b is not zero.
  static WideNumeric Divide(const WideNumeric& a, const WideNumeric& b, int32_t scale, bool round);
  static WideNumeric Modulo(const WideNumeric& a, const WideNumeric& b);
  static std::strong_ordering Compare(const WideNumeric& a, const WideNumeric& b);

  // Digits with the point where the scale says, '-' in front.
  std::string ToString() const;
};

// 10^digits.
mpz_class PowerOfTen(int64_t digits);

absl::Status NumericOverflow();

}  // namespace millrace

#endif  // MILLRACE_COMMON_TYPES_WIDE_NUMERIC_H_
