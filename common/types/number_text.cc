#include "common/types/number_text.h"

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace {
namespace {

std::string_view Trim(std::string_view text) {
  return ToStd(absl::StripAsciiWhitespace(ToAbsl(text)));
}

absl::Status OutOfRange(std::string_view text, const char* type) {
  return absl::OutOfRangeError(
      absl::StrCat("\"", ToAbsl(text), "\" is out of range for type ", type));
}

template <typename T>
constexpr const char* TypeNameOf() {
  if constexpr (std::is_same_v<T, int16_t>) {
    return "smallint";
  } else if constexpr (std::is_same_v<T, int32_t>) {
    return "integer";
  } else if constexpr (std::is_same_v<T, int64_t>) {
    return "bigint";
  } else if constexpr (std::is_same_v<T, float>) {
    return "real";
  } else {
    return "double precision";
  }
}

template <typename T>
absl::StatusOr<T> ParseInteger(std::string_view text) {
  std::string_view digits = Trim(text);
  if (!digits.empty() && digits[0] == '+' && !digits.starts_with("+-")) {
    digits.remove_prefix(1);
  }
  T value = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || end != digits.data() + digits.size() ||
      error == std::errc::invalid_argument) {
    return InvalidSyntax(text, TypeNameOf<T>());
  }
  if (error == std::errc::result_out_of_range) {
    return absl::OutOfRangeError(
        absl::StrCat("value \"", ToAbsl(text), "\" is out of range for type ", TypeNameOf<T>()));
  }
  return value;
}

template <typename T>
bool ParseSpecialFloat(std::string_view text, T* out) {
  bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) {
    text.remove_prefix(1);
  }
  absl::string_view name = ToAbsl(text);
  if (absl::EqualsIgnoreCase(name, "nan")) {
    *out = std::numeric_limits<T>::quiet_NaN();
    return true;
  }
  if (absl::EqualsIgnoreCase(name, "infinity") || absl::EqualsIgnoreCase(name, "inf")) {
    *out = negative ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::infinity();
    return true;
  }
  return false;
}

// Whether `digits`, which follow a sign, have a form that PostgreSQL reads only because C's strtod
// does: a hexadecimal number, or nan with characters in parentheses.
bool IsOfC(std::string_view digits) {
  const bool nan = absl::StartsWithIgnoreCase(ToAbsl(digits), "nan(") && digits.ends_with(')');
  return nan || absl::StartsWithIgnoreCase(ToAbsl(digits), "0x");
}

// The number that strtod or strtof reads, if that takes all of `number`.
template <typename T>
absl::StatusOr<T> ParseFloatOfC(const std::string& number, std::string_view text) {
  char* end = nullptr;
  errno = 0;
  T value;
  if constexpr (std::is_same_v<T, float>) {
    value = std::strtof(number.c_str(), &end);
  } else {
    value = std::strtod(number.c_str(), &end);
  }
  if (end != number.c_str() + number.size()) {
    return InvalidSyntax(text, TypeNameOf<T>());
  }
  if (errno == ERANGE && (value == 0 || std::isinf(value))) {
    return OutOfRange(text, TypeNameOf<T>());
  }
  return value;
}

template <typename T>
absl::StatusOr<T> ParseFloat(std::string_view text) {
  std::string_view number = Trim(text);
  T value = 0;
  if (ParseSpecialFloat(number, &value)) {
    return value;
  }
  if (number.starts_with('+') && !number.starts_with("+-")) {
    number.remove_prefix(1);
  }
  // from_chars also accepts "inf" and "nan(…)", which were handled above or are wrong here.
  size_t first = number.starts_with('-') ? 1 : 0;
  if (IsOfC(number.substr(first))) {
    return ParseFloatOfC<T>(std::string(number), text);
  }
  bool numeric =
      number.size() > first &&
      (absl::ascii_isdigit(static_cast<unsigned char>(number[first])) || number[first] == '.');
  auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (!numeric || end != number.data() + number.size() || error == std::errc::invalid_argument) {
    return InvalidSyntax(text, TypeNameOf<T>());
  }
  if (error == std::errc::result_out_of_range) {
    return OutOfRange(text, TypeNameOf<T>());
  }
  return value;
}

// Reads an integer in scientific form; nothing if it is no integer or needs more than 125 bits.
std::optional<__int128> ReadInteger(std::string_view scientific) {
  const size_t mark = scientific.find('e');
  int exponent = 0;
  std::string_view written = scientific.substr(mark + 1);
  written.remove_prefix(written[0] == '+' ? 1 : 0);
  std::from_chars(written.data(), written.data() + written.size(), exponent);
  __int128 integer = 0;
  bool behind_point = false;
  for (char c : scientific.substr(0, mark)) {
    if (c == '.') {
      behind_point = true;
    } else if (c != '-') {
      integer = integer * 10 + (c - '0');
      exponent -= behind_point ? 1 : 0;
    }
  }
  constexpr __int128 kMost = static_cast<__int128>(1) << 125;
  for (; exponent > 0; --exponent) {
    if (integer > kMost / 10) {
      return std::nullopt;
    }
    integer *= 10;
  }
  return exponent < 0 ? std::nullopt : std::optional<__int128>(integer);
}

// Whether a decimal lies half-way between `value`, an integer, and a neighbour. It reads back as
// `value` only if that is the even one of the two; PostgreSQL does not rely on that, and writes
// more digits.
template <typename T>
bool IsHalfWay(T value, std::string_view scientific) {
  const std::optional<__int128> integer = ReadInteger(scientific);
  if (!integer.has_value()) {
    return false;
  }
  const T magnitude = std::fabs(value);
  const auto is_half_way_to = [&](T end) {
    return *integer * 2 ==
           static_cast<__int128>(magnitude) + static_cast<__int128>(std::nextafter(magnitude, end));
  };
  return is_half_way_to(std::numeric_limits<T>::infinity()) || is_half_way_to(0);
}

template <typename T>
bool ReadsBackAs(T value, std::string_view decimal) {
  T read = 0;
  std::from_chars(decimal.data(), decimal.data() + decimal.size(), read);
  return read == value;
}

// The shortest decimal that tells the number from its neighbours, with an exponent.
template <typename T>
std::string_view ShortestScientific(T value, char* begin, char* end) {
  const auto shortest = std::to_chars(begin, end, value, std::chars_format::scientific);
  std::string_view text(begin, static_cast<size_t>(shortest.ptr - begin));
  // A decimal half-way to a neighbour of a smaller number has more digits than the shortest one.
  constexpr T kLeastInteger = static_cast<T>(int64_t{1} << (std::numeric_limits<T>::digits - 1));
  if (std::fabs(value) < kLeastInteger || !IsHalfWay(value, text)) {
    return text;
  }
  // The digits that round to the value itself, as many as it takes.
  int behind_point = 0;
  do {
    const auto longer =
        std::to_chars(begin, end, value, std::chars_format::scientific, ++behind_point);
    text = {begin, static_cast<size_t>(longer.ptr - begin)};
  } while (IsHalfWay(value, text) || !ReadsBackAs(value, text));
  return text;
}

// PostgreSQL switches to exponents outside of 10^-4 … 10^digits10, and writes at least two exponent
// digits.
template <typename T>
void AppendFloat(T value, std::string* out) {
  constexpr int kLeastPlainExponent = -4;
  constexpr int kMostPlainExponent = std::numeric_limits<T>::digits10;
  if (std::isnan(value)) {
    out->append("NaN");
    return;
  }
  if (std::isinf(value)) {
    out->append(value < 0 ? "-Infinity" : "Infinity");
    return;
  }
  char buffer[400];
  const std::string_view text = ShortestScientific(value, buffer, buffer + sizeof(buffer));
  size_t mark = text.find('e');
  int exponent = 0;
  std::string_view digits = text.substr(mark + 1);
  digits.remove_prefix(digits[0] == '+' ? 1 : 0);
  std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
  if (value == 0 || (exponent >= kLeastPlainExponent && exponent < kMostPlainExponent)) {
    auto fixed = std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::fixed);
    out->append(buffer, static_cast<size_t>(fixed.ptr - buffer));
    return;
  }
  out->append(text);  // to_chars writes two exponent digits too
}

}  // namespace

absl::Status InvalidSyntax(std::string_view text, std::string_view type_name) {
  return absl::InvalidArgumentError(absl::StrCat("invalid input syntax for type ",
                                                 ToAbsl(type_name), ": \"", ToAbsl(text), "\""));
}

absl::StatusOr<bool> ParseBool(std::string_view text) {
  std::string word = absl::AsciiStrToLower(ToAbsl(Trim(text)));
  auto abbreviates = [&word](std::string_view full, size_t least) {
    return word.size() >= least && full.starts_with(word);
  };
  if (abbreviates("true", 1) || abbreviates("yes", 1) || word == "on" || word == "1") {
    return true;
  }
  if (abbreviates("false", 1) || abbreviates("no", 1) || abbreviates("off", 2) || word == "0") {
    return false;
  }
  return InvalidSyntax(text, "boolean");
}

template <>
absl::StatusOr<int16_t> ParseNumber<int16_t>(std::string_view text) {
  return ParseInteger<int16_t>(text);
}
template <>
absl::StatusOr<int32_t> ParseNumber<int32_t>(std::string_view text) {
  return ParseInteger<int32_t>(text);
}
template <>
absl::StatusOr<int64_t> ParseNumber<int64_t>(std::string_view text) {
  return ParseInteger<int64_t>(text);
}
template <>
absl::StatusOr<float> ParseNumber<float>(std::string_view text) {
  return ParseFloat<float>(text);
}
template <>
absl::StatusOr<double> ParseNumber<double>(std::string_view text) {
  return ParseFloat<double>(text);
}

void AppendNumber(float value, std::string* out) { AppendFloat(value, out); }
void AppendNumber(double value, std::string* out) { AppendFloat(value, out); }

void AppendNumber(int64_t value, std::string* out) {
  char buffer[24];
  auto result = std::to_chars(buffer, buffer + sizeof(buffer), value);
  out->append(buffer, static_cast<size_t>(result.ptr - buffer));
}

}  // namespace millrace
