// Which sinks of a plan share sessions. Pure functions.
#ifndef MILLRACE_CONNECTORS_SESSION_GROUPS_H_
#define MILLRACE_CONNECTORS_SESSION_GROUPS_H_

#include <cstdint>
#include <vector>

#include "connectors/registry.h"
#include "proto/plan.pb.h"

namespace millrace {

// The sinks, ascending, that write through one session of each executor; the first names the group.
using SinkGroup = std::vector<uint32_t>;

// The groups of the plan's sinks whose connectors have scope kExecutor, ascending by their names.
// Sinks share a group if connector and SessionKey say so; not a table of failed records with
// another: it commits after the tables from which the rows come (SinkShard::TakeRefused). A sink
// without a connector here is in no group.
std::vector<SinkGroup> GroupSinks(const proto::JobPlan& plan, const ConnectorRegistry& connectors);

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_SESSION_GROUPS_H_
