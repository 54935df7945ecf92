#include "common/expr/regex/regex.h"

#include <re2/re2.h>

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace {

Regex::Regex(ArePattern translated, std::unique_ptr<re2::RE2> engine)
    : translated_(std::move(translated)), engine_(std::move(engine)) {}

Regex::~Regex() = default;

absl::StatusOr<std::shared_ptr<const Regex>> Regex::Compile(std::string_view pattern,
                                                            bool ignore_case, bool groups) {
  ASSIGN_OR_RETURN(ArePattern translated, TranslateAre(pattern, ignore_case));
  if (groups && !translated.group_problem.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("regular expression \"", ToAbsl(pattern),
                                                   "\": groups are not supported with ",
                                                   translated.group_problem));
  }
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_longest_match(!translated.shortest);
  options.set_dot_nl(true);
  auto engine = std::make_unique<re2::RE2>(translated.re2, options);
  if (!engine->ok()) {
    return absl::InvalidArgumentError(absl::StrCat("regular expression \"", ToAbsl(pattern),
                                                   "\" is too complex: ", engine->error()));
  }
  return std::shared_ptr<const Regex>(new Regex(std::move(translated), std::move(engine)));
}

bool Regex::Contains(std::string_view text) const {
  return engine_->Match(re2::StringPiece(text.data(), text.size()), 0, text.size(),
                        re2::RE2::UNANCHORED, nullptr, 0);
}

bool Regex::Find(std::string_view text, size_t start, std::vector<Span>* spans) const {
  constexpr size_t kInlineGroups = 10;
  std::array<re2::StringPiece, kInlineGroups> few;
  std::vector<re2::StringPiece> many;
  re2::StringPiece* pieces = few.data();
  if (spans->size() > kInlineGroups) {
    many.resize(spans->size());
    pieces = many.data();
  }
  if (!engine_->Match(re2::StringPiece(text.data(), text.size()), start, text.size(),
                      re2::RE2::UNANCHORED, pieces, static_cast<int>(spans->size()))) {
    return false;
  }
  for (size_t i = 0; i < spans->size(); ++i) {
    if (pieces[i].data() == nullptr) {
      (*spans)[i] = Span();
    } else {
      size_t begin = static_cast<size_t>(pieces[i].data() - text.data());
      (*spans)[i] = {.begin = begin, .end = begin + pieces[i].size()};
    }
  }
  return true;
}

}  // namespace millrace
