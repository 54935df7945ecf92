#include "common/types/numeric.h"

#include <algorithm>
#include <array>
#include <boost/multiprecision/cpp_int.hpp>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace {
namespace {

using Kind = Numeric::Kind;
using boost::multiprecision::int512_t;
using Int128 = __int128;

constexpr int kMaxScale = Numeric::kMaxDigits;
// PostgreSQL's NUMERIC_MIN_SIG_DIGITS: how many digits a quotient shows at least.
constexpr int kMinSignificantDigits = 16;
// PostgreSQL stores base-10000 digits; its rule for the scale of a quotient counts those.
constexpr int kDigitsPerGroup = 4;

constexpr std::array<Int128, kMaxScale + 1> MakePowers() {
  std::array<Int128, kMaxScale + 1> powers{};
  powers[0] = 1;
  for (int i = 1; i <= kMaxScale; ++i) {
    powers[i] = powers[i - 1] * 10;
  }
  return powers;
}
constexpr std::array<Int128, kMaxScale + 1> kPowers = MakePowers();
constexpr Int128 kLimit = kPowers[Numeric::kMaxDigits];

absl::Status TooManyDigits() {
  return absl::OutOfRangeError(
      absl::StrCat("numeric value needs more than ", Numeric::kMaxDigits, " digits"));
}

Numeric Special(Kind kind) { return Numeric{.unscaled = 0, .scale = 0, .kind = kind}; }

Int128 Magnitude(Int128 value) { return value < 0 ? -value : value; }

absl::StatusOr<Numeric> Make(Int128 unscaled, int32_t scale) {
  if (scale > kMaxScale || Magnitude(unscaled) >= kLimit) {
    return TooManyDigits();
  }
  return Numeric{.unscaled = unscaled, .scale = scale};
}

absl::StatusOr<Numeric> MakeWide(const int512_t& unscaled, int32_t scale) {
  static const int512_t kWideLimit(kLimit);
  if (scale > kMaxScale || abs(unscaled) >= kWideLimit) {
    return TooManyDigits();
  }
  return Numeric{.unscaled = static_cast<Int128>(unscaled), .scale = scale};
}

// value · 10^digits without overflow, or false.
bool ScaleUp(Int128 value, int digits, Int128* out) {
  return digits <= kMaxScale && !__builtin_mul_overflow(value, kPowers[digits], out);
}

int512_t WideScaleUp(Int128 value, int digits) {
  int512_t wide(value);
  while (digits > 0) {
    int step = std::min(digits, kMaxScale);
    wide *= int512_t(kPowers[step]);
    digits -= step;
  }
  return wide;
}

// value / 10^digits, half away from zero.
Int128 RoundDown(Int128 value, int digits) {
  if (digits > kMaxScale) {
    return 0;
  }
  Int128 power = kPowers[digits];
  Int128 quotient = value / power;
  Int128 rest = Magnitude(value % power);
  if (rest >= power - rest) {
    quotient += value < 0 ? -1 : 1;
  }
  return quotient;
}

int Sign(const Numeric& value) {
  switch (value.kind) {
    case Kind::kInfinity:
      return 1;
    case Kind::kNegativeInfinity:
      return -1;
    case Kind::kNaN:
      return 0;
    case Kind::kFinite:
      break;
  }
  return value.unscaled < 0 ? -1 : (value.unscaled > 0 ? 1 : 0);
}

Numeric InfinityWithSign(int sign) {
  return Special(sign < 0 ? Kind::kNegativeInfinity : Kind::kInfinity);
}

// The weight of the first non-zero base-10000 digit (0 = just before the point) and that digit, as
// numeric.c sees them.
struct LeadingGroup {
  int weight = 0;
  int digit = 0;
};

LeadingGroup LeadingGroupOf(const Numeric& value) {
  Int128 magnitude = Magnitude(value.unscaled);
  if (magnitude == 0) {
    return {};
  }
  int digits = 1;
  while (digits < kMaxScale + 1 && magnitude >= kPowers[digits]) {
    ++digits;
  }
  int exponent = digits - 1 - value.scale;  // of the first digit, as a power of ten
  int weight = exponent >= 0 ? exponent / kDigitsPerGroup
                             : -((-exponent + kDigitsPerGroup - 1) / kDigitsPerGroup);
  int group_digits = exponent - weight * kDigitsPerGroup + 1;
  Int128 digit = digits >= group_digits ? magnitude / kPowers[digits - group_digits]
                                        : magnitude * kPowers[group_digits - digits];
  return {.weight = weight, .digit = static_cast<int>(digit)};
}

// select_div_scale of PostgreSQL's numeric.c.
int QuotientScale(const Numeric& a, const Numeric& b) {
  LeadingGroup first = LeadingGroupOf(a);
  LeadingGroup second = LeadingGroupOf(b);
  int weight = first.weight - second.weight;
  if (first.digit <= second.digit) {
    --weight;
  }
  int scale = kMinSignificantDigits - weight * kDigitsPerGroup;
  return std::min(kMaxScale, std::max({scale, a.scale, b.scale, 0}));
}

absl::StatusOr<Numeric> AddFinite(const Numeric& a, const Numeric& b) {
  int scale = std::max(a.scale, b.scale);
  Int128 left;
  Int128 right;
  Int128 sum;
  if (ScaleUp(a.unscaled, scale - a.scale, &left) && ScaleUp(b.unscaled, scale - b.scale, &right) &&
      !__builtin_add_overflow(left, right, &sum)) {
    return Make(sum, scale);
  }
  return MakeWide(
      WideScaleUp(a.unscaled, scale - a.scale) + WideScaleUp(b.unscaled, scale - b.scale), scale);
}

absl::Status InvalidText(std::string_view text) {
  return absl::InvalidArgumentError(
      absl::StrCat("invalid input syntax for type numeric: \"", ToAbsl(text), "\""));
}

bool ParseSpecial(std::string_view text, Numeric* out) {
  struct Name {
    const char* text;
    Kind kind;
  };
  static constexpr std::array<Name, 7> kNames = {{{"nan", Kind::kNaN},
                                                  {"infinity", Kind::kInfinity},
                                                  {"+infinity", Kind::kInfinity},
                                                  {"-infinity", Kind::kNegativeInfinity},
                                                  {"inf", Kind::kInfinity},
                                                  {"+inf", Kind::kInfinity},
                                                  {"-inf", Kind::kNegativeInfinity}}};
  for (const Name& name : kNames) {
    if (absl::EqualsIgnoreCase(ToAbsl(text), name.text)) {
      *out = Special(name.kind);
      return true;
    }
  }
  return false;
}

// Digits and point of a decimal number as they are read.
struct DigitReader {
  Int128 unscaled = 0;
  int scale = 0;
  bool any = false;
  bool overflow = false;

  void Push(int digit) {
    any = true;
    Int128 next;
    if (__builtin_mul_overflow(unscaled, static_cast<Int128>(10), &next) ||
        next + digit >= kLimit) {
      overflow = true;
      return;
    }
    unscaled = next + digit;
  }
};

// The exponent after 'e', or false when malformed. Clamped: anything beyond is out of range in any
// case.
bool ParseExponent(std::string_view text, int* exponent) {
  if (!text.empty() && text[0] == '+') {
    text.remove_prefix(1);
    if (text.empty() || !absl::ascii_isdigit(static_cast<unsigned char>(text[0]))) {
      return false;
    }
  }
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *exponent);
  if (end != text.data() + text.size() || text.empty()) {
    return false;
  }
  if (error == std::errc::result_out_of_range) {
    *exponent = text[0] == '-' ? -1000000 : 1000000;
    return true;
  }
  *exponent = std::clamp(*exponent, -1000000, 1000000);
  return error == std::errc();
}

}  // namespace

absl::StatusOr<Numeric> Numeric::FromDouble(double value) {
  if (std::isnan(value)) {
    return Special(Kind::kNaN);
  }
  if (std::isinf(value)) {
    return InfinityWithSign(value < 0 ? -1 : 1);
  }
  char text[64];
  int size = std::snprintf(text, sizeof(text), "%.15g", value);
  return Parse(std::string_view(text, static_cast<size_t>(size)));
}

absl::StatusOr<Numeric> Numeric::Parse(std::string_view text) {
  std::string_view rest = ToStd(absl::StripAsciiWhitespace(ToAbsl(text)));
  Numeric special;
  if (ParseSpecial(rest, &special)) {
    return special;
  }
  bool negative = !rest.empty() && rest[0] == '-';
  if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) {
    rest.remove_prefix(1);
  }
  DigitReader reader;
  bool point = false;
  size_t i = 0;
  for (; i < rest.size(); ++i) {
    if (absl::ascii_isdigit(static_cast<unsigned char>(rest[i]))) {
      reader.Push(rest[i] - '0');
      reader.scale += point ? 1 : 0;
    } else if (rest[i] == '.' && !point) {
      point = true;
    } else {
      break;
    }
  }
  int exponent = 0;
  if (i < rest.size() && (rest[i] == 'e' || rest[i] == 'E')) {
    if (!ParseExponent(rest.substr(i + 1), &exponent)) {
      return InvalidText(text);
    }
    i = rest.size();
  }
  if (!reader.any || i != rest.size()) {
    return InvalidText(text);
  }
  if (reader.overflow) {
    return TooManyDigits();
  }
  int scale = reader.scale - exponent;
  Int128 unscaled = reader.unscaled;
  if (scale < 0) {
    if (unscaled != 0 && !ScaleUp(unscaled, -scale, &unscaled)) {
      return TooManyDigits();
    }
    scale = 0;
  }
  return Make(negative ? -unscaled : unscaled, scale);
}

std::string Numeric::ToString() const {
  switch (kind) {
    case Kind::kInfinity:
      return "Infinity";
    case Kind::kNegativeInfinity:
      return "-Infinity";
    case Kind::kNaN:
      return "NaN";
    case Kind::kFinite:
      break;
  }
  char buffer[64];
  char* end = buffer + sizeof(buffer);
  char* begin = end;
  auto magnitude = static_cast<unsigned __int128>(Magnitude(unscaled));
  int written = 0;
  while (magnitude != 0 || written <= scale) {
    if (written == scale && scale > 0) {
      *--begin = '.';
    }
    *--begin = static_cast<char>('0' + static_cast<int>(magnitude % 10));
    magnitude /= 10;
    ++written;
  }
  if (unscaled < 0) {
    *--begin = '-';
  }
  return std::string(begin, end);
}

double Numeric::ToDouble() const {
  switch (kind) {
    case Kind::kInfinity:
      return std::numeric_limits<double>::infinity();
    case Kind::kNegativeInfinity:
      return -std::numeric_limits<double>::infinity();
    case Kind::kNaN:
      return std::numeric_limits<double>::quiet_NaN();
    case Kind::kFinite:
      break;
  }
  // Both are exact doubles, so that their quotient is the correctly rounded result.
  constexpr Int128 kExactDouble = Int128{1} << 53;
  constexpr int kExactPower = 22;
  if (Magnitude(unscaled) <= kExactDouble && scale <= kExactPower) {
    return static_cast<double>(static_cast<int64_t>(unscaled)) /
           static_cast<double>(kPowers[scale]);
  }
  std::string text = ToString();
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

absl::StatusOr<int64_t> Numeric::ToInt64() const {
  if (kind == Kind::kNaN) {
    return absl::InvalidArgumentError("cannot convert NaN to bigint");
  }
  if (kind != Kind::kFinite) {
    return absl::InvalidArgumentError("cannot convert infinity to bigint");
  }
  Int128 rounded = RoundDown(unscaled, scale);
  if (rounded < std::numeric_limits<int64_t>::min() ||
      rounded > std::numeric_limits<int64_t>::max()) {
    return absl::OutOfRangeError("bigint out of range");
  }
  return static_cast<int64_t>(rounded);
}

absl::StatusOr<Numeric> Numeric::Rescale(int32_t new_scale) const {
  if (kind != Kind::kFinite || new_scale == scale) {
    return *this;
  }
  if (new_scale > scale) {
    Int128 scaled;
    if (!ScaleUp(unscaled, new_scale - scale, &scaled)) {
      return TooManyDigits();
    }
    return Make(scaled, new_scale);
  }
  if (new_scale >= 0) {
    return Make(RoundDown(unscaled, scale - new_scale), new_scale);
  }
  // Rounding before the point: to tens, hundreds, …; the result has no digits behind it.
  Int128 scaled = RoundDown(unscaled, scale - new_scale);
  if (scaled != 0 && !ScaleUp(scaled, -new_scale, &scaled)) {
    return TooManyDigits();
  }
  return Make(scaled, 0);
}

Numeric Numeric::Canonical() const {
  Numeric result = *this;
  if (kind != Kind::kFinite) {
    return Special(kind);
  }
  while (result.scale > 0 && result.unscaled % 10 == 0) {
    result.unscaled /= 10;
    --result.scale;
  }
  return result;
}

absl::StatusOr<Numeric> Numeric::Add(const Numeric& a, const Numeric& b) {
  if (a.IsFinite() && b.IsFinite()) {
    return AddFinite(a, b);
  }
  if (a.kind == Kind::kNaN || b.kind == Kind::kNaN) {
    return Special(Kind::kNaN);
  }
  if (!a.IsFinite() && !b.IsFinite() && a.kind != b.kind) {
    return Special(Kind::kNaN);
  }
  return a.IsFinite() ? b : a;
}

absl::StatusOr<Numeric> Numeric::Subtract(const Numeric& a, const Numeric& b) {
  return Add(a, b.Negate());
}

absl::StatusOr<Numeric> Numeric::Multiply(const Numeric& a, const Numeric& b) {
  if (a.IsFinite() && b.IsFinite()) {
    Int128 product;
    if (!__builtin_mul_overflow(a.unscaled, b.unscaled, &product)) {
      return Make(product, a.scale + b.scale);
    }
    return MakeWide(int512_t(a.unscaled) * int512_t(b.unscaled), a.scale + b.scale);
  }
  int sign = Sign(a) * Sign(b);
  if (sign == 0) {
    return Special(Kind::kNaN);  // an operand is NaN, or infinity times zero
  }
  return InfinityWithSign(sign);
}

absl::StatusOr<Numeric> Numeric::Divide(const Numeric& a, const Numeric& b) {
  if (a.kind == Kind::kNaN || b.kind == Kind::kNaN) {
    return Special(Kind::kNaN);
  }
  if (!b.IsFinite()) {
    return a.IsFinite() ? Numeric{} : Special(Kind::kNaN);
  }
  if (b.unscaled == 0) {
    return absl::InvalidArgumentError("division by zero");
  }
  if (!a.IsFinite()) {
    return InfinityWithSign(Sign(a) * Sign(b));
  }
  int scale = QuotientScale(a, b);
  int shift = scale - a.scale + b.scale;
  Int128 dividend;
  if (ScaleUp(a.unscaled, shift, &dividend)) {
    Int128 quotient = dividend / b.unscaled;
    Int128 rest = Magnitude(dividend % b.unscaled);
    if (rest >= Magnitude(b.unscaled) - rest) {
      quotient += (dividend < 0) == (b.unscaled < 0) ? 1 : -1;
    }
    return Make(quotient, scale);
  }
  int512_t wide = WideScaleUp(a.unscaled, shift);
  int512_t divisor(b.unscaled);
  int512_t quotient = wide / divisor;
  int512_t rest = abs(wide % divisor);
  if (rest * 2 >= abs(divisor)) {
    quotient += (wide < 0) == (divisor < 0) ? 1 : -1;
  }
  return MakeWide(quotient, scale);
}

absl::StatusOr<Numeric> Numeric::Modulo(const Numeric& a, const Numeric& b) {
  if (a.kind == Kind::kNaN || b.kind == Kind::kNaN) {
    return Special(Kind::kNaN);
  }
  if (b.IsFinite() && b.unscaled == 0) {
    return absl::InvalidArgumentError("division by zero");
  }
  if (!a.IsFinite()) {
    return Special(Kind::kNaN);
  }
  if (!b.IsFinite()) {
    return a;
  }
  int scale = std::max(a.scale, b.scale);
  int512_t rest =
      WideScaleUp(a.unscaled, scale - a.scale) % WideScaleUp(b.unscaled, scale - b.scale);
  return MakeWide(rest, scale);
}

Numeric Numeric::Negate() const {
  switch (kind) {
    case Kind::kInfinity:
      return Special(Kind::kNegativeInfinity);
    case Kind::kNegativeInfinity:
      return Special(Kind::kInfinity);
    case Kind::kNaN:
      return *this;
    case Kind::kFinite:
      break;
  }
  Numeric result = *this;
  result.unscaled = -result.unscaled;
  return result;
}

std::strong_ordering Numeric::Compare(const Numeric& a, const Numeric& b) {
  if (!a.IsFinite() || !b.IsFinite()) {
    // The kinds' numbers are in the order of their values.
    return static_cast<int32_t>(a.kind) <=> static_cast<int32_t>(b.kind);
  }
  if (a.scale == b.scale) {
    return a.unscaled <=> b.unscaled;
  }
  int scale = std::max(a.scale, b.scale);
  Int128 left;
  Int128 right;
  if (ScaleUp(a.unscaled, scale - a.scale, &left) && ScaleUp(b.unscaled, scale - b.scale, &right)) {
    return left <=> right;
  }
  int512_t wide_left = WideScaleUp(a.unscaled, scale - a.scale);
  int512_t wide_right = WideScaleUp(b.unscaled, scale - b.scale);
  return wide_left < wide_right ? std::strong_ordering::less
                                : (wide_left > wide_right ? std::strong_ordering::greater
                                                          : std::strong_ordering::equal);
}

}  // namespace millrace
