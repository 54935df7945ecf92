// The functions of TestRegistry: small, and with errors where tests want them.
#include <string_view>

#include "common/expr/aggregates/all.h"
#include "executor/operators/testing/local_job.h"
#include "gtest/gtest.h"

namespace millrace::executor {
namespace {

ScalarFunction IsEven() {
  ScalarFunction function;
  function.name = "is_even";
  function.arg_types = {MakeType(TypeId::kInt64)};
  function.result = MakeType(TypeId::kBool);
  function.kernel = [](const std::vector<FunctionArg>& args, const FunctionCallContext& context,
                       Column* out) {
    context.rows.ForEach([&](uint32_t row) {
      out->mutable_values<uint8_t>()[row] = args[0].value<int64_t>(row) % 2 == 0 ? 1 : 0;
    });
  };
  return function;
}

ScalarFunction Checked() {
  ScalarFunction function;
  function.name = "checked";
  function.arg_types = {MakeType(TypeId::kInt64)};
  function.result = MakeType(TypeId::kInt64);
  function.kernel = [](const std::vector<FunctionArg>& args, const FunctionCallContext& context,
                       Column* out) {
    context.rows.ForEach([&](uint32_t row) {
      int64_t value = args[0].value<int64_t>(row);
      out->mutable_values<int64_t>()[row] = value;
      if (value == 13) {
        context.errors->Add(row, absl::InvalidArgumentError("unlucky"));
      }
    });
  };
  return function;
}

TableFunctionDef SplitWords() {
  TableFunctionDef function;
  function.name = "split_words";
  function.arg_types = {MakeType(TypeId::kText)};
  function.column_types = {MakeType(TypeId::kText)};
  function.column_names = {"word"};
  function.kernel = [](const std::vector<FunctionArg>& args, const FunctionCallContext& context,
                       std::vector<uint32_t>* parents, std::vector<ColumnPtr>* out) {
    std::vector<TextView> words;
    context.rows.ForEach([&](uint32_t row) {
      std::string_view line = args[0].value<TextView>(row).view();
      for (size_t begin = 0; begin <= line.size();) {
        size_t end = std::min(line.find(' ', begin), line.size());
        if (end > begin) {
          words.emplace_back(line.data() + begin, end - begin);
          parents->push_back(row);
        }
        begin = end + 1;
      }
    });
    auto column = std::make_shared<Column>(MakeType(TypeId::kText), words.size());
    std::copy(words.begin(), words.end(), column->mutable_values<TextView>());
    column->ShareOwners(*args[0].column);
    out->push_back(std::move(column));
  };
  return function;
}

TableFunctionDef Repeat() {
  TableFunctionDef function;
  function.name = "repeat";
  function.arg_types = {MakeType(TypeId::kInt64)};
  function.column_types = {MakeType(TypeId::kInt64)};
  function.column_names = {"n"};
  function.kernel = [](const std::vector<FunctionArg>& args, const FunctionCallContext& context,
                       std::vector<uint32_t>* parents, std::vector<ColumnPtr>* out) {
    std::vector<int64_t> numbers;
    context.rows.ForEach([&](uint32_t row) {
      int64_t count = args[0].value<int64_t>(row);
      if (count < 0) {
        context.errors->Add(row, absl::OutOfRangeError("negative"));
      }
      for (int64_t i = 1; i <= count; ++i) {
        numbers.push_back(i);
        parents->push_back(row);
      }
    });
    auto column = std::make_shared<Column>(MakeType(TypeId::kInt64), numbers.size());
    std::copy(numbers.begin(), numbers.end(), column->mutable_values<int64_t>());
    out->push_back(std::move(column));
  };
  return function;
}

}  // namespace

const FunctionRegistry& TestRegistry() {
  static const FunctionRegistry* const kRegistry = [] {
    auto* registry = new FunctionRegistry();
    EXPECT_TRUE(RegisterAllAggregates(registry).ok());
    EXPECT_TRUE(registry->Add(IsEven()).ok());
    EXPECT_TRUE(registry->Add(Checked()).ok());
    EXPECT_TRUE(registry->Add(SplitWords()).ok());
    EXPECT_TRUE(registry->Add(Repeat()).ok());
    return registry;
  }();
  return *kRegistry;
}

}  // namespace millrace::executor
