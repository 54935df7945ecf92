#include "cli/console.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "cli/progress_line.h"
#include "cli/text_table.h"

namespace millrace::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct TestConsole {
  std::ostringstream out;
  std::ostringstream err;
  Console console{.out = out, .err = err};
};

TEST(WithThousandsTest, GroupsDigitsByThree) {
  EXPECT_EQ(WithThousands(0), "0");
  EXPECT_EQ(WithThousands(999), "999");
  EXPECT_EQ(WithThousands(1000), "1,000");
  EXPECT_EQ(WithThousands(1234567), "1,234,567");
  EXPECT_EQ(WithThousands(-999), "-999");
  EXPECT_EQ(WithThousands(-1000), "-1,000");
}

TEST(ConsoleTest, ErrorsGoToStderrWithoutColourOffATerminal) {
  TestConsole test;
  EXPECT_EQ(test.console.Fail(absl::NotFoundError("no such job")), 1);
  EXPECT_EQ(test.err.str(), "millrace: no such job\n");
  EXPECT_EQ(test.out.str(), "");
  EXPECT_EQ(test.console.Misuse("what?"), 2);
}

TEST(ConsoleTest, ErrorsAreColouredOnATerminal) {
  TestConsole test;
  test.console.err_is_terminal = true;
  test.console.Fail(absl::NotFoundError("no such job"));
  EXPECT_THAT(test.err.str(), HasSubstr("\033["));
}

TEST(TextTableTest, AlignsColumnsAndNumbersToTheRight) {
  TextTable table({{"name", "name"}, {"lag", "lag"}});
  table.AddRow({std::string("a"), int64_t{1234}});
  table.AddRow({std::string("größer"), int64_t{5}});
  std::ostringstream out;
  table.Print(OutputFormat::kTable, out);
  EXPECT_EQ(out.str(),
            "name      lag\n"
            "a       1,234\n"
            "größer      5\n");
}

TEST(TextTableTest, JsonKeepsTypesAndNames) {
  TextTable table({{"the name", "name"}, {"lag", "lag"}, {"rate", "rate"}});
  table.AddRow({std::string("a\"b"), int64_t{1234567890123}, 1.5});
  std::ostringstream out;
  table.Print(OutputFormat::kJson, out);
  const auto json = nlohmann::json::parse(out.str());
  ASSERT_EQ(json.size(), 1u);
  EXPECT_EQ(json[0]["name"], "a\"b");
  EXPECT_EQ(json[0]["lag"], 1234567890123);
  EXPECT_EQ(json[0]["rate"], 1.5);
}

TEST(TextTableTest, NoRowsIsAHeadingOrAnEmptyArray) {
  TextTable table({{"name", "name"}, {"lag", "lag"}});
  std::ostringstream text;
  table.Print(OutputFormat::kTable, text);
  EXPECT_EQ(text.str(), "name  lag\n");
  std::ostringstream json;
  table.Print(OutputFormat::kJson, json);
  EXPECT_EQ(json.str(), "[]\n");
}

TEST(PrintableTest, EscapesWhatWouldBreakALine) {
  EXPECT_EQ(Printable("a\nb\tc\\"), "a\\nb\\tc\\\\");
  EXPECT_EQ(Printable(std::string_view("\x1b[31m\0", 6)), "\\x1b[31m\\x00");
  EXPECT_EQ(Printable("größe 水"), "größe 水");
  EXPECT_EQ(Printable("\xff\xc3"), "\\xff\\xc3");
}

TEST(RateEstimateTest, LooksAtTheLastSeconds) {
  const absl::Time start = absl::FromUnixSeconds(1000);
  RateEstimate rate;
  rate.Add(start, 0);
  EXPECT_EQ(rate.RecordsPerSecond(), 0);
  EXPECT_EQ(rate.TimeFor(10), absl::InfiniteDuration());
  rate.Add(start + absl::Seconds(2), 2000);
  EXPECT_DOUBLE_EQ(rate.RecordsPerSecond(), 1000);
  EXPECT_EQ(rate.TimeFor(5000), absl::Seconds(5));
  for (int second = 3; second <= 20; ++second) {
    rate.Add(start + absl::Seconds(second), 2000 + (second - 2) * 10);
  }
  EXPECT_DOUBLE_EQ(rate.RecordsPerSecond(), 10);
}

TEST(ProgressTest, SaysRecordsRateLagAndTimeLeft) {
  const absl::Time start = absl::FromUnixSeconds(1000);
  RateEstimate rate;
  rate.Add(start, 0);
  rate.Add(start + absl::Seconds(1), 1500);
  EXPECT_EQ(ProgressText(1500, 3000, rate), "1,500 records, 1,500 records/s, lag 3,000, 2 s left");
  EXPECT_EQ(ProgressText(1500, 0, rate), "1,500 records, 1,500 records/s, lag 0");
  EXPECT_THAT(ProgressText(1500, 1500 * 90, rate), HasSubstr("1 min 30 s left"));
}

TEST(ProgressTest, NothingOffATerminal) {
  TestConsole test;
  ProgressLine line(test.console, true);
  line.Update(1, 2);
  line.Clear();
  EXPECT_EQ(test.err.str(), "");
  test.console.err_is_terminal = true;
  ProgressLine shown(test.console, true);
  shown.Update(1, 2);
  EXPECT_THAT(test.err.str(), HasSubstr("lag 2"));
  EXPECT_THAT(test.err.str(), Not(HasSubstr("\n")));
}

}  // namespace
}  // namespace millrace::cli
