#include "common/types/datetime_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/types/calendar.h"
#include "common/types/iso_time.h"
#include "common/types/number_text.h"

namespace millrace {
namespace {

// What a text says, field by field.
struct DateTimeFields {
  bool has_date = false;
  CivilDate date;
  bool has_time = false;
  int64_t time_us = 0;
  bool has_zone = false;
  int64_t zone_us = 0;  // east of UTC
  bool infinite = false;
  bool negative_infinite = false;
};

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool AllDigits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsDigit);
}

// −1 when `text` is not a number of at most nine digits.
int ToInt(std::string_view text) {
  int value = -1;
  if (!AllDigits(text) || text.size() > 9) {
    return -1;
  }
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

int MonthByName(std::string_view word) {
  static constexpr std::array<std::string_view, 12> kMonths = {
      "january", "february", "march",     "april",   "may",      "june",
      "july",    "august",   "september", "october", "november", "december"};
  if (word == "sept") {
    return 9;
  }
  for (size_t i = 0; i < kMonths.size(); ++i) {
    if (word == kMonths[i] || word == kMonths[i].substr(0, 3)) {
      return static_cast<int>(i) + 1;
    }
  }
  return 0;
}

bool IsWeekday(std::string_view word) {
  static constexpr std::array<std::string_view, 7> kDays = {
      "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"};
  return std::any_of(kDays.begin(), kDays.end(), [word](std::string_view day) {
    return word == day || word == day.substr(0, 3);
  });
}

// Reads one text. Each Read… returns false when the text is malformed; `out_of_range_` tells a bad
// value apart.
class DateTimeReader {
 public:
  DateTimeReader(std::string_view original, std::string_view type_name)
      : original_(original),
        type_name_(type_name),
        text_(absl::AsciiStrToLower(ToAbsl(original))) {}

  absl::StatusOr<DateTimeFields> Read();

 private:
  bool ReadTokens();
  bool ReadToken(std::string_view token);
  bool ReadWord(std::string_view word);
  bool ReadNumber(std::string_view digits);
  bool ReadDate(std::string_view token);
  bool ReadTime(std::string_view token);
  bool ReadZone(std::string_view token);
  bool ReadNamedZone(std::string_view word);
  bool FinishDate();
  bool SetDate(int64_t year, int month, int day, bool two_digit_year);

  std::string_view original_;
  std::string_view type_name_;
  std::string text_;
  DateTimeFields fields_;
  std::vector<std::string_view> numbers_;  // day and year around a month's name
  int named_month_ = 0;
  bool bc_ = false;
  bool out_of_range_ = false;
  std::string unknown_zone_;
};

absl::StatusOr<DateTimeFields> DateTimeReader::Read() {
  std::string_view trimmed = ToStd(absl::StripAsciiWhitespace(text_));
  if (trimmed == "infinity" || trimmed == "+infinity" || trimmed == "-infinity") {
    fields_.infinite = true;
    fields_.negative_infinite = trimmed[0] == '-';
    return fields_;
  }
  if (trimmed == "epoch") {
    fields_.has_date = true;
    return fields_;
  }
  bool read = ReadTokens() && FinishDate() && fields_.has_date;
  if (!unknown_zone_.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "time zone \"", unknown_zone_, "\" is not supported: use UTC or an offset such as +02:00"));
  }
  if (out_of_range_) {
    return absl::OutOfRangeError(
        absl::StrCat("date/time field value out of range: \"", ToAbsl(original_), "\""));
  }
  if (!read) {
    return InvalidSyntax(original_, type_name_);
  }
  return fields_;
}

bool DateTimeReader::ReadTokens() {
  std::string_view rest = text_;
  while (true) {
    size_t begin = rest.find_first_not_of(" \t\n\v\f\r,");
    if (begin == std::string_view::npos) {
      return true;
    }
    rest.remove_prefix(begin);
    size_t end = std::min(rest.find_first_of(" \t\n\v\f\r,"), rest.size());
    if (!ReadToken(rest.substr(0, end))) {
      return false;
    }
    rest.remove_prefix(end);
  }
}

bool DateTimeReader::ReadToken(std::string_view token) {
  size_t mark = token.find('t');
  if (mark != std::string_view::npos && mark > 0 && mark + 1 < token.size() &&
      IsDigit(token[mark - 1]) && IsDigit(token[mark + 1])) {
    return ReadToken(token.substr(0, mark)) && ReadTime(token.substr(mark + 1));
  }
  if (token.find(':') != std::string_view::npos) {
    return IsDigit(token[0]) ? ReadTime(token) : ReadZone(token);
  }
  if (token[0] == '+' || token[0] == '-') {
    return ReadZone(token);
  }
  if (IsDigit(token[0])) {
    return token.find_first_of("-/.") != std::string_view::npos ? ReadDate(token)
                                                                : ReadNumber(token);
  }
  return ReadWord(token);
}

bool DateTimeReader::ReadWord(std::string_view word) {
  if (int month = MonthByName(word); month != 0) {
    if (named_month_ != 0) {
      return false;
    }
    named_month_ = month;
    return true;
  }
  if (word == "bc" || word == "ad") {
    bc_ = word == "bc";
    return true;
  }
  if (word == "am" || word == "pm") {
    if (!fields_.has_time) {
      return false;
    }
    bool noon = fields_.time_us / kMicrosPerHour == 12;
    out_of_range_ = out_of_range_ || fields_.time_us / kMicrosPerHour > 12;
    fields_.time_us +=
        word == "pm" ? (noon ? 0 : 12 * kMicrosPerHour) : (noon ? -12 * kMicrosPerHour : 0);
    return true;
  }
  return IsWeekday(word) || ReadNamedZone(word);
}

bool DateTimeReader::ReadNamedZone(std::string_view word) {
  if (word == "z" || word == "utc" || word == "gmt" || word == "zulu" || word == "etc/utc") {
    fields_.has_zone = true;
    return true;
  }
  bool zone_like =
      fields_.has_time && std::all_of(word.begin(), word.end(), [](char c) {
        return absl::ascii_isalpha(static_cast<unsigned char>(c)) || c == '/' || c == '_';
      });
  if (zone_like) {
    unknown_zone_ = std::string(word);
  }
  return false;
}

bool DateTimeReader::ReadNumber(std::string_view digits) {
  if (!AllDigits(digits)) {
    return false;
  }
  if (!fields_.has_date && named_month_ == 0 && digits.size() == 8) {
    return SetDate(ToInt(digits.substr(0, 4)), ToInt(digits.substr(4, 2)),
                   ToInt(digits.substr(6, 2)), false);
  }
  numbers_.push_back(digits);
  return numbers_.size() <= 2;
}

bool DateTimeReader::ReadDate(std::string_view token) {
  size_t first = token.find_first_of("-/.");
  size_t second = token.find_first_of("-/.", first + 1);
  if (second == std::string_view::npos || fields_.has_date) {
    return false;
  }
  std::string_view a = token.substr(0, first);
  std::string_view b = token.substr(first + 1, second - first - 1);
  std::string_view c = token.substr(second + 1);
  // An offset may follow directly: 2024-05-06+02.
  if (size_t zone = c.find_first_of("+-z"); zone != std::string_view::npos && zone > 0) {
    if (!ReadZone(c.substr(zone))) {
      return false;
    }
    c = c.substr(0, zone);
  }
  int month = MonthByName(b);
  if (!AllDigits(a) || !AllDigits(c) || (month == 0 && !AllDigits(b))) {
    return false;
  }
  if (a.size() >= 3) {
    return SetDate(ToInt(a), month != 0 ? month : ToInt(b), ToInt(c), false);
  }
  if (month != 0) {
    return SetDate(ToInt(c), month, ToInt(a), c.size() <= 2);
  }
  return SetDate(ToInt(c), ToInt(a), ToInt(b), c.size() <= 2);  // month, day, year
}

bool DateTimeReader::SetDate(int64_t year, int month, int day, bool two_digit_year) {
  if (two_digit_year) {
    year += year < 70 ? 2000 : 1900;
  }
  out_of_range_ = out_of_range_ || year < 0 || month < 1 || month > 12 || day < 1 || day > 31;
  fields_.has_date = true;
  fields_.date = {.year = year, .month = std::clamp(month, 1, 12), .day = day};
  return true;
}

// Puts together a date written with a month's name, and checks the day against its month.
bool DateTimeReader::FinishDate() {
  if (named_month_ != 0) {
    if (fields_.has_date || numbers_.size() != 2) {
      return false;
    }
    // "January 8, 1999", "8 January 1999" or "1999 January 8".
    bool year_first = numbers_[0].size() >= 3;
    std::string_view year = numbers_[year_first ? 0 : 1];
    SetDate(ToInt(year), named_month_, ToInt(numbers_[year_first ? 1 : 0]), year.size() <= 2);
  } else if (!numbers_.empty()) {
    return false;
  }
  if (out_of_range_) {
    return true;
  }
  if (bc_ || fields_.date.year == 0) {
    out_of_range_ = fields_.date.year == 0;  // there was no year 0
    fields_.date.year = 1 - fields_.date.year;
  }
  out_of_range_ =
      out_of_range_ || fields_.date.day > DaysInMonth(fields_.date.year, fields_.date.month);
  return true;
}

bool DateTimeReader::ReadTime(std::string_view token) {
  if (fields_.has_time) {
    return false;
  }
  size_t end = std::min(token.find_first_not_of("0123456789:."), token.size());
  std::string_view clock = token.substr(0, end);
  std::string_view suffix = token.substr(end);
  int hour = -1;
  int minute = -1;
  int second = 0;
  int64_t fraction_us = 0;
  size_t point = std::min(clock.find('.'), clock.size());
  if (point + 1 < clock.size()) {
    if (!AllDigits(clock.substr(point + 1))) {
      return false;
    }
    fraction_us = FractionToMicros(clock.substr(point + 1));
  }
  clock = clock.substr(0, point);
  size_t colon = clock.find(':');
  if (colon == std::string_view::npos) {  // hhmmss or hhmm after a T
    if (clock.size() != 6 && clock.size() != 4) {
      return false;
    }
    hour = ToInt(clock.substr(0, 2));
    minute = ToInt(clock.substr(2, 2));
    second = clock.size() == 6 ? ToInt(clock.substr(4)) : 0;
  } else {
    size_t second_colon = std::min(clock.find(':', colon + 1), clock.size());
    hour = ToInt(clock.substr(0, colon));
    minute = ToInt(clock.substr(colon + 1, second_colon - colon - 1));
    second = second_colon < clock.size() ? ToInt(clock.substr(second_colon + 1)) : 0;
  }
  if (hour < 0 || minute < 0 || second < 0) {
    return false;
  }
  fields_.has_time = true;
  fields_.time_us =
      hour * kMicrosPerHour + minute * kMicrosPerMinute + second * kMicrosPerSecond + fraction_us;
  out_of_range_ = out_of_range_ || minute > 59 || second > 60 || fields_.time_us > kMicrosPerDay;
  if (suffix.empty()) {
    return true;
  }
  return suffix[0] == '+' || suffix[0] == '-' ? ReadZone(suffix) : ReadWord(suffix);
}

// z, +hh, +hhmm, +hh:mm, +hh:mm:ss.
bool DateTimeReader::ReadZone(std::string_view token) {
  if (token == "z") {
    fields_.has_zone = true;
    return true;
  }
  if (fields_.has_zone || token.size() < 2 || (token[0] != '+' && token[0] != '-')) {
    return false;
  }
  int64_t sign = token[0] == '-' ? -1 : 1;
  token.remove_prefix(1);
  std::array<int64_t, 3> parts = {0, 0, 0};
  if (token.find(':') == std::string_view::npos && token.size() > 2) {
    parts = {ToInt(token.substr(0, token.size() - 2)), ToInt(token.substr(token.size() - 2)), 0};
  } else {
    for (size_t i = 0; i < parts.size() && !token.empty(); ++i) {
      size_t colon = std::min(token.find(':'), token.size());
      parts[i] = ToInt(token.substr(0, colon));
      token.remove_prefix(std::min(colon + 1, token.size()));
    }
    if (!token.empty()) {
      return false;
    }
  }
  if (parts[0] < 0 || parts[1] < 0 || parts[2] < 0) {
    return false;
  }
  constexpr int64_t kMostZoneHours = 15;
  out_of_range_ = out_of_range_ || parts[0] > kMostZoneHours || parts[1] > 59 || parts[2] > 59;
  fields_.has_zone = true;
  fields_.zone_us = sign * (parts[0] * kMicrosPerHour + parts[1] * kMicrosPerMinute +
                            parts[2] * kMicrosPerSecond);
  return true;
}

absl::StatusOr<int64_t> ToMicros(std::string_view text, const DateTimeFields& fields,
                                 bool with_zone) {
  if (fields.infinite) {
    return fields.negative_infinite ? kTimestampMinusInfinity : kTimestampInfinity;
  }
  int64_t days = DaysFromCivil(fields.date.year, fields.date.month, fields.date.day);
  int64_t micros = 0;
  int64_t within = fields.time_us - (with_zone ? fields.zone_us : 0);
  if (__builtin_mul_overflow(days, kMicrosPerDay, &micros) ||
      __builtin_add_overflow(micros, within, &micros) || !IsValidTimestamp(micros)) {
    return absl::OutOfRangeError(absl::StrCat("timestamp out of range: \"", ToAbsl(text), "\""));
  }
  return micros;
}

// Returns whether the year is before Christ, to be said behind everything else.
bool AppendCivil(int64_t days, std::string* out) {
  CivilDate date = CivilFromDays(days);
  bool bc = date.year <= 0;
  char buffer[40];
  int size = absl::SNPrintF(buffer, sizeof(buffer), "%04d-%02d-%02d",
                            bc ? 1 - date.year : date.year, date.month, date.day);
  out->append(buffer, static_cast<size_t>(size));
  return bc;
}

void AppendMoment(int64_t micros, const char* zone, std::string* out) {
  if (!IsFiniteTimestamp(micros)) {
    out->append(micros == kTimestampInfinity ? "infinity" : "-infinity");
    return;
  }
  bool bc = AppendCivil(FloorDiv(micros, kMicrosPerDay), out);
  out->push_back(' ');
  AppendTime(FloorMod(micros, kMicrosPerDay), out);
  out->append(zone);
  out->append(bc ? " BC" : "");
}

}  // namespace

int64_t FractionToMicros(std::string_view digits) {
  constexpr size_t kMicroDigits = 6;
  if (digits.size() <= kMicroDigits) {
    int64_t value = 0;
    for (size_t i = 0; i < kMicroDigits; ++i) {
      value = value * 10 + (i < digits.size() ? digits[i] - '0' : 0);
    }
    return value;
  }
  double fraction = 0;
  std::string text = absl::StrCat("0.", ToAbsl(digits));
  std::from_chars(text.data(), text.data() + text.size(), fraction);
  return static_cast<int64_t>(std::rint(fraction * 1e6));
}

void AppendTime(int64_t micros, std::string* out) {
  int64_t hours = micros / kMicrosPerHour;
  auto seconds = static_cast<int>(micros % kMicrosPerHour / kMicrosPerSecond);
  auto fraction = static_cast<int>(micros % kMicrosPerSecond);
  char buffer[48];
  int size =
      absl::SNPrintF(buffer, sizeof(buffer), "%02d:%02d:%02d", hours, seconds / 60, seconds % 60);
  out->append(buffer, static_cast<size_t>(size));
  if (fraction != 0) {
    size = absl::SNPrintF(buffer, sizeof(buffer), ".%06d", fraction);
    std::string_view text(buffer, static_cast<size_t>(size));
    out->append(text.substr(0, text.find_last_not_of('0') + 1));
  }
}

absl::StatusOr<int32_t> ParseDate(std::string_view text) {
  if (std::optional<int32_t> days = ReadIsoDate(text); days.has_value()) {
    return *days;
  }
  ASSIGN_OR_RETURN(DateTimeFields fields, DateTimeReader(text, "date").Read());
  if (fields.infinite) {
    return fields.negative_infinite ? kDateMinusInfinity : kDateInfinity;
  }
  int64_t days = DaysFromCivil(fields.date.year, fields.date.month, fields.date.day);
  if (!IsValidDate(days)) {
    return absl::OutOfRangeError(absl::StrCat("date out of range: \"", ToAbsl(text), "\""));
  }
  return static_cast<int32_t>(days);
}

absl::StatusOr<int64_t> ParseTimestamp(std::string_view text) {
  if (std::optional<int64_t> micros = ReadIsoTimestamp(text, false); micros.has_value()) {
    return *micros;
  }
  ASSIGN_OR_RETURN(DateTimeFields fields, DateTimeReader(text, "timestamp").Read());
  return ToMicros(text, fields, /*with_zone=*/false);
}

absl::StatusOr<int64_t> ParseTimestampTz(std::string_view text) {
  if (std::optional<int64_t> micros = ReadIsoTimestamp(text, true); micros.has_value()) {
    return *micros;
  }
  ASSIGN_OR_RETURN(DateTimeFields fields, DateTimeReader(text, "timestamp with time zone").Read());
  return ToMicros(text, fields, /*with_zone=*/true);
}

void AppendDate(int32_t days, std::string* out) {
  if (!IsFiniteDate(days)) {
    out->append(days == kDateInfinity ? "infinity" : "-infinity");
    return;
  }
  out->append(AppendCivil(days, out) ? " BC" : "");
}

void AppendTimestamp(int64_t micros, std::string* out) { AppendMoment(micros, "", out); }
void AppendTimestampTz(int64_t micros, std::string* out) { AppendMoment(micros, "+00", out); }

}  // namespace millrace
