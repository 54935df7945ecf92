#include "connectors/plan_access.h"

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace {
namespace {

template <typename Tables>
absl::Status CheckTables(const AccessPolicy& access, const Tables& tables, const char* kind) {
  for (const auto& table : tables) {
    for (const auto& [name, value] : table.options()) {
      absl::Status allowed = access.CheckSecrets(value);
      if (allowed.ok() && table.connector() == "file" && name == "path") {
        allowed = access.CheckPath(value);
      }
      RETURN_IF_ERROR(Annotate(allowed, absl::StrCat(kind, " table \"", table.table(), "\"")));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckPlanAccess(const AccessPolicy& access, const proto::JobPlan& plan) {
  RETURN_IF_ERROR(CheckTables(access, plan.sources(), "source"));
  return CheckTables(access, plan.sinks(), "sink");
}

}  // namespace millrace
