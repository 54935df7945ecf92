#include "common/types/numeric.h"

#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace millrace {
namespace {

NumericValue Parse(std::string_view text) {
  absl::StatusOr<NumericValue> value = Numeric::Parse(text);
  EXPECT_TRUE(value.ok()) << text << ": " << value.status();
  return value.value_or(NumericValue());
}

std::string Text(const absl::StatusOr<NumericValue>& value) {
  return value.ok() ? value->view().ToString() : std::string(value.status().message());
}

// An operation on the text of its arguments.
template <typename Operation>
std::string Do(Operation&& operation, std::string_view a, std::string_view b) {
  const NumericValue left = Parse(a);
  const NumericValue right = Parse(b);
  return Text(operation(left, right));
}

std::string Zeros(size_t count) { return std::string(count, '0'); }

// Values in the tests of single operations are PostgreSQL 15's; common/expr/testdata/calls.txt has
// many more.
TEST(NumericTest, TextKeepsTheScale) {
  for (const char* text :
       {"0", "0.00", "1.50", "-0.001", "12345678901234567890123456789012345678", "NaN", "Infinity",
        "-Infinity", "0.00000000000000000000000000000000000001"}) {
    EXPECT_EQ(Parse(text)->ToString(), text);
  }
  EXPECT_EQ(Parse(" +1.5e2 ")->ToString(), "150");
  EXPECT_EQ(Parse("1.5e-3")->ToString(), "0.0015");
  EXPECT_EQ(Parse("-0")->ToString(), "0");
  EXPECT_EQ(Parse("000.5")->ToString(), "0.5");
}

TEST(NumericTest, MalformedTextIsAnError) {
  for (const char* text :
       {"", " ", ".", "-", "1e", "1e+", "e5", "1.2.3", "1 2", "0x10", "1e5.5", "--1", "nanx"}) {
    EXPECT_FALSE(Numeric::Parse(text).ok()) << text;
  }
}

TEST(NumericTest, WideValuesKeepEveryDigit) {
  const std::vector<std::string> texts = {"100000000000000000000000000000000000000",
                                          "1" + Zeros(131071),
                                          "-12345678901234567890123456789012345678901234567890.5",
                                          "0." + Zeros(38) + "1",
                                          "0." + Zeros(16382) + "1",
                                          "0." + Zeros(40),
                                          "0.50000000000000000000000000000000000000000",
                                          "9" + Zeros(60) + ".0"};
  for (const std::string& text : texts) {
    const NumericValue value = Parse(text);
    EXPECT_TRUE(value->IsWide()) << text;
    EXPECT_EQ(value->ToString(), text);
  }
  EXPECT_EQ(Parse("1.5e100")->ToString(), "15" + Zeros(99));
  EXPECT_FALSE(Parse("9e37")->IsWide());
  EXPECT_TRUE(Parse("1e38")->IsWide());
}

TEST(NumericTest, ValuesBeyondPostgresBoundsAreRefusedBeforeTheyAreMade) {
  for (const std::string& text :
       {std::string("1e131072"), std::string("1e-16384"), std::string("0e-16384"),
        std::string("1e999999999999"), std::string("1e-99999999999999999999"),
        std::string("1e2000000000"), "1" + Zeros(131072), "0." + Zeros(16384)}) {
    EXPECT_EQ(Numeric::Parse(text).status().code(), absl::StatusCode::kOutOfRange)
        << text.substr(0, 40);
    EXPECT_EQ(Text(Numeric::Parse(text)), "value overflows numeric format") << text.substr(0, 40);
  }
  EXPECT_EQ(Parse("0e200000")->ToString(), "0");
  EXPECT_EQ(Do(Numeric::Multiply, "1e131071", "10"), "value overflows numeric format");
  EXPECT_EQ(Do(Numeric::Add, "9e131071", "1e131071"), "value overflows numeric format");
}

// A number that is short as text is short in memory, so a message full of 1e131071 does not exhaust
// it.
TEST(NumericTest, ZerosAtTheEndTakeNoMemory) {
  EXPECT_LT(Parse("1e131071").OwnedBytes(), 16u);
  EXPECT_LT(Parse("123e100000").OwnedBytes(), 16u);
  EXPECT_LT(Parse("1e-16383").OwnedBytes(), 16u);
}

TEST(NumericTest, SumsAndProductsBeyondACell) {
  constexpr char kMost[] = "99999999999999999999999999999999999999";
  EXPECT_EQ(Do(Numeric::Add, kMost, "1"), "1" + Zeros(38));
  EXPECT_EQ(Do(Numeric::Subtract, kMost, "1"), "99999999999999999999999999999999999998");
  EXPECT_EQ(Do(Numeric::Add, kMost, "0.1"), std::string(kMost) + ".1");
  EXPECT_EQ(Do(Numeric::Subtract, "1" + Zeros(38), "1"), kMost);
  const NumericValue wide = Parse("1e38");
  const NumericValue back = Numeric::Subtract(wide, Numeric::FromInt64(1)).value();
  EXPECT_FALSE(back->IsWide());
  EXPECT_EQ(Do(Numeric::Multiply, kMost, "2"), "199999999999999999999999999999999999998");
  EXPECT_EQ(Do(Numeric::Multiply, "1234567890123456789", "1234567890123456789"),
            "1524157875323883675019051998750190521");
  EXPECT_EQ(Do(Numeric::Modulo, kMost, "0.7"), "0.3");
  EXPECT_EQ(Do(Numeric::Modulo, "1e40", "-7"), "4");
  EXPECT_EQ(Do(Numeric::DivideWhole, "1e50", "3"), std::string(50, '3'));
}

TEST(NumericTest, QuotientsHavePostgresScale) {
  EXPECT_EQ(Do(Numeric::Divide, "1", "3"), "0.33333333333333333333");
  EXPECT_EQ(Do(Numeric::Divide, "10", "3"), "3.3333333333333333");
  EXPECT_EQ(Do(Numeric::Divide, "99999999999999999999999999999999999999", "7"),
            "14285714285714285714285714285714285714");
  EXPECT_EQ(Do(Numeric::Divide, "1e-20", "3"), "0.0000000000000000000033333333333333333333");
  EXPECT_EQ(Do(Numeric::Divide, "1", "1e50"), "0." + Zeros(49) + "1" + Zeros(18));
  EXPECT_EQ(Do(Numeric::Divide, "1", "0"), "division by zero");
  EXPECT_EQ(Do(Numeric::Divide, "1", "0." + Zeros(60)), "division by zero");
}

TEST(NumericTest, RoundsHalfAwayFromZero) {
  EXPECT_EQ(Text(Parse("2.5")->Rescale(0)), "3");
  EXPECT_EQ(Text(Parse("-2.5")->Rescale(0)), "-3");
  EXPECT_EQ(Text(Parse("2.4999")->Rescale(0)), "2");
  EXPECT_EQ(Text(Parse("1250")->Rescale(-2)), "1300");
  EXPECT_EQ(Text(Parse("1.5")->Rescale(3)), "1.500");
  EXPECT_EQ(Parse("2.5")->ToInt64().value(), 3);
  EXPECT_EQ(Parse("-9223372036854775808.4")->ToInt64().value(), INT64_MIN);
  EXPECT_FALSE(Parse("9223372036854775807.5")->ToInt64().ok());
  EXPECT_EQ(Text(Parse("1.49999999999999999999999999999999999999999999")->Rescale(1)), "1.5");
  EXPECT_EQ(Parse("2.50000000000000000000000000000000000000000000")->ToInt64().value(), 3);
  EXPECT_FALSE(Parse("1e40")->ToInt64().ok());
  EXPECT_EQ(Text(Parse("-1.99999999999999999999999999999999999999999999")->Truncate(0)), "-1");
}

TEST(NumericTest, OrdersByValueWithSpecialsAtTheEnds) {
  std::vector<const char*> ascending = {"-Infinity",
                                        "-1e131071",
                                        "-1e38",
                                        "-99999999999999999999999999999999999999",
                                        "-1.5",
                                        "-1e-16383",
                                        "0",
                                        "1e-16383",
                                        "0.00000000000000000000000000000000000001",
                                        "1.49",
                                        "1.49000000000000000000000000000000000000000000001",
                                        "1.5",
                                        "99999999999999999999999999999999999999",
                                        "1e38",
                                        "100000000000000000000000000000000000000.5",
                                        "1e131071",
                                        "Infinity",
                                        "NaN"};
  for (size_t i = 0; i < ascending.size(); ++i) {
    for (size_t j = 0; j < ascending.size(); ++j) {
      const NumericValue left = Parse(ascending[i]);
      const NumericValue right = Parse(ascending[j]);
      EXPECT_EQ(Numeric::Compare(left, right), i <=> j) << ascending[i] << " and " << ascending[j];
    }
  }
  for (const char* one : {"1.0", "1.000", "1.00000000000000000000000000000000000000000000"}) {
    const NumericValue value = Parse(one);
    EXPECT_EQ(Numeric::Compare(Numeric::FromInt64(1), value), std::strong_ordering::equal);
  }
}

TEST(NumericTest, CanonicalFormHasNoTrailingZeros) {
  EXPECT_EQ(Parse("1.500")->Canonical().ToString(), "1.5");
  EXPECT_EQ(Parse("100")->Canonical().ToString(), "100");
  EXPECT_EQ(Parse("0.00")->Canonical().ToString(), "0");
  EXPECT_EQ(Parse("NaN")->Canonical().ToString(), "NaN");
  for (const std::string& one : {"1." + Zeros(50), std::string("1.0")}) {
    const NumericValue value = Parse(one);
    EXPECT_FALSE(value->Canonical().IsWide());
    EXPECT_EQ(value->Canonical().ToString(), "1");
  }
  const NumericValue wide = Parse("1e50");
  EXPECT_EQ(wide->Canonical().ToString(), "1" + Zeros(50));
  EXPECT_EQ(Parse("0." + Zeros(50))->Canonical().ToString(), "0");
}

TEST(NumericTest, BytesOfANarrowValueAreItsCell) {
  const Numeric value{.unscaled = -12345, .scale = 2};
  std::string bytes;
  value.AppendBytes(&bytes);
  // The form before there were wide values: 16 bytes, the scale, the kind, padding.
  std::string expected(32, '\0');
  const __int128 unscaled = -12345;
  std::memcpy(expected.data(), &unscaled, sizeof(unscaled));
  expected[16] = 2;
  EXPECT_EQ(bytes, expected);
  expected.replace(24, 8, "garbage!");  // what padding held
  std::string_view rest = expected;
  EXPECT_EQ(Numeric::CutBytes(&rest)->ToString(), "-123.45");
  EXPECT_TRUE(rest.empty());
}

TEST(NumericTest, BytesOfAWideValueCarryItsDigits) {
  for (const char* text : {"1e131071", "-123456789012345678901234567890123456789012345.678",
                           "0.0000000000000000000000000000000000000000000", "1e-16383"}) {
    const NumericValue value = Parse(text);
    std::string bytes;
    value->AppendBytes(&bytes);
    bytes += "next";
    std::string_view rest = bytes;
    const absl::StatusOr<Numeric> read = Numeric::CutBytes(&rest);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(rest, "next");
    EXPECT_EQ(read->ToString(), value->ToString());
    for (size_t size = 0; size + 4 < bytes.size(); ++size) {
      std::string_view cut = std::string_view(bytes).substr(0, size);
      EXPECT_FALSE(Numeric::CutBytes(&cut).ok()) << text << " cut to " << size;
    }
  }
}

TEST(NumericTest, DamagedCellsAreRefused) {
  const auto refused = [](const Numeric& cell) { return !cell.Check().ok(); };
  EXPECT_TRUE(refused({.unscaled = 1, .scale = 39}));
  EXPECT_TRUE(refused({.unscaled = 1, .scale = -1}));
  EXPECT_TRUE(refused({.unscaled = static_cast<__int128>(1) << 127}));
  EXPECT_TRUE(refused({.kind = static_cast<Numeric::Kind>(9)}));
  EXPECT_TRUE(refused({.kind = static_cast<Numeric::Kind>(-2)}));
  EXPECT_TRUE(refused(Numeric::Wide(false, {nullptr, 1 << 20}, 0, 0)));
  EXPECT_TRUE(refused(Numeric::Wide(false, {nullptr, 8}, 200000, 0)));
  EXPECT_TRUE(refused(Numeric::Wide(false, {nullptr, 8}, -5, 4)));
  EXPECT_TRUE(refused(Numeric::Wide(true, {nullptr, 8}, 0, 16384)));
  EXPECT_TRUE(refused(Numeric::Wide(true, {}, -50, 50))) << "a zero with a sign is not equal to 0";
  EXPECT_FALSE(refused(Numeric::Wide(false, {}, -50, 50)));
}

TEST(NumericTest, CopiesOwnTheirDigits) {
  NumericValue copy;
  {
    const NumericValue value = Parse("123456789012345678901234567890123456789012345");
    copy = value;
    copy = NumericValue(copy->Negate());
  }
  copy = copy.view();  // its own digits
  const NumericValue moved = std::move(copy);
  EXPECT_EQ(moved->ToString(), "-123456789012345678901234567890123456789012345");
}

TEST(NumericTest, DoublesAreGoodForFifteenDigits) {
  EXPECT_EQ(Text(Numeric::FromDouble(0.1)), "0.1");
  EXPECT_EQ(Text(Numeric::FromDouble(1.0 / 3)), "0.333333333333333");
  EXPECT_EQ(Text(Numeric::FromDouble(1e20)), "100000000000000000000");
  EXPECT_EQ(Text(Numeric::FromDouble(1e300)), "1" + Zeros(300));
  EXPECT_EQ(Parse("0.1")->ToDouble(), 0.1);
  EXPECT_EQ(Parse("1e-300")->ToDouble(), 1e-300);
  EXPECT_EQ(Parse("-1e400")->ToDouble(), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(Parse("1e-400")->ToDouble(), 0);
  EXPECT_EQ(Parse("12345678901234567890.123456789")->ToDouble(), 12345678901234567890.123456789);
}

}  // namespace
}  // namespace millrace
