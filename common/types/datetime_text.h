// Dates and timestamps as PostgreSQL reads and prints them (DateStyle ISO, MDY; time zone UTC). Of
// zone names only UTC, GMT and Z are known; offsets are. 'now', 'today' and the like are refused: a
// value must not depend on when it is read. Pure functions.
#ifndef MILLRACE_COMMON_TYPES_DATETIME_TEXT_H_
#define MILLRACE_COMMON_TYPES_DATETIME_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace millrace {

absl::StatusOr<int32_t> ParseDate(std::string_view text);  // days since 1970-01-01
// Microseconds since 1970-01-01 00:00. A zone in the text counts for timestamptz and is ignored for
// timestamp.
absl::StatusOr<int64_t> ParseTimestamp(std::string_view text);
absl::StatusOr<int64_t> ParseTimestampTz(std::string_view text);

void AppendDate(int32_t days, std::string* out);
void AppendTimestamp(int64_t micros, std::string* out);
void AppendTimestampTz(int64_t micros, std::string* out);

// hh:mm:ss[.ffffff] of a non-negative duration; hours may have more than two digits.
void AppendTime(int64_t micros, std::string* out);

// What stands behind the point of a number of seconds, as microseconds (".5" is 500000), rounded
// half to even. REQUIRES: digits only.
int64_t FractionToMicros(std::string_view digits);

}  // namespace millrace

#endif  // MILLRACE_COMMON_TYPES_DATETIME_TEXT_H_
