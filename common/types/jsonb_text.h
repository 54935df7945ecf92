// Converts JSON to the canonical text that jsonb columns hold, which is PostgreSQL's output for
// jsonb: keys ordered by length and then bytes, the last of equal keys kept, one space behind ':'
// and ',', numbers as numeric prints them. Not done with simdjson: its tree loses digits of
// numbers, and errors must be PostgreSQL's. Pure functions.
#ifndef MILLRACE_COMMON_TYPES_JSONB_TEXT_H_
#define MILLRACE_COMMON_TYPES_JSONB_TEXT_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace millrace {

// kJson: RFC 8259. kJsonb: what AppendCanonicalJsonb takes; in a string no \u0000 and no half of a
// surrogate pair, numbers within numeric's limits.
enum class JsonRules { kJson, kJsonb };

struct JsonFault {
  size_t offset = 0;  // number of bytes before the fault
  std::string reason;
};

// The first place where `json` breaks a rule; none if it is JSON. REQUIRES: valid UTF-8.
std::optional<JsonFault> FindJsonFault(std::string_view json, JsonRules rules);

// Appends the canonical text of `json`. On error, `out` is unchanged.
absl::Status AppendCanonicalJsonb(std::string_view json, std::string* out);

// Appends `text` as a JSON string with its quotes.
void AppendJsonString(std::string_view text, std::string* out);

}  // namespace millrace

#endif  // MILLRACE_COMMON_TYPES_JSONB_TEXT_H_
