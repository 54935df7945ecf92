#include "connectors/formats/utf8.h"

#include <simdjson.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/utf8.h"

namespace millrace {
namespace {

bool ValidatesAsUtf8(std::string_view bytes) {
  bool ascii = bytes.size() == 1 && static_cast<unsigned char>(bytes[0]) < 0x80;
  return ascii || simdjson::validate_utf8(bytes.data(), bytes.size());
}

// Recognises UTF-16 by its byte order mark or, in a record behind the first, by a NUL in every
// second byte of what is mostly ASCII.
bool LooksLikeUtf16(std::string_view bytes) {
  if (bytes.starts_with("\xFF\xFE") || bytes.starts_with("\xFE\xFF")) {
    return true;
  }
  size_t nuls[2] = {0, 0};
  std::string_view begin = bytes.substr(0, 64);
  for (size_t i = 0; i < begin.size(); ++i) {
    nuls[i % 2] += begin[i] == '\0' ? 1 : 0;
  }
  return begin.size() >= 4 && (nuls[0] == 0) != (nuls[1] == 0) &&
         std::max(nuls[0], nuls[1]) * 4 >= begin.size();
}

// How compressed bytes were compressed, by what they begin with; null if they were not.
const char* CompressionOf(std::string_view bytes) {
  const bool bzip2 = bytes.starts_with("BZh") && bytes.substr(3, 7).ends_with("1AY&SY");
  return bytes.starts_with("\x1F\x8B\x08")       ? "gzip"
         : bytes.starts_with("\x28\xB5\x2F\xFD") ? "zstd"
         : bytes.starts_with("\xFD\x37zXZ")      ? "xz"
         : bytes.starts_with("\x04\x22\x4D\x18") ? "lz4"
         : bzip2                                 ? "bzip2"
                                                 : nullptr;
}

}  // namespace

bool IsTextNonAscii(std::string_view bytes) {
  return bytes.find('\0') == std::string_view::npos && ValidatesAsUtf8(bytes);
}

absl::Status NotText(std::string_view what, std::string_view bytes) {
  if (const char* compression = CompressionOf(bytes); compression != nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(ToAbsl(what), " is compressed (", compression, "); it must be UTF-8 text"));
  }
  if (LooksLikeUtf16(bytes)) {
    return absl::InvalidArgumentError(absl::StrCat(ToAbsl(what), " is UTF-16; it must be UTF-8"));
  }
  if (!ValidatesAsUtf8(bytes)) {
    return absl::InvalidArgumentError(
        absl::StrCat(ToAbsl(what), " is not valid UTF-8, at byte ", FindInvalidUtf8(bytes) + 1));
  }
  return absl::InvalidArgumentError(absl::StrCat(ToAbsl(what), " holds a NUL, at byte ",
                                                 bytes.find('\0') + 1, ", which text cannot"));
}

}  // namespace millrace
