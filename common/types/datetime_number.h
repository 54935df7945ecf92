// Numbers, clocks and offsets inside the text of a date or time. Pure functions.
#ifndef MILLRACE_COMMON_TYPES_DATETIME_NUMBER_H_
#define MILLRACE_COMMON_TYPES_DATETIME_NUMBER_H_

#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace {

// Nothing unless the text is digits that fit a 32-bit integer.
std::optional<int64_t> WholeNumber(std::string_view digits);

// The part behind the first point; empty if there is no point.
std::string_view FractionDigits(std::string_view number);
// The digits as a fraction of 1, and as microseconds of a second (".5" is 500000), rounded half to
// even. REQUIRES: digits only.
double FractionOf(std::string_view digits);
int64_t FractionToMicros(std::string_view digits);

struct ClockParts {
  int64_t hour = 0;
  int64_t minute = 0;
  int64_t second = 0;
  int64_t fraction_us = 0;
  bool in_range = true;  // minutes and seconds are; the caller checks the hours
};
// hh:mm, hh:mm:ss[.f] or mm:ss.f. Nothing if it has another form.
std::optional<ClockParts> SplitClock(std::string_view text);

struct ZoneOffset {
  bool read = false;
  bool out_of_range = false;  // more than 15:59:59
  int64_t seconds = 0;        // east of UTC
};
// A sign, then hh, hhmm, hh:mm or hh:mm:ss. REQUIRES: begins with a sign.
ZoneOffset ReadZoneOffset(std::string_view text);

}  // namespace millrace

#endif  // MILLRACE_COMMON_TYPES_DATETIME_NUMBER_H_
