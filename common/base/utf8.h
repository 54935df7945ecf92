// Recognises UTF-8 (RFC 3629): no surrogates, no overlong forms. Protocol buffers refuse a whole
// message if one of its strings is anything else. Pure functions.
#ifndef MILLRACE_COMMON_BASE_UTF8_H_
#define MILLRACE_COMMON_BASE_UTF8_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace millrace {

inline bool IsContinuationByte(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// Bytes of the well-formed character at `text[i]`; 0 if there is none. REQUIRES: i < text.size().
size_t Utf8CharacterBytes(std::string_view text, size_t i);

// The character at `text[i]`, or the single byte if it belongs to none. REQUIRES: i < text.size().
std::string_view CharacterAt(std::string_view text, size_t i);

// Where the first byte is that belongs to no character; npos if there is none.
size_t FindInvalidUtf8(std::string_view text);
bool IsUtf8(std::string_view text);

// The text, with each byte that belongs to no character written as \xNN.
std::string EscapeInvalidUtf8(std::string_view text);

}  // namespace millrace

#endif  // MILLRACE_COMMON_BASE_UTF8_H_
