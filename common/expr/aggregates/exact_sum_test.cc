#include "common/expr/aggregates/exact_sum.h"

#include <algorithm>
#include <boost/multiprecision/cpp_bin_float.hpp>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace millrace {
namespace {

// Wide enough for any sum of doubles: from 2^-1074 to 2^1024, with room for carries.
using Exact = boost::multiprecision::number<
    boost::multiprecision::cpp_bin_float<2400, boost::multiprecision::digit_base_2, void, int32_t>>;

constexpr double kMax = std::numeric_limits<double>::max();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

double SumOf(const std::vector<double>& values) {
  ExactSum sum;
  for (double value : values) {
    sum.Add(value, 1);
  }
  absl::StatusOr<double> result = sum.ToDouble();
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *result : 0;
}

TEST(ExactSumTest, KeepsWhatFloatingPointLoses) {
  EXPECT_EQ(SumOf({1e100, 1, -1e100}), 1);
  EXPECT_EQ(SumOf(std::vector<double>(10, 0.1)), 1.0);
  EXPECT_EQ(SumOf({kMax, kMax, -kMax}), kMax);
  EXPECT_EQ(SumOf({5e-324, 5e-324}), 1e-323);
  EXPECT_EQ(SumOf({kMax, 5e-324, -kMax}), 5e-324);
  EXPECT_EQ(SumOf({}), 0);
}

TEST(ExactSumTest, RoundsToNearestEven) {
  double ulp = std::ldexp(1.0, -52);
  EXPECT_EQ(SumOf({1, ulp / 2}), 1);                  // a tie, down to even
  EXPECT_EQ(SumOf({1 + ulp, ulp / 2}), 1 + 2 * ulp);  // a tie, up to even
  EXPECT_EQ(SumOf({1, ulp / 2, 5e-324}), 1 + ulp);    // just above a tie
  EXPECT_EQ(SumOf({-1, -ulp / 2, -5e-324}), -1 - ulp);
}

TEST(ExactSumTest, OverflowIsAnErrorThatGoesAway) {
  ExactSum sum;
  sum.Add(kMax, 2);
  EXPECT_EQ(sum.ToDouble().status().message(), "value out of range: overflow");
  sum.Add(kMax, -1);
  EXPECT_EQ(*sum.ToDouble(), kMax);
  EXPECT_FALSE(sum.ToFloat().ok());
}

TEST(ExactSumTest, SpecialsAreCounted) {
  ExactSum sum;
  sum.Add(3, 1);
  sum.Add(kInfinity, 1);
  EXPECT_EQ(*sum.ToDouble(), kInfinity);
  sum.Add(-kInfinity, 2);
  EXPECT_TRUE(std::isnan(*sum.ToDouble()));
  sum.Add(kInfinity, -1);
  EXPECT_EQ(*sum.ToDouble(), -kInfinity);
  ExactSum copy;
  ASSERT_TRUE(copy.AddEncoded(sum.Encode()).ok());
  EXPECT_EQ(*copy.ToDouble(), -kInfinity);
  sum.Add(-kInfinity, -2);
  sum.Add(std::nan(""), 1);
  EXPECT_TRUE(std::isnan(*sum.ToDouble()));
  sum.Add(std::nan(""), -1);
  EXPECT_EQ(*sum.ToDouble(), 3);
}

TEST(ExactSumTest, FloatIsRoundedOnce) {
  ExactSum sum;
  float one = 1;
  float half_ulp = std::ldexp(1.0f, -24);
  sum.Add(one, 1);
  sum.Add(half_ulp, 1);
  EXPECT_EQ(*sum.ToFloat(), 1.0f);
  // Rounding to double first would give the tie and lose this value.
  sum.Add(std::ldexp(1.0, -80), 1);
  EXPECT_EQ(*sum.ToFloat(), std::nextafterf(1.0f, 2.0f));
}

struct Term {
  double value;
  int64_t weight;
};

std::vector<Term> RandomTerms(std::mt19937_64* random, int exponent_range, size_t count) {
  std::vector<Term> terms;
  for (size_t i = 0; i < count; ++i) {
    double mantissa = std::ldexp(static_cast<double>((*random)() >> 11), -53);
    int exponent = static_cast<int>((*random)() % static_cast<uint64_t>(2 * exponent_range + 1)) -
                   exponent_range;
    double value = std::ldexp((*random)() % 2 == 0 ? mantissa : -mantissa, exponent);
    int64_t weight =
        (*random)() % 4 == 0 ? static_cast<int64_t>((*random)() >> 12) - (int64_t{1} << 51) : 1;
    terms.push_back({value, weight});
  }
  return terms;
}

TEST(ExactSumTest, AgreesWithWideArithmeticForAnyMagnitudesWeightsAndOrder) {
  std::mt19937_64 random(3);
  for (int exponent_range : {2, 30, 200, 900}) {
    for (int round = 0; round < 40; ++round) {
      std::vector<Term> terms = RandomTerms(&random, exponent_range, 60);
      Exact expected = 0;
      for (const Term& term : terms) {
        expected += Exact(term.value) * term.weight;
      }
      std::shuffle(terms.begin(), terms.end(), random);
      ExactSum parts[3];
      for (const Term& term : terms) {
        parts[random() % 3].Add(term.value, term.weight);
      }
      ExactSum sum;
      for (const ExactSum& part : parts) {
        ASSERT_TRUE(sum.AddEncoded(part.Encode()).ok());
      }
      ASSERT_EQ(*sum.ToDouble(), expected.convert_to<double>()) << "range " << exponent_range;
      for (const Term& term : terms) {
        sum.Add(term.value, -term.weight);
      }
      ASSERT_EQ(sum.Encode(), ExactSum().Encode());
    }
  }
}

TEST(ExactSumTest, EqualSumsEncodeAlike) {
  ExactSum narrow;
  narrow.Add(-0.75, 1);
  ExactSum wide;
  wide.Add(1e300, 1);
  wide.Add(-0.5, 1);
  wide.Add(1e-300, 1);
  wide.Add(-0.25, 1);
  wide.Add(1e300, -1);
  wide.Add(1e-300, -1);
  EXPECT_EQ(narrow.Encode(), wide.Encode());
}

TEST(ExactSumTest, DamagedBytesAreRefused) {
  ExactSum sum;
  EXPECT_EQ(sum.AddEncoded("").code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(sum.AddEncoded(std::string("\1\0\0", 3)).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(sum.AddEncoded(std::string("\0\xFF\1\1\1\1", 6)).code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace millrace
