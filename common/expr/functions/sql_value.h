// The C++ types of SQL values in functions, and how a lambda on values becomes a function on
// columns:
//
//   list->Add("starts_with", [](std::string_view text, std::string_view prefix) {
//     return text.starts_with(prefix);
//   });
//
// The lambda's signature gives argument and result types. A result of type absl::StatusOr<T> may be
// an error of its row; an empty std::optional<T> is NULL; a plain T makes the function infallible.
#ifndef MILLRACE_COMMON_EXPR_FUNCTIONS_SQL_VALUE_H_
#define MILLRACE_COMMON_EXPR_FUNCTIONS_SQL_VALUE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/columnar/column.h"
#include "common/columnar/owned_values.h"
#include "common/expr/function.h"
#include "common/expr/function_registry.h"
#include "common/types/interval.h"
#include "common/types/numeric.h"
#include "common/types/sql_type.h"

namespace millrace {

// SQL types that share a representation are told apart by these.
struct Date {
  int32_t days;
};
struct Timestamp {
  int64_t micros;
};
struct TimestampTz {
  int64_t micros;
};
// Canonical text. The view form may point into an argument; the string form is copied.
struct JsonbView {
  std::string_view text;
};
struct JsonbString {
  std::string text;
};
struct ByteaView {
  std::string_view bytes;
};
struct ByteaString {
  std::string bytes;
};

template <typename T>
struct SqlValue;

// T is held in columns as it is.
template <typename T, TypeId kId>
struct PlainSqlValue {
  static constexpr TypeId kTypeId = kId;
  using Physical = T;
  static T Load(const T& value) { return value; }
  static void Store(const T& value, Column* out, size_t row) {
    out->mutable_values<T>()[row] = value;
  }
};

template <>
struct SqlValue<int16_t> : PlainSqlValue<int16_t, TypeId::kInt16> {};
template <>
struct SqlValue<int32_t> : PlainSqlValue<int32_t, TypeId::kInt32> {};
template <>
struct SqlValue<int64_t> : PlainSqlValue<int64_t, TypeId::kInt64> {};
template <>
struct SqlValue<float> : PlainSqlValue<float, TypeId::kFloat32> {};
template <>
struct SqlValue<double> : PlainSqlValue<double, TypeId::kFloat64> {};
// The digits of wide results are copied, whether they belong to an argument or are new.
template <>
struct SqlValue<Numeric> : PlainSqlValue<Numeric, TypeId::kNumeric> {
  static void Store(const Numeric& value, Column* out, size_t row) { SetNumeric(value, out, row); }
};
template <>
struct SqlValue<NumericValue> {
  static constexpr TypeId kTypeId = TypeId::kNumeric;
  static void Store(const NumericValue& value, Column* out, size_t row) {
    SetNumeric(value, out, row);
  }
};
template <>
struct SqlValue<Interval> : PlainSqlValue<Interval, TypeId::kInterval> {};
template <>
struct SqlValue<Date> : PlainSqlValue<Date, TypeId::kDate> {};
template <>
struct SqlValue<Timestamp> : PlainSqlValue<Timestamp, TypeId::kTimestamp> {};
template <>
struct SqlValue<TimestampTz> : PlainSqlValue<TimestampTz, TypeId::kTimestampTz> {};

template <>
struct SqlValue<bool> {
  static constexpr TypeId kTypeId = TypeId::kBool;
  using Physical = uint8_t;
  static bool Load(uint8_t value) { return value != 0; }
  static void Store(bool value, Column* out, size_t row) {
    out->mutable_values<uint8_t>()[row] = value ? 1 : 0;
  }
};

// Text results that are views are stored without a copy: they must point into an argument or live
// for ever.
template <>
struct SqlValue<std::string_view> {
  static constexpr TypeId kTypeId = TypeId::kText;
  using Physical = TextView;
  static std::string_view Load(const TextView& value) { return value.view(); }
  static void Store(std::string_view value, Column* out, size_t row) {
    out->mutable_values<TextView>()[row] = TextView(value);
  }
};
template <>
struct SqlValue<std::string> {
  static constexpr TypeId kTypeId = TypeId::kText;
  static void Store(std::string_view value, Column* out, size_t row) {
    out->SetTextCopy(row, value);
  }
};
template <>
struct SqlValue<JsonbView> {
  static constexpr TypeId kTypeId = TypeId::kJsonb;
  using Physical = TextView;
  static JsonbView Load(const TextView& value) { return {value.view()}; }
  static void Store(JsonbView value, Column* out, size_t row) {
    out->mutable_values<TextView>()[row] = TextView(value.text);
  }
};
template <>
struct SqlValue<JsonbString> {
  static constexpr TypeId kTypeId = TypeId::kJsonb;
  static void Store(const JsonbString& value, Column* out, size_t row) {
    out->SetTextCopy(row, value.text);
  }
};
template <>
struct SqlValue<ByteaView> {
  static constexpr TypeId kTypeId = TypeId::kBytea;
  using Physical = TextView;
  static ByteaView Load(const TextView& value) { return {value.view()}; }
  static void Store(ByteaView value, Column* out, size_t row) {
    out->mutable_values<TextView>()[row] = TextView(value.bytes);
  }
};
template <>
struct SqlValue<ByteaString> {
  static constexpr TypeId kTypeId = TypeId::kBytea;
  static void Store(const ByteaString& value, Column* out, size_t row) {
    out->SetTextCopy(row, value.bytes);
  }
};

template <typename T>
constexpr SqlType SqlTypeOf() {
  return MakeType(SqlValue<T>::kTypeId);
}
constexpr SqlType ArrayOf(TypeId element) { return ArrayOf(MakeType(element)); }

// Properties of the function that follow from the lambda's result type.
template <typename R>
struct ResultOf {
  using Value = R;
  static constexpr bool kFallible = false;
};
template <typename R>
struct ResultOf<std::optional<R>> : ResultOf<R> {};
template <typename R>
struct ResultOf<absl::StatusOr<R>> {
  using Value = typename ResultOf<R>::Value;
  static constexpr bool kFallible = true;
};

template <typename R>
void StoreResult(R&& result, uint32_t row, RowErrors*, Column* out) {
  SqlValue<std::remove_cvref_t<R>>::Store(result, out, row);
}
template <typename R>
void StoreResult(std::optional<R>&& result, uint32_t row, RowErrors* errors, Column* out) {
  if (result.has_value()) {
    StoreResult(*std::move(result), row, errors, out);
  } else {
    out->SetNull(row);
  }
}
template <typename R>
void StoreResult(absl::StatusOr<R>&& result, uint32_t row, RowErrors* errors, Column* out) {
  if (result.ok()) {
    StoreResult(*std::move(result), row, errors, out);
  } else {
    errors->Add(row, std::move(result).status());
  }
}

// A lambda's parameter and result types.
template <typename Fn>
struct Callable : Callable<decltype(&Fn::operator())> {};
template <typename Class, typename R, typename... Args>
struct Callable<R (Class::*)(Args...) const> {
  using Result = R;
  using Arguments = std::tuple<std::remove_cvref_t<Args>...>;
};

// Values of one argument by row: a pointer and a step of 0 (constant) or 1.
template <typename T>
class ArgReader {
 public:
  explicit ArgReader(const FunctionArg& arg)
      : values_(arg.column->values<typename SqlValue<T>::Physical>()),
        step_(arg.constant ? 0 : 1) {}
  T operator[](uint32_t row) const { return SqlValue<T>::Load(values_[row * step_]); }

 private:
  const typename SqlValue<T>::Physical* values_;
  size_t step_;
};

// Registers functions one after another; keeps the first error.
class FunctionList {
 public:
  explicit FunctionList(FunctionRegistry* registry) : registry_(registry) {}

  // A strict function from a lambda on values.
  template <typename Fn>
  void Add(std::string name, Fn fn) {
    Add(MakeFunction(std::move(name), std::move(fn)));
  }
  void Add(ScalarFunction function) { Keep(registry_->Add(std::move(function))); }
  void Add(TableFunctionDef function) { Keep(registry_->Add(std::move(function))); }

  template <typename Fn>
  static ScalarFunction MakeFunction(std::string name, Fn fn) {
    using Arguments = typename Callable<Fn>::Arguments;
    return MakeFromTuple(std::move(name), std::move(fn), static_cast<Arguments*>(nullptr));
  }

  // A cast added before; null when there is none.
  const ScalarFunction* FindCast(const SqlType& from, const SqlType& to) const {
    return registry_->FindScalar("cast", {from}, to);
  }

  const absl::Status& status() const { return status_; }

 private:
  template <typename Fn, typename... Args>
  static ScalarFunction MakeFromTuple(std::string name, Fn fn, std::tuple<Args...>*) {
    using Result = ResultOf<typename Callable<Fn>::Result>;
    ScalarFunction function;
    function.name = std::move(name);
    function.arg_types = {SqlTypeOf<Args>()...};
    function.result = SqlTypeOf<typename Result::Value>();
    function.infallible = !Result::kFallible;
    function.kernel = [fn = std::move(fn)](const std::vector<FunctionArg>& args,
                                           const FunctionCallContext& context, Column* out) {
      Run(fn, args, context, out, static_cast<std::tuple<Args...>*>(nullptr),
          std::index_sequence_for<Args...>());
    };
    return function;
  }

  template <typename Fn, typename... Args, size_t... kIndex>
  static void Run(const Fn& fn, const std::vector<FunctionArg>& args,
                  const FunctionCallContext& context, Column* out, std::tuple<Args...>*,
                  std::index_sequence<kIndex...>) {
    [[maybe_unused]] std::tuple<ArgReader<Args>...> readers{ArgReader<Args>(args[kIndex])...};
    context.rows.ForEach([&](uint32_t row) {
      StoreResult(fn(std::get<kIndex>(readers)[row]...), row, context.errors, out);
    });
  }

  void Keep(absl::Status status) {
    if (status_.ok()) {
      status_ = std::move(status);
    }
  }

  FunctionRegistry* registry_;
  absl::Status status_;
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_FUNCTIONS_SQL_VALUE_H_
