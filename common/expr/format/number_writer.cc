#include "common/expr/format/number_writer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/expr/format/datetime_pattern.h"
#include "common/expr/format/decimal_text.h"

namespace millrace {
namespace {

using Part = NumberPart;

// The number's digits for the pattern: rounded, without sign.
struct Digits {
  std::string text;  // "123.40"
  bool negative = false;
  int before = 0;  // digits before the point that the pattern has
  int behind = 0;  // and behind it
};

// Walks through the pattern and writes the number's digits where the pattern has places for them.
// `place` counts the pattern's digits and its point, `next` the characters of the number that are
// written.
class Writer {
 public:
  Writer(const NumberPattern& pattern, Digits digits)
      : pattern_(pattern), digits_(std::move(digits)) {
    if (!pattern.roman) {
      SettleSign();
    }
    const size_t point = std::min(digits_.text.find('.'), digits_.text.size());
    if (!pattern.roman) {
      blanks_ = std::max(digits_.before - static_cast<int>(point), 0);
      if (static_cast<int>(point) > digits_.before) {
        digits_.text = std::string(static_cast<size_t>(digits_.before + digits_.behind + 1), '#');
        digits_.text[static_cast<size_t>(digits_.before)] = '.';
      }
    }
    if (pattern.fill && pattern.point && !pattern.roman) {
      FindLastRelevant();
    }
    last_place_ = digits_.behind + digits_.before - 1 + (!sign_written_ && blanks_ == 0 ? 1 : 0);
  }

  absl::StatusOr<std::string> Write() {
    for (const NumberPiece& piece : pattern_.pieces) {
      if (piece.part == Part::kOrdinal) {
        RETURN_IF_ERROR(Ordinal(piece.lower));
      } else {
        Piece(piece);
      }
      if (cut_) {
        break;
      }
    }
    return std::move(out_);
  }

 private:
  static constexpr size_t kNone = std::string::npos;

  void SettleSign() {
    anchor_ = pattern_.anchor;
    brackets_ = pattern_.brackets;
    if (pattern_.plus || pattern_.minus) {
      sign_written_ = !(pattern_.plus && !pattern_.minus);
      return;
    }
    if (!digits_.negative && pattern_.fill) {
      brackets_ = false;
    }
    sign_written_ = !digits_.negative && pattern_.fill && !pattern_.anchored;
    if (anchor_ == NumberPattern::Anchor::kBefore &&
        digits_.before == pattern_.digits_before_sign) {
      anchor_ = NumberPattern::Anchor::kBehind;
    }
  }

  // With FM, zeros at the end are dropped, unless the pattern has a 0 there.
  void FindLastRelevant() {
    const size_t point = digits_.text.find('.');
    if (point == kNone) {
      return;
    }
    last_relevant_ = std::max(digits_.text.find_last_not_of('0'), point);
    if (pattern_.zero_end > blanks_) {
      const size_t last_zero =
          std::min(digits_.text.size() - 1, static_cast<size_t>(pattern_.zero_end - blanks_));
      last_relevant_ = std::max(last_relevant_, last_zero);
    }
  }

  char Next() const { return next_ < digits_.text.size() ? digits_.text[next_] : '\0'; }
  bool HasRelevant() const { return last_relevant_ != kNone; }
  bool EndsInPoint() const { return HasRelevant() && digits_.text[last_relevant_] == '.'; }
  bool Zeroes() const { return pattern_.zero && !pattern_.roman; }
  int ZeroStart() const { return pattern_.zero_start > 0 ? pattern_.zero_start - 1 : 0; }

  // The 0 before a point, which patterns without 0 leave blank.
  bool AtLoneZero() const {
    return !Zeroes() && next_ == 0 && Next() == '0' && digits_.behind != 0;
  }

  void Piece(const NumberPiece& piece) {
    switch (piece.part) {
      case Part::kText:
        out_.append(piece.text);
        return;
      case Part::kDigit:
      case Part::kZero:
      case Part::kPoint:
        return Digit(piece.part);
      case Part::kComma:
      case Part::kGroup:
        if (in_number_) {
          out_.push_back(',');
        } else if (!pattern_.fill) {
          out_.push_back(' ');
        }
        return;
      case Part::kCurrency:
        out_.push_back(' ');
        return;
      case Part::kRoman:
        return Roman(piece.lower);
      case Part::kMinus:
        return SignOf(digits_.negative ? '-' : ' ');
      case Part::kPlus:
        return SignOf(digits_.negative ? ' ' : '+');
      case Part::kSign:
        return SignOf(digits_.negative ? '-' : '+');
      default:
        return;
    }
  }

  absl::Status Ordinal(bool lower) {
    if (pattern_.roman || digits_.text[0] == '#' || digits_.negative || pattern_.point) {
      return absl::OkStatus();
    }
    // A pattern without digits leaves the point alone of them; and there are NaN and infinity.
    if (!absl::ascii_isdigit(static_cast<unsigned char>(digits_.text.back()))) {
      return absl::InvalidArgumentError(absl::StrCat("\"", digits_.text, "\" is not a number"));
    }
    out_.append(OrdinalSuffix(digits_.text, !lower));
    return absl::OkStatus();
  }

  void SignOf(char sign) {
    if (pattern_.roman) {
      sign = sign == '-' || sign == '+' ? ' ' : sign;
    }
    if (sign != ' ' || !pattern_.fill) {
      out_.push_back(sign);
    }
  }

  void Roman(bool lower) {
    const std::string text = lower ? absl::AsciiStrToLower(digits_.text) : digits_.text;
    absl::StrAppendFormat(&out_, "%*s", pattern_.fill ? 0 : 15, text);
  }

  void Digit(Part part) {
    if (pattern_.roman) {
      return;
    }
    in_number_ = false;
    const bool starts = place_ >= blanks_ || (Zeroes() && ZeroStart() == place_);
    if (!sign_written_ && starts && (!AtLoneZero() || EndsInPoint())) {
      SignBefore();
    }
    if (place_ < blanks_ && (!Zeroes() || ZeroStart() > place_)) {
      out_.append(pattern_.fill ? "" : " ");
    } else if (place_ < blanks_) {
      out_.push_back('0');
      in_number_ = true;
    } else {
      Character(part);
    }
    if (cut_) {
      return;
    }
    int end = last_place_ + (blanks_ > 0 ? 1 : 0) + (pattern_.point ? 1 : 0);
    if (HasRelevant() && last_relevant_ == next_) {
      end = place_;
    }
    if (place_ + 1 == end) {
      SignBehind();
    }
    ++place_;
  }

  void Character(Part part) {
    if (Next() == '.') {
      if (!EndsInPoint() || pattern_.fill) {
        out_.push_back('.');
      }
    } else if (HasRelevant() && next_ > last_relevant_ && part != Part::kZero) {
      // a zero at the end
    } else if (AtLoneZero()) {
      if (!pattern_.fill) {
        out_.push_back(' ');
      } else if (EndsInPoint()) {
        out_.push_back('0');
      }
    } else if (Next() == '\0') {
      cut_ = true;  // a point without digits behind it, with which PostgreSQL ends
    } else {
      out_.push_back(Next());
      in_number_ = true;
    }
    next_ = std::min(next_ + 1, digits_.text.size());
  }

  void SignBefore() {
    if (pattern_.anchored) {
      if (anchor_ == NumberPattern::Anchor::kBefore) {
        out_.push_back(digits_.negative ? '-' : '+');
        sign_written_ = true;
      }
      return;
    }
    if (brackets_) {
      out_.push_back(digits_.negative ? '<' : ' ');
    } else if (digits_.negative) {
      out_.push_back('-');
    } else if (!pattern_.fill) {
      out_.push_back(' ');
    }
    sign_written_ = true;
  }

  void SignBehind() {
    if (sign_written_ && brackets_) {
      out_.push_back(digits_.negative ? '>' : ' ');
    } else if (pattern_.anchored && anchor_ == NumberPattern::Anchor::kBehind) {
      out_.push_back(digits_.negative ? '-' : '+');
    }
  }

  const NumberPattern& pattern_;
  Digits digits_;
  std::string out_;
  NumberPattern::Anchor anchor_ = NumberPattern::Anchor::kNone;
  bool brackets_ = false;
  bool sign_written_ = false;
  bool in_number_ = false;
  bool cut_ = false;
  int blanks_ = 0;      // places before the number's first digit
  int last_place_ = 0;  // of the number
  int place_ = 0;
  size_t next_ = 0;
  size_t last_relevant_ = kNone;
};

std::string RomanNumeral(int64_t number) {
  struct Step {
    int64_t value;
    std::string_view numeral;
  };
  constexpr std::array kSteps = {Step{1000, "M"}, Step{900, "CM"}, Step{500, "D"}, Step{400, "CD"},
                                 Step{100, "C"},  Step{90, "XC"},  Step{50, "L"},  Step{40, "XL"},
                                 Step{10, "X"},   Step{9, "IX"},   Step{5, "V"},   Step{4, "IV"},
                                 Step{1, "I"}};
  constexpr int64_t kMost = 3999;
  constexpr size_t kWidth = 15;
  if (number < 1 || number > kMost) {
    return std::string(kWidth, '#');
  }
  std::string text;
  for (const Step& step : kSteps) {
    for (; number >= step.value; number -= step.value) {
      text.append(step.numeral);
    }
  }
  return text;
}

absl::StatusOr<std::string> WithSign(std::string text, const NumberPattern& pattern, int before,
                                     int behind) {
  Digits digits;
  digits.before = before;
  digits.behind = behind;
  digits.negative = text.starts_with('-');
  digits.text = digits.negative ? text.substr(1) : std::move(text);
  return Writer(pattern, std::move(digits)).Write();
}

// The integer that roman numerals are made of.
absl::StatusOr<int32_t> WholeNumber(std::string_view number) {
  if (number.back() < '0' || number.back() > '9') {
    return absl::OutOfRangeError(
        absl::StrCat("cannot convert ", number == "NaN" ? "NaN" : "infinity", " to integer"));
  }
  int32_t whole = 0;
  if (!absl::SimpleAtoi(RoundDecimal(number, 0), &whole)) {
    return absl::OutOfRangeError("integer out of range");
  }
  return whole;
}

// The text for a value without digits (NaN, infinity).
std::string NoDigits(const NumberPattern& pattern) {
  std::string text(static_cast<size_t>(pattern.before + pattern.behind + 6), '#');
  text[0] = ' ';
  if (static_cast<size_t>(pattern.before) + 1 < text.size()) {
    text[static_cast<size_t>(pattern.before) + 1] = '.';
  }
  return text;
}

std::string BlankForPlus(const std::string& text) {
  return text.starts_with('-') ? text : " " + text;
}

}  // namespace

absl::StatusOr<std::string> WriteDecimal(std::string_view number, const NumberPattern& pattern) {
  if (pattern.pieces.empty()) {
    return "";
  }
  const bool finite = number.back() >= '0' && number.back() <= '9';
  if (pattern.roman) {
    ASSIGN_OR_RETURN(const int32_t whole, WholeNumber(number));
    return WithSign(RomanNumeral(whole), pattern, 0, 0);
  }
  if (pattern.exponent) {
    return finite ? BlankForPlus(ScientificDecimal(number, pattern.behind)) : NoDigits(pattern);
  }
  std::string text(number);
  if (finite) {
    text = RoundDecimal(ShiftDecimal(number, pattern.shift), pattern.behind);
  }
  return WithSign(std::move(text), pattern, pattern.before + pattern.shift, pattern.behind);
}

absl::StatusOr<std::string> WriteFloat(double value, int digits, const NumberPattern& pattern) {
  if (pattern.pieces.empty()) {
    return "";
  }
  if (pattern.roman) {
    const double rounded = std::rint(value);
    const bool fits = rounded >= 1 && rounded < 4000;
    return WithSign(RomanNumeral(fits ? static_cast<int64_t>(rounded) : 0), pattern, 0, 0);
  }
  if (pattern.exponent) {
    return std::isfinite(value) ? BlankForPlus(absl::StrFormat("%.*e", pattern.behind, value))
                                : NoDigits(pattern);
  }
  const double shifted = value * std::pow(10.0, pattern.shift);
  // As in PostgreSQL, the letters of NaN and Infinity count as digits before the point.
  const std::string whole = std::isnan(shifted)   ? "NaN"
                            : std::isinf(shifted) ? "Infinity"
                                                  : absl::StrFormat("%.0f", std::fabs(shifted));
  const int behind = std::clamp(digits - static_cast<int>(whole.size()), 0, pattern.behind);
  std::string text = std::isfinite(shifted) ? absl::StrFormat("%.*f", behind, shifted)
                                            : absl::StrCat(shifted < 0 ? "-" : "", whole);
  return WithSign(std::move(text), pattern, pattern.before + pattern.shift, behind);
}

}  // namespace millrace
