// Values of columns as JSON, as PostgreSQL's to_json prints them. Pure functions.
#ifndef MILLRACE_COMMON_TYPES_JSON_VALUE_TEXT_H_
#define MILLRACE_COMMON_TYPES_JSON_VALUE_TEXT_H_

#include <cstddef>
#include <string>

#include "common/columnar/column.h"

namespace millrace {

// Appends a value: numbers, booleans and jsonb as such, times in ISO 8601 with a T, NULL as null,
// everything else as a string of its text.
void AppendJsonValue(const Column& column, size_t row, std::string* out);

}  // namespace millrace

#endif  // MILLRACE_COMMON_TYPES_JSON_VALUE_TEXT_H_
