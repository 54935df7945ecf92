// Functions on numeric. Powers, roots and logarithms are computed with 100 decimal digits and
// rounded to the scale that PostgreSQL gives them: at least 16 significant digits.
#include <algorithm>
#include <boost/multiprecision/cpp_dec_float.hpp>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "common/base/status.h"
#include "common/expr/functions/families.h"

namespace millrace {
namespace {

using Decimal = boost::multiprecision::cpp_dec_float_100;

constexpr int kMinSignificantDigits = 16;
constexpr int kMaxScale = Numeric::kMaxDigits;

const Numeric kZero;

bool IsNegative(const Numeric& value) { return Numeric::Compare(value, kZero) < 0; }
bool IsNaN(const Numeric& value) { return value.kind == Numeric::Kind::kNaN; }
bool IsInfinite(const Numeric& value) { return !value.IsFinite() && !IsNaN(value); }
Numeric NaN() { return Numeric{.kind = Numeric::Kind::kNaN}; }
Numeric Infinity() { return Numeric{.kind = Numeric::Kind::kInfinity}; }

// Towards zero, keeping `scale` digits.
absl::StatusOr<Numeric> Truncate(const Numeric& value, int32_t scale) {
  if (!value.IsFinite() || scale >= value.scale) {
    return value.Rescale(scale);
  }
  Numeric result = value;
  int32_t kept = std::max(scale, 0);
  for (; result.scale > kept; --result.scale) {
    result.unscaled /= 10;
  }
  __int128 power = 1;
  for (int32_t i = scale; i < 0; ++i) {
    if (__builtin_mul_overflow(power, static_cast<__int128>(10), &power)) {
      return Numeric{};
    }
  }
  result.unscaled -= result.unscaled % power;
  return result;
}

absl::StatusOr<Numeric> Floor(const Numeric& value) {
  ASSIGN_OR_RETURN(Numeric whole, Truncate(value, 0));
  if (value.IsFinite() && Numeric::Compare(value, whole) < 0) {
    --whole.unscaled;
  }
  return whole;
}

absl::StatusOr<Numeric> Ceil(const Numeric& value) {
  ASSIGN_OR_RETURN(Numeric negative, Floor(value.Negate()));
  return negative.Negate();
}

// PostgreSQL accepts any scale; ours ends at 38 digits.
int32_t ClampScale(int32_t scale) { return std::clamp(scale, -kMaxScale, kMaxScale); }

void AddRounding(FunctionList* list) {
  list->Add("ceil", [](const Numeric& value) { return Ceil(value); });
  list->Add("ceiling", [](const Numeric& value) { return Ceil(value); });
  list->Add("floor", [](const Numeric& value) { return Floor(value); });
  list->Add("round", [](const Numeric& value) { return value.Rescale(0); });
  list->Add("round",
            [](const Numeric& value, int32_t scale) { return value.Rescale(ClampScale(scale)); });
  list->Add("trunc", [](const Numeric& value) { return Truncate(value, 0); });
  list->Add("trunc",
            [](const Numeric& value, int32_t scale) { return Truncate(value, ClampScale(scale)); });
  list->Add("sign", [](const Numeric& value) {
    auto order = Numeric::Compare(value, kZero);
    return IsNaN(value) ? value : Numeric::FromInt64(order < 0 ? -1 : (order > 0 ? 1 : 0));
  });
  list->Add("div", [](const Numeric& a, const Numeric& b) -> absl::StatusOr<Numeric> {
    ASSIGN_OR_RETURN(Numeric rest, Numeric::Modulo(a, b));
    if (!a.IsFinite() || !b.IsFinite()) {
      return IsNaN(rest) ? Numeric::Divide(a, b) : Numeric{};
    }
    ASSIGN_OR_RETURN(Numeric whole, Numeric::Subtract(a, rest));
    ASSIGN_OR_RETURN(Numeric quotient, Numeric::Divide(whole, b));
    return quotient.Rescale(0);
  });
  list->Add("scale", [](const Numeric& value) -> std::optional<int32_t> {
    return value.IsFinite() ? std::optional<int32_t>(value.scale) : std::nullopt;
  });
  list->Add("min_scale", [](const Numeric& value) -> std::optional<int32_t> {
    return value.IsFinite() ? std::optional<int32_t>(value.Canonical().scale) : std::nullopt;
  });
  list->Add("trim_scale", [](const Numeric& value) { return value.Canonical(); });
}

Decimal ToDecimal(const Numeric& value) { return Decimal(value.ToString()); }

absl::StatusOr<Numeric> FromDecimal(const Decimal& value, int scale) {
  scale = std::min(scale, kMaxScale);
  ASSIGN_OR_RETURN(Numeric result, Numeric::Parse(value.str(scale, std::ios_base::fixed)));
  return result.Rescale(scale);
}

// The scale that shows 16 significant digits of a value of about 10^magnitude, but no less than the
// inputs'.
int ResultScale(double magnitude, int input_scale) {
  double scale = kMinSignificantDigits - std::trunc(magnitude);
  return static_cast<int>(
      std::clamp(std::max(scale, static_cast<double>(input_scale)), 0.0, 1000.0));
}

// PostgreSQL's weight of the first base-10000 digit.
int GroupWeight(const Numeric& value) {
  std::string digits = value.ToString();
  size_t point = std::min(digits.find('.'), digits.size());
  size_t first = digits.find_first_of("123456789");
  if (first == std::string::npos) {
    return 0;
  }
  int exponent =
      first < point ? static_cast<int>(point - first) - 1 : -static_cast<int>(first - point);
  return exponent >= 0 ? exponent / 4 : -((-exponent + 3) / 4);
}

absl::StatusOr<Numeric> SquareRoot(const Numeric& value) {
  if (!value.IsFinite()) {
    if (value.kind == Numeric::Kind::kNegativeInfinity) {
      return absl::InvalidArgumentError("cannot take square root of a negative number");
    }
    return value;
  }
  if (IsNegative(value)) {
    return absl::InvalidArgumentError("cannot take square root of a negative number");
  }
  int digits_before_point = GroupWeight(value) * 2 + 1;
  int scale = std::max({kMinSignificantDigits - digits_before_point, value.scale, 0});
  return FromDecimal(sqrt(ToDecimal(value)), scale);
}

absl::StatusOr<Numeric> Exp(const Numeric& value) {
  if (!value.IsFinite()) {
    return value.kind == Numeric::Kind::kNegativeInfinity ? Numeric{} : value;
  }
  constexpr double kLog10OfE = 0.434294481903252;
  double magnitude = value.ToDouble() * kLog10OfE;
  if (magnitude > kMaxScale + 1) {
    return absl::OutOfRangeError("value overflows numeric format");
  }
  if (magnitude < -1000) {
    return FromDecimal(Decimal(0), kMaxScale);
  }
  return FromDecimal(exp(ToDecimal(value)), ResultScale(magnitude, value.scale));
}

absl::Status CheckLogarithm(const Numeric& value) {
  if (value.IsFinite() && value.unscaled == 0) {
    return absl::InvalidArgumentError("cannot take logarithm of zero");
  }
  if (IsNegative(value)) {
    return absl::InvalidArgumentError("cannot take logarithm of a negative number");
  }
  return absl::OkStatus();
}

// The decimal magnitude of a logarithm, estimated as PostgreSQL does (estimate_ln_dweight).
int LogarithmMagnitude(const Decimal& value, const Decimal& logarithm) {
  if (value >= Decimal("0.9") && value <= Decimal("1.1")) {
    Decimal distance = abs(value - 1);
    return distance == 0 ? 0 : static_cast<int>(std::floor(static_cast<double>(log10(distance))));
  }
  return static_cast<int>(std::log10(std::fabs(static_cast<double>(logarithm))));
}

absl::StatusOr<Numeric> Ln(const Numeric& value) {
  RETURN_IF_ERROR(CheckLogarithm(value));
  if (!value.IsFinite()) {
    return value;
  }
  Decimal decimal = ToDecimal(value);
  Decimal logarithm = log(decimal);
  return FromDecimal(logarithm, ResultScale(LogarithmMagnitude(decimal, logarithm), value.scale));
}

absl::StatusOr<Numeric> Log(const Numeric& base, const Numeric& value) {
  if (IsNaN(base) || IsNaN(value)) {
    return NaN();
  }
  RETURN_IF_ERROR(CheckLogarithm(base));
  RETURN_IF_ERROR(CheckLogarithm(value));
  if (!base.IsFinite() || !value.IsFinite()) {
    return base.IsFinite() ? Infinity() : (value.IsFinite() ? Numeric{} : NaN());
  }
  Decimal base_decimal = ToDecimal(base);
  Decimal decimal = ToDecimal(value);
  Decimal base_logarithm = log(base_decimal);
  Decimal logarithm = log(decimal);
  if (base_logarithm == 0) {
    return absl::InvalidArgumentError("division by zero");
  }
  int magnitude =
      LogarithmMagnitude(decimal, logarithm) - LogarithmMagnitude(base_decimal, base_logarithm);
  return FromDecimal(logarithm / base_logarithm,
                     ResultScale(magnitude, std::max(base.scale, value.scale)));
}

absl::StatusOr<Numeric> InfinitePower(const Numeric& base, const Numeric& exponent) {
  // Doubles follow the same rules at infinity.
  return Numeric::FromDouble(std::pow(base.ToDouble(), exponent.ToDouble()));
}

absl::StatusOr<Numeric> Power(const Numeric& base, const Numeric& exponent) {
  bool base_is_one = Numeric::Compare(base, Numeric::FromInt64(1)) == 0;
  bool exponent_is_zero = Numeric::Compare(exponent, kZero) == 0;
  if (IsNaN(base) || IsNaN(exponent)) {
    return base_is_one || exponent_is_zero ? Numeric::FromInt64(1) : NaN();
  }
  bool base_is_zero = base.IsFinite() && base.unscaled == 0;
  if (base_is_zero && IsNegative(exponent)) {
    return absl::InvalidArgumentError("zero raised to a negative power is undefined");
  }
  bool integer = exponent.IsFinite() && exponent.Canonical().scale == 0;
  if (IsNegative(base) && !integer && exponent.IsFinite()) {
    return absl::InvalidArgumentError(
        "a negative number raised to a non-integer power yields a complex result");
  }
  if (IsInfinite(base) || IsInfinite(exponent)) {
    return InfinitePower(base, exponent);
  }
  if (base_is_zero) {
    return (exponent_is_zero ? Numeric::FromInt64(1) : kZero).Rescale(kMinSignificantDigits);
  }
  double magnitude = exponent.ToDouble() * std::log10(std::fabs(base.ToDouble()));
  if (magnitude > kMaxScale + 1) {
    return absl::OutOfRangeError("value overflows numeric format");
  }
  int scale = integer ? std::max(kMinSignificantDigits, base.scale)
                      : ResultScale(magnitude, std::max(base.scale, exponent.scale));
  if (magnitude < -1000) {
    return FromDecimal(Decimal(0), scale);
  }
  Decimal result = pow(abs(ToDecimal(base)), ToDecimal(exponent));
  bool odd = integer && exponent.Canonical().unscaled % 2 != 0;
  return FromDecimal(IsNegative(base) && odd ? Decimal(-result) : result, scale);
}

}  // namespace

void AddNumericMath(FunctionList* list) {
  AddRounding(list);
  list->Add("sqrt", [](const Numeric& value) { return SquareRoot(value); });
  list->Add("exp", [](const Numeric& value) { return Exp(value); });
  list->Add("ln", [](const Numeric& value) { return Ln(value); });
  for (const char* name : {"log", "log10"}) {
    list->Add(name, [](const Numeric& value) { return Log(Numeric::FromInt64(10), value); });
  }
  list->Add("log", [](const Numeric& base, const Numeric& value) { return Log(base, value); });
  for (const char* name : {"power", "pow", "^"}) {
    list->Add(name,
              [](const Numeric& base, const Numeric& exponent) { return Power(base, exponent); });
  }
}

}  // namespace millrace
