#include "common/types/interval_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/types/calendar.h"
#include "common/types/datetime_number.h"
#include "common/types/datetime_text.h"
#include "common/types/number_text.h"

namespace millrace {
namespace {

// A unit: how many months, days or microseconds it has.
struct Unit {
  int64_t months = 0;
  int64_t days = 0;
  int64_t micros = 0;
};

struct UnitNames {
  std::array<std::string_view, 6> names;
  Unit unit;
};

constexpr std::array<UnitNames, 12> kUnits = {{
    {{"us", "usec", "usecs", "usecond", "useconds", "microsecon"}, {.micros = 1}},
    {{"ms", "msec", "msecs", "msecond", "mseconds", "millisecon"}, {.micros = 1000}},
    {{"s", "sec", "secs", "second", "seconds"}, {.micros = kMicrosPerSecond}},
    {{"m", "min", "mins", "minute", "minutes"}, {.micros = kMicrosPerMinute}},
    {{"h", "hr", "hrs", "hour", "hours"}, {.micros = kMicrosPerHour}},
    {{"d", "day", "days"}, {.days = 1}},
    {{"w", "week", "weeks"}, {.days = 7}},
    {{"mon", "mons", "month", "months"}, {.months = 1}},
    {{"y", "yr", "yrs", "year", "years"}, {.months = 12}},
    {{"dec", "decs", "decade", "decades"}, {.months = 120}},
    {{"c", "cent", "century", "centuries"}, {.months = 1200}},
    {{"mil", "mils", "millennia", "millennium"}, {.months = 12000}},
}};

// PostgreSQL compares the first ten characters, so that "microseconds" and "milliseconds" are cut
// like this.
constexpr size_t kSignificantNameBytes = 10;

const Unit* FindUnit(std::string_view name) {
  name = name.substr(0, kSignificantNameBytes);
  for (const UnitNames& candidate : kUnits) {
    for (std::string_view known : candidate.names) {
      if (!known.empty() && name == known) {
        return &candidate.unit;
      }
    }
  }
  return nullptr;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// "12", "12.5", ".5", with a sign apart.
struct Amount {
  int64_t whole = 0;
  double fraction = 0;  // in [0, 1)
  int64_t sign = 1;
};

class IntervalReader {
 public:
  explicit IntervalReader(std::string_view text) : text_(absl::AsciiStrToLower(ToAbsl(text))) {}

  enum class Outcome { kOk, kMalformed, kOutOfRange };
  Outcome Read(Interval* out);

 private:
  bool ReadVerbose(std::string_view rest);
  bool ReadWord(std::string_view* rest);
  bool ReadNumber(std::string_view* rest);
  bool ReadIso(std::string_view rest);
  bool TakeAmount(std::string_view* rest, Amount* amount);
  bool ReadClock(std::string_view token, int64_t sign);
  bool ReadYearMonth(std::string_view token, int64_t sign);
  void Add(const Amount& amount, const Unit& unit);
  // Takes the unit of the pending number.
  void Take(const Unit& unit) {
    Add(*pending_, unit);
    pending_.reset();
    any_ = true;
  }
  void AddScaled(int64_t value, int64_t factor, int64_t* total);

  std::string text_;
  int64_t months_ = 0;
  int64_t days_ = 0;
  int64_t micros_ = 0;
  bool overflow_ = false;
  std::optional<Amount> pending_;  // a number whose unit has not come yet
  bool any_ = false;               // whether anything was read
};

IntervalReader::Outcome IntervalReader::Read(Interval* out) {
  std::string_view rest = ToStd(absl::StripAsciiWhitespace(text_));
  bool iso =
      rest.size() > 1 && rest[0] == 'p' && (IsDigit(rest[1]) || rest[1] == 't' || rest[1] == '-');
  bool ok = iso ? ReadIso(rest.substr(1)) : ReadVerbose(rest);
  if (!ok) {
    return Outcome::kMalformed;
  }
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  if (overflow_ || std::abs(months_) > kMost || std::abs(days_) > kMost) {
    return Outcome::kOutOfRange;
  }
  *out = {.months = static_cast<int32_t>(months_),
          .days = static_cast<int32_t>(days_),
          .micros = micros_};
  return Outcome::kOk;
}

void IntervalReader::AddScaled(int64_t value, int64_t factor, int64_t* total) {
  int64_t product = 0;
  overflow_ = __builtin_mul_overflow(value, factor, &product) ||
              __builtin_add_overflow(*total, product, total) || overflow_;
}

// Carries a fraction over to the next smaller unit, as PostgreSQL does: of years to months, of
// months to days (30 to the month), of days to microseconds.
void IntervalReader::Add(const Amount& amount, const Unit& unit) {
  double fraction = amount.fraction * static_cast<double>(amount.sign);
  if (unit.months > 0) {
    AddScaled(amount.sign * amount.whole, unit.months, &months_);
    if (unit.months > 1) {
      AddScaled(std::llrint(fraction * static_cast<double>(unit.months)), 1, &months_);
      return;
    }
    fraction *= 30;
  } else if (unit.days > 0) {
    AddScaled(amount.sign * amount.whole, unit.days, &days_);
    fraction *= static_cast<double>(unit.days);
  } else {
    AddScaled(amount.sign * amount.whole, unit.micros, &micros_);
    AddScaled(std::llrint(fraction * static_cast<double>(unit.micros)), 1, &micros_);
    return;
  }
  double days = std::trunc(fraction);
  AddScaled(static_cast<int64_t>(days), 1, &days_);
  AddScaled(std::llrint((fraction - days) * static_cast<double>(kMicrosPerDay)), 1, &micros_);
}

bool IntervalReader::TakeAmount(std::string_view* rest, Amount* amount) {
  if (!rest->empty() && ((*rest)[0] == '-' || (*rest)[0] == '+')) {
    amount->sign = (*rest)[0] == '-' ? -1 : 1;
    rest->remove_prefix(1);
  }
  size_t digits = std::min(rest->find_first_not_of("0123456789"), rest->size());
  size_t end = digits;
  if (digits > 0) {
    auto [last, error] = std::from_chars(rest->data(), rest->data() + digits, amount->whole);
    overflow_ = overflow_ || error == std::errc::result_out_of_range;
  }
  if (end < rest->size() && (*rest)[end] == '.') {
    end = std::min(rest->find_first_not_of("0123456789", end + 1), rest->size());
    std::string text = absl::StrCat("0", ToAbsl(rest->substr(digits, end - digits)));
    std::from_chars(text.data(), text.data() + text.size(), amount->fraction);
  }
  bool any = end > digits + 1 || digits > 0;
  rest->remove_prefix(end);
  return any;
}

// hh:mm, hh:mm:ss[.f], or mm:ss.f
bool IntervalReader::ReadClock(std::string_view token, int64_t sign) {
  std::array<int64_t, 3> parts = {0, 0, 0};
  size_t count = 0;
  int64_t fraction_us = 0;
  while (true) {
    size_t digits = std::min(token.find_first_not_of("0123456789"), token.size());
    if (digits == 0 || count == parts.size()) {
      return false;
    }
    auto [last, error] = std::from_chars(token.data(), token.data() + digits, parts[count]);
    overflow_ = overflow_ || error != std::errc();
    ++count;
    token.remove_prefix(digits);
    if (token.empty()) {
      break;
    }
    char separator = token[0];
    token.remove_prefix(1);
    if (separator == '.' && std::all_of(token.begin(), token.end(), IsDigit)) {
      fraction_us = FractionToMicros(token);
      if (count == 2) {  // minutes and seconds
        parts = {0, parts[0], parts[1]};
      }
      break;
    }
    if (separator != ':') {
      return false;
    }
  }
  overflow_ = overflow_ || parts[1] > 59 || parts[2] > 60;
  AddScaled(sign * parts[0], kMicrosPerHour, &micros_);
  AddScaled(sign * parts[1], kMicrosPerMinute, &micros_);
  AddScaled(sign * (parts[2] * kMicrosPerSecond + fraction_us), 1, &micros_);
  return true;
}

// years-months
bool IntervalReader::ReadYearMonth(std::string_view token, int64_t sign) {
  size_t dash = token.find('-');
  int64_t years = 0;
  int64_t months = 0;
  auto [year_end, year_error] = std::from_chars(token.data(), token.data() + dash, years);
  auto [month_end, month_error] =
      std::from_chars(token.data() + dash + 1, token.data() + token.size(), months);
  if (year_error != std::errc() || month_error != std::errc() ||
      month_end != token.data() + token.size()) {
    return false;
  }
  overflow_ = overflow_ || months > 11;
  AddScaled(sign * years, 12, &months_);
  AddScaled(sign * months, 1, &months_);
  return true;
}

// Reads the unit of the number before it, or "ago" at the end.
bool IntervalReader::ReadWord(std::string_view* rest) {
  size_t end = 0;
  while (end < rest->size() && absl::ascii_isalpha(static_cast<unsigned char>((*rest)[end]))) {
    ++end;
  }
  std::string_view word = rest->substr(0, end);
  rest->remove_prefix(end);
  if (word == "ago" && any_ && !pending_.has_value() &&
      absl::StripAsciiWhitespace(ToAbsl(*rest)).empty()) {
    months_ = -months_;
    days_ = -days_;
    micros_ = -micros_;
    return true;
  }
  const Unit* unit = FindUnit(word);
  if (unit == nullptr || !pending_.has_value()) {
    return false;
  }
  Take(*unit);
  return true;
}

// Reads a number whose unit comes next, a clock, or years-months.
bool IntervalReader::ReadNumber(std::string_view* rest) {
  size_t sign_bytes = (*rest)[0] == '-' || (*rest)[0] == '+' ? 1 : 0;
  size_t end = std::min(rest->find_first_not_of("0123456789.:-", sign_bytes), rest->size());
  std::string_view token = rest->substr(sign_bytes, end - sign_bytes);
  int64_t sign = (*rest)[0] == '-' ? -1 : 1;
  bool clock = token.find(':') != std::string_view::npos;
  bool year_month = token.find('-') != std::string_view::npos;
  if (pending_.has_value()) {
    if (!clock) {
      return false;
    }
    Take(Unit{.days = 1});  // '1 02:03:04' is one day and …
  }
  if (clock || year_month) {
    any_ = true;
    rest->remove_prefix(end);
    return clock ? ReadClock(token, sign) : ReadYearMonth(token, sign);
  }
  pending_.emplace();
  return TakeAmount(rest, &*pending_);
}

bool IntervalReader::ReadVerbose(std::string_view rest) {
  while (true) {
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t\n\v\f\r@"), rest.size()));
    if (rest.empty()) {
      break;
    }
    bool word = absl::ascii_isalpha(static_cast<unsigned char>(rest[0]));
    if (!(word ? ReadWord(&rest) : ReadNumber(&rest))) {
      return false;
    }
  }
  if (pending_.has_value()) {
    Take(Unit{.micros = kMicrosPerSecond});
  }
  return any_;
}

// nYnMnWnDTnHnMnS
bool IntervalReader::ReadIso(std::string_view rest) {
  bool time = false;
  bool any = false;
  while (!rest.empty()) {
    if (rest[0] == 't' && !time) {
      time = true;
      rest.remove_prefix(1);
      continue;
    }
    Amount amount;
    if (!TakeAmount(&rest, &amount) || rest.empty()) {
      return false;
    }
    Unit unit;
    switch (rest[0]) {
      case 'y':
        unit.months = time ? 0 : 12;
        break;
      case 'm':
        (time ? unit.micros : unit.months) = time ? kMicrosPerMinute : 1;
        break;
      case 'w':
        unit.days = time ? 0 : 7;
        break;
      case 'd':
        unit.days = time ? 0 : 1;
        break;
      case 'h':
        unit.micros = time ? kMicrosPerHour : 0;
        break;
      case 's':
        unit.micros = time ? kMicrosPerSecond : 0;
        break;
      default:
        return false;
    }
    if (unit.months == 0 && unit.days == 0 && unit.micros == 0) {
      return false;
    }
    Add(amount, unit);
    any = true;
    rest.remove_prefix(1);
  }
  return any;
}

// One "n units" of the output; a positive part after a negative one gets a plus sign.
void AppendPart(int32_t value, const char* unit, bool* first, bool* before_negative,
                std::string* out) {
  if (value == 0) {
    return;
  }
  absl::StrAppend(out, *first ? "" : " ", *before_negative && value > 0 ? "+" : "", value, " ",
                  unit, value == 1 ? "" : "s");
  *first = false;
  *before_negative = value < 0;
}

}  // namespace

absl::StatusOr<Interval> ParseInterval(std::string_view text) {
  Interval interval;
  switch (IntervalReader(text).Read(&interval)) {
    case IntervalReader::Outcome::kOk:
      return interval;
    case IntervalReader::Outcome::kOutOfRange:
      return absl::OutOfRangeError(
          absl::StrCat("interval field value out of range: \"", ToAbsl(text), "\""));
    case IntervalReader::Outcome::kMalformed:
      break;
  }
  return InvalidSyntax(text, "interval");
}

void AppendInterval(const Interval& interval, std::string* out) {
  bool first = true;
  bool before_negative = false;
  AppendPart(interval.months / 12, "year", &first, &before_negative, out);
  AppendPart(interval.months % 12, "mon", &first, &before_negative, out);
  AppendPart(interval.days, "day", &first, &before_negative, out);
  if (!first && interval.micros == 0) {
    return;
  }
  out->append(first ? "" : " ");
  if (interval.micros < 0) {
    out->push_back('-');
  } else if (before_negative) {
    out->push_back('+');
  }
  // The magnitude of the smallest int64 is no int64, and printing its neighbour would be wrong by a
  // microsecond.
  if (interval.micros == std::numeric_limits<int64_t>::min()) {
    out->append("2562047788:00:54.775808");
    return;
  }
  AppendTime(std::abs(interval.micros), out);
}

}  // namespace millrace
