#include "common/types/datetime_tokens.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "common/types/datetime_words.h"

namespace millrace {
namespace {

using Kind = DateTimeToken::Kind;

constexpr size_t kMostTokens = 25;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsAlpha(char c) { return absl::ascii_isalpha(static_cast<unsigned char>(c)); }
bool IsAlnum(char c) { return IsDigit(c) || IsAlpha(c); }
bool IsSpace(char c) { return absl::ascii_isspace(static_cast<unsigned char>(c)); }

class Splitter {
 public:
  Splitter(std::string_view text, size_t most_bytes) : rest_(text), most_bytes_(most_bytes) {}

  std::optional<std::vector<DateTimeToken>> Split() {
    while (!rest_.empty()) {
      const char first = rest_[0];
      if (IsSpace(first)) {
        rest_.remove_prefix(1);
        continue;
      }
      current_ = {};
      if (IsDigit(first)) {
        TakeNumber();
      } else if (first == '.') {
        TakeChar();
        TakeWhile(IsDigit);  // a fraction of seconds by itself
      } else if (IsAlpha(first)) {
        TakeWord();
      } else if (first == '+' || first == '-') {
        if (!TakeSigned()) {
          return std::nullopt;
        }
      } else if (absl::ascii_ispunct(static_cast<unsigned char>(first))) {
        rest_.remove_prefix(1);  // a separator without meaning
        continue;
      } else {
        return std::nullopt;
      }
      bytes_ += current_.text.size() + 1;
      tokens_.push_back(std::move(current_));
      if (tokens_.size() > kMostTokens || bytes_ > most_bytes_) {
        return std::nullopt;
      }
    }
    return std::move(tokens_);
  }

 private:
  char Next() const { return rest_.empty() ? '\0' : rest_[0]; }

  void TakeChar() {
    current_.text.push_back(absl::ascii_tolower(static_cast<unsigned char>(rest_[0])));
    rest_.remove_prefix(1);
  }
  template <typename Test>
  void TakeWhile(Test test) {
    while (!rest_.empty() && test(rest_[0])) {
      TakeChar();
    }
  }

  void TakeNumber() {
    TakeWhile(IsDigit);
    const char separator = Next();
    if (separator == ':') {
      current_.kind = Kind::kTime;
      TakeWhile([](char c) { return IsDigit(c) || c == ':' || c == '.'; });
    } else if (separator == '-' || separator == '/' || separator == '.') {
      TakeDate(separator);
    }
  }

  // Takes the rest of a date, or of a number with a point, behind its first number.
  void TakeDate(char separator) {
    TakeChar();
    current_.kind = Kind::kDate;
    if (!IsDigit(Next())) {  // a month's name
      TakeWhile([separator](char c) { return IsAlnum(c) || c == separator; });
      return;
    }
    TakeWhile(IsDigit);
    if (Next() == separator) {
      TakeWhile([separator](char c) { return IsDigit(c) || c == separator; });
    } else if (separator == '.') {
      current_.kind = Kind::kNumber;
    }
  }

  // A word, or a date that begins with one, or the name of a time zone.
  void TakeWord() {
    current_.kind = Kind::kWord;
    TakeWhile(IsAlpha);
    const char next = Next();
    const bool goes_on =
        next == '-' || next == '/' || next == '.' ||
        ((next == '+' || IsDigit(next)) && FindDateTimeWord(current_.text) == nullptr);
    if (goes_on) {
      current_.kind = Kind::kDate;
      TakeWhile([](char c) {
        return IsAlnum(c) || c == '+' || c == '-' || c == '/' || c == '_' || c == '.' || c == ':';
      });
    }
  }

  bool TakeSigned() {
    TakeChar();
    while (IsSpace(Next())) {
      rest_.remove_prefix(1);
    }
    if (IsDigit(Next())) {
      current_.kind = Kind::kZone;
      TakeWhile([](char c) { return IsDigit(c) || c == ':' || c == '.' || c == '-'; });
      return true;
    }
    current_.kind = Kind::kSignedWord;
    TakeWhile(IsAlpha);
    return current_.text.size() > 1;
  }

  std::string_view rest_;
  const size_t most_bytes_;
  DateTimeToken current_;
  size_t bytes_ = 0;
  std::vector<DateTimeToken> tokens_;
};

}  // namespace

std::optional<std::vector<DateTimeToken>> SplitDateTime(std::string_view text, size_t most_bytes) {
  return Splitter(text, most_bytes).Split();
}

}  // namespace millrace
