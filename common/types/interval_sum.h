// An interval while its text is read: parts of it come one after another. Thread-compatible.
#ifndef MILLRACE_COMMON_TYPES_INTERVAL_SUM_H_
#define MILLRACE_COMMON_TYPES_INTERVAL_SUM_H_

#include <cstdint>
#include <optional>

#include "common/types/interval.h"

namespace millrace {

// So much of a unit. Both parts have the sign; the fraction's size is less than 1.
struct IntervalAmount {
  int64_t whole = 0;
  double fraction = 0;
};

// Fractions of a unit go to smaller ones, as the Adjust functions of PostgreSQL's datetime.c have
// it: of years to months, of months to days (30 to the month), of days to microseconds. All methods
// return false if a part becomes larger than it can be.
class IntervalSum {
 public:
  [[nodiscard]] bool AddTime(const IntervalAmount& amount, int64_t unit_us);
  [[nodiscard]] bool AddDays(const IntervalAmount& amount, int32_t unit_days);
  [[nodiscard]] bool AddMonths(const IntervalAmount& amount);
  [[nodiscard]] bool AddYears(const IntervalAmount& amount, int32_t unit_years);
  [[nodiscard]] bool Negate();

  // Replaces everything below days.
  void set_time_us(int64_t time_us) { time_us_ = time_us; }

  // Nothing if years and months are too many together.
  std::optional<Interval> ToInterval() const;

 private:
  bool AddTimeFraction(double fraction, int64_t unit_us);
  bool AddDayFraction(double fraction, int32_t unit_days);

  int32_t years_ = 0;
  int32_t months_ = 0;
  int32_t days_ = 0;
  int64_t time_us_ = 0;
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_TYPES_INTERVAL_SUM_H_
