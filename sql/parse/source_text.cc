#include "sql/parse/source_text.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/utf8.h"
#include "plan/logical/sql_error.h"

namespace millrace::sql {
namespace {

bool IsWordCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

// The part of a line that is shown, and the byte in it that the caret points to.
struct Excerpt {
  std::string text;
  size_t caret = 0;
};

// Bytes [begin, end) of `text`; of a very long line, the part around `at` that fits a terminal.
Excerpt CutExcerpt(const std::string& text, size_t begin, size_t at, size_t end) {
  constexpr size_t kBefore = 80;
  constexpr size_t kAfter = 60;
  constexpr char kMore[] = "...";
  size_t from = at - begin > kBefore ? at - kBefore : begin;
  size_t to = end - at > kAfter ? at + kAfter : end;
  while (from > begin && IsContinuationByte(text[from])) {
    --from;
  }
  while (to < end && IsContinuationByte(text[to])) {
    ++to;
  }
  Excerpt excerpt{.text = from > begin ? kMore : "", .caret = 0};
  excerpt.caret = excerpt.text.size() + at - from;
  absl::StrAppend(&excerpt.text, text.substr(from, to - from), to < end ? kMore : "");
  return excerpt;
}

}  // namespace

LineColumn SourceText::Locate(int32_t position) const {
  LineColumn place;
  const size_t end = std::min(static_cast<size_t>(std::max(position, 0)), text_.size());
  for (size_t i = 0; i < end; ++i) {
    if (text_[i] == '\n') {
      ++place.line;
      place.column = 1;
    } else if (!IsContinuationByte(text_[i])) {
      ++place.column;
    }
  }
  return place;
}

int32_t SourceText::ByteOfCharacter(int32_t n) const {
  size_t byte = 0;
  for (; byte < text_.size(); ++byte) {
    if (!IsContinuationByte(text_[byte]) && n-- == 0) {
      break;
    }
  }
  return static_cast<int32_t>(byte);
}

bool SourceText::IsKeywordAt(size_t position, std::string_view keyword) const {
  const size_t end = position + keyword.size();
  return end <= text_.size() && (position == 0 || !IsWordCharacter(text_[position - 1])) &&
         (end == text_.size() || !IsWordCharacter(text_[end])) &&
         absl::EqualsIgnoreCase(ToAbsl(std::string_view(text_).substr(position, keyword.size())),
                                ToAbsl(keyword));
}

int32_t SourceText::KeywordBefore(int32_t position, std::string_view keyword) const {
  for (int32_t i = position - static_cast<int32_t>(keyword.size()); i >= 0; --i) {
    if (IsKeywordAt(static_cast<size_t>(i), keyword)) {
      return i;
    }
  }
  return position;
}

std::optional<int32_t> SourceText::KeywordAfter(int32_t begin, int32_t end,
                                                std::string_view keyword) const {
  for (int32_t i = begin; i < end; ++i) {
    if (IsKeywordAt(static_cast<size_t>(i), keyword)) {
      return i;
    }
  }
  return std::nullopt;
}

int32_t SourceText::SkipBlanks(int32_t position) const {
  const std::string_view text = text_;
  auto at = static_cast<size_t>(std::max(position, 0));
  while (at < text.size()) {
    if (absl::ascii_isspace(static_cast<unsigned char>(text[at])) || text[at] == ';') {
      ++at;
    } else if (text.substr(at, 2) == "--") {
      at = std::min(text.find('\n', at), text.size());
    } else if (text.substr(at, 2) == "/*") {
      const size_t close = text.find("*/", at + 2);
      at = close == std::string_view::npos ? text.size() : close + 2;
    } else {
      break;
    }
  }
  return static_cast<int32_t>(at);
}

std::string SourceText::Render(int32_t position, std::string_view message) const {
  if (position < 0) {
    return std::string(message);
  }
  const size_t at = std::min(static_cast<size_t>(position), text_.size());
  const size_t newline = at == 0 ? std::string::npos : text_.rfind('\n', at - 1);
  const Excerpt excerpt = CutExcerpt(text_, newline == std::string::npos ? 0 : newline + 1, at,
                                     std::min(text_.find('\n', at), text_.size()));
  std::string caret;
  for (size_t i = 0; i < excerpt.caret; ++i) {
    if (!IsContinuationByte(excerpt.text[i])) {
      caret += excerpt.text[i] == '\t' ? '\t' : ' ';
    }
  }
  const LineColumn place = Locate(position);
  return absl::StrCat("line ", place.line, ", column ", place.column, ": ", ToAbsl(message), "\n  ",
                      excerpt.text, "\n  ", caret, "^");
}

absl::Status SourceText::Render(const absl::Status& status) const {
  if (status.ok()) {
    return status;
  }
  return absl::InvalidArgumentError(
      Render(plan::ErrorPosition(status).value_or(-1), ToStd(status.message())));
}

}  // namespace millrace::sql
