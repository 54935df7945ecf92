#include "executor/shuffle/exchange_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/columnar/row_hash.h"
#include "common/columnar/text_view.h"

namespace millrace::executor {
namespace {

constexpr uint32_t kKeyGroups = 64;
constexpr uint32_t kShards = 4;

// Rows of one text column, hashed; every second physical row is left out when `gaps`.
Batch Rows(const std::vector<std::string>& texts, bool gaps) {
  const size_t step = gaps ? 2 : 1;
  auto column = std::make_shared<Column>(MakeType(TypeId::kText), texts.size() * step);
  auto selection = std::make_shared<std::vector<uint32_t>>();
  for (size_t i = 0; i < texts.size() * step; ++i) {
    column->SetTextCopy(i, i % step == 0 ? texts[i / step] : "left out");
    if (i % step == 0) {
      selection->push_back(static_cast<uint32_t>(i));
    }
  }
  Batch batch({column}, texts.size() * step);
  auto hashes = std::make_shared<std::vector<uint64_t>>(batch.physical_rows());
  HashRows(batch.columns(), batch.rows(), hashes->data());
  batch.set_hashes(hashes);
  if (gaps) {
    batch.set_selection(selection);
  }
  return batch;
}

struct Arrived {
  uint32_t ordinal;
  uint64_t position;
  std::string text;
  bool operator==(const Arrived&) const = default;
};

class Recorder : public ShardTarget {
 public:
  void SendToShard(uint32_t, uint32_t shard, const Batch& rows, bool owned,
                   std::vector<InputRun> runs) override {
    const RowSet set = rows.rows();
    size_t next = 0;
    for (const InputRun& run : runs) {
      for (uint32_t i = 0; i < run.rows; ++i, ++next) {
        shards[shard].push_back({run.ordinal, run.position + i,
                                 std::string(rows.column(0)->value<TextView>(set[next]).view())});
      }
    }
    EXPECT_EQ(next, set.count) << "runs cover the rows";
    blocks[shard] += 1;
    owned_blocks += owned ? 1 : 0;
  }

  std::map<uint32_t, std::vector<Arrived>> shards;
  std::map<uint32_t, int> blocks;
  int owned_blocks = 0;
};

// The expected result, computed a row at a time: each row's shard, and its position in the origin's
// stream to that shard.
class Reference {
 public:
  void Add(uint32_t ordinal, const std::string& text) {
    const Batch one = Rows({text}, false);
    const uint32_t shard =
        ShardOfKeyGroup(KeyGroupOf((*one.hashes())[0], kKeyGroups), kKeyGroups, kShards);
    shards[shard].push_back({ordinal, positions_[{ordinal, shard}]++, text});
  }
  std::map<uint32_t, std::vector<Arrived>> shards;

 private:
  std::map<std::pair<uint32_t, uint32_t>, uint64_t> positions_;
};

TEST(ExchangeWriterTest, SplitsByShardAndCountsPositions) {
  for (const size_t rows_per_batch : {1, 7, 300, 20000}) {
    for (const bool gaps : {false, true}) {
      Recorder recorder;
      Reference reference;
      ExchangeWriter writer(0, kKeyGroups, kShards);
      int next = 0;
      for (uint32_t ordinal : {2, 2, 5}) {
        std::vector<std::string> texts;
        for (size_t i = 0; i < rows_per_batch; ++i) {
          texts.push_back(absl::StrCat("some text longer than twelve ", next++));
          reference.Add(ordinal, texts.back());
        }
        const OutputRun run{.ordinal = ordinal, .rows = static_cast<uint32_t>(texts.size())};
        writer.Write(Rows(texts, gaps), {&run, 1}, &recorder);
      }
      writer.Finish(&recorder);
      EXPECT_EQ(recorder.shards, reference.shards) << rows_per_batch << " rows, gaps " << gaps;
    }
  }
}

TEST(ExchangeWriterTest, RunsOfSeveralOriginsInOneBatch) {
  Recorder recorder;
  Reference reference;
  ExchangeWriter writer(0, kKeyGroups, kShards);
  std::vector<std::string> texts;
  std::vector<OutputRun> runs;
  for (uint32_t origin = 0; origin < 50; ++origin) {
    runs.push_back({.ordinal = origin, .rows = origin % 3});
    for (uint32_t i = 0; i < origin % 3; ++i) {
      texts.push_back(absl::StrCat(origin, "/", i));
      reference.Add(origin, texts.back());
    }
  }
  writer.Write(Rows(texts, true), runs, &recorder);
  writer.Finish(&recorder);
  EXPECT_EQ(recorder.shards, reference.shards);
}

TEST(ExchangeWriterTest, PutsSmallPiecesTogetherAndStartsAnewAfterFinish) {
  Recorder recorder;
  ExchangeWriter writer(0, kKeyGroups, 1);
  const OutputRun run{.ordinal = 3, .rows = 1};
  for (int i = 0; i < 100; ++i) {
    writer.Write(Rows({absl::StrCat(i)}, false), {&run, 1}, &recorder);
  }
  EXPECT_EQ(recorder.blocks[0], 0);
  writer.Finish(&recorder);
  EXPECT_EQ(recorder.blocks[0], 1);
  EXPECT_EQ(recorder.owned_blocks, 1);
  recorder.shards.clear();
  writer.Write(Rows({"again"}, false), {&run, 1}, &recorder);
  writer.Finish(&recorder);
  EXPECT_THAT(recorder.shards[0], testing::ElementsAre(Arrived{3, 0, "again"}));
}

}  // namespace
}  // namespace millrace::executor
