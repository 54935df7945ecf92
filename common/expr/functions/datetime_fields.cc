// Parts of dates, timestamps and intervals: extract, date_part, date_trunc, date_bin, and functions
// that build them from parts.
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/expr/format/iso_week.h"
#include "common/expr/functions/datetime.h"
#include "common/expr/functions/datetime_units.h"
#include "common/expr/functions/families.h"
#include "common/types/calendar.h"

namespace millrace {
namespace {

using Field = DateTimeField;

Numeric Decimal(int64_t unscaled, int32_t scale) {
  return Numeric{.unscaled = unscaled, .scale = scale};
}

constexpr int64_t kJulianOfEpoch = 2440588;

// The year number that people use: there is no year 0.
int64_t SpokenYear(int64_t year) { return year > 0 ? year : year - 1; }

// A part of a date; nothing if dates do not have it.
std::optional<int64_t> DateField(Field field, int64_t days) {
  CivilDate date = CivilFromDays(days);
  int64_t year = date.year;
  switch (field) {
    case Field::kDay:
      return date.day;
    case Field::kMonth:
      return date.month;
    case Field::kQuarter:
      return (date.month - 1) / 3 + 1;
    case Field::kWeek:
      return IsoWeekOf(days).week;
    case Field::kYear:
      return SpokenYear(year);
    case Field::kIsoyear:
      return SpokenYear(IsoWeekOf(days).year);
    case Field::kDecade:
      return FloorDiv(year, 10);
    case Field::kCentury:
      return year > 0 ? (year + 99) / 100 : -((99 - (year - 1)) / 100);
    case Field::kMillennium:
      return year > 0 ? (year + 999) / 1000 : -((999 - (year - 1)) / 1000);
    case Field::kDow:
      return IsoWeekday(days) % 7;
    case Field::kIsodow:
      return IsoWeekday(days);
    case Field::kDoy:
      return days - DaysFromCivil(year, 1, 1) + 1;
    default:
      return std::nullopt;
  }
}

// A part of a time of day; nothing if times do not have it.
std::optional<Numeric> TimeField(Field field, int64_t micros) {
  int64_t second_micros = micros % kMicrosPerMinute;
  switch (field) {
    case Field::kMicroseconds:
      return Decimal(second_micros, 0);
    case Field::kMilliseconds:
      return Decimal(second_micros, 3);
    case Field::kSecond:
      return Decimal(second_micros, 6);
    case Field::kMinute:
      return Decimal(micros % kMicrosPerHour / kMicrosPerMinute, 0);
    case Field::kHour:
      return Decimal(micros / kMicrosPerHour, 0);
    default:
      return std::nullopt;
  }
}

// Parts that grow with time are infinite when the moment is; the others are NULL.
std::optional<Numeric> InfiniteField(Field field, bool negative) {
  switch (field) {
    case Field::kYear:
    case Field::kDecade:
    case Field::kCentury:
    case Field::kMillennium:
    case Field::kIsoyear:
    case Field::kJulian:
    case Field::kEpoch:
      return Numeric{.kind =
                         negative ? Numeric::Kind::kNegativeInfinity : Numeric::Kind::kInfinity};
    default:
      return std::nullopt;
  }
}

using Extracted = absl::StatusOr<std::optional<NumericValue>>;

Extracted ExtractFrom(std::string_view name, Date date) {
  RETURN_IF_ERROR(CheckExtract(name, SqlTypeOf<Date>()));
  ASSIGN_OR_RETURN(Field field, ParseDateTimeField(name, SqlTypeOf<Date>()));
  if (!IsFiniteDate(date.days)) {
    return InfiniteField(field, date.days == kDateMinusInfinity);
  }
  if (field == Field::kJulian) {
    return Decimal(date.days + kJulianOfEpoch, 0);
  }
  if (field == Field::kEpoch) {
    return Decimal(date.days * (kMicrosPerDay / kMicrosPerSecond), 0);
  }
  return Decimal(*DateField(field, date.days), 0);
}

// What the zone's clock shows at the moment.
template <typename T>
Extracted ExtractFromMoment(std::string_view name, T moment, const TimeZone& zone) {
  ASSIGN_OR_RETURN(Field field, ParseDateTimeField(name, SqlTypeOf<T>()));
  if (!IsFiniteTimestamp(moment.micros)) {  // of which even a timestamp has a zone
    return InfiniteField(field, moment.micros == kTimestampMinusInfinity);
  }
  RETURN_IF_ERROR(CheckExtract(name, SqlTypeOf<T>()));
  if (field == Field::kEpoch) {
    return Decimal(moment.micros, 6);
  }
  const int64_t offset_s = zone.OffsetAt(moment.micros);
  if (field >= Field::kTimezone) {
    return Decimal(field == Field::kTimezone       ? offset_s
                   : field == Field::kTimezoneHour ? offset_s / 3600
                                                   : offset_s / 60 % 60,
                   0);
  }
  ASSIGN_OR_RETURN(const int64_t local_us, zone.ClockAt(moment.micros));
  int64_t days = FloorDiv(local_us, kMicrosPerDay);
  int64_t time = FloorMod(local_us, kMicrosPerDay);
  if (field == Field::kJulian) {
    ASSIGN_OR_RETURN(const NumericValue part,
                     Numeric::Divide(Decimal(time, 0), Decimal(kMicrosPerDay, 0)));
    ASSIGN_OR_RETURN(const NumericValue sum, Numeric::Add(Decimal(days + kJulianOfEpoch, 0), part));
    return sum;
  }
  if (std::optional<Numeric> value = TimeField(field, time)) {
    return value;
  }
  return Decimal(*DateField(field, days), 0);
}

Extracted ExtractFrom(std::string_view name, Timestamp moment) {
  return ExtractFromMoment(name, moment, TimeZone());
}
Extracted ExtractFrom(std::string_view name, TimestampTz moment) {
  return ExtractFromMoment(name, moment, TimeZone());
}

Extracted ExtractFrom(std::string_view name, const Interval& interval) {
  ASSIGN_OR_RETURN(Field field, ParseDateTimeField(name, SqlTypeOf<Interval>()));
  int32_t years = interval.months / 12;
  int32_t months = interval.months % 12;
  switch (field) {
    case Field::kDay:
      return Decimal(interval.days, 0);
    case Field::kMonth:
      return Decimal(months, 0);
    case Field::kQuarter:
      return Decimal(months / 3 + 1, 0);
    case Field::kYear:
      return Decimal(years, 0);
    case Field::kDecade:
      return Decimal(years / 10, 0);
    case Field::kCentury:
      return Decimal(years / 100, 0);
    case Field::kMillennium:
      return Decimal(years / 1000, 0);
    case Field::kEpoch: {
      // A year counts 365.25 days, a month 30; in quarters of days to stay in integers.
      constexpr __int128 kMicrosPerQuarterDay = kMicrosPerDay / 4;
      __int128 quarter_days =
          __int128{1461} * years + __int128{120} * months + __int128{4} * interval.days;
      return Numeric{.unscaled = quarter_days * kMicrosPerQuarterDay + interval.micros, .scale = 6};
    }
    default:
      break;
  }
  if (std::optional<Numeric> value = TimeField(field, interval.micros)) {
    return value;
  }
  return UnsupportedField(name, SqlTypeOf<Interval>());
}

using Part = absl::StatusOr<std::optional<double>>;

template <typename T>
Part PartOf(std::string_view name, const T& value) {
  ASSIGN_OR_RETURN(const std::optional<NumericValue> part, ExtractFrom(name, value));
  return part.has_value() ? std::optional<double>((*part)->ToDouble()) : std::nullopt;
}

// date_part, unlike extract, takes a date for the timestamp at its beginning.
Part PartOf(std::string_view name, Date date) {
  ASSIGN_OR_RETURN(const int64_t micros, StartOfDay(date));
  return PartOf(name, Timestamp{micros});
}

template <typename T>
void AddExtract(FunctionList* list) {
  list->Add("extract",
            [](std::string_view field, const T& value) { return ExtractFrom(field, value); });
  list->Add("date_part",
            [](std::string_view field, const T& value) { return PartOf(field, value); });
}

// The first day of the field that `days` lies in.
int64_t TruncateDays(Field field, int64_t days) {
  CivilDate date = CivilFromDays(days);
  int64_t year = date.year;
  // Centuries and millennia begin in years that end in 1; before Christ the spoken years count.
  auto first_of = [year](int64_t length) { return FloorDiv(year - 1, length) * length + 1; };
  switch (field) {
    case Field::kWeek:
      return days - IsoWeekday(days) + 1;
    case Field::kMonth:
      return DaysFromCivil(year, date.month, 1);
    case Field::kQuarter:
      return DaysFromCivil(year, (date.month - 1) / 3 * 3 + 1, 1);
    case Field::kYear:
      return DaysFromCivil(year, 1, 1);
    case Field::kDecade:
      return DaysFromCivil(FloorDiv(year, 10) * 10, 1, 1);
    case Field::kCentury:
      return DaysFromCivil(first_of(100), 1, 1);
    case Field::kMillennium:
      return DaysFromCivil(first_of(1000), 1, 1);
    default:
      return days;
  }
}

// The length of the fields below a day, else 0.
int64_t MicrosOf(Field field) {
  switch (field) {
    case Field::kMicroseconds:
      return 1;
    case Field::kMilliseconds:
      return 1000;
    case Field::kSecond:
      return kMicrosPerSecond;
    case Field::kMinute:
      return kMicrosPerMinute;
    case Field::kHour:
      return kMicrosPerHour;
    default:
      return 0;
  }
}

template <typename T>
absl::StatusOr<T> Truncate(std::string_view name, T moment, const TimeZone& zone) {
  if (!IsFiniteTimestamp(moment.micros)) {  // whatever the unit is
    return moment;
  }
  RETURN_IF_ERROR(CheckTruncate(name, SqlTypeOf<T>()));
  ASSIGN_OR_RETURN(Field field, ParseDateTimeField(name, SqlTypeOf<T>()));
  ASSIGN_OR_RETURN(const int64_t local_us, zone.ClockAt(moment.micros));
  if (int64_t unit = MicrosOf(field); unit != 0) {
    // Clocks are not changed within an hour, so for a local time that occurs twice, the same one of
    // the two stays.
    const int64_t micros = moment.micros - FloorMod(local_us, unit);
    return IsValidTimestamp(micros) ? absl::StatusOr<T>(T{micros})
                                    : absl::OutOfRangeError("timestamp out of range");
  }
  ASSIGN_OR_RETURN(
      const int64_t micros,
      zone.ToUtc(TruncateDays(field, FloorDiv(local_us, kMicrosPerDay)) * kMicrosPerDay));
  return T{micros};
}

absl::StatusOr<Interval> TruncateInterval(std::string_view name, Interval interval) {
  RETURN_IF_ERROR(CheckTruncate(name, SqlTypeOf<Interval>()));
  ASSIGN_OR_RETURN(Field field, ParseDateTimeField(name, SqlTypeOf<Interval>()));
  if (int64_t unit = MicrosOf(field); unit != 0) {
    interval.micros -= interval.micros % unit;
    return interval;
  }
  interval.micros = 0;
  if (field == Field::kDay) {
    return interval;
  }
  interval.days = 0;
  int32_t months = 1;
  switch (field) {
    case Field::kQuarter:
      months = 3;
      break;
    case Field::kYear:
      months = 12;
      break;
    case Field::kDecade:
      months = 120;
      break;
    case Field::kCentury:
      months = 1200;
      break;
    case Field::kMillennium:
      months = 12000;
      break;
    default:
      break;
  }
  interval.months -= interval.months % months;
  return interval;
}

template <typename T>
absl::StatusOr<T> Bin(const Interval& stride, T source, T origin) {
  if (!IsFiniteTimestamp(source.micros)) {
    return source;
  }
  if (!IsFiniteTimestamp(origin.micros)) {
    return absl::OutOfRangeError("origin out of range");
  }
  RETURN_IF_ERROR(CheckStride(stride));
  int64_t stride_us = 0;
  int64_t distance = 0;
  if (__builtin_mul_overflow(int64_t{stride.days}, kMicrosPerDay, &stride_us) ||
      __builtin_add_overflow(stride_us, stride.micros, &stride_us) ||
      __builtin_sub_overflow(source.micros, origin.micros, &distance)) {
    return absl::OutOfRangeError("interval out of range");
  }
  // At most a stride before `source`, which may be before the first timestamp.
  int64_t binned_us = 0;
  if (__builtin_sub_overflow(source.micros, FloorMod(distance, stride_us), &binned_us) ||
      !IsValidTimestamp(binned_us)) {
    return absl::OutOfRangeError("timestamp out of range");
  }
  return T{binned_us};
}

absl::StatusOr<Date> MakeDate(int32_t year, int32_t month, int32_t day) {
  int64_t astronomical = year < 0 ? int64_t{year} + 1 : year;
  if (year == 0 || month < 1 || month > 12 || day < 1 || day > DaysInMonth(astronomical, month)) {
    return absl::OutOfRangeError(
        absl::StrFormat("date field value out of range: %d-%02d-%02d", year, month, day));
  }
  int64_t days = DaysFromCivil(astronomical, month, day);
  if (!IsValidDate(days)) {
    return absl::OutOfRangeError(
        absl::StrFormat("date out of range: %d-%02d-%02d", year, month, day));
  }
  return Date{static_cast<int32_t>(days)};
}

absl::StatusOr<Timestamp> MakeTimestamp(int32_t year, int32_t month, int32_t day, int32_t hour,
                                        int32_t minute, double second) {
  ASSIGN_OR_RETURN(Date date, MakeDate(year, month, day));
  // 24:00:00 is the end of the day, and 60 the end of a minute; there is nothing behind the day's.
  const double second_us = std::rint(second * 1e6);  // NaN too
  const bool in_minute = second_us >= 0 && second_us <= static_cast<double>(kMicrosPerMinute);
  const int64_t time = hour * kMicrosPerHour + minute * kMicrosPerMinute +
                       (in_minute ? static_cast<int64_t>(second_us) : 0);
  if (hour < 0 || hour > 24 || minute < 0 || minute > 59 || !in_minute || time > kMicrosPerDay) {
    return absl::OutOfRangeError(
        absl::StrFormat("time field value out of range: %d:%02d:%02g", hour, minute, second));
  }
  int64_t micros = 0;
  if (__builtin_mul_overflow(int64_t{date.days}, kMicrosPerDay, &micros) ||
      __builtin_add_overflow(micros, time, &micros) || !IsValidTimestamp(micros)) {
    return absl::OutOfRangeError("timestamp out of range");
  }
  return Timestamp{micros};
}

absl::StatusOr<TimestampTz> FromEpoch(double seconds) {
  if (std::isnan(seconds)) {
    return absl::InvalidArgumentError("timestamp cannot be NaN");
  }
  if (std::isinf(seconds)) {
    return TimestampTz{seconds < 0 ? kTimestampMinusInfinity : kTimestampInfinity};
  }
  // PostgreSQL counts from 2000: there it rounds, and has its exact binary fractions.
  const double micros = std::rint((seconds - static_cast<double>(kSecondsTo2000)) * 1e6);
  const auto from_1970 = static_cast<double>(kSecondsTo2000 * kMicrosPerSecond);
  if (!(micros >= static_cast<double>(kFirstTimestamp) - from_1970 &&
        micros < static_cast<double>(kLastTimestamp) - from_1970)) {
    return absl::OutOfRangeError(absl::StrFormat("timestamp out of range: \"%g\"", seconds));
  }
  return TimestampTz{static_cast<int64_t>(micros) + kSecondsTo2000 * kMicrosPerSecond};
}

}  // namespace

absl::StatusOr<std::optional<NumericValue>> ExtractInZone(std::string_view field,
                                                          TimestampTz moment,
                                                          const TimeZone& zone) {
  return ExtractFromMoment(field, moment, zone);
}

absl::Status CheckStride(const Interval& stride) {
  if (stride.months != 0) {
    return absl::InvalidArgumentError(
        "timestamps cannot be binned into intervals containing months or years");
  }
  return stride.SortKey() > 0 ? absl::OkStatus()
                              : absl::OutOfRangeError("stride must be greater than zero");
}

absl::StatusOr<TimestampTz> TruncateInZone(std::string_view field, TimestampTz moment,
                                           const TimeZone& zone) {
  return Truncate(field, moment, zone);
}

void AddDateTimeFields(FunctionList* list) {
  AddExtract<Date>(list);
  AddExtract<Timestamp>(list);
  AddExtract<TimestampTz>(list);
  AddExtract<Interval>(list);
  list->Add("date_trunc", [](std::string_view field, Timestamp moment) {
    return Truncate(field, moment, TimeZone());
  });
  list->Add("date_trunc", [](std::string_view field, TimestampTz moment) {
    return Truncate(field, moment, TimeZone());
  });
  list->Add("date_trunc", [](std::string_view field, const Interval& interval) {
    return TruncateInterval(field, interval);
  });
  list->Add("date_bin", [](const Interval& stride, Timestamp source, Timestamp origin) {
    return Bin(stride, source, origin);
  });
  list->Add("date_bin", [](const Interval& stride, TimestampTz source, TimestampTz origin) {
    return Bin(stride, source, origin);
  });
  list->Add("make_date",
            [](int32_t year, int32_t month, int32_t day) { return MakeDate(year, month, day); });
  list->Add("make_timestamp",
            [](int32_t year, int32_t month, int32_t day, int32_t hour, int32_t minute,
               double second) { return MakeTimestamp(year, month, day, hour, minute, second); });
  list->Add("to_timestamp", [](double seconds) { return FromEpoch(seconds); });
}

}  // namespace millrace
