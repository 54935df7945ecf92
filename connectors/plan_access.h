// Checks what a plan wants to reach, where it enters a process: at a driver when its script is
// submitted, at an executor when its epoch begins.
#ifndef MILLRACE_CONNECTORS_PLAN_ACCESS_H_
#define MILLRACE_CONNECTORS_PLAN_ACCESS_H_

#include "absl/status/status.h"
#include "connectors/registry.h"
#include "proto/plan.pb.h"

namespace millrace {

// PERMISSION_DENIED names the table whose path or secret the policy of the registry does not allow.
// What is found only later, such as files that match a pattern, connectors check when they open it.
// A table without a connector here reaches nothing; only its secrets are checked.
absl::Status CheckPlanAccess(const ConnectorRegistry& connectors, const proto::JobPlan& plan);

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_PLAN_ACCESS_H_
