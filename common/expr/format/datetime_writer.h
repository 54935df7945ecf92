// to_char of times and intervals. Pure functions.
#ifndef MILLRACE_COMMON_EXPR_FORMAT_DATETIME_WRITER_H_
#define MILLRACE_COMMON_EXPR_FORMAT_DATETIME_WRITER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/expr/format/datetime_pattern.h"
#include "common/types/interval.h"

namespace millrace {

// A local time, and how far the clock is ahead of UTC.
struct ShownTime {
  int64_t local_us = 0;
  int64_t offset_s = 0;
  std::string zone;  // 'CEST'; empty if there is none to name
};

// REQUIRES: a finite time.
std::string WriteDateTime(const ShownTime& time, const std::vector<DateTimePiece>& pattern);

// INVALID_ARGUMENT if the pattern has a field that intervals do not have.
absl::StatusOr<std::string> WriteInterval(const Interval& interval,
                                          const std::vector<DateTimePiece>& pattern);

// The same error without an interval.
absl::Status CheckIntervalPattern(const std::vector<DateTimePiece>& pattern);

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_FORMAT_DATETIME_WRITER_H_
