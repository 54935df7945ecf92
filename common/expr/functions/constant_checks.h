// Checks what can be known about a call before the first record comes: a constant argument with
// which every row fails, whatever the other arguments are (an unknown unit or time zone, a division
// by zero). One table for all functions that prepare no state from their constants. Pure functions.
#ifndef MILLRACE_COMMON_EXPR_FUNCTIONS_CONSTANT_CHECKS_H_
#define MILLRACE_COMMON_EXPR_FUNCTIONS_CONSTANT_CHECKS_H_

#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "common/columnar/column.h"
#include "common/types/sql_type.h"

namespace millrace {

// The error that every row would have. `constants`: a column of one value for each constant
// argument, null for the others. For scalar and table functions. `conditional`: only some rows,
// perhaps none, reach the call (as in a branch of CASE); then only names are checked.
absl::Status CheckConstantArguments(std::string_view function, const std::vector<SqlType>& types,
                                    const std::vector<const Column*>& constants, bool conditional);

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_FUNCTIONS_CONSTANT_CHECKS_H_
