// A physical plan as text for people. Pure.
#ifndef MILLRACE_PLAN_EXPLAIN_EXPLAIN_H_
#define MILLRACE_PLAN_EXPLAIN_EXPLAIN_H_

#include <string>

#include "proto/plan.pb.h"

namespace millrace::plan {

// One block per stage, those with sinks first; within a block, the operators from the last to the
// first.
std::string ExplainStages(const proto::JobPlan& plan);

}  // namespace millrace::plan

#endif  // MILLRACE_PLAN_EXPLAIN_EXPLAIN_H_
