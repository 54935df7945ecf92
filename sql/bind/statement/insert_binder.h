// INSERT INTO sink [(columns)] SELECT …: turns the parse tree into a logical plan that gives
// exactly the sink's columns. Errors are INVALID_ARGUMENT with a position.
#ifndef MILLRACE_SQL_BIND_STATEMENT_INSERT_BINDER_H_
#define MILLRACE_SQL_BIND_STATEMENT_INSERT_BINDER_H_

#include "absl/status/statusor.h"
#include "connectors/registry.h"
#include "plan/logical/expr_builder.h"
#include "plan/logical/logical_plan.h"
#include "sql/catalog/catalog.h"
#include "sql/parse/source_text.h"
#include "third_party/pg_query.pb.h"

namespace millrace::sql {

// What statements are bound against. All must outlive it.
struct BindContext {
  const Catalog& catalog;
  const ConnectorRegistry& connectors;
  const plan::ExprBuilder& builder;
  const SourceText& source;
};

// `name` of the result is the sink's; the script makes it unique.
absl::StatusOr<plan::LogicalInsert> BindInsert(const pg_query::InsertStmt& insert, int32_t position,
                                               const BindContext& context);

// A SELECT on its own, for EXPLAIN: its rows go to a sink that is never run.
absl::StatusOr<plan::LogicalInsert> BindExplainedSelect(const pg_query::SelectStmt& select,
                                                        int32_t position,
                                                        const BindContext& context);

}  // namespace millrace::sql

#endif  // MILLRACE_SQL_BIND_STATEMENT_INSERT_BINDER_H_
