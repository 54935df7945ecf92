#include "common/types/interval_text.h"

#include <cstdlib>
#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/types/datetime_text.h"
#include "common/types/interval_decoder.h"
#include "common/types/number_text.h"

namespace millrace {
namespace {

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
  IntervalSum sum;
  IntervalOutcome outcome = DecodeIntervalUnits(text, &sum);
  if (outcome == IntervalOutcome::kMalformed) {
    sum = IntervalSum();
    outcome = DecodeIsoInterval(text, &sum);
  }
  switch (outcome) {
    case IntervalOutcome::kMalformed:
      return InvalidSyntax(text, "interval");
    case IntervalOutcome::kOutOfRange:
      return absl::OutOfRangeError(
          absl::StrCat("interval field value out of range: \"", ToAbsl(text), "\""));
    case IntervalOutcome::kGood:
      break;
  }
  const std::optional<Interval> interval = sum.ToInterval();
  return interval.has_value() ? absl::StatusOr<Interval>(*interval)
                              : absl::OutOfRangeError("interval out of range");
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
