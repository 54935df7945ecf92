#include "connectors/kafka/client/headers.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace millrace::kafka {
namespace {

using ::testing::HasSubstr;

std::string Written(const KafkaHeaders& headers) {
  std::string jsonb = "[";
  for (const auto& [name, value] : headers) {
    jsonb += jsonb.size() > 1 ? ", " : "";
    EXPECT_TRUE(AppendKafkaHeader(name, value, &jsonb).ok());
  }
  return jsonb + "]";
}

TEST(KafkaHeadersTest, RepeatedNamesAndBytesComeBackAsTheyWere) {
  const KafkaHeaders headers = {{"a", "1"},
                                {"b", std::string("\xff\x00 x", 4)},
                                {"a", "2"},
                                {"", ""},
                                {"none", std::nullopt},
                                {"nul", std::string("a\0b", 3)},
                                {"quote \" \\ \n", "é \" \\ \x01"},
                                {"looks like bytes", "\\xff"}};
  const std::string jsonb = Written(headers);
  EXPECT_THAT(jsonb, HasSubstr(R"({"key": "b", "bytes": "\\xff002078"})"));
  EXPECT_THAT(jsonb, HasSubstr(R"({"key": "looks like bytes", "value": "\\xff"})"));
  const auto back = ParseKafkaHeaders(jsonb);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*back, headers);
  EXPECT_EQ(Written({}), "[]");
  EXPECT_TRUE(ParseKafkaHeaders("[]")->empty());
}

TEST(KafkaHeadersTest, AnObjectOfNamesAndValuesIsTakenToo) {
  const auto headers = ParseKafkaHeaders(R"({"n": 1.50, "t": "x", "o": {"a": 1}, "none": null})");
  ASSERT_TRUE(headers.ok()) << headers.status();
  EXPECT_EQ(*headers,
            (KafkaHeaders{{"n", "1.50"}, {"t", "x"}, {"o", "{\"a\": 1}"}, {"none", std::nullopt}}));
}

TEST(KafkaHeadersTest, WhatIsNoListOfHeadersIsRefused) {
  for (const char* jsonb :
       {"1", "\"a\"", "null", "[1]", "[{}]", R"([{"key": "a"}])", R"([{"key": 1, "value": "x"}])",
        R"([{"key": "a", "value": "x", "bytes": "\\xff"}])", R"([{"key": "a", "bytes": "ff"}])",
        R"([{"key": "a", "bytes": "\\xf"}])", R"([{"key": "a", "bytes": "\\xzz"}])",
        R"([{"key": "a", "bytes": null}])", R"([{"key": "a", "other": "x", "value": "1"}])"}) {
    const auto headers = ParseKafkaHeaders(jsonb);
    EXPECT_EQ(headers.status().code(), absl::StatusCode::kInvalidArgument) << jsonb;
    EXPECT_THAT(std::string(headers.status().message()), HasSubstr("_headers must be a list"));
  }
}

TEST(KafkaHeadersTest, ANameThatNoJsonCanHoldIsAnError) {
  std::string jsonb = "[";
  EXPECT_EQ(AppendKafkaHeader("\xff", "x", &jsonb).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace millrace::kafka
