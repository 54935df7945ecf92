// The pattern language of to_char and to_number for numbers ('FM999,999.00'), as PostgreSQL has it.
// Pure functions.
#ifndef MILLRACE_COMMON_EXPR_FORMAT_NUMBER_PATTERN_H_
#define MILLRACE_COMMON_EXPR_FORMAT_NUMBER_PATTERN_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace millrace {

enum class NumberPart {
  kText,      // any other character
  kComma,     // ,
  kGroup,     // G
  kPoint,     // . or D
  kDigit,     // 9
  kZero,      // 0
  kBlank,     // B
  kCurrency,  // L
  kExponent,  // EEEE
  kFill,      // FM
  kMinus,     // MI
  kPlus,      // PL
  kSign,      // SG
  kBrackets,  // PR
  kRoman,     // RN
  kAnchored,  // S: a sign beside the number
  kOrdinal,   // TH
  kShift,     // V
  kNothing,   // C and SP, which PostgreSQL knows and does nothing for
};

struct NumberPiece {
  NumberPart part = NumberPart::kText;
  bool lower = false;  // of roman numerals and ordinals
  std::string text;    // the character, if it is no field
};

struct NumberPattern {
  enum class Anchor { kNone, kBefore, kBehind };

  std::vector<NumberPiece> pieces;
  int before = 0;      // digits before the point
  int behind = 0;      // and behind it
  int shift = 0;       // digits behind a V
  int zero_start = 0;  // the first digit that is a 0, from 1; 0 = there is none before the point
  int zero_end = 0;    // digits up to the last 0
  bool zero = false;
  bool point = false;
  bool fill = false;
  bool plus = false;
  bool minus = false;
  bool brackets = false;
  bool roman = false;
  bool shifted = false;
  bool exponent = false;
  bool blank = false;
  bool anchored = false;
  Anchor anchor = Anchor::kNone;
  int digits_before_sign = 0;
};

// INVALID_ARGUMENT for parts that do not go together, as PostgreSQL words it.
absl::StatusOr<NumberPattern> ParseNumberPattern(std::string_view text);

// Parts that can only be written.
absl::Status CheckReadPattern(const NumberPattern& pattern);

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_FORMAT_NUMBER_PATTERN_H_
