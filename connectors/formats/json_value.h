// One value of a JSON document on its way into a column. Thread-compatible.
#ifndef MILLRACE_CONNECTORS_FORMATS_JSON_VALUE_H_
#define MILLRACE_CONNECTORS_FORMATS_JSON_VALUE_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "connectors/formats/declared_columns.h"

namespace millrace {

struct JsonValue {
  enum class Kind : uint8_t { kObject, kArray, kString, kNumber, kBool };

  Kind kind = Kind::kString;
  // As it stands in the document, and in the payload that the document is a copy of.
  std::string_view token;
  const char* in_payload = nullptr;
  // Of strings: what they mean, and whether that differs from what stands between the quotes.
  std::string_view text;
  bool escaped = false;
};

// Whether `token` is a number of JSON.
bool IsJsonNumber(std::string_view token);

// Stores the value as the column's type, or says why it cannot be one. Text takes strings, and
// other values as they stand in the document; a timestamp takes numbers of `unit_us` microseconds
// since 1970. REQUIRES: token is JSON.
absl::Status StoreJsonValue(const JsonValue& value, int64_t unit_us, size_t column, size_t row,
                            DeclaredColumns* columns);

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_FORMATS_JSON_VALUE_H_
