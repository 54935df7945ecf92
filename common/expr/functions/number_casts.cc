// Casts between numbers, and from jsonb to numbers.
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/expr/functions/families.h"
#include "common/types/text_format.h"

namespace millrace {
namespace {

template <typename T>
std::string NameOf() {
  return SqlTypeOf<T>().ToString();
}

template <typename T>
absl::Status OutOfRange() {
  return absl::OutOfRangeError(absl::StrCat(NameOf<T>(), " out of range"));
}

template <typename To>
absl::StatusOr<To> NarrowInteger(int64_t value) {
  if (value < std::numeric_limits<To>::min() || value > std::numeric_limits<To>::max()) {
    return OutOfRange<To>();
  }
  return static_cast<To>(value);
}

// Half to even, as rint does.
template <typename To>
absl::StatusOr<To> FloatToInteger(double value) {
  double rounded = std::rint(value);
  // The bounds are powers of two and exact; the upper one is excluded.
  constexpr double kBound = -static_cast<double>(std::numeric_limits<To>::min());
  if (!(rounded >= -kBound && rounded < kBound)) {
    return OutOfRange<To>();
  }
  return static_cast<To>(rounded);
}

template <typename To>
absl::StatusOr<To> NumericToInteger(const Numeric& value) {
  if (!value.IsFinite()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot convert ", value.kind == Numeric::Kind::kNaN ? "NaN" : "infinity",
                     " to ", NameOf<To>()));
  }
  absl::StatusOr<int64_t> wide = value.ToInt64();
  if (!wide.ok()) {
    return OutOfRange<To>();
  }
  return NarrowInteger<To>(*wide);
}

absl::StatusOr<float> NarrowFloat(double value) {
  auto narrow = static_cast<float>(value);
  if (std::isinf(narrow) && !std::isinf(value)) {
    return absl::OutOfRangeError("value out of range: overflow");
  }
  if (narrow == 0 && value != 0) {
    return absl::OutOfRangeError("value out of range: underflow");
  }
  return narrow;
}

// The nearest, or an error where that would be infinite, or zero for what is not.
template <typename To>
absl::StatusOr<To> NumericToFloat(const Numeric& value) {
  To result = static_cast<To>(value.ToDouble());
  if constexpr (std::is_same_v<To, float>) {
    if (value.IsFinite()) {  // by way of a double it would be rounded twice
      const std::string text = value.ToString();
      if (std::from_chars(text.data(), text.data() + text.size(), result).ec != std::errc()) {
        result = value.LeadingExponent() > 0 ? std::numeric_limits<float>::infinity() : 0.0F;
      }
    }
  }
  if (value.IsFinite() && (std::isinf(result) || (result == 0 && !value.IsZero()))) {
    constexpr size_t kShownDigits = 64;
    std::string text = value.ToString();
    if (text.size() > kShownDigits) {
      text = absl::StrCat(text.substr(0, kShownDigits), "…");
    }
    return absl::OutOfRangeError(absl::StrCat("\"", text, "\" is out of range for type ",
                                              MakeType(SqlValue<To>::kTypeId).ToString()));
  }
  return result;
}

// The value as the call's type has it: numeric(p, s) rounds.
absl::StatusOr<NumericValue> Fit(const absl::StatusOr<NumericValue>& value, const SqlType& type) {
  return value.ok() && type.precision != 0 ? FitNumeric(*value, type) : value;
}

// A cast of `From` to numeric.
template <typename From, typename Fn>
void AddNumericCast(FunctionList* list, Fn fn) {
  ScalarFunction function;
  function.name = "cast";
  function.arg_types = {SqlTypeOf<From>()};
  function.result = MakeType(TypeId::kNumeric);
  function.kernel = [fn](const std::vector<FunctionArg>& args, const FunctionCallContext& context,
                         Column* out) {
    ArgReader<From> values(args[0]);
    context.rows.ForEach([&](uint32_t row) {
      StoreResult(Fit(fn(values[row]), out->type()), row, context.errors, out);
    });
  };
  list->Add(std::move(function));
}

template <typename T>
void AddIntegerTo(FunctionList* list) {
  list->Add("cast", [](T value) { return static_cast<float>(value); });
  list->Add("cast", [](T value) { return static_cast<double>(value); });
  AddNumericCast<T>(list, [](T value) { return NumericValue(Numeric::FromInt64(value)); });
}

template <typename T>
void AddToInteger(FunctionList* list) {
  list->Add("cast", [](float value) { return FloatToInteger<T>(value); });
  list->Add("cast", [](double value) { return FloatToInteger<T>(value); });
  list->Add("cast", [](const Numeric& value) { return NumericToInteger<T>(value); });
}

// What a jsonb value is, for messages.
const char* KindOfJsonb(std::string_view json) {
  switch (json.empty() ? ' ' : json[0]) {
    case '{':
      return "object";
    case '[':
      return "array";
    case '"':
      return "string";
    case 't':
    case 'f':
      return "boolean";
    case 'n':
      return "null";
    default:
      return "numeric";
  }
}

absl::StatusOr<NumericValue> JsonbToNumeric(std::string_view json, const std::string& type_name) {
  const char* kind = KindOfJsonb(json);
  if (kind != std::string_view("numeric")) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot cast jsonb ", kind, " to type ", type_name));
  }
  return Numeric::Parse(json);
}

void AddFromJsonb(FunctionList* list) {
  AddNumericCast<JsonbView>(list,
                            [](JsonbView json) { return JsonbToNumeric(json.text, "numeric"); });
  list->Add("cast", [](JsonbView json) -> absl::StatusOr<int16_t> {
    ASSIGN_OR_RETURN(const NumericValue value, JsonbToNumeric(json.text, "smallint"));
    return NumericToInteger<int16_t>(value);
  });
  list->Add("cast", [](JsonbView json) -> absl::StatusOr<int32_t> {
    ASSIGN_OR_RETURN(const NumericValue value, JsonbToNumeric(json.text, "integer"));
    return NumericToInteger<int32_t>(value);
  });
  list->Add("cast", [](JsonbView json) -> absl::StatusOr<int64_t> {
    ASSIGN_OR_RETURN(const NumericValue value, JsonbToNumeric(json.text, "bigint"));
    return NumericToInteger<int64_t>(value);
  });
  list->Add("cast", [](JsonbView json) -> absl::StatusOr<float> {
    ASSIGN_OR_RETURN(const NumericValue value, JsonbToNumeric(json.text, "real"));
    return NumericToFloat<float>(value);
  });
  list->Add("cast", [](JsonbView json) -> absl::StatusOr<double> {
    ASSIGN_OR_RETURN(const NumericValue value, JsonbToNumeric(json.text, "double precision"));
    return NumericToFloat<double>(value);
  });
  list->Add("cast", [](JsonbView json) -> absl::StatusOr<bool> {
    if (json.text != "true" && json.text != "false") {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot cast jsonb ", KindOfJsonb(json.text), " to type boolean"));
    }
    return json.text == "true";
  });
}

}  // namespace

void AddNumberCasts(FunctionList* list) {
  list->Add("cast", [](int16_t value) { return static_cast<int32_t>(value); });
  list->Add("cast", [](int16_t value) { return static_cast<int64_t>(value); });
  list->Add("cast", [](int32_t value) { return NarrowInteger<int16_t>(value); });
  list->Add("cast", [](int32_t value) { return static_cast<int64_t>(value); });
  list->Add("cast", [](int64_t value) { return NarrowInteger<int16_t>(value); });
  list->Add("cast", [](int64_t value) { return NarrowInteger<int32_t>(value); });
  list->Add("cast", [](bool value) { return static_cast<int32_t>(value); });
  list->Add("cast", [](int32_t value) { return value != 0; });
  list->Add("cast", [](float value) { return static_cast<double>(value); });
  list->Add("cast", [](double value) { return NarrowFloat(value); });
  AddIntegerTo<int16_t>(list);
  AddIntegerTo<int32_t>(list);
  AddIntegerTo<int64_t>(list);
  AddToInteger<int16_t>(list);
  AddToInteger<int32_t>(list);
  AddToInteger<int64_t>(list);
  // real is good for six digits, double precision for fifteen.
  AddNumericCast<float>(list, [](float value) -> absl::StatusOr<NumericValue> {
    return std::isfinite(value) ? Numeric::Parse(absl::StrFormat("%.6g", value))
                                : Numeric::FromDouble(value);
  });
  AddNumericCast<double>(list, [](double value) { return Numeric::FromDouble(value); });
  AddNumericCast<Numeric>(list, [](const Numeric& value) { return NumericValue(value); });
  list->Add("cast", [](const Numeric& value) { return NumericToFloat<float>(value); });
  list->Add("cast", [](const Numeric& value) { return NumericToFloat<double>(value); });
  AddFromJsonb(list);
}

}  // namespace millrace
