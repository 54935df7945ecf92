#include "common/expr/format/decimal_text.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace millrace {
namespace {

// All digits, and how many of them stand before the point.
struct Parts {
  bool negative = false;
  std::string digits;
  int before = 0;
};

Parts Split(std::string_view number) {
  Parts parts;
  parts.negative = number.starts_with('-');
  number.remove_prefix(parts.negative ? 1 : 0);
  const size_t point = std::min(number.find('.'), number.size());
  parts.digits = std::string(number.substr(0, point));
  parts.before = static_cast<int>(point);
  parts.digits.append(number.substr(std::min(point + 1, number.size())));
  return parts;
}

bool IsZero(const std::string& digits) {
  return digits.find_first_not_of('0') == std::string::npos;
}

// Keeps the first `count` digits, which may be more than there are.
void Keep(int count, Parts* parts) {
  const auto kept = static_cast<size_t>(std::max(count, 0));
  const bool up = count >= 0 && kept < parts->digits.size() && parts->digits[kept] >= '5';
  parts->digits.resize(kept, '0');
  if (!up) {
    return;
  }
  size_t at = kept;
  while (at > 0 && parts->digits[at - 1] == '9') {
    parts->digits[--at] = '0';
  }
  if (at > 0) {
    ++parts->digits[at - 1];
  } else {
    parts->digits.insert(parts->digits.begin(), '1');
    ++parts->before;
  }
}

}  // namespace

std::string RoundDecimal(std::string_view number, int scale) {
  Parts parts = Split(number);
  Keep(parts.before + scale, &parts);
  std::string text = parts.negative && !IsZero(parts.digits) ? "-" : "";
  text.append(parts.digits, 0, static_cast<size_t>(parts.before));
  if (scale > 0) {
    text.push_back('.');
    text.append(parts.digits, static_cast<size_t>(parts.before));
  }
  return text;
}

std::string ShiftDecimal(std::string_view number, int places) {
  Parts parts = Split(number);
  parts.before += places;
  if (parts.digits.size() < static_cast<size_t>(parts.before)) {
    parts.digits.resize(static_cast<size_t>(parts.before), '0');
  }
  std::string text = parts.negative ? "-" : "";
  std::string_view whole(parts.digits.data(), static_cast<size_t>(parts.before));
  whole.remove_prefix(std::min(whole.find_first_not_of('0'), whole.size() - 1));
  text.append(whole);
  if (parts.digits.size() > static_cast<size_t>(parts.before)) {
    text.push_back('.');
    text.append(parts.digits, static_cast<size_t>(parts.before));
  }
  return text;
}

std::string ScientificDecimal(std::string_view number, int scale) {
  Parts parts = Split(number);
  int exponent = 0;
  if (IsZero(parts.digits)) {
    parts.digits.assign(1, '0');
    parts.before = 1;
  } else {
    const size_t first = parts.digits.find_first_not_of('0');
    exponent = parts.before - static_cast<int>(first) - 1;
    parts.digits.erase(0, first);
    parts.before = 1;
  }
  Keep(1 + scale, &parts);
  if (parts.before > 1) {  // 9.99 has become 10.0
    ++exponent;
    parts.digits.pop_back();
  }
  std::string text = parts.negative ? "-" : "";
  text.append(parts.digits, 0, 1);
  if (scale > 0) {
    text.push_back('.');
    text.append(parts.digits, 1);
  }
  absl::StrAppendFormat(&text, "e%c%02d", exponent < 0 ? '-' : '+', std::abs(exponent));
  return text;
}

}  // namespace millrace
