// Values as PostgreSQL reads and prints them (DateStyle ISO, extra_float_digits 1, bytea_output
// hex, IntervalStyle postgres, time zone UTC). One place for literals, casts, CSV, print and
// results. Pure functions.
#ifndef MILLRACE_COMMON_TYPES_TEXT_FORMAT_H_
#define MILLRACE_COMMON_TYPES_TEXT_FORMAT_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/columnar/column.h"
#include "common/types/numeric.h"
#include "common/types/sql_type.h"

namespace millrace {

// Parses `text` as the column's type into row `row`. Errors read like PostgreSQL's: invalid input
// syntax for type integer: "x". numeric(p, s) is rounded to s; OUT_OF_RANGE on overflow.
absl::Status ParseValue(std::string_view text, Column* out, size_t row);

// Appends the text form of a value that is not NULL.
void AppendValue(const Column& column, size_t row, std::string* out);

// The same as a new string; `null_text` for NULL.
std::string ValueToString(const Column& column, size_t row, std::string_view null_text = "NULL");

// The elements of an array's text form, '{a,"b c",NULL}', as a column of the element type.
absl::StatusOr<ColumnPtr> ParseArray(std::string_view text, const SqlType& element);

// Appends the elements [list.begin, list.begin + list.size) of `child` as an array's text form.
void AppendArray(const Column& child, const ListView& list, std::string* out);

// bytea: '\x' and hexadecimal digits, or the older form with \ooo escapes.
absl::StatusOr<std::string> ParseBytea(std::string_view text);
// The older form alone.
absl::StatusOr<std::string> ParseEscapedBytea(std::string_view text);

// `value` as numeric(p, s) holds it: rounded to s digits behind the point, or before it where s is
// negative. OUT_OF_RANGE, as PostgreSQL words it, when it has more than p − s digits before the
// point. Unconstrained numeric takes all.
absl::StatusOr<NumericValue> FitNumeric(const Numeric& value, const SqlType& type);

}  // namespace millrace

#endif  // MILLRACE_COMMON_TYPES_TEXT_FORMAT_H_
