// The text of a script, with positions as people count them. Thread-compatible; keeps its own copy
// of the text.
#ifndef MILLRACE_SQL_PARSE_SOURCE_TEXT_H_
#define MILLRACE_SQL_PARSE_SOURCE_TEXT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace millrace::sql {

// Both from 1; columns count characters (UTF-8), not bytes.
struct LineColumn {
  int line = 1;
  int column = 1;
};

class SourceText {
 public:
  explicit SourceText(std::string_view text) : text_(text) {}

  const std::string& text() const { return text_; }

  LineColumn Locate(int32_t position) const;
  // The byte at which the n-th character (from 0) begins; the text's size if there are fewer.
  int32_t ByteOfCharacter(int32_t n) const;
  // The last position of the keyword before `position`; `position` itself if there is none.
  int32_t KeywordBefore(int32_t position, std::string_view keyword) const;
  // The first position of the keyword in [begin, end); nothing if there is none.
  std::optional<int32_t> KeywordAfter(int32_t begin, int32_t end, std::string_view keyword) const;
  // The first byte from `position` on that belongs to a statement: past white space and comments.
  int32_t SkipBlanks(int32_t position) const;

  // `line 3, column 8: message`, then the line, and a caret under the position. Without a position,
  // the message alone.
  std::string Render(int32_t position, std::string_view message) const;
  // The status with its position (plan/logical/sql_error.h) rendered into the message.
  absl::Status Render(const absl::Status& status) const;

 private:
  bool IsKeywordAt(size_t position, std::string_view keyword) const;

  std::string text_;
};

}  // namespace millrace::sql

#endif  // MILLRACE_SQL_PARSE_SOURCE_TEXT_H_
