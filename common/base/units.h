// Durations and sizes as people write them in settings: '2 s', '10 ms', '64 MiB'. Pure functions.
#ifndef MILLRACE_COMMON_BASE_UNITS_H_
#define MILLRACE_COMMON_BASE_UNITS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace millrace {

// Parses a non-negative decimal number and a unit: us, ms, s (sec, second[s]), min (minute[s]), h
// (hour[s]), d (day[s]). "0" needs no unit. Errors name the text and the allowed units.
absl::StatusOr<absl::Duration> ParseDuration(std::string_view text);

// The shortest form ParseDuration accepts that gives `duration` back, e.g. "1500 ms".
std::string DurationToString(absl::Duration duration);

// Parses a non-negative integer and an optional unit: B, kB, MB, GB (powers of 1000), KiB, MiB, GiB
// (powers of 1024).
absl::StatusOr<int64_t> ParseBytes(std::string_view text);

// For people: "512 B", "1.5 MiB".
std::string FormatBytes(int64_t bytes);

}  // namespace millrace

#endif  // MILLRACE_COMMON_BASE_UNITS_H_
