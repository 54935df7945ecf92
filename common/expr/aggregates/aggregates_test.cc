#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/expr/aggregates/all.h"
#include "common/expr/function_registry.h"
#include "common/types/interval.h"
#include "common/types/numeric.h"
#include "common/types/text_format.h"
#include "gtest/gtest.h"

namespace millrace {
namespace {

using Value = std::optional<std::string>;  // text form, or NULL

const FunctionRegistry& Registry() {
  static const FunctionRegistry* const kRegistry = [] {
    auto* registry = new FunctionRegistry();
    EXPECT_TRUE(RegisterAllAggregates(registry).ok());
    return registry;
  }();
  return *kRegistry;
}

const AggregateFunction& Find(const std::string& name, const std::vector<TypeId>& args) {
  std::vector<SqlType> types;
  types.reserve(args.size());
  for (TypeId id : args) {
    types.push_back(MakeType(id));
  }
  const AggregateFunction* function = Registry().FindAggregate(name, types);
  EXPECT_NE(function, nullptr) << name;
  return *function;
}

ColumnPtr MakeColumn(TypeId type, const std::vector<Value>& values) {
  auto column = std::make_shared<Column>(MakeType(type), values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if (!values[i].has_value()) {
      column->SetNull(i);
    } else {
      absl::Status status = ParseValue(*values[i], column.get(), i);
      EXPECT_TRUE(status.ok()) << status;
    }
  }
  return column;
}

// States of `groups` groups, as an operator keeps them: moved with memcpy now and then.
class States {
 public:
  States(const AggregateFunction& function, uint32_t groups)
      : function_(function), groups_(groups), stride_((function.state_size() + 15) / 16 * 16) {
    Move();
    for (uint32_t group = 0; group < groups; ++group) {
      function_.Init(&get().at<char>(group));
    }
  }
  ~States() {
    for (uint32_t group = 0; group < groups_; ++group) {
      function_.Destroy(&get().at<char>(group));
    }
  }
  AggregateStates get() { return {memory_.get(), stride_}; }
  void Move() {
    std::unique_ptr<char[]> moved(new char[groups_ * stride_]);
    if (memory_ != nullptr) {
      std::memcpy(moved.get(), memory_.get(), groups_ * stride_);
    }
    memory_ = std::move(moved);
  }

 private:
  const AggregateFunction& function_;
  const uint32_t groups_;
  const size_t stride_;
  std::unique_ptr<char[]> memory_;
};

struct Row {
  uint32_t group;
  std::vector<Value> args;
  int64_t weight;
};

void Update(const AggregateFunction& function, const std::vector<Row>& rows, bool weighted,
            States* states) {
  std::vector<ColumnPtr> args;
  for (size_t i = 0; i < function.arg_types().size(); ++i) {
    std::vector<Value> values;
    values.reserve(rows.size());
    for (const Row& row : rows) {
      values.push_back(row.args[i]);
    }
    args.push_back(MakeColumn(function.arg_types()[i].id, values));
  }
  std::vector<int64_t> weights;
  std::vector<uint32_t> groups;
  for (const Row& row : rows) {
    weights.push_back(row.weight);
    groups.push_back(row.group);
  }
  RowErrors errors;
  function.Update(args, weighted ? weights.data() : nullptr, RowSet{nullptr, rows.size()},
                  groups.data(), states->get(), &errors);
  EXPECT_TRUE(errors.empty());
}

std::string Finalize(const AggregateFunction& function, uint32_t group, States* states) {
  absl::StatusOr<ColumnPtr> result = function.Finalize(states->get(), &group, 1);
  if (!result.ok()) {
    return std::string(result.status().message());
  }
  EXPECT_EQ((*result)->type(), function.result_type());
  return ValueToString(**result, 0);
}

// The result over `values` of one group by way of two partial states.
std::string Aggregate(const std::string& name, TypeId type, const std::vector<Value>& values) {
  const AggregateFunction& function = Find(name, {type});
  States total(function, 1);
  for (size_t part = 0; part < 2; ++part) {
    std::vector<Row> rows;
    for (size_t i = part; i < values.size(); i += 2) {
      rows.push_back({0, {values[i]}, 1});
    }
    States partial(function, 1);
    Update(function, rows, false, &partial);
    std::vector<ColumnPtr> columns;
    uint32_t group = 0;
    function.EmitPartial(partial.get(), &group, 1, &columns);
    EXPECT_TRUE(function.MergePartial(columns, RowSet{nullptr, 1}, &group, total.get()).ok());
  }
  return Finalize(function, 0, &total);
}

// Expected values below are what PostgreSQL 15 prints.
TEST(AggregatesTest, ResultsAndTypesArePostgres) {
  EXPECT_EQ(Aggregate("count", TypeId::kText, {"a", std::nullopt, "b"}), "2");
  EXPECT_EQ(Aggregate("sum", TypeId::kInt32, {"2147483647", "2147483647", std::nullopt}),
            "4294967294");
  EXPECT_EQ(Find("sum", {TypeId::kInt16}).result_type().ToString(), "bigint");
  EXPECT_EQ(Find("sum", {TypeId::kInt64}).result_type().ToString(), "numeric");
  EXPECT_EQ(Aggregate("sum", TypeId::kInt64, {"9223372036854775807", "9223372036854775807"}),
            "18446744073709551614");
  EXPECT_EQ(Aggregate("avg", TypeId::kInt32, {"1", "2"}), "1.5000000000000000");
  EXPECT_EQ(Aggregate("avg", TypeId::kInt64, {"1", "2", "2"}), "1.6666666666666667");
  EXPECT_EQ(Aggregate("sum", TypeId::kNumeric, {"1.50", "2.5", std::nullopt}), "4.00");
  EXPECT_EQ(Aggregate("avg", TypeId::kNumeric, {"1.5", "2.5"}), "2.0000000000000000");
  EXPECT_EQ(Aggregate("sum", TypeId::kNumeric, {"NaN", "1"}), "NaN");
  EXPECT_EQ(Aggregate("sum", TypeId::kNumeric, {"Infinity", "1"}), "Infinity");
  EXPECT_EQ(Aggregate("sum", TypeId::kNumeric, {"Infinity", "-Infinity"}), "NaN");
  EXPECT_EQ(Find("sum", {TypeId::kFloat32}).result_type().ToString(), "real");
  EXPECT_EQ(Find("avg", {TypeId::kFloat32}).result_type().ToString(), "double precision");
  EXPECT_EQ(Aggregate("avg", TypeId::kFloat64, {"1", "2"}), "1.5");
  EXPECT_EQ(Aggregate("sum", TypeId::kInterval, {"1 month 2 days", "3 days 01:00:00"}),
            "1 mon 5 days 01:00:00");
  EXPECT_EQ(Aggregate("avg", TypeId::kInterval, {"1 month", "2 months"}), "1 mon 15 days");
  EXPECT_EQ(Aggregate("min", TypeId::kText, {"b", "B", std::nullopt}), "B");
  EXPECT_EQ(Aggregate("max", TypeId::kFloat64, {"1", "NaN", "Infinity"}), "NaN");
  EXPECT_EQ(Aggregate("min", TypeId::kFloat64, {"NaN", "-Infinity"}), "-Infinity");
  EXPECT_EQ(Aggregate("max", TypeId::kDate, {"2024-02-29", "2023-12-31"}), "2024-02-29");
  EXPECT_EQ(Aggregate("bool_and", TypeId::kBool, {"true", "false", std::nullopt}), "f");
  EXPECT_EQ(Aggregate("every", TypeId::kBool, {"true", std::nullopt}), "t");
  EXPECT_EQ(Aggregate("bool_or", TypeId::kBool, {"false", "true"}), "t");
}

TEST(AggregatesTest, OverNoRowsAllButCountAreNull) {
  for (const char* name : {"sum", "avg", "min", "max"}) {
    for (TypeId type : {TypeId::kInt16, TypeId::kInt32, TypeId::kInt64, TypeId::kFloat32,
                        TypeId::kFloat64, TypeId::kNumeric, TypeId::kInterval}) {
      EXPECT_EQ(Aggregate(name, type, {std::nullopt}), "NULL") << name;
    }
  }
  EXPECT_EQ(Aggregate("bool_and", TypeId::kBool, {std::nullopt}), "NULL");
  EXPECT_EQ(Aggregate("bool_or", TypeId::kBool, {}), "NULL");
  EXPECT_EQ(Aggregate("count", TypeId::kInt32, {std::nullopt}), "0");
}

TEST(AggregatesTest, OverflowIsAnErrorOfTheResultNotOfTheWay) {
  const AggregateFunction& function = Find("sum", {TypeId::kInt32});
  States states(function, 1);
  int64_t many = int64_t{1} << 33;
  Update(function, {{0, {"2147483647"}, many}}, true, &states);
  EXPECT_EQ(Finalize(function, 0, &states), "bigint out of range");
  Update(function, {{0, {"2147483647"}, 1 - many}}, true, &states);
  EXPECT_EQ(Finalize(function, 0, &states), "2147483647");

  std::string largest(38, '9');
  EXPECT_EQ(Aggregate("sum", TypeId::kNumeric, {largest, "1"}),
            "100000000000000000000000000000000000000");
  EXPECT_EQ(Aggregate("sum", TypeId::kNumeric, {largest, "1", "-1", "-1"}),
            std::string(37, '9') + "8");
}

TEST(AggregatesTest, NumericScaleIsThatOfTheRowsThatAreThere) {
  const AggregateFunction& function = Find("sum", {TypeId::kNumeric});
  States states(function, 1);
  Update(function, {{0, {"1.5"}, 1}, {0, {"2.250"}, 1}}, true, &states);
  EXPECT_EQ(Finalize(function, 0, &states), "3.750");
  Update(function, {{0, {"2.250"}, -1}}, true, &states);
  EXPECT_EQ(Finalize(function, 0, &states), "1.5");
}

TEST(AggregatesTest, EqualFormsHaveOneWinnerWhateverTheOrder) {
  for (const char* name : {"min", "max"}) {
    EXPECT_EQ(Aggregate(name, TypeId::kNumeric, {"1.0", "1.00"}),
              Aggregate(name, TypeId::kNumeric, {"1.00", "1.0"}));
    EXPECT_EQ(Aggregate(name, TypeId::kInterval, {"1 mon", "30 days"}),
              Aggregate(name, TypeId::kInterval, {"30 days", "1 mon"}));
    EXPECT_EQ(Aggregate(name, TypeId::kFloat64, {"-0", "0"}),
              Aggregate(name, TypeId::kFloat64, {"0", "-0"}));
  }
}

TEST(AggregatesTest, StringAggPutsTheDelimiterOfEachRowInFrontOfIt) {
  const AggregateFunction& function = Find("string_agg", {TypeId::kText, TypeId::kText});
  EXPECT_FALSE(function.commutes());
  EXPECT_TRUE(function.append_only());
  States first(function, 1);
  Update(function, {{0, {std::nullopt, "?"}, 1}, {0, {"a", "1"}, 1}, {0, {"", "2"}, 1}}, false,
         &first);
  States second(function, 1);
  Update(function, {{0, {"b", "--"}, 1}, {0, {"c", std::nullopt}, 1}}, false, &second);
  EXPECT_EQ(Finalize(function, 0, &first), "a2");
  States total(function, 1);
  uint32_t group = 0;
  for (States* part : {&first, &second}) {
    std::vector<ColumnPtr> columns;
    function.EmitPartial(part->get(), &group, 1, &columns);
    ASSERT_TRUE(function.MergePartial(columns, RowSet{nullptr, 1}, &group, total.get()).ok());
  }
  EXPECT_EQ(Finalize(function, 0, &total), "a2--bc");
}

TEST(AggregatesTest, DamagedPartialsAreAnError) {
  for (const auto& [name, type] : std::vector<std::pair<std::string, TypeId>>{
           {"sum", TypeId::kFloat64}, {"sum", TypeId::kNumeric}}) {
    const AggregateFunction& function = Find(name, {type});
    States states(function, 1);
    std::vector<ColumnPtr> columns = {MakeColumn(TypeId::kBytea, {"\\x00ffee"}),
                                      MakeColumn(TypeId::kInt64, {"1"})};
    uint32_t group = 0;
    EXPECT_EQ(function.MergePartial(columns, RowSet{nullptr, 1}, &group, states.get()).code(),
              absl::StatusCode::kDataLoss);
  }
}

// Partial columns come from other processes and from disks: offsets in a text, and powers of ten,
// must be checked.
TEST(AggregatesTest, PartialsThatPointOutsideOfThemselvesAreAnError) {
  uint32_t group = 0;
  const AggregateFunction& list = Find("string_agg", {TypeId::kText, TypeId::kText});
  for (const char* delimiter : {"-1", "4", "9223372036854775807"}) {
    States states(list, 1);
    EXPECT_EQ(list.MergePartial({MakeColumn(TypeId::kBytea, {"\\x616263"}),
                                 MakeColumn(TypeId::kInt64, {delimiter})},
                                RowSet{nullptr, 1}, &group, states.get())
                  .code(),
              absl::StatusCode::kDataLoss)
        << delimiter;
  }
  const AggregateFunction& sum = Find("sum", {TypeId::kNumeric});
  for (const char* scale : {"ffffffff", "00000001", "00000080"}) {  // −1, 2^24 and −2^31
    States states(sum, 1);
    const std::string partial =
        absl::StrCat("\\x", std::string(48, '0'), scale, "0100000000000000", std::string(64, '0'));
    EXPECT_EQ(sum.MergePartial({MakeColumn(TypeId::kBytea, {partial})}, RowSet{nullptr, 1}, &group,
                               states.get())
                  .code(),
              absl::StatusCode::kDataLoss)
        << scale;
  }
}

// ---- random inserts and retractions, in batches, over partial states merged in any order, against
// a plain loop ----

std::string Print(const Numeric& value) { return value.ToString(); }

NumericValue ParseNumeric(const std::string& text) { return *Numeric::Parse(text); }

// Computes the result from the present values, in some order; there is at least one.
using Reference = std::function<std::string(const std::vector<std::string>&)>;

std::string IntegerSum(const std::vector<std::string>& values) {
  int64_t sum = 0;
  for (const auto& value : values) {
    sum += std::stoll(value);
  }
  return std::to_string(sum);
}
std::string NumericSum(const std::vector<std::string>& values) {
  NumericValue sum;
  for (const auto& value : values) {
    const NumericValue next = ParseNumeric(value);
    sum = *Numeric::Add(sum, next);
  }
  return Print(sum);
}
std::string NumericAverage(const std::vector<std::string>& values) {
  const NumericValue sum = ParseNumeric(NumericSum(values));
  const absl::StatusOr<NumericValue> average =
      Numeric::Divide(sum, Numeric::FromInt64(static_cast<int64_t>(values.size())));
  return Print(*average);
}
template <typename Number>
std::string Extreme(const std::vector<std::string>& values, bool least, Number parse) {
  auto less = [&](const std::string& a, const std::string& b) { return parse(a) < parse(b); };
  return least ? *std::min_element(values.begin(), values.end(), less)
               : *std::max_element(values.begin(), values.end(), less);
}

struct RandomCase {
  std::string name;
  TypeId type;
  std::function<std::string(uint32_t)> value;  // from a random number
  Reference expected;
};

std::vector<RandomCase> RandomCases() {
  auto small = [](uint32_t r) { return std::to_string(static_cast<int>(r % 2001) - 1000); };
  auto decimal = [](uint32_t r) {
    Numeric value{.unscaled = static_cast<int>(r % 20001) - 10000,
                  .scale = static_cast<int32_t>(r % 4)};
    // Some of them wide: by size, or by digits behind the point.
    return absl::StrCat(value.ToString(), r % 7 == 0    ? absl::StrCat("e", r % 50 + 30)
                                          : r % 11 == 1 ? "e-45"
                                                        : "");
  };
  auto eighth = [](uint32_t r) {
    return std::to_string((static_cast<int>(r % 20001) - 10000) / 8.0);
  };
  auto text = [](uint32_t r) { return std::string(r % 30, 'm') + std::to_string(r % 97); };
  auto to_int = [](const std::string& s) { return std::stoll(s); };
  auto to_text = [](const std::string& s) { return s; };
  auto exact_eighths = [](const std::vector<std::string>& values) {
    double sum = 0;  // eighths below 2^20: every partial sum is exact
    for (const auto& value : values) {
      sum += std::stod(value);
    }
    auto column = std::make_shared<Column>(MakeType(TypeId::kFloat64), 1);
    column->mutable_values<double>()[0] = sum;
    return ValueToString(*column, 0);
  };
  return {
      {"count", TypeId::kInt32, small,
       [](const auto& values) { return std::to_string(values.size()); }},
      {"sum", TypeId::kInt16, small, IntegerSum},
      {"sum", TypeId::kInt32, small, IntegerSum},
      {"sum", TypeId::kInt64, small, IntegerSum},
      {"avg", TypeId::kInt32, small, NumericAverage},
      {"avg", TypeId::kInt64, small, NumericAverage},
      {"sum", TypeId::kNumeric, decimal, NumericSum},
      {"avg", TypeId::kNumeric, decimal, NumericAverage},
      {"sum", TypeId::kFloat64, eighth, exact_eighths},
      {"min", TypeId::kInt64, small,
       [=](const auto& values) { return Extreme(values, true, to_int); }},
      {"max", TypeId::kInt32, small,
       [=](const auto& values) { return Extreme(values, false, to_int); }},
      {"min", TypeId::kText, text,
       [=](const auto& values) { return Extreme(values, true, to_text); }},
      {"max", TypeId::kText, text,
       [=](const auto& values) { return Extreme(values, false, to_text); }},
  };
}

class RandomRetractions {
 public:
  RandomRetractions(const RandomCase& test, bool retracts)
      : test_(test), retracts_(retracts), function_(&Find(test.name, {test.type})) {
    if (retracts) {
      variant_ = function_->ForRetractions();
      function_ = variant_ == nullptr ? function_ : variant_.get();
    }
  }

  void Run() {
    States total(*function_, kGroups);
    for (int batch = 0; batch < 25; ++batch) {
      MergeBatch(MakeBatch(), &total);
      total.Move();
      Compare(&total);
    }
  }

 private:
  static constexpr uint32_t kGroups = 5;

  std::vector<Row> MakeBatch() {
    std::vector<Row> rows;
    for (int i = 0; i < 40; ++i) {
      auto group = static_cast<uint32_t>(random_() % kGroups);
      auto& live = live_[group];
      if (retracts_ && !live.empty() && random_() % 2 == 0) {
        size_t victim = random_() % live.size();
        rows.push_back({group, {live[victim]}, -1});
        live.erase(live.begin() + static_cast<ptrdiff_t>(victim));
      } else {
        Value value =
            random_() % 8 == 0 ? Value() : Value(test_.value(static_cast<uint32_t>(random_())));
        int64_t weight = 1 + static_cast<int64_t>(random_() % 3);
        rows.push_back({group, {value}, weight});
        live.insert(live.end(), static_cast<size_t>(weight), value);
      }
    }
    std::shuffle(rows.begin(), rows.end(), random_);  // a retraction may come before its insertion
    return rows;
  }

  void MergeBatch(const std::vector<Row>& rows, States* total) {
    for (size_t begin = 0; begin < rows.size();) {
      size_t count = std::min<size_t>(rows.size() - begin, 1 + random_() % 15);
      States partial(*function_, kGroups);
      Update(*function_,
             {rows.begin() + static_cast<ptrdiff_t>(begin),
              rows.begin() + static_cast<ptrdiff_t>(begin + count)},
             true, &partial);
      std::vector<ColumnPtr> columns;
      std::vector<uint32_t> groups = {0, 1, 2, 3, 4};
      function_->EmitPartial(partial.get(), groups.data(), kGroups, &columns);
      ASSERT_EQ(columns.size(), function_->partial_types().size());
      ASSERT_TRUE(
          function_->MergePartial(columns, RowSet{nullptr, kGroups}, groups.data(), total->get())
              .ok());
      begin += count;
    }
  }

  void Compare(States* total) {
    for (uint32_t group = 0; group < kGroups; ++group) {
      std::vector<std::string> values;
      for (const Value& value : live_[group]) {
        if (value.has_value()) {
          values.push_back(*value);
        }
      }
      std::string expected =
          values.empty() ? (test_.name == "count" ? "0" : "NULL") : test_.expected(values);
      ASSERT_EQ(Finalize(*function_, group, total), expected)
          << test_.name << "(" << MakeType(test_.type).ToString() << "), group " << group;
    }
  }

  const RandomCase& test_;
  const bool retracts_;
  const AggregateFunction* function_;
  std::unique_ptr<AggregateFunction> variant_;
  std::mt19937 random_{11};
  std::map<uint32_t, std::vector<Value>> live_;
};

TEST(AggregatesTest, AgreesWithAPlainLoopOverInsertions) {
  for (const RandomCase& test : RandomCases()) {
    RandomRetractions(test, false).Run();
  }
}

TEST(AggregatesTest, AgreesWithAPlainLoopOverRetractions) {
  for (const RandomCase& test : RandomCases()) {
    RandomRetractions(test, true).Run();
  }
}

// ---- states written out and read back ----

// A value of any type that aggregates take, from a random number; corners of the type among them.
Value RandomValue(TypeId type, uint32_t r) {
  if (r % 9 == 0) {
    return std::nullopt;
  }
  std::string small = std::to_string(static_cast<int>(r % 2001) - 1000);
  switch (type) {
    case TypeId::kBool:
      return r % 2 == 0 ? "true" : "false";
    case TypeId::kFloat32:
    case TypeId::kFloat64: {
      static const char* const kCorners[] = {"NaN", "Infinity", "-Infinity", "-0", "1e30", "1e-30"};
      return r % 5 == 0 ? kCorners[r % 6] : small + ".1";
    }
    case TypeId::kNumeric: {
      static const char* const kCorners[] = {
          "NaN",     "Infinity", "-Infinity",
          "7.00000", "1e60",     "-123456789012345678901234567890123456789012.5"};
      return r % 11 == 0 ? kCorners[r % 6] : small + (r % 3 == 0 ? "" : ".50");
    }
    case TypeId::kText:
      return std::string(r % 30, 'm') + std::to_string(r % 97);
    case TypeId::kBytea:
      return r % 2 == 0 ? "\\x00ff" : "\\x";
    case TypeId::kDate:
      return "2024-02-" + std::to_string(10 + r % 19);
    case TypeId::kTimestamp:
      return "2024-02-" + std::to_string(10 + r % 19) + " 01:02:03.5";
    case TypeId::kTimestampTz:
      return "2024-02-" + std::to_string(10 + r % 19) + " 01:02:03.5+00";
    case TypeId::kInterval:
      return std::to_string(r % 3) + " mon " + std::to_string(r % 64) + " days 00:00:00.25";
    case TypeId::kJsonb:
      return "{\"a\": " + std::to_string(r % 7) + "}";
    default:
      return small;
  }
}

// Feeds the same random rows to states that are left alone, and to states that are now and then
// written out, in any order of groups, and read back into empty ones.
class RestoredStates {
 public:
  static constexpr uint32_t kGroups = 6;

  RestoredStates(const AggregateFunction& function, bool retracts, uint32_t seed)
      : function_(function), retracts_(retracts), random_(seed) {}

  void Run() {
    States original(function_, kGroups);
    auto restored = std::make_unique<States>(function_, kGroups);
    for (int round = 0; round < 30; ++round) {
      std::vector<Row> rows = MakeRows();
      Update(function_, rows, true, &original);
      Update(function_, rows, true, restored.get());
      if (random_() % 2 == 0) {
        restored = WriteAndRead(restored.get());
      }
      for (uint32_t group = 0; group < kGroups; ++group) {
        ASSERT_EQ(Finalize(function_, group, restored.get()), Finalize(function_, group, &original))
            << function_.name() << ", round " << round << ", group " << group;
      }
    }
  }

 private:
  std::vector<Row> MakeRows() {
    std::vector<Row> rows;
    for (int i = 0; i < 12; ++i) {
      auto group = static_cast<uint32_t>(random_() % (kGroups - 1));  // the last stays empty
      auto& live = live_[group];
      if (retracts_ && !live.empty() && random_() % 2 == 0) {
        size_t victim = random_() % live.size();
        rows.push_back({group, live[victim], -1});
        live.erase(live.begin() + static_cast<ptrdiff_t>(victim));
        continue;
      }
      std::vector<Value> args;
      for (const SqlType& type : function_.arg_types()) {
        args.push_back(RandomValue(type.id, static_cast<uint32_t>(random_())));
      }
      live.push_back(args);
      rows.push_back({group, std::move(args), 1});
    }
    return rows;
  }

  std::unique_ptr<States> WriteAndRead(States* states) {
    std::vector<uint32_t> groups(kGroups);
    std::iota(groups.begin(), groups.end(), 0);
    std::shuffle(groups.begin(), groups.end(), random_);
    std::vector<ColumnPtr> columns;
    function_.EmitPartial(states->get(), groups.data(), groups.size(), &columns);
    auto fresh = std::make_unique<States>(function_, kGroups);
    absl::Status merged = function_.MergePartial(columns, RowSet{nullptr, groups.size()},
                                                 groups.data(), fresh->get());
    EXPECT_TRUE(merged.ok()) << merged;
    return fresh;
  }

  const AggregateFunction& function_;
  const bool retracts_;
  std::mt19937 random_;
  std::map<uint32_t, std::vector<std::vector<Value>>> live_;
};

TEST(AggregatesTest, EveryStateBehavesTheSameOnceWrittenOutAndReadBack) {
  size_t functions = 0;
  for (const std::string& name : Registry().Names()) {
    for (const AggregateFunction* function : Registry().Aggregates(name)) {
      ++functions;
      std::unique_ptr<AggregateFunction> variant = function->ForRetractions();
      for (uint32_t seed = 0; seed < 5; ++seed) {
        RestoredStates(*function, variant == nullptr && !function->append_only(), seed).Run();
        if (variant != nullptr) {
          RestoredStates(*variant, true, seed).Run();
        }
      }
    }
  }
  EXPECT_GE(functions, 50u);
}

}  // namespace
}  // namespace millrace
