#include "common/types/time_units.h"

#include <array>

namespace millrace {
namespace {

constexpr size_t kSignificantBytes = 10;

struct UnitNames {
  TimeUnit unit;
  std::array<std::string_view, 6> names;
};

// Names that are longer are cut like this.
constexpr std::array kUnits = {
    UnitNames{TimeUnit::kMicrosecond, {"us", "usec", "usecs", "usecond", "useconds", "microsecon"}},
    UnitNames{TimeUnit::kMillisecond, {"ms", "msec", "msecs", "msecond", "mseconds", "millisecon"}},
    UnitNames{TimeUnit::kSecond, {"s", "sec", "secs", "second", "seconds"}},
    UnitNames{TimeUnit::kMinute, {"m", "min", "mins", "minute", "minutes"}},
    UnitNames{TimeUnit::kHour, {"h", "hr", "hrs", "hour", "hours"}},
    UnitNames{TimeUnit::kDay, {"d", "day", "days"}},
    UnitNames{TimeUnit::kWeek, {"w", "week", "weeks"}},
    UnitNames{TimeUnit::kMonth, {"mon", "mons", "month", "months"}},
    UnitNames{TimeUnit::kQuarter, {"qtr", "quarter"}},
    UnitNames{TimeUnit::kYear, {"y", "yr", "yrs", "year", "years"}},
    UnitNames{TimeUnit::kDecade, {"dec", "decs", "decade", "decades"}},
    UnitNames{TimeUnit::kCentury, {"c", "cent", "century", "centuries"}},
    UnitNames{TimeUnit::kMillennium, {"mil", "mils", "millennia", "millennium"}},
    UnitNames{TimeUnit::kTimezone, {"timezone"}},
    UnitNames{TimeUnit::kTimezoneHour, {"timezone_h"}},
    UnitNames{TimeUnit::kTimezoneMinute, {"timezone_m"}},
};

}  // namespace

std::optional<TimeUnit> FindTimeUnit(std::string_view lower_case) {
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
