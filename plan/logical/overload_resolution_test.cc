#include "plan/logical/overload_resolution.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "plan/logical/coercion.h"

namespace millrace::plan {
namespace {

constexpr SqlType kUnknown;
constexpr SqlType kBool = MakeType(TypeId::kBool);
constexpr SqlType kInt2 = MakeType(TypeId::kInt16);
constexpr SqlType kInt4 = MakeType(TypeId::kInt32);
constexpr SqlType kInt8 = MakeType(TypeId::kInt64);
constexpr SqlType kFloat4 = MakeType(TypeId::kFloat32);
constexpr SqlType kFloat8 = MakeType(TypeId::kFloat64);
constexpr SqlType kNumeric = MakeType(TypeId::kNumeric);
constexpr SqlType kText = MakeType(TypeId::kText);
constexpr SqlType kDate = MakeType(TypeId::kDate);
constexpr SqlType kTimestamp = MakeType(TypeId::kTimestamp);
constexpr SqlType kTimestampTz = MakeType(TypeId::kTimestampTz);
constexpr SqlType kInterval = MakeType(TypeId::kInterval);
constexpr SqlType kJsonb = MakeType(TypeId::kJsonb);
constexpr SqlType kTextArray{.id = TypeId::kArray, .element = TypeId::kText};
constexpr SqlType kAnyArray{.id = TypeId::kArray, .element = TypeId::kUnknown};

Signature Of(std::vector<SqlType> parameters, bool variadic = false) {
  return {std::move(parameters), variadic};
}

// "bigint, text" for a match, "none" or "ambiguous" otherwise.
std::string Describe(const OverloadResolution& resolution) {
  if (resolution.outcome != OverloadResolution::Outcome::kFound) {
    return resolution.outcome == OverloadResolution::Outcome::kNone ? "none" : "ambiguous";
  }
  return absl::StrJoin(resolution.arguments, ", ",
                       [](std::string* out, const SqlType& type) { out->append(type.ToString()); });
}

// The expected types are what `select pg_typeof(...)` shows on PostgreSQL 15, whose abs has exactly
// these overloads.
TEST(OverloadResolutionTest, PicksTheOverloadThatPostgresPicks) {
  const std::vector<Signature> abs = {Of({kInt2}),   Of({kInt4}),   Of({kInt8}),
                                      Of({kFloat4}), Of({kFloat8}), Of({kNumeric})};
  EXPECT_EQ(Describe(ResolveOverload(abs, {kInt4})), "integer");
  EXPECT_EQ(Describe(ResolveOverload(abs, {kNumeric})), "numeric");
  EXPECT_EQ(Describe(ResolveOverload(abs, {kUnknown})), "double precision")
      << "the preferred type of the category";
  EXPECT_EQ(Describe(ResolveOverload(abs, {kText})), "none");
  EXPECT_EQ(Describe(ResolveOverload(abs, {})), "none");
}

TEST(OverloadResolutionTest, ConvertsImplicitlyToThePreferredType) {
  const std::vector<Signature> sqrt = {Of({kFloat8}), Of({kNumeric})};
  EXPECT_EQ(Describe(ResolveOverload(sqrt, {kInt4})), "double precision");
  EXPECT_EQ(Describe(ResolveOverload(sqrt, {kNumeric})), "numeric");
  // round(double precision, integer) does not exist: float8 does not become numeric by itself.
  const std::vector<Signature> round = {Of({kNumeric, kInt4})};
  EXPECT_EQ(Describe(ResolveOverload(round, {kFloat8, kInt4})), "none");
  EXPECT_EQ(Describe(ResolveOverload(round, {kInt8, kInt2})), "numeric, integer");
}

TEST(OverloadResolutionTest, TakesUntypedLiteralsForTextFirst) {
  const std::vector<Signature> arrow = {Of({kJsonb, kText}), Of({kJsonb, kInt4})};
  EXPECT_EQ(Describe(ResolveOperator(arrow, {kJsonb, kUnknown})), "jsonb, text");
  EXPECT_EQ(Describe(ResolveOperator(arrow, {kJsonb, kInt2})), "jsonb, integer");
  const std::vector<Signature> join = {Of({kText, kText}), Of({kTextArray, kTextArray})};
  EXPECT_EQ(Describe(ResolveOperator(join, {kUnknown, kUnknown})), "text, text");
}

TEST(OverloadResolutionTest, GivesALiteralTheOtherSidesType) {
  const std::vector<Signature> plus = {Of({kInt4, kInt4}),          Of({kInt8, kInt8}),
                                       Of({kFloat8, kFloat8}),      Of({kDate, kInt4}),
                                       Of({kTimestamp, kInterval}), Of({kTimestampTz, kInterval}),
                                       Of({kInterval, kInterval})};
  EXPECT_EQ(Describe(ResolveOperator(plus, {kInt4, kUnknown})), "integer, integer");
  EXPECT_EQ(Describe(ResolveOperator(plus, {kUnknown, kInt8})), "bigint, bigint");
  EXPECT_EQ(Describe(ResolveOperator(plus, {kDate, kInt4})), "date, integer");
  EXPECT_EQ(Describe(ResolveOperator(plus, {kTimestamp, kUnknown})),
            "timestamp without time zone, interval");
  EXPECT_EQ(Describe(ResolveOperator(plus, {kInt4, kInt8})), "bigint, bigint");
  EXPECT_EQ(Describe(ResolveOperator(plus, {kInt2, kInt4})), "integer, integer");
  EXPECT_EQ(Describe(ResolveOperator(plus, {kBool, kInt4})), "none");
}

TEST(OverloadResolutionTest, ReportsWhatCannotBeDecided) {
  const std::vector<Signature> twins = {Of({kInt4, kInt8}), Of({kInt8, kInt4})};
  EXPECT_EQ(Describe(ResolveOverload(twins, {kInt4, kInt4})), "ambiguous");
  EXPECT_EQ(Describe(ResolveOverload(twins, {kInt4, kInt8})), "integer, bigint");
}

TEST(OverloadResolutionTest, RepeatsTheLastParameterOfVariadicFunctions) {
  const std::vector<Signature> concat = {Of({kText}, true)};
  EXPECT_EQ(Describe(ResolveOverload(concat, {kText, kUnknown, kText})), "text, text, text");
  EXPECT_EQ(Describe(ResolveOverload(concat, {})), "none");
}

TEST(OverloadResolutionTest, TakesAnyArray) {
  const std::vector<Signature> unnest = {Of({kAnyArray})};
  EXPECT_EQ(Describe(ResolveOverload(unnest, {kTextArray})), "text[]");
  EXPECT_EQ(Describe(ResolveOverload(unnest, {kText})), "none");
}

TEST(CoercionTest, FollowsPgCast) {
  struct Row {
    SqlType from;
    SqlType to;
    bool implicit;
    bool assignment;
    bool explicit_cast;
  };
  const std::vector<Row> rows = {
      {kInt4, kInt8, true, true, true},
      {kInt8, kInt4, false, true, true},
      {kInt8, kNumeric, true, true, true},
      {kNumeric, kFloat8, true, true, true},
      {kFloat8, kNumeric, false, true, true},
      {kFloat8, kFloat4, false, true, true},
      {kInt4, kText, false, true, true},
      {kText, kInt4, false, false, true},
      {kInt4, kBool, false, false, true},
      {kInt8, kBool, false, false, false},
      {kDate, kTimestampTz, true, true, true},
      {kTimestampTz, kDate, false, true, true},
      {kTimestamp, kInterval, false, false, false},
      {kJsonb, kInt4, false, false, true},
      {kJsonb, kText, false, true, true},
      {kUnknown, kJsonb, true, true, true},
      {kTextArray, kText, false, true, true},
      {kBool, kBool, true, true, true},
  };
  for (const Row& row : rows) {
    const std::string what = row.from.ToString() + " -> " + row.to.ToString();
    EXPECT_EQ(CanCast(row.from, row.to, CastContext::kImplicit), row.implicit) << what;
    EXPECT_EQ(CanCast(row.from, row.to, CastContext::kAssignment), row.assignment) << what;
    EXPECT_EQ(CanCast(row.from, row.to, CastContext::kExplicit), row.explicit_cast) << what;
  }
}

TEST(CoercionTest, FindsTheCommonType) {
  const auto common = [](const std::vector<SqlType>& types) {
    const std::optional<SqlType> type = CommonType(types);
    return type.has_value() ? type->ToString() : "none";
  };
  EXPECT_EQ(common({kInt4, kInt8, kInt2}), "bigint");
  EXPECT_EQ(common({kNumeric, kInt4}), "numeric");
  EXPECT_EQ(common({kFloat8, kNumeric}), "double precision");
  EXPECT_EQ(common({kUnknown, kDate}), "date");
  EXPECT_EQ(common({kUnknown, kUnknown}), "text");
  EXPECT_EQ(common({kDate, kTimestampTz, kTimestamp}), "timestamp with time zone");
  EXPECT_EQ(common({kInt4, kText}), "none");
  EXPECT_EQ(common({SqlType{.id = TypeId::kNumeric, .precision = 10, .scale = 2},
                    SqlType{.id = TypeId::kNumeric, .precision = 5, .scale = 1}}),
            "numeric");
}

TEST(CoercionTest, AModifierOutlivesItsColumnOnlyWhereAllAgree) {
  const SqlType modified{.id = TypeId::kNumeric, .precision = 5, .scale = 2};
  const auto common = [](const std::vector<SqlType>& types) {
    return CommonType(types)->ToString();
  };
  EXPECT_EQ(common({modified, modified}), "numeric(5,2)");
  EXPECT_EQ(common({modified, kNumeric}), "numeric");
  EXPECT_EQ(common({modified, kInt4}), "numeric");
  EXPECT_EQ(common({kUnknown, modified}), "numeric");
  EXPECT_EQ(common({modified, kFloat8}), "double precision");
  const std::vector<Signature> equal = {Of({kNumeric, kNumeric})};
  const OverloadResolution literal = ResolveOperator(equal, {modified, kUnknown});
  ASSERT_EQ(literal.outcome, OverloadResolution::Outcome::kFound);
  EXPECT_EQ(literal.arguments[1].ToString(), "numeric");
}

}  // namespace
}  // namespace millrace::plan
