#include "common/expr/format/datetime_pattern.h"

#include <algorithm>
#include <array>
#include <deque>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "common/base/status.h"
#include "common/expr/format/pattern_text.h"

namespace millrace {
namespace {

using Part = DateTimePart;
using Convention = DateConvention;

// In upper case; fields that are words are written in the case of the pattern. Longer names stand
// before those that they begin with.
constexpr std::array kFields = {
    DateTimeKeyword{"A.D.", Part::kEraDotted},
    DateTimeKeyword{"A.M.", Part::kMeridiemDotted},
    DateTimeKeyword{"AD", Part::kEra},
    DateTimeKeyword{"AM", Part::kMeridiem},
    DateTimeKeyword{"B.C.", Part::kEraDotted},
    DateTimeKeyword{"BC", Part::kEra},
    DateTimeKeyword{"CC", Part::kCentury, Letters::kUpper, true},
    DateTimeKeyword{"DAY", Part::kDayName},
    DateTimeKeyword{"DDD", Part::kDayOfYear, Letters::kUpper, true, Convention::kGregorian},
    DateTimeKeyword{"DD", Part::kDay, Letters::kUpper, true, Convention::kGregorian},
    DateTimeKeyword{"DY", Part::kDayShort},
    DateTimeKeyword{"D", Part::kWeekday, Letters::kUpper, true, Convention::kGregorian},
    DateTimeKeyword{"FF1", Part::kFraction, Letters::kUpper, true},
    DateTimeKeyword{"FF2", Part::kFraction, Letters::kUpper, true},
    DateTimeKeyword{"FF3", Part::kFraction, Letters::kUpper, true},
    DateTimeKeyword{"FF4", Part::kFraction, Letters::kUpper, true},
    DateTimeKeyword{"FF5", Part::kFraction, Letters::kUpper, true},
    DateTimeKeyword{"FF6", Part::kFraction, Letters::kUpper, true},
    DateTimeKeyword{"FX", Part::kExact},
    DateTimeKeyword{"HH24", Part::kHour24, Letters::kUpper, true},
    DateTimeKeyword{"HH12", Part::kHour12, Letters::kUpper, true},
    DateTimeKeyword{"HH", Part::kHour12, Letters::kUpper, true},
    DateTimeKeyword{"IDDD", Part::kIsoDayOfYear, Letters::kUpper, true, Convention::kIso},
    DateTimeKeyword{"ID", Part::kIsoWeekday, Letters::kUpper, true, Convention::kIso},
    DateTimeKeyword{"IW", Part::kIsoWeek, Letters::kUpper, true, Convention::kIso},
    DateTimeKeyword{"IYYY", Part::kIsoYear, Letters::kUpper, true, Convention::kIso},
    DateTimeKeyword{"IYY", Part::kIsoYear, Letters::kUpper, true, Convention::kIso},
    DateTimeKeyword{"IY", Part::kIsoYear, Letters::kUpper, true, Convention::kIso},
    DateTimeKeyword{"I", Part::kIsoYear, Letters::kUpper, true, Convention::kIso},
    DateTimeKeyword{"J", Part::kJulian, Letters::kUpper, true},
    DateTimeKeyword{"MI", Part::kMinute, Letters::kUpper, true},
    DateTimeKeyword{"MM", Part::kMonth, Letters::kUpper, true, Convention::kGregorian},
    DateTimeKeyword{"MONTH", Part::kMonthName, Letters::kUpper, false, Convention::kGregorian},
    DateTimeKeyword{"MON", Part::kMonthShort, Letters::kUpper, false, Convention::kGregorian},
    DateTimeKeyword{"MS", Part::kMillisecond, Letters::kUpper, true},
    DateTimeKeyword{"OF", Part::kOffset},
    DateTimeKeyword{"P.M.", Part::kMeridiemDotted},
    DateTimeKeyword{"PM", Part::kMeridiem},
    DateTimeKeyword{"Q", Part::kQuarter, Letters::kUpper, true},
    DateTimeKeyword{"RM", Part::kRomanMonth, Letters::kUpper, false, Convention::kGregorian},
    DateTimeKeyword{"SSSSS", Part::kSecondOfDay, Letters::kUpper, true},
    DateTimeKeyword{"SSSS", Part::kSecondOfDay, Letters::kUpper, true},
    DateTimeKeyword{"SS", Part::kSecond, Letters::kUpper, true},
    DateTimeKeyword{"TZH", Part::kZoneHour},
    DateTimeKeyword{"TZM", Part::kZoneMinute, Letters::kUpper, true},
    DateTimeKeyword{"TZ", Part::kZoneName},
    DateTimeKeyword{"US", Part::kMicrosecond, Letters::kUpper, true},
    DateTimeKeyword{"WW", Part::kWeekOfYear, Letters::kUpper, true, Convention::kGregorian},
    DateTimeKeyword{"W", Part::kWeekOfMonth, Letters::kUpper, true, Convention::kGregorian},
    DateTimeKeyword{"Y,YYY", Part::kYearComma, Letters::kUpper, true, Convention::kGregorian},
    DateTimeKeyword{"YYYY", Part::kYear, Letters::kUpper, true, Convention::kGregorian},
    DateTimeKeyword{"YYY", Part::kYear, Letters::kUpper, true, Convention::kGregorian},
    DateTimeKeyword{"YY", Part::kYear, Letters::kUpper, true, Convention::kGregorian},
    DateTimeKeyword{"Y", Part::kYear, Letters::kUpper, true, Convention::kGregorian},
};

// Whether the field may be written as a word with a capital.
bool MayBeCapital(Part part) {
  return part == Part::kDayName || part == Part::kDayShort || part == Part::kMonthName ||
         part == Part::kMonthShort;
}

// All spellings: each field in upper case, in lower case, and the words with a capital.
std::vector<DateTimeKeyword> AllSpellings() {
  static std::deque<std::string>& names = *new std::deque<std::string>();
  std::vector<DateTimeKeyword> spellings;
  for (const DateTimeKeyword& field : kFields) {
    spellings.push_back(field);
    const auto add = [&](std::string name, Letters letters) {
      DateTimeKeyword spelling = field;
      spelling.letters = letters;
      spelling.name = names.emplace_back(std::move(name));
      spellings.push_back(spelling);
    };
    const std::string lower = absl::AsciiStrToLower(ToAbsl(field.name));
    add(lower, Letters::kLower);
    if (MayBeCapital(field.part)) {
      add(std::string(field.name.substr(0, 1)) + lower.substr(1), Letters::kCapital);
    }
  }
  return spellings;
}

const DateTimeKeyword* FindField(std::string_view rest) {
  static const std::vector<DateTimeKeyword>& spellings =
      *new std::vector<DateTimeKeyword>(AllSpellings());
  const auto found =
      std::find_if(spellings.begin(), spellings.end(),
                   [&](const DateTimeKeyword& keyword) { return rest.starts_with(keyword.name); });
  return found == spellings.end() ? nullptr : &*found;
}

bool TakePrefix(std::string_view* rest, std::string_view upper, std::string_view lower) {
  if (!rest->starts_with(upper) && !rest->starts_with(lower)) {
    return false;
  }
  rest->remove_prefix(upper.size());
  return true;
}

DateTimePiece TextPiece(std::string_view* rest, DateTimePiece::Kind kind) {
  DateTimePiece piece;
  piece.kind = kind;
  piece.text = TakePatternChar(rest);
  return piece;
}

// Removes a field with its prefix and suffix from the front; nothing if there is no field. A prefix
// without a field stays removed.
std::optional<DateTimePiece> TakeField(std::string_view* rest) {
  DateTimePiece piece;
  piece.fill = TakePrefix(rest, "FM", "fm");
  piece.localized = !piece.fill && TakePrefix(rest, "TM", "tm");
  piece.field = FindField(*rest);
  if (piece.field == nullptr) {
    return std::nullopt;
  }
  piece.kind = DateTimePiece::Kind::kField;
  rest->remove_prefix(piece.field->name.size());
  if (rest->starts_with("TH") || rest->starts_with("th")) {
    piece.ordinal =
        (*rest)[0] == 'T' ? DateTimePiece::Ordinal::kUpper : DateTimePiece::Ordinal::kLower;
    rest->remove_prefix(2);
  } else if (rest->starts_with("SP")) {
    rest->remove_prefix(2);  // SP, spelled out: PostgreSQL ignores it too
  }
  return piece;
}

}  // namespace

bool IsPatternSeparator(char c) {
  return c > ' ' && c < 0x7f && !absl::ascii_isalnum(static_cast<unsigned char>(c));
}

std::vector<DateTimePiece> ParseDateTimePattern(std::string_view pattern) {
  std::vector<DateTimePiece> pieces;
  while (!pattern.empty()) {
    if (std::optional<DateTimePiece> field = TakeField(&pattern)) {
      pieces.push_back(*std::move(field));
    } else if (pattern.starts_with('"')) {
      pattern.remove_prefix(1);
      while (NextQuoted(&pattern)) {
        pieces.push_back(TextPiece(&pattern, DateTimePiece::Kind::kText));
      }
    } else if (!pattern.empty()) {
      if (pattern.starts_with("\\\"")) {
        pattern.remove_prefix(1);
      }
      const char c = pattern[0];
      pieces.push_back(TextPiece(&pattern, IsPatternSeparator(c) ? DateTimePiece::Kind::kSeparator
                                           : absl::ascii_isspace(static_cast<unsigned char>(c))
                                               ? DateTimePiece::Kind::kSpace
                                               : DateTimePiece::Kind::kText));
    }
  }
  return pieces;
}

std::string OrdinalSuffix(std::string_view number, bool upper) {
  const bool teen = number.size() > 1 && number[number.size() - 2] == '1';
  std::string_view suffix = "th";
  if (!teen) {
    switch (number.back()) {
      case '1':
        suffix = "st";
        break;
      case '2':
        suffix = "nd";
        break;
      case '3':
        suffix = "rd";
        break;
      default:
        break;
    }
  }
  return upper ? absl::AsciiStrToUpper(ToAbsl(suffix)) : std::string(suffix);
}

}  // namespace millrace
