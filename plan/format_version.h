// The version of plans (proto::JobPlan) that this engine writes, and the newest that it reads.
#ifndef MILLRACE_PLAN_FORMAT_VERSION_H_
#define MILLRACE_PLAN_FORMAT_VERSION_H_

#include <cstdint>

namespace millrace::plan {

inline constexpr uint32_t kPlanFormatVersion = 1;

}  // namespace millrace::plan

#endif  // MILLRACE_PLAN_FORMAT_VERSION_H_
