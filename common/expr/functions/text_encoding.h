// Names of encode and decode. Pure functions.
#ifndef MILLRACE_COMMON_EXPR_FUNCTIONS_TEXT_ENCODING_H_
#define MILLRACE_COMMON_EXPR_FUNCTIONS_TEXT_ENCODING_H_

#include <string_view>

#include "absl/status/status.h"

namespace millrace {

// INVALID_ARGUMENT unless it is hex, base64 or escape, in any case.
absl::Status CheckBinaryEncoding(std::string_view name);

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_FUNCTIONS_TEXT_ENCODING_H_
