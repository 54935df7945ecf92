// Shared by the regular expression functions: flags, and patterns, which are compiled once per call
// site if they are constant, else once per distinct pattern of a batch.
#ifndef MILLRACE_COMMON_EXPR_FUNCTIONS_REGEX_CALL_H_
#define MILLRACE_COMMON_EXPR_FUNCTIONS_REGEX_CALL_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "common/expr/function.h"
#include "common/expr/regex/byte_splitter.h"
#include "common/expr/regex/regex.h"

namespace millrace {

struct RegexFlags {
  RegexOptions options;
  bool global = false;
};

// The letters that PostgreSQL has; of those that exclude each other the last one counts.
// INVALID_ARGUMENT for others.
absl::StatusOr<RegexFlags> ParseRegexFlags(std::string_view text);

// A function's pattern and flags, ready to run.
struct RegexCall : FunctionState {
  std::shared_ptr<const Regex> regex;
  bool global = false;
  std::optional<ByteSplitter> splitter;  // when the pattern is a plain separator
};

// How one function takes its pattern.
struct RegexSignature {
  size_t pattern_arg = 1;
  int flags_arg = -1;                    // −1: has none
  bool ignore_case = false;              // as the operator's name says
  bool groups = false;                   // the function needs sub-matches
  const char* refuses_global = nullptr;  // the function's name if it does not allow 'g'
};

absl::StatusOr<std::shared_ptr<const RegexCall>> MakeRegexCall(std::string_view pattern,
                                                               std::string_view flags,
                                                               const RegexSignature& signature);

// For ScalarFunction::bind and TableFunctionDef::bind: null when the pattern or the flags are not
// constant.
absl::StatusOr<std::shared_ptr<const FunctionState>> BindRegex(
    const std::vector<const Column*>& constants, const RegexSignature& signature);

// The call for each row of one kernel invocation. Not thread-safe.
class RegexCalls {
 public:
  RegexCalls(const std::vector<FunctionArg>& args, const FunctionState* bound,
             const RegexSignature& signature)
      : args_(args), bound_(static_cast<const RegexCall*>(bound)), signature_(signature) {}

  absl::StatusOr<const RegexCall*> ForRow(uint32_t row) {
    if (bound_ != nullptr) {
      return bound_;
    }
    return Lookup(row);
  }

 private:
  absl::StatusOr<const RegexCall*> Lookup(uint32_t row);

  const std::vector<FunctionArg>& args_;
  const RegexCall* bound_;
  const RegexSignature& signature_;
  absl::flat_hash_map<std::string, std::shared_ptr<const RegexCall>> compiled_;
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_FUNCTIONS_REGEX_CALL_H_
