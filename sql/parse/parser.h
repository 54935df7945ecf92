// PostgreSQL's own parser (libpg_query) behind a C++ face: text in, its parse tree as messages out,
// cut into statements. Thread-safe.
#ifndef MILLRACE_SQL_PARSE_PARSER_H_
#define MILLRACE_SQL_PARSE_PARSER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "sql/parse/source_text.h"
#include "third_party/pg_query.pb.h"

namespace millrace::sql {

// One statement of a script: bytes [begin, end) of its text without the semicolon. Positions in
// `node` are offsets into the whole script.
struct ParsedStatement {
  int32_t begin = 0;
  int32_t end = 0;
  const pg_query::Node* node = nullptr;  // owned by the ParsedScript
};

struct ParsedScript {
  std::unique_ptr<pg_query::ParseResult> tree;
  std::vector<ParsedStatement> statements;
};

// Syntax errors are INVALID_ARGUMENT with a position.
absl::StatusOr<ParsedScript> ParseScript(const SourceText& source);

}  // namespace millrace::sql

#endif  // MILLRACE_SQL_PARSE_PARSER_H_
