// A physical plan as text for people. Pure.
#ifndef MILLRACE_DRIVER_SQL_PHYSICAL_EXPLAIN_H_
#define MILLRACE_DRIVER_SQL_PHYSICAL_EXPLAIN_H_

#include <string>

#include "proto/plan.pb.h"

namespace millrace {

// One block per stage, sinks first; in each, operators from where rows end up down to where they
// come from.
std::string ExplainStages(const proto::JobPlan& plan);

}  // namespace millrace

#endif  // MILLRACE_DRIVER_SQL_PHYSICAL_EXPLAIN_H_
