#include "common/expr/functions/regex_call.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/utf8.h"

namespace millrace {
namespace {

// At most this many compiled patterns are kept: patterns rarely differ by row, and a batch of
// different ones must not keep them all.
constexpr size_t kMostCompiled = 256;

}  // namespace

absl::StatusOr<RegexFlags> ParseRegexFlags(std::string_view text) {
  RegexFlags flags;
  RegexOptions& options = flags.options;
  for (size_t i = 0; i < text.size(); ++i) {
    const char flag = text[i];
    switch (flag) {
      case 'g':
        flags.global = true;
        break;
      case 'i':
      case 'c':
        options.ignore_case = flag == 'i';
        break;
      case 'q':
        options.literal = true;
        break;
      case 'b':
      case 'e':
        options.literal = false;
        options.basic = true;
        break;
      case 'x':
      case 't':
        options.expanded = flag == 'x';
        break;
      case 'm':
      case 'n':
      case 'p':
      case 's':
      case 'w':
        options.newline_stops = flag != 's' && flag != 'w';
        options.newline_anchors = flag != 's' && flag != 'p';
        break;
      default:
        return absl::InvalidArgumentError(absl::StrCat("invalid regular expression option: \"",
                                                       ToAbsl(CharacterAt(text, i)), "\""));
    }
  }
  return flags;
}

absl::StatusOr<std::shared_ptr<const RegexCall>> MakeRegexCall(std::string_view pattern,
                                                               std::string_view flags_text,
                                                               const RegexSignature& signature) {
  ASSIGN_OR_RETURN(RegexFlags flags, ParseRegexFlags(flags_text));
  if (flags.global && signature.refuses_global != nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(signature.refuses_global, "() does not support the \"global\" option"));
  }
  auto call = std::make_shared<RegexCall>();
  flags.options.ignore_case = flags.options.ignore_case || signature.ignore_case;
  ASSIGN_OR_RETURN(call->regex, Regex::Compile(pattern, flags.options, signature.groups));
  call->global = flags.global;
  if (call->regex->separator().has_value()) {
    call->splitter.emplace(*call->regex->separator());
  }
  return call;
}

absl::StatusOr<std::shared_ptr<const FunctionState>> BindRegex(
    const std::vector<const Column*>& constants, const RegexSignature& signature) {
  const Column* pattern = constants[signature.pattern_arg];
  const Column* flags =
      signature.flags_arg < 0 ? nullptr : constants[static_cast<size_t>(signature.flags_arg)];
  if (pattern == nullptr || pattern->IsNull(0) ||
      (signature.flags_arg >= 0 && (flags == nullptr || flags->IsNull(0)))) {
    return nullptr;
  }
  return MakeRegexCall(pattern->value<TextView>(0).view(),
                       flags == nullptr ? std::string_view() : flags->value<TextView>(0).view(),
                       signature);
}

absl::StatusOr<const RegexCall*> RegexCalls::Lookup(uint32_t row) {
  std::string_view pattern = args_[signature_.pattern_arg].value<TextView>(row).view();
  std::string_view flags;
  if (signature_.flags_arg >= 0) {
    flags = args_[static_cast<size_t>(signature_.flags_arg)].value<TextView>(row).view();
  }
  std::string key = absl::StrCat(ToAbsl(flags), absl::string_view("\0", 1), ToAbsl(pattern));
  auto found = compiled_.find(key);
  if (found != compiled_.end()) {
    return found->second.get();
  }
  if (compiled_.size() >= kMostCompiled) {
    compiled_.clear();
  }
  ASSIGN_OR_RETURN(std::shared_ptr<const RegexCall> call,
                   MakeRegexCall(pattern, flags, signature_));
  return compiled_.emplace(std::move(key), std::move(call)).first->second.get();
}

}  // namespace millrace
