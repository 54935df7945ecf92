#include "common/types/interval_decoder.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "common/types/calendar.h"
#include "common/types/datetime_number.h"
#include "common/types/datetime_tokens.h"
#include "common/types/time_units.h"

namespace millrace {
namespace {

using Kind = DateTimeToken::Kind;
using Outcome = IntervalOutcome;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool AllDigits(std::string_view text) { return std::all_of(text.begin(), text.end(), IsDigit); }

Outcome Within(bool in_range) { return in_range ? Outcome::kGood : Outcome::kOutOfRange; }

constexpr uint32_t Bit(DateTimeField unit) { return uint32_t{1} << static_cast<uint32_t>(unit); }
constexpr uint32_t kSecondUnits = Bit(DateTimeField::kSecond) | Bit(DateTimeField::kMilliseconds) |
                                  Bit(DateTimeField::kMicroseconds);
constexpr uint32_t kClockUnits =
    Bit(DateTimeField::kHour) | Bit(DateTimeField::kMinute) | kSecondUnits;

// Takes a whole number with or without a sign off the front of `rest`; 0 if there is none, as
// strtol does. Nothing if it does not fit.
template <typename T>
std::optional<T> TakeWhole(std::string_view* rest) {
  const bool sign = rest->starts_with('-') || rest->starts_with('+');
  const size_t end = std::min(rest->find_first_not_of("0123456789", sign ? 1 : 0), rest->size());
  if (end == (sign ? 1 : 0)) {
    return T{0};
  }
  const size_t begin = rest->starts_with('+') ? 1 : 0;  // which from_chars does not know
  T value = 0;
  const auto [last, error] = std::from_chars(rest->data() + begin, rest->data() + end, value);
  rest->remove_prefix(end);
  return error == std::errc() ? std::optional<T>(value) : std::nullopt;
}

// Reads from the end, since a unit stands behind its number. What has no unit is in seconds, or, to
// the left of hours or a clock, in days.
class UnitReader {
 public:
  explicit UnitReader(IntervalSum* sum) : sum_(*sum) {}

  Outcome Read(const std::vector<DateTimeToken>& tokens) {
    for (auto token = tokens.rbegin(); token != tokens.rend(); ++token) {
      said_ = 0;
      if (const Outcome outcome = Take(*token); outcome != Outcome::kGood) {
        return outcome;
      }
      if ((said_ & known_) != 0) {
        return Outcome::kMalformed;
      }
      known_ |= said_;
    }
    if (known_ == 0) {
      return Outcome::kMalformed;
    }
    return Within(!ago_ || sum_.Negate());
  }

 private:
  Outcome Take(const DateTimeToken& token) {
    switch (token.kind) {
      case Kind::kTime:
        return TakeClock(token.text, 1);
      case Kind::kZone:  // a sign and digits, maybe with points, colons and minuses among them
        if (token.text.find(':') != std::string::npos) {
          return TakeSignedClock(token.text);
        }
        return TakeNumber(token.text);
      case Kind::kDate:
      case Kind::kNumber:
        return TakeNumber(token.text);
      case Kind::kWord:
      case Kind::kSignedWord:
        return TakeWord(token.text);
    }
    return Outcome::kMalformed;
  }

  Outcome TakeWord(std::string_view word) {
    if (word == "ago") {
      ago_ = true;
      unit_.reset();
      return Outcome::kGood;
    }
    unit_ = FindTimeUnit(word);
    return unit_.has_value() ? Outcome::kGood : Outcome::kMalformed;
  }

  // hh:mm, hh:mm:ss[.f], mm:ss.f. The clock is the whole time, whatever is to the right of it.
  Outcome TakeClock(std::string_view text, int64_t sign) {
    said_ = kClockUnits;
    std::optional<int64_t> hour = TakeWhole<int64_t>(&text);
    std::optional<int32_t> minute = 0;
    std::optional<int32_t> second = 0;
    if (hour.has_value() && !text.starts_with(':')) {
      return Outcome::kMalformed;
    }
    if (hour.has_value()) {
      text.remove_prefix(1);
      minute = TakeWhole<int32_t>(&text);
    }
    const bool has_seconds = minute.has_value() && text.starts_with(':');
    if (has_seconds) {
      text.remove_prefix(1);
      second = TakeWhole<int32_t>(&text);
    }
    if (!hour.has_value() || !minute.has_value() || !second.has_value()) {
      return Outcome::kOutOfRange;
    }
    int64_t fraction_us = 0;
    if (!text.empty()) {
      if (text[0] != '.' || !AllDigits(text.substr(1))) {
        return Outcome::kMalformed;
      }
      fraction_us = FractionToMicros(text.substr(1));
      if (!has_seconds) {  // minutes and seconds
        second = minute;
        minute = static_cast<int32_t>(std::clamp<int64_t>(*hour, -1, kMostSixtieths + 1));
        hour = 0;
      }
    }
    if (*minute < 0 || *minute > kMostSixtieths || *second < 0 || *second > kMostSixtieths + 1) {
      return Outcome::kOutOfRange;
    }
    sum_.set_time_us(sign * fraction_us);
    unit_ = DateTimeField::kDay;
    return Within(sum_.AddTime({.whole = sign * *hour}, kMicrosPerHour) &&
                  sum_.AddTime({.whole = sign * *minute}, kMicrosPerMinute) &&
                  sum_.AddTime({.whole = sign * *second}, kMicrosPerSecond));
  }

  // Counted downwards if it is negative: the smallest interval is read back too, which PostgreSQL
  // prints but does not read.
  Outcome TakeSignedClock(std::string_view text) {
    const Outcome outcome = TakeClock(text.substr(1), text[0] == '-' ? -1 : 1);
    return outcome == Outcome::kGood ? outcome : TakeNumber(text);
  }

  // A number, or years-months.
  Outcome TakeNumber(std::string_view text) {
    const bool negative = text.starts_with('-');
    std::string_view rest = text;
    const std::optional<int64_t> whole = TakeWhole<int64_t>(&rest);
    if (!whole.has_value()) {
      return Outcome::kOutOfRange;
    }
    if (rest.starts_with('-')) {
      rest.remove_prefix(1);
      return TakeYearMonth(*whole, negative, rest);
    }
    IntervalAmount amount{.whole = *whole};
    if (!rest.empty()) {
      if (rest[0] != '.' || !AllDigits(rest.substr(1))) {
        return Outcome::kMalformed;
      }
      amount.fraction = FractionOf(rest.substr(1)) * (negative ? -1 : 1);
    }
    return Add(amount);
  }

  Outcome TakeYearMonth(int64_t years, bool negative, std::string_view months_text) {
    constexpr int64_t kMonthsPerYear = 12;
    const std::optional<int32_t> months = TakeWhole<int32_t>(&months_text);
    if (!months.has_value() || *months < 0 || *months >= kMonthsPerYear) {
      return Outcome::kOutOfRange;
    }
    if (!months_text.empty()) {
      return Outcome::kMalformed;
    }
    IntervalAmount amount;
    if (__builtin_mul_overflow(years, kMonthsPerYear, &amount.whole) ||
        __builtin_add_overflow(amount.whole, negative ? -*months : *months, &amount.whole)) {
      return Outcome::kOutOfRange;
    }
    unit_ = DateTimeField::kMonth;
    return Add(amount);
  }

  // Adds so much of the unit that was read before it.
  Outcome Add(const IntervalAmount& amount) {
    if (!unit_.has_value()) {
      return Outcome::kMalformed;
    }
    said_ = *unit_ == DateTimeField::kSecond && amount.fraction != 0 ? kSecondUnits : Bit(*unit_);
    switch (*unit_) {
      case DateTimeField::kMicroseconds:
        return Within(sum_.AddTime(amount, 1));
      case DateTimeField::kMilliseconds:
        return Within(sum_.AddTime(amount, kMicrosPerSecond / 1000));
      case DateTimeField::kSecond:
        return Within(sum_.AddTime(amount, kMicrosPerSecond));
      case DateTimeField::kMinute:
        return Within(sum_.AddTime(amount, kMicrosPerMinute));
      case DateTimeField::kHour:
        unit_ = DateTimeField::kDay;
        return Within(sum_.AddTime(amount, kMicrosPerHour));
      case DateTimeField::kDay:
        return Within(sum_.AddDays(amount, 1));
      case DateTimeField::kWeek:
        return Within(sum_.AddDays(amount, 7));
      case DateTimeField::kMonth:
        return Within(sum_.AddMonths(amount));
      case DateTimeField::kYear:
        return Within(sum_.AddYears(amount, 1));
      case DateTimeField::kDecade:
        return Within(sum_.AddYears(amount, 10));
      case DateTimeField::kCentury:
        return Within(sum_.AddYears(amount, 100));
      case DateTimeField::kMillennium:
        return Within(sum_.AddYears(amount, 1000));
      default:
        return Outcome::kMalformed;  // nobody counts in quarters or time zones
    }
  }

  static constexpr int32_t kMostSixtieths = 59;

  IntervalSum& sum_;
  uint32_t known_ = 0;  // units that have been read, by Bit
  uint32_t said_ = 0;   // units of the current token
  std::optional<DateTimeField> unit_ =
      DateTimeField::kSecond;  // of the next number; none behind "ago"
  bool ago_ = false;
};

class IsoReader {
 public:
  IsoReader(std::string_view text, IntervalSum* sum) : text_(text), sum_(*sum) {}

  Outcome Read() {
    if (text_.size() < 2 || text_[0] != 'P') {
      return Outcome::kMalformed;
    }
    at_ = 1;
    while (!AtEnd()) {
      if (Next() == 'T') {
        ++at_;
        BeginTime();
        continue;
      }
      const size_t digits = LeadingDigits();
      IntervalAmount amount;
      if (const Outcome outcome = TakeNumber(&amount); outcome != Outcome::kGood) {
        return outcome;
      }
      const Outcome outcome = in_time_ ? TakeTime(amount, digits) : TakeDate(amount, digits);
      if (outcome != Outcome::kGood) {
        return outcome;
      }
    }
    return Outcome::kGood;
  }

 private:
  bool AtEnd() const { return at_ == text_.size(); }
  char Next() const { return AtEnd() ? '\0' : text_[at_]; }
  char TakeChar() { return AtEnd() ? '\0' : text_[at_++]; }
  void BeginTime() {
    in_time_ = true;
    any_part_ = false;
  }

  size_t LeadingDigits() const {
    const size_t begin = at_ + (Next() == '-' ? 1 : 0);
    return std::min(text_.find_first_not_of("0123456789", begin), text_.size()) - begin;
  }

  // A number as strtod reads it, since PostgreSQL takes exponents and hexadecimal digits too.
  Outcome TakeNumber(IntervalAmount* amount) {
    constexpr double kMost = 1e15;  // up to which a double has all whole numbers
    if (!IsDigit(Next()) && Next() != '-' && Next() != '.') {
      return Outcome::kMalformed;
    }
    const char* const begin = text_.c_str() + at_;
    char* end = nullptr;
    errno = 0;
    const double value = std::strtod(begin, &end);
    if (end == begin || errno != 0) {
      return Outcome::kMalformed;
    }
    at_ += static_cast<size_t>(end - begin);
    if (!(value >= -kMost && value <= kMost)) {
      return Outcome::kOutOfRange;
    }
    amount->whole = static_cast<int64_t>(std::trunc(value));
    amount->fraction = value - std::trunc(value);
    return Outcome::kGood;
  }

  // A number that has a unit behind it.
  Outcome Added(bool in_range) {
    any_part_ = true;
    return Within(in_range);
  }

  // nYnMnWnD, or what the other forms have there.
  Outcome TakeDate(const IntervalAmount& amount, size_t digits) {
    const char unit = TakeChar();
    switch (unit) {
      case 'Y':
        return Added(sum_.AddYears(amount, 1));
      case 'M':
        return Added(sum_.AddMonths(amount));
      case 'W':
        return Added(sum_.AddDays(amount, 7));
      case 'D':
        return Added(sum_.AddDays(amount, 1));
      case 'T':
      case '\0':
      case '-':
        break;
      default:
        return Outcome::kMalformed;
    }
    if (any_part_) {
      return Outcome::kMalformed;
    }
    constexpr size_t kBasicDigits = 8;  // yyyymmdd
    Outcome outcome = Outcome::kGood;
    if (unit == '-') {
      outcome = TakeDashedDate(amount);
    } else if (digits == kBasicDigits) {
      const int64_t date = amount.whole;
      outcome = Within(sum_.AddYears({.whole = date / 10000}, 1) &&
                       sum_.AddMonths({.whole = date / 100 % 100}) &&
                       sum_.AddDays({.whole = date % 100, .fraction = amount.fraction}, 1));
    } else {
      outcome = Within(sum_.AddYears(amount, 1));
    }
    if (unit == 'T') {
      BeginTime();
    }
    return outcome;
  }

  // yyyy-mm, yyyy-mm-dd, behind the first dash.
  Outcome TakeDashedDate(const IntervalAmount& years) {
    IntervalAmount amount;
    if (!sum_.AddYears(years, 1)) {
      return Outcome::kOutOfRange;
    }
    if (const Outcome outcome = TakeNumber(&amount); outcome != Outcome::kGood) {
      return outcome;
    }
    if (!sum_.AddMonths(amount)) {
      return Outcome::kOutOfRange;
    }
    if (AtEnd() || Next() == 'T') {
      return Outcome::kGood;
    }
    if (TakeChar() != '-') {
      return Outcome::kMalformed;
    }
    if (const Outcome outcome = TakeNumber(&amount); outcome != Outcome::kGood) {
      return outcome;
    }
    if (!sum_.AddDays(amount, 1)) {
      return Outcome::kOutOfRange;
    }
    return AtEnd() || Next() == 'T' ? Outcome::kGood : Outcome::kMalformed;
  }

  // nHnMnS, or what the other forms have there.
  Outcome TakeTime(const IntervalAmount& amount, size_t digits) {
    const char unit = TakeChar();
    switch (unit) {
      case 'H':
        return Added(sum_.AddTime(amount, kMicrosPerHour));
      case 'M':
        return Added(sum_.AddTime(amount, kMicrosPerMinute));
      case 'S':
        return Added(sum_.AddTime(amount, kMicrosPerSecond));
      case '\0':
      case ':':
        break;
      default:
        return Outcome::kMalformed;
    }
    if (any_part_) {
      return Outcome::kMalformed;
    }
    constexpr size_t kBasicDigits = 6;  // hhmmss
    if (unit == ':') {
      return TakeClock(amount);
    }
    if (digits == kBasicDigits) {
      const int64_t time = amount.whole;
      // The fraction counts as one of a microsecond, in PostgreSQL.
      return Within(sum_.AddTime({.whole = time / 10000}, kMicrosPerHour) &&
                    sum_.AddTime({.whole = time / 100 % 100}, kMicrosPerMinute) &&
                    sum_.AddTime({.whole = time % 100}, kMicrosPerSecond) &&
                    sum_.AddTime({.fraction = amount.fraction}, 1));
    }
    return Within(sum_.AddTime(amount, kMicrosPerHour));
  }

  // hh:mm, hh:mm:ss, behind the first colon.
  Outcome TakeClock(const IntervalAmount& hours) {
    IntervalAmount amount;
    if (!sum_.AddTime(hours, kMicrosPerHour)) {
      return Outcome::kOutOfRange;
    }
    if (const Outcome outcome = TakeNumber(&amount); outcome != Outcome::kGood) {
      return outcome;
    }
    if (!sum_.AddTime(amount, kMicrosPerMinute)) {
      return Outcome::kOutOfRange;
    }
    if (AtEnd()) {
      return Outcome::kGood;
    }
    if (TakeChar() != ':') {
      return Outcome::kMalformed;
    }
    if (const Outcome outcome = TakeNumber(&amount); outcome != Outcome::kGood) {
      return outcome;
    }
    if (!sum_.AddTime(amount, kMicrosPerSecond)) {
      return Outcome::kOutOfRange;
    }
    return AtEnd() ? Outcome::kGood : Outcome::kMalformed;
  }

  const std::string text_;
  IntervalSum& sum_;
  size_t at_ = 0;
  bool in_time_ = false;   // behind the T
  bool any_part_ = false;  // whether a number with a unit came since P or T
};

}  // namespace

IntervalOutcome DecodeIntervalUnits(std::string_view text, IntervalSum* sum) {
  constexpr size_t kMostBytes = 256;
  const std::optional<std::vector<DateTimeToken>> tokens = SplitDateTime(text, kMostBytes);
  return tokens.has_value() ? UnitReader(sum).Read(*tokens) : Outcome::kMalformed;
}

IntervalOutcome DecodeIsoInterval(std::string_view text, IntervalSum* sum) {
  return IsoReader(text, sum).Read();
}

}  // namespace millrace
