#include "common/types/jsonb_text.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status.h"

namespace millrace {
namespace {

// Deeper nesting would end the stack; PostgreSQL stops at some thousands.
constexpr int kMaxDepth = 1000;
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

// A member of an object: its unescaped key and where its canonical "key": value lies in a buffer.
struct Member {
  std::string key;
  size_t begin;
  size_t end;
};

// Recursive descent over one text. Functions return false on malformed input.
class JsonbReader {
 public:
  explicit JsonbReader(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

  bool ReadDocument(std::string* out) {
    SkipSpace();
    if (!ReadValue(0, out)) {
      return false;
    }
    SkipSpace();
    return at_ == end_;
  }
  // Set when the text is JSON, but not something jsonb can hold.
  const absl::Status& refusal() const { return refusal_; }

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
  bool Refuse(std::string_view message) {
    refusal_ = absl::InvalidArgumentError(ToAbsl(message));
    return false;
  }

  bool ReadValue(int depth, std::string* out);
  bool ReadWord(std::string_view word, std::string* out);
  bool ReadObject(int depth, std::string* out);
  bool ReadArray(int depth, std::string* out);
  bool ReadString(std::string* out);
  bool ReadEscape(std::string* out);
  bool ReadHex(uint32_t* code);
  bool ReadNumber(std::string* out);
  bool AppendNumeric(bool negative, std::string_view whole, std::string_view fraction,
                     int64_t exponent, std::string* out);

  const char* at_;
  const char* end_;
  absl::Status refusal_;
};

bool JsonbReader::ReadValue(int depth, std::string* out) {
  if (at_ == end_) {
    return false;
  }
  if (depth > kMaxDepth) {
    return Refuse(absl::StrCat("JSON is nested deeper than ", kMaxDepth, " levels"));
  }
  switch (*at_) {
    case '{':
      return ReadObject(depth, out);
    case '[':
      return ReadArray(depth, out);
    case '"': {
      std::string text;
      if (!ReadString(&text)) {
        return false;
      }
      AppendJsonString(text, out);
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

bool JsonbReader::ReadWord(std::string_view word, std::string* out) {
  if (!std::string_view(at_, static_cast<size_t>(end_ - at_)).starts_with(word)) {
    return false;
  }
  at_ += word.size();
  out->append(word);
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

bool JsonbReader::ReadObject(int depth, std::string* out) {
  ++at_;
  std::vector<Member> members;
  std::string rendered;
  SkipSpace();
  if (!Take('}')) {
    while (true) {
      SkipSpace();
      Member member;
      member.begin = rendered.size();
      if (at_ == end_ || *at_ != '"' || !ReadString(&member.key)) {
        return false;
      }
      AppendJsonString(member.key, &rendered);
      rendered.append(": ");
      SkipSpace();
      if (!Take(':')) {
        return false;
      }
      SkipSpace();
      if (!ReadValue(depth + 1, &rendered)) {
        return false;
      }
      member.end = rendered.size();
      members.push_back(std::move(member));
      SkipSpace();
      if (Take('}')) {
        break;
      }
      if (!Take(',')) {
        return false;
      }
    }
  }
  out->push_back('{');
  AppendMembers(std::move(members), rendered, out);
  out->push_back('}');
  return true;
}

bool JsonbReader::ReadArray(int depth, std::string* out) {
  ++at_;
  out->push_back('[');
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
        return false;
      }
      out->append(", ");
    }
  }
  out->push_back(']');
  return true;
}

// Unescapes into `out`.
bool JsonbReader::ReadString(std::string* out) {
  ++at_;
  while (at_ != end_) {
    auto c = static_cast<unsigned char>(*at_);
    if (c == '"') {
      ++at_;
      return true;
    }
    if (c < 0x20) {
      return false;
    }
    if (c != '\\') {
      out->push_back(*at_++);
      continue;
    }
    ++at_;
    if (at_ == end_ || !ReadEscape(out)) {
      return false;
    }
  }
  return false;
}

bool JsonbReader::ReadEscape(std::string* out) {
  char c = *at_++;
  switch (c) {
    case '"':
    case '\\':
    case '/':
      out->push_back(c);
      return true;
    case 'b':
      out->push_back('\b');
      return true;
    case 'f':
      out->push_back('\f');
      return true;
    case 'n':
      out->push_back('\n');
      return true;
    case 'r':
      out->push_back('\r');
      return true;
    case 't':
      out->push_back('\t');
      return true;
    case 'u':
      break;
    default:
      return false;
  }
  uint32_t code = 0;
  if (!ReadHex(&code)) {
    return false;
  }
  if (code == 0) {
    return Refuse("unsupported Unicode escape sequence: \\u0000 cannot be converted to text");
  }
  bool high = code >= 0xD800 && code < 0xDC00;
  if (high) {
    uint32_t low = 0;
    if (!Take('\\') || !Take('u') || !ReadHex(&low) || low < 0xDC00 || low >= 0xE000) {
      return false;
    }
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  } else if (code >= 0xDC00 && code < 0xE000) {
    return false;
  }
  AppendUtf8(code, out);
  return true;
}

bool JsonbReader::ReadHex(uint32_t* code) {
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

bool JsonbReader::ReadNumber(std::string* out) {
  bool negative = Take('-');
  auto digits = [this] {
    const char* begin = at_;
    while (at_ != end_ && IsDigit(*at_)) {
      ++at_;
    }
    return std::string_view(begin, static_cast<size_t>(at_ - begin));
  };
  std::string_view whole = digits();
  if (whole.empty() || (whole.size() > 1 && whole[0] == '0')) {
    return false;
  }
  std::string_view fraction;
  if (Take('.')) {
    fraction = digits();
    if (fraction.empty()) {
      return false;
    }
  }
  int64_t exponent = 0;
  if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
    ++at_;
    bool negative_exponent = at_ != end_ && *at_ == '-';
    if (negative_exponent || (at_ != end_ && *at_ == '+')) {
      ++at_;
    }
    std::string_view text = digits();
    if (text.empty()) {
      return false;
    }
    auto [last, error] = std::from_chars(text.data(), text.data() + text.size(), exponent);
    if (error != std::errc() || exponent > 2 * kMaxWholeDigits) {
      return Refuse("value overflows numeric format");
    }
    exponent = negative_exponent ? -exponent : exponent;
  }
  return AppendNumeric(negative, whole, fraction, exponent, out);
}

// whole.fraction · 10^exponent as numeric prints it: no exponent, the scale that was written.
bool JsonbReader::AppendNumeric(bool negative, std::string_view whole, std::string_view fraction,
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
  JsonbReader reader(json);
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
