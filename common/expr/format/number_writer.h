// to_char of numbers. Pure functions.
#ifndef MILLRACE_COMMON_EXPR_FORMAT_NUMBER_WRITER_H_
#define MILLRACE_COMMON_EXPR_FORMAT_NUMBER_WRITER_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/expr/format/number_pattern.h"

namespace millrace {

// Errors as PostgreSQL words them: roman numerals of a number that is no integer, and an ordinal of
// which no digit is written.

// Of a number as decimal text ('-12.50', 'NaN', 'Infinity').
absl::StatusOr<std::string> WriteDecimal(std::string_view number, const NumberPattern& pattern);
// `digits`: as many as the type holds for sure, 15 of a double and 6 of a float.
absl::StatusOr<std::string> WriteFloat(double value, int digits, const NumberPattern& pattern);

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_FORMAT_NUMBER_WRITER_H_
