#include "driver/results/result_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/columnar/batch.h"
#include "common/columnar/batch_codec.h"

namespace millrace::driver {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Row {
  const char* word;  // null = NULL
  int64_t count;
  int64_t weight = 1;
};

std::string Piece(const std::vector<Row>& rows, bool weighted = false) {
  auto words = std::make_shared<Column>(MakeType(TypeId::kText), rows.size());
  auto counts = std::make_shared<Column>(MakeType(TypeId::kInt64), rows.size());
  auto weights = std::make_shared<Column>(MakeType(TypeId::kInt64), rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].word == nullptr) {
      words->SetNull(i);
    } else {
      words->SetTextCopy(i, rows[i].word);
    }
    counts->mutable_values<int64_t>()[i] = rows[i].count;
    weights->mutable_values<int64_t>()[i] = rows[i].weight;
  }
  Batch batch({words, counts}, rows.size());
  if (weighted) {
    batch.set_weights(weights);
  }
  std::string bytes;
  EncodeBatch(batch, &bytes);
  return bytes;
}

const BatchShape kShape{.columns = {MakeType(TypeId::kText), MakeType(TypeId::kInt64)},
                        .weights = true};

// "word=count" with the weight in front where it is not 1.
std::vector<std::string> Merged(const std::vector<uint32_t>& keys,
                                const std::vector<std::string>& pieces) {
  const absl::StatusOr<std::string> merged = MergeResultRows(kShape, keys, pieces);
  EXPECT_TRUE(merged.ok()) << merged.status();
  const absl::StatusOr<Batch> batch = DecodeBatch(*merged);
  EXPECT_TRUE(batch.ok()) << batch.status();
  std::vector<std::string> rows;
  for (size_t i = 0; i < batch->physical_rows(); ++i) {
    const std::string word = batch->column(0)->IsNull(i)
                                 ? "NULL"
                                 : std::string(batch->column(0)->value<TextView>(i).view());
    const bool replaced = batch->column_count() > 2 && batch->column(2)->value<uint8_t>(i) != 0;
    rows.push_back(absl::StrCat(batch->weight(i) == 1 ? "" : absl::StrCat(batch->weight(i), "*"),
                                word, "=", batch->column(1)->value<int64_t>(i),
                                replaced ? " replaced" : ""));
  }
  return rows;
}

TEST(MergeResultRowsTest, OrdersAllPiecesByKeyThenByAllColumns) {
  const std::vector<std::string> pieces = {Piece({{"pear", 3}, {nullptr, 1}}), Piece({}),
                                           Piece({{"apple", 9}, {"apple", -2}, {"fig", 3}})};
  EXPECT_THAT(Merged({0}, pieces), ElementsAre("apple=-2", "apple=9", "fig=3", "pear=3", "NULL=1"));
  EXPECT_THAT(Merged({1}, pieces), ElementsAre("apple=-2", "NULL=1", "fig=3", "pear=3", "apple=9"));
  EXPECT_THAT(Merged({}, pieces), ElementsAre("apple=-2", "apple=9", "fig=3", "pear=3", "NULL=1"));
}

TEST(MergeResultRowsTest, WhatAnAdditionReplacesStaysAndIsMarked) {
  const std::vector<std::string> pieces = {
      Piece({{"apple", 6, -1}, {"gone", 2, -1}, {"same", 3, -1}}, true),
      Piece({{"apple", 7, 1}, {"new", 1, 1}, {"same", 3, 1}}, true)};
  EXPECT_THAT(Merged({0}, pieces),
              ElementsAre("-1*apple=6 replaced", "apple=7", "-1*gone=2", "new=1"));
  EXPECT_THAT(Merged({0}, {Piece({{"gone", 2, -1}}, true)}), ElementsAre("-1*gone=2"));
}

TEST(MergeResultRowsTest, WithoutKeysWhatCancelsOutIsLeftOut) {
  const std::vector<std::string> pieces = {
      Piece({{"apple", 6, -1}, {"fig", 2, 1}}, true),
      Piece({{"apple", 7, 1}, {"fig", 2, -1}, {"pear", 1, 2}, {"pear", 1, 1}}, true)};
  EXPECT_THAT(Merged({}, pieces), ElementsAre("-1*apple=6", "apple=7", "3*pear=1"));
}

TEST(MergeResultRowsTest, NoRowsAndBadBytes) {
  EXPECT_THAT(Merged({0}, {}), IsEmpty());
  EXPECT_THAT(Merged({0}, {Piece({})}), IsEmpty());
  EXPECT_EQ(MergeResultRows(kShape, {0}, {"garbage"}).status().code(), absl::StatusCode::kDataLoss);
}

TEST(MergeResultRowsTest, RowsOfAnotherShapeAreNotComparedAsTheTables) {
  const BatchShape texts{.columns = {MakeType(TypeId::kText), MakeType(TypeId::kText)}};
  const absl::Status status = MergeResultRows(texts, {}, {Piece({{"apple", 6}})}).status();
  EXPECT_EQ(status.message(), "rows whose column 2 is bigint where the plan has text");
  const BatchShape more{.columns = {MakeType(TypeId::kText)}};
  EXPECT_FALSE(MergeResultRows(more, {}, {Piece({{"apple", 6}})}).ok());
}

}  // namespace
}  // namespace millrace::driver
