// Errors that point into the script. Everything between parser and physical plan reports a byte
// offset with its message; PlanScript turns offsets into line, column and caret. Pure functions.
#ifndef MILLRACE_PLAN_LOGICAL_SQL_ERROR_H_
#define MILLRACE_PLAN_LOGICAL_SQL_ERROR_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/status.h"

namespace millrace::plan {

// INVALID_ARGUMENT about the script at byte `position` (−1: no particular place).
absl::Status ErrorAt(int32_t position, std::string_view message);

// `status` with a position, unless it is OK or has one already.
absl::Status WithPosition(const absl::Status& status, int32_t position);

// The position that ErrorAt or WithPosition attached.
std::optional<int32_t> ErrorPosition(const absl::Status& status);

}  // namespace millrace::plan

#endif  // MILLRACE_PLAN_LOGICAL_SQL_ERROR_H_
