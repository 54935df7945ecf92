// Integers, floating point numbers and booleans as PostgreSQL reads and prints them. Pure
// functions.
#ifndef MILLRACE_COMMON_TYPES_NUMBER_TEXT_H_
#define MILLRACE_COMMON_TYPES_NUMBER_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/types/sql_type.h"

namespace millrace {

// invalid input syntax for type integer: "x"
absl::Status InvalidSyntax(std::string_view text, std::string_view type_name);

// true, yes, on, 1 and false, no, off, 0, shortened as long as they are unambiguous; any case.
absl::StatusOr<bool> ParseBool(std::string_view text);

// T: int16_t, int32_t, int64_t, float, double.
template <typename T>
absl::StatusOr<T> ParseNumber(std::string_view text);

// The shortest digits that read back as the same value.
void AppendNumber(float value, std::string* out);
void AppendNumber(double value, std::string* out);
void AppendNumber(int64_t value, std::string* out);

}  // namespace millrace

#endif  // MILLRACE_COMMON_TYPES_NUMBER_TEXT_H_
