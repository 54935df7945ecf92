#include "common/expr/format/datetime_writer.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/expr/format/iso_week.h"
#include "common/types/calendar.h"
#include "common/types/datetime_words.h"

namespace millrace {
namespace {

using Part = DateTimePart;

constexpr int64_t kJulianOfEpoch = 2440588;
constexpr std::array<std::string_view, 12> kRomanMonths = {"I",   "II",   "III", "IV", "V",  "VI",
                                                           "VII", "VIII", "IX",  "X",  "XI", "XII"};

// The values to write, of a time or an interval.
struct Fields {
  bool interval = false;
  int64_t year = 0;  // of a time: astronomical, year 0 is 1 BC
  int64_t month = 0;
  int64_t day = 0;
  int64_t day_of_year = 0;
  int64_t days = 0;  // since 1970; of an interval as if it were a date
  int64_t hour = 0;
  int64_t minute = 0;
  int64_t second = 0;
  int64_t fraction_us = 0;
  int64_t offset_s = 0;
  std::string_view zone;

  int64_t SpokenYear(int64_t y) const { return interval || y > 0 ? y : 1 - y; }
};

std::string Cased(std::string_view word, Letters letters) {
  switch (letters) {
    case Letters::kUpper:
      return absl::AsciiStrToUpper(ToAbsl(word));
    case Letters::kLower:
      return absl::AsciiStrToLower(ToAbsl(word));
    case Letters::kCapital:
      break;
  }
  return std::string(word);
}

class Writer {
 public:
  explicit Writer(const Fields& fields) : fields_(fields) {}

  std::string Write(const std::vector<DateTimePiece>& pattern) {
    for (const DateTimePiece& piece : pattern) {
      if (piece.kind != DateTimePiece::Kind::kField) {
        out_.append(piece.text);
      } else {
        piece_ = &piece;
        Field();
      }
    }
    return std::move(out_);
  }

 private:
  // A number of at least so many digits, one more place for a sign.
  void Number(int64_t value, int digits) {
    const int width = piece_->fill ? 0 : value >= 0 ? digits : digits + 1;
    std::string text = absl::StrFormat("%0*d", width, value);
    out_.append(text);
    if (piece_->ordinal != DateTimePiece::Ordinal::kNone) {
      out_.append(OrdinalSuffix(text, piece_->ordinal == DateTimePiece::Ordinal::kUpper));
    }
  }

  void Word(std::string_view word, int width) {
    const bool padded = !piece_->fill && !piece_->localized;
    absl::StrAppendFormat(&out_, "%-*s", padded ? width : 0, Cased(word, piece_->field->letters));
  }

  void Field() {
    if (!TimeField() && !DayField() && !YearField()) {
      ZoneField();
    }
  }

  bool TimeField() {
    constexpr int64_t kHalfDay = 12;
    const int64_t hour_of_day = fields_.hour % 24;
    switch (piece_->field->part) {
      case Part::kMeridiem:
        Mark(hour_of_day >= kHalfDay ? "PM" : "AM");
        return true;
      case Part::kMeridiemDotted:
        Mark(hour_of_day >= kHalfDay ? "P.M." : "A.M.");
        return true;
      case Part::kHour12: {
        const int64_t hour = fields_.hour % kHalfDay == 0 ? kHalfDay : fields_.hour % kHalfDay;
        SignedNumber(hour, fields_.hour < 0);
        return true;
      }
      case Part::kHour24:
        SignedNumber(fields_.hour, fields_.hour < 0);
        return true;
      case Part::kMinute:
        Number(fields_.minute, 2);
        return true;
      case Part::kSecond:
        Number(fields_.second, 2);
        return true;
      case Part::kFraction:
        Fraction(piece_->field->name.back() - '0');
        return true;
      case Part::kMillisecond:
        Fraction(3);
        return true;
      case Part::kMicrosecond:
        Fraction(6);
        return true;
      case Part::kSecondOfDay:
        Unpadded(fields_.hour * 3600 + fields_.minute * 60 + fields_.second);
        return true;
      default:
        return false;
    }
  }

  void Mark(std::string_view mark) { out_.append(Cased(mark, piece_->field->letters)); }

  void Fixed(int64_t value, int width) {
    std::string text = absl::StrFormat("%0*d", width, value);
    out_.append(text);
    if (piece_->ordinal != DateTimePiece::Ordinal::kNone) {
      out_.append(OrdinalSuffix(text, piece_->ordinal == DateTimePiece::Ordinal::kUpper));
    }
  }
  void Unpadded(int64_t value) { Fixed(value, 0); }
  void SignedNumber(int64_t value, bool wide) { Fixed(value, piece_->fill ? 0 : wide ? 3 : 2); }
  void Fraction(int digits) {
    int64_t value = fields_.fraction_us;
    for (int i = digits; i < 6; ++i) {
      value /= 10;
    }
    Fixed(value, digits);
  }

  bool DayField() {
    const int64_t weekday = FloorMod(fields_.days + 4, 7);  // 0 = Sunday
    const auto place = static_cast<size_t>(weekday);
    constexpr int kNameWidth = 9;
    switch (piece_->field->part) {
      case Part::kDayName:
        Word(kDayNames[place], kNameWidth);
        return true;
      case Part::kDayShort:
        Word(kDayNames[place].substr(0, 3), 0);
        return true;
      case Part::kDayOfYear:
        Fixed(fields_.day_of_year, piece_->fill ? 0 : 3);
        return true;
      case Part::kIsoDayOfYear:
        Fixed(IsoDayOfYear(fields_.days), piece_->fill ? 0 : 3);
        return true;
      case Part::kDay:
        Fixed(fields_.day, piece_->fill ? 0 : 2);
        return true;
      case Part::kWeekday:
        Unpadded(weekday + 1);
        return true;
      case Part::kIsoWeekday:
        Unpadded(weekday == 0 ? 7 : weekday);
        return true;
      case Part::kWeekOfYear:
        Fixed((fields_.day_of_year - 1) / 7 + 1, piece_->fill ? 0 : 2);
        return true;
      case Part::kWeekOfMonth:
        Unpadded((fields_.day - 1) / 7 + 1);
        return true;
      case Part::kIsoWeek:
        Fixed(IsoWeekOf(fields_.days).week, piece_->fill ? 0 : 2);
        return true;
      case Part::kJulian:
        Unpadded(fields_.days + kJulianOfEpoch);
        return true;
      default:
        return MonthField();
    }
  }

  bool MonthField() {
    constexpr int kNameWidth = 9;
    constexpr int kRomanWidth = 4;
    const int64_t month = fields_.month;
    switch (piece_->field->part) {
      case Part::kMonthName:
        Word(kMonthNames[static_cast<size_t>(month - 1)], kNameWidth);
        return true;
      case Part::kMonthShort:
        Word(kMonthNames[static_cast<size_t>(month - 1)].substr(0, 3), 0);
        return true;
      case Part::kMonth:
        Number(month, 2);
        return true;
      case Part::kQuarter:
        if (month != 0) {
          Unpadded((month - 1) / 3 + 1);
        }
        return true;
      case Part::kRomanMonth:
        if (month != 0 || fields_.year != 0) {
          // Index of the numeral: for whole years the last month's; for negative months counted
          // from the end of the year.
          const int64_t place = month > 0    ? month - 1
                                : month == 0 ? (fields_.year >= 0 ? 11 : 0)
                                             : 12 + month;
          absl::StrAppendFormat(
              &out_, "%-*s", piece_->fill ? 0 : kRomanWidth,
              Cased(kRomanMonths[static_cast<size_t>(place)], piece_->field->letters));
        }
        return true;
      default:
        return false;
    }
  }

  bool YearField() {
    const int64_t year = fields_.SpokenYear(fields_.year);
    switch (piece_->field->part) {
      case Part::kEra:
        Mark(fields_.year <= 0 ? "BC" : "AD");
        return true;
      case Part::kEraDotted:
        Mark(fields_.year <= 0 ? "B.C." : "A.D.");
        return true;
      case Part::kCentury:
        Century();
        return true;
      case Part::kYearComma: {
        const std::string text = absl::StrFormat("%d,%03d", year / 1000, year % 1000);
        out_.append(text);
        if (piece_->ordinal != DateTimePiece::Ordinal::kNone) {
          out_.append(OrdinalSuffix(text, piece_->ordinal == DateTimePiece::Ordinal::kUpper));
        }
        return true;
      }
      case Part::kYear:
        Year(year, piece_->field->size());
        return true;
      case Part::kIsoYear:
        Year(fields_.SpokenYear(IsoWeekOf(fields_.days).year), piece_->field->size());
        return true;
      default:
        return false;
    }
  }

  // The last `digits` of it; all of them if there are four.
  void Year(int64_t year, int digits) {
    constexpr std::array<int64_t, 4> kModulus = {10, 100, 1000, 0};
    const int64_t modulus = kModulus[static_cast<size_t>(digits - 1)];
    const int64_t shown = modulus == 0 ? year : year % modulus;
    if (digits == 1) {
      Unpadded(shown);
    } else {
      Fixed(shown, piece_->fill ? 0 : fields_.SpokenYear(fields_.year) >= 0 ? digits : digits + 1);
    }
  }

  void Century() {
    const int64_t year = fields_.year;
    const int64_t century = fields_.interval ? year / 100
                            : year > 0       ? (year - 1) / 100 + 1
                                             : year / 100 - 1;
    if (std::abs(century) <= 99) {
      Number(century, 2);
    } else {
      Unpadded(century);
    }
  }

  void ZoneField() {
    const int64_t size = std::abs(fields_.offset_s);
    const char sign = fields_.offset_s < 0 ? '-' : '+';
    switch (piece_->field->part) {
      case Part::kZoneName:
        out_.append(piece_->field->letters == Letters::kLower
                        ? absl::AsciiStrToLower(ToAbsl(fields_.zone))
                        : std::string(fields_.zone));
        return;
      case Part::kZoneHour:
        absl::StrAppendFormat(&out_, "%c%02d", sign, size / 3600);
        return;
      case Part::kZoneMinute:
        absl::StrAppendFormat(&out_, "%02d", size % 3600 / 60);
        return;
      case Part::kOffset:
        absl::StrAppendFormat(&out_, "%c%0*d", sign, piece_->fill ? 0 : 2, size / 3600);
        if (size % 3600 != 0) {
          absl::StrAppendFormat(&out_, ":%02d", size % 3600 / 60);
        }
        return;
      default:
        return;  // FX says nothing here
    }
  }

  const Fields& fields_;
  const DateTimePiece* piece_ = nullptr;
  std::string out_;
};

// PostgreSQL counts an interval's weeks as if its parts were a date, of a month 0 for all it knows;
// this is its formula (date2j).
int64_t DaysOfParts(int64_t year, int64_t month, int64_t day) {
  year += month > 2 ? 4800 : 4799;
  month += month > 2 ? 1 : 13;
  const int64_t century = year / 100;
  return year * 365 - 32167 + year / 4 - century + century / 4 + 7834 * month / 256 + day -
         kJulianOfEpoch;
}

bool IntervalHas(Part part) {
  switch (part) {
    case Part::kEra:
    case Part::kEraDotted:
    case Part::kDayName:
    case Part::kDayShort:
    case Part::kMonthName:
    case Part::kMonthShort:
    case Part::kWeekday:
    case Part::kIsoWeekday:
    case Part::kZoneName:
    case Part::kZoneHour:
    case Part::kZoneMinute:
    case Part::kOffset:
      return false;
    default:
      return true;
  }
}

}  // namespace

std::string WriteDateTime(const ShownTime& time, const std::vector<DateTimePiece>& pattern) {
  Fields fields;
  fields.days = FloorDiv(time.local_us, kMicrosPerDay);
  const int64_t in_day = FloorMod(time.local_us, kMicrosPerDay);
  const CivilDate date = CivilFromDays(fields.days);
  fields.year = date.year;
  fields.month = date.month;
  fields.day = date.day;
  fields.day_of_year = fields.days - DaysFromCivil(date.year, 1, 1) + 1;
  fields.hour = in_day / kMicrosPerHour;
  fields.minute = in_day / kMicrosPerMinute % 60;
  fields.second = in_day / kMicrosPerSecond % 60;
  fields.fraction_us = in_day % kMicrosPerSecond;
  fields.offset_s = time.offset_s;
  fields.zone = time.zone;
  return Writer(fields).Write(pattern);
}

absl::Status CheckIntervalPattern(const std::vector<DateTimePiece>& pattern) {
  for (const DateTimePiece& piece : pattern) {
    if (piece.kind == DateTimePiece::Kind::kField && !IntervalHas(piece.field->part)) {
      return absl::InvalidArgumentError("invalid format specification for an interval value");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> WriteInterval(const Interval& interval,
                                          const std::vector<DateTimePiece>& pattern) {
  RETURN_IF_ERROR(CheckIntervalPattern(pattern));
  Fields fields;
  fields.interval = true;
  fields.year = interval.months / 12;
  fields.month = interval.months % 12;
  fields.day = interval.days;
  fields.day_of_year = int64_t{interval.months} * 30 + interval.days;
  fields.days = DaysOfParts(fields.year, fields.month, fields.day);
  fields.hour = interval.micros / kMicrosPerHour;
  fields.minute = interval.micros / kMicrosPerMinute % 60;
  fields.second = interval.micros / kMicrosPerSecond % 60;
  fields.fraction_us = interval.micros % kMicrosPerSecond;
  return Writer(fields).Write(pattern);
}

}  // namespace millrace
