// to_timestamp and to_date: a text read by a pattern. Pure functions.
#ifndef MILLRACE_COMMON_EXPR_FORMAT_DATETIME_READER_H_
#define MILLRACE_COMMON_EXPR_FORMAT_DATETIME_READER_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/expr/format/datetime_pattern.h"
#include "common/types/calendar.h"

namespace millrace {

struct ReadTime {
  CivilDate date;                   // missing parts: 1 BC, January, 1
  int64_t time_us = 0;              // since midnight
  std::optional<int64_t> offset_s;  // east of UTC, if the text says it
  // To which the moment is to be rounded, if the pattern has a field for so many: FF3. The time
  // above has all digits of the text.
  std::optional<int> fraction_digits;
};

// Errors as PostgreSQL words them, with the way out behind.
absl::StatusOr<ReadTime> ReadDateTime(std::string_view text,
                                      const std::vector<DateTimePiece>& pattern);

// Refuses patterns that no text can satisfy: with fields that cannot be read, or that belong to two
// ways of counting years.
absl::Status CheckReadPattern(const std::vector<DateTimePiece>& pattern);

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_FORMAT_DATETIME_READER_H_
