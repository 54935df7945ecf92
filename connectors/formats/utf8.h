// Whether bytes may become a text value: UTF-8 without a NUL, as in PostgreSQL. Pure functions.
#ifndef MILLRACE_CONNECTORS_FORMATS_UTF8_H_
#define MILLRACE_CONNECTORS_FORMATS_UTF8_H_

#include <cstdint>
#include <cstring>
#include <string_view>

#include "absl/status/status.h"

namespace millrace {

// The byte order mark that Windows programs write at the start of UTF-8 files.
inline constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// The general case, for bytes that are not all ASCII or hold a NUL.
bool IsTextNonAscii(std::string_view bytes);

// Whether `bytes` are text. ASCII, the common case, is decided inline, eight bytes at a time.
inline bool IsText(std::string_view bytes) {
  // Subtracts one from each byte: a NUL borrows and sets its highest bit.
  constexpr uint64_t kOnes = 0x0101010101010101ULL;
  const char* at = bytes.data();
  size_t left = bytes.size();
  uint64_t seen = 0;
  for (; left >= 8; at += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, at, sizeof(word));
    seen |= word | (word - kOnes);
  }
  for (; left > 0; ++at, --left) {
    uint64_t byte = static_cast<unsigned char>(*at);
    seen |= byte | ((byte - 1) & 0x80);
  }
  return (seen & 0x8080808080808080ULL) == 0 || IsTextNonAscii(bytes);
}

// The error for bytes that are not text: it says what is wrong and where. REQUIRES: !IsText(bytes).
absl::Status NotText(std::string_view what, std::string_view bytes);

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_FORMATS_UTF8_H_
