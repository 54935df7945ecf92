#include "common/types/datetime_decoder.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/types/datetime_number.h"
#include "common/types/number_text.h"
#include "common/types/zone_abbreviations.h"

namespace millrace {
namespace {

using Kind = DateTimeToken::Kind;

constexpr int64_t kNoonHour = 12;
constexpr int64_t kMostHours = 24;
constexpr size_t kMostBytes = 128;
constexpr int64_t kJulianOfEpoch = 2440588;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLower(char c) { return c >= 'a' && c <= 'z'; }

}  // namespace

absl::StatusOr<DateTimeFields> DateTimeDecoder::Decode() {
  Outcome outcome = TakeTokens();
  if (outcome == Outcome::kGood) {
    outcome = Finish();
  }
  if (outcome == Outcome::kGood && lacks_clock_) {
    outcome = Outcome::kNoClock;
  }
  if (outcome != Outcome::kGood) {
    return ErrorOf(outcome);
  }
  DateTimeFields fields;
  fields.kind = kind_;
  fields.date = {.year = year_, .month = static_cast<int>(month_), .day = static_cast<int>(day_)};
  fields.time_us = hour_ * kMicrosPerHour + minute_ * kMicrosPerMinute +
                   second_ * kMicrosPerSecond + fraction_us_;
  if (Has(kZone)) {
    fields.offset_s = offset_s_;
  }
  return fields;
}

absl::Status DateTimeDecoder::ErrorOf(Outcome outcome) const {
  switch (outcome) {
    case Outcome::kOutOfRange:
      return absl::OutOfRangeError(
          absl::StrCat("date/time field value out of range: \"", ToAbsl(text_), "\""));
    case Outcome::kZoneOutOfRange:
      return absl::OutOfRangeError(
          absl::StrCat("time zone displacement out of range: \"", ToAbsl(text_), "\""));
    case Outcome::kUnknownZone:
      return absl::InvalidArgumentError(
          absl::StrCat("time zone \"", zone_name_, "\" not recognized"));
    case Outcome::kNoClock:
      return absl::FailedPreconditionError(absl::StrCat(
          "\"", ToAbsl(text_),
          "\" depends on when it is read, which data must not: use now() in the query"));
    default:
      return InvalidSyntax(text_, type_name_);
  }
}

DateTimeDecoder::Outcome DateTimeDecoder::TakeTokens() {
  std::optional<std::vector<DateTimeToken>> tokens = SplitDateTime(text_, kMostBytes);
  if (!tokens.has_value()) {
    return Outcome::kMalformed;
  }
  tokens_ = *std::move(tokens);
  for (size_t i = 0; i < tokens_.size(); ++i) {
    said_ = 0;
    if (const Outcome outcome = Take(i); outcome != Outcome::kGood) {
      return outcome;
    }
    if ((said_ & known_) != 0) {
      return Outcome::kMalformed;
    }
    known_ |= said_;
  }
  return Outcome::kGood;
}

DateTimeDecoder::Outcome DateTimeDecoder::Take(size_t i) {
  const std::string& token = tokens_[i].text;
  switch (tokens_[i].kind) {
    case Kind::kDate:
      return TakeDateToken(token);
    case Kind::kTime:
      if (label_.has_value() && label_->kind != Word::Kind::kIsoTime) {
        return Outcome::kMalformed;
      }
      label_.reset();
      return TakeTime(token);
    case Kind::kZone:
      return TakeZone(token);
    case Kind::kNumber:
      return label_.has_value() ? TakeLabelled(token) : TakeNumberToken(token);
    case Kind::kWord:
    case Kind::kSignedWord:
      return TakeWordToken(i);
  }
  return Outcome::kMalformed;
}

// Takes a date. If there is a date already, the token is a time with a zone behind it, or the name
// of a zone.
DateTimeDecoder::Outcome DateTimeDecoder::TakeDateToken(const std::string& token) {
  if (label_.has_value() && label_->kind == Word::Kind::kLabel) {
    const bool julian = label_->value == Word::kJulian;
    label_.reset();
    const size_t zone = std::min(token.find_first_not_of("0123456789"), token.size());
    if (!julian || !IsDigit(token[0])) {
      return Outcome::kMalformed;
    }
    const Outcome outcome = TakeJulian(std::string_view(token).substr(0, zone));
    Say(kTimeFields);
    return outcome == Outcome::kGood ? TakeZone(std::string_view(token).substr(zone)) : outcome;
  }
  if (!label_.has_value() && !Has(kMonth | kDay)) {
    return TakeDateParts(token);
  }
  const bool after_t = label_.has_value();
  label_.reset();
  return after_t || IsDigit(token[0]) ? TakeRunTogether(token) : TakeZoneName(token);
}

DateTimeDecoder::Outcome DateTimeDecoder::TakeRunTogether(std::string_view token) {
  const size_t zone = token.find('-');
  if (Has(kTimeFields) || zone == std::string_view::npos) {
    return Outcome::kMalformed;
  }
  const Outcome outcome = TakeZone(token.substr(zone));
  return outcome == Outcome::kGood ? PlaceField(token.substr(0, zone), known_) : outcome;
}

DateTimeDecoder::Outcome DateTimeDecoder::TakeDateParts(std::string_view token) {
  std::vector<std::string_view> parts;
  while (!token.empty()) {
    const auto begin =
        std::find_if(token.begin(), token.end(), [](char c) { return IsDigit(c) || IsLower(c); });
    token.remove_prefix(static_cast<size_t>(begin - token.begin()));
    if (token.empty()) {
      return Outcome::kMalformed;  // a separator at the end
    }
    const bool digits = IsDigit(token[0]);
    const auto end = std::find_if_not(token.begin(), token.end(), digits ? IsDigit : IsLower);
    const auto size = static_cast<size_t>(end - token.begin());
    parts.push_back(token.substr(0, size));
    // Any character behind a part counts as a separator.
    token.remove_prefix(std::min(size + 1, token.size()));
  }
  uint32_t known = known_;
  bool month_named = false;
  for (std::string_view& part : parts) {  // a month's name tells what the numbers are
    const DateTimeWord* word = IsLower(part[0]) ? FindDateTimeWord(part) : nullptr;
    if (!IsLower(part[0]) || (word != nullptr && word->kind == Word::Kind::kNothing)) {
      continue;
    }
    if (word == nullptr || word->kind != Word::Kind::kMonth || (known & kMonth) != 0) {
      return Outcome::kMalformed;
    }
    month_ = word->value;
    month_named = true;
    known |= kMonth;
    Say(kMonth);
    part = {};
  }
  for (const std::string_view part : parts) {
    if (part.empty() || !IsDigit(part[0])) {
      continue;
    }
    const uint32_t before = std::exchange(said_, 0);
    const Outcome outcome = PlaceNumber(part, month_named, known);
    const uint32_t placed = std::exchange(said_, before | said_);
    if (outcome != Outcome::kGood) {
      return outcome;
    }
    if ((placed & known) != 0) {
      return Outcome::kMalformed;
    }
    known |= placed;
  }
  return (known & ~(kDayOfYear | kZone)) == kDateFields ? Outcome::kGood : Outcome::kMalformed;
}

DateTimeDecoder::Outcome DateTimeDecoder::TakeNumberToken(const std::string& token) {
  const size_t point = token.find('.');
  if (point != std::string::npos && (known_ & kDateFields) == 0) {
    return TakeDateParts(token);
  }
  if (point != std::string::npos && point > 2) {
    return PlaceField(token, known_);
  }
  constexpr size_t kLeastField = 6;  // shorter ones are a year
  if (token.size() >= kLeastField && ((known_ & kDateFields) == 0 || (known_ & kTimeFields) == 0)) {
    return PlaceField(token, known_);
  }
  return PlaceNumber(token, month_named_, known_);
}

// Takes a number behind a label such as "y" or "mm", or behind a "t".
DateTimeDecoder::Outcome DateTimeDecoder::TakeLabelled(const std::string& token) {
  const Word label = *std::exchange(label_, std::nullopt);
  if (label.kind == Word::Kind::kIsoTime) {
    const Outcome outcome = PlaceField(token, known_ | kDateFields);
    return outcome == Outcome::kGood && said_ != kTimeFields ? Outcome::kMalformed : outcome;
  }
  const size_t point = std::min(token.find('.'), token.size());
  const std::optional<int64_t> value = WholeNumber(std::string_view(token).substr(0, point));
  if (!value.has_value()) {
    return Outcome::kOutOfRange;
  }
  if (point < token.size() && label.value != Word::kJulian && label.value != Word::kSecond) {
    return Outcome::kMalformed;
  }
  switch (label.value) {
    case Word::kYear:
      year_ = *value;
      Say(kYear);
      return Outcome::kGood;
    case Word::kMonthNumber:
      if (Has(kMonth | kHour)) {
        minute_ = *value;
        Say(kMinute);
      } else {
        PlaceMonth(*value);
      }
      return Outcome::kGood;
    case Word::kDayOfMonth:
      return PlaceDay(*value);
    case Word::kHour:
      hour_ = *value;
      Say(kHour);
      return Outcome::kGood;
    case Word::kMinute:
      minute_ = *value;
      Say(kMinute);
      return Outcome::kGood;
    case Word::kSecond:
      second_ = *value;
      fraction_us_ = FractionToMicros(FractionDigits(token));
      Say(kSecond);
      return Outcome::kGood;
    case Word::kJulian:
      return TakeJulian(token);
    default:
      return Outcome::kMalformed;
  }
}

// Days since the Julian epoch, and maybe a fraction of one.
DateTimeDecoder::Outcome DateTimeDecoder::TakeJulian(std::string_view token) {
  const size_t point = std::min(token.find('.'), token.size());
  const std::optional<int64_t> days = WholeNumber(token.substr(0, point));
  if (!days.has_value()) {
    return Outcome::kOutOfRange;
  }
  const CivilDate date = CivilFromDays(*days - kJulianOfEpoch);
  year_ = date.year;
  month_ = date.month;
  day_ = date.day;
  julian_ = true;
  Say(kDateFields);
  if (point < token.size()) {
    fraction_us_ =
        std::llrint(FractionOf(FractionDigits(token)) * static_cast<double>(kMicrosPerDay));
    Say(kTimeFields);
  }
  return Outcome::kGood;
}

DateTimeDecoder::Outcome DateTimeDecoder::TakeWordToken(size_t i) {
  const std::string& token = tokens_[i].text;
  if (FindZoneAbbreviation(token) != nullptr) {
    absl::StatusOr<TimeZone> zone = TimeZone::FindAbbreviation(token);
    zone_name_ = token;
    zone_ = zone.value_or(TimeZone());
    Say(kZone);
    return zone.ok() ? Outcome::kGood : Outcome::kUnknownZone;
  }
  if (const DateTimeWord* word = FindDateTimeWord(token); word != nullptr) {
    return TakeWord(*word, i);
  }
  const Outcome outcome = TakeZoneName(token);
  return outcome == Outcome::kUnknownZone ? Outcome::kMalformed : outcome;
}

DateTimeDecoder::Outcome DateTimeDecoder::TakeWord(const Word& word, size_t i) {
  switch (word.kind) {
    case Word::Kind::kMonth:
      return TakeMonthName(word.value);
    case Word::Kind::kWeekday:
      Say(kWeekday);
      return Outcome::kGood;
    case Word::Kind::kMeridiem:
      meridiem_ = word.value;
      Say(kMeridiem);
      return Outcome::kGood;
    case Word::Kind::kEra:
      before_christ_ = word.value == 1;
      Say(kEra);
      return Outcome::kGood;
    case Word::Kind::kNothing:
      return Outcome::kGood;
    case Word::Kind::kLabel:
      label_ = word;
      return Outcome::kGood;
    case Word::Kind::kIsoTime: {
      const bool time_follows = i + 1 < tokens_.size() && (tokens_[i + 1].kind == Kind::kNumber ||
                                                           tokens_[i + 1].kind == Kind::kTime ||
                                                           tokens_[i + 1].kind == Kind::kDate);
      label_ = word;
      return Has(kDateFields) && time_follows ? Outcome::kGood : Outcome::kMalformed;
    }
    case Word::Kind::kSummer:
      offset_s_ += word.value;
      Say(kSummer);
      return Outcome::kGood;
    default:
      return TakeClockWord(word);
  }
}

// Takes a word that means a whole date or moment.
DateTimeDecoder::Outcome DateTimeDecoder::TakeClockWord(const Word& word) {
  switch (word.kind) {
    case Word::Kind::kEpoch:
      kind_ = DateTimeFields::Kind::kEpoch;
      Say(kSpecial);
      return Outcome::kGood;
    case Word::Kind::kInfinity:
      kind_ = DateTimeFields::Kind::kInfinity;
      Say(kSpecial);
      return Outcome::kGood;
    case Word::Kind::kMinusInfinity:
      kind_ = DateTimeFields::Kind::kMinusInfinity;
      Say(kSpecial);
      return Outcome::kGood;
    case Word::Kind::kMidnight:
      hour_ = minute_ = second_ = fraction_us_ = offset_s_ = 0;
      Say(kTimeFields | kZone);
      return Outcome::kGood;
    default:
      break;
  }
  // Without a clock the rest is read all the same, so that text that is no time at all gets that
  // error.
  lacks_clock_ = !session_.now_us.has_value();
  const int64_t now_us = session_.now_us.value_or(0);
  const int64_t offset_s = session_.zone.OffsetAt(now_us);
  const int64_t local_us = now_us + offset_s * kMicrosPerSecond;
  int64_t days = FloorDiv(local_us, kMicrosPerDay);
  if (word.kind == Word::Kind::kDay) {
    days += word.value;
  } else {
    hour_ = minute_ = second_ = 0;
    fraction_us_ = FloorMod(local_us, kMicrosPerDay);
    offset_s_ = offset_s;
    Say(kTimeFields | kZone);
  }
  const CivilDate date = CivilFromDays(days);
  year_ = date.year;
  month_ = date.month;
  day_ = date.day;
  julian_ = true;  // the year is astronomical, not as people write it
  Say(kDateFields);
  return Outcome::kGood;
}

// If a number before the name was taken for the month, it is the day.
DateTimeDecoder::Outcome DateTimeDecoder::TakeMonthName(int month) {
  constexpr int64_t kMostDays = 31;
  if (Has(kMonth) && !month_named_ && !Has(kDay) && month_ >= 1 && month_ <= kMostDays) {
    day_ = month_;
    Say(kDay);
  } else {
    Say(kMonth);
  }
  month_named_ = true;
  month_ = month;
  return Outcome::kGood;
}

// hh:mm, hh:mm:ss[.f], mm:ss.f
DateTimeDecoder::Outcome DateTimeDecoder::TakeTime(std::string_view token) {
  Say(kTimeFields);
  const std::optional<ClockParts> clock = SplitClock(token);
  if (!clock.has_value()) {
    return Outcome::kMalformed;
  }
  hour_ = clock->hour;
  minute_ = clock->minute;
  second_ = clock->second;
  fraction_us_ = clock->fraction_us;
  const int64_t total_us = hour_ * kMicrosPerHour + minute_ * kMicrosPerMinute +
                           second_ * kMicrosPerSecond + fraction_us_;
  return clock->in_range && hour_ <= kMostHours && total_us <= kMicrosPerDay ? Outcome::kGood
                                                                             : Outcome::kOutOfRange;
}

// +hh, +hhmm, +hh:mm, +hh:mm:ss
DateTimeDecoder::Outcome DateTimeDecoder::TakeZone(std::string_view token) {
  Say(kZone);
  if (token.empty() || (token[0] != '+' && token[0] != '-')) {
    return Outcome::kMalformed;
  }
  const ZoneOffset offset = ReadZoneOffset(token);
  if (offset.out_of_range) {
    return Outcome::kZoneOutOfRange;
  }
  offset_s_ = offset.seconds;
  return offset.read ? Outcome::kGood : Outcome::kMalformed;
}

DateTimeDecoder::Outcome DateTimeDecoder::TakeZoneName(std::string_view name) {
  absl::StatusOr<TimeZone> zone = TimeZone::FindRegion(name);
  if (!zone.ok()) {
    zone_name_ = std::string(name);
    return Outcome::kUnknownZone;
  }
  zone_ = *std::move(zone);
  Say(kZone);
  return Outcome::kGood;
}

DateTimeDecoder::Outcome DateTimeDecoder::PlaceYear(int64_t value, size_t digits) {
  year_ = value;
  two_digit_year_ = digits <= 2;
  Say(kYear);
  return Outcome::kGood;
}

DateTimeDecoder::Outcome DateTimeDecoder::PlaceDay(int64_t value) {
  day_ = value;
  Say(kDay);
  return Outcome::kGood;
}

DateTimeDecoder::Outcome DateTimeDecoder::PlaceMonth(int64_t value) {
  month_ = value;
  Say(kMonth);
  return Outcome::kGood;
}

DateTimeDecoder::Outcome DateTimeDecoder::PlaceNumber(std::string_view digits, bool month_named,
                                                      uint32_t known) {
  const size_t point = std::min(digits.find('.'), digits.size());
  if (point < digits.size()) {
    if (point > 2) {
      return PlaceField(digits, known | kDateFields);
    }
    fraction_us_ = FractionToMicros(FractionDigits(digits));
  }
  const std::optional<int64_t> value = WholeNumber(digits.substr(0, point));
  if (!value.has_value()) {
    return point == 0 ? Outcome::kMalformed : Outcome::kOutOfRange;
  }
  constexpr size_t kDayOfYearDigits = 3;
  constexpr int64_t kMostDaysOfYear = 366;
  const uint32_t dated = known & kDateFields;
  const bool long_number = digits.size() >= 3;
  if (digits.size() == kDayOfYearDigits && dated == kYear && *value >= 1 &&
      *value <= kMostDaysOfYear) {
    day_of_year_ = *value;
    Say(kDayOfYear | kMonth | kDay);
    return Outcome::kGood;
  }
  switch (dated) {
    case 0:  // yyyy-mm-dd or mm-dd-yy
      return long_number ? PlaceYear(*value, digits.size()) : PlaceMonth(*value);
    case kYear:
    case kDay:
      return PlaceMonth(*value);
    case kMonth:
      return month_named && long_number ? PlaceYear(*value, digits.size()) : PlaceDay(*value);
    case kYear | kMonth:
      if (month_named && long_number && two_digit_year_) {  // dd-mon-yyyy after all
        day_ = year_;
        year_ = *value;
        two_digit_year_ = false;
        Say(kDay);
        return Outcome::kGood;
      }
      return PlaceDay(*value);
    case kMonth | kDay:
      return PlaceYear(*value, digits.size());
    case kDateFields:
      return PlaceField(digits, known);
    default:
      return Outcome::kMalformed;
  }
}

DateTimeDecoder::Outcome DateTimeDecoder::PlaceField(std::string_view digits, uint32_t known) {
  const size_t point = digits.find('.');
  constexpr size_t kLeastDate = 6;
  constexpr size_t kClockWithSeconds = 6;
  constexpr size_t kClock = 4;
  const auto number = [](std::string_view part) { return WholeNumber(part).value_or(0); };
  if (point != std::string_view::npos) {
    fraction_us_ = FractionToMicros(FractionDigits(digits));
    digits = digits.substr(0, point);
  } else if ((known & kDateFields) != kDateFields && digits.size() >= kLeastDate) {
    const size_t year_digits = digits.size() - 4;
    day_ = number(digits.substr(year_digits + 2));
    month_ = number(digits.substr(year_digits, 2));
    year_ = number(digits.substr(0, year_digits));
    two_digit_year_ = two_digit_year_ || year_digits == 2;
    Say(kDateFields);
    return Outcome::kGood;
  }
  if ((known & kTimeFields) == kTimeFields ||
      (digits.size() != kClockWithSeconds && digits.size() != kClock)) {
    return Outcome::kMalformed;
  }
  hour_ = number(digits.substr(0, 2));
  minute_ = number(digits.substr(2, 2));
  second_ = digits.size() == kClockWithSeconds ? number(digits.substr(4, 2)) : 0;
  Say(kTimeFields);
  return Outcome::kGood;
}

DateTimeDecoder::Outcome DateTimeDecoder::Finish() {
  if (kind_ != DateTimeFields::Kind::kMoment) {
    return Outcome::kGood;
  }
  if (const Outcome outcome = FinishDate(); outcome != Outcome::kGood) {
    return outcome;
  }
  if (meridiem_.has_value()) {
    if (hour_ > kNoonHour) {
      return Outcome::kOutOfRange;
    }
    hour_ = hour_ % kNoonHour + (*meridiem_ == 1 ? kNoonHour : 0);
  }
  return Has(kDateFields) ? FinishZone() : Outcome::kMalformed;
}

DateTimeDecoder::Outcome DateTimeDecoder::FinishDate() {
  if (Has(kYear) && !julian_) {
    constexpr int64_t kCenturyTurn = 70;  // two digits are 1970 to 2069
    if (before_christ_) {
      if (year_ <= 0) {
        return Outcome::kOutOfRange;
      }
      year_ = 1 - year_;
    } else if (two_digit_year_) {
      year_ += year_ < kCenturyTurn ? 2000 : year_ < 100 ? 1900 : 0;
    } else if (year_ <= 0) {
      return Outcome::kOutOfRange;
    }
  }
  if (Has(kDayOfYear)) {
    const CivilDate date = CivilFromDays(DaysFromCivil(year_, 1, 1) + day_of_year_ - 1);
    year_ = date.year;
    month_ = date.month;
    day_ = date.day;
  }
  if ((Has(kMonth) && (month_ < 1 || month_ > 12)) || (Has(kDay) && (day_ < 1 || day_ > 31)) ||
      (Has(kDateFields) && day_ > DaysInMonth(year_, static_cast<int>(month_)))) {
    return Outcome::kOutOfRange;
  }
  return Outcome::kGood;
}

// Turns a zone into an offset, which for a zone with summer time depends on the date.
DateTimeDecoder::Outcome DateTimeDecoder::FinishZone() {
  if (Has(kSummer) && (!Has(kZone) || (zone_.has_value() && zone_->is_region()))) {
    return Outcome::kMalformed;
  }
  if (!zone_.has_value()) {
    return Outcome::kGood;
  }
  const int64_t days = DaysFromCivil(year_, static_cast<int>(month_), static_cast<int>(day_));
  int64_t local_us = 0;
  if (__builtin_mul_overflow(days, kMicrosPerDay, &local_us) ||
      __builtin_add_overflow(local_us,
                             hour_ * kMicrosPerHour + minute_ * kMicrosPerMinute +
                                 second_ * kMicrosPerSecond + fraction_us_,
                             &local_us)) {
    local_us = days < 0 ? kFirstTimestamp
                        : kLastTimestamp;  // the caller that combines the parts refuses it
  }
  offset_s_ += zone_->OffsetAtLocal(local_us);
  return Outcome::kGood;
}

}  // namespace millrace
