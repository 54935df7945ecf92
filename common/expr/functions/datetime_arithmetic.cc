// + − * / on dates, timestamps and intervals, and casts between the first two. The session's time
// zone is UTC.
#include <cmath>
#include <cstdint>
#include <limits>

#include "absl/status/status.h"
#include "common/base/status.h"
#include "common/expr/functions/datetime.h"
#include "common/expr/functions/families.h"
#include "common/types/calendar.h"

namespace millrace {
namespace {

absl::Status TimestampOutOfRange() { return absl::OutOfRangeError("timestamp out of range"); }
absl::Status DateOutOfRange() { return absl::OutOfRangeError("date out of range"); }
absl::Status IntervalOutOfRange() { return absl::OutOfRangeError("interval out of range"); }

Date MicrosToDate(int64_t micros) {
  if (!IsFiniteTimestamp(micros)) {
    return {micros == kTimestampInfinity ? kDateInfinity : kDateMinusInfinity};
  }
  return {static_cast<int32_t>(FloorDiv(micros, kMicrosPerDay))};
}

absl::StatusOr<Date> AddDays(Date date, int64_t days) {
  if (!IsFiniteDate(date.days)) {
    return date;
  }
  int64_t result = date.days + days;
  if (!IsValidDate(result)) {
    return DateOutOfRange();
  }
  return Date{static_cast<int32_t>(result)};
}

absl::StatusOr<Interval> AddIntervals(const Interval& a, const Interval& b) {
  Interval sum;
  if (__builtin_add_overflow(a.months, b.months, &sum.months) ||
      __builtin_add_overflow(a.days, b.days, &sum.days) ||
      __builtin_add_overflow(a.micros, b.micros, &sum.micros)) {
    return IntervalOutOfRange();
  }
  return sum;
}

absl::StatusOr<Interval> SubtractIntervals(const Interval& a, const Interval& b) {
  Interval difference;
  if (__builtin_sub_overflow(a.months, b.months, &difference.months) ||
      __builtin_sub_overflow(a.days, b.days, &difference.days) ||
      __builtin_sub_overflow(a.micros, b.micros, &difference.micros)) {
    return IntervalOutOfRange();
  }
  return difference;
}

// The difference of two moments: whole days and the rest.
absl::StatusOr<Interval> Difference(int64_t a, int64_t b) {
  if (!IsFiniteTimestamp(a) || !IsFiniteTimestamp(b)) {
    return absl::OutOfRangeError("cannot subtract infinite timestamps");
  }
  int64_t micros = 0;
  if (__builtin_sub_overflow(a, b, &micros)) {
    return IntervalOutOfRange();
  }
  return Interval{.days = static_cast<int32_t>(micros / kMicrosPerDay),
                  .micros = micros % kMicrosPerDay};
}

bool FitsInt32(double value) {
  return value >= std::numeric_limits<int32_t>::min() &&
         value <= std::numeric_limits<int32_t>::max();
}

// Microseconds of a fraction of a day are not exact in binary; PostgreSQL rounds seconds to
// microseconds before it uses them.
double RoundToMicros(double seconds) { return std::rint(seconds * 1e6) / 1e6; }

// Builds an interval from fractional parts, as interval_mul and interval_div of PostgreSQL's
// timestamp.c do: fractions of months become days (30 to the month), fractions of days become time.
absl::StatusOr<Interval> FromFractions(double months, double days, double micros) {
  constexpr double kSecondsPerDay = 86400;
  constexpr double kDaysPerMonth = 30;
  if (!FitsInt32(months) || !FitsInt32(days)) {  // NaN too
    return IntervalOutOfRange();
  }
  Interval result{.months = static_cast<int32_t>(months), .days = static_cast<int32_t>(days)};
  double month_rest_days = RoundToMicros((months - result.months) * kDaysPerMonth);
  double carried_days = std::trunc(month_rest_days);
  double rest_seconds =
      RoundToMicros((days - result.days + month_rest_days - carried_days) * kSecondsPerDay);
  if (std::fabs(rest_seconds) >= kSecondsPerDay) {
    double whole = std::trunc(rest_seconds / kSecondsPerDay);
    carried_days += whole;
    rest_seconds -= whole * kSecondsPerDay;
  }
  micros = std::rint(micros + rest_seconds * 1e6);
  constexpr double kInt64Bound = 9223372036854775808.0;
  if (!FitsInt32(result.days + carried_days) || !(micros >= -kInt64Bound && micros < kInt64Bound)) {
    return IntervalOutOfRange();
  }
  result.days += static_cast<int32_t>(carried_days);
  result.micros = static_cast<int64_t>(micros);
  return result;
}

absl::StatusOr<Interval> Multiply(const Interval& interval, double factor) {
  return FromFractions(interval.months * factor, interval.days * factor,
                       static_cast<double>(interval.micros) * factor);
}

absl::StatusOr<Interval> Divide(const Interval& interval, double divisor) {
  if (divisor == 0) {
    return absl::InvalidArgumentError("division by zero");
  }
  return FromFractions(interval.months / divisor, interval.days / divisor,
                       static_cast<double>(interval.micros) / divisor);
}

// The moment at which the zone's clock shows the same time on another day.
template <typename MoveDay>
absl::StatusOr<int64_t> MoveOnClock(int64_t micros, const TimeZone& zone, MoveDay move) {
  ASSIGN_OR_RETURN(const int64_t local_us, zone.ClockAt(micros));
  const int64_t days = move(FloorDiv(local_us, kMicrosPerDay));
  int64_t moved_us = 0;
  if (__builtin_mul_overflow(days, kMicrosPerDay, &moved_us) ||
      __builtin_add_overflow(moved_us, FloorMod(local_us, kMicrosPerDay), &moved_us) ||
      !IsFiniteTimestamp(moved_us)) {
    return TimestampOutOfRange();
  }
  return zone.ToUtc(moved_us);
}

template <typename T>
absl::StatusOr<T> Moment(absl::StatusOr<int64_t> micros) {
  if (!micros.ok()) {
    return micros.status();
  }
  return T{*micros};
}

template <typename T>
void AddMoment(FunctionList* list) {
  list->Add("+", [](T moment, const Interval& interval) {
    return Moment<T>(AddInterval(moment.micros, interval));
  });
  list->Add("+", [](const Interval& interval, T moment) {
    return Moment<T>(AddInterval(moment.micros, interval));
  });
  list->Add("-", [](T moment, const Interval& interval) -> absl::StatusOr<T> {
    ASSIGN_OR_RETURN(Interval negative, NegateInterval(interval));
    return Moment<T>(AddInterval(moment.micros, negative));
  });
  list->Add("-", [](T a, T b) { return Difference(a.micros, b.micros); });
  list->Add("cast", [](T moment) { return MicrosToDate(moment.micros); });
  list->Add("cast", [](Date date) { return Moment<T>(StartOfDay(date)); });
  list->Add("isfinite", [](T moment) { return IsFiniteTimestamp(moment.micros); });
}

void AddDates(FunctionList* list) {
  list->Add("+", [](Date date, int32_t days) { return AddDays(date, days); });
  list->Add("+", [](int32_t days, Date date) { return AddDays(date, days); });
  list->Add("-", [](Date date, int32_t days) { return AddDays(date, -int64_t{days}); });
  list->Add("-", [](Date a, Date b) -> absl::StatusOr<int32_t> {
    if (!IsFiniteDate(a.days) || !IsFiniteDate(b.days)) {
      return absl::OutOfRangeError("cannot subtract infinite dates");
    }
    return a.days - b.days;
  });
  auto add = [](Date date, const Interval& interval) -> absl::StatusOr<Timestamp> {
    ASSIGN_OR_RETURN(int64_t micros, StartOfDay(date));
    return Moment<Timestamp>(AddInterval(micros, interval));
  };
  list->Add("+", add);
  list->Add("+", [add](const Interval& interval, Date date) { return add(date, interval); });
  list->Add("-", [add](Date date, const Interval& interval) -> absl::StatusOr<Timestamp> {
    ASSIGN_OR_RETURN(Interval negative, NegateInterval(interval));
    return add(date, negative);
  });
  list->Add("isfinite", [](Date date) { return IsFiniteDate(date.days); });
}

// Whole days of 24 hours out of the time, and whole months of 30 days out of the days.
absl::StatusOr<Interval> JustifyHours(Interval interval) {
  if (__builtin_add_overflow(interval.days, interval.micros / kMicrosPerDay, &interval.days)) {
    return IntervalOutOfRange();
  }
  interval.micros %= kMicrosPerDay;
  if (interval.days > 0 && interval.micros < 0) {
    interval.micros += kMicrosPerDay;
    --interval.days;
  } else if (interval.days < 0 && interval.micros > 0) {
    interval.micros -= kMicrosPerDay;
    ++interval.days;
  }
  return interval;
}

absl::StatusOr<Interval> JustifyDays(Interval interval) {
  constexpr int32_t kDaysPerMonth = 30;
  if (__builtin_add_overflow(interval.months, interval.days / kDaysPerMonth, &interval.months)) {
    return IntervalOutOfRange();
  }
  interval.days %= kDaysPerMonth;
  if (interval.months > 0 && interval.days < 0) {
    interval.days += kDaysPerMonth;
    --interval.months;
  } else if (interval.months < 0 && interval.days > 0) {
    interval.days -= kDaysPerMonth;
    ++interval.months;
  }
  return interval;
}

}  // namespace

absl::StatusOr<int64_t> StartOfDay(Date date) {
  if (!IsFiniteDate(date.days)) {
    return date.days == kDateInfinity ? kTimestampInfinity : kTimestampMinusInfinity;
  }
  int64_t micros = 0;
  if (__builtin_mul_overflow(int64_t{date.days}, kMicrosPerDay, &micros) ||
      !IsValidTimestamp(micros)) {
    return absl::OutOfRangeError("date out of range for timestamp");
  }
  return micros;
}

absl::StatusOr<Interval> NegateInterval(const Interval& interval) {
  constexpr int32_t kLeast = std::numeric_limits<int32_t>::min();
  if (interval.months == kLeast || interval.days == kLeast ||
      interval.micros == std::numeric_limits<int64_t>::min()) {
    return IntervalOutOfRange();
  }
  return Interval{.months = -interval.months, .days = -interval.days, .micros = -interval.micros};
}

absl::StatusOr<int64_t> AddInterval(int64_t micros, const Interval& interval,
                                    const TimeZone& zone) {
  if (!IsFiniteTimestamp(micros)) {
    return micros;
  }
  // Months and days are added to the local time; each step must give a valid time.
  if (interval.months != 0) {
    ASSIGN_OR_RETURN(micros, MoveOnClock(micros, zone, [&](int64_t days) {
                       const CivilDate date = AddMonths(CivilFromDays(days), interval.months);
                       return DaysFromCivil(date.year, date.month, date.day);
                     }));
  }
  if (interval.days != 0) {
    ASSIGN_OR_RETURN(micros,
                     MoveOnClock(micros, zone, [&](int64_t days) { return days + interval.days; }));
  }
  int64_t result = 0;
  if (__builtin_add_overflow(micros, interval.micros, &result) || !IsValidTimestamp(result)) {
    return TimestampOutOfRange();
  }
  return result;
}

void AddDateTimeArithmetic(FunctionList* list) {
  AddDates(list);
  AddMoment<Timestamp>(list);
  AddMoment<TimestampTz>(list);
  list->Add("cast", [](Timestamp moment) { return TimestampTz{moment.micros}; });
  list->Add("cast", [](TimestampTz moment) { return Timestamp{moment.micros}; });
  list->Add("+", [](const Interval& a, const Interval& b) { return AddIntervals(a, b); });
  list->Add("-", [](const Interval& a, const Interval& b) { return SubtractIntervals(a, b); });
  list->Add("-", [](const Interval& interval) { return NegateInterval(interval); });
  list->Add("*",
            [](const Interval& interval, double factor) { return Multiply(interval, factor); });
  list->Add("*",
            [](double factor, const Interval& interval) { return Multiply(interval, factor); });
  list->Add("/",
            [](const Interval& interval, double divisor) { return Divide(interval, divisor); });
  list->Add("justify_hours", [](const Interval& interval) { return JustifyHours(interval); });
  list->Add("justify_days", [](const Interval& interval) { return JustifyDays(interval); });
}

}  // namespace millrace
