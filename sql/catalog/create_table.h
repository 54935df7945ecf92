// CREATE TABLE … WITH (connector = …): from the parse tree to a table of the catalog, and from
// there to the plan's sources and sinks. Pure functions; errors are INVALID_ARGUMENT with a
// position.
#ifndef MILLRACE_SQL_CATALOG_CREATE_TABLE_H_
#define MILLRACE_SQL_CATALOG_CREATE_TABLE_H_

#include "absl/status/statusor.h"
#include "connectors/registry.h"
#include "sql/catalog/catalog.h"
#include "sql/parse/source_text.h"
#include "third_party/pg_query.pb.h"

namespace millrace::sql {

absl::StatusOr<TableDefinition> BindCreateTable(const pg_query::CreateStmt& statement,
                                                const SourceText& source,
                                                const ConnectorRegistry& connectors);

// The table as a source, without the columns that are read.
proto::Source MakeSource(const TableDefinition& table);
// The table as a sink with its own columns; the physical planner sets mode and keyed.
proto::Sink MakeSink(const TableDefinition& table);

// The position for an error about the table's options: that of the option that the message names in
// quotes, else that of WITH.
int32_t OptionErrorPosition(const TableDefinition& table, std::string_view message);

}  // namespace millrace::sql

#endif  // MILLRACE_SQL_CATALOG_CREATE_TABLE_H_
