// Reads literal text in patterns: shared by the patterns of times and of numbers.
#ifndef MILLRACE_COMMON_EXPR_FORMAT_PATTERN_TEXT_H_
#define MILLRACE_COMMON_EXPR_FORMAT_PATTERN_TEXT_H_

#include <algorithm>
#include <string>
#include <string_view>

#include "common/expr/text/utf8.h"

namespace millrace {

// Takes the character at the front. REQUIRES: `rest` is not empty.
inline std::string TakePatternChar(std::string_view* rest) {
  const size_t size = std::min(FirstCharBytes(*rest), rest->size());
  std::string out(rest->substr(0, size));
  rest->remove_prefix(size);
  return out;
}

// Behind an opening quote: whether a quoted character stands at the front, its backslash taken.
// False at the end of the text, or of the pattern; a closing quote is then taken.
inline bool NextQuoted(std::string_view* rest) {
  if (rest->empty()) {
    return false;
  }
  const char c = rest->front();
  if (c == '"' || (c == '\\' && rest->size() > 1)) {
    rest->remove_prefix(1);
  }
  return c != '"';
}

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_FORMAT_PATTERN_TEXT_H_
