// Weeks and years as ISO 8601 counts them: a week begins on Monday and belongs to the year of its
// Thursday. Pure functions.
#ifndef MILLRACE_COMMON_EXPR_FORMAT_ISO_WEEK_H_
#define MILLRACE_COMMON_EXPR_FORMAT_ISO_WEEK_H_

#include <cstdint>

#include "common/types/calendar.h"

namespace millrace {

// Monday = 1 … Sunday = 7, of a day since 1970.
inline int IsoWeekday(int64_t days) { return static_cast<int>(FloorMod(days + 3, 7)) + 1; }

struct IsoWeek {
  int64_t year;  // astronomical
  int64_t week;
};

inline IsoWeek IsoWeekOf(int64_t days) {
  const int64_t thursday = days - IsoWeekday(days) + 4;
  const int64_t year = CivilFromDays(thursday).year;
  return {year, (thursday - DaysFromCivil(year, 1, 1)) / 7 + 1};
}

// The Monday of a week of a year.
inline int64_t IsoWeekStart(int64_t year, int64_t week) {
  const int64_t fourth = DaysFromCivil(year, 1, 4);  // always in week 1
  return fourth - IsoWeekday(fourth) + 1 + (week - 1) * 7;
}

inline int64_t IsoDayOfYear(int64_t days) {
  return days - IsoWeekStart(IsoWeekOf(days).year, 1) + 1;
}

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_FORMAT_ISO_WEEK_H_
