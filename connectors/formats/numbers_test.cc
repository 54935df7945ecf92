// Compares how each of our parsers reads numbers with strtod and strtof.
#include <gtest/gtest.h>

#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "common/types/number_text.h"
#include "connectors/formats/csv/csv_format.h"
#include "connectors/formats/formats_testing.h"
#include "connectors/formats/json/json_format.h"

namespace millrace {
namespace {

// Literals that are valid for JSON, PostgreSQL and strtod: long ones, ones next to the middle
// between two doubles, and ones at both ends of the range.
class Literals {
 public:
  std::string Next() {
    std::string text = random_() % 4 == 0 ? NearMiddle() : Digits();
    return (random_() % 2 == 0 ? "-" : "") + text;
  }

 private:
  std::string Digits() {
    std::string text = random_() % 3 == 0 ? "0" : NonZero();
    AppendDigits(text == "0" ? 0 : random_() % 25, &text);
    if (random_() % 4 != 0) {
      text.push_back('.');
      AppendDigits(1 + random_() % 30, &text);
    }
    if (random_() % 3 == 0) {
      absl::StrAppendFormat(&text, "%c%s%d", random_() % 2 == 0 ? 'e' : 'E',
                            random_() % 3 == 0 ? "" : (random_() % 2 == 0 ? "-" : "+"),
                            random_() % 345);
    }
    return text;
  }

  // The middle between two neighbours has 54 bits, which a long double holds.
  std::string NearMiddle() {
    uint64_t bits = random_() & 0x7fffffffffffffffULL;
    double value;
    std::memcpy(&value, &bits, sizeof(value));
    if (!std::isfinite(value)) {
      value = 1;
    }
    double next = std::nextafter(value, HUGE_VAL);
    long double middle = (static_cast<long double>(value) +
                          static_cast<long double>(std::isinf(next) ? value : next)) /
                         2;
    char text[128];
    std::snprintf(text, sizeof(text), "%.*Le", static_cast<int>(15 + random_() % 60), middle);
    return text;
  }

  std::string NonZero() { return std::string(1, static_cast<char>('1' + random_() % 9)); }
  void AppendDigits(uint64_t count, std::string* text) {
    for (uint64_t i = 0; i < count; ++i) {
      text->push_back(static_cast<char>('0' + random_() % 10));
    }
  }

  std::mt19937_64 random_{20260131};
};

// The value that C's function reads; nothing where PostgreSQL says "out of range".
template <typename T>
std::optional<T> Expected(const std::string& text) {
  errno = 0;
  T value;
  if constexpr (std::is_same_v<T, double>) {
    value = std::strtod(text.c_str(), nullptr);
  } else {
    value = std::strtof(text.c_str(), nullptr);
  }
  bool out = errno == ERANGE && (value == 0 || std::isinf(value));
  return out ? std::nullopt : std::make_optional(value);
}

template <typename T>
bool SameBits(T a, T b) {
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}

// One column of the records; rows that are errors are NULL.
ColumnPtr ColumnOf(const Format& format, proto::TypeKind kind,
                   const std::vector<std::string>& texts) {
  auto decoder = format.CreateDecoder(Table({{"v", kind}}));
  std::vector<std::string_view> views(texts.begin(), texts.end());
  RowErrors errors;
  auto columns = (*decoder)->Decode(
      {.values = views.data(), .count = views.size(), .owner = nullptr}, &errors);
  return (*columns)[0];
}

template <typename T>
void Compare(const std::vector<std::string>& literals, proto::TypeKind kind) {
  std::vector<std::string> objects;
  for (const std::string& literal : literals) {
    objects.push_back("{\"v\":" + literal + "}");
  }
  ColumnPtr json = ColumnOf(*NewJsonFormat(), kind, objects);
  ColumnPtr csv = ColumnOf(*NewCsvFormat(), kind, literals);
  for (size_t i = 0; i < literals.size(); ++i) {
    std::optional<T> expected = Expected<T>(literals[i]);
    absl::StatusOr<T> text = ParseNumber<T>(literals[i]);
    ASSERT_EQ(text.ok(), expected.has_value()) << literals[i];
    ASSERT_EQ(!json->IsNull(i), expected.has_value()) << literals[i];
    ASSERT_EQ(!csv->IsNull(i), expected.has_value()) << literals[i];
    if (expected.has_value()) {
      ASSERT_TRUE(SameBits(*text, *expected)) << literals[i] << " " << *text;
      ASSERT_TRUE(SameBits(json->value<T>(i), *expected))
          << literals[i] << " " << json->value<T>(i);
      ASSERT_TRUE(SameBits(csv->value<T>(i), *expected)) << literals[i] << " " << csv->value<T>(i);
    }
  }
}

TEST(Numbers, AreReadAsStrtodReadsThem) {
  Literals source;
  for (int block = 0; block < 300; ++block) {
    std::vector<std::string> literals;
    for (int i = 0; i < 1000; ++i) {
      literals.push_back(source.Next());
    }
    ASSERT_NO_FATAL_FAILURE(Compare<double>(literals, proto::TYPE_FLOAT64));
    ASSERT_NO_FATAL_FAILURE(Compare<float>(literals, proto::TYPE_FLOAT32));
  }
}

// simdjson 3.0.1 read the first two as 0 and -0.113…
TEST(Numbers, LongLiteralsKeepTheirDigits) {
  const std::vector<std::string> literals = {
      "0.33333333333333333333",
      "-0.66666666666666666667",
      "0.1000000000000000055511151231257827021181583404541015625",
      "9007199254740993",
      "9007199254740992.99999999999999999999999999999999999999",
      "0.000000000000000000000000000000000000000000000000001e51",
      "4.9406564584124654e-324",
      "2.4703282292062327208e-324",
      "2.4703282292062328e-324",
      "1.7976931348623157e308",
      "1.7976931348623158079e308",
      "1.797693134862315808e308",
      "-0",
      "-0.0e-500",
      "0e400",
      "1e-400",
      "123456789012345678901234567890123456789012345678901234567890",
      "3.4028235677973366e38",
      "1.4012984643248170e-45",
      "7.0064923216240853e-46"};
  Compare<double>(literals, proto::TYPE_FLOAT64);
  Compare<float>(literals, proto::TYPE_FLOAT32);
}

// Without an exponent, numeric keeps the digits as written.
TEST(Numbers, NumericKeepsEveryDigit) {
  std::mt19937_64 random(7);
  Rows objects;
  Rows literals;
  for (int i = 0; i < 20000; ++i) {
    std::string text = random() % 2 == 0 ? "" : "-";
    text.push_back(static_cast<char>('1' + random() % 9));
    for (uint64_t digits = random() % 18; digits > 0; --digits) {
      text.push_back(static_cast<char>('0' + random() % 10));
    }
    text.push_back('.');
    for (uint64_t digits = 1 + random() % 18; digits > 0; --digits) {
      text.push_back(static_cast<char>('0' + random() % 10));
    }
    literals.push_back(text);
    objects.push_back("{\"v\":" + text + "}");
  }
  EXPECT_EQ(Decode(*NewJsonFormat(), Table({{"v", proto::TYPE_NUMERIC}}), objects).rows, literals);
  EXPECT_EQ(Decode(*NewJsonFormat(), Table({{"v", proto::TYPE_JSONB}}), objects).rows, literals);
  EXPECT_EQ(Decode(*NewCsvFormat(), Table({{"v", proto::TYPE_NUMERIC}}), literals).rows, literals);
}

}  // namespace
}  // namespace millrace
