#include "common/expr/format/number_reader.h"

#include <algorithm>

#include "common/expr/text/utf8.h"

namespace millrace {
namespace {

using Part = NumberPart;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Follows the pattern through the text and collects digits, one point and a sign.
class Reader {
 public:
  Reader(std::string_view text, const NumberPattern& pattern) : rest_(text), pattern_(pattern) {}

  ReadDecimal Read() {
    for (const NumberPiece& piece : pattern_.pieces) {
      if (rest_.empty()) {
        break;
      }
      Piece(piece);
    }
    std::string digits = digits_.ends_with('.') ? digits_.substr(0, digits_.size() - 1) : digits_;
    ReadDecimal number;
    number.text = std::string(1, sign_) + digits;
    number.scale = behind_;
    number.precision = pattern_.before + pattern_.shift + behind_;
    if (pattern_.shifted) {
      number.shift = pattern_.shift;
    }
    return number;
  }

 private:
  // REQUIRES: there is one.
  void SkipChar() { rest_.remove_prefix(std::min(FirstCharBytes(rest_), rest_.size())); }
  // Up to `count` characters that no number has.
  void SkipForeign(int count) {
    while (count-- > 0 && !rest_.empty() &&
           std::string_view("0123456789.,+-").find(rest_[0]) == std::string_view::npos) {
      SkipChar();
    }
  }

  void Piece(const NumberPiece& piece) {
    switch (piece.part) {
      case Part::kDigit:
      case Part::kZero:
      case Part::kPoint:
        TakeNumberPart(piece.part != Part::kPoint);
        return;
      case Part::kComma:
      case Part::kGroup:
        if (!pattern_.fill && rest_[0] == ',') {
          rest_.remove_prefix(1);
        }
        return;
      case Part::kCurrency:
        return SkipForeign(1);
      case Part::kOrdinal:
        if (!pattern_.point) {
          SkipForeign(2);
        }
        return;
      case Part::kMinus:
        return TakeSignHere("-");
      case Part::kPlus:
        return TakeSignHere("+");
      case Part::kSign:
        return TakeSignHere("+-");
      case Part::kText:
        return SkipChar();
      default:
        return;
    }
  }

  void TakeSignHere(std::string_view signs) {
    if (signs.find(rest_[0]) != std::string_view::npos) {
      sign_ = rest_[0];
      rest_.remove_prefix(1);
    } else {
      SkipForeign(1);
    }
  }

  bool TakeIf(char c, char sign) {
    if (rest_.empty() || rest_[0] != c) {
      return false;
    }
    sign_ = sign;
    rest_.remove_prefix(1);
    return true;
  }

  // Where the pattern has a digit or the point: a sign before the first digit, then one character
  // of the number, then a sign behind the last.
  void TakeNumberPart(bool digit) {
    if (rest_[0] == ' ') {
      rest_.remove_prefix(1);
    }
    if (sign_ == ' ' && digit && before_ + behind_ == 0) {
      const bool any_sign = pattern_.anchor != NumberPattern::Anchor::kBefore;
      if (!TakeIf('-', '-') && !TakeIf('+', '+') && any_sign && pattern_.brackets) {
        TakeIf('<', '-');
      }
    }
    if (rest_.empty()) {
      return;
    }
    const char c = rest_[0];
    rest_.remove_prefix(1);
    if (IsDigit(c)) {
      if (point_ && behind_ == pattern_.behind) {
        return;  // more than the pattern has places for
      }
      digits_.push_back(c);
      ++(point_ ? behind_ : before_);
    } else if (c == '.' && pattern_.point && !point_) {
      digits_.push_back('.');
      point_ = true;
    } else {
      TakeStray(c);
      return;
    }
    // A sign that belongs to the number stands right behind its last digit.
    if (sign_ == ' ' && before_ + behind_ > 0 && pattern_.anchored && !TakeIf('-', '-')) {
      TakeIf('+', '+');
    }
  }

  void TakeStray(char c) {
    const bool loose = pattern_.plus || pattern_.minus;  // its place need not be exact
    if (sign_ == ' ' && before_ + behind_ > 0 && loose && (c == '-' || c == '+')) {
      sign_ = c;
    }
  }

  std::string_view rest_;
  const NumberPattern& pattern_;
  std::string digits_;
  char sign_ = ' ';
  bool point_ = false;
  int before_ = 0;
  int behind_ = 0;
};

}  // namespace

ReadDecimal ReadNumber(std::string_view text, const NumberPattern& pattern) {
  return Reader(text, pattern).Read();
}

}  // namespace millrace
