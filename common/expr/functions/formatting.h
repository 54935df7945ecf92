// Checks patterns of to_char, to_timestamp, to_date and to_number. Pure functions.
#ifndef MILLRACE_COMMON_EXPR_FUNCTIONS_FORMATTING_H_
#define MILLRACE_COMMON_EXPR_FUNCTIONS_FORMATTING_H_

#include <string_view>

#include "absl/status/status.h"
#include "common/types/sql_type.h"

namespace millrace {

// Whether to_char can write a value of that type by the pattern, and whether to_timestamp and
// to_date, or to_number, can read by it.
absl::Status CheckWritePattern(std::string_view pattern, const SqlType& type);
absl::Status CheckReadTimePattern(std::string_view pattern);
absl::Status CheckReadNumberPattern(std::string_view pattern);

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_FUNCTIONS_FORMATTING_H_
