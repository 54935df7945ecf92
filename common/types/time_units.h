// Units of time and other parts of a time or zone, and the names that people give to units, in
// texts of intervals ('2 hrs') and in extract and date_trunc. Pure functions.
#ifndef MILLRACE_COMMON_TYPES_TIME_UNITS_H_
#define MILLRACE_COMMON_TYPES_TIME_UNITS_H_

#include <optional>
#include <string_view>

namespace millrace {

// In this order: parts of a time; parts of a date down to days, to which it can be cut; parts that
// can only be read; parts of a zone.
enum class DateTimeField {
  kMicroseconds,
  kMilliseconds,
  kSecond,
  kMinute,
  kHour,
  kDay,
  kWeek,
  kMonth,
  kQuarter,
  kYear,
  kDecade,
  kCentury,
  kMillennium,
  kDow,
  kIsodow,
  kDoy,
  kIsoyear,
  kJulian,
  kEpoch,
  kTimezone,
  kTimezoneHour,
  kTimezoneMinute,
};

// As PostgreSQL's table deltatktbl has them, of which ten characters count: "microsecondly" is a
// microsecond. Nothing for what is no unit, such as "dow".
std::optional<DateTimeField> FindTimeUnit(std::string_view lower_case);

}  // namespace millrace

#endif  // MILLRACE_COMMON_TYPES_TIME_UNITS_H_
