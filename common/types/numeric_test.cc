#include "common/types/numeric.h"

#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"

namespace millrace {
namespace {

Numeric Parse(std::string_view text) {
  absl::StatusOr<Numeric> value = Numeric::Parse(text);
  EXPECT_TRUE(value.ok()) << text << ": " << value.status();
  return value.value_or(Numeric{});
}

std::string Text(const absl::StatusOr<Numeric>& value) {
  return value.ok() ? value->ToString() : std::string(value.status().message());
}

// Values in the tests of single operations are PostgreSQL 15's; common/expr/testdata/calls.txt has
// many more.
TEST(NumericTest, TextKeepsTheScale) {
  for (const char* text :
       {"0", "0.00", "1.50", "-0.001", "12345678901234567890123456789012345678", "NaN", "Infinity",
        "-Infinity", "0.00000000000000000000000000000000000001"}) {
    EXPECT_EQ(Parse(text).ToString(), text);
  }
  EXPECT_EQ(Parse(" +1.5e2 ").ToString(), "150");
  EXPECT_EQ(Parse("1.5e-3").ToString(), "0.0015");
  EXPECT_EQ(Parse("-0").ToString(), "0");
  EXPECT_EQ(Parse("000.5").ToString(), "0.5");
}

TEST(NumericTest, MalformedTextIsAnError) {
  for (const char* text :
       {"", " ", ".", "-", "1e", "1e+", "e5", "1.2.3", "1 2", "0x10", "1e5.5", "--1", "nanx"}) {
    EXPECT_FALSE(Numeric::Parse(text).ok()) << text;
  }
}

TEST(NumericTest, ThirtyNineDigitsAreTooMany) {
  EXPECT_EQ(Numeric::Parse("100000000000000000000000000000000000000").status().code(),
            absl::StatusCode::kOutOfRange);
  EXPECT_EQ(Numeric::Parse("1e38").status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(Numeric::Parse("1e-39").status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(Numeric::Parse("1e999999999999").status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_TRUE(Numeric::Parse("9e37").ok());
}

TEST(NumericTest, SumsAndProductsAtTheLimit) {
  Numeric most = Parse("99999999999999999999999999999999999999");
  EXPECT_EQ(Numeric::Add(most, Parse("1")).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(Text(Numeric::Subtract(most, Parse("1"))), "99999999999999999999999999999999999998");
  EXPECT_EQ(Numeric::Add(most, Parse("0.1")).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(Numeric::Multiply(most, Parse("2")).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(Text(Numeric::Multiply(Parse("1234567890123456789"), Parse("1234567890123456789"))),
            "1524157875323883675019051998750190521");
  EXPECT_EQ(Text(Numeric::Modulo(most, Parse("0.7"))), "0.3");
}

TEST(NumericTest, QuotientsHavePostgresScale) {
  EXPECT_EQ(Text(Numeric::Divide(Parse("1"), Parse("3"))), "0.33333333333333333333");
  EXPECT_EQ(Text(Numeric::Divide(Parse("10"), Parse("3"))), "3.3333333333333333");
  EXPECT_EQ(Text(Numeric::Divide(Parse("99999999999999999999999999999999999999"), Parse("7"))),
            "14285714285714285714285714285714285714");
  EXPECT_EQ(Text(Numeric::Divide(Parse("1"), Parse("0"))), "division by zero");
}

TEST(NumericTest, RoundsHalfAwayFromZero) {
  EXPECT_EQ(Text(Parse("2.5").Rescale(0)), "3");
  EXPECT_EQ(Text(Parse("-2.5").Rescale(0)), "-3");
  EXPECT_EQ(Text(Parse("2.4999").Rescale(0)), "2");
  EXPECT_EQ(Text(Parse("1250").Rescale(-2)), "1300");
  EXPECT_EQ(Text(Parse("1.5").Rescale(3)), "1.500");
  EXPECT_EQ(Parse("2.5").ToInt64().value(), 3);
  EXPECT_EQ(Parse("-9223372036854775808.4").ToInt64().value(), INT64_MIN);
  EXPECT_FALSE(Parse("9223372036854775807.5").ToInt64().ok());
}

TEST(NumericTest, OrdersByValueWithSpecialsAtTheEnds) {
  std::vector<const char*> ascending = {
      "-Infinity", "-99999999999999999999999999999999999999",  "-1.5",
      "0",         "0.00000000000000000000000000000000000001", "1.49",
      "1.5",       "99999999999999999999999999999999999999",   "Infinity",
      "NaN"};
  for (size_t i = 0; i < ascending.size(); ++i) {
    for (size_t j = 0; j < ascending.size(); ++j) {
      EXPECT_EQ(Numeric::Compare(Parse(ascending[i]), Parse(ascending[j])), i <=> j)
          << ascending[i] << " and " << ascending[j];
    }
  }
  EXPECT_EQ(Numeric::Compare(Parse("1.0"), Parse("1.000")), std::strong_ordering::equal);
}

TEST(NumericTest, CanonicalFormHasNoTrailingZeros) {
  EXPECT_EQ(Parse("1.500").Canonical().ToString(), "1.5");
  EXPECT_EQ(Parse("100").Canonical().ToString(), "100");
  EXPECT_EQ(Parse("0.00").Canonical().ToString(), "0");
  EXPECT_EQ(Parse("NaN").Canonical().ToString(), "NaN");
}

TEST(NumericTest, DoublesAreGoodForFifteenDigits) {
  EXPECT_EQ(Text(Numeric::FromDouble(0.1)), "0.1");
  EXPECT_EQ(Text(Numeric::FromDouble(1.0 / 3)), "0.333333333333333");
  EXPECT_EQ(Text(Numeric::FromDouble(1e20)), "100000000000000000000");
  EXPECT_EQ(Parse("0.1").ToDouble(), 0.1);
  EXPECT_EQ(Parse("12345678901234567890.123456789").ToDouble(), 12345678901234567890.123456789);
}

}  // namespace
}  // namespace millrace
