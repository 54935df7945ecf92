// Functions on double precision and integers.
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <numeric>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/expr/functions/families.h"

namespace millrace {
namespace {

absl::Status InputOutOfRange() { return absl::OutOfRangeError("input is out of range"); }

absl::StatusOr<double> CheckOverflow(double result, bool infinite_input) {
  if (std::isinf(result) && !infinite_input) {
    return absl::OutOfRangeError("value out of range: overflow");
  }
  return result;
}

// For a function whose result is zero only where its argument is.
absl::StatusOr<double> CheckRange(double result, double argument) {
  if (result == 0 && argument != 0) {
    return absl::OutOfRangeError("value out of range: underflow");
  }
  return CheckOverflow(result, std::isinf(argument));
}

absl::StatusOr<double> Power(double base, double exponent) {
  if (std::isnan(base) || std::isnan(exponent)) {
    return std::pow(base, exponent);  // 1 ^ NaN and NaN ^ 0 are 1
  }
  if (base == 0 && exponent < 0) {
    return absl::InvalidArgumentError("zero raised to a negative power is undefined");
  }
  if (base < 0 && std::floor(exponent) != exponent) {
    return absl::InvalidArgumentError(
        "a negative number raised to a non-integer power yields a complex result");
  }
  double result = std::pow(base, exponent);
  if (result == 0 && base != 0 && std::isfinite(base) && std::isfinite(exponent)) {
    return absl::OutOfRangeError("value out of range: underflow");
  }
  return CheckOverflow(result, std::isinf(base) || std::isinf(exponent));
}

absl::Status CheckLogarithm(double value) {
  if (value == 0) {
    return absl::InvalidArgumentError("cannot take logarithm of zero");
  }
  if (value < 0) {
    return absl::InvalidArgumentError("cannot take logarithm of a negative number");
  }
  return absl::OkStatus();
}

absl::StatusOr<double> Exp(double value) {
  double result = std::exp(value);
  if (result == 0 && std::isfinite(value)) {
    return absl::OutOfRangeError("value out of range: underflow");
  }
  return CheckOverflow(result, std::isinf(value));
}

absl::StatusOr<double> SquareRoot(double value) {
  if (value < 0) {
    return absl::InvalidArgumentError("cannot take square root of a negative number");
  }
  return std::sqrt(value);
}

void AddRounding(FunctionList* list) {
  list->Add("ceil", [](double value) { return std::ceil(value); });
  list->Add("ceiling", [](double value) { return std::ceil(value); });
  list->Add("floor", [](double value) { return std::floor(value); });
  list->Add("round", [](double value) { return std::rint(value); });
  list->Add("trunc", [](double value) { return std::trunc(value); });
  list->Add("sign", [](double value) { return value > 0 ? 1.0 : (value < 0 ? -1.0 : 0.0); });
}

void AddPowers(FunctionList* list) {
  for (const char* name : {"power", "pow", "^"}) {
    list->Add(name, [](double base, double exponent) { return Power(base, exponent); });
  }
  for (const char* name : {"sqrt", "|/"}) {
    list->Add(name, [](double value) { return SquareRoot(value); });
  }
  for (const char* name : {"cbrt", "||/"}) {
    list->Add(name, [](double value) { return std::cbrt(value); });
  }
  list->Add("exp", [](double value) { return Exp(value); });
  list->Add("ln", [](double value) -> absl::StatusOr<double> {
    RETURN_IF_ERROR(CheckLogarithm(value));
    return std::log(value);
  });
  for (const char* name : {"log", "log10"}) {
    list->Add(name, [](double value) -> absl::StatusOr<double> {
      RETURN_IF_ERROR(CheckLogarithm(value));
      return std::log10(value);
    });
  }
}

// A function that is not defined at infinity.
template <double (*kFunction)(double)>
void AddFinite(FunctionList* list, const char* name) {
  list->Add(name, [](double value) -> absl::StatusOr<double> {
    if (std::isinf(value)) {
      return InputOutOfRange();
    }
    return kFunction(value);
  });
}

// A function defined on [least, most].
template <double (*kFunction)(double)>
void AddBounded(FunctionList* list, const char* name, double least, double most) {
  list->Add(name, [least, most](double value) -> absl::StatusOr<double> {
    if (value < least || value > most) {
      return InputOutOfRange();
    }
    return kFunction(value);
  });
}

double Cotangent(double value) { return 1.0 / std::tan(value); }

void AddTrigonometry(FunctionList* list) {
  constexpr double kPi = std::numbers::pi;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  AddFinite<std::sin>(list, "sin");
  AddFinite<std::cos>(list, "cos");
  AddFinite<std::tan>(list, "tan");
  AddFinite<Cotangent>(list, "cot");
  AddBounded<std::asin>(list, "asin", -1, 1);
  AddBounded<std::acos>(list, "acos", -1, 1);
  AddBounded<std::acosh>(list, "acosh", 1, kInfinity);
  AddBounded<std::atanh>(list, "atanh", -1, 1);
  list->Add("atan", [](double value) { return std::atan(value); });
  list->Add("atan2", [](double y, double x) { return std::atan2(y, x); });
  list->Add("sinh", [](double value) { return std::sinh(value); });
  list->Add("cosh", [](double value) { return std::cosh(value); });
  list->Add("tanh", [](double value) { return std::tanh(value); });
  list->Add("asinh", [](double value) { return std::asinh(value); });
  list->Add("degrees", [](double value) { return CheckRange(value / (kPi / 180), value); });
  list->Add("radians", [](double value) { return CheckRange(value * (kPi / 180), value); });
  list->Add("pi", [] { return std::numbers::pi; });
}

template <typename T>
absl::StatusOr<T> GreatestCommonDivisor(T a, T b) {
  // In unsigned arithmetic the smallest value has a magnitude too.
  using Unsigned = std::make_unsigned_t<T>;
  auto magnitude = [](T value) {
    return value < 0 ? Unsigned{0} - static_cast<Unsigned>(value) : static_cast<Unsigned>(value);
  };
  Unsigned divisor = std::gcd(magnitude(a), magnitude(b));
  if (divisor > static_cast<Unsigned>(std::numeric_limits<T>::max())) {
    return absl::OutOfRangeError(absl::StrCat(SqlTypeOf<T>().ToString(), " out of range"));
  }
  return static_cast<T>(divisor);
}

template <typename T>
absl::StatusOr<T> LeastCommonMultiple(T a, T b) {
  if (a == 0 || b == 0) {
    return T{0};
  }
  ASSIGN_OR_RETURN(T divisor, GreatestCommonDivisor(a, b));
  T result = 0;
  if (__builtin_mul_overflow(static_cast<T>(a / divisor), b, &result) ||
      result == std::numeric_limits<T>::min()) {
    return absl::OutOfRangeError(absl::StrCat(SqlTypeOf<T>().ToString(), " out of range"));
  }
  return result < 0 ? static_cast<T>(-result) : result;
}

template <typename T>
void AddDivisors(FunctionList* list) {
  list->Add("gcd", [](T a, T b) { return GreatestCommonDivisor(a, b); });
  list->Add("lcm", [](T a, T b) { return LeastCommonMultiple(a, b); });
}

// Which of `count` buckets of equal width between the bounds; 0 and count + 1 lie outside.
absl::StatusOr<int32_t> WidthBucket(double operand, double low, double high, int32_t count) {
  if (count <= 0) {
    return absl::InvalidArgumentError("count must be greater than zero");
  }
  if (std::isnan(operand) || std::isnan(low) || std::isnan(high)) {
    return absl::InvalidArgumentError("operand, lower bound, and upper bound cannot be NaN");
  }
  if (std::isinf(low) || std::isinf(high)) {
    return absl::InvalidArgumentError("lower and upper bounds must be finite");
  }
  if (low == high) {
    return absl::InvalidArgumentError("lower bound cannot equal upper bound");
  }
  bool ascending = low < high;
  if (ascending ? operand < low : operand > low) {
    return 0;
  }
  double bucket = count;
  if (ascending ? operand < high : operand > high) {
    // In this order, so that it is rounded as by PostgreSQL.
    bucket = count * (operand - low) / (high - low);
    if (!std::isfinite(bucket)) {  // the range is too wide for that
      bucket = count * ((operand / 2 - low / 2) / (high / 2 - low / 2));
    }
  }
  if (bucket + 1 > std::numeric_limits<int32_t>::max()) {
    return absl::OutOfRangeError("integer out of range");
  }
  return static_cast<int32_t>(bucket + 1);
}

}  // namespace

void AddMath(FunctionList* list) {
  AddRounding(list);
  AddPowers(list);
  AddTrigonometry(list);
  AddDivisors<int32_t>(list);
  AddDivisors<int64_t>(list);
  list->Add("width_bucket", [](double operand, double low, double high, int32_t count) {
    return WidthBucket(operand, low, high, count);
  });
}

}  // namespace millrace
