// The proleptic Gregorian calendar as dates and timestamps count it, and their special values. Pure
// functions.
#ifndef MILLRACE_COMMON_TYPES_CALENDAR_H_
#define MILLRACE_COMMON_TYPES_CALENDAR_H_

#include <cstdint>
#include <limits>

namespace millrace {

inline constexpr int64_t kMicrosPerSecond = 1000000;
inline constexpr int64_t kMicrosPerMinute = 60 * kMicrosPerSecond;
inline constexpr int64_t kMicrosPerHour = 60 * kMicrosPerMinute;
inline constexpr int64_t kMicrosPerDay = 24 * kMicrosPerHour;

// 'infinity' and '-infinity' of date and timestamp.
inline constexpr int32_t kDateInfinity = std::numeric_limits<int32_t>::max();
inline constexpr int32_t kDateMinusInfinity = std::numeric_limits<int32_t>::min();
inline constexpr int64_t kTimestampInfinity = std::numeric_limits<int64_t>::max();
inline constexpr int64_t kTimestampMinusInfinity = std::numeric_limits<int64_t>::min();

// From 1970, where our timestamps begin, to 2000, where PostgreSQL's do: what it rounds, it rounds
// as seen from there.
inline constexpr int64_t kSecondsTo2000 = 946684800;

// 4714-11-24 BC (Julian day 0), PostgreSQL's first day.
inline constexpr int64_t kFirstDay = -2440588;
// 5874897-12-31, PostgreSQL's last date.
inline constexpr int64_t kLastDay = 2145042905;
// PostgreSQL's first timestamp. Our last one is limited by int64 (PostgreSQL's counts from 2000,
// and lies 29 years later).
inline constexpr int64_t kFirstTimestamp = kFirstDay * kMicrosPerDay;
inline constexpr int64_t kLastTimestamp = kTimestampInfinity - 1;

constexpr bool IsFiniteDate(int32_t date) {
  return date != kDateInfinity && date != kDateMinusInfinity;
}
constexpr bool IsFiniteTimestamp(int64_t micros) {
  return micros != kTimestampInfinity && micros != kTimestampMinusInfinity;
}
constexpr bool IsValidTimestamp(int64_t micros) {
  return micros >= kFirstTimestamp && micros <= kLastTimestamp;
}
constexpr bool IsValidDate(int64_t days) { return days >= kFirstDay && days <= kLastDay; }

// Year 0 is 1 BC.
struct CivilDate {
  int64_t year = 1970;
  int month = 1;  // 1…12
  int day = 1;    // 1…31
};

// Days since 1970-01-01. REQUIRES: month in 1…12; day may lie outside its month (counts on).
int64_t DaysFromCivil(int64_t year, int month, int day);
CivilDate CivilFromDays(int64_t days);
int DaysInMonth(int64_t year, int month);

// `date` moved by months; the day is cut to the month's length (January 31 + 1 month = February 28
// or 29).
CivilDate AddMonths(CivilDate date, int64_t months);

// Rounds towards minus infinity. REQUIRES: divisor > 0.
constexpr int64_t FloorDiv(int64_t value, int64_t divisor) {
  return value / divisor - (value % divisor < 0 ? 1 : 0);
}
constexpr int64_t FloorMod(int64_t value, int64_t divisor) {
  int64_t rest = value % divisor;
  return rest < 0 ? rest + divisor : rest;
}

}  // namespace millrace

#endif  // MILLRACE_COMMON_TYPES_CALENDAR_H_
