// Connectors for planner tests: they have columns and check options, and nothing outside.
#ifndef MILLRACE_SQL_TESTING_FAKE_CONNECTORS_H_
#define MILLRACE_SQL_TESTING_FAKE_CONNECTORS_H_

#include <memory>

#include "connectors/registry.h"

namespace millrace::sql {

// kafka (source and upsert sink with hidden columns; wants option topic), file (source and sink of
// inserts), print (sink of changes); formats raw and json.
std::unique_ptr<ConnectorRegistry> MakeFakeConnectors();

}  // namespace millrace::sql

#endif  // MILLRACE_SQL_TESTING_FAKE_CONNECTORS_H_
