#include "connectors/session_groups.h"

#include <map>
#include <set>
#include <string>
#include <tuple>

namespace millrace {

std::vector<SinkGroup> GroupSinks(const proto::JobPlan& plan, const ConnectorRegistry& connectors) {
  std::set<uint32_t> of_failed_records;
  for (const proto::Source& source : plan.sources()) {
    if (source.on_error() == proto::ON_ERROR_TABLE) {
      of_failed_records.insert(source.error_sink());
    }
  }
  std::vector<SinkGroup> groups;
  std::map<std::tuple<std::string, std::string, bool>, size_t> shared;
  for (uint32_t sink = 0; sink < static_cast<uint32_t>(plan.sinks_size()); ++sink) {
    const proto::Sink& table = plan.sinks(static_cast<int>(sink));
    const auto connector = connectors.Sink(table.connector());
    if (!connector.ok() || (*connector)->traits().scope != SinkTraits::Scope::kExecutor) {
      continue;
    }
    const std::string key = (*connector)->SessionKey(table);
    if (!key.empty()) {
      const auto [group, added] = shared.try_emplace(
          {table.connector(), key, of_failed_records.contains(sink)}, groups.size());
      if (!added) {
        groups[group->second].push_back(sink);
        continue;
      }
    }
    groups.push_back({sink});
  }
  return groups;
}

}  // namespace millrace
