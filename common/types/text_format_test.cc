#include "common/types/text_format.h"

#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_format.h"
#include "common/types/iso_time.h"
#include "gtest/gtest.h"

namespace millrace {
namespace {

// A value read as `type` and printed again, or the error.
std::string RoundTrip(const SqlType& type, std::string_view text) {
  Column column(type, 1);
  absl::Status status = ParseValue(text, &column, 0);
  return status.ok() ? ValueToString(column, 0) : std::string(status.message());
}

std::string RoundTrip(TypeId type, std::string_view text) {
  return RoundTrip(MakeType(type), text);
}

// What each type prints it reads back as the same. (common/expr/testdata/calls.txt has PostgreSQL's
// answers for hundreds of inputs.)
TEST(TextFormatTest, PrintedValuesReadBack) {
  struct Case {
    TypeId type;
    const char* text;
  };
  for (const Case& c : {Case{TypeId::kBool, "t"},
                        {TypeId::kInt16, "-32768"},
                        {TypeId::kInt32, "2147483647"},
                        {TypeId::kInt64, "-9223372036854775808"},
                        {TypeId::kFloat32, "1.1754944e-38"},
                        {TypeId::kFloat64, "5e-324"},
                        {TypeId::kFloat64, "-Infinity"},
                        {TypeId::kFloat64, "-0"},
                        {TypeId::kNumeric, "-0.0010"},
                        {TypeId::kText, ""},
                        {TypeId::kText, "äöü and more than twelve bytes"},
                        {TypeId::kBytea, "\\x00ff"},
                        {TypeId::kDate, "0044-03-15 BC"},
                        {TypeId::kDate, "5874897-12-31"},
                        {TypeId::kTimestamp, "294000-01-01 00:00:00.000001"},
                        {TypeId::kTimestamp, "-infinity"},
                        {TypeId::kTimestampTz, "1969-12-31 23:59:59.999999+00"},
                        {TypeId::kInterval, "-1 years -2 mons +3 days -04:05:06.7"},
                        {TypeId::kInterval, "00:00:00"},
                        {TypeId::kInterval, "-2562047788:00:54.775808"},
                        {TypeId::kJsonb, "{\"a\": [1, 2.50, null], \"bb\": \"x\\ny\"}"}}) {
    EXPECT_EQ(RoundTrip(c.type, c.text), c.text);
  }
}

TEST(TextFormatTest, ErrorsNameTypeAndValue) {
  EXPECT_EQ(RoundTrip(TypeId::kInt32, "x"), "invalid input syntax for type integer: \"x\"");
  EXPECT_EQ(RoundTrip(TypeId::kInt32, "999999999999"),
            "value \"999999999999\" is out of range for type integer");
  EXPECT_EQ(RoundTrip(TypeId::kFloat32, "1e99"), "\"1e99\" is out of range for type real");
  EXPECT_EQ(RoundTrip(TypeId::kTimestamp, "300000-01-01"),
            "timestamp out of range: \"300000-01-01\"");
  EXPECT_EQ(RoundTrip(TypeId::kDate, "5874898-01-01"), "date out of range: \"5874898-01-01\"");
}

TEST(TextFormatTest, ZonesAreThoseOfTheSystemsData) {
  EXPECT_EQ(RoundTrip(TypeId::kTimestampTz, "2024-05-06 07:08:09 Europe/Berlin"),
            "2024-05-06 05:08:09+00");
  EXPECT_EQ(RoundTrip(TypeId::kTimestampTz, "2024-05-06 07:08:09 Europe/Atlantis"),
            "time zone \"europe/atlantis\" not recognized");
}

TEST(TextFormatTest, DataDoNotDependOnWhenTheyAreRead) {
  EXPECT_EQ(RoundTrip(TypeId::kDate, "today"),
            "\"today\" depends on when it is read, which data must not: use now() in the query");
}

// A space in front leads to the reader of everything.
TEST(TextFormatTest, TheShortWayForTimesAgreesWithTheLongOne) {
  std::mt19937_64 random(5);
  int read = 0;
  for (int i = 0; i < 20000; ++i) {
    auto below = [&random](uint64_t end) { return static_cast<int>(random() % end); };
    const std::string date = absl::StrFormat("%04d-%02d-%02d", below(10000), below(14), below(33));
    std::string time = absl::StrFormat("%s%c%02d:%02d:%02d", date, below(2) == 0 ? 'T' : ' ',
                                       below(25), below(61), below(61));
    if (below(2) == 0) {
      absl::StrAppendFormat(&time, ".%0*d", 1 + below(6), below(10));
    }
    const std::vector<std::string> zones = {"",       "Z",      "+02", "-11:30",
                                            "+14:59", "+02:60", "+1",  "z"};
    time += zones[random() % zones.size()];
    for (TypeId type : {TypeId::kDate, TypeId::kTimestamp, TypeId::kTimestampTz}) {
      const std::string text = type == TypeId::kDate ? date : time;
      Column quick(MakeType(type), 1);
      Column slow(MakeType(type), 1);
      const bool ok = ParseValue(text, &quick, 0).ok();
      ASSERT_EQ(ok, ParseValue(" " + text, &slow, 0).ok()) << text;
      ASSERT_EQ(ok ? ValueToString(quick, 0) : "", ok ? ValueToString(slow, 0) : "") << text;
    }
    read += ReadIsoTimestamp(time, true).has_value() ? 1 : 0;
  }
  EXPECT_GT(read, 5000);
}

TEST(TextFormatTest, NumericModifiersRoundAndLimit) {
  SqlType type{.id = TypeId::kNumeric, .precision = 5, .scale = 2};
  EXPECT_EQ(RoundTrip(type, "1.005"), "1.01");
  EXPECT_EQ(RoundTrip(type, "999.994"), "999.99");
  EXPECT_EQ(RoundTrip(type, "999.995"), "numeric field overflow");
}

TEST(TextFormatTest, ArraysOfSeveralRowsShareAChild) {
  Column column(SqlType{.id = TypeId::kArray, .element = TypeId::kInt32}, 3);
  EXPECT_TRUE(ParseValue("{1,2}", &column, 0).ok());
  EXPECT_TRUE(ParseValue("{}", &column, 1).ok());
  EXPECT_TRUE(ParseValue("{3,NULL}", &column, 2).ok());
  EXPECT_EQ(ValueToString(column, 0), "{1,2}");
  EXPECT_EQ(ValueToString(column, 1), "{}");
  EXPECT_EQ(ValueToString(column, 2), "{3,NULL}");
}

TEST(TextFormatTest, DeepJsonIsRefusedNotACrash) {
  std::string deep(100000, '[');
  EXPECT_EQ(RoundTrip(TypeId::kJsonb, deep), "JSON is nested deeper than 1000 levels");
  EXPECT_EQ(RoundTrip(TypeId::kJsonb, "\"\\u0000\""),
            "unsupported Unicode escape sequence: \\u0000 cannot be converted to text");
  for (const char* text : {"", "{", "[1,]", "{\"a\"}", "{\"a\":1,}", "01", "1.", "-", "+1", "tru",
                           "\"\\x\"", "\"a", "1 2", "[1]]", "\"\\ud800\"", "nan"}) {
    EXPECT_EQ(RoundTrip(TypeId::kJsonb, text),
              std::string("invalid input syntax for type json: \"") + text + "\"");
  }
}

TEST(TextFormatTest, NullHasATextOfItsOwn) {
  Column column(MakeType(TypeId::kInt32), 1);
  column.SetNull(0);
  EXPECT_EQ(ValueToString(column, 0), "NULL");
  EXPECT_EQ(ValueToString(column, 0, "\\N"), "\\N");
}

}  // namespace
}  // namespace millrace
