// Reads and prints dates and timestamps as PostgreSQL does (DateStyle ISO, MDY). Pure functions,
// except that they look up names of zones in the time zone data.
#ifndef MILLRACE_COMMON_TYPES_DATETIME_TEXT_H_
#define MILLRACE_COMMON_TYPES_DATETIME_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/types/time_zone.h"

namespace millrace {

// Days since 1970-01-01. `session` gives 'today' and the like their meaning; without a time they
// are errors (FAILED_PRECONDITION), as in data, which must not depend on when it is read.
absl::StatusOr<int32_t> ParseDate(std::string_view text, const SessionTime& session = {});
// Microseconds since 1970-01-01 00:00. A zone in the text counts for timestamptz and is ignored for
// timestamp.
absl::StatusOr<int64_t> ParseTimestamp(std::string_view text, const SessionTime& session = {});
absl::StatusOr<int64_t> ParseTimestampTz(std::string_view text, const SessionTime& session = {});

void AppendDate(int32_t days, std::string* out);
void AppendTimestamp(int64_t micros, std::string* out);
void AppendTimestampTz(int64_t micros, std::string* out);  // in UTC
void AppendTimestampTz(int64_t micros, const TimeZone& zone, std::string* out);

// ISO 8601, as PostgreSQL's to_json prints them: a T between date and time, the offset with its
// minutes.
void AppendIsoTimestamp(int64_t micros, std::string* out);
void AppendIsoTimestampTz(int64_t micros, const TimeZone& zone, std::string* out);

// hh:mm:ss[.ffffff] of a non-negative duration; hours may have more than two digits.
void AppendTime(int64_t micros, std::string* out);

}  // namespace millrace

#endif  // MILLRACE_COMMON_TYPES_DATETIME_TEXT_H_
