// The pattern language of to_char, to_timestamp and to_date for times ('YYYY-MM-DD HH24:MI:SS'), as
// PostgreSQL has it: one table of its fields for both directions. Pure functions.
#ifndef MILLRACE_COMMON_EXPR_FORMAT_DATETIME_PATTERN_H_
#define MILLRACE_COMMON_EXPR_FORMAT_DATETIME_PATTERN_H_

#include <string>
#include <string_view>
#include <vector>

namespace millrace {

enum class DateTimePart {
  kMeridiem,
  kMeridiemDotted,
  kEra,
  kEraDotted,
  kCentury,
  kDayName,
  kDayShort,
  kDayOfYear,
  kIsoDayOfYear,
  kDay,
  kWeekday,
  kIsoWeekday,
  kFraction,  // FF1…FF6: as many digits
  kExact,     // FX: the pattern counts every character
  kHour24,
  kHour12,
  kIsoWeek,
  kIsoYear,  // of so many digits
  kJulian,
  kMinute,
  kMonth,
  kMonthName,
  kMonthShort,
  kMillisecond,
  kMicrosecond,
  kOffset,
  kQuarter,
  kRomanMonth,
  kSecondOfDay,
  kSecond,
  kZoneHour,
  kZoneMinute,
  kZoneName,
  kWeekOfYear,
  kWeekOfMonth,
  kYearComma,  // Y,YYY
  kYear,       // of so many digits
};

// Which way of counting years and weeks a field belongs to: a date may use only one.
enum class DateConvention { kAny, kGregorian, kIso };

// How words are written.
enum class Letters { kUpper, kCapital, kLower };

struct DateTimeKeyword {
  std::string_view name;
  DateTimePart part;
  Letters letters = Letters::kUpper;
  bool digits = false;  // begins with a digit, so that a number before it cannot go on
  DateConvention convention = DateConvention::kAny;

  int size() const { return static_cast<int>(name.size()); }
};

struct DateTimePiece {
  enum class Kind { kField, kText, kSpace, kSeparator };
  enum class Ordinal { kNone, kUpper, kLower };

  Kind kind = Kind::kText;
  const DateTimeKeyword* field = nullptr;
  bool fill = false;       // FM: no blanks and leading zeros
  bool localized = false;  // TM: a word in the locale's language, which is English; not padded
  Ordinal ordinal = Ordinal::kNone;
  std::string text;  // one character, if it is no field
};

std::vector<DateTimePiece> ParseDateTimePattern(std::string_view pattern);

// What separates fields: printable, no letter, no digit.
bool IsPatternSeparator(char c);

// "1" to "st", "12" to "th". REQUIRES: ends in a digit.
std::string OrdinalSuffix(std::string_view number, bool upper);

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_FORMAT_DATETIME_PATTERN_H_
