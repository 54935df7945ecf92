// One value of a JSON document on its way into a column. Thread-compatible.
#ifndef MILLRACE_CONNECTORS_FORMATS_JSON_JSON_VALUE_H_
#define MILLRACE_CONNECTORS_FORMATS_JSON_JSON_VALUE_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "connectors/formats/declared_columns.h"

namespace millrace {

struct JsonValue {
  enum class Kind : uint8_t { kObject, kArray, kString, kNumber, kBool };

  Kind kind = Kind::kString;
  // The value's text in the document, and the same in the payload of which the document is a copy.
  std::string_view token;
  const char* in_payload = nullptr;
  // For strings: the text without escapes, and whether it differs from the text between the quotes.
  std::string_view text;
  bool escaped = false;
};

// Whether `token` is a number of JSON.
bool IsJsonNumber(std::string_view token);

// Stores the value as the column's type, or says why it does not fit. Text takes strings, and other
// values in the form that they have in the document; a timestamp takes numbers of `unit_us`
// microseconds since 1970. REQUIRES: token is valid JSON.
absl::Status StoreJsonValue(const JsonValue& value, int64_t unit_us, size_t column, size_t row,
                            DeclaredColumns* columns);

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_FORMATS_JSON_JSON_VALUE_H_
