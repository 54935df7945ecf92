#include "connectors/formats/json/json_options.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "common/base/status.h"

namespace millrace {
namespace {

// Removes the quoted name that `text` begins with, and returns it.
std::optional<std::string> TakeQuotedName(std::string_view* text) {
  std::string name;
  for (size_t at = 1; at < text->size(); ++at) {
    if ((*text)[at] != '"') {
      name.push_back((*text)[at]);
    } else if (at + 1 < text->size() && (*text)[at + 1] == '"') {
      name.push_back('"');
      ++at;
    } else {
      text->remove_prefix(at + 1);
      return name;
    }
  }
  return std::nullopt;
}

bool NeedsQuotes(std::string_view name) {
  return name.empty() || name == "$" || name.find_first_of(".\"[]*") != std::string_view::npos ||
         name.find_first_not_of("0123456789") == std::string_view::npos;
}

std::optional<std::string> TakePlainName(std::string_view* text) {
  std::string name(text->substr(0, text->find('.')));
  text->remove_prefix(name.size());
  return NeedsQuotes(name) ? std::nullopt : std::make_optional(std::move(name));
}

}  // namespace

absl::StatusOr<JsonPath> ParseJsonPath(std::string_view text) {
  JsonPath path;
  std::string_view rest = text;
  while (true) {
    std::optional<std::string> name =
        rest.starts_with('"') ? TakeQuotedName(&rest) : TakePlainName(&rest);
    if (!name.has_value() || (!rest.empty() && rest[0] != '.')) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", ToAbsl(text),
                       "' is no path: allowed are names with points between, such as 'a.b'; a name "
                       "that is a number or holds . \" [ ] or * stands in double quotes, such as "
                       "'\"a.b\".c'; elements of arrays have no path"));
    }
    path.push_back(*std::move(name));
    if (rest.empty()) {
      return path;
    }
    rest.remove_prefix(1);
  }
}

std::string JsonPathText(const JsonPath& path) {
  return absl::StrJoin(path, ".", [](std::string* out, const std::string& name) {
    if (NeedsQuotes(name)) {
      absl::StrAppend(out, "\"", absl::StrReplaceAll(name, {{"\"", "\"\""}}), "\"");
    } else {
      out->append(name);
    }
  });
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
  for (const std::string& column : columns) {
    out.paths.push_back({column});
  }
  for (const auto& [name, value] : options) {
    if (name.rfind("path.", 0) != 0) {
      continue;
    }
    std::string column = name.substr(5);
    auto found = std::find(columns.begin(), columns.end(), column);
    if (found == columns.end()) {
      return absl::InvalidArgumentError(absl::StrCat("option ", name,
                                                     ": the table has no column \"", column,
                                                     "\"; it has: ", absl::StrJoin(columns, ", ")));
    }
    absl::StatusOr<JsonPath> path = ParseJsonPath(value);
    if (!path.ok()) {
      return Annotate(path.status(), absl::StrCat("option ", name));
    }
    out.paths[static_cast<size_t>(found - columns.begin())] = *std::move(path);
  }
  return out;
}

absl::Status CheckPathsApart(const std::vector<JsonPath>& paths,
                             const std::vector<std::string>& columns) {
  for (size_t a = 0; a < paths.size(); ++a) {
    for (size_t b = 0; b < paths.size(); ++b) {
      if (a != b && paths[a].size() <= paths[b].size() &&
          std::equal(paths[a].begin(), paths[a].end(), paths[b].begin())) {
        return absl::InvalidArgumentError(absl::StrCat(
            "columns ", columns[a], " and ", columns[b], " have the paths ", JsonPathText(paths[a]),
            " and ", JsonPathText(paths[b]), "; one leads through the other"));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace millrace
