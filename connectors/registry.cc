#include "connectors/registry.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/check.h"
#include "common/base/status.h"

namespace millrace {
namespace {

template <typename Map>
absl::Status NoSuch(std::string_view kind, std::string_view name, const Map& map) {
  std::vector<std::string> names;
  names.reserve(map.size());
  for (const auto& entry : map) {
    names.push_back(entry.first);
  }
  return absl::NotFoundError(absl::StrCat("no ", ToAbsl(kind), " \"", ToAbsl(name),
                                          "\"; there are: ", absl::StrJoin(names, ", ")));
}

}  // namespace

void ConnectorRegistry::AddSource(std::string name, std::unique_ptr<SourceConnector> connector) {
  bool added = sources_.emplace(name, std::move(connector)).second;
  MILLRACE_CHECK(added) << "source connector " << name << " registered twice";
}

void ConnectorRegistry::AddSink(std::string name, std::unique_ptr<SinkConnector> connector) {
  bool added = sinks_.emplace(name, std::move(connector)).second;
  MILLRACE_CHECK(added) << "sink connector " << name << " registered twice";
}

void ConnectorRegistry::AddFormat(std::unique_ptr<Format> format) {
  std::string name = format->name();
  bool added = formats_.emplace(name, std::move(format)).second;
  MILLRACE_CHECK(added) << "format " << name << " registered twice";
}

absl::StatusOr<const SourceConnector*> ConnectorRegistry::Source(std::string_view name) const {
  auto found = sources_.find(name);
  if (found == sources_.end()) {
    return NoSuch("source connector", name, sources_);
  }
  return found->second.get();
}

absl::StatusOr<const SinkConnector*> ConnectorRegistry::Sink(std::string_view name) const {
  auto found = sinks_.find(name);
  if (found == sinks_.end()) {
    return NoSuch("sink connector", name, sinks_);
  }
  return found->second.get();
}

absl::StatusOr<const Format*> ConnectorRegistry::FindFormat(std::string_view name) const {
  auto found = formats_.find(name);
  if (found == formats_.end()) {
    return NoSuch("format", name, formats_);
  }
  return found->second.get();
}

bool ConnectorRegistry::ShowsRows(const proto::JobPlan& plan) const {
  return std::any_of(plan.sinks().begin(), plan.sinks().end(), [this](const proto::Sink& sink) {
    const auto connector = Sink(sink.connector());
    return connector.ok() && (*connector)->traits().gathered;
  });
}

}  // namespace millrace
