#include "common/types/datetime_number.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace {
namespace {

bool AllDigits(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// Removes the digits that `rest` begins with and returns their number; 0 if there are none, as atoi
// does.
std::optional<int64_t> TakeWhole(std::string_view* rest) {
  const size_t size = std::min(rest->find_first_not_of("0123456789"), rest->size());
  const std::string_view digits = rest->substr(0, size);
  rest->remove_prefix(size);
  return digits.empty() ? 0 : WholeNumber(digits);
}

}  // namespace

std::optional<int64_t> WholeNumber(std::string_view digits) {
  int32_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || !AllDigits(digits) || error != std::errc()) {
    return std::nullopt;
  }
  return value;
}

std::string_view FractionDigits(std::string_view number) {
  const size_t point = std::min(number.find('.'), number.size());
  return number.substr(std::min(point + 1, number.size()));
}

double FractionOf(std::string_view digits) {
  double fraction = 0;
  const std::string text = absl::StrCat("0.", ToAbsl(digits));
  std::from_chars(text.data(), text.data() + text.size(), fraction);
  return fraction;
}

int64_t FractionToMicros(std::string_view digits) {
  constexpr size_t kMicroDigits = 6;
  if (digits.size() <= kMicroDigits) {
    int64_t value = 0;
    for (size_t i = 0; i < kMicroDigits; ++i) {
      value = value * 10 + (i < digits.size() ? digits[i] - '0' : 0);
    }
    return value;
  }
  return static_cast<int64_t>(std::rint(FractionOf(digits) * 1e6));
}

std::optional<ClockParts> SplitClock(std::string_view text) {
  std::array<int64_t, 3> parts = {0, 0, 0};
  size_t count = 0;
  ClockParts clock;
  while (true) {
    const std::optional<int64_t> part = TakeWhole(&text);
    clock.in_range = clock.in_range && part.has_value();
    parts[count++] = part.value_or(std::numeric_limits<int32_t>::max());
    if (text.empty() || text[0] != ':' || count == parts.size()) {
      break;
    }
    text.remove_prefix(1);
  }
  if (count < 2) {
    return std::nullopt;
  }
  if (!text.empty()) {
    const std::string_view fraction = text.substr(1);
    if (text[0] != '.' || !AllDigits(fraction)) {
      return std::nullopt;
    }
    clock.fraction_us = FractionToMicros(fraction);
    if (count == 2) {  // minutes and seconds
      parts = {0, parts[0], parts[1]};
    }
  }
  clock.hour = parts[0];
  clock.minute = parts[1];
  clock.second = parts[2];
  clock.in_range = clock.in_range && clock.minute <= 59 && clock.second <= 60;
  return clock;
}

ZoneOffset ReadZoneOffset(std::string_view text) {
  constexpr int64_t kMostHours = 15;
  constexpr int64_t kMostSixtieths = 59;
  const bool west = text[0] == '-';
  std::string_view rest = text.substr(1);
  std::array<std::optional<int64_t>, 3> parts = {TakeWhole(&rest), 0, 0};
  if (rest.empty() && text.size() > 3 && parts[0].has_value()) {  // hhmm
    parts[1] = *parts[0] % 100;
    parts[0] = *parts[0] / 100;
  }
  for (size_t i = 1; i < parts.size() && rest.starts_with(':'); ++i) {
    rest.remove_prefix(1);
    parts[i] = TakeWhole(&rest);
  }
  ZoneOffset offset;
  const auto within = [](const std::optional<int64_t>& part, int64_t most) {
    return part.has_value() && *part <= most;
  };
  offset.out_of_range = !within(parts[0], kMostHours) || !within(parts[1], kMostSixtieths) ||
                        !within(parts[2], kMostSixtieths);
  offset.read = !offset.out_of_range && rest.empty();
  if (offset.read) {
    const int64_t seconds = *parts[0] * 3600 + *parts[1] * 60 + *parts[2];
    offset.seconds = west ? -seconds : seconds;
  }
  return offset;
}

}  // namespace millrace
