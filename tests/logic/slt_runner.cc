#include "tests/logic/slt_runner.h"

#include <algorithm>
#include <fstream>
#include <regex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "connectors/memory/memory_tables.h"
#include "tests/harness/job_results.h"

namespace millrace {
namespace {

constexpr char kResultTable[] = "slt_result";

// Positions in messages count from the script's start; the file's from the query's.
std::string WithLinesFrom(const std::string& message, int first_line) {
  static const std::regex kLine("line (\\d+)");
  std::string result;
  std::string rest = message;
  for (std::smatch match; std::regex_search(rest, match, kLine);) {
    absl::StrAppend(&result, match.prefix().str(), "line ", std::stoi(match[1]) - first_line + 1);
    rest = match.suffix();
  }
  return result + rest;
}

// std::regex has no (?i).
absl::Status ExpectError(const SltQuery& query, const std::string& message) {
  std::string pattern = query.error;
  auto flags = std::regex::ECMAScript;
  if (pattern.rfind("(?i)", 0) == 0) {
    pattern.erase(0, 4);
    flags |= std::regex::icase;
  }
  if (std::regex_search(message, std::regex(pattern, flags))) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("failed with another error than /", query.error, "/:\n", message));
}

absl::Status Compare(const std::vector<std::string>& expected,
                     const std::vector<std::string>& actual) {
  if (expected == actual) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("expected\n", absl::StrJoin(expected, "\n"),
                                                 "\n---- but got\n", absl::StrJoin(actual, "\n")));
}

}  // namespace

SltRunner::SltRunner(client::LocalEngine* engine, const SltFile* file, std::string directory)
    : engine_(engine), file_(file), directory_(std::move(directory)) {
  for (const SltTable& table : file_->tables) {
    std::ofstream csv(absl::StrCat(directory_, "/", table.name, ".csv"));
    csv << table.csv;
    MILLRACE_CHECK(csv.flush().good()) << directory_;
  }
}

std::string SltRunner::Prelude(const SltQuery& query) const {
  std::string script = "SET batch_duration = '0';\n";
  for (size_t i = 0; i < query.tables; ++i) {
    const SltTable& table = file_->tables[i];
    absl::StrAppend(&script, "CREATE TABLE ", table.name, " ", table.columns,
                    " WITH (connector = 'file', path = '", directory_, "/", table.name,
                    ".csv', format = 'csv');\n");
  }
  for (size_t i = 0; i < query.statements; ++i) {
    absl::StrAppend(&script, file_->statements[i], ";\n");
  }
  return script;
}

absl::StatusOr<std::vector<std::string>> SltRunner::RowsOf(const std::string& script) {
  memory::MemoryTables::Global().Drop(kResultTable);
  const auto result = memory::MemoryTables::Global().Table(kResultTable);
  RETURN_IF_ERROR(RunJob(*engine_, script).status());
  WeightedRows weighted;
  for (const memory::MemoryTable::Committed& committed : result->committed()) {
    AddBatch(committed.rows, &weighted);
  }
  std::vector<std::string> rows;
  for (const auto& [text, weight] : weighted) {
    if (weight < 0) {
      return absl::InternalError(absl::StrCat("weight ", weight, " of ", text));
    }
    rows.insert(rows.end(), static_cast<size_t>(weight), text);
  }
  return rows;
}

absl::Status SltRunner::Run(const SltQuery& query) {
  const std::string columns = query.refused ? "(result int)" : query.columns;
  const std::string head =
      absl::StrCat(Prelude(query), "CREATE TABLE ", kResultTable, " ", columns,
                   " WITH (connector = 'memory');\nINSERT INTO ", kResultTable, "\n");
  const auto rows = RowsOf(absl::StrCat(head, query.sql, ";\n"));
  if (query.error.empty()) {
    return rows.ok() ? Compare(query.rows, *rows) : rows.status();
  }
  if (rows.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("did not fail; /", query.error, "/ was expected"));
  }
  if (query.refused && !absl::IsInvalidArgument(rows.status())) {
    return absl::InvalidArgumentError(
        absl::StrCat("was accepted, then failed: ", rows.status().message()));
  }
  std::string message(rows.status().message());
  if (query.refused) {
    message.erase(
        std::min(message.find('\n'), message.size()));  // the lines below quote the query itself
  }
  const int first_line = static_cast<int>(std::count(head.begin(), head.end(), '\n')) + 1;
  return ExpectError(query, WithLinesFrom(message, first_line));
}

}  // namespace millrace
