// The words of dates and times, one table for all that read or write them. Pure functions.
#ifndef MILLRACE_COMMON_TYPES_DATETIME_WORDS_H_
#define MILLRACE_COMMON_TYPES_DATETIME_WORDS_H_

#include <array>
#include <string_view>

namespace millrace {

// As they are written in full; the first three letters are the short form.
inline constexpr std::array<std::string_view, 12> kMonthNames = {
    "January", "February", "March",     "April",   "May",      "June",
    "July",    "August",   "September", "October", "November", "December"};
inline constexpr std::array<std::string_view, 7> kDayNames = {
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};

struct DateTimeWord {
  enum class Kind {
    kMonth,     // value: 1…12
    kWeekday,   // value: 0 = Sunday
    kMeridiem,  // value: 1 = pm
    kEra,       // value: 1 = before Christ
    kNothing,   // 'at', 'on': ignored
    kLabel,     // the next token is the field `value`, a Label
    kIsoTime,   // 't': the next token is a time
    kSummer,    // 'dst' behind a zone: an hour more
    kNow,
    kDay,       // value: days from today
    kMidnight,  // 'allballs', of UTC
    kEpoch,
    kInfinity,
    kMinusInfinity,
  };
  enum Label { kYear, kMonthNumber, kDayOfMonth, kHour, kMinute, kSecond, kJulian, kUnreadable };

  std::string_view name;  // in lower case
  Kind kind;
  int value = 0;
};

// Null if there is none.
const DateTimeWord* FindDateTimeWord(std::string_view lower_case);

}  // namespace millrace

#endif  // MILLRACE_COMMON_TYPES_DATETIME_WORDS_H_
