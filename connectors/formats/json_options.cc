#include "connectors/formats/json_options.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/status.h"

namespace millrace {

std::vector<std::string> JsonPath(const OptionMap& options, const std::string& column) {
  auto found = options.find("path." + column);
  if (found == options.end()) {
    return {column};
  }
  return absl::StrSplit(found->second, '.');
}

absl::StatusOr<JsonOptions> ParseJsonOptions(const OptionMap& options,
                                             const std::vector<std::string>& columns) {
  JsonOptions out;
  ASSIGN_OR_RETURN(std::string key_format,
                   ChoiceOption(options, "key.format", "json", {"json", "raw"}));
  out.raw_key = key_format == "raw";
  ASSIGN_OR_RETURN(std::string unit,
                   ChoiceOption(options, "timestamp_unit", "ms", {"s", "ms", "us"}));
  out.unit_us = unit == "s" ? 1000000 : unit == "ms" ? 1000 : 1;
  for (const auto& [name, value] : options) {
    if (name.rfind("path.", 0) != 0) {
      continue;
    }
    std::string column = name.substr(5);
    if (std::find(columns.begin(), columns.end(), column) == columns.end()) {
      return absl::InvalidArgumentError(absl::StrCat("option ", name,
                                                     ": the table has no column \"", column,
                                                     "\"; it has: ", absl::StrJoin(columns, ", ")));
    }
    std::vector<std::string> path = JsonPath(options, column);
    if (std::find(path.begin(), path.end(), "") != path.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("option ", name, " = '", value,
                       "': allowed are names with a point between, such as 'a.b'"));
    }
  }
  std::vector<std::vector<std::string>> paths;
  paths.reserve(columns.size());
  for (const std::string& column : columns) {
    paths.push_back(JsonPath(options, column));
  }
  for (size_t a = 0; a < paths.size(); ++a) {
    for (size_t b = 0; b < paths.size(); ++b) {
      size_t common = std::min(paths[a].size(), paths[b].size());
      if (a != b && paths[a].size() <= paths[b].size() &&
          std::equal(paths[a].begin(), paths[a].begin() + common, paths[b].begin())) {
        return absl::InvalidArgumentError(
            absl::StrCat("columns ", columns[a], " and ", columns[b], " have the paths ",
                         absl::StrJoin(paths[a], "."), " and ", absl::StrJoin(paths[b], "."),
                         "; one leads through the other"));
      }
    }
  }
  return out;
}

}  // namespace millrace
