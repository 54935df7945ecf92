#include "sql/parse/parser.h"

#include <pg_query.h>

#include <memory>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/base/utf8.h"
#include "google/protobuf/io/coded_stream.h"
#include "plan/logical/sql_error.h"

namespace millrace::sql {
namespace {

// How deeply messages may be nested; an expression takes two levels. Far more than a person writes,
// and far less than the stack holds.
constexpr int kMaxTreeDepth = 1000;

// How many tokens one expression may have outside of its lists. PostgreSQL's parser makes a level
// of the tree for each operator in a row (1 + 1 + …) and later walks the tree recursively: some
// 30,000 levels overflow its stack.
constexpr size_t kMaxTokensInARow = 10'000;

struct FreeScanResult {
  void operator()(PgQueryScanResult* result) const {
    pg_query_free_scan_result(*result);
    delete result;
  }
};

struct FreeParseResult {
  void operator()(PgQueryProtobufParseResult* result) const {
    pg_query_free_protobuf_parse_result(*result);
    delete result;
  }
};

// Checks the script before the parser sees it: on an expression that is too long, the parser would
// crash. The count starts again at a comma or semicolon, and goes on behind a closing bracket with
// that of the expression around it.
absl::Status CheckDepth(const SourceText& source) {
  const std::unique_ptr<PgQueryScanResult, FreeScanResult> result(
      new PgQueryScanResult(pg_query_scan(source.text().c_str())));
  pg_query::ScanResult scanned;
  if (result->error != nullptr ||
      !scanned.ParseFromArray(result->pbuf.data, static_cast<int>(result->pbuf.len))) {
    return absl::OkStatus();  // the parser will say what is wrong
  }
  std::vector<size_t> around = {0};  // tokens before each open bracket
  size_t in_a_row = 0;
  for (const pg_query::ScanToken& token : scanned.tokens()) {
    const char first = source.text()[static_cast<size_t>(token.start())];
    if (first == ',' || first == ';') {
      in_a_row = around.back();
      continue;
    }
    if (++in_a_row > kMaxTokensInARow) {
      return plan::ErrorAt(token.start(), "the script has an expression that is too long to read");
    }
    if (first == '(' || first == '[') {
      around.push_back(in_a_row);
    } else if ((first == ')' || first == ']') && around.size() > 1) {
      in_a_row = around.back();
      around.pop_back();
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ParsedScript> ParseScript(const SourceText& source) {
  if (const size_t nul = source.text().find('\0'); nul != std::string::npos) {
    return plan::ErrorAt(static_cast<int32_t>(nul), "the script contains a zero byte");
  }
  if (const size_t bad = FindInvalidUtf8(source.text()); bad != std::string_view::npos) {
    return plan::ErrorAt(static_cast<int32_t>(bad), "the script is not UTF-8");
  }
  RETURN_IF_ERROR(CheckDepth(source));
  const std::unique_ptr<PgQueryProtobufParseResult, FreeParseResult> result(
      new PgQueryProtobufParseResult(pg_query_parse_protobuf(source.text().c_str())));
  if (result->error != nullptr) {
    const int32_t position =
        result->error->cursorpos > 0 ? source.ByteOfCharacter(result->error->cursorpos - 1) : -1;
    return plan::ErrorAt(position, result->error->message);
  }
  ParsedScript script{.tree = std::make_unique<pg_query::ParseResult>(), .statements = {}};
  google::protobuf::io::CodedInputStream input(
      reinterpret_cast<const uint8_t*>(result->parse_tree.data),
      static_cast<int>(result->parse_tree.len));
  input.SetRecursionLimit(kMaxTreeDepth);
  if (!script.tree->ParseFromCodedStream(&input)) {
    return absl::InvalidArgumentError(
        "the script has an expression that is nested too deeply to read");
  }
  for (const pg_query::RawStmt& raw : script.tree->stmts()) {
    const int32_t length = raw.stmt_len();
    const auto end =
        length > 0 ? raw.stmt_location() + length : static_cast<int32_t>(source.text().size());
    script.statements.push_back(
        {.begin = source.SkipBlanks(raw.stmt_location()), .end = end, .node = &raw.stmt()});
  }
  return script;
}

}  // namespace millrace::sql
