#include "common/types/interval_sum.h"

#include <cmath>
#include <limits>

#include "common/types/calendar.h"

namespace millrace {
namespace {

constexpr int64_t kLeastCount = std::numeric_limits<int32_t>::min();
constexpr int64_t kMostCount = std::numeric_limits<int32_t>::max();

// Adds `count` units of `size` to the total.
bool AddUnits(int64_t count, int32_t size, int32_t* total) {
  int64_t sum = 0;
  if (__builtin_mul_overflow(count, int64_t{size}, &sum) || sum < kLeastCount || sum > kMostCount) {
    return false;
  }
  return !__builtin_add_overflow(*total, static_cast<int32_t>(sum), total);
}

template <typename T>
bool NegatePart(T* part) {
  return !__builtin_sub_overflow(T{0}, *part, part);
}

}  // namespace

bool IntervalSum::AddTimeFraction(double fraction, int64_t unit_us) {
  fraction *= static_cast<double>(unit_us);
  auto micros = static_cast<int64_t>(fraction);
  fraction -= static_cast<double>(micros);
  if (fraction > 0.5) {
    ++micros;
  } else if (fraction < -0.5) {
    --micros;
  }
  return !__builtin_add_overflow(time_us_, micros, &time_us_);
}

bool IntervalSum::AddDayFraction(double fraction, int32_t unit_days) {
  fraction *= unit_days;
  const auto days = static_cast<int32_t>(fraction);
  return !__builtin_add_overflow(days_, days, &days_) &&
         AddTimeFraction(fraction - days, kMicrosPerDay);
}

bool IntervalSum::AddTime(const IntervalAmount& amount, int64_t unit_us) {
  int64_t micros = 0;
  return !__builtin_mul_overflow(amount.whole, unit_us, &micros) &&
         !__builtin_add_overflow(time_us_, micros, &time_us_) &&
         AddTimeFraction(amount.fraction, unit_us);
}

bool IntervalSum::AddDays(const IntervalAmount& amount, int32_t unit_days) {
  return AddUnits(amount.whole, unit_days, &days_) && AddDayFraction(amount.fraction, unit_days);
}

bool IntervalSum::AddMonths(const IntervalAmount& amount) {
  constexpr int32_t kDaysPerMonth = 30;
  return AddUnits(amount.whole, 1, &months_) && AddDayFraction(amount.fraction, kDaysPerMonth);
}

bool IntervalSum::AddYears(const IntervalAmount& amount, int32_t unit_years) {
  constexpr double kMonthsPerYear = 12;
  const auto months =
      static_cast<int32_t>(std::rint(amount.fraction * unit_years * kMonthsPerYear));
  return AddUnits(amount.whole, unit_years, &years_) && AddUnits(months, 1, &months_);
}

bool IntervalSum::Negate() {
  return NegatePart(&years_) && NegatePart(&months_) && NegatePart(&days_) && NegatePart(&time_us_);
}

std::optional<Interval> IntervalSum::ToInterval() const {
  const int64_t months = int64_t{years_} * 12 + months_;
  if (months < kLeastCount || months > kMostCount) {
    return std::nullopt;
  }
  return Interval{.months = static_cast<int32_t>(months), .days = days_, .micros = time_us_};
}

}  // namespace millrace
