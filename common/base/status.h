// Errors of the environment and of users travel as absl::Status; these macros pass them on.
// Debian's Abseil lacks status_macros.
#ifndef MILLRACE_COMMON_BASE_STATUS_H_
#define MILLRACE_COMMON_BASE_STATUS_H_

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace millrace {

// Debian's Abseil is built as C++14: its string_view is a type of its own. These convert without a
// copy.
inline std::string_view ToStd(absl::string_view text) { return {text.data(), text.size()}; }
inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }

// `status` with "`context`: " in front of its message, and its payloads; OK stays OK.
absl::Status Annotate(const absl::Status& status, std::string_view context);
// The same status with another message.
absl::Status Reworded(const absl::Status& status, std::string_view message);

}  // namespace millrace

#define MILLRACE_CONCAT_INNER(a, b) a##b
#define MILLRACE_CONCAT(a, b) MILLRACE_CONCAT_INNER(a, b)

// Returns the status of `expr` from the enclosing function unless it is OK.
#define RETURN_IF_ERROR(expr)                                           \
  do {                                                                  \
    if (absl::Status returned_status = (expr); !returned_status.ok()) { \
      return returned_status;                                           \
    }                                                                   \
  } while (false)

// Evaluates `expr` (a StatusOr), returns its status on error, else moves the value into `lhs`.
#define ASSIGN_OR_RETURN(lhs, expr) \
  MILLRACE_ASSIGN_OR_RETURN_INNER(MILLRACE_CONCAT(status_or_, __LINE__), lhs, expr)
#define MILLRACE_ASSIGN_OR_RETURN_INNER(var, lhs, expr) \
  auto var = (expr);                                    \
  if (!var.ok()) {                                      \
    return std::move(var).status();                     \
  }                                                     \
  lhs = *std::move(var)

#endif  // MILLRACE_COMMON_BASE_STATUS_H_
