#include "common/types/iso_time.h"

#include "common/types/calendar.h"

namespace millrace {
namespace {

constexpr size_t kDateSize = 10;
constexpr size_t kTimeSize = 8;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// The number that `count` digits at `at` make, or −1. REQUIRES: the text is long enough.
int Digits(std::string_view text, size_t at, size_t count) {
  int value = 0;
  for (size_t i = at; i < at + count; ++i) {
    if (!IsDigit(text[i])) {
      return -1;
    }
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

// "hh:mm:ss".
std::optional<int64_t> ReadTime(std::string_view text) {
  const int hour = Digits(text, 0, 2);
  const int minute = Digits(text, 3, 2);
  const int second = Digits(text, 6, 2);
  if (text[2] != ':' || text[5] != ':' || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
      second < 0 || second > 59) {
    return std::nullopt;
  }
  return hour * kMicrosPerHour + minute * kMicrosPerMinute + second * kMicrosPerSecond;
}

// Takes ".ffffff" off the beginning of `text`; 0 if there is no point.
std::optional<int64_t> TakeFraction(std::string_view* text) {
  if (text->empty() || (*text)[0] != '.') {
    return 0;
  }
  int64_t micros = 0;
  int64_t unit = kMicrosPerSecond;
  size_t at = 1;
  for (; at < text->size() && IsDigit((*text)[at]) && unit > 1; ++at) {
    unit /= 10;
    micros += ((*text)[at] - '0') * unit;
  }
  if (at == 1) {
    return std::nullopt;
  }
  text->remove_prefix(at);
  return micros;
}

std::optional<int64_t> ReadZone(std::string_view text) {
  if (text.empty() || text == "Z") {
    return 0;
  }
  const bool has_minutes = text.size() == 6;
  if ((text[0] != '+' && text[0] != '-') || (!has_minutes && text.size() != 3)) {
    return std::nullopt;
  }
  const int hours = Digits(text, 1, 2);
  const int minutes = has_minutes ? Digits(text, 4, 2) : 0;
  if (hours < 0 || hours > 14 || minutes < 0 || minutes > 59 || (has_minutes && text[3] != ':')) {
    return std::nullopt;
  }
  const int64_t micros = hours * kMicrosPerHour + minutes * kMicrosPerMinute;
  return text[0] == '-' ? -micros : micros;
}

}  // namespace

std::optional<int32_t> ReadIsoDate(std::string_view text) {
  if (text.size() != kDateSize || text[4] != '-' || text[7] != '-') {
    return std::nullopt;
  }
  const int year = Digits(text, 0, 4);
  const int month = Digits(text, 5, 2);
  const int day = Digits(text, 8, 2);
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > DaysInMonth(year, month)) {
    return std::nullopt;
  }
  return static_cast<int32_t>(DaysFromCivil(year, month, day));
}

std::optional<int64_t> ReadIsoTimestamp(std::string_view text, bool with_zone) {
  if (text.size() < kDateSize + 1 + kTimeSize ||
      (text[kDateSize] != 'T' && text[kDateSize] != ' ')) {
    return std::nullopt;
  }
  const std::optional<int32_t> days = ReadIsoDate(text.substr(0, kDateSize));
  const std::optional<int64_t> time = ReadTime(text.substr(kDateSize + 1, kTimeSize));
  std::string_view rest = text.substr(kDateSize + 1 + kTimeSize);
  const std::optional<int64_t> fraction = TakeFraction(&rest);
  const std::optional<int64_t> zone = ReadZone(rest);
  if (!days.has_value() || !time.has_value() || !fraction.has_value() || !zone.has_value()) {
    return std::nullopt;
  }
  return *days * kMicrosPerDay + *time + *fraction - (with_zone ? *zone : 0);
}

}  // namespace millrace
