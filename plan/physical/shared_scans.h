// Makes all scans of one table read the same columns, so that one source and one stage serve them
// all. Pure.
#ifndef MILLRACE_PLAN_PHYSICAL_SHARED_SCANS_H_
#define MILLRACE_PLAN_PHYSICAL_SHARED_SCANS_H_

#include "plan/logical/logical_plan.h"

namespace millrace::plan {

// Every scan's columns become the union over the job for its table: declared ones in their order,
// then metadata columns.
void ShareScans(LogicalJob* job);

}  // namespace millrace::plan

#endif  // MILLRACE_PLAN_PHYSICAL_SHARED_SCANS_H_
