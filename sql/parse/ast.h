// Helpers that read libpg_query's parse tree. Pure functions.
#ifndef MILLRACE_SQL_PARSE_AST_H_
#define MILLRACE_SQL_PARSE_AST_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/types/sql_type.h"
#include "third_party/pg_query.pb.h"

namespace millrace::sql {

using PgNodes = google::protobuf::RepeatedPtrField<pg_query::Node>;

// The node's position in the script: its own location, else the first of its parts'; −1 if none has
// one.
int32_t LocationOf(const google::protobuf::Message& node);

// The strings of a list of String nodes (names, column references); other nodes are left out.
std::vector<std::string> StringsOf(const PgNodes& nodes);

// The last part of a name; an error for a schema other than pg_catalog. `what` names the kind of
// thing in the error: "function".
absl::StatusOr<std::string> UnqualifiedName(const PgNodes& names, const std::string& what,
                                            int32_t position);

// The name of a table or view; an error for qualified names.
absl::StatusOr<std::string> RelationName(const pg_query::RangeVar& relation);

// A constant of any kind as text, for options and settings; nothing for other nodes.
bool ConstantText(const pg_query::Node& node, std::string* text);

// A type as written. `interval_fields`, if given, receives the unit of interval '10' second
// ("second"); without it such a type is refused.
absl::StatusOr<SqlType> BindTypeName(const pg_query::TypeName& name,
                                     std::string* interval_field = nullptr);

// The name of an unsupported node's construct in messages: "SubLink" → "a subquery in an
// expression".
std::string ConstructName(const pg_query::Node& node);

// "<construct> is not supported yet" at `position`.
absl::Status Unsupported(const std::string& construct, int32_t position);

}  // namespace millrace::sql

#endif  // MILLRACE_SQL_PARSE_AST_H_
