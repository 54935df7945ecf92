// similar_to_escape: the pattern of SIMILAR TO as a regular expression, which ~ then matches. The
// binder writes `a SIMILAR TO b ESCAPE c` as `a ~ similar_to_escape(b, c)`.
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/expr/functions/families.h"
#include "common/expr/text/utf8.h"

namespace millrace {
namespace {

// Reads a pattern a character at a time. The parts between escaped double quotes (of which
// substring would give the middle one) become groups, as in PostgreSQL.
class SimilarPattern {
 public:
  // An empty `escape`: the pattern has no escape character.
  explicit SimilarPattern(std::string_view escape) : escape_(escape) {}

  absl::StatusOr<std::string> Translate(std::string_view pattern) {
    while (!pattern.empty()) {
      const std::string_view character = pattern.substr(0, FirstCharBytes(pattern));
      pattern.remove_prefix(character.size());
      if (escaped_) {
        escaped_ = false;
        RETURN_IF_ERROR(AddEscaped(character));
      } else if (!escape_.empty() && character == escape_) {
        escaped_ = true;
      } else if (brackets_ > 0) {
        AddInBrackets(character);
      } else {
        Add(character);
      }
    }
    return absl::StrCat(out_, ")$");
  }

 private:
  absl::Status AddEscaped(std::string_view character) {
    if (character != "\"" || brackets_ > 0) {
      absl::StrAppend(&out_, "\\", ToAbsl(character));
      in_brackets_ = 3;
      return absl::OkStatus();
    }
    if (++separators_ > 2) {
      return absl::InvalidArgumentError(
          "SQL regular expression may not contain more than two escape-double-quote separators");
    }
    out_ += separators_ == 1 ? "){1,1}?(" : "){1,1}(?:";
    return absl::OkStatus();
  }

  void AddInBrackets(std::string_view character) {
    absl::StrAppend(&out_, character == "\\" ? "\\" : "", ToAbsl(character));
    if (character == "]" && in_brackets_ > 2) {
      --brackets_;
    } else if (character == "[") {
      ++brackets_;
      in_brackets_ = 3;
    } else if (character == "^") {
      ++in_brackets_;
    } else {
      in_brackets_ = 3;
    }
  }

  void Add(std::string_view character) {
    if (character == "[") {
      brackets_ = 1;
      in_brackets_ = 1;
    }
    if (character == "%") {
      out_ += ".*";
    } else if (character == "_") {
      out_ += ".";
    } else if (character == "(") {
      out_ += "(?:";
    } else if (character == "\\" || character == "." || character == "^" || character == "$") {
      absl::StrAppend(&out_, "\\", ToAbsl(character));
    } else {
      out_ += character;
    }
  }

  const std::string_view escape_;
  std::string out_ = "^(?:";
  bool escaped_ = false;
  int separators_ = 0;
  int brackets_ = 0;
  // The place in a bracket expression. 1: right behind [, where ^ negates and ] is a member; 2:
  // behind that ^; 3 and more: anywhere else.
  int in_brackets_ = 0;
};

absl::StatusOr<std::string> SimilarToEscape(std::string_view pattern, std::string_view escape) {
  if (CountChars(escape) > 1) {
    return absl::InvalidArgumentError("invalid escape string");
  }
  return SimilarPattern(escape).Translate(pattern);
}

}  // namespace

void AddSimilar(FunctionList* list) {
  list->Add("similar_to_escape",
            [](std::string_view pattern) { return SimilarToEscape(pattern, "\\"); });
  list->Add("similar_to_escape", [](std::string_view pattern, std::string_view escape) {
    return SimilarToEscape(pattern, escape);
  });
}

}  // namespace millrace
