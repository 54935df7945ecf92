// Reads an interval from text, by PostgreSQL's rules (DecodeInterval and DecodeISO8601Interval of
// its datetime.c). Pure functions.
#ifndef MILLRACE_COMMON_TYPES_INTERVAL_DECODER_H_
#define MILLRACE_COMMON_TYPES_INTERVAL_DECODER_H_

#include <string_view>

#include "common/types/interval_sum.h"

namespace millrace {

enum class IntervalOutcome { kGood, kMalformed, kOutOfRange };

// Amounts and units, clocks, years-months: '1 day 02:03', '-1.5 hours', '1-2', '@ 3 mons ago'. No
// unit may come twice. Adds what it finds to `sum`, also if it fails.
IntervalOutcome DecodeIntervalUnits(std::string_view text, IntervalSum* sum);

// Forms of ISO 8601, in capital letters: 'P1Y2DT3H', 'P0001-02-03T04:05:06', 'P00010203T040506'.
IntervalOutcome DecodeIsoInterval(std::string_view text, IntervalSum* sum);

}  // namespace millrace

#endif  // MILLRACE_COMMON_TYPES_INTERVAL_DECODER_H_
