#include "executor/state/entries/group_table.h"

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/columnar/owned_values.h"
#include "common/columnar/row_hash.h"
#include "common/types/interval.h"
#include "common/types/numeric.h"
#include "gtest/gtest.h"

namespace millrace::executor {
namespace {

using MaybeText = std::optional<std::string>;

ColumnPtr TextColumn(const std::vector<MaybeText>& values) {
  auto column = std::make_shared<Column>(MakeType(TypeId::kText), values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i].has_value()) {
      column->SetTextCopy(i, *values[i]);
    } else {
      column->SetNull(i);
    }
  }
  return column;
}

template <typename T>
ColumnPtr FixedColumn(TypeId type, const std::vector<T>& values) {
  auto column = std::make_shared<Column>(MakeType(type), values.size());
  std::copy(values.begin(), values.end(), column->template mutable_values<T>());
  return column;
}

std::vector<uint32_t> Find(GroupTable* table, const std::vector<ColumnPtr>& keys) {
  size_t rows = keys[0]->size();
  std::vector<uint64_t> hashes(rows);
  HashRows(keys, RowSet{nullptr, rows}, hashes.data());
  std::vector<uint32_t> groups(rows);
  table->FindOrAdd(keys, hashes.data(), RowSet{nullptr, rows}, groups.data());
  return groups;
}

std::string TextOf(const GroupTable& table, uint32_t group) {
  ColumnPtr key = table.KeyColumn(0, &group, 1);
  return key->IsNull(0) ? "NULL" : std::string(key->value<TextView>(0).view());
}

TEST(GroupTableTest, NumbersGroupsInOrderOfFirstTouch) {
  GroupTable table({MakeType(TypeId::kText)}, 8);
  EXPECT_EQ(Find(&table, {TextColumn({"b", "a", "b", "c", "a"})}),
            (std::vector<uint32_t>{0, 1, 0, 2, 1}));
  EXPECT_EQ(table.size(), 3u);
  EXPECT_EQ(TextOf(table, 0), "b");
  EXPECT_EQ(TextOf(table, 2), "c");
}

TEST(GroupTableTest, TextLongerThanAViewIsComparedToItsEnd) {
  GroupTable table({MakeType(TypeId::kText)}, 8);
  std::string common(40, 'x');
  std::vector<MaybeText> keys = {common + "1", common + "2", common + "1", std::string(12, 'x'),
                                 std::string(13, 'x')};
  EXPECT_EQ(Find(&table, {TextColumn(keys)}), (std::vector<uint32_t>{0, 1, 0, 2, 3}));
  // The probed column is gone by now: the table has copies.
  EXPECT_EQ(TextOf(table, 1), common + "2");
}

TEST(GroupTableTest, NullsAreOneGroupAndDifferFromEmptyText) {
  GroupTable table({MakeType(TypeId::kText)}, 8);
  EXPECT_EQ(Find(&table, {TextColumn({"", std::nullopt, "", std::nullopt})}),
            (std::vector<uint32_t>{0, 1, 0, 1}));
  // The same when a column without NULLs is probed while the table holds one with NULLs.
  EXPECT_EQ(Find(&table, {TextColumn({"", "x"})}), (std::vector<uint32_t>{0, 2}));
  EXPECT_EQ(TextOf(table, 1), "NULL");
}

TEST(GroupTableTest, KeysGroupBySqlEquality) {
  GroupTable doubles({MakeType(TypeId::kFloat64)}, 8);
  EXPECT_EQ(Find(&doubles, {FixedColumn<double>(TypeId::kFloat64, {0.0, -0.0, NAN, -NAN, 1.0})}),
            (std::vector<uint32_t>{0, 0, 1, 1, 2}));
  GroupTable numerics({MakeType(TypeId::kNumeric)}, 8);
  Numeric one{.unscaled = 10, .scale = 1};
  Numeric also_one{.unscaled = 100, .scale = 2};
  Numeric other{.unscaled = 101, .scale = 2};
  EXPECT_EQ(Find(&numerics, {FixedColumn<Numeric>(TypeId::kNumeric, {one, also_one, other})}),
            (std::vector<uint32_t>{0, 0, 1}));
  GroupTable intervals({MakeType(TypeId::kInterval)}, 8);
  EXPECT_EQ(Find(&intervals, {FixedColumn<Interval>(TypeId::kInterval,
                                                    {{.months = 1}, {.days = 30}, {.days = 31}})}),
            (std::vector<uint32_t>{0, 0, 1}));
}

TEST(GroupTableTest, WideNumericKeysAreKeptAndGivenBack) {
  GroupTable table({MakeType(TypeId::kNumeric)}, 8);
  const auto key = [](int exponent) {
    auto column = std::make_shared<Column>(MakeType(TypeId::kNumeric), 1);
    // Digits of about 4 KB, so that arenas fill and are compacted.
    const absl::StatusOr<NumericValue> value =
        Numeric::Parse(absl::StrCat("1", std::string(10000, '7'), "e", exponent));
    SetNumeric(*value, column.get(), 0);
    return ColumnPtr(column);
  };
  for (int i = 0; i < 2000; ++i) {
    const uint32_t group = Find(&table, {key(i)})[0];
    EXPECT_EQ(Find(&table, {key(i)})[0], group);
    if (i % 10 != 0) {
      table.Erase(group);
    }
  }
  EXPECT_EQ(table.size(), 200u);
  for (int i = 0; i < 2000; i += 10) {
    const uint32_t group = Find(&table, {key(i)})[0];
    const ColumnPtr back = table.KeyColumn(0, &group, 1);
    EXPECT_TRUE(ValuesEqual(*back, 0, *key(i), 0)) << i;
  }
  EXPECT_EQ(table.size(), 200u);
}

TEST(GroupTableTest, SeveralKeysWithNulls) {
  GroupTable table({MakeType(TypeId::kText), MakeType(TypeId::kInt32)}, 8);
  ColumnPtr numbers = FixedColumn<int32_t>(TypeId::kInt32, {1, 2, 1, 1});
  EXPECT_EQ(Find(&table, {TextColumn({"a", "a", std::nullopt, "a"}), numbers}),
            (std::vector<uint32_t>{0, 1, 2, 0}));
}

TEST(GroupTableTest, NoKeysIsOneGroup) {
  GroupTable table({}, 8);
  uint64_t hashes[3] = {};
  uint32_t groups[3];
  EXPECT_EQ(table.FindOrAdd({}, hashes, RowSet{nullptr, 3}, groups).size(), 1u);
  EXPECT_EQ(table.FindOrAdd({}, hashes, RowSet{nullptr, 3}, groups).size(), 0u);
  EXPECT_EQ(groups[2], 0u);
}

// Random inserts and erasures against std::map, over growth, reuse of numbers, compaction of text
// and Clear.
TEST(GroupTableTest, AgreesWithAMapOverGrowthAndErasure) {
  std::mt19937 random(7);
  GroupTable table({MakeType(TypeId::kText)}, 16);
  for (int life = 0; life < 3; ++life) {
    std::map<std::string, uint32_t> expected;
    for (int round = 0; round < 60; ++round) {
      std::vector<MaybeText> keys(1500);
      for (auto& key : keys) {
        uint32_t number = random() % 20000;
        key = number % 3 == 0 ? "k" + std::to_string(number)
                              : std::string(200, 'p') + std::to_string(number);
      }
      std::vector<uint32_t> groups = Find(&table, {TextColumn(keys)});
      for (size_t i = 0; i < keys.size(); ++i) {
        auto [it, added] = expected.emplace(*keys[i], groups[i]);
        ASSERT_EQ(it->second, groups[i]) << *keys[i];
      }
      for (auto it = expected.begin(); it != expected.end();) {
        if (random() % 4 == 0) {
          table.Erase(it->second);
          it = expected.erase(it);
        } else {
          ++it;
        }
      }
      ASSERT_EQ(table.size(), expected.size());
    }
    for (const auto& [key, group] : expected) {
      ASSERT_EQ(TextOf(table, group), key);
    }
    EXPECT_LT(table.limit(), 20001u);
    std::vector<uint32_t> all = table.Groups();
    EXPECT_EQ(all.size(), expected.size());
    table.Clear();
    EXPECT_EQ(table.size(), 0u);
  }
}

TEST(GroupTableTest, ClearOfAFewGroupsInALargeTableEmptiesIt) {
  GroupTable table({MakeType(TypeId::kInt64)}, 8);
  std::vector<int64_t> many(50000);
  for (size_t i = 0; i < many.size(); ++i) {
    many[i] = static_cast<int64_t>(i);
  }
  Find(&table, {FixedColumn<int64_t>(TypeId::kInt64, many)});
  size_t bytes = table.Bytes();
  for (int round = 0; round < 3; ++round) {
    table.Clear();
    EXPECT_EQ(Find(&table, {FixedColumn<int64_t>(TypeId::kInt64, {7, 8, 7, 9})}),
              (std::vector<uint32_t>{0, 1, 0, 2}));
  }
  EXPECT_EQ(table.Bytes(), bytes);
}

TEST(GroupTableTest, PayloadsSurviveGrowth) {
  GroupTable table({MakeType(TypeId::kInt64)}, 8);
  for (int64_t first = 0; first < 10000; first += 100) {
    std::vector<int64_t> keys(100);
    for (size_t i = 0; i < keys.size(); ++i) {
      keys[i] = first + static_cast<int64_t>(i);
    }
    std::vector<uint32_t> groups = Find(&table, {FixedColumn<int64_t>(TypeId::kInt64, keys)});
    for (size_t i = 0; i < keys.size(); ++i) {
      table.Payload(0).at<int64_t>(groups[i]) = keys[i] * 3;
    }
  }
  for (uint32_t group = 0; group < table.limit(); ++group) {
    ASSERT_EQ(table.Payload(0).at<int64_t>(group), group * int64_t{3});
  }
}

}  // namespace
}  // namespace millrace::executor
