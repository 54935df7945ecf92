#include "common/types/datetime_words.h"

#include <algorithm>

namespace millrace {
namespace {

using Kind = DateTimeWord::Kind;

// In order of names.
constexpr std::array kWords = {
    DateTimeWord{"-infinity", Kind::kMinusInfinity},
    DateTimeWord{"ad", Kind::kEra, 0},
    DateTimeWord{"allballs", Kind::kMidnight},
    DateTimeWord{"am", Kind::kMeridiem, 0},
    DateTimeWord{"apr", Kind::kMonth, 4},
    DateTimeWord{"april", Kind::kMonth, 4},
    DateTimeWord{"at", Kind::kNothing},
    DateTimeWord{"aug", Kind::kMonth, 8},
    DateTimeWord{"august", Kind::kMonth, 8},
    DateTimeWord{"bc", Kind::kEra, 1},
    DateTimeWord{"d", Kind::kLabel, DateTimeWord::kDayOfMonth},
    DateTimeWord{"dec", Kind::kMonth, 12},
    DateTimeWord{"december", Kind::kMonth, 12},
    DateTimeWord{"dow", Kind::kLabel, DateTimeWord::kUnreadable},
    DateTimeWord{"doy", Kind::kLabel, DateTimeWord::kUnreadable},
    DateTimeWord{"dst", Kind::kSummer, 3600},
    DateTimeWord{"epoch", Kind::kEpoch},
    DateTimeWord{"feb", Kind::kMonth, 2},
    DateTimeWord{"february", Kind::kMonth, 2},
    DateTimeWord{"fri", Kind::kWeekday, 5},
    DateTimeWord{"friday", Kind::kWeekday, 5},
    DateTimeWord{"h", Kind::kLabel, DateTimeWord::kHour},
    DateTimeWord{"infinity", Kind::kInfinity},
    DateTimeWord{"isodow", Kind::kLabel, DateTimeWord::kUnreadable},
    DateTimeWord{"isoyear", Kind::kLabel, DateTimeWord::kUnreadable},
    DateTimeWord{"j", Kind::kLabel, DateTimeWord::kJulian},
    DateTimeWord{"jan", Kind::kMonth, 1},
    DateTimeWord{"january", Kind::kMonth, 1},
    DateTimeWord{"jd", Kind::kLabel, DateTimeWord::kJulian},
    DateTimeWord{"jul", Kind::kMonth, 7},
    DateTimeWord{"julian", Kind::kLabel, DateTimeWord::kJulian},
    DateTimeWord{"july", Kind::kMonth, 7},
    DateTimeWord{"jun", Kind::kMonth, 6},
    DateTimeWord{"june", Kind::kMonth, 6},
    DateTimeWord{"m", Kind::kLabel, DateTimeWord::kMonthNumber},
    DateTimeWord{"mar", Kind::kMonth, 3},
    DateTimeWord{"march", Kind::kMonth, 3},
    DateTimeWord{"may", Kind::kMonth, 5},
    DateTimeWord{"mm", Kind::kLabel, DateTimeWord::kMinute},
    DateTimeWord{"mon", Kind::kWeekday, 1},
    DateTimeWord{"monday", Kind::kWeekday, 1},
    DateTimeWord{"nov", Kind::kMonth, 11},
    DateTimeWord{"november", Kind::kMonth, 11},
    DateTimeWord{"now", Kind::kNow},
    DateTimeWord{"oct", Kind::kMonth, 10},
    DateTimeWord{"october", Kind::kMonth, 10},
    DateTimeWord{"on", Kind::kNothing},
    DateTimeWord{"pm", Kind::kMeridiem, 1},
    DateTimeWord{"s", Kind::kLabel, DateTimeWord::kSecond},
    DateTimeWord{"sat", Kind::kWeekday, 6},
    DateTimeWord{"saturday", Kind::kWeekday, 6},
    DateTimeWord{"sep", Kind::kMonth, 9},
    DateTimeWord{"sept", Kind::kMonth, 9},
    DateTimeWord{"september", Kind::kMonth, 9},
    DateTimeWord{"sun", Kind::kWeekday, 0},
    DateTimeWord{"sunday", Kind::kWeekday, 0},
    DateTimeWord{"t", Kind::kIsoTime},
    DateTimeWord{"thu", Kind::kWeekday, 4},
    DateTimeWord{"thur", Kind::kWeekday, 4},
    DateTimeWord{"thurs", Kind::kWeekday, 4},
    DateTimeWord{"thursday", Kind::kWeekday, 4},
    DateTimeWord{"today", Kind::kDay, 0},
    DateTimeWord{"tomorrow", Kind::kDay, 1},
    DateTimeWord{"tue", Kind::kWeekday, 2},
    DateTimeWord{"tues", Kind::kWeekday, 2},
    DateTimeWord{"tuesday", Kind::kWeekday, 2},
    DateTimeWord{"wed", Kind::kWeekday, 3},
    DateTimeWord{"wednesday", Kind::kWeekday, 3},
    DateTimeWord{"weds", Kind::kWeekday, 3},
    DateTimeWord{"y", Kind::kLabel, DateTimeWord::kYear},
    DateTimeWord{"yesterday", Kind::kDay, -1},
};

}  // namespace

const DateTimeWord* FindDateTimeWord(std::string_view lower_case) {
  const auto* found = std::lower_bound(
      kWords.begin(), kWords.end(), lower_case,
      [](const DateTimeWord& word, std::string_view name) { return word.name < name; });
  return found != kWords.end() && found->name == lower_case ? found : nullptr;
}

}  // namespace millrace
