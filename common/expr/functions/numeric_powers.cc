// Roots, powers and logarithms of numeric: MPFR computes them to more digits than are shown, and
// they are rounded to the scale that PostgreSQL's numeric.c gives them (the function named at each
// scale): at least 16 significant digits, and no less than the arguments have.
#include <mpfr.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "common/base/status.h"
#include "common/expr/functions/families.h"
#include "common/types/wide_numeric.h"

namespace millrace {
namespace {

constexpr int kMinSignificantDigits = 16;
// NUMERIC_MAX_RESULT_SCALE: e to three times this is beyond what PostgreSQL computes.
constexpr double kMaxExponentOfE = 3 * 2000;
constexpr double kLog10OfE = 0.434294481903252;
constexpr double kLn10 = 2.302585092994046;
constexpr double kBitsPerDigit = 3.3219280948873626;
constexpr mpfr_prec_t kGuardBits = 96;

// A binary floating-point number of chosen precision.
class Real {
 public:
  explicit Real(mpfr_prec_t bits) { mpfr_init2(value_, bits); }
  Real(const Real&) = delete;
  Real& operator=(const Real&) = delete;
  // Frees the constants that MPFR keeps for this thread, which would outlive it.
  ~Real() {
    mpfr_clear(value_);
    mpfr_free_cache2(MPFR_FREE_LOCAL_CACHE);
  }

  mpfr_ptr get() { return value_; }

  void Set(const WideNumeric& number) {
    const mpz_class divisor = PowerOfTen(number.scale);
    mpq_class quotient;
    mpz_set(quotient.get_num_mpz_t(), number.unscaled.get_mpz_t());
    mpz_set(quotient.get_den_mpz_t(), divisor.get_mpz_t());
    mpfr_set_q(value_, quotient.get_mpq_t(), MPFR_RNDN);
  }

  // Rounded to `scale` digits behind the point.
  WideNumeric Rounded(int scale) {
    Real scaled(mpfr_get_prec(value_) + kGuardBits);
    mpfr_mul_z(scaled.value_, value_, PowerOfTen(scale).get_mpz_t(), MPFR_RNDN);
    mpfr_round(scaled.value_, scaled.value_);
    WideNumeric result{.unscaled = 0, .scale = scale};
    mpfr_get_z(result.unscaled.get_mpz_t(), scaled.value_, MPFR_RNDN);
    return result;
  }

 private:
  mpfr_t value_;
};

// Bits that a result of about 10^magnitude needs to be right at `scale`.
mpfr_prec_t BitsFor(double magnitude, int scale) {
  return static_cast<mpfr_prec_t>((std::max(magnitude, 0.0) + scale) * kBitsPerDigit) + kGuardBits;
}

// The scale that shows 16 significant digits of a value of about 10^magnitude, but no less than the
// arguments'.
int ResultScale(double magnitude, int argument_scale) {
  const double scale = kMinSignificantDigits - std::trunc(magnitude);
  return static_cast<int>(std::clamp(std::max(scale, static_cast<double>(argument_scale)), 0.0,
                                     static_cast<double>(Numeric::kMaxResultScale)));
}

absl::StatusOr<NumericValue> Zero(int scale) {
  return WideNumeric{.unscaled = 0, .scale = scale}.ToNumeric();
}

// The weight of the first base-10000 digit.
int GroupWeight(const Numeric& value) {
  const int exponent = value.IsZero() ? 0 : value.LeadingExponent();
  return exponent >= 0 ? exponent / 4 : -((-exponent + 3) / 4);
}

absl::StatusOr<NumericValue> SquareRoot(const Numeric& value) {
  if (value.Sign() < 0) {
    return absl::InvalidArgumentError("cannot take square root of a negative number");
  }
  if (!value.IsFinite()) {
    return NumericValue(value);
  }
  const int digits_before_point = GroupWeight(value) * 2 + 1;
  const int scale =
      std::min(std::max({kMinSignificantDigits - digits_before_point, value.scale, 0}),
               Numeric::kMaxResultScale);
  // The root of v · 10^(2 · (scale + 1)) has one digit more than is shown.
  WideNumeric root{.unscaled = WideNumeric::From(value).Rounded(2 * (scale + 1)).unscaled,
                   .scale = scale + 1};
  mpz_sqrt(root.unscaled.get_mpz_t(), root.unscaled.get_mpz_t());
  return root.Rounded(scale).ToNumeric();
}

// numeric_exp
absl::StatusOr<NumericValue> Exp(const Numeric& value) {
  if (!value.IsFinite()) {
    return NumericValue(value.kind == Numeric::Kind::kNegativeInfinity ? Numeric{} : value);
  }
  const double exponent = value.ToDouble();
  const double magnitude = std::clamp(exponent * kLog10OfE, -2000.0, 2000.0);
  const int scale = ResultScale(magnitude, value.scale);
  if (std::fabs(exponent) >= kMaxExponentOfE) {
    return exponent > 0 ? NumericOverflow() : Zero(scale);
  }
  Real result(BitsFor(exponent * kLog10OfE, scale));
  result.Set(WideNumeric::From(value));
  mpfr_exp(result.get(), result.get(), MPFR_RNDN);
  return result.Rounded(scale).ToNumeric();
}

absl::Status CheckLogarithm(const Numeric& value) {
  if (value.IsZero()) {
    return absl::InvalidArgumentError("cannot take logarithm of zero");
  }
  if (value.Sign() < 0) {
    return absl::InvalidArgumentError("cannot take logarithm of a negative number");
  }
  return absl::OkStatus();
}

bool IsCloseToOne(const WideNumeric& value) {
  static const WideNumeric kLeast{.unscaled = 9, .scale = 1};
  static const WideNumeric kMost{.unscaled = 11, .scale = 1};
  return WideNumeric::Compare(value, kLeast) >= 0 && WideNumeric::Compare(value, kMost) <= 0;
}

WideNumeric LessOne(const WideNumeric& value) {
  return WideNumeric::Add(value, WideNumeric{.unscaled = -1, .scale = 0});
}

// The power of ten of a logarithm's first digit, as estimate_ln_dweight guesses it.
int LogarithmMagnitude(const Numeric& value) {
  const WideNumeric wide = WideNumeric::From(value);
  if (IsCloseToOne(wide)) {
    const WideNumeric distance = LessOne(wide);
    return sgn(distance.unscaled) == 0 ? 0 : distance.LeadingExponent();
  }
  // From the first two base-10000 digits.
  const int shift = (GroupWeight(value) - 1) * 4;
  const WideNumeric shifted{.unscaled = wide.unscaled, .scale = wide.scale + shift};
  const double digits =
      (shifted.scale > 0 ? shifted.Truncated(0).unscaled : shifted.ScaledTo(0)).get_d();
  return static_cast<int>(std::log10(std::fabs(std::log(digits) + shift * kLn10)));
}

// The natural logarithm, good in `bits` of its own first digits.
void SetLogarithm(const WideNumeric& value, Real* out) {
  if (IsCloseToOne(value)) {
    out->Set(LessOne(value));
    mpfr_log1p(out->get(), out->get(), MPFR_RNDN);
  } else {
    out->Set(value);
    mpfr_log(out->get(), out->get(), MPFR_RNDN);
  }
}

// numeric_ln
absl::StatusOr<NumericValue> Ln(const Numeric& value) {
  RETURN_IF_ERROR(CheckLogarithm(value));
  if (!value.IsFinite()) {
    return NumericValue(value);
  }
  const int magnitude = LogarithmMagnitude(value);
  const int scale = ResultScale(magnitude, value.scale);
  Real result(BitsFor(magnitude, scale));
  SetLogarithm(WideNumeric::From(value), &result);
  return result.Rounded(scale).ToNumeric();
}

// log_var
absl::StatusOr<NumericValue> Log(const Numeric& base, const Numeric& value) {
  if (base.IsNaN() || value.IsNaN()) {
    return NumericValue(Numeric::NaN());
  }
  RETURN_IF_ERROR(CheckLogarithm(base));
  RETURN_IF_ERROR(CheckLogarithm(value));
  if (!base.IsFinite() || !value.IsFinite()) {
    return NumericValue(base.IsFinite()    ? Numeric::Infinity()
                        : value.IsFinite() ? Numeric{}
                                           : Numeric::NaN());
  }
  const int magnitude = LogarithmMagnitude(value) - LogarithmMagnitude(base);
  const int scale = ResultScale(magnitude, std::max(base.scale, value.scale));
  Real divisor(BitsFor(magnitude + 1, scale));
  Real result(BitsFor(magnitude + 1, scale));
  SetLogarithm(WideNumeric::From(base), &divisor);
  SetLogarithm(WideNumeric::From(value), &result);
  if (mpfr_zero_p(divisor.get()) != 0) {
    return absl::InvalidArgumentError("division by zero");
  }
  mpfr_div(result.get(), result.get(), divisor.get(), MPFR_RNDN);
  return result.Rounded(scale).ToNumeric();
}

double Log10Of(const Numeric& value) {
  Real result(64);
  result.Set(WideNumeric::From(value));
  mpfr_abs(result.get(), result.get(), MPFR_RNDN);
  mpfr_log10(result.get(), result.get(), MPFR_RNDN);
  return mpfr_get_d(result.get(), MPFR_RNDN);
}

// power_var_int
absl::StatusOr<NumericValue> WholePower(const Numeric& base, int64_t exponent) {
  const int scale = std::min(std::max(kMinSignificantDigits, base.scale), Numeric::kMaxResultScale);
  if (exponent == 0 || base.IsZero()) {
    return Numeric::FromInt64(exponent == 0 ? 1 : 0).Rescale(scale);
  }
  const double magnitude = static_cast<double>(exponent) * Log10Of(base);
  if (magnitude > Numeric::kMaxWholeDigits) {
    return NumericOverflow();
  }
  if (magnitude + 1 < -scale) {
    return Zero(scale);
  }
  const WideNumeric wide = WideNumeric::From(base);
  const auto base_bits = static_cast<mpfr_prec_t>(mpz_sizeinbase(wide.unscaled.get_mpz_t(), 2));
  Real result(std::max(BitsFor(magnitude, scale), std::min<mpfr_prec_t>(base_bits, 4096)));
  result.Set(wide);
  mpfr_pow_si(result.get(), result.get(), exponent, MPFR_RNDN);
  return result.Rounded(scale).ToNumeric();
}

// power_var for an exponent that is no 32-bit integer; the caller handles the base's sign.
absl::StatusOr<NumericValue> AnyPower(const Numeric& base, const Numeric& exponent) {
  const double magnitude = exponent.ToDouble() * Log10Of(base);
  if (std::fabs(magnitude / kLog10OfE) > kMaxExponentOfE * 1.0033) {
    return magnitude > 0 ? NumericOverflow() : Zero(Numeric::kMaxResultScale);
  }
  const int scale = ResultScale(magnitude, std::max(base.scale, exponent.scale));
  if (std::fabs(magnitude / kLog10OfE) >= kMaxExponentOfE) {
    return magnitude > 0 ? NumericOverflow() : Zero(scale);
  }
  Real result(BitsFor(magnitude, scale));
  Real factor(BitsFor(magnitude, scale));
  SetLogarithm(WideNumeric::From(base), &result);
  factor.Set(WideNumeric::From(exponent));
  mpfr_mul(result.get(), result.get(), factor.get(), MPFR_RNDN);
  mpfr_exp(result.get(), result.get(), MPFR_RNDN);
  return result.Rounded(scale).ToNumeric();
}

absl::StatusOr<NumericValue> Power(const Numeric& base, const Numeric& exponent) {
  if (base.IsNaN() || exponent.IsNaN()) {
    const bool is_one = exponent.IsZero() || Numeric::Compare(base, Numeric::FromInt64(1)) == 0;
    return NumericValue(is_one ? Numeric::FromInt64(1) : Numeric::NaN());
  }
  if (base.IsZero() && exponent.Sign() < 0) {
    return absl::InvalidArgumentError("zero raised to a negative power is undefined");
  }
  const bool whole = exponent.IsFinite() && exponent.Canonical().scale == 0;
  if (base.Sign() < 0 && exponent.IsFinite() && !whole) {
    return absl::InvalidArgumentError(
        "a negative number raised to a non-integer power yields a complex result");
  }
  if (!base.IsFinite() || !exponent.IsFinite()) {
    // Doubles follow the same rules at infinity.
    return Numeric::FromDouble(std::pow(base.ToDouble(), exponent.ToDouble()));
  }
  if (whole) {
    const absl::StatusOr<int64_t> integer = exponent.ToInt64();
    if (integer.ok() && *integer >= std::numeric_limits<int32_t>::min() &&
        *integer <= std::numeric_limits<int32_t>::max()) {
      return WholePower(base, *integer);
    }
  }
  if (base.IsZero()) {
    return Zero(kMinSignificantDigits);
  }
  const bool negative = base.Sign() < 0 && exponent.IsOdd();
  ASSIGN_OR_RETURN(NumericValue result, AnyPower(base.Sign() < 0 ? base.Negate() : base, exponent));
  return negative ? NumericValue(result->Negate()) : std::move(result);
}

}  // namespace

void AddNumericPowers(FunctionList* list) {
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
