#include "executor/epoch/failed_records.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/types/text_format.h"

namespace millrace::executor {
namespace {

proto::Sink Table(const std::vector<std::pair<std::string, proto::TypeKind>>& columns) {
  proto::Sink table;
  for (const auto& [name, kind] : columns) {
    proto::Field* field = table.add_columns();
    field->set_name(name);
    field->mutable_type()->set_kind(kind);
  }
  return table;
}

std::vector<std::string> TextOf(const Batch& batch, size_t column) {
  std::vector<std::string> values;
  for (size_t row = 0; row < batch.physical_rows(); ++row) {
    values.push_back(ValueToString(*batch.column(column), row));
  }
  return values;
}

using Texts = std::vector<std::string>;

SourceChunk Chunk() {
  SourceChunk chunk;
  chunk.offsets = {10, 12, 13};
  return chunk;
}

TEST(FailedRecordsTest, HoldsAllThatIsKnownInTheOrderOfOffsets) {
  SourceChunk chunk = Chunk();
  chunk.raw = [](uint32_t row) {
    return RawRecord{.topic = "t",
                     .partition = 3,
                     .timestamp_us = 1'000'000 * int64_t{row},
                     .key = row == 2 ? std::nullopt : std::make_optional<std::string_view>("k"),
                     .value = row == 0 ? "\xff\x01" : "{"};
  };
  const Batch batch = FailedRecords(
      Table({{"value", proto::TYPE_BYTEA},
             {"error", proto::TYPE_TEXT},
             {"topic", proto::TYPE_TEXT},
             {"partition", proto::TYPE_INT32},
             {"offset", proto::TYPE_INT64},
             {"timestamp", proto::TYPE_TIMESTAMPTZ},
             {"key", proto::TYPE_TEXT}}),
      chunk, {{2, absl::InvalidArgumentError("no JSON")}, {0, absl::InvalidArgumentError("bad")}});
  ASSERT_EQ(batch.physical_rows(), 2u);
  EXPECT_EQ(TextOf(batch, 0), (Texts{"\\xff01", "\\x7b"}));
  EXPECT_EQ(TextOf(batch, 1), (Texts{"bad", "no JSON"}));
  EXPECT_EQ(TextOf(batch, 2), (Texts{"t", "t"}));
  EXPECT_EQ(TextOf(batch, 3), (Texts{"3", "3"}));
  EXPECT_EQ(TextOf(batch, 4), (Texts{"10", "13"}));
  EXPECT_EQ(TextOf(batch, 5), (Texts{"1970-01-01 00:00:00+00", "1970-01-01 00:00:02+00"}));
  EXPECT_EQ(TextOf(batch, 6), (Texts{"k", "NULL"}));
}

TEST(FailedRecordsTest, ValuesAsTextAreHexadecimalWhereTheyAreNoText) {
  SourceChunk chunk = Chunk();
  chunk.raw = [](uint32_t row) { return RawRecord{.value = row == 1 ? "a\xff" : "grün"}; };
  const absl::Status error = absl::InvalidArgumentError("bad");
  EXPECT_EQ(
      TextOf(FailedRecords(Table({{"value", proto::TYPE_TEXT}}), chunk, {{1, error}, {2, error}}),
             0),
      (Texts{"\\x61ff", "grün"}));
}

TEST(FailedRecordsTest, WithoutRawRecordsOnlyErrorAndOffsetAreKnown) {
  const Batch batch = FailedRecords(Table({{"offset", proto::TYPE_INT64},
                                           {"value", proto::TYPE_BYTEA},
                                           {"topic", proto::TYPE_TEXT},
                                           {"partition", proto::TYPE_INT32}}),
                                    Chunk(), {{1, absl::InvalidArgumentError("division by zero")}});
  EXPECT_EQ(TextOf(batch, 0), Texts{"12"});
  EXPECT_EQ(TextOf(batch, 1), Texts{"NULL"});
  EXPECT_EQ(TextOf(batch, 2), Texts{"NULL"});
  EXPECT_EQ(TextOf(batch, 3), Texts{"NULL"});
}

}  // namespace
}  // namespace millrace::executor
