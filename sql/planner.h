// The SQL front end: the text of a job's script in, its physical plan out. Parses with PostgreSQL's
// own parser, binds names and types, rewrites, cuts the result into stages. Pure: no I/O beyond
// what connectors' Validate does (none). Thread-safe: each call works on its own data.
#ifndef MILLRACE_SQL_PLANNER_H_
#define MILLRACE_SQL_PLANNER_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/expr/function_registry.h"
#include "connectors/registry.h"
#include "proto/plan.pb.h"

namespace millrace::sql {

struct PlanOptions {
  // Settings from outside of the script (--set name=value); they win over the script's SET.
  std::map<std::string, std::string> settings;
  // Both must outlive the call; neither may be null.
  const ConnectorRegistry* connectors = nullptr;
  const FunctionRegistry* functions = nullptr;
};

struct PlannedScript {
  // A job of all INSERTs of the script. With explain_only: the explained statements, for display.
  proto::JobPlan plan;
  // What a person should know and is not an error, one line each.
  std::vector<std::string> notices;
  // The script had EXPLAIN: nothing is to be run, `explain_text` is the answer.
  bool explain_only = false;
  std::string explain_text;
};

// Plans a script. plan.parallelism stays 0 unless set: the driver fills it in at submission.
// INVALID_ARGUMENT for every mistake in the script, its message ready for a person (several lines):
//   line 3, column 8: column "wrd" does not exist; did you mean "word"?
//     SELECT wrd, count(*)
//            ^
absl::StatusOr<PlannedScript> PlanScript(std::string_view sql, const PlanOptions& options);

// The plan as a tree for people: stages from sinks down to sources, exchanges with their keys,
// expressions as SQL.
std::string ExplainPlan(const proto::JobPlan& plan);

}  // namespace millrace::sql

#endif  // MILLRACE_SQL_PLANNER_H_
