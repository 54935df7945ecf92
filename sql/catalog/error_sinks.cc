#include "sql/catalog/error_sinks.h"

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "connectors/error_table.h"
#include "plan/logical/sql_error.h"
#include "sql/catalog/create_table.h"

namespace millrace::sql {
namespace {

absl::StatusOr<proto::Sink> BindErrorSink(const TableDefinition& source, const Catalog& catalog,
                                          const ConnectorRegistry& connectors) {
  const int32_t position = source.option_positions.at("on_error");
  const std::string& name = source.error_table;
  if (name == source.name) {
    return plan::ErrorAt(position,
                         absl::StrCat("table \"", name,
                                      "\" cannot take its own failed records: it would read "
                                      "them again"));
  }
  ASSIGN_OR_RETURN(const Catalog::Entry entry, catalog.Find(name, position));
  if (entry.table == nullptr) {
    return plan::ErrorAt(position, absl::StrCat("\"", name, "\" is a view and cannot be written"));
  }
  if (const auto connector = connectors.Sink(entry.table->connector); !connector.ok()) {
    return plan::ErrorAt(
        position,
        absl::StrCat("table \"", name, "\" cannot be written: ", connector.status().message()));
  }
  proto::Sink sink = MakeSink(*entry.table);
  sink.set_mode(proto::SINK_APPEND);
  RETURN_IF_ERROR(plan::WithPosition(CheckErrorTable(sink), position));
  return sink;
}

}  // namespace

absl::Status AddErrorSinks(const Catalog& catalog, const ConnectorRegistry& connectors,
                           proto::JobPlan* plan) {
  std::map<std::string, uint32_t> sinks;
  for (proto::Source& source : *plan->mutable_sources()) {
    if (source.on_error() != proto::ON_ERROR_TABLE) {
      continue;
    }
    ASSIGN_OR_RETURN(const Catalog::Entry entry, catalog.Find(source.table(), -1));
    const auto [sink, first] =
        sinks.try_emplace(entry.table->error_table, static_cast<uint32_t>(plan->sinks_size()));
    // Bound again even if another source has bound it already: errors must be about this source's
    // option.
    ASSIGN_OR_RETURN(proto::Sink bound, BindErrorSink(*entry.table, catalog, connectors));
    if (first) {
      *plan->add_sinks() = std::move(bound);
    }
    source.set_error_sink(sink->second);
  }
  return absl::OkStatus();
}

}  // namespace millrace::sql
