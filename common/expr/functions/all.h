// The engine's scalar and table functions: the one list of them.
#ifndef MILLRACE_COMMON_EXPR_FUNCTIONS_ALL_H_
#define MILLRACE_COMMON_EXPR_FUNCTIONS_ALL_H_

#include "absl/status/status.h"
#include "common/expr/function_registry.h"

namespace millrace {

// ALREADY_EXISTS names a signature that occurs twice.
absl::Status RegisterAllFunctions(FunctionRegistry* registry);

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_FUNCTIONS_ALL_H_
