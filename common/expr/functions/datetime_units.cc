#include "common/expr/functions/datetime_units.h"

#include <array>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace {
namespace {

struct FieldName {
  std::string_view name;
  DateTimeField field;
};

constexpr std::array<FieldName, 58> kFieldNames = {{
    {"microseconds", DateTimeField::kMicroseconds},
    {"microsecond", DateTimeField::kMicroseconds},
    {"us", DateTimeField::kMicroseconds},
    {"usec", DateTimeField::kMicroseconds},
    {"usecs", DateTimeField::kMicroseconds},
    {"milliseconds", DateTimeField::kMilliseconds},
    {"millisecond", DateTimeField::kMilliseconds},
    {"ms", DateTimeField::kMilliseconds},
    {"msec", DateTimeField::kMilliseconds},
    {"msecs", DateTimeField::kMilliseconds},
    {"second", DateTimeField::kSecond},
    {"seconds", DateTimeField::kSecond},
    {"sec", DateTimeField::kSecond},
    {"secs", DateTimeField::kSecond},
    {"s", DateTimeField::kSecond},
    {"minute", DateTimeField::kMinute},
    {"minutes", DateTimeField::kMinute},
    {"min", DateTimeField::kMinute},
    {"mins", DateTimeField::kMinute},
    {"m", DateTimeField::kMinute},
    {"hour", DateTimeField::kHour},
    {"hours", DateTimeField::kHour},
    {"hr", DateTimeField::kHour},
    {"hrs", DateTimeField::kHour},
    {"h", DateTimeField::kHour},
    {"day", DateTimeField::kDay},
    {"days", DateTimeField::kDay},
    {"d", DateTimeField::kDay},
    {"week", DateTimeField::kWeek},
    {"weeks", DateTimeField::kWeek},
    {"w", DateTimeField::kWeek},
    {"month", DateTimeField::kMonth},
    {"months", DateTimeField::kMonth},
    {"mon", DateTimeField::kMonth},
    {"mons", DateTimeField::kMonth},
    {"quarter", DateTimeField::kQuarter},
    {"qtr", DateTimeField::kQuarter},
    {"year", DateTimeField::kYear},
    {"years", DateTimeField::kYear},
    {"yr", DateTimeField::kYear},
    {"yrs", DateTimeField::kYear},
    {"y", DateTimeField::kYear},
    {"decade", DateTimeField::kDecade},
    {"decades", DateTimeField::kDecade},
    {"century", DateTimeField::kCentury},
    {"centuries", DateTimeField::kCentury},
    {"millennium", DateTimeField::kMillennium},
    {"millennia", DateTimeField::kMillennium},
    {"dow", DateTimeField::kDow},
    {"isodow", DateTimeField::kIsodow},
    {"doy", DateTimeField::kDoy},
    {"isoyear", DateTimeField::kIsoyear},
    {"julian", DateTimeField::kJulian},
    {"j", DateTimeField::kJulian},
    {"epoch", DateTimeField::kEpoch},
    {"timezone", DateTimeField::kTimezone},
    {"timezone_hour", DateTimeField::kTimezoneHour},
    {"timezone_minute", DateTimeField::kTimezoneMinute},
}};

absl::Status NotAUnit(std::string_view text, const char* what, const SqlType& type) {
  return absl::InvalidArgumentError(absl::StrCat("unit \"", absl::AsciiStrToLower(ToAbsl(text)),
                                                 "\" not ", what, " for type ", type.ToString()));
}

}  // namespace

absl::Status UnrecognizedField(std::string_view text, const SqlType& type) {
  return NotAUnit(text, "recognized", type);
}
absl::Status UnsupportedField(std::string_view text, const SqlType& type) {
  return NotAUnit(text, "supported", type);
}

absl::StatusOr<DateTimeField> ParseDateTimeField(std::string_view text, const SqlType& type) {
  const std::string lower = absl::AsciiStrToLower(ToAbsl(text));
  for (const FieldName& candidate : kFieldNames) {
    if (candidate.name == lower) {
      return candidate.field;
    }
  }
  return UnrecognizedField(text, type);
}

absl::Status CheckExtract(std::string_view text, const SqlType& type) {
  ASSIGN_OR_RETURN(const DateTimeField field, ParseDateTimeField(text, type));
  const bool of_time = field <= DateTimeField::kHour;
  const bool of_zone = field >= DateTimeField::kTimezone;
  bool has = true;
  switch (type.id) {
    case TypeId::kDate:
      has = !of_time && !of_zone;
      break;
    case TypeId::kTimestamp:
      has = !of_zone;
      break;
    case TypeId::kInterval:
      has = field == DateTimeField::kEpoch ||
            (field < DateTimeField::kDow && field != DateTimeField::kWeek);
      break;
    default:
      break;
  }
  return has ? absl::OkStatus() : UnsupportedField(text, type);
}

absl::Status CheckTruncate(std::string_view text, const SqlType& type) {
  ASSIGN_OR_RETURN(const DateTimeField field, ParseDateTimeField(text, type));
  const bool interval = type.id == TypeId::kInterval;
  if (field >= DateTimeField::kTimezone || (interval && field == DateTimeField::kWeek)) {
    return UnsupportedField(text, type);
  }
  return field >= DateTimeField::kDow ? UnrecognizedField(text, type) : absl::OkStatus();
}

}  // namespace millrace
