#include "common/base/utf8.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace millrace {

size_t Utf8CharacterBytes(std::string_view text, size_t i) {
  const auto byte = [text](size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned char lead = byte(i);
  size_t size = 0;
  if (lead < 0x80) {
    size = 1;
  } else if (lead >= 0xC2 && lead <= 0xDF) {
    size = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    size = 3;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    size = 4;
  }
  if (size == 0 || size > text.size() - i) {
    return 0;
  }
  for (size_t k = 1; k < size; ++k) {
    if (!IsContinuationByte(text[i + k])) {
      return 0;
    }
  }
  const bool overlong =
      (lead == 0xE0 && byte(i + 1) < 0xA0) || (lead == 0xF0 && byte(i + 1) < 0x90);
  const bool surrogate = lead == 0xED && byte(i + 1) > 0x9F;
  const bool beyond_unicode = lead == 0xF4 && byte(i + 1) > 0x8F;
  return overlong || surrogate || beyond_unicode ? 0 : size;
}

std::string_view CharacterAt(std::string_view text, size_t i) {
  return text.substr(i, std::max<size_t>(Utf8CharacterBytes(text, i), 1));
}

size_t FindInvalidUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const size_t size = Utf8CharacterBytes(text, i);
    if (size == 0) {
      return i;
    }
    i += size;
  }
  return std::string_view::npos;
}

bool IsUtf8(std::string_view text) { return FindInvalidUtf8(text) == std::string_view::npos; }

std::string EscapeInvalidUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const size_t size = Utf8CharacterBytes(text, i);
    if (size == 0) {
      absl::StrAppendFormat(&out, "\\x%02x", static_cast<unsigned char>(text[i]));
      ++i;
    } else {
      out.append(text.substr(i, size));
      i += size;
    }
  }
  return out;
}

}  // namespace millrace
