// LIKE and ILIKE: % is any text, _ one character, \ makes the next character literal. A constant
// pattern is analysed once; the shapes 'x', 'x%', '%x', '%x%' become a comparison or a search.
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/expr/functions/families.h"
#include "common/expr/text/utf8.h"

namespace millrace {
namespace {

absl::Status EndsInEscape() {
  return absl::InvalidArgumentError("LIKE pattern must not end with escape character");
}

// Whether `text` matches `pattern`, or nothing when the pattern turns out to end in an escape.
// Backtracks to the last % only, which is enough.
std::optional<bool> MatchLike(std::string_view text, std::string_view pattern) {
  size_t t = 0;
  size_t p = 0;
  size_t resume_t = 0;
  size_t resume_p = std::string_view::npos;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '%') {
      resume_p = ++p;
      resume_t = t;
      continue;
    }
    bool matches = false;
    if (p < pattern.size() && pattern[p] == '_') {
      t += FirstCharBytes(text.substr(t));
      ++p;
      matches = true;
    } else if (p < pattern.size()) {
      size_t literal = pattern[p] == '\\' ? p + 1 : p;
      if (literal == pattern.size()) {
        return std::nullopt;
      }
      if (pattern[literal] == text[t]) {
        ++t;
        p = literal + 1;
        matches = true;
      }
    }
    if (matches) {
      continue;
    }
    if (resume_p == std::string_view::npos) {
      return false;
    }
    p = resume_p;
    resume_t += FirstCharBytes(text.substr(resume_t));
    t = resume_t;
  }
  while (p < pattern.size() && pattern[p] == '%') {
    ++p;
  }
  return p == pattern.size();
}

struct LikePattern : FunctionState {
  enum class Shape { kExact, kPrefix, kSuffix, kContains, kGeneral };
  Shape shape = Shape::kGeneral;
  std::string literal;  // of the first four
  std::string pattern;  // as given; lower case for ILIKE
};

// Whether the pattern is one literal between optional runs of %, and the literal.
bool TakeApart(std::string_view pattern, LikePattern* out) {
  bool open_front = !pattern.empty() && pattern[0] == '%';
  while (!pattern.empty() && pattern[0] == '%') {
    pattern.remove_prefix(1);
  }
  bool open_back = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '_') {
      return false;
    }
    if (pattern[i] == '%') {
      open_back = true;
      continue;
    }
    if (open_back) {
      return false;  // a literal behind a % inside
    }
    i += pattern[i] == '\\' ? 1 : 0;
    out->literal.push_back(pattern[i]);
  }
  using Shape = LikePattern::Shape;
  if (pattern.empty() && open_front) {
    out->shape = Shape::kContains;  // '%': everything contains the empty text
  } else {
    out->shape = open_front ? (open_back ? Shape::kContains : Shape::kSuffix)
                            : (open_back ? Shape::kPrefix : Shape::kExact);
  }
  return true;
}

bool EndsInLoneEscape(std::string_view pattern) {
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\' && ++i == pattern.size()) {
      return true;
    }
  }
  return false;
}

std::shared_ptr<const LikePattern> CompileLike(std::string_view pattern, bool ignore_case) {
  auto compiled = std::make_shared<LikePattern>();
  compiled->pattern = ignore_case ? ToLowerText(pattern) : std::string(pattern);
  // A pattern that ends in an escape is an error of the rows that reach its end, as in PostgreSQL.
  if (EndsInLoneEscape(pattern) || !TakeApart(compiled->pattern, compiled.get())) {
    compiled->shape = LikePattern::Shape::kGeneral;
  }
  return compiled;
}

std::optional<bool> Matches(std::string_view text, const LikePattern& pattern) {
  switch (pattern.shape) {
    case LikePattern::Shape::kExact:
      return text == pattern.literal;
    case LikePattern::Shape::kPrefix:
      return text.starts_with(pattern.literal);
    case LikePattern::Shape::kSuffix:
      return text.ends_with(pattern.literal);
    case LikePattern::Shape::kContains:
      return pattern.literal.empty() || memmem(text.data(), text.size(), pattern.literal.data(),
                                               pattern.literal.size()) != nullptr;
    case LikePattern::Shape::kGeneral:
      break;
  }
  return MatchLike(text, pattern.pattern);
}

void AddOperator(FunctionList* list, const char* name, bool ignore_case, bool negated) {
  ScalarFunction function;
  function.name = name;
  function.arg_types = {MakeType(TypeId::kText), MakeType(TypeId::kText)};
  function.result = MakeType(TypeId::kBool);
  function.bind = [ignore_case](
                      const std::vector<const Column*>& constants,
                      const SqlType&) -> absl::StatusOr<std::shared_ptr<const FunctionState>> {
    if (constants[1] == nullptr || constants[1]->IsNull(0)) {
      return nullptr;
    }
    return CompileLike(constants[1]->value<TextView>(0).view(), ignore_case);
  };
  function.kernel = [ignore_case, negated](const std::vector<FunctionArg>& args,
                                           const FunctionCallContext& context, Column* out) {
    ArgReader<std::string_view> text(args[0]);
    const auto* prepared = static_cast<const LikePattern*>(context.state);
    auto* values = out->mutable_values<uint8_t>();
    context.rows.ForEach([&](uint32_t row) {
      std::optional<bool> matches;
      std::shared_ptr<const LikePattern> own;
      if (prepared == nullptr) {
        own = CompileLike(args[1].value<TextView>(row).view(), ignore_case);
      }
      const LikePattern& pattern = prepared != nullptr ? *prepared : *own;
      matches =
          ignore_case ? Matches(ToLowerText(text[row]), pattern) : Matches(text[row], pattern);
      if (matches.has_value()) {
        values[row] = *matches != negated ? 1 : 0;
      } else {
        context.errors->Add(row, EndsInEscape());
      }
    });
  };
  list->Add(std::move(function));
}

// A pattern with its own escape character, rewritten to one with a backslash: what LIKE … ESCAPE
// calls.
absl::StatusOr<std::string> LikeEscape(std::string_view pattern, std::string_view escape) {
  if (!escape.empty() && FirstCharBytes(escape) != escape.size()) {
    return absl::InvalidArgumentError("invalid escape string");
  }
  std::string out;
  while (!pattern.empty()) {
    std::string_view c = pattern.substr(0, FirstCharBytes(pattern));
    pattern.remove_prefix(c.size());
    if (c == escape && !escape.empty()) {
      out.push_back('\\');
      if (!pattern.empty()) {
        std::string_view next = pattern.substr(0, FirstCharBytes(pattern));
        out.append(next);
        pattern.remove_prefix(next.size());
      }
    } else {
      out.append(c == "\\" ? "\\\\" : c);
    }
  }
  return out;
}

}  // namespace

void AddLike(FunctionList* list) {
  AddOperator(list, "~~", false, false);
  AddOperator(list, "!~~", false, true);
  AddOperator(list, "~~*", true, false);
  AddOperator(list, "!~~*", true, true);
  list->Add("like_escape", [](std::string_view pattern, std::string_view escape) {
    return LikeEscape(pattern, escape);
  });
}

}  // namespace millrace
