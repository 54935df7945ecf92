#include "common/expr/regex/regex.h"

#include <re2/re2.h>

#include <array>
#include <utility>

#include "common/base/status.h"

namespace millrace {

Regex::Regex(const ArePattern& translated, std::unique_ptr<re2::RE2> re2)
    : groups_(translated.groups), separator_(translated.separator), re2_(std::move(re2)) {}

Regex::Regex(std::unique_ptr<const PostgresRegex> postgres)
    : groups_(postgres->groups()), postgres_(std::move(postgres)) {}

Regex::~Regex() = default;

absl::StatusOr<std::shared_ptr<const Regex>> Regex::Compile(std::string_view pattern,
                                                            const RegexOptions& options,
                                                            bool groups) {
  if (options.IsPlain()) {
    absl::StatusOr<ArePattern> translated = TranslateAre(pattern, options.ignore_case);
    if (!translated.ok() && !absl::IsUnimplemented(translated.status())) {
      return translated.status();
    }
    if (translated.ok() && !(groups && translated->groups_differ)) {
      re2::RE2::Options re2_options;
      re2_options.set_log_errors(false);
      re2_options.set_longest_match(!translated->shortest);
      re2_options.set_dot_nl(true);
      auto re2 = std::make_unique<re2::RE2>(translated->re2, re2_options);
      if (re2->ok()) {
        return std::shared_ptr<const Regex>(new Regex(*translated, std::move(re2)));
      }
    }
  }
  ASSIGN_OR_RETURN(std::unique_ptr<const PostgresRegex> postgres,
                   PostgresRegex::Compile(pattern, options));
  return std::shared_ptr<const Regex>(new Regex(std::move(postgres)));
}

absl::StatusOr<bool> Regex::Contains(std::string_view text) const {
  if (postgres_ != nullptr) {
    std::vector<Span> none;
    return PostgresSearch(*postgres_, text).Find(0, &none);
  }
  return re2_->Match(re2::StringPiece(text.data(), text.size()), 0, text.size(),
                     re2::RE2::UNANCHORED, nullptr, 0);
}

bool Regex::FindWithRe2(std::string_view text, size_t start, std::vector<Span>* spans) const {
  constexpr size_t kInlineGroups = 10;
  std::array<re2::StringPiece, kInlineGroups> few;
  std::vector<re2::StringPiece> many;
  re2::StringPiece* pieces = few.data();
  if (spans->size() > kInlineGroups) {
    many.resize(spans->size());
    pieces = many.data();
  }
  if (!re2_->Match(re2::StringPiece(text.data(), text.size()), start, text.size(),
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

RegexSearch::RegexSearch(const Regex& regex, std::string_view text) : regex_(regex), text_(text) {
  if (regex.postgres_ != nullptr) {
    postgres_ = std::make_unique<PostgresSearch>(*regex.postgres_, text);
  }
}

bool RegexSearch::Find(size_t start, std::vector<Regex::Span>* spans) {
  if (postgres_ == nullptr) {
    return regex_.FindWithRe2(text_, start, spans);
  }
  absl::StatusOr<bool> found = postgres_->Find(start, spans);
  if (!found.ok()) {
    status_ = std::move(found).status();
    return false;
  }
  return *found;
}

}  // namespace millrace
