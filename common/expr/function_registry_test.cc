#include "common/expr/function_registry.h"

#include <algorithm>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace millrace {
namespace {

constexpr SqlType kInt32 = MakeType(TypeId::kInt32);
constexpr SqlType kText = MakeType(TypeId::kText);

ScalarFunction Function(const char* name, std::vector<SqlType> args, SqlType result) {
  ScalarFunction function;
  function.name = name;
  function.arg_types = std::move(args);
  function.result = result;
  return function;
}

TEST(FunctionRegistryTest, FindsByNameAndArgumentTypes) {
  FunctionRegistry registry;
  ASSERT_TRUE(registry.Add(Function("f", {kInt32}, kInt32)).ok());
  ASSERT_TRUE(registry.Add(Function("f", {kText}, kText)).ok());
  EXPECT_EQ(registry.FindScalar("f", {kText}, kInt32)->result, kText);
  EXPECT_EQ(registry.FindScalar("f", {kText, kText}, kText), nullptr);
  EXPECT_EQ(registry.FindScalar("g", {kText}, kText), nullptr);
  EXPECT_EQ(registry.Scalars("f").size(), 2u);
}

TEST(FunctionRegistryTest, CastsAreToldApartByTheirResult) {
  FunctionRegistry registry;
  SqlType numeric = MakeType(TypeId::kNumeric);
  ASSERT_TRUE(registry.Add(Function("cast", {kText}, kInt32)).ok());
  ASSERT_TRUE(registry.Add(Function("cast", {kText}, numeric)).ok());
  SqlType with_scale{.id = TypeId::kNumeric, .precision = 10, .scale = 2};
  EXPECT_EQ(registry.FindScalar("cast", {kText}, with_scale)->result, numeric);
  EXPECT_EQ(registry.FindScalar("cast", {kText}, kText), nullptr);
}

TEST(FunctionRegistryTest, VariadicArgumentsRepeat) {
  FunctionRegistry registry;
  ScalarFunction function = Function("f", {kInt32, kText}, kText);
  function.variadic = true;
  ASSERT_TRUE(registry.Add(std::move(function)).ok());
  EXPECT_NE(registry.FindScalar("f", {kInt32, kText, kText, kText}, kText), nullptr);
  EXPECT_EQ(registry.FindScalar("f", {kInt32}, kText), nullptr);
  EXPECT_EQ(registry.FindScalar("f", {kInt32, kText, kInt32}, kText), nullptr);
}

TEST(FunctionRegistryTest, ASignatureIsTakenOnce) {
  FunctionRegistry registry;
  ASSERT_TRUE(registry.Add(Function("f", {kInt32}, kInt32)).ok());
  absl::Status status = registry.Add(Function("f", {kInt32}, kText));
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(status.message(), "function f(integer) is registered twice");
}

TEST(FunctionRegistryTest, BuiltInsAreThere) {
  const FunctionRegistry& registry = FunctionRegistry::BuiltIn();
  std::vector<std::string> names = registry.Names();
  for (const char* name : {"count", "lower", "regexp_split_to_table", "sum", "unnest"}) {
    EXPECT_TRUE(std::binary_search(names.begin(), names.end(), name)) << name;
  }
  EXPECT_FALSE(std::binary_search(names.begin(), names.end(), "cast"));
  SqlType array{.id = TypeId::kArray, .element = TypeId::kDate};
  EXPECT_NE(registry.FindTable("unnest", {array}), nullptr);
  EXPECT_EQ(registry.FindTable("unnest", {kText}), nullptr);
}

}  // namespace
}  // namespace millrace
