// Intervals as PostgreSQL reads them ('1 day 02:03:04', '-1.5 hours', '1-2', 'P1DT2H', '@ 3 mons
// ago') and prints them in IntervalStyle postgres ("1 year 2 mons -3 days +04:05:06.7"). Pure
// functions.
#ifndef MILLRACE_COMMON_TYPES_INTERVAL_TEXT_H_
#define MILLRACE_COMMON_TYPES_INTERVAL_TEXT_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/types/interval.h"

namespace millrace {

absl::StatusOr<Interval> ParseInterval(std::string_view text);
void AppendInterval(const Interval& interval, std::string* out);

}  // namespace millrace

#endif  // MILLRACE_COMMON_TYPES_INTERVAL_TEXT_H_
