#include <sys/resource.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/columnar/batch.h"
#include "common/columnar/batch_codec.h"
#include "common/columnar/batch_shape.h"
#include "common/columnar/column.h"
#include "common/columnar/owned_values.h"
#include "common/columnar/row_hash.h"
#include "common/types/interval.h"
#include "common/types/numeric.h"
#include "gtest/gtest.h"

namespace millrace {
namespace {

template <typename T>
std::shared_ptr<Column> Values(TypeId type, const std::vector<T>& values) {
  std::shared_ptr<Column> column = std::make_shared<Column>(MakeType(type), values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    column->mutable_values<T>()[i] = values[i];
  }
  return column;
}

std::shared_ptr<Column> Texts(const std::vector<std::string>& values) {
  auto column = std::make_shared<Column>(MakeType(TypeId::kText), values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    column->SetTextCopy(i, values[i]);
  }
  return column;
}

uint64_t HashOne(const ColumnPtr& column, size_t row) {
  std::vector<uint64_t> out(column->size());
  HashRows({column}, RowSet{nullptr, column->size()}, out.data());
  return out[row];
}

TEST(TextViewTest, ComparesByContentAcrossTheInlineLimit) {
  for (size_t size : {0, 1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 13, 100}) {
    std::string a = std::string("abcdefghijklmnopqrstuvwxyz").substr(0, size);
    a.resize(size, 'x');
    std::string b = a;
    EXPECT_TRUE(TextView(a) == TextView(b)) << size;
    EXPECT_EQ(TextView(a).view(), a);
    if (size > 0) {
      b.back() = 'y';
      EXPECT_FALSE(TextView(a) == TextView(b)) << size;
      EXPECT_TRUE(TextView(a) < TextView(b)) << size;
    }
  }
}

TEST(ColumnTest, TakeKeepsValuesNullsAndTextAlive) {
  ColumnPtr taken;
  {
    auto column = Texts(
        {"short", "a text longer than twelve bytes", "gone", "another quite long text value"});
    column->SetNull(2);
    std::vector<uint32_t> rows = {3, 2, 0, 3};
    taken = Take(*column, rows.data(), rows.size());
  }
  EXPECT_EQ(taken->value<TextView>(0).view(), "another quite long text value");
  EXPECT_TRUE(taken->IsNull(1));
  EXPECT_EQ(taken->value<TextView>(2).view(), "short");
  EXPECT_EQ(taken->value<TextView>(3).view(), "another quite long text value");
}

TEST(ColumnTest, ConcatenateMovesArraysAndNulls) {
  auto make = [](const std::vector<int32_t>& elements, const std::vector<ListView>& lists) {
    auto column = std::make_shared<Column>(SqlType{.id = TypeId::kArray, .element = TypeId::kInt32},
                                           lists.size());
    for (size_t i = 0; i < lists.size(); ++i) {
      column->mutable_values<ListView>()[i] = lists[i];
    }
    column->set_child(Values<int32_t>(TypeId::kInt32, elements));
    return column;
  };
  auto second = make({7, 8, 9}, {{0, 1}, {1, 2}});
  second->SetNull(0);
  ColumnPtr all = Concatenate({make({1, 2, 3}, {{0, 2}, {2, 1}}), second});
  ASSERT_EQ(all->size(), 4u);
  EXPECT_TRUE(all->IsNull(2));
  const ListView& last = all->value<ListView>(3);
  EXPECT_EQ(last.size, 2u);
  EXPECT_EQ(all->child()->value<int32_t>(last.begin), 8);
}

TEST(ColumnTest, ComparesFloatsAsPostgres) {
  double nan = std::numeric_limits<double>::quiet_NaN();
  auto column = Values<double>(TypeId::kFloat64, {1.0, nan, -0.0, 0.0, nan, INFINITY});
  EXPECT_LT(CompareValues(*column, 0, *column, 1), 0);  // NaN is the largest
  EXPECT_GT(CompareValues(*column, 1, *column, 5), 0);
  EXPECT_TRUE(ValuesEqual(*column, 1, *column, 4));
  EXPECT_TRUE(ValuesEqual(*column, 2, *column, 3));
}

TEST(BatchTest, TakeRowsMakesOriginsExplicit) {
  Batch batch({Values<int64_t>(TypeId::kInt64, {10, 20, 30})}, 3);
  std::vector<uint32_t> rows = {2, 0};
  Batch taken = batch.TakeRows(rows.data(), rows.size());
  EXPECT_EQ(taken.origin_of(0), 2u);
  EXPECT_EQ(taken.origin_of(1), 0u);
  EXPECT_EQ(taken.column(0)->value<int64_t>(0), 30);
}

ColumnPtr Numerics(const std::vector<std::string>& texts) {
  auto column = std::make_shared<Column>(MakeType(TypeId::kNumeric), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const absl::StatusOr<NumericValue> value = Numeric::Parse(texts[i]);
    EXPECT_TRUE(value.ok()) << value.status();
    SetNumeric(*value, column.get(), i);
  }
  return column;
}

TEST(ColumnTest, WideNumericsOutliveTheColumnTheyCameFrom) {
  ColumnPtr from = Numerics({"1e200", "5", "-123456789012345678901234567890123456789012345.6"});
  const std::vector<uint32_t> rows = {2, 0, 1};
  ColumnPtr shared = Take(*from, rows.data(), rows.size());
  ColumnPtr owned = TakeOwned(*from, rows.data(), rows.size());
  ColumnPtr both = Concatenate({shared, owned});
  from = nullptr;
  shared = nullptr;
  EXPECT_TRUE(owned->owners().size() == 1);  // its own memory, nobody else's
  for (size_t row : {0, 3}) {
    EXPECT_EQ(both->value<Numeric>(row).ToString(),
              "-123456789012345678901234567890123456789012345.6");
    EXPECT_EQ(both->value<Numeric>(row + 1).ToString(), "1" + std::string(200, '0'));
    EXPECT_EQ(both->value<Numeric>(row + 2).ToString(), "5");
  }
}

TEST(RowHashTest, EqualValuesOfDifferentTypesAndFormsAgree) {
  EXPECT_EQ(HashOne(Values<int16_t>(TypeId::kInt16, {-7}), 0),
            HashOne(Values<int64_t>(TypeId::kInt64, {-7}), 0));
  auto numerics = Numerics({"1.0", "1.00", "1", "1.01"});
  EXPECT_EQ(HashOne(numerics, 0), HashOne(numerics, 1));
  EXPECT_EQ(HashOne(numerics, 0), HashOne(Values<int64_t>(TypeId::kInt64, {1}), 0));
  EXPECT_NE(HashOne(numerics, 0), HashOne(numerics, 3));
  // Some of these numbers are wide.
  auto ones = Numerics({"1", "1.0000000000000000000000000000000000000000000000", "1e50", "1e50",
                        "100000000000000000000000000000000000000000000000000.0"});
  EXPECT_EQ(HashOne(ones, 0), HashOne(ones, 1));
  EXPECT_EQ(HashOne(ones, 2), HashOne(ones, 3));
  EXPECT_EQ(HashOne(ones, 2), HashOne(ones, 4));
  EXPECT_NE(HashOne(ones, 0), HashOne(ones, 2));
  // A numeric that is no bigint hashes by its digits, as in all versions.
  EXPECT_EQ(HashOne(Numerics({"12345678901234567890.50"}), 0),
            HashOne(Texts({"12345678901234567890.5"}), 0));
  auto doubles = Values<double>(TypeId::kFloat64, {0.0, -0.0, std::nan("1"), -std::nan("2")});
  EXPECT_EQ(HashOne(doubles, 0), HashOne(doubles, 1));
  EXPECT_EQ(HashOne(doubles, 2), HashOne(doubles, 3));
  auto intervals = Values<Interval>(TypeId::kInterval, {{1, 0, 0}, {0, 30, 0}, {0, 29, 0}});
  EXPECT_EQ(HashOne(intervals, 0), HashOne(intervals, 1));
  EXPECT_NE(HashOne(intervals, 0), HashOne(intervals, 2));
}

TEST(RowHashTest, EqualJsonbWithOtherZerosAgrees) {
  const std::vector<std::vector<std::string>> kEqual = {
      {"1", "1.0", "1.00"},
      {"{\"a\": 1, \"b\": [0, 100]}", "{\"a\": 1.0, \"b\": [0.00, 100.0]}"},
      {"\"1.0\"", "\"1.0\""},
  };
  for (const std::vector<std::string>& values : kEqual) {
    auto column = std::make_shared<Column>(MakeType(TypeId::kJsonb), values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      column->SetTextCopy(i, values[i]);
    }
    // A value without such zeros hashes like text, as in version 1.
    EXPECT_EQ(HashOne(column, 0), HashOne(Texts({values[0]}), 0));
    for (size_t i = 1; i < values.size(); ++i) {
      EXPECT_EQ(HashOne(column, i), HashOne(column, 0)) << values[i];
      EXPECT_TRUE(ValuesEqual(*column, i, *column, 0)) << values[i];
    }
  }
}

// State and journals depend on these: a change needs a new kRowHashVersion. Expected values:
// Python's xxhash 3.x, xxh3_64_intdigest(bytes, seed=0x4D696C6C72616365) over
// struct.pack("<I12s", 3, b"the"), the long text's bytes, and struct.pack("<q", 42).
TEST(RowHashTest, VersionTwoNeverChanges) {
  EXPECT_EQ(HashOne(Texts({"the"}), 0), 0xC636DCDD354D5DE0u);
  EXPECT_EQ(HashOne(Texts({"a text longer than twelve bytes"}), 0), 0x754E38292B478735u);
  EXPECT_EQ(HashOne(Values<int64_t>(TypeId::kInt64, {42}), 0), 0x29375AE583193D90u);
}

TEST(RowHashTest, KeyGroupsAndShardsAreContiguousAndComplete) {
  EXPECT_EQ(KeyGroupOf(0, 4096), 0u);
  EXPECT_EQ(KeyGroupOf(std::numeric_limits<uint64_t>::max(), 4096), 4095u);
  uint32_t previous = 0;
  for (uint32_t group = 0; group < 4096; ++group) {
    uint32_t shard = ShardOfKeyGroup(group, 4096, 7);
    EXPECT_TRUE(shard == previous || shard == previous + 1);
    previous = shard;
  }
  EXPECT_EQ(previous, 6u);
}

Batch SampleBatch() {
  auto texts =
      Texts({"a", "a text longer than twelve bytes", "", "dropped", "ünïcode, also rather long"});
  texts->SetNull(2);
  auto lists = std::make_shared<Column>(SqlType{.id = TypeId::kArray, .element = TypeId::kText}, 5);
  for (uint32_t i = 0; i < 5; ++i) {
    lists->mutable_values<ListView>()[i] = ListView{i, i < 4 ? 1u : 0u};
  }
  lists->SetNull(1);
  lists->set_child(Texts({"x", "y", "a rather long array element", "z", "w"}));
  auto numbers = std::make_shared<Column>(
      *Numerics({"1.50", "1e100", "0.00", "7", "-12345678901234567890123456789012345678901.25"}));
  numbers->SetNull(2);
  Batch batch({texts, Values<int16_t>(TypeId::kInt16, {1, 2, 3, 4, 5}), lists, numbers}, 5);
  batch.set_weights(Values<int64_t>(TypeId::kInt64, {1, -1, 2, 1, 1}));
  batch.set_hashes(
      std::make_shared<const std::vector<uint64_t>>(std::vector<uint64_t>{11, 22, 33, 44, 55}));
  batch.set_selection(
      std::make_shared<const std::vector<uint32_t>>(std::vector<uint32_t>{0, 1, 2, 4}));
  return batch;
}

TEST(BatchCodecTest, ReadsBackWhatItWrote) {
  Batch sample = SampleBatch();
  std::string bytes;
  EncodeBatch(sample, &bytes);
  absl::StatusOr<Batch> decoded = DecodeBatch(bytes);
  bytes.assign(bytes.size(), '\xAA');  // the batch must not point into the wire bytes
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  Batch expected = sample.Compact();
  ASSERT_EQ(decoded->physical_rows(), 4u);
  for (size_t column = 0; column < 4; ++column) {
    for (size_t row = 0; row < 4; ++row) {
      EXPECT_TRUE(ValuesEqual(*decoded->column(column), row, *expected.column(column), row))
          << column << " " << row;
    }
  }
  EXPECT_EQ(decoded->weight(1), -1);
  EXPECT_EQ((*decoded->hashes())[3], 55u);
}

TEST(BatchCodecTest, RefusesEveryTruncationAndTrailingBytes) {
  std::string bytes;
  EncodeBatch(SampleBatch(), &bytes);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(DecodeBatch(std::string_view(bytes).substr(0, size)).status().code(),
              absl::StatusCode::kDataLoss)
        << size;
  }
  EXPECT_FALSE(DecodeBatch(bytes + "x").ok());
}

// Builds bytes by hand, as a faulty sender may send them.
class Forged {
 public:
  Forged(uint32_t columns, uint32_t rows) {
    Put<uint8_t>(1).Put<uint8_t>(0).Put<uint32_t>(columns).Put<uint32_t>(rows);
  }
  template <typename T>
  Forged& Put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
    return *this;
  }
  Forged& Column(TypeId id, TypeId element = TypeId::kUnknown) {
    return Put(static_cast<uint8_t>(id))
        .Put<int32_t>(0)
        .Put<int32_t>(0)
        .Put(static_cast<uint8_t>(element));
  }
  absl::Status Decode() const { return DecodeBatch(bytes_).status(); }

 private:
  std::string bytes_;
};

TEST(BatchCodecTest, ArraysInArraysDoNotOverflowTheStack) {
  Forged forged(1, 0);
  for (int depth = 0; depth < 1'000'000; ++depth) {
    forged.Column(TypeId::kArray, TypeId::kInt64).Put<uint8_t>(0).Put<uint32_t>(0);
  }
  EXPECT_TRUE(absl::IsDataLoss(forged.Decode())) << forged.Decode();
}

TEST(BatchCodecTest, LengthsAreComparedBeforeMemoryIsAskedFor) {
  constexpr uint32_t kRows = 1u << 26;
  rusage before = {};
  getrusage(RUSAGE_SELF, &before);
  for (const TypeId id : {TypeId::kNumeric, TypeId::kInterval, TypeId::kText, TypeId::kBool}) {
    const absl::Status status = Forged(1, kRows).Column(id).Put<uint8_t>(0).Decode();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_NE(status.message().find("promises"), absl::string_view::npos) << status;
  }
  const absl::Status child = Forged(1, 1)
                                 .Column(TypeId::kArray, TypeId::kNumeric)
                                 .Put<uint8_t>(0)
                                 .Put<uint32_t>(kRows)
                                 .Put<uint32_t>(kRows)
                                 .Column(TypeId::kNumeric)
                                 .Put<uint8_t>(0)
                                 .Decode();
  EXPECT_TRUE(absl::IsDataLoss(child)) << child;
  rusage after = {};
  getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 64 << 10) << "KiB";
}

TEST(BatchCodecTest, ValuesThatNoColumnHoldsAreRefused) {
  EXPECT_TRUE(absl::IsDataLoss(
      Forged(1, 1).Column(TypeId::kBool).Put<uint8_t>(0).Put<uint8_t>(7).Decode()));
  for (const Numeric& wrong :
       {Numeric{.unscaled = 1, .scale = -1}, Numeric{.unscaled = 1, .scale = 2'000'000'000},
        Numeric{.unscaled = ~(__int128{1} << 127)},
        Numeric{.unscaled = 1, .kind = static_cast<Numeric::Kind>(9)}}) {
    EXPECT_TRUE(absl::IsDataLoss(
        Forged(1, 1).Column(TypeId::kNumeric).Put<uint8_t>(0).Put(wrong).Decode()));
  }
}

TEST(BatchCodecTest, JsonbFromOutsideIsCanonicalOrRefused) {
  const auto decoded = [](const std::string& text) {
    std::string bytes;
    auto column = std::make_shared<Column>(MakeType(TypeId::kJsonb), 1);
    column->SetTextCopy(0, text);
    EncodeBatch(Batch({column}, 1), &bytes);
    return DecodeBatch(bytes);
  };
  for (const char* text : {"", "{", "{\"a\"", "{\"a\":", "[1,", "\"x", "x", "1 2"}) {
    EXPECT_TRUE(absl::IsDataLoss(decoded(text).status())) << text;
  }
  const auto batch = decoded("{\"bb\":1,\"a\":[1,2]}");
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_EQ(batch->column(0)->value<TextView>(0).view(), "{\"a\": [1, 2], \"bb\": 1}");
}

TEST(BatchShapeTest, RowsOfOtherTypesAreRefused) {
  std::string bytes;
  EncodeBatch(SampleBatch(), &bytes);
  const SqlType lists{.id = TypeId::kArray, .element = TypeId::kText};
  const BatchShape fits{.columns = {MakeType(TypeId::kText), MakeType(TypeId::kInt16), lists,
                                    MakeType(TypeId::kNumeric)},
                        .hashes = true,
                        .weights = true};
  EXPECT_TRUE(DecodeBatch(bytes, fits).ok());
  BatchShape other = fits;
  other.columns[1] = MakeType(TypeId::kText);  // an int16 read as a view points anywhere
  EXPECT_EQ(DecodeBatch(bytes, other).status().message(),
            "rows whose column 2 is smallint where the plan has text");
  other = fits;
  other.columns[2].element = TypeId::kInt64;
  EXPECT_FALSE(DecodeBatch(bytes, other).ok());
  other = fits;
  other.columns.pop_back();
  EXPECT_EQ(DecodeBatch(bytes, other).status().message(), "rows of 4 columns where the plan has 3");
  other = fits;
  other.weights = false;
  EXPECT_FALSE(DecodeBatch(bytes, other).ok());
  Batch unhashed = SampleBatch();
  unhashed.set_hashes(nullptr);
  std::string without;
  EncodeBatch(unhashed, &without);
  EXPECT_FALSE(DecodeBatch(without, fits).ok());
}

TEST(BatchCodecTest, FlippedBytesNeverCrash) {
  std::string bytes;
  EncodeBatch(SampleBatch(), &bytes);
  size_t refused = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (int flip : {0x01, 0x80, 0xFF}) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      refused += DecodeBatch(damaged).ok() ? 0 : 1;
    }
  }
  EXPECT_GT(refused, 0u);
}

}  // namespace
}  // namespace millrace
