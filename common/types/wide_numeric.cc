#include "common/types/wide_numeric.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace millrace {
namespace {

// x / y to the nearest integer, half away from zero.
mpz_class DivideRounded(const mpz_class& x, const mpz_class& y) {
  mpz_class quotient;
  mpz_class rest;
  mpz_tdiv_qr(quotient.get_mpz_t(), rest.get_mpz_t(), x.get_mpz_t(), y.get_mpz_t());
  rest *= 2;
  if (mpz_cmpabs(rest.get_mpz_t(), y.get_mpz_t()) >= 0) {
    quotient += sgn(x) == sgn(y) ? 1 : -1;
  }
  return quotient;
}

// Divides a number that is not zero by the largest power of ten possible, and returns the exponent.
// The powers of two in it limit the powers of ten, so most numbers are quickly found to have none.
int64_t StripTens(mpz_class* value) {
  int64_t stripped = 0;
  while (true) {
    const auto twos = static_cast<int64_t>(mpz_scan1(value->get_mpz_t(), 0));
    if (twos == 0) {
      return stripped;
    }
    // Halves the step until a power divides, so that the whole costs no more than a few divisions.
    bool found = false;
    for (int64_t step = twos; step > 0 && !found; step /= 2) {
      const mpz_class power = PowerOfTen(step);
      if (mpz_divisible_p(value->get_mpz_t(), power.get_mpz_t()) != 0) {
        mpz_divexact(value->get_mpz_t(), value->get_mpz_t(), power.get_mpz_t());
        stripped += step;
        found = true;
      }
    }
    if (!found) {
      return stripped;
    }
  }
}

std::string LittleEndianBytes(const mpz_class& magnitude) {
  std::string bytes((mpz_sizeinbase(magnitude.get_mpz_t(), 2) + 7) / 8, '\0');
  size_t count = 0;
  mpz_export(bytes.data(), &count, -1, 1, 0, 0, magnitude.get_mpz_t());
  bytes.resize(count);
  return bytes;
}

// REQUIRES: the number has at most 38 digits.
__int128 ToInt128(const mpz_class& value) {
  uint64_t halves[2] = {0, 0};
  mpz_export(halves, nullptr, -1, sizeof(uint64_t), 0, 0, value.get_mpz_t());
  const auto magnitude =
      static_cast<__int128>(static_cast<unsigned __int128>(halves[1]) << 64 | halves[0]);
  return sgn(value) < 0 ? -magnitude : magnitude;
}

}  // namespace

mpz_class PowerOfTen(int64_t digits) {
  mpz_class power;
  mpz_ui_pow_ui(power.get_mpz_t(), 10, static_cast<unsigned long>(digits));
  return power;
}

absl::Status NumericOverflow() { return absl::OutOfRangeError("value overflows numeric format"); }

mpz_class WideNumeric::FromInt128(__int128 value) {
  const auto magnitude =
      value < 0 ? -static_cast<unsigned __int128>(value) : static_cast<unsigned __int128>(value);
  const uint64_t halves[2] = {static_cast<uint64_t>(magnitude),
                              static_cast<uint64_t>(magnitude >> 64)};
  mpz_class result;
  mpz_import(result.get_mpz_t(), 2, -1, sizeof(uint64_t), 0, 0, halves);
  return value < 0 ? mpz_class(-result) : result;
}

WideNumeric WideNumeric::From(const Numeric& value) {
  WideNumeric wide{.unscaled = 0, .scale = value.scale};
  if (!value.IsWide()) {
    wide.unscaled = FromInt128(value.unscaled);
    return wide;
  }
  const std::string_view digits = value.digits();
  mpz_import(wide.unscaled.get_mpz_t(), digits.size(), -1, 1, 0, 0, digits.data());
  wide.unscaled *= PowerOfTen(int64_t{value.exponent()} + value.scale);
  if (value.kind == Numeric::Kind::kNegativeWide) {
    wide.unscaled = -wide.unscaled;
  }
  return wide;
}

absl::StatusOr<NumericValue> WideNumeric::ToNumeric() const {
  static const mpz_class kNarrowLimit = PowerOfTen(Numeric::kMaxNarrowDigits);
  if (scale > Numeric::kMaxScale) {
    return NumericOverflow();
  }
  if (scale <= Numeric::kMaxNarrowDigits &&
      mpz_cmpabs(unscaled.get_mpz_t(), kNarrowLimit.get_mpz_t()) < 0) {
    return NumericValue(Numeric{.unscaled = ToInt128(unscaled), .scale = scale});
  }
  if (sgn(unscaled) == 0) {
    return NumericValue(Numeric::Wide(false, "", -scale, scale));
  }
  if (LeadingExponent() >= Numeric::kMaxWholeDigits) {
    return NumericOverflow();
  }
  mpz_class magnitude = abs(unscaled);
  const int64_t tens = StripTens(&magnitude);
  const std::string digits = LittleEndianBytes(magnitude);
  return NumericValue(
      Numeric::Wide(sgn(unscaled) < 0, digits, static_cast<int32_t>(tens - scale), scale));
}

mpz_class WideNumeric::ScaledTo(int32_t new_scale) const {
  return new_scale == scale ? unscaled : mpz_class(unscaled * PowerOfTen(new_scale - scale));
}

WideNumeric WideNumeric::Rounded(int32_t new_scale) const {
  if (new_scale >= scale) {
    return {.unscaled = ScaledTo(new_scale), .scale = new_scale};
  }
  WideNumeric rounded{.unscaled = DivideRounded(unscaled, PowerOfTen(scale - new_scale)),
                      .scale = new_scale};
  return new_scale >= 0 ? rounded
                        : WideNumeric{.unscaled = rounded.unscaled * PowerOfTen(-new_scale)};
}

WideNumeric WideNumeric::Truncated(int32_t new_scale) const {
  if (new_scale >= scale) {
    return *this;
  }
  const WideNumeric cut{.unscaled = unscaled / PowerOfTen(scale - new_scale), .scale = new_scale};
  return new_scale >= 0 ? cut : WideNumeric{.unscaled = cut.unscaled * PowerOfTen(-new_scale)};
}

int WideNumeric::LeadingExponent() const {
  // mpz_sizeinbase may be one too many.
  auto digits = static_cast<int64_t>(mpz_sizeinbase(unscaled.get_mpz_t(), 10));
  if (mpz_cmpabs(unscaled.get_mpz_t(), PowerOfTen(digits - 1).get_mpz_t()) < 0) {
    --digits;
  }
  return static_cast<int>(digits - 1 - scale);
}

WideNumeric WideNumeric::Add(const WideNumeric& a, const WideNumeric& b) {
  const int32_t scale = std::max(a.scale, b.scale);
  return {.unscaled = a.ScaledTo(scale) + b.ScaledTo(scale), .scale = scale};
}

WideNumeric WideNumeric::Multiply(const WideNumeric& a, const WideNumeric& b) {
  const WideNumeric product{.unscaled = a.unscaled * b.unscaled, .scale = a.scale + b.scale};
  return product.scale > Numeric::kMaxScale ? product.Rounded(Numeric::kMaxScale) : product;
}

WideNumeric WideNumeric::Divide(const WideNumeric& a, const WideNumeric& b, int32_t scale,
                                bool round) {
  // a / b · 10^scale = (a.unscaled · 10^shift) / b.unscaled
  const int64_t shift = int64_t{scale} - a.scale + b.scale;
  const mpz_class dividend = shift > 0 ? mpz_class(a.unscaled * PowerOfTen(shift)) : a.unscaled;
  const mpz_class divisor = shift < 0 ? mpz_class(b.unscaled * PowerOfTen(-shift)) : b.unscaled;
  return {.unscaled = round ? DivideRounded(dividend, divisor) : mpz_class(dividend / divisor),
          .scale = scale};
}

WideNumeric WideNumeric::Modulo(const WideNumeric& a, const WideNumeric& b) {
  const int32_t scale = std::max(a.scale, b.scale);
  return {.unscaled = a.ScaledTo(scale) % b.ScaledTo(scale), .scale = scale};
}

std::strong_ordering WideNumeric::Compare(const WideNumeric& a, const WideNumeric& b) {
  const int32_t scale = std::max(a.scale, b.scale);
  return cmp(a.ScaledTo(scale), b.ScaledTo(scale)) <=> 0;
}

std::string WideNumeric::ToString() const {
  std::string text = mpz_class(abs(unscaled)).get_str();
  const auto shown = static_cast<size_t>(scale);
  if (text.size() <= shown) {
    text.insert(0, shown + 1 - text.size(), '0');
  }
  if (shown > 0) {
    text.insert(text.size() - shown, 1, '.');
  }
  return sgn(unscaled) < 0 ? "-" + text : text;
}

}  // namespace millrace
