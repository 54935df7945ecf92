#include "common/types/numeric.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/types/wide_numeric.h"

namespace millrace {
namespace {

using Kind = Numeric::Kind;
using Int128 = __int128;

// The largest scale of a narrow value.
constexpr int kNarrowScale = Numeric::kMaxNarrowDigits;
// PostgreSQL's NUMERIC_MIN_SIG_DIGITS: how many digits a quotient shows at least.
constexpr int kMinSignificantDigits = 16;
// PostgreSQL stores base-10000 digits; its rule for the scale of a quotient counts those.
constexpr int kDigitsPerGroup = 4;

constexpr std::array<Int128, kNarrowScale + 1> MakePowers() {
  std::array<Int128, kNarrowScale + 1> powers{};
  powers[0] = 1;
  for (int i = 1; i <= kNarrowScale; ++i) {
    powers[i] = powers[i - 1] * 10;
  }
  return powers;
}
constexpr std::array<Int128, kNarrowScale + 1> kPowers = MakePowers();
constexpr Int128 kLimit = kPowers[Numeric::kMaxNarrowDigits];

// The limit for exponents in cells from outside, far beyond any value's digits.
constexpr int32_t kMaxExponent = Numeric::kMaxWholeDigits;
constexpr size_t kMaxDigitBytes = (Numeric::kMaxWholeDigits + Numeric::kMaxScale) / 2;

Numeric Special(Kind kind) { return Numeric{.unscaled = 0, .scale = 0, .kind = kind}; }

Int128 Magnitude(Int128 value) { return value < 0 ? -value : value; }

bool IsNarrow(Int128 unscaled, int32_t scale) {
  return scale <= kNarrowScale && unscaled < kLimit && unscaled > -kLimit;
}

absl::StatusOr<NumericValue> Make(Int128 unscaled, int32_t scale) {
  if (IsNarrow(unscaled, scale)) {
    return NumericValue(Numeric{.unscaled = unscaled, .scale = scale});
  }
  return WideNumeric{.unscaled = WideNumeric::FromInt128(unscaled), .scale = scale}.ToNumeric();
}

// value · 10^digits without overflow, or false.
bool ScaleUp(Int128 value, int digits, Int128* out) {
  return digits <= kNarrowScale && !__builtin_mul_overflow(value, kPowers[digits], out);
}

// value / 10^digits, half away from zero.
Int128 RoundDown(Int128 value, int digits) {
  if (digits > kNarrowScale) {
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

Numeric InfinityWithSign(int sign) {
  return Special(sign < 0 ? Kind::kNegativeInfinity : Kind::kInfinity);
}

// The weight of the first non-zero base-10000 digit (0 = just before the point) and that digit, as
// numeric.c sees them.
struct LeadingGroup {
  int weight = 0;
  int digit = 0;
};

int DigitsOf(Int128 magnitude) {
  int digits = 1;
  while (digits <= kNarrowScale && magnitude >= kPowers[digits]) {
    ++digits;
  }
  return digits;
}

LeadingGroup LeadingGroupOf(const Numeric& value) {
  if (value.IsZero()) {
    return {};
  }
  const int exponent = value.LeadingExponent();
  const int weight = exponent >= 0 ? exponent / kDigitsPerGroup
                                   : -((-exponent + kDigitsPerGroup - 1) / kDigitsPerGroup);
  const int group_digits = exponent - weight * kDigitsPerGroup + 1;
  const int digits = exponent + value.scale + 1;  // of the unscaled number
  int64_t digit = 0;
  if (value.IsWide()) {
    const WideNumeric wide = WideNumeric::From(value);
    digit = mpz_class(wide.unscaled / PowerOfTen(std::max(digits - group_digits, 0))).get_si() *
            static_cast<int64_t>(kPowers[std::max(group_digits - digits, 0)]);
  } else {
    digit = static_cast<int64_t>(digits >= group_digits
                                     ? value.unscaled / kPowers[digits - group_digits]
                                     : value.unscaled * kPowers[group_digits - digits]);
  }
  return {.weight = weight, .digit = static_cast<int>(std::abs(digit))};
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
  return std::min(Numeric::kMaxResultScale, std::max({scale, a.scale, b.scale, 0}));
}

absl::StatusOr<NumericValue> AddFinite(const Numeric& a, const Numeric& b) {
  Int128 left;
  Int128 right;
  Int128 sum;
  const int scale = std::max(a.scale, b.scale);
  if (!a.IsWide() && !b.IsWide() && ScaleUp(a.unscaled, scale - a.scale, &left) &&
      ScaleUp(b.unscaled, scale - b.scale, &right) && !__builtin_add_overflow(left, right, &sum)) {
    return Make(sum, scale);
  }
  return WideNumeric::Add(WideNumeric::From(a), WideNumeric::From(b)).ToNumeric();
}

// The rule of division at infinity and with NaN. REQUIRES: one of them is no finite number.
absl::StatusOr<NumericValue> DivideSpecial(const Numeric& a, const Numeric& b) {
  if (a.IsNaN() || b.IsNaN()) {
    return NumericValue(Numeric::NaN());
  }
  if (!b.IsFinite()) {
    return NumericValue(a.IsFinite() ? Numeric{} : Numeric::NaN());
  }
  if (b.IsZero()) {
    return absl::InvalidArgumentError("division by zero");
  }
  return NumericValue(InfinityWithSign(a.Sign() * b.Sign()));
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

// A decimal number as written.
struct Written {
  bool negative = false;
  std::string_view whole;
  std::string_view fraction;
  int64_t exponent = 0;
};

// The exponent after 'e', as C's strtol reads it: blanks, a sign, digits. False when malformed. One
// that is too large for any number is clamped.
bool ParseExponent(std::string_view text, int64_t* exponent) {
  constexpr int64_t kMost = INT32_MAX / 2;
  while (!text.empty() && absl::ascii_isspace(static_cast<unsigned char>(text[0]))) {
    text.remove_prefix(1);
  }
  const bool negative = text.starts_with("-");
  if (negative || text.starts_with("+")) {
    text.remove_prefix(1);
  }
  if (text.empty()) {
    return false;
  }
  *exponent = 0;
  for (char c : text) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) {
      return false;
    }
    *exponent = std::min(*exponent * 10 + (c - '0'), kMost);
  }
  *exponent = negative ? -*exponent : *exponent;
  return true;
}

std::string_view TakeDigits(std::string_view* text) {
  size_t end = 0;
  while (end < text->size() && absl::ascii_isdigit(static_cast<unsigned char>((*text)[end]))) {
    ++end;
  }
  const std::string_view digits = text->substr(0, end);
  text->remove_prefix(end);
  return digits;
}

bool ReadNumber(std::string_view text, Written* number) {
  number->negative = text.starts_with("-");
  if (number->negative || text.starts_with("+")) {
    text.remove_prefix(1);
  }
  number->whole = TakeDigits(&text);
  if (text.starts_with(".")) {
    text.remove_prefix(1);
    number->fraction = TakeDigits(&text);
  }
  if (number->whole.empty() && number->fraction.empty()) {
    return false;
  }
  if (text.starts_with("e") || text.starts_with("E")) {
    return ParseExponent(text.substr(1), &number->exponent);
  }
  return text.empty();
}

// The digits as one number without a point, if they and the scale are narrow.
bool ReadNarrow(const Written& number, int64_t scale, Int128* unscaled) {
  *unscaled = 0;
  for (std::string_view digits : {number.whole, number.fraction}) {
    for (char c : digits) {
      if (*unscaled >= kLimit / 10) {
        return false;
      }
      *unscaled = *unscaled * 10 + (c - '0');
    }
  }
  if (number.negative) {
    *unscaled = -*unscaled;
  }
  return scale >= 0 ? scale <= kNarrowScale
                    : *unscaled == 0 ||
                          (ScaleUp(*unscaled,
                                   static_cast<int>(std::min<int64_t>(-scale, kNarrowScale + 1)),
                                   unscaled) &&
                           Magnitude(*unscaled) < kLimit);
}

// Reads a number that does not fit 38 digits. Checks its length before it allocates anything.
absl::StatusOr<NumericValue> ReadWide(const Written& number, int64_t scale) {
  std::string digits = absl::StrCat(ToAbsl(number.whole), ToAbsl(number.fraction));
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size()));
  const auto count = static_cast<int64_t>(digits.size());
  if (scale > Numeric::kMaxScale || count - scale > Numeric::kMaxWholeDigits) {
    return NumericOverflow();
  }
  WideNumeric wide{.unscaled = 0, .scale = static_cast<int32_t>(std::max<int64_t>(scale, 0))};
  if (!digits.empty()) {
    wide.unscaled.set_str(digits, 10);
  }
  if (scale < 0) {
    wide.unscaled *= PowerOfTen(-scale);
  }
  if (number.negative) {
    wide.unscaled = -wide.unscaled;
  }
  return wide.ToNumeric();
}

}  // namespace

NumericValue Numeric::FromInt128(__int128 value) {
  return *Make(value, 0);  // far from numeric's bounds
}

absl::StatusOr<NumericValue> Numeric::FromDouble(double value) {
  if (std::isnan(value)) {
    return NumericValue(NaN());
  }
  if (std::isinf(value)) {
    return NumericValue(InfinityWithSign(value < 0 ? -1 : 1));
  }
  char text[64];
  int size = std::snprintf(text, sizeof(text), "%.15g", value);
  return Parse(std::string_view(text, static_cast<size_t>(size)));
}

absl::StatusOr<NumericValue> Numeric::Parse(std::string_view text) {
  std::string_view rest = ToStd(absl::StripAsciiWhitespace(ToAbsl(text)));
  Numeric special;
  if (ParseSpecial(rest, &special)) {
    return NumericValue(special);
  }
  Written number;
  if (!ReadNumber(rest, &number)) {
    return InvalidText(text);
  }
  constexpr int64_t kNoExponent = INT32_MAX / 2;
  if (std::abs(number.exponent) >= kNoExponent) {
    return NumericOverflow();
  }
  const int64_t scale = static_cast<int64_t>(number.fraction.size()) - number.exponent;
  Int128 unscaled = 0;
  if (ReadNarrow(number, scale, &unscaled)) {
    return NumericValue(
        Numeric{.unscaled = unscaled, .scale = static_cast<int32_t>(std::max<int64_t>(scale, 0))});
  }
  return ReadWide(number, scale);
}

int Numeric::Sign() const {
  switch (kind) {
    case Kind::kInfinity:
      return 1;
    case Kind::kNegativeInfinity:
    case Kind::kNegativeWide:
      return -1;
    case Kind::kNaN:
      return 0;
    case Kind::kWide:
      return IsZero() ? 0 : 1;
    case Kind::kFinite:
      break;
  }
  return unscaled < 0 ? -1 : (unscaled > 0 ? 1 : 0);
}

int Numeric::LeadingExponent() const {
  return IsWide() ? WideNumeric::From(*this).LeadingExponent()
                  : DigitsOf(Magnitude(unscaled)) - 1 - scale;
}

bool Numeric::IsOdd() const {
  const Numeric whole = Canonical();
  return whole.IsWide() ? whole.exponent() == 0 && (whole.digits()[0] & 1) != 0
                        : whole.unscaled % 2 != 0;
}

std::string Numeric::ToString() const {
  switch (kind) {
    case Kind::kInfinity:
      return "Infinity";
    case Kind::kNegativeInfinity:
      return "-Infinity";
    case Kind::kNaN:
      return "NaN";
    case Kind::kWide:
    case Kind::kNegativeWide:
      return WideNumeric::From(*this).ToString();
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
    default:
      break;
  }
  // Both are exact as doubles, so their quotient is the correctly rounded result.
  constexpr Int128 kExactDouble = Int128{1} << 53;
  constexpr int kExactPower = 22;
  if (!IsWide() && Magnitude(unscaled) <= kExactDouble && scale <= kExactPower) {
    return static_cast<double>(static_cast<int64_t>(unscaled)) /
           static_cast<double>(kPowers[scale]);
  }
  const std::string text = ToString();
  double value = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc()) {
    return value;
  }
  const double limit = LeadingExponent() > 0 ? std::numeric_limits<double>::infinity() : 0.0;
  return Sign() < 0 ? -limit : limit;
}

absl::StatusOr<int64_t> Numeric::ToInt64() const {
  if (kind == Kind::kNaN) {
    return absl::InvalidArgumentError("cannot convert NaN to bigint");
  }
  if (!IsFinite()) {
    return absl::InvalidArgumentError("cannot convert infinity to bigint");
  }
  if (IsWide()) {
    // There are many digits behind the point; before it there may be few.
    ASSIGN_OR_RETURN(const NumericValue whole, Rescale(0));
    return whole->IsWide() ? absl::OutOfRangeError("bigint out of range") : whole->ToInt64();
  }
  Int128 rounded = RoundDown(unscaled, scale);
  if (rounded < std::numeric_limits<int64_t>::min() ||
      rounded > std::numeric_limits<int64_t>::max()) {
    return absl::OutOfRangeError("bigint out of range");
  }
  return static_cast<int64_t>(rounded);
}

absl::StatusOr<NumericValue> Numeric::Rescale(int32_t new_scale) const {
  if (!IsFinite() || new_scale == scale) {
    return NumericValue(*this);
  }
  if (!IsWide()) {
    Int128 scaled;
    if (new_scale > scale) {
      if (ScaleUp(unscaled, new_scale - scale, &scaled)) {
        return Make(scaled, new_scale);
      }
    } else {
      scaled = RoundDown(unscaled, scale - new_scale);
      // Before the point: to tens, hundreds, …; the result has no digits behind it.
      if (new_scale >= 0 || scaled == 0 || ScaleUp(scaled, -new_scale, &scaled)) {
        return Make(scaled, std::max(new_scale, 0));
      }
    }
  }
  return WideNumeric::From(*this).Rounded(new_scale).ToNumeric();
}

absl::StatusOr<NumericValue> Numeric::Truncate(int32_t new_scale) const {
  if (!IsFinite() || new_scale >= scale) {
    return NumericValue(*this);
  }
  if (IsWide()) {
    return WideNumeric::From(*this).Truncated(new_scale).ToNumeric();
  }
  const int dropped = scale - new_scale;
  const Int128 kept = dropped > kNarrowScale ? 0 : unscaled / kPowers[dropped];
  // No larger than the value was, so it fits.
  return NumericValue(
      Numeric{.unscaled = new_scale >= 0 || kept == 0 ? kept : kept * kPowers[-new_scale],
              .scale = std::max(new_scale, 0)});
}

Numeric Numeric::Canonical() const {
  if (!IsFinite()) {
    return Special(kind);
  }
  Numeric result = *this;
  if (!IsWide()) {
    while (result.scale > 0 && result.unscaled % 10 == 0) {
      result.unscaled /= 10;
      --result.scale;
    }
    return result;
  }
  result.scale = std::max(0, -exponent());
  if (IsZero()) {
    return Numeric{};
  }
  Int128 narrow = 0;
  if (digit_bytes() >= sizeof(narrow)) {
    return result;
  }
  std::memcpy(&narrow, digits().data(), digit_bytes());
  if (ScaleUp(narrow, exponent() + result.scale, &narrow) && IsNarrow(narrow, result.scale)) {
    return Numeric{.unscaled = kind == Kind::kNegativeWide ? -narrow : narrow,
                   .scale = result.scale};
  }
  return result;
}

absl::StatusOr<NumericValue> Numeric::Add(const Numeric& a, const Numeric& b) {
  if (a.IsFinite() && b.IsFinite()) {
    return AddFinite(a, b);
  }
  if (a.IsNaN() || b.IsNaN() || (!a.IsFinite() && !b.IsFinite() && a.kind != b.kind)) {
    return NumericValue(NaN());
  }
  return NumericValue(a.IsFinite() ? b : a);
}

absl::StatusOr<NumericValue> Numeric::Subtract(const Numeric& a, const Numeric& b) {
  return Add(a, b.Negate());
}

absl::StatusOr<NumericValue> Numeric::Multiply(const Numeric& a, const Numeric& b) {
  if (a.IsFinite() && b.IsFinite()) {
    Int128 product;
    if (!a.IsWide() && !b.IsWide() && !__builtin_mul_overflow(a.unscaled, b.unscaled, &product)) {
      return Make(product, a.scale + b.scale);
    }
    return WideNumeric::Multiply(WideNumeric::From(a), WideNumeric::From(b)).ToNumeric();
  }
  const int sign = a.Sign() * b.Sign();
  if (sign == 0) {
    return NumericValue(NaN());  // an operand is NaN, or infinity times zero
  }
  return NumericValue(InfinityWithSign(sign));
}

absl::StatusOr<NumericValue> Numeric::Divide(const Numeric& a, const Numeric& b) {
  if (!a.IsFinite() || !b.IsFinite() || b.IsZero()) {
    return DivideSpecial(a, b);
  }
  const int scale = QuotientScale(a, b);
  const int shift = scale - a.scale + b.scale;
  Int128 dividend;
  if (!a.IsWide() && !b.IsWide() && shift >= 0 && ScaleUp(a.unscaled, shift, &dividend)) {
    Int128 quotient = dividend / b.unscaled;
    const Int128 rest = Magnitude(dividend % b.unscaled);
    if (rest >= Magnitude(b.unscaled) - rest) {
      quotient += (dividend < 0) == (b.unscaled < 0) ? 1 : -1;
    }
    return Make(quotient, scale);
  }
  return WideNumeric::Divide(WideNumeric::From(a), WideNumeric::From(b), scale, true).ToNumeric();
}

absl::StatusOr<NumericValue> Numeric::DivideWhole(const Numeric& a, const Numeric& b) {
  if (!a.IsFinite() || !b.IsFinite() || b.IsZero()) {
    return DivideSpecial(a, b);
  }
  return WideNumeric::Divide(WideNumeric::From(a), WideNumeric::From(b), 0, false).ToNumeric();
}

absl::StatusOr<NumericValue> Numeric::Modulo(const Numeric& a, const Numeric& b) {
  if (a.IsNaN() || b.IsNaN()) {
    return NumericValue(NaN());
  }
  if (b.IsZero()) {
    return absl::InvalidArgumentError("division by zero");
  }
  if (!a.IsFinite()) {
    return NumericValue(NaN());
  }
  if (!b.IsFinite()) {
    return NumericValue(a);
  }
  Int128 left;
  Int128 right;
  const int scale = std::max(a.scale, b.scale);
  if (!a.IsWide() && !b.IsWide() && ScaleUp(a.unscaled, scale - a.scale, &left) &&
      ScaleUp(b.unscaled, scale - b.scale, &right)) {
    return Make(left % right, scale);
  }
  return WideNumeric::Modulo(WideNumeric::From(a), WideNumeric::From(b)).ToNumeric();
}

Numeric Numeric::Negate() const {
  Numeric result = *this;
  switch (kind) {
    case Kind::kInfinity:
      return Special(Kind::kNegativeInfinity);
    case Kind::kNegativeInfinity:
      return Special(Kind::kInfinity);
    case Kind::kNaN:
      return *this;
    case Kind::kWide:
      result.kind = IsZero() ? Kind::kWide : Kind::kNegativeWide;
      return result;
    case Kind::kNegativeWide:
      result.kind = Kind::kWide;
      return result;
    case Kind::kFinite:
      break;
  }
  result.unscaled = -result.unscaled;
  return result;
}

std::strong_ordering Numeric::Compare(const Numeric& a, const Numeric& b) {
  if (!a.IsFinite() || !b.IsFinite()) {
    // The specials' numbers are in the order of their values, with all finite ones as 0.
    const auto rank = [](const Numeric& n) { return n.IsFinite() ? 0 : static_cast<int>(n.kind); };
    return rank(a) <=> rank(b);
  }
  if (!a.IsWide() && !b.IsWide()) {
    if (a.scale == b.scale) {
      return a.unscaled <=> b.unscaled;
    }
    const int scale = std::max(a.scale, b.scale);
    Int128 left;
    Int128 right;
    if (ScaleUp(a.unscaled, scale - a.scale, &left) &&
        ScaleUp(b.unscaled, scale - b.scale, &right)) {
      return left <=> right;
    }
  }
  if (const int sign = a.Sign(); sign != b.Sign()) {
    return sign <=> b.Sign();
  }
  return WideNumeric::Compare(WideNumeric::From(a), WideNumeric::From(b));
}

// ---- Where wide digits are ----

std::string_view Numeric::digits() const {
  const size_t size = digit_bytes();
  if (size == 0) {
    return {};
  }
  return {reinterpret_cast<const char*>(static_cast<uintptr_t>(unscaled)), size};
}

Numeric Numeric::Wide(bool negative, std::string_view digits, int32_t exponent, int32_t scale) {
  const auto address = static_cast<unsigned __int128>(reinterpret_cast<uintptr_t>(digits.data()));
  const uint64_t rest =
      static_cast<uint64_t>(static_cast<uint32_t>(exponent)) << 32 | digits.size();
  return Numeric{
      .unscaled = static_cast<Int128>(static_cast<unsigned __int128>(rest) << 64 | address),
      .scale = scale,
      .kind = negative ? Kind::kNegativeWide : Kind::kWide};
}

Numeric Numeric::WithDigitsAt(const char* digits) const {
  return Wide(kind == Kind::kNegativeWide, std::string_view(digits, digit_bytes()), exponent(),
              scale);
}

NumericValue& NumericValue::operator=(const Numeric& value) {
  const std::string_view digits = value.digits();
  if (digits.empty()) {
    view_ = value;
    digits_ = nullptr;
    return *this;
  }
  auto copy = std::make_unique<char[]>(digits.size());
  std::memcpy(copy.get(), digits.data(), digits.size());
  view_ = value.WithDigitsAt(copy.get());
  digits_ = std::move(copy);  // assigned last: `value` may be a view of this object
  return *this;
}

// ---- Bytes outside of the process ----

void Numeric::AppendBytes(std::string* out) const {
  const Numeric cell = IsWide() ? WithDigitsAt(nullptr) : *this;
  char bytes[sizeof(Numeric)] = {};  // what is behind the last field stays zero
  std::memcpy(bytes, &cell.unscaled, sizeof(cell.unscaled));
  std::memcpy(bytes + offsetof(Numeric, scale), &cell.scale, sizeof(cell.scale));
  std::memcpy(bytes + offsetof(Numeric, kind), &cell.kind, sizeof(cell.kind));
  out->append(bytes, sizeof(bytes));
  out->append(digits());
}

absl::Status Numeric::Check() const {
  const auto damaged = [](const char* what) {
    return absl::DataLossError(absl::StrCat("a numeric has ", what));
  };
  switch (kind) {
    case Kind::kInfinity:
    case Kind::kNegativeInfinity:
    case Kind::kNaN:
      return absl::OkStatus();
    case Kind::kFinite:
      return scale >= 0 && IsNarrow(unscaled, scale) ? absl::OkStatus()
                                                     : damaged("more digits than a cell holds");
    case Kind::kNegativeWide:
      if (digit_bytes() == 0) {
        return damaged("a sign, but no digits");
      }
      [[fallthrough]];
    case Kind::kWide:
      return scale >= 0 && scale <= kMaxScale && digit_bytes() <= kMaxDigitBytes &&
                     exponent() <= kMaxExponent && exponent() >= -scale
                 ? absl::OkStatus()
                 : damaged("more digits than any may have");
  }
  return damaged("an unknown kind");
}

absl::StatusOr<Numeric> Numeric::CutBytes(std::string_view* bytes) {
  Numeric cell;
  if (bytes->size() < sizeof(cell)) {
    return absl::DataLossError("a numeric ends early");
  }
  std::memcpy(&cell, bytes->data(), sizeof(cell));
  bytes->remove_prefix(sizeof(cell));
  RETURN_IF_ERROR(cell.Check());
  const size_t size = cell.digit_bytes();
  if (bytes->size() < size) {
    return absl::DataLossError("the digits of a numeric end early");
  }
  if (cell.IsWide()) {
    cell = cell.WithDigitsAt(bytes->data());
  }
  bytes->remove_prefix(size);
  return cell;
}

}  // namespace millrace
