// Turns the NAME of on_error = 'table:NAME' into a sink of the plan. Pure.
#ifndef MILLRACE_SQL_CATALOG_ERROR_SINKS_H_
#define MILLRACE_SQL_CATALOG_ERROR_SINKS_H_

#include "absl/status/status.h"
#include "connectors/registry.h"
#include "proto/plan.pb.h"
#include "sql/catalog/catalog.h"

namespace millrace::sql {

// Adds a sink for every source of the plan that writes its failed records to a table, behind the
// sinks of the INSERTs. Sources that name the same table share a sink; an INSERT into that table
// has one of its own. INVALID_ARGUMENT at the option if its table cannot take failed records.
absl::Status AddErrorSinks(const Catalog& catalog, const ConnectorRegistry& connectors,
                           proto::JobPlan* plan);

}  // namespace millrace::sql

#endif  // MILLRACE_SQL_CATALOG_ERROR_SINKS_H_
