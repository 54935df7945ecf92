// Scans a text, field by field of a pattern; the first half of to_timestamp. Thread-compatible.
#ifndef MILLRACE_COMMON_EXPR_FORMAT_DATETIME_SCAN_H_
#define MILLRACE_COMMON_EXPR_FORMAT_DATETIME_SCAN_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "common/expr/format/datetime_pattern.h"

namespace millrace {

// A field is 0 if the text did not have it, or had 0.
struct ScannedTime {
  DateConvention convention = DateConvention::kAny;
  bool twelve_hours = false;
  int64_t hour = 0;
  int64_t pm = 0;
  int64_t minute = 0;
  int64_t second = 0;
  int64_t second_of_day = 0;
  int64_t millisecond = 0;
  int64_t microsecond = 0;
  std::optional<int> fraction_digits;  // of the last FF1 to FF6
  int64_t weekday = 0;                 // 1 = Sunday
  int64_t day = 0;
  int64_t day_of_year = 0;
  int64_t month = 0;
  int64_t year = 0;
  int year_digits = 0;
  int64_t before_christ = 0;
  int64_t week = 0;  // of the year
  int64_t week_of_month = 0;
  int64_t century = 0;
  int64_t julian = 0;
  int64_t zone_sign = 0;  // 0: no zone
  int64_t zone_hour = 0;
  int64_t zone_minute = 0;
};

// Errors as PostgreSQL words them.
absl::Status ScanDateTime(std::string_view text, const std::vector<DateTimePiece>& pattern,
                          ScannedTime* out);

// INVALID_ARGUMENT for two conventions in one pattern.
absl::Status JoinConvention(DateConvention of_field, DateConvention* so_far);
// INVALID_ARGUMENT for fields that can only be written.
absl::Status CheckReadable(const DateTimeKeyword& field);

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_FORMAT_DATETIME_SCAN_H_
