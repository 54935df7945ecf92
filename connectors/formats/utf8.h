// Whether bytes may become a text value. Pure function.
#ifndef MILLRACE_CONNECTORS_FORMATS_UTF8_H_
#define MILLRACE_CONNECTORS_FORMATS_UTF8_H_

#include <cstdint>
#include <cstring>
#include <string_view>

#include "absl/status/status.h"

namespace millrace {

// The general case, for bytes that are not all ASCII.
bool IsValidUtf8NonAscii(std::string_view bytes);

// Whether `bytes` are UTF-8. ASCII, the common case, is decided inline, eight bytes at a time.
inline bool IsValidUtf8(std::string_view bytes) {
  const char* at = bytes.data();
  size_t left = bytes.size();
  uint64_t seen = 0;
  for (; left >= 8; at += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, at, sizeof(word));
    seen |= word;
  }
  for (; left > 0; ++at, --left) {
    seen |= static_cast<unsigned char>(*at);
  }
  return (seen & 0x8080808080808080ULL) == 0 || IsValidUtf8NonAscii(bytes);
}

// What to tell about a record whose bytes are not text.
absl::Status NotUtf8(std::string_view what);

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_FORMATS_UTF8_H_
