// Units of time by the names that people give them, in texts of intervals ('2 hrs') and in extract
// and date_trunc. Pure functions.
#ifndef MILLRACE_COMMON_TYPES_TIME_UNITS_H_
#define MILLRACE_COMMON_TYPES_TIME_UNITS_H_

#include <optional>
#include <string_view>

namespace millrace {

enum class TimeUnit {
  kMicrosecond,
  kMillisecond,
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
  kTimezone,
  kTimezoneHour,
  kTimezoneMinute,
};

// As PostgreSQL's table deltatktbl has them, of which ten characters count: "microsecondly" is a
// microsecond.
std::optional<TimeUnit> FindTimeUnit(std::string_view lower_case);

}  // namespace millrace

#endif  // MILLRACE_COMMON_TYPES_TIME_UNITS_H_
