// The options of format json, parsed. Plain values.
#ifndef MILLRACE_CONNECTORS_FORMATS_JSON_OPTIONS_H_
#define MILLRACE_CONNECTORS_FORMATS_JSON_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "connectors/options.h"

namespace millrace {

struct JsonOptions {
  bool raw_key = false;
  int64_t unit_us = 1000;  // microseconds per unit of a numeric timestamp
};

// The names on the way to a column's value: its own name, or the parts of its option
// "path.<column>".
std::vector<std::string> JsonPath(const OptionMap& options, const std::string& column);

// Checks the paths of `columns` as well: they must be different, and none may lead through another.
absl::StatusOr<JsonOptions> ParseJsonOptions(const OptionMap& options,
                                             const std::vector<std::string>& columns);

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_FORMATS_JSON_OPTIONS_H_
