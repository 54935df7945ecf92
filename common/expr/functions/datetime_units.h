// The units of extract, date_part and date_trunc: 'hour', 'isodow', 'epoch'. Pure functions.
#ifndef MILLRACE_COMMON_EXPR_FUNCTIONS_DATETIME_UNITS_H_
#define MILLRACE_COMMON_EXPR_FUNCTIONS_DATETIME_UNITS_H_

#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/types/sql_type.h"
#include "common/types/time_units.h"

namespace millrace {

// The unit, in any case and of any spelling. INVALID_ARGUMENT: unit "x" not recognized for type t.
absl::StatusOr<DateTimeField> ParseDateTimeField(std::string_view text, const SqlType& type);

absl::Status UnrecognizedField(std::string_view text, const SqlType& type);
absl::Status UnsupportedField(std::string_view text, const SqlType& type);

// Whether a value of that type has the unit, or can be cut to it.
absl::Status CheckExtract(std::string_view text, const SqlType& type);
absl::Status CheckTruncate(std::string_view text, const SqlType& type);

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_FUNCTIONS_DATETIME_UNITS_H_
