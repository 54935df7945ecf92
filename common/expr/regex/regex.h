// A compiled regular expression with PostgreSQL's meaning (are_pattern.h). Immutable and
// thread-safe.
#ifndef MILLRACE_COMMON_EXPR_REGEX_REGEX_H_
#define MILLRACE_COMMON_EXPR_REGEX_REGEX_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/expr/regex/are_pattern.h"
#include "common/expr/text/utf8.h"

namespace re2 {
class RE2;
}

namespace millrace {

class Regex {
 public:
  // With `groups`, sub-matches will be asked for: patterns whose groups could differ from
  // PostgreSQL's are refused.
  static absl::StatusOr<std::shared_ptr<const Regex>> Compile(std::string_view pattern,
                                                              bool ignore_case, bool groups);
  ~Regex();

  // One match: byte offsets [begin, end); begin = npos for a group that took no part.
  struct Span {
    size_t begin = std::string_view::npos;
    size_t end = 0;
  };

  bool Contains(std::string_view text) const;
  // The leftmost match at or behind byte `start`; ^ still means the beginning of `text`. spans[0]
  // is the whole, then the groups, as many as `spans` has room for.
  bool Find(std::string_view text, size_t start, std::vector<Span>* spans) const;

  int groups() const { return translated_.groups; }
  const std::optional<AsciiSeparator>& separator() const { return translated_.separator; }

 private:
  Regex(ArePattern translated, std::unique_ptr<re2::RE2> engine);

  ArePattern translated_;
  std::unique_ptr<re2::RE2> engine_;
};

// Calls fn(spans) for each match from the left, one after another as PostgreSQL's 'g' flag does:
// behind an empty match the search goes on one character later. `spans` as in Find. Stops when fn
// returns false.
template <typename Fn>
void ForEachMatch(const Regex& regex, std::string_view text, size_t start,
                  std::vector<Regex::Span>* spans, Fn&& fn) {
  while (start <= text.size() && regex.Find(text, start, spans)) {
    if (!fn(*spans)) {
      return;
    }
    const Regex::Span& whole = spans->front();
    start = whole.end;
    if (whole.begin == whole.end) {
      start += start < text.size() ? FirstCharBytes(text.substr(start)) : 1;
    }
  }
}

// Calls fn(piece) for the parts of `text` between matches. As in PostgreSQL, empty matches at the
// ends of the text or right behind the match before do not separate.
template <typename Fn>
void ForEachPiece(const Regex& regex, std::string_view text, Fn&& fn) {
  std::vector<Regex::Span> spans(1);
  size_t piece_begin = 0;
  size_t previous_end = 0;
  ForEachMatch(regex, text, 0, &spans, [&](const std::vector<Regex::Span>& match) {
    if (match[0].begin < text.size() && match[0].end > previous_end) {
      fn(text.substr(piece_begin, match[0].begin - piece_begin));
      piece_begin = match[0].end;
    }
    previous_end = match[0].end;
    return true;
  });
  fn(text.substr(piece_begin));
}

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_REGEX_REGEX_H_
