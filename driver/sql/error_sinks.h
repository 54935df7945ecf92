// on_error = 'table:NAME': from the name to a sink of the plan. Pure.
#ifndef MILLRACE_DRIVER_SQL_ERROR_SINKS_H_
#define MILLRACE_DRIVER_SQL_ERROR_SINKS_H_

#include "absl/status/status.h"
#include "connectors/registry.h"
#include "driver/sql/catalog.h"
#include "proto/plan.pb.h"

namespace millrace {

// Gives every source of the plan that sets failed records aside its sink, behind those of the
// INSERTs. Sources that name one table share its sink; an INSERT into the table has another one.
// INVALID_ARGUMENT at the option when its table cannot take them.
absl::Status AddErrorSinks(const Catalog& catalog, const ConnectorRegistry& connectors,
                           proto::JobPlan* plan);

}  // namespace millrace

#endif  // MILLRACE_DRIVER_SQL_ERROR_SINKS_H_
