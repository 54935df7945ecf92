// PostgreSQL's "advanced regular expressions" for RE2. A pattern is parsed, checked for everything
// on which the two would differ (look-around, back references, word boundaries, mixed greediness),
// and written anew in RE2's syntax; what cannot be the same is left to PostgreSQL's engine. Pure
// functions.
//
// PostgreSQL matches the longest text at the leftmost place (POSIX), RE2 does with its
// longest_match option; a pattern whose quantifiers are all non-greedy and on single characters
// matches the shortest, where RE2's default agrees.
#ifndef MILLRACE_COMMON_EXPR_REGEX_ARE_PATTERN_H_
#define MILLRACE_COMMON_EXPR_REGEX_ARE_PATTERN_H_

#include <bitset>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace millrace {

// A pattern that is one set of ASCII characters, or one or more of it: what most splitting is done
// with.
struct AsciiSeparator {
  std::bitset<128> bytes;
  bool repeats = false;
};

struct ArePattern {
  std::string re2;
  bool shortest = false;  // needs RE2's default mode, else longest_match
  int groups = 0;
  // Captured groups could differ from PostgreSQL's. The match as a whole always agrees.
  bool groups_differ = false;
  std::optional<AsciiSeparator> separator;
};

// INVALID_ARGUMENT in PostgreSQL's words for a malformed pattern ("invalid regular expression: …");
// UNIMPLEMENTED for what RE2 would match differently, or not at all.
absl::StatusOr<ArePattern> TranslateAre(std::string_view pattern, bool ignore_case);

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_REGEX_ARE_PATTERN_H_
