// What can be known of a call before the first record comes: a constant argument that lets every
// row fail, whatever the others are (an unknown unit or time zone, a division by zero). One table
// for all functions that have no state to prepare from their constants. Pure functions.
#ifndef MILLRACE_COMMON_EXPR_FUNCTIONS_CONSTANT_CHECKS_H_
#define MILLRACE_COMMON_EXPR_FUNCTIONS_CONSTANT_CHECKS_H_

#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "common/columnar/column.h"
#include "common/types/sql_type.h"

namespace millrace {

// The error that rows would have. `constants`: a column of one value for each argument that is
// constant, null for the others. Scalar and table functions. `conditional`: only some rows come so
// far (behind CASE, say), perhaps none; then what is no name is let be.
absl::Status CheckConstantArguments(std::string_view function, const std::vector<SqlType>& types,
                                    const std::vector<const Column*>& constants, bool conditional);

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_FUNCTIONS_CONSTANT_CHECKS_H_
