#include "common/expr/format/number_pattern.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "common/base/status.h"
#include "common/expr/format/pattern_text.h"

namespace millrace {
namespace {

using Part = NumberPart;

struct Keyword {
  std::string_view name;
  Part part;
};

// Longer ones before those that they begin with.
constexpr std::array kKeywords = {
    Keyword{",", Part::kComma},    Keyword{".", Part::kPoint},       Keyword{"0", Part::kZero},
    Keyword{"9", Part::kDigit},    Keyword{"B", Part::kBlank},       Keyword{"C", Part::kNothing},
    Keyword{"D", Part::kPoint},    Keyword{"EEEE", Part::kExponent}, Keyword{"FM", Part::kFill},
    Keyword{"G", Part::kGroup},    Keyword{"L", Part::kCurrency},    Keyword{"MI", Part::kMinus},
    Keyword{"PL", Part::kPlus},    Keyword{"PR", Part::kBrackets},   Keyword{"RN", Part::kRoman},
    Keyword{"SG", Part::kSign},    Keyword{"SP", Part::kNothing},    Keyword{"S", Part::kAnchored},
    Keyword{"TH", Part::kOrdinal}, Keyword{"V", Part::kShift},
};

const Keyword* FindKeyword(std::string_view rest) {
  const auto* found = std::find_if(kKeywords.begin(), kKeywords.end(), [&](const Keyword& k) {
    return rest.starts_with(k.name) || rest.starts_with(absl::AsciiStrToLower(ToAbsl(k.name)));
  });
  return found == kKeywords.end() ? nullptr : found;
}

absl::Status Refuse(const char* words) { return absl::InvalidArgumentError(words); }

class PatternReader {
 public:
  absl::StatusOr<NumberPattern> Read(std::string_view rest) {
    while (!rest.empty()) {
      if (const Keyword* keyword = FindKeyword(rest); keyword != nullptr) {
        const bool lower = absl::ascii_islower(static_cast<unsigned char>(rest[0]));
        rest.remove_prefix(keyword->name.size());
        RETURN_IF_ERROR(Take(keyword->part));
        out_.pieces.push_back({.part = keyword->part, .lower = lower, .text = {}});
      } else if (rest[0] == '"') {
        rest.remove_prefix(1);
        while (NextQuoted(&rest)) {
          TakeText(&rest);
        }
      } else {
        if (rest.starts_with("\\\"")) {
          rest.remove_prefix(1);
        }
        TakeText(&rest);
      }
    }
    return std::move(out_);
  }

 private:
  void TakeText(std::string_view* rest) {
    out_.pieces.push_back({.part = Part::kText, .lower = false, .text = TakePatternChar(rest)});
  }

  absl::Status Take(Part part) {
    if (out_.exponent && part != Part::kExponent) {
      return Refuse("\"EEEE\" must be the last pattern used");
    }
    switch (part) {
      case Part::kDigit:
      case Part::kZero:
        return TakeDigit(part == Part::kZero);
      case Part::kBlank:
        out_.blank = out_.blank || (out_.before == 0 && out_.behind == 0 && !out_.zero);
        return absl::OkStatus();
      case Part::kPoint:
        return TakePoint();
      case Part::kFill:
        out_.fill = true;
        return absl::OkStatus();
      case Part::kRoman:
        out_.roman = true;
        return absl::OkStatus();
      case Part::kShift:
        if (out_.point) {
          return Refuse("cannot use \"V\" and decimal point together");
        }
        out_.shifted = true;
        return absl::OkStatus();
      case Part::kExponent:
        return TakeExponent();
      default:
        return TakeSign(part);
    }
  }

  absl::Status TakeDigit(bool zero) {
    if (out_.brackets) {
      return Refuse(zero ? "\"0\" must be ahead of \"PR\"" : "\"9\" must be ahead of \"PR\"");
    }
    if (!zero && out_.shifted) {
      ++out_.shift;
      return absl::OkStatus();
    }
    if (zero && !out_.zero && !out_.point) {
      out_.zero = true;
      out_.zero_start = out_.before + 1;
    }
    ++(out_.point ? out_.behind : out_.before);
    if (zero) {
      out_.zero_end = out_.before + out_.behind;
    }
    return absl::OkStatus();
  }

  absl::Status TakePoint() {
    if (out_.point) {
      return Refuse("multiple decimal points");
    }
    if (out_.shifted) {
      return Refuse("cannot use \"V\" and decimal point together");
    }
    out_.point = true;
    return absl::OkStatus();
  }

  absl::Status TakeExponent() {
    if (out_.exponent) {
      return Refuse("cannot use \"EEEE\" twice");
    }
    if (out_.blank || out_.fill || out_.anchored || out_.brackets || out_.minus || out_.plus ||
        out_.roman || out_.shifted) {
      return Refuse("\"EEEE\" is incompatible with other formats");
    }
    out_.exponent = true;
    return absl::OkStatus();
  }

  absl::Status TakeSign(Part part) {
    switch (part) {
      case Part::kAnchored:
        if (out_.anchored) {
          return Refuse("cannot use \"S\" twice");
        }
        if (out_.plus || out_.minus || out_.brackets) {
          return Refuse("cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together");
        }
        out_.anchor = out_.point ? NumberPattern::Anchor::kBehind : NumberPattern::Anchor::kBefore;
        out_.digits_before_sign = out_.before;
        out_.anchored = true;
        return absl::OkStatus();
      case Part::kMinus:
        out_.minus = true;
        return out_.anchored ? Refuse("cannot use \"S\" and \"MI\" together") : absl::OkStatus();
      case Part::kPlus:
        out_.plus = true;
        return out_.anchored ? Refuse("cannot use \"S\" and \"PL\" together") : absl::OkStatus();
      case Part::kSign:
        out_.plus = out_.minus = true;
        return out_.anchored ? Refuse("cannot use \"S\" and \"SG\" together") : absl::OkStatus();
      case Part::kBrackets:
        if (out_.anchored || out_.plus || out_.minus) {
          return Refuse("cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together");
        }
        out_.brackets = true;
        return absl::OkStatus();
      default:
        return absl::OkStatus();
    }
  }

  NumberPattern out_;
};

}  // namespace

absl::StatusOr<NumberPattern> ParseNumberPattern(std::string_view text) {
  return PatternReader().Read(text);
}

absl::Status CheckReadPattern(const NumberPattern& pattern) {
  if (pattern.exponent) {
    return Refuse("\"EEEE\" not supported for input");
  }
  return pattern.roman ? Refuse("\"RN\" not supported for input") : absl::OkStatus();
}

}  // namespace millrace
