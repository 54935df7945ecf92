#include "common/expr/text/utf8.h"

#include <algorithm>
#include <clocale>
#include <cwctype>

#include "absl/strings/ascii.h"
#include "common/base/check.h"

namespace millrace {
namespace {

locale_t Utf8Locale() {
  static const locale_t kLocale = [] {
    locale_t locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    MILLRACE_CHECK(locale != nullptr) << "the locale C.UTF-8 of libc-bin is missing";
    return locale;
  }();
  return kLocale;
}

template <typename Map>
std::string MapText(std::string_view text, Map map) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    size_t bytes = 1;
    uint32_t code_point = DecodeChar(text, &bytes);
    if (bytes == 1 && code_point >= 0x80) {
      out.push_back(text[0]);
    } else {
      AppendChar(map(code_point), &out);
    }
    text.remove_prefix(bytes);
  }
  return out;
}

}  // namespace

bool IsAscii(std::string_view text) {
  unsigned char all = 0;
  for (char c : text) {
    all |= static_cast<unsigned char>(c);
  }
  return all < 0x80;
}

size_t CountChars(std::string_view text) {
  size_t count = 0;
  for (char c : text) {
    count += IsContinuationByte(c) ? 0 : 1;
  }
  return count;
}

size_t FirstCharBytes(std::string_view text) {
  size_t bytes = 1;
  while (bytes < text.size() && IsContinuationByte(text[bytes])) {
    ++bytes;
  }
  return bytes;
}

size_t BytesOfChars(std::string_view text, size_t chars) {
  size_t bytes = 0;
  for (; chars > 0 && bytes < text.size(); --chars) {
    bytes += FirstCharBytes(text.substr(bytes));
  }
  return bytes;
}

std::string_view WholeChars(std::string_view text, size_t bytes) {
  size_t end = std::min(bytes, text.size());
  while (end < text.size() && IsContinuationByte(text[end])) {
    ++end;
  }
  return text.substr(0, end);
}

uint32_t DecodeChar(std::string_view text, size_t* bytes) {
  auto lead = static_cast<unsigned char>(text[0]);
  *bytes = 1;
  size_t length = lead < 0x80         ? 1
                  : (lead >> 5) == 6  ? 2
                  : (lead >> 4) == 14 ? 3
                  : (lead >> 3) == 30 ? 4
                                      : 1;
  if (length == 1 || text.size() < length) {
    return lead;
  }
  uint32_t code_point = lead & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if (!IsContinuationByte(text[i])) {
      return lead;
    }
    code_point = (code_point << 6) | (static_cast<unsigned char>(text[i]) & 0x3F);
  }
  *bytes = length;
  return code_point;
}

void AppendChar(uint32_t code_point, std::string* out) {
  if (code_point < 0x80) {
    out->push_back(static_cast<char>(code_point));
    return;
  }
  int continuation = code_point < 0x800 ? 1 : (code_point < 0x10000 ? 2 : 3);
  uint32_t lead_mark = continuation == 1 ? 0xC0 : (continuation == 2 ? 0xE0 : 0xF0);
  out->push_back(static_cast<char>(lead_mark | (code_point >> (6 * continuation))));
  for (int i = continuation - 1; i >= 0; --i) {
    out->push_back(static_cast<char>(0x80 | ((code_point >> (6 * i)) & 0x3F)));
  }
}

uint32_t ToUpperChar(uint32_t code_point) {
  return static_cast<uint32_t>(towupper_l(static_cast<wint_t>(code_point), Utf8Locale()));
}

uint32_t ToLowerChar(uint32_t code_point) {
  return static_cast<uint32_t>(towlower_l(static_cast<wint_t>(code_point), Utf8Locale()));
}

bool IsAlnumChar(uint32_t code_point) {
  return iswalnum_l(static_cast<wint_t>(code_point), Utf8Locale()) != 0;
}

bool IsInClass(uint32_t code_point, const char* class_name) {
  return iswctype_l(static_cast<wint_t>(code_point), wctype_l(class_name, Utf8Locale()),
                    Utf8Locale()) != 0;
}

std::string ToUpperText(std::string_view text) {
  if (IsAscii(text)) {
    std::string out(text);
    absl::AsciiStrToUpper(&out);
    return out;
  }
  return MapText(text, ToUpperChar);
}

std::string ToLowerText(std::string_view text) {
  if (IsAscii(text)) {
    std::string out(text);
    absl::AsciiStrToLower(&out);
    return out;
  }
  return MapText(text, ToLowerChar);
}

}  // namespace millrace
