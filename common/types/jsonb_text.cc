#include "common/types/jsonb_text.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/types/jsonb_scan.h"

namespace millrace {
namespace {

// numeric's own limits: digits before and behind the point.
constexpr int64_t kMaxWholeDigits = 131072;
constexpr int64_t kMaxFractionDigits = 16383;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

int HexDigit(char c) {
  if (IsDigit(c)) {
    return c - '0';
  }
  char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

void AppendUtf8(uint32_t code, std::string* out) {
  if (code < 0x80) {
    out->push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    out->push_back(static_cast<char>(0xC0 | (code >> 6)));
    out->push_back(static_cast<char>(0x80 | (code & 0x3F)));
  } else if (code < 0x10000) {
    out->push_back(static_cast<char>(0xE0 | (code >> 12)));
    out->push_back(static_cast<char>(0x80 | ((code >> 6) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (code & 0x3F)));
  } else {
    out->push_back(static_cast<char>(0xF0 | (code >> 18)));
    out->push_back(static_cast<char>(0x80 | ((code >> 12) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | ((code >> 6) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (code & 0x3F)));
  }
}

void Append(std::string_view text, std::string* out) {
  if (out != nullptr) {
    out->append(text);
  }
}

// A member of an object: its unescaped key and where its canonical "key": value lies in a buffer.
struct Member {
  std::string key;
  size_t begin;
  size_t end;
};

// Recursive descent over one text. Functions append canonical text to `out` unless it is null, and
// return false where the text breaks a rule.
class JsonReader {
 public:
  JsonReader(std::string_view text, JsonRules rules)
      : begin_(text.data()),
        at_(text.data()),
        end_(text.data() + text.size()),
        jsonb_(rules == JsonRules::kJsonb) {}

  bool ReadDocument(std::string* out) {
    SkipSpace();
    if (!ReadValue(0, out)) {
      return false;
    }
    SkipSpace();
    return at_ == end_ || Fail("there is text after its end");
  }
  // The error if the text is JSON that jsonb cannot hold.
  const absl::Status& refusal() const { return refusal_; }
  // REQUIRES: ReadDocument returned false.
  JsonFault fault() const {
    return {.offset = static_cast<size_t>(fault_at_ - begin_), .reason = std::string(reason_)};
  }

 private:
  void SkipSpace() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\n' || *at_ == '\r')) {
      ++at_;
    }
  }
  bool Take(char c) {
    if (at_ == end_ || *at_ != c) {
      return false;
    }
    ++at_;
    return true;
  }
  std::string_view Digits() {
    const char* begin = at_;
    while (at_ != end_ && IsDigit(*at_)) {
      ++at_;
    }
    return {begin, static_cast<size_t>(at_ - begin)};
  }
  bool FailAt(const char* at, std::string reason) {
    fault_at_ = at;
    reason_ = std::move(reason);
    return false;
  }
  bool Fail(std::string reason) { return FailAt(at_, std::move(reason)); }
  bool Refuse(std::string message) {
    refusal_ = absl::InvalidArgumentError(message);
    return Fail(std::move(message));
  }

  bool ReadValue(int depth, std::string* out);
  bool ReadWord(std::string_view word, std::string* out);
  bool ReadObject(int depth, std::string* out);
  bool ReadArray(int depth, std::string* out);
  bool ReadMember(int depth, Member* member, std::string* rendered);
  bool ReadString(std::string* out);
  bool ReadEscape(std::string* out);
  bool ReadUnicodeEscape(std::string* out);
  bool ReadHex(uint32_t* code);
  bool ReadNumber(std::string* out);
  bool ReadExponent(int64_t* exponent);
  bool AppendNumeric(bool negative, std::string_view whole, std::string_view fraction,
                     int64_t exponent, std::string* out);

  const char* const begin_;
  const char* at_;
  const char* const end_;
  const bool jsonb_;
  absl::Status refusal_;
  const char* fault_at_ = nullptr;
  std::string reason_;
};

bool JsonReader::ReadValue(int depth, std::string* out) {
  if (at_ == end_) {
    return Fail("it ends where a value is expected");
  }
  if (depth > kMaxJsonbDepth) {
    return Refuse(absl::StrCat("JSON is nested deeper than ", kMaxJsonbDepth, " levels"));
  }
  switch (*at_) {
    case '{':
      return ReadObject(depth, out);
    case '[':
      return ReadArray(depth, out);
    case '"': {
      std::string text;
      if (!ReadString(out == nullptr ? nullptr : &text)) {
        return false;
      }
      if (out != nullptr) {
        AppendJsonString(text, out);
      }
      return true;
    }
    case 't':
      return ReadWord("true", out);
    case 'f':
      return ReadWord("false", out);
    case 'n':
      return ReadWord("null", out);
    default:
      return ReadNumber(out);
  }
}

bool JsonReader::ReadWord(std::string_view word, std::string* out) {
  if (!std::string_view(at_, static_cast<size_t>(end_ - at_)).starts_with(word)) {
    return Fail("a value is expected");
  }
  at_ += word.size();
  Append(word, out);
  return true;
}

// Appends the members in canonical order; equal keys keep their last.
void AppendMembers(std::vector<Member> members, std::string_view rendered, std::string* out) {
  std::stable_sort(members.begin(), members.end(), [](const Member& a, const Member& b) {
    return a.key.size() != b.key.size() ? a.key.size() < b.key.size() : a.key < b.key;
  });
  bool first = true;
  for (size_t i = 0; i < members.size(); ++i) {
    if (i + 1 < members.size() && members[i].key == members[i + 1].key) {
      continue;
    }
    out->append(first ? "" : ", ");
    out->append(rendered.substr(members[i].begin, members[i].end - members[i].begin));
    first = false;
  }
}

bool JsonReader::ReadMember(int depth, Member* member, std::string* rendered) {
  SkipSpace();
  if (at_ == end_ || *at_ != '"') {
    return Fail("a name in quotes is expected");
  }
  if (!ReadString(rendered == nullptr ? nullptr : &member->key)) {
    return false;
  }
  if (rendered != nullptr) {
    AppendJsonString(member->key, rendered);
    rendered->append(": ");
  }
  SkipSpace();
  if (!Take(':')) {
    return Fail("':' is expected");
  }
  SkipSpace();
  return ReadValue(depth + 1, rendered);
}

bool JsonReader::ReadObject(int depth, std::string* out) {
  ++at_;
  std::vector<Member> members;
  std::string rendered;
  SkipSpace();
  if (!Take('}')) {
    while (true) {
      Member member{.key = {}, .begin = rendered.size(), .end = 0};
      if (!ReadMember(depth, &member, out == nullptr ? nullptr : &rendered)) {
        return false;
      }
      if (out != nullptr) {
        member.end = rendered.size();
        members.push_back(std::move(member));
      }
      SkipSpace();
      if (Take('}')) {
        break;
      }
      if (!Take(',')) {
        return Fail("',' or '}' is expected");
      }
    }
  }
  if (out != nullptr) {
    out->push_back('{');
    AppendMembers(std::move(members), rendered, out);
    out->push_back('}');
  }
  return true;
}

bool JsonReader::ReadArray(int depth, std::string* out) {
  ++at_;
  Append("[", out);
  SkipSpace();
  if (!Take(']')) {
    while (true) {
      SkipSpace();
      if (!ReadValue(depth + 1, out)) {
        return false;
      }
      SkipSpace();
      if (Take(']')) {
        break;
      }
      if (!Take(',')) {
        return Fail("',' or ']' is expected");
      }
      Append(", ", out);
    }
  }
  Append("]", out);
  return true;
}

// Unescapes into `out`.
bool JsonReader::ReadString(std::string* out) {
  const char* quote = at_;
  ++at_;
  while (at_ != end_) {
    auto c = static_cast<unsigned char>(*at_);
    if (c == '"') {
      ++at_;
      return true;
    }
    if (c < 0x20) {
      return Fail("a control character stands in a string without an escape");
    }
    if (c != '\\') {
      if (out != nullptr) {
        out->push_back(*at_);
      }
      ++at_;
      continue;
    }
    ++at_;
    if (at_ == end_) {
      break;
    }
    if (!ReadEscape(out)) {
      return false;
    }
  }
  return FailAt(quote, "a string has no end");
}

bool JsonReader::ReadEscape(std::string* out) {
  constexpr std::string_view kEscapes = "\"\\/bfnrt";
  constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
  if (*at_ == 'u') {
    return ReadUnicodeEscape(out);
  }
  size_t known = kEscapes.find(*at_);
  if (known == std::string_view::npos) {
    return FailAt(at_ - 1, "a backslash begins no escape");
  }
  Append(kMeanings.substr(known, 1), out);
  ++at_;
  return true;
}

bool JsonReader::ReadUnicodeEscape(std::string* out) {
  const char* backslash = at_ - 1;
  ++at_;
  uint32_t code = 0;
  if (!ReadHex(&code)) {
    return FailAt(backslash, "\\u is not followed by four hexadecimal digits");
  }
  if (!jsonb_) {
    return true;
  }
  if (code == 0) {
    return Refuse("unsupported Unicode escape sequence: \\u0000 cannot be converted to text");
  }
  bool high = code >= 0xD800 && code < 0xDC00;
  if (high) {
    uint32_t low = 0;
    if (!Take('\\') || !Take('u') || !ReadHex(&low) || low < 0xDC00 || low >= 0xE000) {
      return FailAt(backslash, "the escape of a high surrogate is not followed by a low one");
    }
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  } else if (code >= 0xDC00 && code < 0xE000) {
    return FailAt(backslash, "the escape of a low surrogate does not follow a high one");
  }
  if (out != nullptr) {
    AppendUtf8(code, out);
  }
  return true;
}

bool JsonReader::ReadHex(uint32_t* code) {
  for (int i = 0; i < 4; ++i) {
    int digit = at_ == end_ ? -1 : HexDigit(*at_);
    if (digit < 0) {
      return false;
    }
    *code = *code * 16 + static_cast<uint32_t>(digit);
    ++at_;
  }
  return true;
}

bool JsonReader::ReadNumber(std::string* out) {
  const char* begin = at_;
  bool negative = Take('-');
  std::string_view whole = Digits();
  if (whole.empty() && !negative) {
    return Fail("a value is expected");
  }
  if (whole.empty() || (whole.size() > 1 && whole[0] == '0')) {
    return FailAt(begin, "a number is malformed");
  }
  std::string_view fraction;
  if (Take('.')) {
    fraction = Digits();
    if (fraction.empty()) {
      return FailAt(begin, "a number is malformed");
    }
  }
  int64_t exponent = 0;
  if (at_ != end_ && (*at_ == 'e' || *at_ == 'E') && !ReadExponent(&exponent)) {
    return refusal_.ok() ? FailAt(begin, "a number is malformed") : false;
  }
  return !jsonb_ || AppendNumeric(negative, whole, fraction, exponent, out);
}

bool JsonReader::ReadExponent(int64_t* exponent) {
  ++at_;
  bool negative = at_ != end_ && *at_ == '-';
  if (negative || (at_ != end_ && *at_ == '+')) {
    ++at_;
  }
  std::string_view text = Digits();
  if (text.empty()) {
    return false;
  }
  if (!jsonb_) {
    return true;
  }
  auto [last, error] = std::from_chars(text.data(), text.data() + text.size(), *exponent);
  if (error != std::errc() || *exponent > 2 * kMaxWholeDigits) {
    return Refuse("value overflows numeric format");
  }
  *exponent = negative ? -*exponent : *exponent;
  return true;
}

// Appends whole.fraction · 10^exponent as numeric prints it: without exponent, with the written
// scale.
bool JsonReader::AppendNumeric(bool negative, std::string_view whole, std::string_view fraction,
                               int64_t exponent, std::string* out) {
  std::string digits = absl::StrCat(ToAbsl(whole), ToAbsl(fraction));
  int64_t scale = static_cast<int64_t>(fraction.size()) - exponent;
  size_t zeros = std::min(digits.find_first_not_of('0'), digits.size());
  bool zero = zeros == digits.size();
  if (zero) {
    digits = "";
    scale = std::max<int64_t>(scale, 0);
  } else {
    digits.erase(0, zeros);
  }
  if (scale < 0) {
    digits.append(static_cast<size_t>(-scale), '0');
    scale = 0;
  }
  if (scale > kMaxFractionDigits || static_cast<int64_t>(digits.size()) - scale > kMaxWholeDigits) {
    return Refuse("value overflows numeric format");
  }
  if (out == nullptr) {
    return true;
  }
  if (static_cast<int64_t>(digits.size()) <= scale) {
    digits.insert(0, static_cast<size_t>(scale) + 1 - digits.size(), '0');
  }
  out->append(negative && !zero ? "-" : "");
  size_t point = digits.size() - static_cast<size_t>(scale);
  out->append(digits, 0, point);
  if (scale > 0) {
    out->push_back('.');
    out->append(digits, point, std::string::npos);
  }
  return true;
}

}  // namespace

absl::Status AppendCanonicalJsonb(std::string_view json, std::string* out) {
  size_t size_before = out->size();
  JsonReader reader(json, JsonRules::kJsonb);
  if (reader.ReadDocument(out)) {
    return absl::OkStatus();
  }
  out->resize(size_before);
  if (!reader.refusal().ok()) {
    return reader.refusal();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("invalid input syntax for type json: \"", ToAbsl(json), "\""));
}

std::optional<JsonFault> FindJsonFault(std::string_view json, JsonRules rules) {
  JsonReader reader(json, rules);
  return reader.ReadDocument(nullptr) ? std::nullopt : std::make_optional(reader.fault());
}

void AppendJsonString(std::string_view text, std::string* out) {
  out->push_back('"');
  for (char c : text) {
    switch (c) {
      case '"':
        out->append("\\\"");
        break;
      case '\\':
        out->append("\\\\");
        break;
      case '\b':
        out->append("\\b");
        break;
      case '\f':
        out->append("\\f");
        break;
      case '\n':
        out->append("\\n");
        break;
      case '\r':
        out->append("\\r");
        break;
      case '\t':
        out->append("\\t");
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          absl::StrAppendFormat(out, "\\u%04x", static_cast<unsigned>(c));
        } else {
          out->push_back(c);
        }
    }
  }
  out->push_back('"');
}

}  // namespace millrace
