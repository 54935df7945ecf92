// Codes, digests and encodings: ascii, chr, to_hex, md5, sha256, encode, decode, quote_literal.
#include "common/expr/functions/text_encoding.h"

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/expr/functions/families.h"
#include "common/expr/text/utf8.h"
#include "common/types/text_format.h"

namespace millrace {
namespace {

std::string Digest(const EVP_MD* algorithm, std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  int ok = EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, algorithm, nullptr);
  MILLRACE_CHECK(ok == 1) << "OpenSSL refuses a digest";
  return std::string(reinterpret_cast<const char*>(digest.data()), size);
}

std::string Hex(std::string_view bytes) { return absl::BytesToHexString(ToAbsl(bytes)); }

int32_t Ascii(std::string_view text) {
  size_t bytes = 1;
  return text.empty() ? 0 : static_cast<int32_t>(DecodeChar(text, &bytes));
}

absl::StatusOr<std::string> Chr(int32_t code) {
  if (code < 0) {
    return absl::InvalidArgumentError("character number must be positive");
  }
  if (code == 0) {
    return absl::InvalidArgumentError("null character not permitted");
  }
  if (code > 0x10FFFF) {
    return absl::InvalidArgumentError(
        absl::StrCat("requested character too large for encoding: ", code));
  }
  if (code >= 0xD800 && code <= 0xDFFF) {
    return absl::InvalidArgumentError(
        absl::StrCat("requested character not valid for encoding: ", code));
  }
  std::string out;
  AppendChar(static_cast<uint32_t>(code), &out);
  return out;
}

// RFC 2045, as PostgreSQL: lines of 76 characters.
std::string Base64(std::string_view bytes) {
  constexpr size_t kLineChars = 76;
  std::string flat;
  absl::Base64Escape(ToAbsl(bytes), &flat);
  std::string out;
  for (size_t i = 0; i < flat.size(); i += kLineChars) {
    absl::StrAppend(&out, i == 0 ? "" : "\n", absl::string_view(flat).substr(i, kLineChars));
  }
  return out;
}

std::string EscapeFormat(std::string_view bytes) {
  std::string out;
  for (char c : bytes) {
    auto byte = static_cast<unsigned char>(c);
    if (byte == 0 || byte >= 0x80) {
      out.append({'\\', static_cast<char>('0' + (byte >> 6)),
                  static_cast<char>('0' + ((byte >> 3) & 7)), static_cast<char>('0' + (byte & 7))});
    } else {
      out.append(c == '\\' ? "\\\\" : std::string(1, c));
    }
  }
  return out;
}

absl::Status UnknownEncoding(std::string_view name) {
  return absl::InvalidArgumentError(absl::StrCat("unrecognized encoding: \"", ToAbsl(name), "\""));
}

absl::StatusOr<std::string> Encode(std::string_view bytes, std::string_view format) {
  std::string name = absl::AsciiStrToLower(ToAbsl(format));
  if (name == "hex") {
    return Hex(bytes);
  }
  if (name == "base64") {
    return Base64(bytes);
  }
  if (name == "escape") {
    return EscapeFormat(bytes);
  }
  return UnknownEncoding(format);
}

absl::StatusOr<ByteaString> Decode(std::string_view text, std::string_view format) {
  std::string name = absl::AsciiStrToLower(ToAbsl(format));
  if (name == "hex") {
    ASSIGN_OR_RETURN(std::string bytes, ParseBytea(absl::StrCat("\\x", ToAbsl(text))));
    return ByteaString{std::move(bytes)};
  }
  if (name == "base64") {
    std::string compact;
    for (char c : text) {
      if (!absl::ascii_isspace(static_cast<unsigned char>(c))) {
        compact.push_back(c);
      }
    }
    std::string bytes;
    if (compact.size() % 4 != 0 || !absl::Base64Unescape(compact, &bytes)) {
      return absl::InvalidArgumentError("invalid base64 end sequence");
    }
    return ByteaString{std::move(bytes)};
  }
  if (name == "escape") {
    ASSIGN_OR_RETURN(std::string bytes, ParseEscapedBytea(text));
    return ByteaString{std::move(bytes)};
  }
  return UnknownEncoding(format);
}

// Quotes doubled; with a backslash inside in the E'' form, backslashes doubled too.
std::string QuoteLiteral(std::string_view text) {
  std::string out = text.find('\\') == std::string_view::npos ? "'" : "E'";
  for (char c : text) {
    out.append(c == '\'' || c == '\\' ? 2 : 1, c);
  }
  return out + "'";
}

}  // namespace

absl::Status CheckBinaryEncoding(std::string_view name) {
  const std::string lower = absl::AsciiStrToLower(ToAbsl(name));
  return lower == "hex" || lower == "base64" || lower == "escape" ? absl::OkStatus()
                                                                  : UnknownEncoding(name);
}

void AddTextEncoding(FunctionList* list) {
  list->Add("ascii", [](std::string_view text) { return Ascii(text); });
  list->Add("chr", [](int32_t code) { return Chr(code); });
  list->Add("to_hex",
            [](int32_t value) { return absl::StrCat(absl::Hex(static_cast<uint32_t>(value))); });
  list->Add("to_hex",
            [](int64_t value) { return absl::StrCat(absl::Hex(static_cast<uint64_t>(value))); });
  list->Add("md5", [](std::string_view text) { return Hex(Digest(EVP_md5(), text)); });
  list->Add("md5", [](ByteaView bytea) { return Hex(Digest(EVP_md5(), bytea.bytes)); });
  list->Add("sha256",
            [](ByteaView bytea) { return ByteaString{Digest(EVP_sha256(), bytea.bytes)}; });
  list->Add("sha512",
            [](ByteaView bytea) { return ByteaString{Digest(EVP_sha512(), bytea.bytes)}; });
  list->Add("encode",
            [](ByteaView bytea, std::string_view format) { return Encode(bytea.bytes, format); });
  list->Add("decode",
            [](std::string_view text, std::string_view format) { return Decode(text, format); });
  list->Add("quote_literal", [](std::string_view text) { return QuoteLiteral(text); });
}

}  // namespace millrace
