#include "tests/logic/slt_runner.h"

#include <algorithm>
#include <fstream>
#include <regex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/columnar/batch_codec.h"
#include "common/types/text_format.h"

namespace millrace {
namespace {

// As COPY … TO writes a value in its text format.
std::string CopyText(const Column& column, size_t row) {
  if (column.IsNull(row)) {
    return "\\N";
  }
  return absl::StrReplaceAll(ValueToString(column, row),
                             {{"\\", "\\\\"}, {"\n", "\\n"}, {"\t", "\\t"}, {"\r", "\\r"}});
}

absl::Status AddRows(const proto::BatchResults& results, WeightedRows* rows) {
  for (const auto& table : results.tables()) {
    ASSIGN_OR_RETURN(const Batch batch, DecodeBatch(table.rows()));
    batch.rows().ForEach([&](uint32_t row) {
      std::string text;
      for (size_t c = 0; c < batch.column_count(); ++c) {
        absl::StrAppend(&text, c == 0 ? "" : "\t", CopyText(*batch.column(c), row));
      }
      (*rows)[text] += batch.weight(row);
    });
  }
  return absl::OkStatus();
}

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

absl::StatusOr<WeightedRows> RunJob(LocalEngine& engine, const std::string& script) {
  proto::SubmitRequest request;
  request.set_sql(script);
  request.set_once(true);
  ASSIGN_OR_RETURN(const proto::SubmitResponse job, engine.client().Submit(request));
  proto::ResultsRequest follow;
  follow.set_name(job.name());
  follow.set_follow(true);
  WeightedRows rows;
  absl::Status outcome = absl::UnknownError("the results ended before the job did");
  absl::Status read;
  RETURN_IF_ERROR(engine.client().Results(follow, [&](const proto::BatchResults& results) {
    read = AddRows(results, &rows);
    if (results.phase() == proto::PHASE_FINISHED) {
      outcome = absl::OkStatus();
    } else if (results.phase() != proto::PHASE_UNKNOWN && results.phase() > proto::PHASE_DRAINING) {
      outcome = absl::AbortedError(results.message());
    }
    return read.ok();
  }));
  RETURN_IF_ERROR(read);
  RETURN_IF_ERROR(outcome);
  return rows;
}

SltRunner::SltRunner(LocalEngine* engine, const SltFile* file, std::string directory)
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
  ASSIGN_OR_RETURN(const WeightedRows weighted, RunJob(*engine_, script));
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
  const std::string head = absl::StrCat(Prelude(query), "CREATE TABLE slt_result ", columns,
                                        " WITH (connector = 'print');\nINSERT INTO slt_result\n");
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
  const int first_line = static_cast<int>(std::count(head.begin(), head.end(), '\n')) + 1;
  return ExpectError(query, WithLinesFrom(std::string(rows.status().message()), first_line));
}

}  // namespace millrace
