// PostgreSQL's interval: months, days and microseconds kept apart. Plain value.
#ifndef MILLRACE_COMMON_TYPES_INTERVAL_H_
#define MILLRACE_COMMON_TYPES_INTERVAL_H_

#include <cstdint>

namespace millrace {

struct Interval {
  int32_t months = 0;
  int32_t days = 0;
  int64_t micros = 0;

  // As PostgreSQL compares: a month counts 30 days, a day 24 hours.
  __int128 SortKey() const {
    return (static_cast<__int128>(months) * 30 + days) * 86400000000LL + micros;
  }
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_TYPES_INTERVAL_H_
