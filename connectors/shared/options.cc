#include "connectors/shared/options.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/storage/file_location.h"

namespace millrace {
namespace {

// Options that the engine reads, whatever the connector.
const char* const kEngineOptions[] = {"connector", "format",    "on_error",
                                      "late",      "watermark", "emit"};

// Levenshtein distance.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) {
    row[j] = j;
  }
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t substituted = diagonal + (std::tolower(a[i - 1]) == std::tolower(b[j - 1]) ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

bool Matches(std::string_view name, const std::string& allowed) {
  size_t placeholder = allowed.find('<');
  if (placeholder == std::string::npos) {
    return name == allowed;
  }
  return name.size() > placeholder &&
         name.substr(0, placeholder) == std::string_view(allowed).substr(0, placeholder);
}

absl::Status BadValue(std::string_view name, std::string_view value, std::string_view allowed) {
  return absl::InvalidArgumentError(absl::StrCat("option ", ToAbsl(name), " = '", ToAbsl(value),
                                                 "': allowed is ", ToAbsl(allowed)));
}

}  // namespace

std::vector<std::string> NearNames(std::string_view name,
                                   const std::vector<std::string>& candidates, size_t limit) {
  std::vector<std::pair<size_t, std::string>> scored;
  for (const std::string& candidate : candidates) {
    size_t distance = EditDistance(name, candidate);
    bool contains = name.size() >= 3 && candidate.size() >= 3 &&
                    (candidate.find(name) != std::string::npos ||
                     name.find(candidate) != std::string_view::npos);
    if (distance <= std::max<size_t>(2, name.size() / 3) || contains) {
      scored.emplace_back(distance, candidate);
    }
  }
  std::sort(scored.begin(), scored.end());
  std::vector<std::string> near;
  for (size_t i = 0; i < scored.size() && i < limit; ++i) {
    near.push_back(std::move(scored[i].second));
  }
  return near;
}

absl::Status CheckOptionNames(const OptionMap& options, std::string_view connector,
                              const std::vector<std::string>& allowed) {
  std::vector<std::string> names;  // sorted, so that the same script always gives the same message
  for (const auto& [name, value] : options) {
    names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    if (std::find(std::begin(kEngineOptions), std::end(kEngineOptions), name) !=
            std::end(kEngineOptions) ||
        std::any_of(allowed.begin(), allowed.end(),
                    [&](const std::string& one) { return Matches(name, one); })) {
      continue;
    }
    std::vector<std::string> near = NearNames(name, allowed);
    std::vector<std::string> sorted = allowed;
    std::sort(sorted.begin(), sorted.end());
    std::string message =
        absl::StrCat("connector ", ToAbsl(connector), " has no option \"", name, "\"");
    if (!near.empty()) {
      absl::StrAppend(&message, "; did you mean ", absl::StrJoin(near, ", "), "?");
    }
    absl::StrAppend(&message,
                    sorted.empty() ? "; it has none"
                    : near.empty() ? ". Allowed: "
                                   : " Allowed: ",
                    absl::StrJoin(sorted, ", "));
    return absl::InvalidArgumentError(message);
  }
  return absl::OkStatus();
}

std::string OptionOr(const OptionMap& options, std::string_view name, std::string_view fallback) {
  auto found = options.find(std::string(name));
  return found == options.end() ? std::string(fallback) : found->second;
}

absl::StatusOr<std::string> RequiredOption(const OptionMap& options, std::string_view connector,
                                           std::string_view name, std::string_view example) {
  auto found = options.find(std::string(name));
  if (found == options.end() || found->second.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("connector ", ToAbsl(connector),
                                                   " needs the option ", ToAbsl(name),
                                                   ", for example ", ToAbsl(example)));
  }
  return found->second;
}

absl::StatusOr<std::string> PathOption(const OptionMap& options, std::string_view connector,
                                       std::string_view name, std::string_view example) {
  ASSIGN_OR_RETURN(const std::string location, RequiredOption(options, connector, name, example));
  absl::StatusOr<std::string> path = PathOfLocation(location);
  return path.ok() ? std::move(path)
                   : absl::InvalidArgumentError(absl::StrCat(
                         "option ", ToAbsl(name), " = '", location, "': ", path.status().message(),
                         "; it takes a path or file:///path, for example ", ToAbsl(example)));
}

absl::StatusOr<int64_t> IntOption(const OptionMap& options, std::string_view name, int64_t fallback,
                                  int64_t min, int64_t max) {
  auto found = options.find(std::string(name));
  if (found == options.end()) {
    return fallback;
  }
  int64_t value = 0;
  if (!absl::SimpleAtoi(found->second, &value) || value < min || value > max) {
    return BadValue(name, found->second, absl::StrCat("an integer from ", min, " to ", max));
  }
  return value;
}

absl::StatusOr<double> DoubleOption(const OptionMap& options, std::string_view name,
                                    double fallback, double min, double max) {
  auto found = options.find(std::string(name));
  if (found == options.end()) {
    return fallback;
  }
  double value = 0;
  if (!absl::SimpleAtod(found->second, &value) || !std::isfinite(value) || value < min ||
      value > max) {
    return BadValue(name, found->second, absl::StrCat("a number from ", min, " to ", max));
  }
  return value;
}

absl::StatusOr<bool> BoolOption(const OptionMap& options, std::string_view name, bool fallback) {
  auto found = options.find(std::string(name));
  if (found == options.end()) {
    return fallback;
  }
  std::string text = absl::AsciiStrToLower(found->second);
  if (text == "true" || text == "on" || text == "yes" || text == "1") {
    return true;
  }
  if (text == "false" || text == "off" || text == "no" || text == "0") {
    return false;
  }
  return BadValue(name, found->second, "true or false");
}

absl::StatusOr<std::string> ChoiceOption(const OptionMap& options, std::string_view name,
                                         std::string_view fallback,
                                         const std::vector<std::string>& allowed) {
  std::string value = OptionOr(options, name, fallback);
  if (std::find(allowed.begin(), allowed.end(), value) == allowed.end()) {
    return BadValue(name, value, absl::StrCat("one of ", absl::StrJoin(allowed, ", ")));
  }
  return value;
}

absl::Status CheckSourceColumns(const proto::Source& source, const MetadataColumnList& metadata) {
  for (const proto::SourceColumn& column : source.columns()) {
    SqlType type = TypeFromProto(column.type());
    if (column.declared() >= 0) {
      if (column.declared() >= source.declared_size() ||
          !(type == TypeFromProto(source.declared(column.declared()).type()))) {
        return absl::InternalError(absl::StrCat("column ", column.name(), " of table ",
                                                source.table(),
                                                " does not match the table's declaration"));
      }
      continue;
    }
    auto found = std::find_if(metadata.begin(), metadata.end(),
                              [&](const auto& known) { return known.first == column.name(); });
    if (found == metadata.end()) {
      std::vector<std::string> names;
      for (const auto& known : metadata) {
        names.push_back(known.first);
      }
      return absl::InvalidArgumentError(absl::StrCat("connector ", source.connector(),
                                                     " has no metadata column ", column.name(),
                                                     "; it has: ", absl::StrJoin(names, ", ")));
    }
    if (!(type == found->second)) {
      return absl::InternalError(absl::StrCat("metadata column ", column.name(), " of table ",
                                              source.table(), " is ", found->second.ToString(),
                                              ", not ", type.ToString()));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSinkMode(const proto::Sink& sink, std::string_view connector,
                           const SinkTraits& traits) {
  if (sink.mode() == proto::SINK_UPSERT && !traits.accepts_upsert) {
    return absl::InvalidArgumentError(
        absl::StrCat("connector ", ToAbsl(connector), " of table ", sink.table(),
                     " cannot update rows by key: leave the PRIMARY KEY out"));
  }
  if (sink.mode() == proto::SINK_UPSERT && sink.key_columns().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("table ", sink.table(), " has no PRIMARY KEY to update rows by"));
  }
  if (sink.mode() == proto::SINK_CHANGES && !traits.accepts_changes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "connector ", ToAbsl(connector), " of table ", sink.table(),
        " takes inserts only, and the query also removes rows: give the table a PRIMARY KEY"));
  }
  for (uint32_t key : sink.key_columns()) {
    if (key >= static_cast<uint32_t>(sink.columns_size())) {
      return absl::InternalError(
          absl::StrCat("table ", sink.table(), " has no column ", key, " to be its key"));
    }
  }
  return absl::OkStatus();
}

}  // namespace millrace
