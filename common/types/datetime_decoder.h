// Reads a date and a time from text, by PostgreSQL's rules (chapter "Date/Time Input
// Interpretation", DateStyle MDY): tokens are taken one after another, and the meaning of a number
// depends on what is known by then. Thread-compatible; one object per text.
#ifndef MILLRACE_COMMON_TYPES_DATETIME_DECODER_H_
#define MILLRACE_COMMON_TYPES_DATETIME_DECODER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/types/calendar.h"
#include "common/types/datetime_tokens.h"
#include "common/types/datetime_words.h"
#include "common/types/time_zone.h"

namespace millrace {

struct DateTimeFields {
  enum class Kind { kMoment, kEpoch, kInfinity, kMinusInfinity };
  Kind kind = Kind::kMoment;
  CivilDate date;
  int64_t time_us = 0;              // since midnight; may be 24 hours and a bit more
  std::optional<int64_t> offset_s;  // east of UTC; absent if the text names no zone
};

class DateTimeDecoder {
 public:
  // All must outlive the decoder.
  DateTimeDecoder(std::string_view text, std::string_view type_name, const SessionTime& session)
      : text_(text), type_name_(type_name), session_(session) {}

  // Errors as PostgreSQL words them; FAILED_PRECONDITION if the text needs the time and there is
  // none.
  absl::StatusOr<DateTimeFields> Decode();

 private:
  using Word = DateTimeWord;

  // Which fields are known; one bit each.
  enum Field : uint32_t {
    kYear = 1 << 0,
    kMonth = 1 << 1,
    kDay = 1 << 2,
    kDayOfYear = 1 << 3,
    kHour = 1 << 4,
    kMinute = 1 << 5,
    kSecond = 1 << 6,
    kZone = 1 << 7,
    kSummer = 1 << 8,
    kMeridiem = 1 << 9,
    kEra = 1 << 10,
    kWeekday = 1 << 11,
    kSpecial = 1 << 12,  // epoch, infinity: overrides all other fields
    kDateFields = kYear | kMonth | kDay,
    kTimeFields = kHour | kMinute | kSecond,
  };
  enum class Outcome { kGood, kMalformed, kOutOfRange, kZoneOutOfRange, kUnknownZone, kNoClock };

  bool Has(uint32_t fields) const { return (known_ & fields) == fields; }
  // Adds fields that the current token has set. A field that is set twice is found at the token's
  // end.
  void Say(uint32_t fields) { said_ |= fields; }

  Outcome TakeTokens();
  Outcome Take(size_t i);
  Outcome TakeDateToken(const std::string& token);
  Outcome TakeRunTogether(std::string_view token);
  Outcome TakeDateParts(std::string_view token);
  Outcome TakeNumberToken(const std::string& token);
  Outcome TakeLabelled(const std::string& token);
  Outcome TakeJulian(std::string_view token);
  Outcome TakeWordToken(size_t i);
  Outcome TakeWord(const Word& word, size_t i);
  Outcome TakeClockWord(const Word& word);
  Outcome TakeMonthName(int month);
  Outcome TakeTime(std::string_view token);
  Outcome TakeZone(std::string_view token);
  Outcome TakeZoneName(std::string_view name);

  // A number by its place in the date; `month_named`: the month stands there as a word.
  Outcome PlaceNumber(std::string_view digits, bool month_named, uint32_t known);
  Outcome PlaceYear(int64_t value, size_t digits);
  Outcome PlaceDay(int64_t value);
  Outcome PlaceMonth(int64_t value);
  // yymmdd, yyyymmdd, hhmmss or hhmm.
  Outcome PlaceField(std::string_view digits, uint32_t known);

  Outcome Finish();
  Outcome FinishDate();
  Outcome FinishZone();
  absl::Status ErrorOf(Outcome outcome) const;

  std::string_view text_;
  std::string_view type_name_;
  const SessionTime& session_;
  std::vector<DateTimeToken> tokens_;

  uint32_t known_ = 0;
  uint32_t said_ = 0;  // fields that the current token has set
  std::optional<Word> label_;
  DateTimeFields::Kind kind_ = DateTimeFields::Kind::kMoment;
  int64_t year_ = 0;
  int64_t month_ = 0;
  int64_t day_ = 0;
  int64_t day_of_year_ = 0;
  int64_t hour_ = 0;
  int64_t minute_ = 0;
  int64_t second_ = 0;
  int64_t fraction_us_ = 0;
  int64_t offset_s_ = 0;
  std::optional<TimeZone> zone_;  // its offset may depend on the date
  std::string zone_name_;         // name of a zone that does not exist
  std::optional<int> meridiem_;
  bool month_named_ = false;
  bool two_digit_year_ = false;
  bool before_christ_ = false;
  bool julian_ = false;
  bool lacks_clock_ = false;  // a word needs the present time, and there is no clock
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_TYPES_DATETIME_DECODER_H_
