// Plans for tests that are not about building them.
#ifndef MILLRACE_PLAN_BUILDER_TESTING_MUST_BUILD_H_
#define MILLRACE_PLAN_BUILDER_TESTING_MUST_BUILD_H_

#include <utility>

#include "absl/status/statusor.h"
#include "common/base/check.h"
#include "plan/builder/plan_builder.h"
#include "proto/plan.pb.h"

namespace millrace::plan {

// The builder's plan. One that is wrong ends the program with what is wrong: no test can go on.
inline proto::JobPlan MustBuild(const PlanBuilder& builder) {
  absl::StatusOr<proto::JobPlan> plan = builder.Build();
  MILLRACE_CHECK(plan.ok()) << plan.status();
  return *std::move(plan);
}

}  // namespace millrace::plan

#endif  // MILLRACE_PLAN_BUILDER_TESTING_MUST_BUILD_H_
