#include "common/expr/regex/postgres_regex.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/base/call_once.h"
#include "absl/strings/str_cat.h"
#include "common/base/excerpt.h"
#include "common/base/status.h"
#include "common/expr/regex/char_set.h"
#include "common/expr/text/utf8.h"

namespace millrace {
namespace {

// The budget of a value: about a tenth of a second, and for each character as many steps as a long
// value needs if its pattern looks around at each place.
constexpr int64_t kStepsPerValue = 10'000'000;
constexpr int64_t kStepsPerCharacter = 100;
constexpr size_t kBytesPerValue = 64 << 20;
// Compiling ends within some tenths of a second.
constexpr pgre_budget kCompileBudget = {.steps = 2'000'000, .bytes = 32 << 20};
constexpr size_t kMostPatternShown = 200;

// The same character classes as in patterns for RE2.
template <const char* kName>
int IsIn(uint32_t c) {
  static const CharSet* const kMembers = CharSet::OfClass(kName);
  return kMembers->Contains(c) ? 1 : 0;
}
constexpr char kDigit[] = "digit";
constexpr char kAlpha[] = "alpha";
constexpr char kAlnum[] = "alnum";
constexpr char kUpper[] = "upper";
constexpr char kLower[] = "lower";
constexpr char kGraph[] = "graph";
constexpr char kPrint[] = "print";
constexpr char kPunct[] = "punct";
constexpr char kSpace[] = "space";

void SetCharactersOnce() {
  static constexpr pgre_characters kCharacters = {
      .is_digit = IsIn<kDigit>,
      .is_alpha = IsIn<kAlpha>,
      .is_alnum = IsIn<kAlnum>,
      .is_upper = IsIn<kUpper>,
      .is_lower = IsIn<kLower>,
      .is_graph = IsIn<kGraph>,
      .is_print = IsIn<kPrint>,
      .is_punct = IsIn<kPunct>,
      .is_space = IsIn<kSpace>,
      .to_upper = ToUpperChar,
      .to_lower = ToLowerChar,
  };
  static absl::once_flag once;
  absl::call_once(once, [] { pgre_set_characters(&kCharacters); });
}

int FlagsOf(const RegexOptions& options) {
  int flags = options.literal ? PGRE_QUOTE : (options.basic ? 0 : PGRE_ADVANCED);
  flags |= options.ignore_case ? PGRE_ICASE : 0;
  flags |= options.expanded ? PGRE_EXPANDED : 0;
  flags |= options.newline_stops ? PGRE_NLSTOP : 0;
  flags |= options.newline_anchors ? PGRE_NLANCH : 0;
  return flags;
}

// Where the characters are: of none too, as the engine takes no null pointer.
const uint32_t* AddressOf(const std::vector<uint32_t>& characters) {
  static constexpr uint32_t kNothing = 0;
  return characters.empty() ? &kNothing : characters.data();
}

std::string Shown(std::string_view pattern) {
  return absl::StrCat("regular expression \"", Excerpt(pattern, kMostPatternShown), "\"");
}

absl::Status CompileError(std::string_view pattern, int result) {
  if (result == PGRE_OUT_OF_MEMORY || result == PGRE_TOO_COMPLEX || result == PGRE_OUT_OF_STEPS) {
    return absl::InvalidArgumentError(
        absl::StrCat(Shown(pattern), " is too complex; repeat less or split it into several"));
  }
  std::array<char, 200> text = {};
  pgre_error_text(result, text.data(), text.size());
  return absl::InvalidArgumentError(absl::StrCat("invalid regular expression: ", text.data()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<const PostgresRegex>> PostgresRegex::Compile(
    std::string_view pattern, const RegexOptions& options) {
  SetCharactersOnce();
  std::vector<uint32_t> characters;
  for (size_t at = 0, bytes = 0; at < pattern.size(); at += bytes) {
    characters.push_back(DecodeChar(pattern.substr(at), &bytes));
  }
  pgre_budget budget = kCompileBudget;
  pgre* compiled = nullptr;
  int result =
      pgre_compile(AddressOf(characters), characters.size(), FlagsOf(options), &budget, &compiled);
  if (result != PGRE_OK) {
    return CompileError(pattern, result);
  }
  std::unique_ptr<const PostgresRegex> regex(new PostgresRegex(pattern, Compiled(compiled)));
  // A pattern whose automata exceed a value's budget would fail at every value.
  budget = {.steps = kStepsPerValue, .bytes = kBytesPerValue};
  result = pgre_search(compiled, AddressOf({}), 0, 0, nullptr, 0, &budget);
  if (result != PGRE_OK && result != PGRE_NO_MATCH) {
    return CompileError(pattern, result);
  }
  return regex;
}

absl::Status PostgresSearch::Spent(int result) const {
  if (result == PGRE_OUT_OF_STEPS) {
    return absl::ResourceExhaustedError(absl::StrCat(
        Shown(regex_.pattern_), " took more than ", allowed_steps_, " steps on this value of ",
        text_.size(),
        " bytes; let it repeat, look around or refer back to less, or cut the value first"));
  }
  if (result == PGRE_OUT_OF_MEMORY) {
    return absl::ResourceExhaustedError(absl::StrCat(
        Shown(regex_.pattern_), " needs more than ", kBytesPerValue,
        " bytes of memory on this value of ", text_.size(), " bytes; cut the value first"));
  }
  return CompileError(regex_.pattern_, result);
}

absl::Status PostgresSearch::Decode() {
  const bool ascii = IsAscii(text_);
  const size_t count = ascii ? text_.size() : CountChars(text_);
  const size_t memory = count * sizeof(uint32_t) * (ascii ? 1 : 2);
  if (memory > kBytesPerValue) {
    return Spent(PGRE_OUT_OF_MEMORY);
  }
  characters_.reserve(count + 1);
  bytes_.reserve(ascii ? 0 : count + 1);
  for (size_t at = 0, bytes = 0; at < text_.size(); at += bytes) {
    characters_.push_back(DecodeChar(text_.substr(at), &bytes));
    if (!ascii) {
      bytes_.push_back(static_cast<uint32_t>(at));
    }
  }
  if (!ascii) {
    bytes_.push_back(static_cast<uint32_t>(text_.size()));
  }
  allowed_steps_ = kStepsPerValue + kStepsPerCharacter * static_cast<int64_t>(characters_.size());
  budget_ = {.steps = allowed_steps_, .bytes = kBytesPerValue - memory};
  decoded_ = true;
  return absl::OkStatus();
}

size_t PostgresSearch::CharAt(size_t byte) const {
  if (bytes_.empty()) {
    return byte;
  }
  return static_cast<size_t>(std::lower_bound(bytes_.begin(), bytes_.end(), byte) - bytes_.begin());
}

absl::StatusOr<bool> PostgresSearch::Find(size_t start, std::vector<RegexSpan>* spans) {
  if (!decoded_) {
    RETURN_IF_ERROR(Decode());
  }
  std::vector<pgre_span> found(spans->size());
  const int result = pgre_search(regex_.compiled_.get(), AddressOf(characters_), characters_.size(),
                                 CharAt(start), found.data(), found.size(), &budget_);
  if (result == PGRE_NO_MATCH) {
    return false;
  }
  if (result != PGRE_OK) {
    return Spent(result);
  }
  for (size_t i = 0; i < spans->size(); ++i) {
    (*spans)[i] = found[i].begin < 0
                      ? RegexSpan()
                      : RegexSpan{.begin = ByteAt(static_cast<size_t>(found[i].begin)),
                                  .end = ByteAt(static_cast<size_t>(found[i].end))};
  }
  return true;
}

}  // namespace millrace
