// Rows on their way to another thread or executor: owned copies, and pieces on the wire.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "common/columnar/batch_codec.h"
#include "common/columnar/text_view.h"
#include "executor/shuffle/owned_rows.h"
#include "executor/shuffle/wire_rows.h"

namespace millrace::executor {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> TextsOf(const Batch& batch) {
  std::vector<std::string> texts;
  batch.rows().ForEach([&](uint32_t row) {
    texts.push_back(batch.column(0)->IsNull(row)
                        ? "NULL"
                        : std::string(batch.column(0)->value<TextView>(row).view()));
  });
  return texts;
}

Batch Texts(const std::vector<std::string>& texts) {
  auto column = std::make_shared<Column>(MakeType(TypeId::kText), texts.size());
  auto hashes = std::make_shared<std::vector<uint64_t>>();
  for (size_t i = 0; i < texts.size(); ++i) {
    column->SetTextCopy(i, texts[i]);
    hashes->push_back(i * 100);
  }
  Batch batch({column}, texts.size());
  batch.set_hashes(hashes);
  return batch;
}

TEST(OwnedRowsTest, OutliveWhatTheyWereTakenFrom) {
  Batch owned;
  std::weak_ptr<const Column> source;
  {
    auto text = std::make_shared<std::string>("a text that does not fit into its view");
    auto column = std::make_shared<Column>(MakeType(TypeId::kText), 3);
    column->AddOwner(text);
    column->mutable_values<TextView>()[0] = TextView(*text);
    column->mutable_values<TextView>()[1] = TextView(std::string_view("short"));
    column->SetNull(2);
    source = column;
    const Batch batch({column}, 3);
    const uint32_t rows[] = {2, 0, 1, 0};
    owned = GatherOwned(batch, rows, 4);
    text->assign(text->size(), '#');
  }
  EXPECT_TRUE(source.expired());
  EXPECT_THAT(TextsOf(owned), ElementsAre("NULL", "a text that does not fit into its view", "short",
                                          "a text that does not fit into its view"));
  EXPECT_GE(OwnedBytes(owned), 2 * 38 + 4 * 16);
}

TEST(OwnedRowsTest, ConcatenatedKeepHashesAndWeights) {
  Batch first = Texts({"a", "b"});
  Batch second = Texts({"c"});
  auto weights = std::make_shared<Column>(MakeType(TypeId::kInt64), 1);
  weights->mutable_values<int64_t>()[0] = -1;
  second.set_weights(weights);
  const Batch all = ConcatenateOwned({first, second});
  EXPECT_THAT(TextsOf(all), ElementsAre("a", "b", "c"));
  EXPECT_THAT(*all.hashes(), ElementsAre(0, 100, 0));
  EXPECT_EQ(all.weight(0), 1);
  EXPECT_EQ(all.weight(2), -1);
}

TEST(WireRowsTest, PiecesKeepToTheLimitUnlessOneRowIsLarger) {
  std::vector<std::string> texts;
  texts.reserve(201);
  for (int i = 0; i < 200; ++i) {
    texts.push_back(std::string(static_cast<size_t>(i) * 7, static_cast<char>('a' + i % 26)));
  }
  texts.push_back(std::string(50000, 'x'));
  std::vector<std::string> decoded;
  size_t expected_first = 0;
  EncodeInPieces(Texts(texts), 10000, [&](size_t first, size_t count, const std::string& bytes) {
    EXPECT_EQ(first, expected_first);
    expected_first += count;
    EXPECT_TRUE(bytes.size() <= 10000 || count == 1)
        << bytes.size() << " bytes for " << count << " rows";
    auto batch = DecodeBatch(bytes);
    ASSERT_TRUE(batch.ok()) << batch.status();
    for (std::string& text : TextsOf(*batch)) {
      decoded.push_back(std::move(text));
    }
  });
  EXPECT_EQ(decoded, texts);
}

TEST(WireRowsTest, NoRowsNoPieces) {
  EncodeInPieces(Texts({}), 100, [](size_t, size_t, const std::string&) { FAIL(); });
}

TEST(WireRowsTest, RunsAreCutWithTheirRows) {
  const std::vector<InputRun> runs = {{.ordinal = 1, .position = 10, .rows = 3},
                                      {.ordinal = 4, .position = 0, .rows = 5}};
  const std::vector<InputRun> slice = SliceRuns(runs, 2, 3);
  ASSERT_EQ(slice.size(), 2u);
  EXPECT_EQ(slice[0].ordinal, 1u);
  EXPECT_EQ(slice[0].position, 12u);
  EXPECT_EQ(slice[0].rows, 1u);
  EXPECT_EQ(slice[1].ordinal, 4u);
  EXPECT_EQ(slice[1].position, 0u);
  EXPECT_EQ(slice[1].rows, 2u);
}

}  // namespace
}  // namespace millrace::executor
