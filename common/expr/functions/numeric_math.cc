// Functions on numeric whose results are exact: rounding, signs, scales.
#include <algorithm>
#include <compare>
#include <cstdint>
#include <limits>
#include <optional>

#include "absl/status/status.h"
#include "common/base/status.h"
#include "common/expr/functions/families.h"
#include "common/types/wide_numeric.h"

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

// PostgreSQL takes any scale for one within these bounds: beyond the lower one nothing is left of
// any value (numeric_round).
int32_t ClampScale(int32_t scale) {
  return std::clamp(scale, -Numeric::kMaxWholeDigits - 1, Numeric::kMaxScale);
}

// trunc to a larger scale adds zeros, as round does; Numeric::Truncate does not.
absl::StatusOr<NumericValue> TruncateTo(const Numeric& value, int32_t scale) {
  return scale > value.scale ? value.Rescale(scale) : value.Truncate(scale);
}

// Whole numbers combined, in units of the larger scale of the two.
template <typename Combine>
absl::StatusOr<NumericValue> CombineWhole(const Numeric& a, const Numeric& b, Combine combine) {
  if (!a.IsFinite() || !b.IsFinite()) {
    return NumericValue(Numeric::NaN());
  }
  const int32_t scale = std::max(a.scale, b.scale);
  return WideNumeric{.unscaled = combine(WideNumeric::From(a).ScaledTo(scale),
                                         WideNumeric::From(b).ScaledTo(scale)),
                     .scale = scale}
      .ToNumeric();
}

// Which of `count` buckets of equal width between the bounds; 0 and count + 1 lie outside.
absl::StatusOr<int32_t> WidthBucket(const Numeric& operand, const Numeric& low, const Numeric& high,
                                    int32_t count) {
  if (count <= 0) {
    return absl::InvalidArgumentError("count must be greater than zero");
  }
  if (operand.IsNaN() || low.IsNaN() || high.IsNaN()) {
    return absl::InvalidArgumentError("operand, lower bound, and upper bound cannot be NaN");
  }
  if (!low.IsFinite() || !high.IsFinite()) {
    return absl::InvalidArgumentError("lower and upper bounds must be finite");
  }
  const std::strong_ordering order = Numeric::Compare(low, high);
  if (order == 0) {
    return absl::InvalidArgumentError("lower bound cannot equal upper bound");
  }
  // In a range that descends, numbers are ordered the other way round.
  const Numeric value = order < 0 ? operand : operand.Negate();
  const Numeric first = order < 0 ? low : low.Negate();
  const Numeric last = order < 0 ? high : high.Negate();
  if (Numeric::Compare(value, first) < 0) {
    return 0;
  }
  int64_t bucket = int64_t{count} + 1;
  if (Numeric::Compare(value, last) < 0) {
    ASSIGN_OR_RETURN(const NumericValue part, Numeric::Subtract(value, first));
    ASSIGN_OR_RETURN(const NumericValue width, Numeric::Subtract(last, first));
    ASSIGN_OR_RETURN(const NumericValue parts, Numeric::Multiply(part, Numeric::FromInt64(count)));
    // Rounded as by PostgreSQL, where it may be `count` for the last numbers of the last bucket.
    ASSIGN_OR_RETURN(const NumericValue quotient, Numeric::Divide(parts, width));
    ASSIGN_OR_RETURN(const NumericValue whole, quotient->Truncate(0));
    ASSIGN_OR_RETURN(bucket, whole->ToInt64());
    ++bucket;
  }
  if (bucket > std::numeric_limits<int32_t>::max()) {
    return absl::OutOfRangeError("integer out of range");
  }
  return static_cast<int32_t>(bucket);
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
  list->Add("gcd", [](const Numeric& a, const Numeric& b) {
    return CombineWhole(
        a, b, [](const mpz_class& x, const mpz_class& y) -> mpz_class { return gcd(x, y); });
  });
  list->Add("lcm", [](const Numeric& a, const Numeric& b) {
    return CombineWhole(
        a, b, [](const mpz_class& x, const mpz_class& y) -> mpz_class { return lcm(x, y); });
  });
  list->Add("width_bucket", [](const Numeric& operand, const Numeric& low, const Numeric& high,
                               int32_t count) { return WidthBucket(operand, low, high, count); });
}

}  // namespace millrace
