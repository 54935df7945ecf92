// Arithmetic with moments, for several families of functions. Pure functions.
#ifndef MILLRACE_COMMON_EXPR_FUNCTIONS_DATETIME_H_
#define MILLRACE_COMMON_EXPR_FUNCTIONS_DATETIME_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/expr/functions/sql_value.h"
#include "common/types/interval.h"
#include "common/types/numeric.h"
#include "common/types/time_zone.h"

namespace millrace {

// A timestamp moved by an interval: first by months (the day cut to the month's length), then by
// days, both on the clock of the zone, then by time. Infinities stay. OUT_OF_RANGE in PostgreSQL's
// words.
absl::StatusOr<int64_t> AddInterval(int64_t micros, const Interval& interval,
                                    const TimeZone& zone = TimeZone());

// extract and date_trunc of the local time in the zone; NULL where an infinity has no such part.
absl::StatusOr<std::optional<NumericValue>> ExtractInZone(std::string_view field,
                                                          TimestampTz moment, const TimeZone& zone);
absl::StatusOr<TimestampTz> TruncateInZone(std::string_view field, TimestampTz moment,
                                           const TimeZone& zone);

// Midnight of a date as a timestamp. OUT_OF_RANGE for dates that no timestamp reaches.
absl::StatusOr<int64_t> StartOfDay(Date date);
absl::StatusOr<Interval> NegateInterval(const Interval& interval);

// Checks that date_bin can cut time into strides of this length.
absl::Status CheckStride(const Interval& stride);

// Find a zone by what AT TIME ZONE takes, and by what SET timezone takes. The zone is this thread's
// until the next call.
absl::StatusOr<const TimeZone*> ZoneOf(std::string_view name);
absl::StatusOr<const TimeZone*> SessionZoneOf(std::string_view name);

// The zone of AT TIME ZONE INTERVAL '-08:00'.
absl::StatusOr<TimeZone> ZoneOfInterval(const Interval& interval);

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_FUNCTIONS_DATETIME_H_
