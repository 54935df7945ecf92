// The options of format json, parsed. Plain values.
#ifndef MILLRACE_CONNECTORS_FORMATS_JSON_OPTIONS_H_
#define MILLRACE_CONNECTORS_FORMATS_JSON_OPTIONS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "connectors/options.h"

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

// Names with points between; one in double quotes, "" within standing for one, may hold anything.
// INVALID_ARGUMENT for a path that reads like another notation: a[0], $.a, a..b.
absl::StatusOr<JsonPath> ParseJsonPath(std::string_view text);

// The path as ParseJsonPath reads it.
std::string JsonPathText(const JsonPath& path);

// INVALID_ARGUMENT if two of the columns would be written to one place, or one into another.
absl::Status CheckPathsApart(const std::vector<JsonPath>& paths,
                             const std::vector<std::string>& columns);

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_FORMATS_JSON_OPTIONS_H_
