#include "common/expr/regex/are_pattern.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/expr/regex/char_set.h"
#include "common/expr/text/utf8.h"

namespace millrace {
namespace {

constexpr int kMostRepeats = 255;  // PostgreSQL's DUPMAX
constexpr int kUnlimited = -1;
constexpr int kMaxDepth = 200;

// A translated part of the pattern, with what must be known about it to judge the whole.
struct Piece {
  std::string re2;
  std::bitset<129> first;  // bytes it can begin with
  bool nullable = true;
  bool has_group = false;
  bool optional_group = false;  // a group in it may take no part in a match
  bool atom = false;            // can take a quantifier without parentheses
  bool single_char = false;
  bool anchor = false;
  CharSet chars;  // of a single character
};

class AreTranslator {
 public:
  AreTranslator(std::string_view pattern, bool ignore_case)
      : pattern_(pattern), ignore_case_(ignore_case) {}

  absl::StatusOr<ArePattern> Translate();

 private:
  absl::StatusOr<Piece> ReadAlternatives(int depth);
  absl::StatusOr<Piece> ReadBranch(int depth);
  absl::StatusOr<Piece> ReadAtom(int depth);
  absl::StatusOr<Piece> ReadGroup(int depth);
  absl::StatusOr<Piece> ReadEscape();
  absl::StatusOr<CharSet> ReadBracket();
  absl::Status ReadBracketItem(CharSet* set);
  absl::StatusOr<CharSet> ReadNamedClass();
  absl::StatusOr<uint32_t> ReadCharEscape(char letter);
  absl::StatusOr<Piece> ReadQuantifier(Piece piece);
  absl::Status ReadBounds(int* least, int* most);
  absl::Status ReadOptions();

  bool AtEnd() const { return at_ == pattern_.size(); }
  bool Take(std::string_view text) {
    if (!pattern_.substr(at_).starts_with(text)) {
      return false;
    }
    at_ += text.size();
    return true;
  }
  uint32_t TakeChar() {
    size_t bytes = 1;
    uint32_t c = DecodeChar(pattern_.substr(at_), &bytes);
    at_ += bytes;
    return c;
  }
  Piece SingleChar(const CharSet& set) const;
  absl::Status Invalid(std::string_view why) const {
    return absl::InvalidArgumentError(absl::StrCat("invalid regular expression: ", ToAbsl(why)));
  }
  static absl::Status NotForRe2(std::string_view what) {
    return absl::UnimplementedError(ToAbsl(what));
  }

  std::string_view pattern_;
  bool ignore_case_;
  size_t at_ = 0;
  int groups_ = 0;
  bool greedy_ = false;
  bool lazy_ = false;
  bool lazy_on_more_than_a_char_ = false;
  bool alternation_ = false;
  bool groups_differ_ = false;
};

Piece AreTranslator::SingleChar(const CharSet& set) const {
  Piece piece;
  piece.chars = set;
  piece.re2 = set.ToRe2();
  piece.first = set.FirstBytes();
  piece.nullable = false;
  piece.atom = true;
  piece.single_char = true;
  return piece;
}

absl::StatusOr<ArePattern> AreTranslator::Translate() {
  if (pattern_.starts_with("***")) {
    return NotForRe2("directors (***)");
  }
  RETURN_IF_ERROR(ReadOptions());
  ASSIGN_OR_RETURN(Piece whole, ReadAlternatives(0));
  if (!AtEnd()) {
    return Invalid("parentheses () not balanced");
  }
  if (lazy_ && (greedy_ || lazy_on_more_than_a_char_ || alternation_)) {
    return NotForRe2(
        "non-greedy quantifiers together with greedy ones, alternatives or quantified groups");
  }
  ArePattern result;
  result.re2 = std::move(whole.re2);
  result.shortest = lazy_;
  result.groups = groups_;
  result.groups_differ = groups_ > 0 && groups_differ_;
  // `chars` survives only for one set, or one set with a plus behind it.
  if (!whole.chars.empty() && whole.chars.IsAscii() && !lazy_) {
    AsciiSeparator separator;
    separator.repeats = !whole.single_char;
    std::bitset<129> bytes = whole.chars.FirstBytes();
    for (size_t i = 0; i < 128; ++i) {
      separator.bytes[i] = bytes[i];
    }
    result.separator = separator;
  }
  return result;
}

// Options in front: (?i), (?c), (?s).
absl::Status AreTranslator::ReadOptions() {
  if (!pattern_.starts_with("(?") || pattern_.size() < 3 ||
      !absl::ascii_isalpha(static_cast<unsigned char>(pattern_[2]))) {
    return absl::OkStatus();
  }
  at_ = 2;
  while (!AtEnd() && pattern_[at_] != ')') {
    char option = pattern_[at_++];
    if (option == 'i') {
      ignore_case_ = true;
    } else if (option == 'c') {
      ignore_case_ = false;
    } else if (option != 's' && option != 't') {
      return NotForRe2(absl::StrCat("embedded options like ", absl::string_view(&option, 1)));
    }
  }
  return Take(")") ? absl::OkStatus() : Invalid("parentheses () not balanced");
}

absl::StatusOr<Piece> AreTranslator::ReadAlternatives(int depth) {
  if (depth > kMaxDepth) {
    return Invalid("regular expression is too complex");
  }
  ASSIGN_OR_RETURN(Piece result, ReadBranch(depth));
  while (Take("|")) {
    ASSIGN_OR_RETURN(Piece branch, ReadBranch(depth));
    alternation_ = true;
    // With the next character deciding between the branches, or with "nothing" as the last of them,
    // there is only one way to match; otherwise the engines may choose different ones for the same
    // text.
    groups_differ_ = groups_differ_ || result.nullable || (result.first & branch.first).any();
    result.re2 = absl::StrCat(result.re2, "|", branch.re2);
    result.first |= branch.first;
    result.nullable = result.nullable || branch.nullable;
    result.has_group = result.has_group || branch.has_group;
    result.optional_group = result.has_group;
    result.atom = false;
    result.single_char = false;
    result.chars = CharSet();
  }
  return result;
}

absl::StatusOr<Piece> AreTranslator::ReadBranch(int depth) {
  Piece result;
  int count = 0;
  while (!AtEnd() && pattern_[at_] != '|' && pattern_[at_] != ')') {
    ASSIGN_OR_RETURN(Piece piece, ReadAtom(depth));
    ASSIGN_OR_RETURN(piece, ReadQuantifier(std::move(piece)));
    if (++count == 1) {
      result = std::move(piece);
      continue;
    }
    if (result.nullable) {
      result.first |= piece.first;
    }
    absl::StrAppend(&result.re2, piece.re2);
    result.nullable = result.nullable && piece.nullable;
    result.has_group = result.has_group || piece.has_group;
    result.optional_group = result.optional_group || piece.optional_group;
    result.atom = false;
    result.single_char = false;
    result.chars = CharSet();
  }
  return result;
}

absl::StatusOr<Piece> AreTranslator::ReadAtom(int depth) {
  uint32_t c = TakeChar();
  switch (c) {
    case '(':
      return ReadGroup(depth);
    case '[': {
      ASSIGN_OR_RETURN(CharSet set, ReadBracket());
      return SingleChar(set);
    }
    case '.':
      return SingleChar(CharSet::OfRange(0, CharSet::kLastCodePoint));
    case '^':
    case '$': {
      Piece piece;
      piece.re2 = c == '^' ? "\\A" : "\\z";
      piece.anchor = true;
      return piece;
    }
    case '*':
    case '+':
    case '?':
      return Invalid("quantifier operand invalid");
    case '{':
      if (!AtEnd() && absl::ascii_isdigit(static_cast<unsigned char>(pattern_[at_]))) {
        return Invalid("quantifier operand invalid");
      }
      break;
    case '\\':
      return ReadEscape();
    default:
      break;
  }
  CharSet set = CharSet::Of(c);
  return SingleChar(ignore_case_ ? set.WithBothCases() : set);
}

absl::StatusOr<Piece> AreTranslator::ReadGroup(int depth) {
  bool capturing = true;
  if (Take("?")) {
    if (Take("=") || Take("!") || Take("<=") || Take("<!")) {
      return NotForRe2("look-ahead and look-behind");
    }
    if (!Take(":")) {
      return Invalid("quantifier operand invalid");
    }
    capturing = false;
  }
  groups_ += capturing ? 1 : 0;
  ASSIGN_OR_RETURN(Piece piece, ReadAlternatives(depth + 1));
  if (!Take(")")) {
    return Invalid("parentheses () not balanced");
  }
  piece.re2 = absl::StrCat(capturing ? "(" : "(?:", piece.re2, ")");
  piece.has_group = piece.has_group || capturing;
  piece.atom = true;
  piece.anchor = false;
  piece.single_char = false;
  piece.chars = CharSet();
  return piece;
}

absl::Status AreTranslator::ReadBounds(int* least, int* most) {
  auto number = [this](int* value) {
    size_t begin = at_;
    *value = 0;
    while (!AtEnd() && absl::ascii_isdigit(static_cast<unsigned char>(pattern_[at_]))) {
      *value = std::min(*value * 10 + (pattern_[at_++] - '0'), kMostRepeats + 1);
    }
    return at_ > begin;
  };
  if (!number(least)) {
    return Invalid("invalid repetition count(s)");
  }
  *most = *least;
  if (Take(",") && !number(most)) {
    *most = kUnlimited;
  }
  if (!Take("}")) {
    return Invalid(AtEnd() ? "braces {} not balanced" : "invalid repetition count(s)");
  }
  if (*least > kMostRepeats || *most > kMostRepeats || (*most != kUnlimited && *most < *least)) {
    return Invalid("invalid repetition count(s)");
  }
  return absl::OkStatus();
}

absl::StatusOr<Piece> AreTranslator::ReadQuantifier(Piece piece) {
  int least = 1;
  int most = 1;
  std::string text;
  if (Take("*")) {
    least = 0;
    most = kUnlimited;
    text = "*";
  } else if (Take("+")) {
    most = kUnlimited;
    text = "+";
  } else if (Take("?")) {
    least = 0;
    text = "?";
  } else if (!AtEnd() && pattern_[at_] == '{' && at_ + 1 < pattern_.size() &&
             absl::ascii_isdigit(static_cast<unsigned char>(pattern_[at_ + 1]))) {
    ++at_;
    RETURN_IF_ERROR(ReadBounds(&least, &most));
    text = absl::StrCat("{", least, least == most ? "" : ",",
                        most == least || most == kUnlimited ? "" : absl::StrCat(most), "}");
  } else {
    return piece;
  }
  if (piece.anchor) {
    return Invalid("quantifier operand invalid");
  }
  bool lazy = Take("?");
  if (!AtEnd() && (pattern_[at_] == '*' || pattern_[at_] == '+' || pattern_[at_] == '?')) {
    return Invalid("quantifier operand invalid");
  }
  if (least != most) {  // a fixed count has no preference
    greedy_ = greedy_ || !lazy;
    lazy_ = lazy_ || lazy;
    lazy_on_more_than_a_char_ = lazy_on_more_than_a_char_ || (lazy && !piece.single_char);
    text += lazy ? "?" : "";
  }
  bool repeats = most == kUnlimited || most > 1;
  // The engines differ on a repeated group that can match nothing, or that holds an optional group.
  groups_differ_ =
      groups_differ_ || (repeats && ((piece.has_group && piece.nullable) || piece.optional_group));
  piece.optional_group = piece.optional_group || (piece.has_group && least == 0);
  piece.re2 = absl::StrCat(piece.atom ? "" : "(?:", piece.re2, piece.atom ? "" : ")", text);
  piece.nullable = piece.nullable || least == 0;
  piece.atom = false;
  bool plus = least == 1 && most == kUnlimited;
  if (!piece.single_char || !plus) {
    piece.chars = CharSet();
  }
  piece.single_char = false;
  return piece;
}

absl::StatusOr<uint32_t> AreTranslator::ReadCharEscape(char letter) {
  auto hex = [this](size_t least, size_t most) -> absl::StatusOr<uint32_t> {
    uint32_t value = 0;
    size_t count = 0;
    while (count < most && !AtEnd() &&
           absl::ascii_isxdigit(static_cast<unsigned char>(pattern_[at_]))) {
      char lower = absl::ascii_tolower(static_cast<unsigned char>(pattern_[at_++]));
      value = value * 16 + static_cast<uint32_t>(lower <= '9' ? lower - '0' : lower - 'a' + 10);
      ++count;
      if (value > CharSet::kLastCodePoint) {
        return Invalid("invalid escape \\ sequence");
      }
    }
    return count < least ? absl::StatusOr<uint32_t>(Invalid("invalid escape \\ sequence")) : value;
  };
  switch (letter) {
    case 'a':
      return 0x07;
    case 'b':
      return 0x08;
    case 'B':
      return '\\';
    case 'c':
      return AtEnd() ? absl::StatusOr<uint32_t>(Invalid("invalid escape \\ sequence"))
                     : (TakeChar() & 31);
    case 'e':
      return 0x1B;
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'v':
      return '\v';
    case 'u':
      return hex(4, 4);
    case 'U':
      return hex(8, 8);
    case 'x':
      return hex(1, 255);
    case '0': {
      uint32_t value = 0;
      for (int i = 0; i < 2 && !AtEnd() && pattern_[at_] >= '0' && pattern_[at_] <= '7'; ++i) {
        value = value * 8 + static_cast<uint32_t>(pattern_[at_++] - '0');
      }
      return value;
    }
    default:
      return Invalid("invalid escape \\ sequence");
  }
}

// The class of \d \w \s and their complements, or null.
const CharSet* ClassOfEscape(char letter) {
  switch (absl::ascii_tolower(static_cast<unsigned char>(letter))) {
    case 'd':
      return CharSet::OfClass("digit");
    case 's':
      return CharSet::OfClass("space");
    case 'w':
      return CharSet::OfClass("word");
    default:
      return nullptr;
  }
}

CharSet SetOfEscape(const CharSet& set, char letter) {
  return absl::ascii_isupper(static_cast<unsigned char>(letter)) ? set.Complement() : set;
}

absl::StatusOr<Piece> AreTranslator::ReadEscape() {
  if (AtEnd()) {
    return Invalid("invalid escape \\ sequence");
  }
  uint32_t c = TakeChar();
  if (c >= 0x80 || !absl::ascii_isalnum(static_cast<unsigned char>(c))) {
    return SingleChar(CharSet::Of(c));
  }
  char letter = static_cast<char>(c);
  if (const CharSet* set = ClassOfEscape(letter); set != nullptr) {
    return SingleChar(SetOfEscape(*set, letter));
  }
  if (letter >= '1' && letter <= '9') {
    return NotForRe2("back references");
  }
  if (letter == 'm' || letter == 'M' || letter == 'y' || letter == 'Y') {
    return NotForRe2("word boundaries (\\m \\M \\y \\Y)");
  }
  if (letter == 'A' || letter == 'Z') {
    Piece piece;
    piece.re2 = letter == 'A' ? "\\A" : "\\z";
    piece.anchor = true;
    return piece;
  }
  ASSIGN_OR_RETURN(uint32_t code, ReadCharEscape(letter));
  CharSet set = CharSet::Of(code);
  return SingleChar(ignore_case_ ? set.WithBothCases() : set);
}

absl::StatusOr<CharSet> AreTranslator::ReadNamedClass() {
  size_t end = pattern_.find(":]", at_);
  if (end == std::string_view::npos) {
    return Invalid("brackets [] not balanced");
  }
  std::string_view name = pattern_.substr(at_, end - at_);
  at_ = end + 2;
  const CharSet* set =
      CharSet::OfClass(ignore_case_ && (name == "upper" || name == "lower") ? "alpha" : name);
  return set == nullptr ? absl::StatusOr<CharSet>(Invalid("invalid character class")) : *set;
}

// One member or range inside of brackets.
absl::Status AreTranslator::ReadBracketItem(CharSet* set) {
  auto read_char = [this](CharSet* class_set) -> absl::StatusOr<uint32_t> {
    uint32_t c = TakeChar();
    if (c != '\\') {
      return c;
    }
    if (AtEnd()) {
      return Invalid("invalid escape \\ sequence");
    }
    uint32_t escaped = TakeChar();
    if (escaped >= 0x80 || !absl::ascii_isalnum(static_cast<unsigned char>(escaped))) {
      return escaped;
    }
    if (const CharSet* named = ClassOfEscape(static_cast<char>(escaped)); named != nullptr) {
      *class_set = SetOfEscape(*named, static_cast<char>(escaped));
      return 0;
    }
    return ReadCharEscape(static_cast<char>(escaped));
  };
  CharSet named;
  ASSIGN_OR_RETURN(uint32_t first, read_char(&named));
  bool range =
      !AtEnd() && pattern_[at_] == '-' && at_ + 1 < pattern_.size() && pattern_[at_ + 1] != ']';
  if (!named.empty()) {
    set->Add(named);
    return range ? Invalid("invalid character range") : absl::OkStatus();
  }
  uint32_t last = first;
  if (range) {
    ++at_;
    if (pattern_.substr(at_).starts_with("[:")) {
      return Invalid("invalid character range");
    }
    ASSIGN_OR_RETURN(last, read_char(&named));
    if (!named.empty() || last < first) {
      return Invalid("invalid character range");
    }
  }
  set->Add(CharSet::OfRange(first, last));
  return absl::OkStatus();
}

absl::StatusOr<CharSet> AreTranslator::ReadBracket() {
  bool negated = Take("^");
  CharSet set;
  bool first = true;
  while (true) {
    if (AtEnd()) {
      return Invalid("brackets [] not balanced");
    }
    if (!first && Take("]")) {
      break;
    }
    first = false;
    if (Take("[:")) {
      if (pattern_.substr(at_).starts_with("<:]") || pattern_.substr(at_).starts_with(">:]")) {
        return NotForRe2("word boundaries ([[:<:]] [[:>:]])");
      }
      ASSIGN_OR_RETURN(CharSet named, ReadNamedClass());
      set.Add(named);
      continue;
    }
    if (Take("[.") || Take("[=")) {
      return NotForRe2("collating elements in brackets");
    }
    RETURN_IF_ERROR(ReadBracketItem(&set));
  }
  if (ignore_case_) {
    set = set.WithBothCases();
  }
  return negated ? set.Complement() : set;
}

}  // namespace

absl::StatusOr<ArePattern> TranslateAre(std::string_view pattern, bool ignore_case) {
  return AreTranslator(pattern, ignore_case).Translate();
}

}  // namespace millrace
