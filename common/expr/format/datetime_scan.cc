#include "common/expr/format/datetime_scan.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/expr/text/utf8.h"
#include "common/types/datetime_words.h"

namespace millrace {
namespace {

using Part = DateTimePart;
using Kind = DateTimePiece::Kind;

constexpr std::array<std::string_view, 4> kEras = {"ad", "bc", "AD", "BC"};
constexpr std::array<std::string_view, 4> kDottedEras = {"a.d.", "b.c.", "A.D.", "B.C."};
constexpr std::array<std::string_view, 4> kMeridiems = {"am", "pm", "AM", "PM"};
constexpr std::array<std::string_view, 4> kDottedMeridiems = {"a.m.", "p.m.", "A.M.", "P.M."};
// The longer ones stand before those that they begin with.
constexpr std::array<std::string_view, 12> kRomanMonths = {"xii", "xi", "x",  "ix",  "viii", "vii",
                                                           "vi",  "v",  "iv", "iii", "ii",   "i"};
constexpr size_t kAll = std::string_view::npos;

bool IsSpace(char c) { return absl::ascii_isspace(static_cast<unsigned char>(c)); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// One- to three-digit years lie between 1970 and 2069, those of three digits between 1520 and 2519.
int64_t FullYear(int64_t year) {
  if (year < 70) {
    return year + 2000;
  }
  if (year < 100) {
    return year + 1900;
  }
  if (year < 520) {
    return year + 2000;
  }
  return year < 1000 ? year + 1000 : year;
}

class Scanner {
 public:
  Scanner(std::string_view text, const std::vector<DateTimePiece>& pattern, ScannedTime* out)
      : begin_(text), rest_(text), pattern_(pattern), out_(*out) {}

  absl::Status Scan() {
    for (at_ = 0; at_ < pattern_.size() && !rest_.empty(); ++at_) {
      const DateTimePiece& piece = pattern_[at_];
      const bool field = piece.kind == Kind::kField;
      if (!exact_ && (field ? piece.field->part != Part::kExact : at_ == 0)) {
        SkipSpaces();
      }
      if (!field) {
        PassOver(piece);
        continue;
      }
      RETURN_IF_ERROR(JoinConvention(piece.field->convention, &out_.convention));
      RETURN_IF_ERROR(CheckReadable(*piece.field));
      RETURN_IF_ERROR(Field(piece));
      if (!exact_) {
        skipped_ = 0;
        SkipSpaces();
      }
    }
    return absl::OkStatus();
  }

 private:
  void SkipSpaces() {
    while (!rest_.empty() && IsSpace(rest_[0])) {
      rest_.remove_prefix(1);
      ++skipped_;
    }
  }

  char Next() const { return rest_.empty() ? '\0' : rest_[0]; }
  void SkipChar() {
    if (!rest_.empty()) {
      rest_.remove_prefix(std::min(FirstCharBytes(rest_), rest_.size()));
    }
  }

  // A character of the pattern stands for any character of the text, unless more have been skipped
  // already; a blank or separator stands for a blank, a separator or nothing.
  void PassOver(const DateTimePiece& piece) {
    if (exact_) {
      SkipChar();
    } else if (piece.kind != Kind::kText) {
      --skipped_;
      if (IsSpace(Next()) || IsPatternSeparator(Next())) {
        rest_.remove_prefix(1);
        ++skipped_;
      }
    } else if (skipped_ > 0) {
      --skipped_;
    } else {
      SkipChar();
    }
  }

  // Whether the next piece of the pattern shows where a number before it ends.
  bool NumberEndsByItself() const {
    const DateTimePiece& piece = pattern_[at_];
    if (piece.ordinal != DateTimePiece::Ordinal::kNone || at_ + 1 == pattern_.size()) {
      return true;
    }
    const DateTimePiece& next = pattern_[at_ + 1];
    return next.kind == Kind::kField ? !next.field->digits
                                     : next.text.size() != 1 || !IsDigit(next.text[0]);
  }

  absl::Status Invalid(std::string_view value, std::string_view why) const {
    return absl::InvalidArgumentError(absl::StrCat("invalid value \"", ToAbsl(value), "\" for \"",
                                                   ToAbsl(pattern_[at_].field->name), "\"",
                                                   ToAbsl(why)));
  }

  absl::Status Set(int64_t value, int64_t* field) const {
    if (*field != 0 && *field != value) {
      return absl::InvalidArgumentError(absl::StrCat("conflicting values for \"",
                                                     ToAbsl(pattern_[at_].field->name),
                                                     "\" field in formatting string"));
    }
    *field = value;
    return absl::OkStatus();
  }

  // A whole number of `length` characters, or of as many as there are where nothing else can
  // follow. `taken` becomes how many it had, blanks before it included.
  absl::Status Number(int length, int64_t* field, int* taken = nullptr) {
    while (!rest_.empty() && IsSpace(rest_[0])) {
      rest_.remove_prefix(1);
    }
    const std::string_view start = rest_;
    const bool greedy = pattern_[at_].fill || NumberEndsByItself();
    const auto most = static_cast<size_t>(length);
    if (!greedy && start.size() < most) {
      return absl::InvalidArgumentError(absl::StrCat("source string too short for \"",
                                                     ToAbsl(pattern_[at_].field->name),
                                                     "\" formatting field"));
    }
    std::string_view digits = greedy ? start : start.substr(0, most);
    size_t size = 0;
    while (size < digits.size() && IsSpace(digits[size])) {
      ++size;
    }
    const size_t sign = size;
    size += size < digits.size() && (digits[size] == '-' || digits[size] == '+') ? 1 : 0;
    const size_t first_digit = size;
    size = std::min(digits.find_first_not_of("0123456789", size), digits.size());
    if (size == first_digit) {
      size = 0;
    }
    if (size == 0 || (!greedy && size < most)) {
      return Invalid(WholeChars(start, most), "");
    }
    int32_t value = 0;
    std::string_view number = digits.substr(sign, size - sign);
    number.remove_prefix(number.starts_with('+') ? 1 : 0);
    if (std::from_chars(number.data(), number.data() + number.size(), value).ec != std::errc()) {
      return absl::OutOfRangeError(absl::StrCat("value for \"", ToAbsl(pattern_[at_].field->name),
                                                "\" in source string is out of range"));
    }
    rest_.remove_prefix(size);
    if (taken != nullptr) {
      *taken = static_cast<int>(size);
    }
    return field == nullptr ? absl::OkStatus() : Set(value, field);
  }

  // The number, and two more characters for its "th".
  absl::Status Counted(int length, int64_t* field, int* taken = nullptr) {
    RETURN_IF_ERROR(Number(length, field, taken));
    SkipOrdinal();
    return absl::OkStatus();
  }
  void SkipOrdinal() {
    if (pattern_[at_].ordinal != DateTimePiece::Ordinal::kNone) {
      for (int i = 0; i < 2 && !rest_.empty(); ++i) {
        SkipChar();
      }
    }
  }

  // The index of the first word whose first `length` characters the text begins with, in any case.
  template <size_t kSize>
  absl::Status Word(const std::array<std::string_view, kSize>& words, size_t length,
                    int64_t* place) {
    for (size_t i = 0; i < words.size(); ++i) {
      const std::string_view word = words[i].substr(0, length);
      if (absl::StartsWithIgnoreCase(ToAbsl(rest_), ToAbsl(word))) {
        rest_.remove_prefix(word.size());
        *place = static_cast<int64_t>(i);
        return absl::OkStatus();
      }
    }
    const auto end = std::find_if(rest_.begin(), rest_.end(), IsSpace);
    return Invalid(rest_.substr(0, static_cast<size_t>(end - rest_.begin())), "");
  }

  template <size_t kSize>
  absl::Status Alternative(const std::array<std::string_view, kSize>& words, int64_t* field) {
    int64_t place = 0;
    RETURN_IF_ERROR(Word(words, kAll, &place));
    return Set(place % 2, field);
  }

  absl::Status Field(const DateTimePiece& piece) {
    const int size = piece.field->size();
    switch (piece.field->part) {
      case Part::kExact:
        exact_ = true;
        return absl::OkStatus();
      case Part::kMeridiem:
        out_.twelve_hours = true;
        return Alternative(kMeridiems, &out_.pm);
      case Part::kMeridiemDotted:
        out_.twelve_hours = true;
        return Alternative(kDottedMeridiems, &out_.pm);
      case Part::kHour12:
        out_.twelve_hours = true;
        return Counted(2, &out_.hour);
      case Part::kHour24:
        return Counted(2, &out_.hour);
      case Part::kMinute:
        return Counted(2, &out_.minute);
      case Part::kSecond:
        return Counted(2, &out_.second);
      case Part::kMillisecond:
        return Fraction(3, &out_.millisecond);
      case Part::kMicrosecond:
        return Fraction(6, &out_.microsecond);
      case Part::kFraction:
        out_.fraction_digits = piece.field->name.back() - '0';
        return Fraction(*out_.fraction_digits, &out_.microsecond, 6);
      case Part::kSecondOfDay:
        return Counted(size, &out_.second_of_day);
      case Part::kZoneHour:
        return ZoneHour();
      case Part::kZoneMinute:
        out_.zone_sign = out_.zone_sign == 0 ? 1 : out_.zone_sign;
        return Number(2, &out_.zone_minute);
      default:
        return DateField(piece);
    }
  }

  // "25" of three digits is 250, "025" is 25.
  absl::Status Fraction(int digits, int64_t* field, int of_digits = 0) {
    int taken = 0;
    RETURN_IF_ERROR(Number(digits, field, &taken));
    for (int i = taken; i < (of_digits == 0 ? digits : of_digits); ++i) {
      *field *= 10;
    }
    SkipOrdinal();
    return absl::OkStatus();
  }

  // Its minus may have been taken for a separator.
  absl::Status ZoneHour() {
    if (Next() == '+' || Next() == '-' || Next() == ' ') {
      out_.zone_sign = Next() == '-' ? -1 : 1;
      rest_.remove_prefix(1);
    } else {
      const bool minus = skipped_ > 0 && rest_.size() < begin_.size() &&
                         begin_[begin_.size() - rest_.size() - 1] == '-';
      out_.zone_sign = minus ? -1 : 1;
    }
    return Number(2, &out_.zone_hour);
  }

  absl::Status DateField(const DateTimePiece& piece) {
    const int size = piece.field->size();
    int64_t place = 0;
    switch (piece.field->part) {
      case Part::kEra:
        return Alternative(kEras, &out_.before_christ);
      case Part::kEraDotted:
        return Alternative(kDottedEras, &out_.before_christ);
      case Part::kMonthName:
        RETURN_IF_ERROR(Word(kMonthNames, kAll, &place));
        return Set(place + 1, &out_.month);
      case Part::kMonthShort:
        RETURN_IF_ERROR(Word(kMonthNames, 3, &place));
        return Set(place + 1, &out_.month);
      case Part::kRomanMonth:
        RETURN_IF_ERROR(Word(kRomanMonths, kAll, &place));
        return Set(12 - place, &out_.month);
      case Part::kMonth:
        return Counted(2, &out_.month);
      case Part::kDayName:
      case Part::kDayShort:
        RETURN_IF_ERROR(Word(kDayNames, piece.field->part == Part::kDayName ? kAll : 3, &place));
        RETURN_IF_ERROR(Set(place, &out_.weekday));
        ++out_.weekday;
        return absl::OkStatus();
      case Part::kDayOfYear:
      case Part::kIsoDayOfYear:
        return Counted(3, &out_.day_of_year);
      case Part::kDay:
        return Counted(2, &out_.day);
      case Part::kWeekday:
        return Counted(1, &out_.weekday);
      case Part::kIsoWeekday:
        RETURN_IF_ERROR(Counted(1, &out_.weekday));
        out_.weekday = out_.weekday >= 7 ? 1 : out_.weekday + 1;
        return absl::OkStatus();
      case Part::kWeekOfYear:
      case Part::kIsoWeek:
        return Counted(2, &out_.week);
      case Part::kWeekOfMonth:
        return Counted(1, &out_.week_of_month);
      case Part::kQuarter:
        return Counted(1, nullptr);  // the field does not tell which day is meant
      case Part::kCentury:
        return Counted(2, &out_.century);
      case Part::kJulian:
        return Counted(1, &out_.julian);
      case Part::kYearComma:
        return YearWithComma();
      default:
        return Year(size);
    }
  }

  absl::Status Year(int digits) {
    int taken = 0;
    RETURN_IF_ERROR(Number(digits, &out_.year, &taken));
    if (digits < 4 && taken < 4) {
      out_.year = FullYear(out_.year);
    }
    out_.year_digits = digits;
    SkipOrdinal();
    return absl::OkStatus();
  }

  // 2,024
  absl::Status YearWithComma() {
    constexpr size_t kThousandDigits = 3;
    const absl::Status malformed = absl::InvalidArgumentError("invalid input string for \"Y,YYY\"");
    int32_t thousands = 0;
    int32_t years = 0;
    const auto thousand = std::from_chars(rest_.data(), rest_.data() + rest_.size(), thousands);
    rest_.remove_prefix(static_cast<size_t>(thousand.ptr - rest_.data()));
    if (thousand.ec != std::errc() || !rest_.starts_with(',') || thousands > 2'000'000 ||
        thousands < -2'000'000) {
      return malformed;
    }
    rest_.remove_prefix(1);
    const size_t most = std::min(rest_.size(), kThousandDigits);
    const auto year = std::from_chars(rest_.data(), rest_.data() + most, years);
    if (year.ec != std::errc()) {
      return malformed;
    }
    rest_.remove_prefix(static_cast<size_t>(year.ptr - rest_.data()));
    RETURN_IF_ERROR(Set(int64_t{thousands} * 1000 + years, &out_.year));
    out_.year_digits = 4;
    SkipOrdinal();
    return absl::OkStatus();
  }

  const std::string_view begin_;
  std::string_view rest_;
  const std::vector<DateTimePiece>& pattern_;
  ScannedTime& out_;
  size_t at_ = 0;
  bool exact_ = false;
  int skipped_ = 0;  // characters skipped beyond those that the pattern asked for
};

}  // namespace

absl::Status JoinConvention(DateConvention of_field, DateConvention* so_far) {
  if (of_field == DateConvention::kAny || of_field == *so_far) {
    return absl::OkStatus();
  }
  if (*so_far != DateConvention::kAny) {
    return absl::InvalidArgumentError(
        "invalid combination of date conventions: do not mix Gregorian and ISO week date "
        "conventions in a formatting template");
  }
  *so_far = of_field;
  return absl::OkStatus();
}

absl::Status CheckReadable(const DateTimeKeyword& field) {
  if (field.part == Part::kZoneName || field.part == Part::kOffset) {
    return absl::InvalidArgumentError(
        absl::StrCat("formatting field \"", ToAbsl(field.name), "\" is only supported in to_char"));
  }
  return absl::OkStatus();
}

absl::Status ScanDateTime(std::string_view text, const std::vector<DateTimePiece>& pattern,
                          ScannedTime* out) {
  return Scanner(text, pattern, out).Scan();
}

}  // namespace millrace
