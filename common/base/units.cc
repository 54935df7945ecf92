#include "common/base/units.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status.h"

namespace millrace {
namespace {

struct NumberAndUnit {
  double number;
  std::string unit;  // as written, trimmed
};

absl::StatusOr<NumberAndUnit> SplitNumberAndUnit(std::string_view text, std::string_view what) {
  std::string_view trimmed = ToStd(absl::StripAsciiWhitespace(ToAbsl(text)));
  NumberAndUnit result{};
  auto [end, error] =
      std::from_chars(trimmed.data(), trimmed.data() + trimmed.size(), result.number);
  if (error != std::errc() || !std::isfinite(result.number) || result.number < 0) {
    return absl::InvalidArgumentError(absl::StrCat("'", ToAbsl(text), "' is not a ", ToAbsl(what),
                                                   ": expected a non-negative number and a unit"));
  }
  result.unit = std::string(absl::StripAsciiWhitespace(
      absl::string_view(end, static_cast<size_t>(trimmed.data() + trimmed.size() - end))));
  return result;
}

struct DurationUnit {
  const char* name;
  int64_t microseconds;
};

constexpr std::array<DurationUnit, 17> kDurationUnits = {{{"us", 1},
                                                          {"ms", 1000},
                                                          {"millisecond", 1000},
                                                          {"milliseconds", 1000},
                                                          {"s", 1000000},
                                                          {"sec", 1000000},
                                                          {"second", 1000000},
                                                          {"seconds", 1000000},
                                                          {"min", 60000000},
                                                          {"minute", 60000000},
                                                          {"minutes", 60000000},
                                                          {"h", 3600000000},
                                                          {"hour", 3600000000},
                                                          {"hours", 3600000000},
                                                          {"d", 86400000000},
                                                          {"day", 86400000000},
                                                          {"days", 86400000000}}};

}  // namespace

absl::StatusOr<absl::Duration> ParseDuration(std::string_view text) {
  ASSIGN_OR_RETURN(NumberAndUnit parsed, SplitNumberAndUnit(text, "duration"));
  std::string unit = absl::AsciiStrToLower(parsed.unit);
  if (unit.empty() && parsed.number == 0) {
    return absl::ZeroDuration();
  }
  for (const DurationUnit& known : kDurationUnits) {
    if (unit == known.name) {
      return absl::Microseconds(parsed.number * static_cast<double>(known.microseconds));
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'", ToAbsl(text),
                   "' is not a duration: expected a number and one of the units us, ms, "
                   "s, min, h, d, e.g. '2 s' or '10 ms'"));
}

std::string DurationToString(absl::Duration duration) {
  int64_t us = absl::ToInt64Microseconds(duration);
  if (us == 0) {
    return "0";
  }
  constexpr std::array<std::pair<const char*, int64_t>, 6> kUnits = {{{"d", 86400000000},
                                                                      {"h", 3600000000},
                                                                      {"min", 60000000},
                                                                      {"s", 1000000},
                                                                      {"ms", 1000},
                                                                      {"us", 1}}};
  for (const auto& [name, size] : kUnits) {
    if (us % size == 0) {
      return absl::StrCat(us / size, " ", name);
    }
  }
  return absl::StrCat(us, " us");
}

absl::StatusOr<int64_t> ParseBytes(std::string_view text) {
  ASSIGN_OR_RETURN(NumberAndUnit parsed, SplitNumberAndUnit(text, "size"));
  constexpr std::array<std::pair<const char*, double>, 8> kUnits = {{{"", 1},
                                                                     {"B", 1},
                                                                     {"kB", 1e3},
                                                                     {"MB", 1e6},
                                                                     {"GB", 1e9},
                                                                     {"KiB", 1024},
                                                                     {"MiB", 1048576},
                                                                     {"GiB", 1073741824}}};
  for (const auto& [name, size] : kUnits) {
    if (parsed.unit == name && parsed.number * size < 9e18) {
      return static_cast<int64_t>(parsed.number * size);
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "'", ToAbsl(text),
      "' is not a size: expected a number and one of B, kB, MB, GB, KiB, MiB, GiB, e.g. '64 MiB'"));
}

std::string FormatBytes(int64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (std::abs(value) >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? absl::StrCat(bytes, " B") : absl::StrFormat("%.1f %s", value, kUnits[unit]);
}

}  // namespace millrace
