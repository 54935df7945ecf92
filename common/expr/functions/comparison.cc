// = <> < <= > >= on every type that has an order.
#include <cmath>
#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/expr/functions/datetime.h"
#include "common/expr/functions/families.h"
#include "common/expr/in_zone.h"
#include "common/types/calendar.h"

namespace millrace {
namespace {

// The six operators on values that C++ orders as SQL does.
template <typename A, typename B, typename Convert>
void AddOrdered(FunctionList* list, Convert convert) {
  list->Add("=", [convert](A a, B b) { return convert(a) == convert(b); });
  list->Add("<>", [convert](A a, B b) { return convert(a) != convert(b); });
  list->Add("<", [convert](A a, B b) { return convert(a) < convert(b); });
  list->Add("<=", [convert](A a, B b) { return convert(a) <= convert(b); });
  list->Add(">", [convert](A a, B b) { return convert(a) > convert(b); });
  list->Add(">=", [convert](A a, B b) { return convert(a) >= convert(b); });
}

// A number in SQL's order of floating point: NaN equals NaN and is the largest.
struct FloatKey {
  double value;

  friend bool operator==(FloatKey a, FloatKey b) {
    return a.value == b.value || (std::isnan(a.value) && std::isnan(b.value));
  }
  friend bool operator<(FloatKey a, FloatKey b) {
    return a.value < b.value || (std::isnan(b.value) && !std::isnan(a.value));
  }
  friend bool operator<=(FloatKey a, FloatKey b) { return !(b < a); }
  friend bool operator>(FloatKey a, FloatKey b) { return b < a; }
  friend bool operator>=(FloatKey a, FloatKey b) { return !(a < b); }
};

struct NumericKey {
  const Numeric& value;

  friend bool operator==(NumericKey a, NumericKey b) {
    return Numeric::Compare(a.value, b.value) == 0;
  }
  friend std::strong_ordering operator<=>(NumericKey a, NumericKey b) {
    return Numeric::Compare(a.value, b.value);
  }
};

struct Widen {
  int64_t operator()(int64_t value) const { return value; }
};
struct ToFloatKey {
  FloatKey operator()(double value) const { return {value}; }
};
struct ToNumericKey {
  NumericKey operator()(const Numeric& value) const { return {value}; }
};
struct ToSortKey {
  __int128 operator()(const Interval& value) const { return value.SortKey(); }
};
struct Same {
  bool operator()(bool value) const { return value; }
};

// Dates and timestamps of all kinds as microseconds. Dates go further than timestamps, and the
// infinities lie beyond both. The session's time zone is UTC.
struct ToMicros {
  static constexpr __int128 kInfinity = __int128{1} << 100;

  __int128 operator()(Date value) const {
    if (!IsFiniteDate(value.days)) {
      return value.days == kDateInfinity ? kInfinity : -kInfinity;
    }
    return static_cast<__int128>(value.days) * kMicrosPerDay;
  }
  __int128 operator()(Timestamp value) const { return OfTimestamp(value.micros); }
  __int128 operator()(TimestampTz value) const { return OfTimestamp(value.micros); }

  static __int128 OfTimestamp(int64_t micros) {
    if (!IsFiniteTimestamp(micros)) {
      return micros == kTimestampInfinity ? kInfinity : -kInfinity;
    }
    return micros;
  }
};

// The same where the session has another zone, on whose clock dates and timestamps are. A cast
// would fail for those that no timestamptz reaches, which still lie before or after it.
struct ToMicrosInZone {
  const TimeZone& zone;

  __int128 operator()(Date value) const { return ToUtc(ToMicros()(value)); }
  __int128 operator()(Timestamp value) const { return ToUtc(ToMicros()(value)); }
  __int128 operator()(TimestampTz value) const { return ToMicros()(value); }

  __int128 ToUtc(__int128 local_us) const {
    const bool far = local_us < kFirstTimestamp || local_us > kLastTimestamp;
    return far ? local_us
               : local_us - zone.OffsetAtLocal(static_cast<int64_t>(local_us)) * kMicrosPerSecond;
  }
};

template <typename A, typename B, typename Compare>
void AddComparisonInZone(const char* name, FunctionList* list, Compare compare) {
  list->Add(absl::StrCat(name, kInZone),
            [compare](A a, B b, std::string_view zone_name) -> absl::StatusOr<bool> {
              ASSIGN_OR_RETURN(const TimeZone* zone, SessionZoneOf(zone_name));
              const ToMicrosInZone convert{*zone};
              return compare(convert(a), convert(b));
            });
}

template <typename A, typename B>
void AddOrderedInZone(FunctionList* list) {
  AddComparisonInZone<A, B>("=", list, std::equal_to<>());
  AddComparisonInZone<A, B>("<>", list, std::not_equal_to<>());
  AddComparisonInZone<A, B>("<", list, std::less<>());
  AddComparisonInZone<A, B>("<=", list, std::less_equal<>());
  AddComparisonInZone<A, B>(">", list, std::greater<>());
  AddComparisonInZone<A, B>(">=", list, std::greater_equal<>());
}

struct ToRaw {
  int64_t operator()(Date value) const { return value.days; }
  int64_t operator()(Timestamp value) const { return value.micros; }
  int64_t operator()(TimestampTz value) const { return value.micros; }
};

// Text compares as 16-byte views: most pairs are told apart without following a pointer.
template <typename Compare>
ScalarFunction TextComparison(const char* name, TypeId type, Compare compare) {
  ScalarFunction function;
  function.name = name;
  function.arg_types = {MakeType(type), MakeType(type)};
  function.result = MakeType(TypeId::kBool);
  function.infallible = true;
  function.kernel = [compare](const std::vector<FunctionArg>& args,
                              const FunctionCallContext& context, Column* out) {
    const TextView* a = args[0].column->values<TextView>();
    const TextView* b = args[1].column->values<TextView>();
    size_t a_step = args[0].constant ? 0 : 1;
    size_t b_step = args[1].constant ? 0 : 1;
    auto* values = out->mutable_values<uint8_t>();
    context.rows.ForEach(
        [&](uint32_t row) { values[row] = compare(a[row * a_step], b[row * b_step]) ? 1 : 0; });
  };
  return function;
}

void AddTextType(FunctionList* list, TypeId type) {
  list->Add(TextComparison("=", type, [](const TextView& a, const TextView& b) { return a == b; }));
  list->Add(
      TextComparison("<>", type, [](const TextView& a, const TextView& b) { return !(a == b); }));
  list->Add(TextComparison("<", type, [](const TextView& a, const TextView& b) { return a < b; }));
  list->Add(
      TextComparison("<=", type, [](const TextView& a, const TextView& b) { return !(b < a); }));
  list->Add(TextComparison(">", type, [](const TextView& a, const TextView& b) { return b < a; }));
  list->Add(
      TextComparison(">=", type, [](const TextView& a, const TextView& b) { return !(a < b); }));
}

// Types without operators of their own here: by the column's order.
template <typename Test>
ScalarFunction GenericComparison(const char* name, SqlType type, Test test) {
  ScalarFunction function;
  function.name = name;
  function.arg_types = {type, type};
  function.result = MakeType(TypeId::kBool);
  function.infallible = true;
  function.kernel = [test](const std::vector<FunctionArg>& args, const FunctionCallContext& context,
                           Column* out) {
    auto* values = out->mutable_values<uint8_t>();
    context.rows.ForEach([&](uint32_t row) {
      int order =
          CompareValues(*args[0].column, args[0].index(row), *args[1].column, args[1].index(row));
      values[row] = test(order) ? 1 : 0;
    });
  };
  return function;
}

void AddGenericOrder(FunctionList* list, SqlType type) {
  list->Add(GenericComparison("=", type, [](int order) { return order == 0; }));
  list->Add(GenericComparison("<>", type, [](int order) { return order != 0; }));
  list->Add(GenericComparison("<", type, [](int order) { return order < 0; }));
  list->Add(GenericComparison("<=", type, [](int order) { return order <= 0; }));
  list->Add(GenericComparison(">", type, [](int order) { return order > 0; }));
  list->Add(GenericComparison(">=", type, [](int order) { return order >= 0; }));
}

}  // namespace

void AddComparisons(FunctionList* list) {
  AddOrdered<bool, bool>(list, Same());
  AddOrdered<int16_t, int16_t>(list, Widen());
  AddOrdered<int16_t, int32_t>(list, Widen());
  AddOrdered<int16_t, int64_t>(list, Widen());
  AddOrdered<int32_t, int16_t>(list, Widen());
  AddOrdered<int32_t, int32_t>(list, Widen());
  AddOrdered<int32_t, int64_t>(list, Widen());
  AddOrdered<int64_t, int16_t>(list, Widen());
  AddOrdered<int64_t, int32_t>(list, Widen());
  AddOrdered<int64_t, int64_t>(list, Widen());
  AddOrdered<float, float>(list, ToFloatKey());
  AddOrdered<float, double>(list, ToFloatKey());
  AddOrdered<double, float>(list, ToFloatKey());
  AddOrdered<double, double>(list, ToFloatKey());
  AddOrdered<const Numeric&, const Numeric&>(list, ToNumericKey());
  AddOrdered<Interval, Interval>(list, ToSortKey());
  AddOrdered<Date, Date>(list, ToRaw());
  AddOrdered<Timestamp, Timestamp>(list, ToRaw());
  AddOrdered<TimestampTz, TimestampTz>(list, ToRaw());
  AddOrdered<Date, Timestamp>(list, ToMicros());
  AddOrdered<Timestamp, Date>(list, ToMicros());
  AddOrdered<Date, TimestampTz>(list, ToMicros());
  AddOrdered<TimestampTz, Date>(list, ToMicros());
  AddOrdered<Timestamp, TimestampTz>(list, ToMicros());
  AddOrdered<TimestampTz, Timestamp>(list, ToMicros());
  AddOrderedInZone<Date, TimestampTz>(list);
  AddOrderedInZone<TimestampTz, Date>(list);
  AddOrderedInZone<Timestamp, TimestampTz>(list);
  AddOrderedInZone<TimestampTz, Timestamp>(list);
  AddTextType(list, TypeId::kText);
  AddTextType(list, TypeId::kBytea);
  AddGenericOrder(list, MakeType(TypeId::kJsonb));
  for (int id = static_cast<int>(TypeId::kBool); id <= static_cast<int>(TypeId::kInterval); ++id) {
    AddGenericOrder(list, ArrayOf(static_cast<TypeId>(id)));
  }
}

}  // namespace millrace
