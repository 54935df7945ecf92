#include "driver/sql/parser.h"

#include <pg_query.h>

#include <memory>
#include <utility>

#include "driver/sql/logical/sql_error.h"
#include "google/protobuf/io/coded_stream.h"

namespace millrace {
namespace {

// Messages within messages; an expression level takes two. Far more than a person writes, far less
// than the stack holds.
constexpr int kMaxTreeDepth = 1000;

struct FreeParseResult {
  void operator()(PgQueryProtobufParseResult* result) const {
    pg_query_free_protobuf_parse_result(*result);
    delete result;
  }
};

}  // namespace

absl::StatusOr<ParsedScript> ParseScript(const SourceText& source) {
  if (const size_t nul = source.text().find('\0'); nul != std::string::npos) {
    return ErrorAt(static_cast<int32_t>(nul), "the script contains a zero byte");
  }
  const std::unique_ptr<PgQueryProtobufParseResult, FreeParseResult> result(
      new PgQueryProtobufParseResult(pg_query_parse_protobuf(source.text().c_str())));
  if (result->error != nullptr) {
    const int32_t position =
        result->error->cursorpos > 0 ? source.ByteOfCharacter(result->error->cursorpos - 1) : -1;
    return ErrorAt(position, result->error->message);
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

}  // namespace millrace
