// Regular expressions with PostgreSQL's meaning, on one of two engines: RE2 (are_pattern.h), whose
// time grows with the text alone, for all that it does as PostgreSQL; PostgreSQL's own with a
// budget for each value (postgres_regex.h) for the rest.
#ifndef MILLRACE_COMMON_EXPR_REGEX_REGEX_H_
#define MILLRACE_COMMON_EXPR_REGEX_REGEX_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/expr/regex/are_pattern.h"
#include "common/expr/regex/postgres_regex.h"
#include "common/expr/regex/regex_options.h"
#include "common/expr/text/utf8.h"

namespace re2 {
class RE2;
}

namespace millrace {

// A compiled pattern. Immutable and thread-safe.
class Regex {
 public:
  using Span = RegexSpan;

  // With `groups`, sub-matches will be asked for. INVALID_ARGUMENT in PostgreSQL's words for a
  // malformed pattern, and for one that is too complex.
  static absl::StatusOr<std::shared_ptr<const Regex>> Compile(std::string_view pattern,
                                                              const RegexOptions& options,
                                                              bool groups);
  ~Regex();

  // RESOURCE_EXHAUSTED when PostgreSQL's engine has spent the value's budget.
  absl::StatusOr<bool> Contains(std::string_view text) const;

  int groups() const { return groups_; }
  const std::optional<AsciiSeparator>& separator() const { return separator_; }

 private:
  friend class RegexSearch;

  Regex(const ArePattern& translated, std::unique_ptr<re2::RE2> re2);
  explicit Regex(std::unique_ptr<const PostgresRegex> postgres);
  bool FindWithRe2(std::string_view text, size_t start, std::vector<Span>* spans) const;

  int groups_;
  std::optional<AsciiSeparator> separator_;
  // Exactly one engine is set.
  std::unique_ptr<re2::RE2> re2_;
  std::unique_ptr<const PostgresRegex> postgres_;
};

// Searches in one value. Thread-compatible.
class RegexSearch {
 public:
  // `regex` and the bytes of `text` must outlive the search.
  RegexSearch(const Regex& regex, std::string_view text);

  // Finds the leftmost match at or behind byte `start`; ^ still means the beginning of the text.
  // spans[0] is the whole match; the groups follow, as many as `spans` has room for. False if there
  // is no match, or if the search was given up, which status() tells.
  bool Find(size_t start, std::vector<Regex::Span>* spans);
  // RESOURCE_EXHAUSTED once the value's budget is spent.
  const absl::Status& status() const { return status_; }

 private:
  const Regex& regex_;
  std::string_view text_;
  std::unique_ptr<PostgresSearch> postgres_;
  absl::Status status_;
};

// Calls fn(spans) for each match from the left, one after another as PostgreSQL's 'g' flag does:
// behind an empty match the search goes on one character later. `spans` as in Find. Stops when fn
// returns false, and with an error (RegexSearch::status) when the search is given up.
template <typename Fn>
absl::Status ForEachMatch(const Regex& regex, std::string_view text, size_t start,
                          std::vector<Regex::Span>* spans, Fn&& fn) {
  RegexSearch search(regex, text);
  while (start <= text.size() && search.Find(start, spans)) {
    if (!fn(*spans)) {
      return absl::OkStatus();
    }
    const Regex::Span& whole = spans->front();
    start = whole.end;
    if (whole.begin == whole.end) {
      start += start < text.size() ? FirstCharBytes(text.substr(start)) : 1;
    }
  }
  return search.status();
}

// Calls fn(piece) for the parts of `text` between matches. As in PostgreSQL, empty matches at the
// ends of the text or right behind the match before do not separate. On an error the pieces so far
// are not all.
template <typename Fn>
absl::Status ForEachPiece(const Regex& regex, std::string_view text, Fn&& fn) {
  std::vector<Regex::Span> spans(1);
  size_t piece_begin = 0;
  size_t previous_end = 0;
  const absl::Status status =
      ForEachMatch(regex, text, 0, &spans, [&](const std::vector<Regex::Span>& match) {
        if (match[0].begin < text.size() && match[0].end > previous_end) {
          fn(text.substr(piece_begin, match[0].begin - piece_begin));
          piece_begin = match[0].end;
        }
        previous_end = match[0].end;
        return true;
      });
  if (status.ok()) {
    fn(text.substr(piece_begin));
  }
  return status;
}

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_REGEX_REGEX_H_
