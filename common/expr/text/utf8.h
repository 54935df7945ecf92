// UTF-8 text by characters, and the case and class of characters in the C.UTF-8 locale (which
// PostgreSQL uses in a database with that LC_CTYPE). Each malformed byte counts as a character and
// passes unchanged. Pure functions.
#ifndef MILLRACE_COMMON_EXPR_TEXT_UTF8_H_
#define MILLRACE_COMMON_EXPR_TEXT_UTF8_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/utf8.h"

namespace millrace {

bool IsAscii(std::string_view text);
size_t CountChars(std::string_view text);
// Bytes of the first `chars` characters; all of them when there are fewer.
size_t BytesOfChars(std::string_view text, size_t chars);
// The first `bytes` bytes, and the rest of the character that they end in.
std::string_view WholeChars(std::string_view text, size_t bytes);
// Bytes of the character at the front. REQUIRES: text is not empty.
size_t FirstCharBytes(std::string_view text);

// The code point of the character at the front, and in `bytes` its length. A malformed byte gives
// itself and 1.
uint32_t DecodeChar(std::string_view text, size_t* bytes);
void AppendChar(uint32_t code_point, std::string* out);

uint32_t ToUpperChar(uint32_t code_point);
uint32_t ToLowerChar(uint32_t code_point);
bool IsAlnumChar(uint32_t code_point);
// By the name of a POSIX class: "alpha", "alnum", "upper", …. REQUIRES: a name that iswctype knows.
bool IsInClass(uint32_t code_point, const char* class_name);

std::string ToUpperText(std::string_view text);
std::string ToLowerText(std::string_view text);

}  // namespace millrace

#endif  // MILLRACE_COMMON_EXPR_TEXT_UTF8_H_
