// The .slt files of tests/logic/cases: SQL, and what PostgreSQL answered (refresh_from_postgres.py
// writes the answers). A file is paragraphs, separated by blank lines; lines that begin with # in
// front of one are comments.
//
//   table NAME (COLUMNS)
//       the lines that follow are its rows, as CSV
//   statement ok
//       a statement that later queries build on (CREATE VIEW)
//   statement error REGEX
//       a query that must be refused, its position counted from the query's own first line
//   query (COLUMNS)
//       a query, ----, and its rows in the text form of COPY, sorted
//   query (COLUMNS) error REGEX
//       a query that is accepted and must fail on its rows
//
// Plain values, pure functions.
#ifndef MILLRACE_TESTS_LOGIC_SLT_FILE_H_
#define MILLRACE_TESTS_LOGIC_SLT_FILE_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace millrace {

struct SltTable {
  std::string name;
  std::string columns;  // "(a int, b text)"
  std::string csv;      // its rows
};

struct SltQuery {
  int line = 0;  // of its head in the file
  std::string sql;
  std::string columns;   // of the result: "(a int)"; empty for a refusal
  std::string error;     // regular expression; empty: it must work
  bool refused = false;  // fails before it runs
  std::vector<std::string> rows;
  // What stood before it in the file.
  size_t tables = 0;
  size_t statements = 0;
};

struct SltFile {
  std::vector<SltTable> tables;
  std::vector<std::string> statements;
  std::vector<SltQuery> queries;
};

// INVALID_ARGUMENT names the line that is not understood.
absl::StatusOr<SltFile> ParseSlt(std::string_view text);

}  // namespace millrace

#endif  // MILLRACE_TESTS_LOGIC_SLT_FILE_H_
