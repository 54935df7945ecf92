// Functions on numeric whose results are exact: rounding, signs, scales.
#include <algorithm>
#include <cstdint>
#include <optional>

#include "common/base/status.h"
#include "common/expr/functions/families.h"

namespace millrace {
namespace {

absl::StatusOr<NumericValue> Floor(const Numeric& value) {
  ASSIGN_OR_RETURN(NumericValue whole, value.Truncate(0));
  if (value.IsFinite() && Numeric::Compare(value, whole) < 0) {
    return Numeric::Subtract(whole, Numeric::FromInt64(1));
  }
  return whole;
}

absl::StatusOr<NumericValue> Ceil(const Numeric& value) {
  ASSIGN_OR_RETURN(const NumericValue negative, Floor(value.Negate()));
  return NumericValue(negative->Negate());
}

// PostgreSQL takes any scale for one within these bounds (NUMERIC_MAX_RESULT_SCALE).
int32_t ClampScale(int32_t scale) { return std::clamp(scale, -2000, 2000); }

// trunc to a larger scale adds zeros, as round does; Numeric::Truncate does not.
absl::StatusOr<NumericValue> TruncateTo(const Numeric& value, int32_t scale) {
  return scale > value.scale ? value.Rescale(scale) : value.Truncate(scale);
}

}  // namespace

void AddNumericMath(FunctionList* list) {
  list->Add("ceil", [](const Numeric& value) { return Ceil(value); });
  list->Add("ceiling", [](const Numeric& value) { return Ceil(value); });
  list->Add("floor", [](const Numeric& value) { return Floor(value); });
  list->Add("round", [](const Numeric& value) { return value.Rescale(0); });
  list->Add("round",
            [](const Numeric& value, int32_t scale) { return value.Rescale(ClampScale(scale)); });
  list->Add("trunc", [](const Numeric& value) { return value.Truncate(0); });
  list->Add("trunc", [](const Numeric& value, int32_t scale) {
    return TruncateTo(value, ClampScale(scale));
  });
  list->Add("sign", [](const Numeric& value) {
    return value.IsNaN() ? value : Numeric::FromInt64(value.Sign());
  });
  list->Add("div", [](const Numeric& a, const Numeric& b) { return Numeric::DivideWhole(a, b); });
  list->Add("scale", [](const Numeric& value) -> std::optional<int32_t> {
    return value.IsFinite() ? std::optional<int32_t>(value.scale) : std::nullopt;
  });
  list->Add("min_scale", [](const Numeric& value) -> std::optional<int32_t> {
    return value.IsFinite() ? std::optional<int32_t>(value.Canonical().scale) : std::nullopt;
  });
  list->Add("trim_scale", [](const Numeric& value) { return value.Canonical(); });
}

}  // namespace millrace
