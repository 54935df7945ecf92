#include "common/expr/format/datetime_reader.h"

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/expr/format/datetime_scan.h"
#include "common/expr/format/iso_week.h"

namespace millrace {
namespace {

constexpr int64_t kJulianOfEpoch = 2440588;

// Builds a date and a time from the scanned fields. As in PostgreSQL, some fields override others:
// a Julian day a year, a week a day.
class Assembler {
 public:
  Assembler(std::string_view text, ScannedTime said) : text_(text), said_(said) {}

  absl::StatusOr<ReadTime> Assemble() {
    RETURN_IF_ERROR(Time());
    Year();
    Week();
    RETURN_IF_ERROR(DayOfYear());
    RETURN_IF_ERROR(CheckDate());
    RETURN_IF_ERROR(CheckTime());
    ReadTime result;
    result.date = {.year = year_, .month = static_cast<int>(month_), .day = static_cast<int>(day_)};
    result.time_us = hour_ * kMicrosPerHour + minute_ * kMicrosPerMinute +
                     second_ * kMicrosPerSecond + fraction_us_;
    result.fraction_digits = said_.fraction_digits;
    if (said_.zone_sign != 0) {
      RETURN_IF_ERROR(CheckZone());
      result.offset_s = said_.zone_sign * (said_.zone_hour * 3600 + said_.zone_minute * 60);
    }
    return result;
  }

 private:
  absl::Status OutOfRange() const {
    return absl::OutOfRangeError(
        absl::StrCat("date/time field value out of range: \"", ToAbsl(text_), "\""));
  }

  absl::Status Time() {
    constexpr int64_t kNoon = 12;
    if (said_.second_of_day != 0) {
      hour_ = said_.second_of_day / 3600;
      minute_ = said_.second_of_day / 60 % 60;
      second_ = said_.second_of_day % 60;
    }
    second_ = said_.second != 0 ? said_.second : second_;
    minute_ = said_.minute != 0 ? said_.minute : minute_;
    hour_ = said_.hour != 0 ? said_.hour : hour_;
    fraction_us_ = said_.millisecond * 1000 + said_.microsecond;
    if (!said_.twelve_hours) {
      return absl::OkStatus();
    }
    if (hour_ < 1 || hour_ > kNoon) {
      return absl::OutOfRangeError(
          absl::StrCat("hour \"", hour_,
                       "\" is invalid for the 12-hour clock: use the 24-hour clock, or give an "
                       "hour between 1 and 12"));
    }
    hour_ = hour_ % kNoon + (said_.pm != 0 ? kNoon : 0);
    return absl::OkStatus();
  }

  void Year() {
    if (said_.year == 0 && said_.century == 0) {
      return;
    }
    has_year_ = true;
    const bool bc = said_.before_christ != 0;
    const int64_t century = bc ? -said_.century : said_.century;
    if (said_.year == 0) {  // the first year of the century
      year_ = (century >= 0 ? (century - 1) : century) * 100 + 1;
      return;
    }
    if (said_.century == 0 || said_.year_digits > 2) {
      year_ = bc ? -said_.year : said_.year;
      year_ += year_ < 0 ? 1 : 0;
      return;
    }
    const int64_t in_century = said_.year % 100;
    if (in_century == 0) {
      year_ = century * 100 + (century >= 0 ? 0 : 1);
    } else {
      year_ =
          century >= 0 ? (century - 1) * 100 + in_century : (century + 1) * 100 - in_century + 1;
    }
  }

  void SetDate(int64_t days) {
    const CivilDate date = CivilFromDays(days);
    year_ = date.year;
    month_ = date.month;
    day_ = date.day;
    has_year_ = has_month_ = has_day_ = true;
  }

  void Week() {
    if (said_.julian != 0) {
      SetDate(said_.julian - kJulianOfEpoch);
    }
    if (said_.week != 0 && said_.convention == DateConvention::kIso) {
      const int64_t monday = IsoWeekStart(year_, said_.week);
      // Sunday, the first day of the week in this field's count, is the last day of an ISO week.
      SetDate(said_.weekday == 0 ? monday : monday + (said_.weekday > 1 ? said_.weekday - 2 : 6));
    } else if (said_.week != 0) {
      said_.day_of_year = (said_.week - 1) * 7 + 1;
    }
    if (said_.week_of_month != 0) {
      said_.day = (said_.week_of_month - 1) * 7 + 1;
    }
    if (said_.day != 0) {
      day_ = said_.day;
      has_day_ = true;
    }
    if (said_.month != 0) {
      month_ = said_.month;
      has_month_ = true;
    }
  }

  // Used only if month or day are missing.
  absl::Status DayOfYear() {
    if (said_.day_of_year == 0 || (month_ > 1 && day_ > 1)) {
      return absl::OkStatus();
    }
    if (year_ == 0 && said_.before_christ == 0) {
      return absl::InvalidArgumentError("cannot calculate day of year without year information");
    }
    if (said_.convention == DateConvention::kIso) {
      SetDate(IsoWeekStart(year_, 1) + said_.day_of_year - 1);
      return absl::OkStatus();
    }
    int month = 1;
    int64_t day = said_.day_of_year;
    while (month <= 12 && day > DaysInMonth(year_, month)) {
      day -= DaysInMonth(year_, month++);
    }
    month_ = month_ <= 1 ? month : month_;
    day_ = day_ <= 1 ? day : day_;
    has_month_ = has_day_ = true;
    return absl::OkStatus();
  }

  absl::Status CheckDate() const {
    const bool bad_month = has_month_ && (month_ < 1 || month_ > 12);
    const bool bad_day = has_day_ && (day_ < 1 || day_ > 31);
    const bool whole = has_year_ && has_month_ && has_day_;
    if (bad_month || bad_day || (whole && day_ > DaysInMonth(year_, static_cast<int>(month_)))) {
      return OutOfRange();
    }
    return absl::OkStatus();
  }

  absl::Status CheckTime() const {
    const bool good = hour_ >= 0 && hour_ < 24 && minute_ >= 0 && minute_ < 60 && second_ >= 0 &&
                      second_ < 60 && fraction_us_ >= 0 && fraction_us_ < kMicrosPerSecond;
    return good ? absl::OkStatus() : OutOfRange();
  }

  absl::Status CheckZone() const {
    constexpr int64_t kMostHours = 15;
    const bool good = said_.zone_hour >= 0 && said_.zone_hour <= kMostHours &&
                      said_.zone_minute >= 0 && said_.zone_minute < 60;
    return good ? absl::OkStatus()
                : absl::OutOfRangeError(
                      absl::StrCat("time zone displacement out of range: \"", ToAbsl(text_), "\""));
  }

  const std::string_view text_;
  ScannedTime said_;
  bool has_year_ = false;
  bool has_month_ = false;
  bool has_day_ = false;
  int64_t year_ = 0;
  int64_t month_ = 1;
  int64_t day_ = 1;
  int64_t hour_ = 0;
  int64_t minute_ = 0;
  int64_t second_ = 0;
  int64_t fraction_us_ = 0;
};

}  // namespace

absl::StatusOr<ReadTime> ReadDateTime(std::string_view text,
                                      const std::vector<DateTimePiece>& pattern) {
  ScannedTime said;
  RETURN_IF_ERROR(ScanDateTime(text, pattern, &said));
  return Assembler(text, said).Assemble();
}

absl::Status CheckReadPattern(const std::vector<DateTimePiece>& pattern) {
  DateConvention convention = DateConvention::kAny;
  for (const DateTimePiece& piece : pattern) {
    if (piece.kind == DateTimePiece::Kind::kField) {
      RETURN_IF_ERROR(JoinConvention(piece.field->convention, &convention));
      RETURN_IF_ERROR(CheckReadable(*piece.field));
    }
  }
  return absl::OkStatus();
}

}  // namespace millrace
