// to_char, to_timestamp, to_date and to_number with patterns.
#include "common/expr/functions/formatting.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/expr/format/datetime_reader.h"
#include "common/expr/format/datetime_writer.h"
#include "common/expr/format/number_reader.h"
#include "common/expr/format/number_writer.h"
#include "common/expr/functions/datetime.h"
#include "common/expr/functions/families.h"
#include "common/expr/in_zone.h"
#include "common/types/calendar.h"
#include "common/types/text_format.h"

namespace millrace {
namespace {

constexpr int kDoubleDigits = 15;
constexpr int kFloatDigits = 6;

using TimePattern = std::vector<DateTimePiece>;

// Keeps the last pattern that a thread used: a call mostly has just one. The reference is valid
// until the next call.
const TimePattern& TimePatternOf(std::string_view text) {
  thread_local std::string last;
  thread_local TimePattern pattern;
  if (last != text) {
    pattern = ParseDateTimePattern(text);
    last = std::string(text);
  }
  return pattern;
}

absl::StatusOr<const NumberPattern*> NumberPatternOf(std::string_view text) {
  thread_local std::string last;
  thread_local NumberPattern pattern;
  if (last != text) {
    last.clear();
    pattern = NumberPattern();
    ASSIGN_OR_RETURN(pattern, ParseNumberPattern(text));
    last = std::string(text);
  }
  return &pattern;
}

using Written = absl::StatusOr<std::optional<std::string>>;

Written WriteMoment(int64_t utc_us, const TimeZone& zone, bool has_zone, std::string_view pattern) {
  if (pattern.empty() || !IsFiniteTimestamp(utc_us)) {
    return std::nullopt;
  }
  ShownTime shown;
  ASSIGN_OR_RETURN(shown.local_us, zone.ClockAt(utc_us));
  if (has_zone) {
    shown.offset_s = zone.OffsetAt(utc_us);
    shown.zone = zone.AbbreviationAt(utc_us);
  }
  return WriteDateTime(shown, TimePatternOf(pattern));
}

Written WriteInterval(const Interval& interval, std::string_view pattern) {
  if (pattern.empty()) {
    return std::nullopt;
  }
  ASSIGN_OR_RETURN(std::string text, WriteInterval(interval, TimePatternOf(pattern)));
  return text;
}

// `micros` with so many digits of its seconds' fraction. Halves go away from the year 2000, where
// PostgreSQL's time is zero.
absl::StatusOr<int64_t> RoundFraction(int64_t micros, int digits) {
  int64_t unit = kMicrosPerSecond;
  for (int i = 0; i < digits; ++i) {
    unit /= 10;
  }
  const int64_t rest = FloorMod(micros, unit);
  const bool up = micros >= kSecondsTo2000 * kMicrosPerSecond ? rest * 2 >= unit : rest * 2 > unit;
  int64_t rounded_us = 0;
  if (__builtin_add_overflow(micros - rest, up ? unit : 0, &rounded_us) ||
      !IsValidTimestamp(rounded_us)) {
    return absl::OutOfRangeError("timestamp out of range");
  }
  return rounded_us;
}

absl::StatusOr<TimestampTz> ReadMoment(std::string_view text, std::string_view pattern,
                                       const TimeZone& zone) {
  ASSIGN_OR_RETURN(const ReadTime read, ReadDateTime(text, TimePatternOf(pattern)));
  const int64_t days = DaysFromCivil(read.date.year, read.date.month, read.date.day);
  int64_t micros = 0;
  if (__builtin_mul_overflow(days, kMicrosPerDay, &micros) ||
      __builtin_add_overflow(micros, read.time_us, &micros) ||
      __builtin_sub_overflow(
          micros, read.offset_s.value_or(zone.OffsetAtLocal(micros)) * kMicrosPerSecond, &micros) ||
      !IsValidTimestamp(micros)) {
    return absl::OutOfRangeError("timestamp out of range");
  }
  if (read.fraction_digits.has_value()) {
    ASSIGN_OR_RETURN(micros, RoundFraction(micros, *read.fraction_digits));
  }
  return TimestampTz{micros};
}

absl::StatusOr<Date> ReadDay(std::string_view text, std::string_view pattern) {
  ASSIGN_OR_RETURN(const ReadTime read, ReadDateTime(text, TimePatternOf(pattern)));
  const int64_t days = DaysFromCivil(read.date.year, read.date.month, read.date.day);
  if (!IsValidDate(days)) {
    return absl::OutOfRangeError(absl::StrCat("date out of range: \"", ToAbsl(text), "\""));
  }
  return Date{static_cast<int32_t>(days)};
}

template <typename T>
void AddWriteWhole(FunctionList* list) {
  list->Add("to_char", [](T value, std::string_view text) -> absl::StatusOr<std::string> {
    ASSIGN_OR_RETURN(const NumberPattern* pattern, NumberPatternOf(text));
    return WriteDecimal(absl::StrCat(value), *pattern);
  });
}

template <typename T>
void AddWriteFloat(FunctionList* list, int digits) {
  list->Add("to_char", [digits](T value, std::string_view text) -> absl::StatusOr<std::string> {
    ASSIGN_OR_RETURN(const NumberPattern* pattern, NumberPatternOf(text));
    return WriteFloat(static_cast<double>(value), digits, *pattern);
  });
}

// power(10, -digits), which PostgreSQL rounds to 16 digits behind the point.
absl::StatusOr<NumericValue> NegativePowerOfTen(int digits) {
  constexpr int kScale = 16;
  std::string behind(kScale, '0');
  if (digits >= 1 && digits <= kScale) {
    behind[static_cast<size_t>(digits) - 1] = '1';
  }
  return Numeric::Parse(absl::StrCat(digits == 0 ? "1." : "0.", behind));
}

absl::StatusOr<std::optional<NumericValue>> ReadNumeric(std::string_view text,
                                                        std::string_view pattern_text) {
  if (pattern_text.empty()) {
    return std::nullopt;
  }
  ASSIGN_OR_RETURN(const NumberPattern* pattern, NumberPatternOf(pattern_text));
  RETURN_IF_ERROR(CheckReadPattern(*pattern));
  const ReadDecimal read = ReadNumber(text, *pattern);
  ASSIGN_OR_RETURN(NumericValue value, Numeric::Parse(read.text));
  if (read.precision == 0 && Numeric::Compare(value, Numeric()) != 0) {
    return absl::OutOfRangeError("numeric field overflow");
  }
  if (read.precision > 0) {
    ASSIGN_OR_RETURN(value, FitNumeric(value, SqlType{.id = TypeId::kNumeric,
                                                      .precision = read.precision,
                                                      .scale = read.scale}));
  }
  if (read.shift.has_value()) {
    ASSIGN_OR_RETURN(const NumericValue factor, NegativePowerOfTen(*read.shift));
    ASSIGN_OR_RETURN(value, Numeric::Multiply(value, factor));
  }
  return value;
}

}  // namespace

absl::Status CheckWritePattern(std::string_view pattern, const SqlType& type) {
  if (type.IsNumber()) {
    return ParseNumberPattern(pattern).status();
  }
  return type.id == TypeId::kInterval ? CheckIntervalPattern(ParseDateTimePattern(pattern))
                                      : absl::OkStatus();
}

absl::Status CheckReadTimePattern(std::string_view pattern) {
  return CheckReadPattern(ParseDateTimePattern(pattern));
}

absl::Status CheckReadNumberPattern(std::string_view pattern) {
  ASSIGN_OR_RETURN(const NumberPattern parsed, ParseNumberPattern(pattern));
  return CheckReadPattern(parsed);
}

void AddFormatting(FunctionList* list) {
  list->Add("to_char", [](Timestamp moment, std::string_view pattern) {
    return WriteMoment(moment.micros, TimeZone(), false, pattern);
  });
  list->Add("to_char", [](TimestampTz moment, std::string_view pattern) {
    return WriteMoment(moment.micros, TimeZone(), true, pattern);
  });
  list->Add(absl::StrCat("to_char", kInZone),
            [](TimestampTz moment, std::string_view pattern, std::string_view name) -> Written {
              ASSIGN_OR_RETURN(const TimeZone* zone, SessionZoneOf(name));
              return WriteMoment(moment.micros, *zone, true, pattern);
            });
  list->Add("to_char", [](const Interval& interval, std::string_view pattern) {
    return WriteInterval(interval, pattern);
  });
  AddWriteWhole<int32_t>(list);
  AddWriteWhole<int64_t>(list);
  AddWriteFloat<float>(list, kFloatDigits);
  AddWriteFloat<double>(list, kDoubleDigits);
  list->Add("to_char",
            [](const Numeric& value, std::string_view text) -> absl::StatusOr<std::string> {
              ASSIGN_OR_RETURN(const NumberPattern* pattern, NumberPatternOf(text));
              return WriteDecimal(value.ToString(), *pattern);
            });
  list->Add("to_timestamp", [](std::string_view text, std::string_view pattern) {
    return ReadMoment(text, pattern, TimeZone());
  });
  list->Add(absl::StrCat("to_timestamp", kInZone),
            [](std::string_view text, std::string_view pattern,
               std::string_view name) -> absl::StatusOr<TimestampTz> {
              ASSIGN_OR_RETURN(const TimeZone* zone, SessionZoneOf(name));
              return ReadMoment(text, pattern, *zone);
            });
  list->Add("to_date",
            [](std::string_view text, std::string_view pattern) { return ReadDay(text, pattern); });
  list->Add("to_number", [](std::string_view text, std::string_view pattern) {
    return ReadNumeric(text, pattern);
  });
}

}  // namespace millrace
