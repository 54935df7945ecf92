// Arithmetic of moments that several families of functions need. Pure functions.
#ifndef MILLRACE_COMMON_EXPR_FUNCTIONS_DATETIME_H_
#define MILLRACE_COMMON_EXPR_FUNCTIONS_DATETIME_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "common/types/interval.h"

namespace millrace {

// A timestamp moved by an interval: first by months (the day cut to the month's length), then by
// days, then by time. Infinities stay. OUT_OF_RANGE in PostgreSQL's words.
absl::StatusOr<int64_t> AddInterval(int64_t micros, const Interval& interval);

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_FUNCTIONS_DATETIME_H_
