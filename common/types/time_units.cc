#include "common/types/time_units.h"

#include <array>

namespace millrace {
namespace {

constexpr size_t kSignificantBytes = 10;

struct UnitNames {
  DateTimeField unit;
  std::array<std::string_view, 6> names;
};

// Names that are longer are cut like this.
constexpr std::array kUnits = {
    UnitNames{DateTimeField::kMicroseconds,
              {"us", "usec", "usecs", "usecond", "useconds", "microsecon"}},
    UnitNames{DateTimeField::kMilliseconds,
              {"ms", "msec", "msecs", "msecond", "mseconds", "millisecon"}},
    UnitNames{DateTimeField::kSecond, {"s", "sec", "secs", "second", "seconds"}},
    UnitNames{DateTimeField::kMinute, {"m", "min", "mins", "minute", "minutes"}},
    UnitNames{DateTimeField::kHour, {"h", "hr", "hrs", "hour", "hours"}},
    UnitNames{DateTimeField::kDay, {"d", "day", "days"}},
    UnitNames{DateTimeField::kWeek, {"w", "week", "weeks"}},
    UnitNames{DateTimeField::kMonth, {"mon", "mons", "month", "months"}},
    UnitNames{DateTimeField::kQuarter, {"qtr", "quarter"}},
    UnitNames{DateTimeField::kYear, {"y", "yr", "yrs", "year", "years"}},
    UnitNames{DateTimeField::kDecade, {"dec", "decs", "decade", "decades"}},
    UnitNames{DateTimeField::kCentury, {"c", "cent", "century", "centuries"}},
    UnitNames{DateTimeField::kMillennium, {"mil", "mils", "millennia", "millennium"}},
    UnitNames{DateTimeField::kTimezone, {"timezone"}},
    UnitNames{DateTimeField::kTimezoneHour, {"timezone_h"}},
    UnitNames{DateTimeField::kTimezoneMinute, {"timezone_m"}},
};

}  // namespace

std::optional<DateTimeField> FindTimeUnit(std::string_view lower_case) {
  const std::string_view name = lower_case.substr(0, kSignificantBytes);
  for (const UnitNames& candidate : kUnits) {
    for (const std::string_view known : candidate.names) {
      if (!known.empty() && name == known) {
        return candidate.unit;
      }
    }
  }
  return std::nullopt;
}

}  // namespace millrace
