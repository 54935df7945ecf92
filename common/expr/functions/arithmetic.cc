// + − * / % and bit operators on numbers, with PostgreSQL's errors.
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/expr/functions/families.h"

namespace millrace {
namespace {

template <typename T>
constexpr const char* IntegerName() {
  return std::is_same_v<T, int16_t> ? "smallint"
                                    : (std::is_same_v<T, int32_t> ? "integer" : "bigint");
}

template <typename T>
[[gnu::cold, gnu::noinline]] absl::Status IntegerOutOfRange() {
  return absl::OutOfRangeError(absl::StrCat(IntegerName<T>(), " out of range"));
}
[[gnu::cold, gnu::noinline]] absl::Status DivisionByZero() {
  return absl::InvalidArgumentError("division by zero");
}
[[gnu::cold, gnu::noinline]] absl::Status FloatOverflow() {
  return absl::OutOfRangeError("value out of range: overflow");
}
[[gnu::cold, gnu::noinline]] absl::Status FloatUnderflow() {
  return absl::OutOfRangeError("value out of range: underflow");
}

// smallint + integer is an integer, and so on.
template <typename A, typename B>
using Wider = std::conditional_t<(sizeof(A) > sizeof(B)), A, B>;

template <typename A, typename B>
void AddIntegerPair(FunctionList* list) {
  using R = Wider<A, B>;
  list->Add("+", [](A a, B b) -> absl::StatusOr<R> {
    R result;
    return __builtin_add_overflow(a, b, &result) ? absl::StatusOr<R>(IntegerOutOfRange<R>())
                                                 : result;
  });
  list->Add("-", [](A a, B b) -> absl::StatusOr<R> {
    R result;
    return __builtin_sub_overflow(a, b, &result) ? absl::StatusOr<R>(IntegerOutOfRange<R>())
                                                 : result;
  });
  list->Add("*", [](A a, B b) -> absl::StatusOr<R> {
    R result;
    return __builtin_mul_overflow(a, b, &result) ? absl::StatusOr<R>(IntegerOutOfRange<R>())
                                                 : result;
  });
  list->Add("/", [](A a, B b) -> absl::StatusOr<R> {
    if (b == 0) {
      return DivisionByZero();
    }
    if (b == -1) {  // the smallest value has no counterpart
      R result;
      return __builtin_sub_overflow(R{0}, a, &result) ? absl::StatusOr<R>(IntegerOutOfRange<R>())
                                                      : result;
    }
    return static_cast<R>(a / b);
  });
}

template <typename T>
absl::StatusOr<T> IntegerModulo(T a, T b) {
  if (b == 0) {
    return DivisionByZero();
  }
  return b == -1 ? T{0} : static_cast<T>(a % b);  // the smallest value % −1 would trap
}

template <typename T>
absl::StatusOr<T> IntegerNegate(T value) {
  if (value == std::numeric_limits<T>::min()) {
    return IntegerOutOfRange<T>();
  }
  return static_cast<T>(-value);
}

template <typename T>
absl::StatusOr<T> IntegerAbs(T value) {
  return value < 0 ? IntegerNegate(value) : absl::StatusOr<T>(value);
}

template <typename T>
void AddInteger(FunctionList* list) {
  // A smallint is shifted as an integer, so that a shift by 16 leaves nothing of it.
  using Shifted = decltype(T{} << 1);
  constexpr int32_t kShiftMask = sizeof(Shifted) * 8 - 1;
  for (const char* name : {"%", "mod"}) {
    list->Add(name, [](T a, T b) { return IntegerModulo(a, b); });
  }
  list->Add("-", [](T value) { return IntegerNegate(value); });
  list->Add("+", [](T value) { return value; });
  for (const char* name : {"abs", "@"}) {
    list->Add(name, [](T value) { return IntegerAbs(value); });
  }
  list->Add("&", [](T a, T b) { return static_cast<T>(a & b); });
  list->Add("|", [](T a, T b) { return static_cast<T>(a | b); });
  list->Add("#", [](T a, T b) { return static_cast<T>(a ^ b); });
  list->Add("~", [](T a) { return static_cast<T>(~a); });
  list->Add("<<", [](T a, int32_t b) {
    return static_cast<T>(static_cast<std::make_unsigned_t<Shifted>>(a) << (b & kShiftMask));
  });
  list->Add(">>", [](T a, int32_t b) { return static_cast<T>(a >> (b & kShiftMask)); });
}

template <typename R>
absl::StatusOr<R> CheckFloat(R result, bool infinite_input, bool may_be_zero) {
  if (std::isinf(result) && !infinite_input) [[unlikely]] {
    return FloatOverflow();
  }
  if (result == 0 && !may_be_zero) [[unlikely]] {
    return FloatUnderflow();
  }
  return result;
}

template <typename A, typename B>
void AddFloatPair(FunctionList* list) {
  using R = Wider<A, B>;
  list->Add("+", [](A a, B b) -> absl::StatusOr<R> {
    return CheckFloat<R>(static_cast<R>(a) + static_cast<R>(b), std::isinf(a) || std::isinf(b),
                         true);
  });
  list->Add("-", [](A a, B b) -> absl::StatusOr<R> {
    return CheckFloat<R>(static_cast<R>(a) - static_cast<R>(b), std::isinf(a) || std::isinf(b),
                         true);
  });
  list->Add("*", [](A a, B b) -> absl::StatusOr<R> {
    return CheckFloat<R>(static_cast<R>(a) * static_cast<R>(b), std::isinf(a) || std::isinf(b),
                         a == 0 || b == 0);
  });
  list->Add("/", [](A a, B b) -> absl::StatusOr<R> {
    if (b == 0 && !std::isnan(a)) {
      return DivisionByZero();
    }
    return CheckFloat<R>(static_cast<R>(a) / static_cast<R>(b), std::isinf(a),
                         a == 0 || std::isinf(b));
  });
}

template <typename T>
void AddFloat(FunctionList* list) {
  list->Add("-", [](T value) { return -value; });
  list->Add("+", [](T value) { return value; });
  for (const char* name : {"abs", "@"}) {
    list->Add(name, [](T value) { return std::fabs(value); });
  }
}

void AddNumeric(FunctionList* list) {
  list->Add("+", [](const Numeric& a, const Numeric& b) { return Numeric::Add(a, b); });
  list->Add("-", [](const Numeric& a, const Numeric& b) { return Numeric::Subtract(a, b); });
  list->Add("*", [](const Numeric& a, const Numeric& b) { return Numeric::Multiply(a, b); });
  list->Add("/", [](const Numeric& a, const Numeric& b) { return Numeric::Divide(a, b); });
  for (const char* name : {"%", "mod"}) {
    list->Add(name, [](const Numeric& a, const Numeric& b) { return Numeric::Modulo(a, b); });
  }
  list->Add("-", [](const Numeric& value) { return value.Negate(); });
  list->Add("+", [](const Numeric& value) { return value; });
  for (const char* name : {"abs", "@"}) {
    list->Add(name, [](const Numeric& value) { return value.Sign() < 0 ? value.Negate() : value; });
  }
}

}  // namespace

void AddArithmetic(FunctionList* list) {
  AddIntegerPair<int16_t, int16_t>(list);
  AddIntegerPair<int16_t, int32_t>(list);
  AddIntegerPair<int16_t, int64_t>(list);
  AddIntegerPair<int32_t, int16_t>(list);
  AddIntegerPair<int32_t, int32_t>(list);
  AddIntegerPair<int32_t, int64_t>(list);
  AddIntegerPair<int64_t, int16_t>(list);
  AddIntegerPair<int64_t, int32_t>(list);
  AddIntegerPair<int64_t, int64_t>(list);
  AddInteger<int16_t>(list);
  AddInteger<int32_t>(list);
  AddInteger<int64_t>(list);
  AddFloatPair<float, float>(list);
  AddFloatPair<float, double>(list);
  AddFloatPair<double, float>(list);
  AddFloatPair<double, double>(list);
  AddFloat<float>(list);
  AddFloat<double>(list);
  AddNumeric(list);
}

}  // namespace millrace
