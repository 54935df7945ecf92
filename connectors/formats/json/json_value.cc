#include "connectors/formats/json/json_value.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <string>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/types/calendar.h"

namespace millrace {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Moves `at` behind digits; false if there are none.
bool SkipDigits(const char** at, const char* end) {
  const char* begin = *at;
  while (*at != end && IsDigit(**at)) {
    ++*at;
  }
  return *at != begin;
}

// Parses the whole token as a T; false if that is not possible.
template <typename T>
bool ReadWhole(std::string_view token, T* value) {
  const char* end = token.data() + token.size();
  auto [last, error] = std::from_chars(token.data(), end, *value);
  return error == std::errc() && last == end;
}

absl::Status OutOfRange(std::string_view token, int64_t unit_us) {
  return absl::OutOfRangeError(absl::StrCat("timestamp out of range: ", ToAbsl(token), " ",
                                            unit_us == 1 ? "us" : (unit_us == 1000 ? "ms" : "s"),
                                            " since 1970"));
}

absl::Status StoreEpoch(std::string_view token, int64_t unit_us, size_t column, size_t row,
                        DeclaredColumns* columns) {
  int64_t micros = 0;
  if (int64_t whole = 0; ReadWhole(token, &whole)) {
    if (__builtin_mul_overflow(whole, unit_us, &micros)) {
      return OutOfRange(token, unit_us);
    }
  } else {
    // A long double has 64 bits of mantissa, so it is exact to the microsecond over int64's range.
    long double scaled =
        std::strtold(std::string(token).c_str(), nullptr) * static_cast<long double>(unit_us);
    if (!(std::abs(scaled) < static_cast<long double>(kLastTimestamp))) {
      return OutOfRange(token, unit_us);
    }
    micros = std::llroundl(scaled);
  }
  if (!IsValidTimestamp(micros)) {
    return OutOfRange(token, unit_us);
  }
  columns->Set(column, row, micros);
  return absl::OkStatus();
}

absl::Status StoreNumber(std::string_view token, int64_t unit_us, size_t column, size_t row,
                         DeclaredColumns* columns) {
  switch (columns->type(column).id) {
    case TypeId::kInt64:
      if (int64_t number = 0; ReadWhole(token, &number)) {
        columns->Set(column, row, number);
        return absl::OkStatus();
      }
      break;
    case TypeId::kFloat64:
      if (!columns->reads(column)) {
        break;
      }
      if (double number = 0; ReadWhole(token, &number)) {
        columns->Set(column, row, number);
        return absl::OkStatus();
      }
      break;
    case TypeId::kTimestamp:
    case TypeId::kTimestampTz:
      return StoreEpoch(token, unit_us, column, row, columns);
    case TypeId::kDate:
    case TypeId::kInterval:
      return absl::InvalidArgumentError(absl::StrCat(
          "a number is no ", columns->type(column).ToString(), "; a string is expected"));
    default:
      break;
  }
  return columns->Parse(column, row, token);
}

}  // namespace

bool IsJsonNumber(std::string_view token) {
  const char* at = token.data();
  const char* end = at + token.size();
  if (at != end && *at == '-') {
    ++at;
  }
  const char* whole = at;
  if (!SkipDigits(&at, end) || (*whole == '0' && at - whole > 1)) {
    return false;
  }
  if (at != end && *at == '.') {
    ++at;
    if (!SkipDigits(&at, end)) {
      return false;
    }
  }
  if (at != end && (*at == 'e' || *at == 'E')) {
    ++at;
    if (at != end && (*at == '+' || *at == '-')) {
      ++at;
    }
    if (!SkipDigits(&at, end)) {
      return false;
    }
  }
  return at == end;
}

absl::Status StoreJsonValue(const JsonValue& value, int64_t unit_us, size_t column, size_t row,
                            DeclaredColumns* columns) {
  const TypeId type = columns->type(column).id;
  const bool is_string = value.kind == JsonValue::Kind::kString;
  if (type == TypeId::kText) {
    if (!is_string) {
      columns->SetTextView(column, row, {value.in_payload, value.token.size()});
    } else if (value.escaped) {
      columns->SetTextCopy(column, row, value.text);
    } else {
      columns->SetTextView(column, row, {value.in_payload + 1, value.text.size()});
    }
    return absl::OkStatus();
  }
  if (value.kind == JsonValue::Kind::kNumber && type != TypeId::kJsonb) {
    return StoreNumber(value.token, unit_us, column, row, columns);
  }
  if (value.kind == JsonValue::Kind::kBool && type == TypeId::kBool) {
    columns->Set(column, row, static_cast<uint8_t>(value.token == "true" ? 1 : 0));
    return absl::OkStatus();
  }
  return columns->Parse(column, row,
                        is_string && type != TypeId::kJsonb ? value.text : value.token);
}

}  // namespace millrace
