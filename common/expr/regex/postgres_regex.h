// Patterns on PostgreSQL's own engine (third_party/pg_regex), for what RE2 cannot do as PostgreSQL
// does: back references, look-around, word boundaries, mixed greediness, groups whose places are
// ambiguous. It may look at a character more than once, so that each value has a budget of steps
// and memory; what a pattern itself may take is known when it is compiled.
#ifndef MILLRACE_COMMON_EXPR_REGEX_POSTGRES_REGEX_H_
#define MILLRACE_COMMON_EXPR_REGEX_POSTGRES_REGEX_H_

#include <pg_regex.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/expr/regex/regex_options.h"

namespace millrace {

// A compiled pattern. Immutable and thread-safe: threads share it.
class PostgresRegex {
 public:
  // INVALID_ARGUMENT in PostgreSQL's words for a malformed pattern, and for one that is too
  // complex.
  static absl::StatusOr<std::unique_ptr<const PostgresRegex>> Compile(std::string_view pattern,
                                                                      const RegexOptions& options);

  int groups() const { return static_cast<int>(pgre_groups(compiled_.get())); }

 private:
  friend class PostgresSearch;
  struct Free {
    void operator()(pgre* compiled) const { pgre_free(compiled); }
  };
  using Compiled = std::unique_ptr<pgre, Free>;

  PostgresRegex(std::string_view pattern, Compiled compiled)
      : pattern_(pattern), compiled_(std::move(compiled)) {}

  std::string pattern_;
  Compiled compiled_;
};

// Searches in one value, which share its budget. Thread-compatible.
class PostgresSearch {
 public:
  // `regex` and the bytes of `text` must outlive the search.
  PostgresSearch(const PostgresRegex& regex, std::string_view text) : regex_(regex), text_(text) {}

  // Like RegexSearch::Find. RESOURCE_EXHAUSTED when the budget is spent.
  absl::StatusOr<bool> Find(size_t start, std::vector<RegexSpan>* spans);

 private:
  absl::Status Decode();
  size_t CharAt(size_t byte) const;
  size_t ByteAt(size_t character) const { return bytes_.empty() ? character : bytes_[character]; }
  absl::Status Spent(int result) const;

  const PostgresRegex& regex_;
  std::string_view text_;
  bool decoded_ = false;
  std::vector<uint32_t> characters_;
  // The byte at which each character begins, and the text's end; empty if every character is one
  // byte.
  std::vector<uint32_t> bytes_;
  int64_t allowed_steps_ = 0;
  pgre_budget budget_ = {};
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_REGEX_POSTGRES_REGEX_H_
