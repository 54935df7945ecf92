// The text of a script, as Jobs.Submit and Jobs.Explain get it.
#include "common/expr/function_registry.h"
#include "connectors/all.h"
#include "sql/planner.h"
#include "tests/fuzz/targets.h"

namespace millrace {

void FuzzSql(std::string_view bytes) {
  static const ConnectorRegistry& connectors = *BuiltInConnectors().release();
  sql::PlanOptions options;
  options.connectors = &connectors;
  options.functions = &FunctionRegistry::BuiltIn();
  const absl::StatusOr<sql::PlannedScript> script = sql::PlanScript(bytes, options);
  if (script.ok()) {
    sql::ExplainPlan(script->plan);
  }
}

std::vector<std::string> SqlSeeds() {
  const std::string tables =
      "CREATE TABLE i (w text, n numeric(5,2), t timestamptz, j jsonb) WITH (connector = 'memory',"
      " \"table\" = 'i');\nCREATE TABLE o (w text, c bigint) WITH (connector = 'print');\n";
  return {tables + "INSERT INTO o SELECT w, count(*) FROM i WHERE n > 1.5 GROUP BY w;",
          tables + "INSERT INTO o SELECT x, 1 FROM i, regexp_split_to_table(w, '\\s+') AS x;",
          tables +
              "EXPLAIN INSERT INTO o SELECT j->>'a', CASE WHEN t IS NULL THEN 1 ELSE 2 END"
              " FROM i;",
          tables + "INSERT INTO o SELECT DISTINCT w, n::bigint FROM i ORDER BY 1;",
          "SET batch_duration = '2 s'; CREATE VIEW v AS SELECT 1;"};
}

}  // namespace millrace
