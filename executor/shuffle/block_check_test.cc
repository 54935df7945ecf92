// Blocks that a peer may send and that do not fit its exchange: each kind is refused, and the error
// names the sender.
#include "executor/shuffle/block_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "common/columnar/batch_codec.h"
#include "common/columnar/row_hash.h"

namespace millrace::executor {
namespace {

using ::testing::HasSubstr;

constexpr uint32_t kShards = 4;

proto::JobPlan Plan() {
  proto::JobPlan plan;
  plan.set_key_groups(64);
  proto::Exchange* exchange = plan.add_exchanges();
  for (const proto::TypeKind kind : {proto::TYPE_INT64, proto::TYPE_TEXT}) {
    exchange->add_columns()->mutable_type()->set_kind(kind);
  }
  return plan;
}

BlockShape ShapeOf(uint32_t shard) {
  auto shape = BlockShape::Of(Plan(), 0, shard, kShards);
  EXPECT_TRUE(shape.ok()) << shape.status();
  return *shape;
}

// `count` rows (number, text) whose keys belong to one shard.
Batch RowsOf(uint32_t shard, size_t count) {
  const BlockShape shape = ShapeOf(shard);
  std::vector<int64_t> numbers;
  for (int64_t candidate = 0; numbers.size() < count; ++candidate) {
    auto column = std::make_shared<Column>(MakeType(TypeId::kInt64), 1);
    column->mutable_values<int64_t>()[0] = candidate;
    uint64_t hash = 0;
    HashRows({column}, RowSet{nullptr, 1}, &hash);
    const uint32_t group = KeyGroupOf(hash, shape.key_groups);
    if (ShardOfKeyGroup(group, shape.key_groups, shape.shards) == shard) {
      numbers.push_back(candidate);
    }
  }
  auto first = std::make_shared<Column>(MakeType(TypeId::kInt64), count);
  auto second = std::make_shared<Column>(MakeType(TypeId::kText), count);
  for (size_t i = 0; i < count; ++i) {
    first->mutable_values<int64_t>()[i] = numbers[i];
    second->SetTextCopy(i, "a text of more than twelve bytes");
  }
  auto hashes = std::make_shared<std::vector<uint64_t>>(count);
  HashRows({first}, RowSet{nullptr, count}, hashes->data());
  Batch rows({first, second}, count);
  rows.set_hashes(std::move(hashes));
  return rows;
}

ShuffleBlock BlockOf(const Batch& rows, std::vector<InputRun> runs) {
  ShuffleBlock block{.exchange = 0, .shard = 1, .runs = std::move(runs)};
  block.sender_id = "other";
  EncodeBatch(rows, &block.encoded);
  return block;
}

std::string Refusal(const ShuffleBlock& block) {
  const absl::Status status = DecodeBlock(block, ShapeOf(1)).status();
  EXPECT_TRUE(absl::IsAborted(status)) << "the batch is run again: " << status;
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("rows for exchange 0 and shard 1 from executor other do not fit the plan"));
  return std::string(status.message());
}

TEST(BlockCheckTest, RowsThatFitAreTaken) {
  const auto rows = DecodeBlock(
      BlockOf(RowsOf(1, 5), {{.ordinal = 0, .rows = 2}, {.ordinal = 3, .rows = 3}}), ShapeOf(1));
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(rows->row_count(), 5u);
}

TEST(BlockCheckTest, ColumnsOfOtherTypesAreNotReadAsThePlans) {
  const Batch rows = RowsOf(1, 2);
  Batch swapped({rows.column(1), rows.column(0)}, 2);
  swapped.set_hashes(rows.hashes());
  EXPECT_THAT(Refusal(BlockOf(swapped, {{.rows = 2}})), HasSubstr("column 1 is text"));
  Batch fewer({rows.column(0)}, 2);
  fewer.set_hashes(rows.hashes());
  EXPECT_THAT(Refusal(BlockOf(fewer, {{.rows = 2}})), HasSubstr("rows of 1 columns"));
}

TEST(BlockCheckTest, RowsWithoutHashesAreRefused) {
  Batch rows = RowsOf(1, 2);
  rows.set_hashes(nullptr);
  EXPECT_THAT(Refusal(BlockOf(rows, {{.rows = 2}})), HasSubstr("without the hashes"));
}

TEST(BlockCheckTest, RetractionsOfAnExchangeWithInsertsOnlyAreRefused) {
  Batch rows = RowsOf(1, 1);
  auto weights = std::make_shared<Column>(MakeType(TypeId::kInt64), 1);
  weights->mutable_values<int64_t>()[0] = -1;
  rows.set_weights(std::move(weights));
  EXPECT_THAT(Refusal(BlockOf(rows, {{.rows = 1}})), HasSubstr("taken back"));
}

TEST(BlockCheckTest, RunsThatDoNotCoverTheRowsAreRefused) {
  const Batch rows = RowsOf(1, 3);
  EXPECT_THAT(Refusal(BlockOf(rows, {})), HasSubstr("runs of 0 rows over 3"));
  EXPECT_THAT(Refusal(BlockOf(rows, {{.rows = 2}})), HasSubstr("runs of 2 rows over 3"));
  EXPECT_THAT(Refusal(BlockOf(rows, {{.rows = 3}, {.rows = 0}})), HasSubstr("without rows"));
  // In 32 bits, the sum of the lengths overflows to 3.
  EXPECT_THAT(Refusal(BlockOf(rows, {{.rows = 0xFFFFFFFF}, {.rows = 4}})),
              HasSubstr("runs of 4294967299 rows over 3"));
}

TEST(BlockCheckTest, RowsOfAnotherShardAreRefused) {
  EXPECT_THAT(Refusal(BlockOf(RowsOf(2, 1), {{.rows = 1}})), HasSubstr("a row of shard 2"));
}

TEST(BlockCheckTest, BytesThatAreNoRowsAreRefused) {
  ShuffleBlock block = BlockOf(RowsOf(1, 1), {{.rows = 1}});
  block.encoded.resize(block.encoded.size() / 2);
  EXPECT_THAT(Refusal(block), HasSubstr("encoded batch"));
}

}  // namespace
}  // namespace millrace::executor
