// A fast reader for dates and times as programs write them, 2026-01-31T12:00:00.125Z. Text of
// another form, or that is no date of the calendar, is left to the reader of all forms that
// PostgreSQL takes. Pure functions.
#ifndef MILLRACE_COMMON_TYPES_ISO_TIME_H_
#define MILLRACE_COMMON_TYPES_ISO_TIME_H_

#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace {

// "yyyy-mm-dd" as days since 1970-01-01.
std::optional<int32_t> ReadIsoDate(std::string_view text);

// "yyyy-mm-dd", T or a space, "hh:mm:ss", up to six digits behind a point, and Z, ±hh, ±hh:mm or
// nothing; as microseconds since 1970-01-01 00:00. A zone counts only if `with_zone`.
std::optional<int64_t> ReadIsoTimestamp(std::string_view text, bool with_zone);

}  // namespace millrace

#endif  // MILLRACE_COMMON_TYPES_ISO_TIME_H_
