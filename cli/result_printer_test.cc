#include "cli/result_printer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <sstream>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "common/columnar/batch_codec.h"
#include "common/types/sql_type.h"

namespace millrace::cli {
namespace {

ColumnPtr Texts(const std::vector<std::string>& values) {
  auto column = std::make_shared<Column>(MakeType(TypeId::kText), values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    column->SetTextCopy(i, values[i]);
  }
  return column;
}

ColumnPtr Numbers(const std::vector<int64_t>& values) {
  auto column = std::make_shared<Column>(MakeType(TypeId::kInt64), values.size());
  std::copy(values.begin(), values.end(), column->mutable_values<int64_t>());
  return column;
}

proto::BatchResults ResultsOf(const Batch& rows, const std::vector<std::string>& columns) {
  proto::BatchResults results;
  results.set_batch(3);
  results.set_batch_time_us(1740830404000000);  // 2025-03-01 12:00:04 UTC
  results.set_records(2000);
  results.set_records_per_second(1000);
  auto* table = results.add_tables();
  table->set_table("counts");
  for (const std::string& column : columns) {
    table->add_columns(column);
  }
  EncodeBatch(rows, table->mutable_rows());
  return results;
}

std::string Printed(const proto::BatchResults& results, OutputFormat format,
                    bool terminal = false) {
  std::ostringstream out;
  std::ostringstream err;
  const Console console{.out = out, .err = err, .out_is_terminal = terminal};
  ResultPrinter printer(console, format, /*show_empty=*/false);
  EXPECT_TRUE(printer.Print(results).ok());
  return out.str();
}

TEST(ResultPrinterTest, TwoColumnsAsPairsUnderAHeader) {
  const Batch rows({Texts({"apple", "pear"}), Numbers({7, 2})}, 2);
  EXPECT_EQ(Printed(ResultsOf(rows, {"word", "count"}), OutputFormat::kTable),
            "-- batch 3, 2025-03-01 12:00:04+00, 1,000 records/s\n"
            "apple: 7\n"
            "pear: 2\n\n");
}

TEST(ResultPrinterTest, RemovedRowsAfterAMinusAndRepeatedRowsRepeated) {
  Batch rows({Texts({"apple", "pear"}), Numbers({7, 2})}, 2);
  rows.set_weights(Numbers({-1, 2}));
  EXPECT_EQ(Printed(ResultsOf(rows, {"word", "count"}), OutputFormat::kTable),
            "-- batch 3, 2025-03-01 12:00:04+00, 1,000 records/s\n"
            "-apple: 7\n"
            "pear: 2\n"
            "pear: 2\n\n");
}

// A count that goes from 1 to 2: a person sees the new one, a program both changes.
TEST(ResultPrinterTest, JsonHasTheRowsThatAreReplacedAndTextHasNot) {
  auto replaced = std::make_shared<Column>(MakeType(TypeId::kBool), 2);
  replaced->mutable_values<uint8_t>()[0] = 1;
  replaced->mutable_values<uint8_t>()[1] = 0;
  Batch rows({Texts({"apple", "apple"}), Numbers({1, 2}), replaced}, 2);
  rows.set_weights(Numbers({-1, 1}));
  const auto results = ResultsOf(rows, {"word", "count"});
  EXPECT_EQ(Printed(results, OutputFormat::kTable),
            "-- batch 3, 2025-03-01 12:00:04+00, 1,000 records/s\n"
            "apple: 2\n\n");
  EXPECT_EQ(
      Printed(results, OutputFormat::kJson),
      "{\"batch\":3,\"time\":\"2025-03-01T12:00:04+00:00\",\"table\":\"counts\",\"weight\":-1,"
      "\"row\":{\"word\":\"apple\",\"count\":1}}\n"
      "{\"batch\":3,\"time\":\"2025-03-01T12:00:04+00:00\",\"table\":\"counts\",\"weight\":1,"
      "\"row\":{\"word\":\"apple\",\"count\":2}}\n");
}

TEST(ResultPrinterTest, MoreColumnsByTabsElseAlignedUnderTheirNames) {
  const Batch rows({Texts({"apple", "fig"}), Numbers({7, 20}), Texts({"a\tb", "c"})}, 2);
  const auto results = ResultsOf(rows, {"word", "count", "note"});
  EXPECT_EQ(Printed(results, OutputFormat::kTable),
            "-- batch 3, 2025-03-01 12:00:04+00, 1,000 records/s\n"
            "apple\t7\ta\\tb\n"
            "fig\t20\tc\n\n");
  EXPECT_EQ(Printed(results, OutputFormat::kTable, /*terminal=*/true),
            "\033[1m-- batch 3, 2025-03-01 12:00:04+00, 1,000 records/s\033[0m\n"
            "word   count  note\n"
            "apple  7      a\\tb\n"
            "fig    20     c\n\n");
}

TEST(ResultPrinterTest, AnEmptyBatchIsNotShown) {
  const Batch rows({Texts({}), Numbers({})}, 0);
  EXPECT_EQ(Printed(ResultsOf(rows, {"word", "count"}), OutputFormat::kTable), "");
}

TEST(ResultPrinterTest, JsonIsOneObjectPerRow) {
  auto words = std::make_shared<Column>(MakeType(TypeId::kText), 2);
  words->SetTextCopy(0, "say \"hi\"");
  words->SetNull(1);
  const Batch rows({words, Numbers({7, 2})}, 2);
  EXPECT_EQ(Printed(ResultsOf(rows, {"word", "count"}), OutputFormat::kJson),
            "{\"batch\":3,\"time\":\"2025-03-01T12:00:04+00:00\",\"table\":\"counts\",\"weight\":1,"
            "\"row\":{\"word\":\"say \\\"hi\\\"\",\"count\":7}}\n"
            "{\"batch\":3,\"time\":\"2025-03-01T12:00:04+00:00\",\"table\":\"counts\",\"weight\":1,"
            "\"row\":{\"word\":null,\"count\":2}}\n");
}

TEST(ResultPrinterTest, JsonHasNumbersThatItDoesNotKnowAndTimesAsStrings) {
  auto numbers = std::make_shared<Column>(MakeType(TypeId::kFloat64), 3);
  double* values = numbers->mutable_values<double>();
  values[0] = 1.5;
  values[1] = std::numeric_limits<double>::quiet_NaN();
  values[2] = -std::numeric_limits<double>::infinity();
  auto times = std::make_shared<Column>(MakeType(TypeId::kTimestampTz), 3);
  times->mutable_values<int64_t>()[0] = 1700000000500000;
  times->SetNull(1);
  times->mutable_values<int64_t>()[2] = std::numeric_limits<int64_t>::max();
  const std::string printed =
      Printed(ResultsOf(Batch({numbers, times}, 3), {"d", "at"}), OutputFormat::kJson);
  for (const char* row :
       {R"("row":{"d":1.5,"at":"2023-11-14T22:13:20.5+00:00"}})", R"("row":{"d":"NaN","at":null}})",
        R"("row":{"d":"-Infinity","at":"infinity"}})"}) {
    EXPECT_TRUE(absl::StrContains(printed, row)) << printed;
  }
}

TEST(ResultPrinterTest, BytesThatAreNoRowsAreAnError) {
  proto::BatchResults results;
  results.set_batch(1);
  results.add_tables()->set_rows("garbage");
  std::ostringstream out;
  const Console console{.out = out, .err = out};
  ResultPrinter printer(console, OutputFormat::kTable, false);
  EXPECT_FALSE(printer.Print(results).ok());
}

}  // namespace
}  // namespace millrace::cli
