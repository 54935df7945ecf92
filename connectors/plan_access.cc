#include "connectors/plan_access.h"

#include <string_view>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace {
namespace {

// `path_option` as in the traits of the table's connector.
template <typename Table>
absl::Status CheckTable(const AccessPolicy& access, const Table& table,
                        std::string_view path_option, std::string_view kind) {
  for (const auto& [name, value] : table.options()) {
    absl::Status allowed = access.CheckSecrets(value);
    if (allowed.ok() && !path_option.empty() && name == path_option) {
      allowed = access.CheckPath(value);
    }
    RETURN_IF_ERROR(
        Annotate(allowed, absl::StrCat(ToAbsl(kind), " table \"", table.table(), "\"")));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckPlanAccess(const ConnectorRegistry& connectors, const proto::JobPlan& plan) {
  for (const proto::Source& source : plan.sources()) {
    const auto connector = connectors.Source(source.connector());
    RETURN_IF_ERROR(CheckTable(
        connectors.access(), source,
        connector.ok() ? (*connector)->Traits(source).path_option : std::string_view(), "source"));
  }
  for (const proto::Sink& sink : plan.sinks()) {
    const auto connector = connectors.Sink(sink.connector());
    RETURN_IF_ERROR(CheckTable(
        connectors.access(), sink,
        connector.ok() ? (*connector)->traits().path_option : std::string_view(), "sink"));
  }
  return absl::OkStatus();
}

}  // namespace millrace
