#include "executor/state/entries/entry_codec.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/columnar/column.h"
#include "common/types/sql_type.h"
#include "common/types/text_format.h"
#include "gtest/gtest.h"

namespace millrace::executor {
namespace {

// "NULL" is NULL.
ColumnPtr Values(TypeId type, const std::vector<std::string>& values) {
  auto column = std::make_shared<Column>(MakeType(type), values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] == "NULL") {
      column->SetNull(i);
    } else {
      EXPECT_TRUE(ParseValue(values[i], column.get(), i).ok()) << values[i];
    }
  }
  return column;
}

TEST(EntryCodecTest, KeysAreEqualWhereSqlSaysSoAndNowhereElse) {
  const struct {
    TypeId type;
    std::vector<std::string> values;
  } kCases[] = {
      {TypeId::kBool, {"true", "false", "NULL"}},
      {TypeId::kInt16, {"0", "-1", "1", "NULL"}},
      {TypeId::kInt32, {"0", "-1", "1", "NULL"}},
      {TypeId::kInt64, {"0", "-1", "1", "9223372036854775807", "NULL"}},
      {TypeId::kFloat32, {"0", "-0", "1", "NaN", "NULL"}},
      {TypeId::kFloat64, {"0", "-0", "1", "NaN", "Infinity", "NULL"}},
      {TypeId::kNumeric, {"0", "0.00", "-1", "1", "1.0", "1.00", "1.01", "10", "NaN", "NULL"}},
      {TypeId::kNumeric,
       {"1", "1.0000000000000000000000000000000000000000", "1e60", "-1e60", "1e60",
        "1000000000000000000000000000000000000000000000000000000000000.00"}},
      {TypeId::kText, {"", "a", "a-text-that-no-view-holds", "a-text-that-no-view-holds!", "NULL"}},
      {TypeId::kJsonb,
       {"1", "1.0", "1.00", "[1, {\"a\": 0.50}]", "[1.0, {\"a\": 0.5}]", "\"1.0\"", "NULL"}},
      {TypeId::kBytea, {"\\x", "\\x00", "\\x0000", "NULL"}},
      {TypeId::kDate, {"2026-01-01", "2026-01-02", "NULL"}},
      {TypeId::kTimestamp, {"2026-01-01 00:00:00", "2026-01-01 00:00:01", "NULL"}},
      {TypeId::kInterval, {"1 month", "30 days", "720 hours", "31 days", "NULL"}},
  };
  for (const auto& one : kCases) {
    const std::vector<ColumnPtr> keys = {Values(one.type, one.values)};
    for (uint32_t a = 0; a < one.values.size(); ++a) {
      for (uint32_t b = 0; b < one.values.size(); ++b) {
        EXPECT_EQ(EncodeKey(keys, 7, a) == EncodeKey(keys, 7, b),
                  ValuesEqual(*keys[0], a, *keys[0], b))
            << MakeType(one.type).ToString() << " " << one.values[a] << ", " << one.values[b];
      }
    }
  }
}

TEST(EntryCodecTest, BytesThatAreNoEntryAreRefusedWithoutMemory) {
  for (const std::string_view entry : {"", "a", "abc"}) {
    EXPECT_EQ(RowOfEntry(entry), "");
    EXPECT_EQ(KeyRowOfEntry(entry), "");
    EXPECT_EQ(TouchedAtOfEntry(entry), 0);
    HashOfKey(entry);
  }
  const SqlType arrays{.id = TypeId::kArray, .element = TypeId::kNumeric};
  const std::string promises("\1\xFF\xFF\xFF\x7F", 5);  // an array of 2 billion elements
  EXPECT_FALSE(DecodeRows({{arrays}}, {promises, promises, promises}).ok());
  EXPECT_FALSE(DecodeRows({{MakeType(TypeId::kText)}}, {promises}).ok());
  EXPECT_FALSE(DecodeRows({{MakeType(TypeId::kInt64)}}, {std::string_view()}).ok());
}

TEST(EntryCodecTest, KeysOfSeveralColumnsKeepThemApart) {
  const std::vector<ColumnPtr> keys = {Values(TypeId::kText, {"ab", "a", "NULL", "a"}),
                                       Values(TypeId::kText, {"c", "bc", "a", "NULL"})};
  for (uint32_t a = 0; a < 4; ++a) {
    for (uint32_t b = 0; b < a; ++b) {
      EXPECT_NE(EncodeKey(keys, 7, a), EncodeKey(keys, 7, b));
    }
  }
}

TEST(EntryCodecTest, KeysAreInOrderOfTheirHashes) {
  const std::vector<ColumnPtr> keys = {Values(TypeId::kInt64, {"5"})};
  const std::vector<uint64_t> hashes = {0, 1, 255, 256, uint64_t{1} << 63, UINT64_MAX};
  for (size_t i = 0; i < hashes.size(); ++i) {
    const std::string key = EncodeKey(keys, hashes[i], 0);
    EXPECT_EQ(HashOfKey(key), hashes[i]);
    EXPECT_TRUE(i == 0 || EncodeKey(keys, hashes[i - 1], 0) < key);
  }
}

TEST(EntryCodecTest, EntriesComeBackAsTheyWere) {
  const std::vector<std::string> texts = {"short", "a-text-that-no-view-holds", "NULL"};
  auto arrays = std::make_shared<Column>(SqlType{.id = TypeId::kArray, .element = TypeId::kText},
                                         texts.size());
  arrays->mutable_values<ListView>()[0] = {1, 2};  // a list that does not begin at element 0
  arrays->mutable_values<ListView>()[1] = {0, 0};
  arrays->SetNull(2);
  arrays->set_child(Values(TypeId::kText, {"unused", "NULL", "another-text-that-no-view-holds"}));
  const std::vector<ColumnPtr> columns = {
      Values(TypeId::kNumeric, {"1e200", "NULL", "-12345678901234567890.5"}),
      Values(TypeId::kText, texts),
      arrays,
      Values(TypeId::kBool, {"true", "false", "NULL"}),
      Values(TypeId::kInt64, {"-3", "0", "9223372036854775807"}),
  };
  std::vector<SqlType> types;
  for (const ColumnPtr& column : columns) {
    types.push_back(column->type());
  }
  std::vector<std::string> entries;
  std::vector<std::string_view> rows;
  std::vector<std::string_view> keys;
  for (uint32_t row = 0; row < texts.size(); ++row) {
    entries.push_back(EncodeEntry(columns, 2, row));
  }
  for (const std::string& entry : entries) {
    rows.push_back(RowOfEntry(entry));
    keys.push_back(KeyRowOfEntry(entry));
  }
  EXPECT_EQ(TouchedAtOfEntry(entries[0]), -3);
  const auto decoded = DecodeRows(types, rows);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  const auto decoded_keys = DecodeRows({types.data(), 2}, keys);
  ASSERT_TRUE(decoded_keys.ok()) << decoded_keys.status();
  for (uint32_t row = 0; row < texts.size(); ++row) {
    for (size_t i = 0; i < columns.size(); ++i) {
      EXPECT_EQ(ValueToString(*(*decoded)[i], row), ValueToString(*columns[i], row));
    }
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(ValueToString(*(*decoded_keys)[i], row), ValueToString(*columns[i], row));
    }
  }
  EXPECT_FALSE(DecodeRows(types, {rows[0].substr(0, rows[0].size() - 1)}).ok());
}

}  // namespace
}  // namespace millrace::executor
