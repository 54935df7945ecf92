// Tests where in a JSON document a column finds its value, and which times the value may be.
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/match.h"
#include "connectors/formats/formats_testing.h"
#include "connectors/formats/json/json_format.h"
#include "connectors/formats/json/json_options.h"

namespace millrace {
namespace {

TEST(JsonFormat, FollowsPathsAndExactNames) {
  auto format = NewJsonFormat();
  proto::Source source =
      Table({{"id", proto::TYPE_INT64}, {"name", proto::TYPE_TEXT}, {"Name", proto::TYPE_TEXT}},
            {{"path.id", "meta.id"}, {"path.name", "meta.user.name"}});
  EXPECT_EQ(Decode(*format, source,
                   {R"({"meta": {"user": {"name": "ann"}, "id": 5}, "Name": "top", "id": 9})",
                    R"({"meta": 5, "name": "no"})", R"({"Name": "first", "Name": "last"})"})
                .rows,
            (Rows{"5|ann|top", "NULL|NULL|NULL", "NULL|NULL|last"}));
}

TEST(JsonPaths, ANameInQuotesMayHoldAnything) {
  auto format = NewJsonFormat();
  proto::Source source =
      Table({{"a", proto::TYPE_INT32},
             {"b", proto::TYPE_INT32},
             {"c", proto::TYPE_INT32},
             {"x.y", proto::TYPE_INT32}},
            {{"path.a", "\"a.b\".c"}, {"path.b", "m.\"say \"\"hi\"\"\""}, {"path.c", "\"0\""}});
  EXPECT_EQ(
      Decode(
          *format, source,
          {R"({"a.b": {"c": 1}, "m": {"say \"hi\"": 2}, "0": 3, "x.y": 4, "a": {"b": {"c": 9}}})"})
          .rows,
      Rows{"1|2|3|4"});
  // A sink writes paths as a source reads them.
  Columns columns = {{"a", proto::TYPE_INT32}, {"b", proto::TYPE_INT32}};
  Batch batch({Values(proto::TYPE_INT32, {"1"}), Values(proto::TYPE_INT32, {"2"})}, 1);
  EXPECT_EQ(
      Encode(*format, Target(columns, {{"path.a", "\"a.b\".c"}, {"path.b", "\"a.b\".d"}}), batch),
      Rows{R"(none -> {"a.b":{"c":1,"d":2}})"});
}

TEST(JsonPaths, WhatIsNoPathIsRefused) {
  for (const char* path : {"", "a.", ".a", "a..b", "$", "$.a", "a[0]", "a.0", "a.*", "a.\"b",
                           "\"a\"b", "a\"b\"", "\"a\".", "\""}) {
    EXPECT_FALSE(ParseJsonPath(path).ok()) << path;
    absl::Status status =
        NewJsonFormat()->ValidateSource(Table({{"c", proto::TYPE_TEXT}}, {{"path.c", path}}));
    EXPECT_TRUE(absl::StrContains(status.message(), "option path.c: '")) << status;
  }
  for (const char* path :
       {"a", "a.b", "$oid", "_id.$oid", "\"\"", "\"a.b\".\"c\"\"d\"", "a b.c-d"}) {
    absl::StatusOr<JsonPath> parsed = ParseJsonPath(path);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(*ParseJsonPath(JsonPathText(*parsed)), *parsed);
  }
}

TEST(JsonPaths, SeveralColumnsReadOneFieldOrAParentAndItsChild) {
  auto format = NewJsonFormat();
  proto::Source source =
      Table({{"o", proto::TYPE_JSONB},
             {"p", proto::TYPE_INT32},
             {"again", proto::TYPE_TEXT},
             {"whole", proto::TYPE_TEXT},
             {"q", proto::TYPE_TEXT}},
            {{"path.p", "o.p"}, {"path.again", "o.p"}, {"path.whole", "o"}, {"path.q", "o.in.q"}});
  EXPECT_EQ(
      Decode(*format, source,
             {R"({"o": {"p": 1, "in" : {"q": "x\ty"}}, "z": 2})", R"({"o": 5})", R"({"z": 1})",
              R"({"o": {"p": 1}, "o": {"in": {"q": "z"}}})", R"({"o": [1, {"p": 2}]})"})
          .rows,
      (Rows{
          "{\"p\": 1, \"in\": {\"q\": \"x\\ty\"}}|1|1|{\"p\": 1, \"in\" : {\"q\": \"x\\ty\"}}|x\ty",
          "5|NULL|NULL|5|NULL", "NULL|NULL|NULL|NULL|NULL",
          "{\"in\": {\"q\": \"z\"}}|NULL|NULL|{\"in\": {\"q\": \"z\"}}|z",
          "[1, {\"p\": 2}]|NULL|NULL|[1, {\"p\": 2}]|NULL"}));
  // If only one of two columns takes a value, it is an error of the other one.
  Decoded decoded = Decode(*format, source, {R"({"o": {"p": "x"}})"});
  ASSERT_EQ(decoded.errors.size(), 1u);
  EXPECT_TRUE(absl::StartsWith(decoded.errors[0], "0: column p: ")) << decoded.errors[0];
}

TEST(JsonFormat, TimestampsHaveAUnit) {
  auto format = NewJsonFormat();
  for (const auto& [unit, value] :
       Options{{"s", "1700000000"}, {"ms", "1700000000000"}, {"us", "1700000000000000"}}) {
    EXPECT_EQ(Decode(*format, Table({{"t", proto::TYPE_TIMESTAMP}}, {{"timestamp_unit", unit}}),
                     {"{\"t\": " + value + "}"})
                  .rows[0],
              "2023-11-14 22:13:20")
        << unit;
  }
  EXPECT_FALSE(
      format->ValidateSource(Table({{"t", proto::TYPE_TIMESTAMP}}, {{"timestamp_unit", "ns"}}))
          .ok());
}

TEST(JsonTimes, NumbersBeyondTheRangeAreErrors) {
  auto format = NewJsonFormat();
  auto read = [&](const std::string& unit, const std::string& number) {
    Decoded decoded =
        Decode(*format, Table({{"t", proto::TYPE_TIMESTAMP}}, {{"timestamp_unit", unit}}),
               {"{\"t\":" + number + "}"});
    return decoded.errors.empty() ? decoded.rows[0] : decoded.errors[0];
  };
  for (const auto& [unit, number] : Options{{"us", "9223372036854775807"},
                                            {"us", "-9223372036854775808"},
                                            {"us", "-210866803200000001"},
                                            {"us", "9223372036854775808"},
                                            {"us", "1e19"},
                                            {"us", "-1e300"},
                                            {"us", "1e400"},
                                            {"ms", "9223372036854775807"},
                                            {"ms", "1700000000000000000"},
                                            {"ms", "-210866803200001"},
                                            {"ms", "9223372036854776.5"},
                                            {"s", "1700000000000000"},
                                            {"s", "-210866803201"}}) {
    EXPECT_EQ(read(unit, number), "0: column t: timestamp out of range: " + number + " " + unit +
                                      " since 1970 (at byte 6 of the record)");
  }
  EXPECT_EQ(read("us", "-210866803200000000"), "4714-11-24 00:00:00 BC");
  EXPECT_EQ(read("us", "9223372036854775806"), "294247-01-10 04:00:54.775806");
  EXPECT_EQ(read("s", "1700000000.123456"), "2023-11-14 22:13:20.123456");
  EXPECT_EQ(read("s", "253402300799.999999"), "9999-12-31 23:59:59.999999");
  EXPECT_EQ(read("ms", "1.7e12"), "2023-11-14 22:13:20");
  EXPECT_EQ(read("ms", "-0.5"), "1969-12-31 23:59:59.9995");
  EXPECT_EQ(read("us", "1e-400"), "1970-01-01 00:00:00");
}

}  // namespace
}  // namespace millrace
