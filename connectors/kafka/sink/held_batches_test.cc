#include "connectors/kafka/sink/held_batches.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace millrace::kafka {
namespace {

class HeldBatchesTest : public testing::Test {
 protected:
  void Add(int64_t batch, size_t table, uint32_t shard, const std::vector<std::string>& values) {
    HeldRows rows{.table = table, .shard = shard, .batch = BatchId(batch)};
    for (const std::string& value : values) {
      EXPECT_TRUE(rows.memory.Add(memory_, static_cast<int64_t>(value.size()), "the test").ok());
      rows.records.push_back({.value = *texts_.emplace_back(std::make_unique<std::string>(value))});
    }
    held_.Add(std::move(rows));
  }

  template <typename Rows>
  static std::string Text(const Rows& rows) {
    std::string text = std::to_string(rows.table) + "/" + std::to_string(rows.shard) + ":";
    for (const KafkaRecord& record : rows.records) {
      text += record.value;
    }
    return text;
  }
  std::vector<std::string> Upto(int64_t through) const {
    std::vector<std::string> all;
    for (const HeldRows* rows : held_.Upto(BatchId(through))) {
      all.push_back(std::to_string(rows->batch.value()) + " " + Text(*rows));
    }
    return all;
  }

  std::vector<std::unique_ptr<std::string>> texts_;
  std::shared_ptr<HeldMemory> memory_ = std::make_shared<HeldMemory>(1000);
  HeldBatches held_;
};

TEST_F(HeldBatchesTest, RowsComeByBatchTableAndShardInTheOrderOfTheirWrites) {
  Add(2, 0, 0, {"x"});
  Add(1, 1, 0, {"a"});
  Add(1, 0, 3, {"b", "c"});
  Add(1, 0, 1, {"d"});
  Add(1, 0, 3, {"e"});
  EXPECT_EQ(Upto(1), (std::vector<std::string>{"1 0/1:d", "1 0/3:bce", "1 1/0:a"}));
  EXPECT_EQ(Upto(2).size(), 4u);
  EXPECT_EQ(held_.first(), BatchId(1));
  EXPECT_EQ(held_.bytes(), 6);
  EXPECT_EQ(held_.bytes_of(BatchId(1)), 5);
}

TEST_F(HeldBatchesTest, WhatIsDroppedGivesItsMemoryBack) {
  Add(1, 0, 0, {"abc"});
  Add(2, 0, 0, {"de"});
  held_.DropUpto(BatchId(1));
  EXPECT_EQ(held_.first(), BatchId(2));
  EXPECT_EQ(held_.bytes(), 2);
  EXPECT_EQ(memory_->bytes(), 2);
  held_.DropUpto(BatchId(5));
  EXPECT_EQ(held_.first(), BatchId());
  EXPECT_EQ(memory_->bytes(), 0);
}

// A batch whose rows have all left is still the first one, and as large as it was.
TEST_F(HeldBatchesTest, ABatchKeepsItsPlaceAndSizeWhenItsRowsLeave) {
  Add(1, 0, 0, {"abc"});
  Add(1, 0, 1, {"d"});
  {
    const std::vector<HeldRows> taken = held_.TakeRows(BatchId(1));
    ASSERT_EQ(taken.size(), 2u);
    EXPECT_EQ(Text(taken[0]), "0/0:abc");
    EXPECT_EQ(memory_->bytes(), 4);
  }
  EXPECT_EQ(memory_->bytes(), 0);
  EXPECT_EQ(held_.first(), BatchId(1));
  EXPECT_EQ(held_.bytes(), 0);
  EXPECT_EQ(held_.bytes_of(BatchId(1)), 4);
  held_.NoteLeft(BatchId(1), 10);
  Add(1, 0, 0, {"ef"});
  EXPECT_EQ(Upto(1), std::vector<std::string>{"1 0/0:ef"});
  EXPECT_EQ(held_.bytes(), 2);
  EXPECT_EQ(held_.bytes_of(BatchId(1)), 16);
  held_.DropUpto(BatchId(1));
  EXPECT_EQ(held_.bytes(), 0);
  EXPECT_EQ(held_.bytes_of(BatchId(1)), 0);
}

TEST_F(HeldBatchesTest, RowsThatWereNeverHeldMakeTheirBatchTheFirst) {
  EXPECT_TRUE(held_.TakeRows(BatchId(3)).empty());
  held_.NoteLeft(BatchId(3), 10);
  EXPECT_EQ(held_.first(), BatchId(3));
  EXPECT_TRUE(Upto(3).empty());
}

}  // namespace
}  // namespace millrace::kafka
