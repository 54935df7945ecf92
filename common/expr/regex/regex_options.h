// The options and results that both engines of regular expressions share. Plain values.
#ifndef MILLRACE_COMMON_EXPR_REGEX_REGEX_OPTIONS_H_
#define MILLRACE_COMMON_EXPR_REGEX_REGEX_OPTIONS_H_

#include <cstddef>
#include <string_view>

namespace millrace {

// How a pattern is read; the letters are those of the functions' flags.
struct RegexOptions {
  bool ignore_case = false;      // i
  bool literal = false;          // q
  bool basic = false;            // b; also e, which PostgreSQL 15 reads as b
  bool expanded = false;         // x
  bool newline_stops = false;    // p, n: . and [^…] match no newline
  bool newline_anchors = false;  // w, n: ^ and $ match at newlines too

  // Whether it is an advanced regular expression in which newlines are ordinary characters.
  bool IsPlain() const {
    return !(literal || basic || expanded || newline_stops || newline_anchors);
  }
};

// A match or a group of it: bytes [begin, end); begin = npos for a group that took no part.
struct RegexSpan {
  size_t begin = std::string_view::npos;
  size_t end = 0;
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_REGEX_REGEX_OPTIONS_H_
