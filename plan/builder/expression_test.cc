#include "plan/builder/expression.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace millrace::plan {
namespace {

using ::testing::HasSubstr;
using SpecialForm = proto::Expr::SpecialForm;

const std::vector<Field> kColumns = {
    {"id", kInt64},
    {"name", kText},
    {"price", {.id = TypeId::kNumeric, .precision = 10, .scale = 2}},
    {"open", kBool},
    {"twice", kInt64},
    {"twice", kText}};

Scope Sales() { return {kColumns, FunctionRegistry::BuiltIn()}; }

proto::Expr Bound(const Expression& expr) {
  absl::StatusOr<proto::Expr> bound = expr.Bind(Sales());
  EXPECT_TRUE(bound.ok()) << bound.status();
  return bound.ok() ? *std::move(bound) : proto::Expr();
}

SqlType TypeOf(const Expression& expr) { return TypeFromProto(Bound(expr).type()); }

std::string ErrorOf(const Expression& expr) {
  return std::string(expr.Bind(Sales()).status().message());
}

TEST(ExpressionTest, ColumnsAreFoundByName) {
  const proto::Expr price = Bound(Col("price"));
  EXPECT_EQ(price.column(), 2u);
  EXPECT_EQ(price.position(), -1);
  EXPECT_EQ(TypeFromProto(price.type()), kColumns[2].type);
  EXPECT_EQ(ErrorOf(Col("prize")),
            "no column \"prize\"; there are id, name, price, open, twice, twice");
  EXPECT_EQ(ErrorOf(Col("twice")), "two columns have the name \"twice\"");
}

TEST(ExpressionTest, LiteralsAreOfTheirType) {
  EXPECT_EQ(Bound(Text("a, b")).literal().text(), "a, b");
  EXPECT_EQ(Bound(Int64(-7)).literal().text(), "-7");
  EXPECT_EQ(TypeOf(Int64(-7)), kInt64);
  EXPECT_EQ(Bound(Literal(kBytea, std::string("\xff\0", 2))).literal().text().size(), 2u);
  EXPECT_FALSE(Bound(Null(kDate)).literal().has_text());
  EXPECT_TRUE(Bound(Null(kDate)).has_literal());
  EXPECT_THAT(ErrorOf(Literal(kInt64, "seven")), HasSubstr("bigint: \"seven\""));
}

TEST(ExpressionTest, FunctionsAreFoundByTheTypesOfTheirArguments) {
  const proto::Expr upper = Bound(Call("upper", {Col("name")}));
  EXPECT_EQ(upper.call().function(), "upper");
  ASSERT_EQ(upper.call().args_size(), 1);
  EXPECT_EQ(upper.call().args(0).column(), 1u);
  EXPECT_EQ(TypeFromProto(upper.type()), kText);
  EXPECT_EQ(TypeOf(Call("=", {Col("id"), Int64(1)})), kBool);
  EXPECT_EQ(ErrorOf(Call("upper", {Col("id")})),
            "no function upper(bigint); there are upper(text)");
  EXPECT_EQ(ErrorOf(Call("uper", {Col("name")})),
            "no function uper(text); there is none of that name");
  EXPECT_THAT(ErrorOf(Call("upper", {Col("nam")})), HasSubstr("no column \"nam\""));
}

TEST(ExpressionTest, CastsAreFoundByBothTypes) {
  const proto::Expr cast = Bound(Cast(Col("id"), kInt32));
  EXPECT_EQ(cast.call().function(), "cast");
  EXPECT_EQ(TypeFromProto(cast.type()), kInt32);
  EXPECT_EQ(ErrorOf(Cast(Col("open"), kDate)), "no cast from boolean to date");
}

TEST(ExpressionTest, FormsCheckTheirArguments) {
  EXPECT_EQ(TypeOf(And({Col("open"), Not(IsNull(Col("name")))})), kBool);
  EXPECT_EQ(TypeOf(Or({Col("open"), IsNotNull(Col("name"))})), kBool);
  EXPECT_EQ(TypeOf(BatchTime()), kTimestampTz);
  EXPECT_EQ(TypeOf(Form(SpecialForm::COALESCE, {Col("name"), Text("none")})), kText);
  EXPECT_EQ(TypeOf(Form(SpecialForm::IN_LIST, {Col("id"), Int64(1), Int64(2)})), kBool);
  EXPECT_EQ(TypeOf(Form(SpecialForm::CASE, {Col("open"), Text("yes"), Text("no")})), kText);
  EXPECT_EQ(TypeOf(Form(SpecialForm::CASE, {Col("open"), Col("id")})), kInt64);
  EXPECT_EQ(
      TypeOf(Form(SpecialForm::NULLIF, {Col("id"), Int64(0), Call("=", {Col("id"), Int64(0)})})),
      kInt64);
  EXPECT_EQ(TypeOf(Form(SpecialForm::ARRAY, {Col("name"), Text("b")})), ArrayOf(kText));
  EXPECT_EQ(ErrorOf(Not(Col("id"))), "NOT takes one boolean, not (bigint)");
  EXPECT_EQ(ErrorOf(And({})), "AND takes one boolean or more, not ()");
  EXPECT_EQ(ErrorOf(Form(SpecialForm::IN_LIST, {Col("id"), Text("1")})),
            "IN_LIST takes two values or more of one type, not (bigint, text)");
  for (const std::vector<Expression>& branches : {std::vector<Expression>{Col("open")},
                                                  {Col("open"), Text("a"), Int64(1)},
                                                  {Text("a"), Text("b")},
                                                  {Col("open"), Text("a"), Col("id"), Text("b")}}) {
    EXPECT_THAT(ErrorOf(Form(SpecialForm::CASE, branches)), HasSubstr("CASE takes pairs"));
  }
  EXPECT_EQ(ErrorOf(Form(SpecialForm::UNKNOWN, {})), "there is no form 0");
}

TEST(ExpressionTest, AggregatesHaveTheirFunctionsResult) {
  const auto sum = Sum(Col("id")).As("total").Where(Col("open")).Bind(Sales(), false);
  ASSERT_TRUE(sum.ok()) << sum.status();
  EXPECT_EQ(sum->call.function(), "sum");
  EXPECT_EQ(TypeFromProto(sum->call.result()), kNumeric);
  EXPECT_EQ(sum->call.filter().column(), 3u);
  EXPECT_EQ(sum->function->name(), "sum");
  EXPECT_EQ(Sum(Col("id")).As("total").name(), "total");
  EXPECT_EQ(Count().name(), "count");

  EXPECT_THAT(std::string(Sum(Col("open")).Bind(Sales(), false).status().message()),
              HasSubstr("no aggregate sum(boolean); there are sum("));
  EXPECT_EQ(Count().Where(Col("id")).Bind(Sales(), false).status().message(),
            "the filter of count must be boolean, not bigint");
  const AggregateExpression joined = StringAgg(Col("name"), Text(","));
  EXPECT_TRUE(joined.Bind(Sales(), false).ok());
  EXPECT_THAT(std::string(joined.Bind(Sales(), true).status().message()),
              HasSubstr("string_agg cannot take back rows"));
}

TEST(ExpressionTest, TableFunctionsReturnColumns) {
  const auto words = BindTableFunction("string_to_table", {Col("name"), Text(" ")}, Sales());
  ASSERT_TRUE(words.ok()) << words.status();
  ASSERT_EQ(words->columns.size(), 1u);
  EXPECT_EQ(words->columns[0].name, "string_to_table");
  EXPECT_EQ(words->columns[0].type, kText);
  const auto elements =
      BindTableFunction("unnest", {Form(SpecialForm::ARRAY, {Col("id")})}, Sales());
  ASSERT_TRUE(elements.ok()) << elements.status();
  EXPECT_EQ(elements->columns[0].type, kInt64);
  EXPECT_THAT(std::string(BindTableFunction("unnest", {Col("id")}, Sales()).status().message()),
              HasSubstr("no table function unnest(bigint); there are unnest("));
}

}  // namespace
}  // namespace millrace::plan
