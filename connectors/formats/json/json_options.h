// The options of format json, parsed. Plain values.
#ifndef MILLRACE_CONNECTORS_FORMATS_JSON_JSON_OPTIONS_H_
#define MILLRACE_CONNECTORS_FORMATS_JSON_JSON_OPTIONS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "connectors/shared/options.h"

namespace millrace {

// The names on the way to a value.
using JsonPath = std::vector<std::string>;

struct JsonOptions {
  bool raw_key = false;
  int64_t unit_us = 1000;       // microseconds per unit of a numeric timestamp
  std::vector<JsonPath> paths;  // one per column: its own name, or its option "path.<column>"
};

absl::StatusOr<JsonOptions> ParseJsonOptions(const OptionMap& options,
                                             const std::vector<std::string>& columns);

// Parses names with points between them. A name in double quotes may have any characters, and "" in
// it stands for one quote. INVALID_ARGUMENT for a path that looks like another notation: a[0], $.a,
// a..b.
absl::StatusOr<JsonPath> ParseJsonPath(std::string_view text);

// The text of a path, in the form that ParseJsonPath reads.
std::string JsonPathText(const JsonPath& path);

// INVALID_ARGUMENT if two columns would be written to the same place, or one inside another.
absl::Status CheckPathsApart(const std::vector<JsonPath>& paths,
                             const std::vector<std::string>& columns);

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_FORMATS_JSON_JSON_OPTIONS_H_
