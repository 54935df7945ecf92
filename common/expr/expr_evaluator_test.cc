#include "common/expr/expr_evaluator.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/expr/function_registry.h"
#include "common/expr/testing/expr_builder.h"
#include "common/types/text_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace millrace {
namespace {

using Form = proto::Expr::SpecialForm;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::unique_ptr<ExprEvaluator> Compile(const proto::Expr& expr) {
  auto evaluator = ExprEvaluator::Compile(expr, FunctionRegistry::BuiltIn());
  EXPECT_TRUE(evaluator.ok()) << evaluator.status();
  return std::move(evaluator).value();
}

// The values of an expression over all rows of the columns; the rows that failed are in `errors`.
std::vector<std::string> Evaluate(const proto::Expr& expr, const std::vector<ColumnPtr>& columns,
                                  RowErrors* errors) {
  Batch batch(columns, columns.empty() ? 1 : columns[0]->size());
  ColumnPtr value = Compile(expr)->Evaluate(batch, RowSet{.count = batch.physical_rows()},
                                            EvalContext{.errors = errors});
  return ColumnToStrings(*value);
}

std::vector<std::string> Evaluate(const proto::Expr& expr, const std::vector<ColumnPtr>& columns) {
  RowErrors errors;
  std::vector<std::string> values = Evaluate(expr, columns, &errors);
  EXPECT_TRUE(errors.empty()) << errors.errors().front().status;
  return values;
}

proto::Expr Int(uint32_t column) { return ColumnExpr(column, kInt32); }
proto::Expr Int(const char* text) { return LiteralExpr(kInt32, text); }
proto::Expr Text(uint32_t column) { return ColumnExpr(column, kText); }
proto::Expr Text(const char* text) { return LiteralExpr(kText, text); }
proto::Expr Compare(const char* op, const proto::Expr& a, const proto::Expr& b) {
  return CallExpr(op, kBool, {a, b});
}
// 1 / x
proto::Expr Inverse(uint32_t column) { return CallExpr("/", kInt32, {Int("1"), Int(column)}); }

TEST(ExprEvaluatorTest, AColumnIsTheBatchsColumnItself) {
  ColumnPtr column = MakeColumn(kInt32, {"1", "2"});
  RowErrors errors;
  EXPECT_EQ(Compile(Int(0u))->Evaluate(Batch({column}, 2), RowSet{.count = 2},
                                       EvalContext{.errors = &errors}),
            column);
}

TEST(ExprEvaluatorTest, AConstantFillsTheColumn) {
  ColumnPtr column = MakeColumn(kInt32, {"1", "2", "3"});
  EXPECT_THAT(Evaluate(Text("a text of more than twelve bytes"), {column}),
              ElementsAre("a text of more than twelve bytes", "a text of more than twelve bytes",
                          "a text of more than twelve bytes"));
  EXPECT_THAT(Evaluate(NullExpr(kText), {column}), ElementsAre("NULL", "NULL", "NULL"));
}

TEST(ExprEvaluatorTest, StrictFunctionsReturnNullForNull) {
  ColumnPtr a = MakeColumn(kInt32, {"1", "NULL", "3"});
  ColumnPtr b = MakeColumn(kInt32, {"10", "20", "NULL"});
  EXPECT_THAT(Evaluate(CallExpr("+", kInt32, {Int(0u), Int(1u)}), {a, b}),
              ElementsAre("11", "NULL", "NULL"));
  EXPECT_THAT(Evaluate(CallExpr("+", kInt32, {Int(0u), NullExpr(kInt32)}), {a}),
              ElementsAre("NULL", "NULL", "NULL"));
}

TEST(ExprEvaluatorTest, OnlyTheFailingRowsFail) {
  RowErrors errors;
  std::vector<std::string> values =
      Evaluate(Inverse(0), {MakeColumn(kInt32, {"1", "0", "-1", "0"})}, &errors);
  EXPECT_EQ(values[0], "1");
  EXPECT_EQ(values[2], "-1");
  ASSERT_EQ(errors.errors().size(), 2u);
  EXPECT_EQ(errors.errors()[0].row, 1u);
  EXPECT_EQ(errors.errors()[0].status.message(), "division by zero");
  EXPECT_EQ(errors.errors()[1].row, 3u);
}

TEST(ExprEvaluatorTest, AFailedRowIsNotUsedFurther) {
  RowErrors errors;
  // The cast fails in row 1: upper() must not read what was never written there.
  proto::Expr cast = CallExpr("cast", MakeType(TypeId::kJsonb), {Text(0u)});
  proto::Expr expr = CallExpr("->>", kText, {cast, Text("a")});
  std::vector<std::string> values =
      Evaluate(expr, {MakeColumn(kText, {"{\"a\": \"x\"}", "{", "{}"})}, &errors);
  EXPECT_EQ(values[0], "x");
  EXPECT_EQ(values[2], "NULL");
  ASSERT_EQ(errors.errors().size(), 1u);
  EXPECT_EQ(errors.errors()[0].row, 1u);
}

TEST(ExprEvaluatorTest, OnlyTheGivenRowsAreEvaluated) {
  ColumnPtr column = MakeColumn(kInt32, {"0", "2", "0", "1"});
  std::vector<uint32_t> rows = {1, 3};
  RowErrors errors;
  ColumnPtr value = Compile(Inverse(0))
                        ->Evaluate(Batch({column}, 4), RowSet{.rows = rows.data(), .count = 2},
                                   EvalContext{.errors = &errors});
  EXPECT_TRUE(errors.empty());
  EXPECT_EQ(value->size(), 4u);
  EXPECT_EQ(value->value<int32_t>(1), 0);
  EXPECT_EQ(value->value<int32_t>(3), 1);
}

TEST(ExprEvaluatorTest, AFailingConstantFailsOnlyRowsThatNeedIt) {
  proto::Expr failing = CallExpr("/", kInt32, {Int("1"), Int("0")});
  ColumnPtr column = MakeColumn(kInt32, {"1", "2", "3"});
  RowErrors errors;
  Evaluate(failing, {column}, &errors);
  EXPECT_EQ(errors.errors().size(), 3u);
  proto::Expr guarded =
      FormExpr(Form::CASE, kInt32, {Compare("=", Int(0u), Int("2")), failing, Int(0u)});
  RowErrors guarded_errors;
  std::vector<std::string> values = Evaluate(guarded, {column}, &guarded_errors);
  ASSERT_EQ(guarded_errors.errors().size(), 1u);
  EXPECT_EQ(guarded_errors.errors()[0].row, 1u);
  EXPECT_EQ(values[2], "3");
}

TEST(ExprEvaluatorTest, AndOrShieldTheirRightSides) {
  ColumnPtr column = MakeColumn(kInt32, {"0", "1", "2", "NULL"});
  proto::Expr nonzero = Compare("<>", Int(0u), Int("0"));
  proto::Expr inverse_is_one = Compare("=", Inverse(0), Int("1"));
  EXPECT_THAT(Evaluate(FormExpr(Form::AND, kBool, {nonzero, inverse_is_one}), {column}),
              ElementsAre("f", "t", "f", "NULL"));
  proto::Expr zero = Compare("=", Int(0u), Int("0"));
  EXPECT_THAT(Evaluate(FormExpr(Form::OR, kBool, {zero, inverse_is_one}), {column}),
              ElementsAre("t", "t", "f", "NULL"));
}

TEST(ExprEvaluatorTest, LogicIsThreeValued) {
  ColumnPtr a = MakeColumn(kBool, {"t", "t", "t", "f", "f", "f", "NULL", "NULL", "NULL"});
  ColumnPtr b = MakeColumn(kBool, {"t", "f", "NULL", "t", "f", "NULL", "t", "f", "NULL"});
  proto::Expr left = ColumnExpr(0, kBool);
  proto::Expr right = ColumnExpr(1, kBool);
  EXPECT_THAT(Evaluate(FormExpr(Form::AND, kBool, {left, right}), {a, b}),
              ElementsAre("t", "f", "NULL", "f", "f", "f", "NULL", "f", "NULL"));
  EXPECT_THAT(Evaluate(FormExpr(Form::OR, kBool, {left, right}), {a, b}),
              ElementsAre("t", "t", "t", "t", "f", "NULL", "t", "NULL", "NULL"));
  EXPECT_THAT(Evaluate(FormExpr(Form::NOT, kBool, {right}), {a, b}),
              ElementsAre("f", "t", "NULL", "f", "t", "NULL", "f", "t", "NULL"));
  // Three arguments, the NULL in the middle overruled by the last.
  EXPECT_THAT(
      Evaluate(FormExpr(Form::AND, kBool, {LiteralExpr(kBool, "t"), NullExpr(kBool), right}),
               {a, b}),
      ElementsAre("NULL", "f", "NULL", "NULL", "f", "NULL", "NULL", "f", "NULL"));
}

TEST(ExprEvaluatorTest, TestsOfOneValue) {
  ColumnPtr column = MakeColumn(kBool, {"t", "f", "NULL"});
  proto::Expr value = ColumnExpr(0, kBool);
  EXPECT_THAT(Evaluate(FormExpr(Form::IS_NULL, kBool, {value}), {column}),
              ElementsAre("f", "f", "t"));
  EXPECT_THAT(Evaluate(FormExpr(Form::IS_NOT_NULL, kBool, {value}), {column}),
              ElementsAre("t", "t", "f"));
  EXPECT_THAT(Evaluate(FormExpr(Form::IS_TRUE, kBool, {value}), {column}),
              ElementsAre("t", "f", "f"));
  EXPECT_THAT(Evaluate(FormExpr(Form::IS_FALSE, kBool, {value}), {column}),
              ElementsAre("f", "t", "f"));
}

TEST(ExprEvaluatorTest, CaseTakesTheFirstTrueBranch) {
  ColumnPtr column = MakeColumn(kInt32, {"0", "1", "5", "NULL"});
  proto::Expr expr = FormExpr(
      Form::CASE, kText,
      {Compare("=", Int(0u), Int("0")), Text("zero, spelt out at length"),
       Compare("<", Int(0u), Int("3")), Text("few"), Text("many, and more than twelve bytes")});
  EXPECT_THAT(Evaluate(expr, {column}),
              ElementsAre("zero, spelt out at length", "few", "many, and more than twelve bytes",
                          "many, and more than twelve bytes"));
  proto::Expr without_else =
      FormExpr(Form::CASE, kInt32, {Compare(">", Int(0u), Int("0")), Inverse(0)});
  EXPECT_THAT(Evaluate(without_else, {column}), ElementsAre("NULL", "1", "0", "NULL"));
}

TEST(ExprEvaluatorTest, CoalesceEvaluatesWhatItNeeds) {
  ColumnPtr a = MakeColumn(kInt32, {"7", "NULL", "NULL"});
  ColumnPtr b = MakeColumn(kInt32, {"0", "1", "NULL"});
  // Row 0 would divide by zero.
  EXPECT_THAT(Evaluate(FormExpr(Form::COALESCE, kInt32, {Int(0u), Inverse(1)}), {a, b}),
              ElementsAre("7", "1", "NULL"));
}

TEST(ExprEvaluatorTest, NullIfAndDistinct) {
  ColumnPtr a = MakeColumn(kInt32, {"1", "2", "NULL", "NULL"});
  ColumnPtr b = MakeColumn(kInt32, {"1", "3", "3", "NULL"});
  proto::Expr equal = Compare("=", Int(0u), Int(1u));
  EXPECT_THAT(Evaluate(FormExpr(Form::NULLIF, kInt32, {Int(0u), Int(1u), equal}), {a, b}),
              ElementsAre("NULL", "2", "NULL", "NULL"));
  EXPECT_THAT(Evaluate(FormExpr(Form::IS_DISTINCT_FROM, kBool, {Int(0u), Int(1u)}), {a, b}),
              ElementsAre("f", "t", "t", "f"));
}

TEST(ExprEvaluatorTest, InListOfConstants) {
  ColumnPtr numbers = MakeColumn(kInt32, {"1", "2", "NULL"});
  EXPECT_THAT(Evaluate(FormExpr(Form::IN_LIST, kBool, {Int(0u), Int("2"), Int("5")}), {numbers}),
              ElementsAre("f", "t", "NULL"));
  EXPECT_THAT(
      Evaluate(FormExpr(Form::IN_LIST, kBool, {Int(0u), Int("2"), NullExpr(kInt32)}), {numbers}),
      ElementsAre("NULL", "t", "NULL"));
  ColumnPtr words = MakeColumn(kText, {"short", "longer than twelve bytes", "other"});
  EXPECT_THAT(Evaluate(FormExpr(Form::IN_LIST, kBool,
                                {Text(0u), Text("longer than twelve bytes"), Text("short")}),
                       {words}),
              ElementsAre("t", "t", "f"));
  SqlType numeric = MakeType(TypeId::kNumeric);
  EXPECT_THAT(Evaluate(FormExpr(Form::IN_LIST, kBool,
                                {ColumnExpr(0, numeric), LiteralExpr(numeric, "1.00")}),
                       {MakeColumn(numeric, {"1.0", "1.01"})}),
              ElementsAre("t", "f"));
}

TEST(ExprEvaluatorTest, InListOfColumns) {
  ColumnPtr a = MakeColumn(kInt32, {"1", "2", "3", "0"});
  ColumnPtr b = MakeColumn(kInt32, {"1", "NULL", "NULL", "0"});
  // Row 3 is found in the first value: the second, a division by zero, is not evaluated for it.
  proto::Expr expr = FormExpr(Form::IN_LIST, kBool,
                              {Int(0u), Int(1u), CallExpr("/", kInt32, {Int("3"), Int(0u)})});
  EXPECT_THAT(Evaluate(expr, {a, b}), ElementsAre("t", "NULL", "NULL", "t"));
}

TEST(ExprEvaluatorTest, GreatestAndLeastLeaveNullsOut) {
  ColumnPtr a = MakeColumn(kInt32, {"1", "NULL", "NULL"});
  ColumnPtr b = MakeColumn(kInt32, {"3", "4", "NULL"});
  EXPECT_THAT(Evaluate(FormExpr(Form::GREATEST, kInt32, {Int(0u), Int(1u)}), {a, b}),
              ElementsAre("3", "4", "NULL"));
  EXPECT_THAT(Evaluate(FormExpr(Form::LEAST, kInt32, {Int(0u), Int(1u)}), {a, b}),
              ElementsAre("1", "4", "NULL"));
}

TEST(ExprEvaluatorTest, ArraysOfColumns) {
  SqlType array{.id = TypeId::kArray, .element = TypeId::kText};
  ColumnPtr words = MakeColumn(kText, {"a", "NULL", "a word of more than twelve bytes"});
  proto::Expr expr = FormExpr(Form::ARRAY, array, {Text(0u), Text("x")});
  EXPECT_THAT(Evaluate(expr, {words}),
              ElementsAre("{a,x}", "{NULL,x}", "{\"a word of more than twelve bytes\",x}"));
  proto::Expr chosen =
      FormExpr(Form::CASE, array,
               {FormExpr(Form::IS_NULL, kBool, {Text(0u)}),
                CallExpr("string_to_array", array, {Text("p,q"), Text(",")}), expr});
  EXPECT_THAT(Evaluate(chosen, {words}),
              ElementsAre("{a,x}", "{p,q}", "{\"a word of more than twelve bytes\",x}"));
}

// jsonb that was nested more deeply than readers take used to be a value here, in a batch that no
// other process could read.
TEST(ExprEvaluatorTest, JsonbIsNotMadeDeeperThanItCanBeRead) {
  const SqlType jsonb = MakeType(TypeId::kJsonb);
  std::string deep = "1";
  for (int i = 0; i < 1000; ++i) {
    deep = "{\"a\": " + deep + "}";
  }
  const proto::Expr joined =
      CallExpr("||", jsonb, {ColumnExpr(0, jsonb), LiteralExpr(jsonb, "[]")});
  RowErrors errors;
  Evaluate(joined, {MakeColumn(jsonb, {deep, "{\"a\": 1}"})}, &errors);
  ASSERT_EQ(errors.errors().size(), 1U);
  EXPECT_THAT(std::string(errors.errors().front().status.message()),
              HasSubstr("nested deeper than 1000 levels"));
}

// Row 0 finds some matches before its budget is spent. None of them may be left, and row 1 must not
// get them.
TEST(ExprEvaluatorTest, ARowWhosePatternTakesTooLongLeavesNothing) {
  std::string slow;
  for (int i = 0; i < 20'000; ++i) {
    slow += "ab";
  }
  const ColumnPtr texts = MakeColumn(kText, {slow, "xaby"});
  const proto::Expr split =
      CallExpr("regexp_split_to_array", SqlType{.id = TypeId::kArray, .element = TypeId::kText},
               {Text(0u), Text("(?<=a.*)b")});
  RowErrors errors;
  EXPECT_EQ(Evaluate(split, {texts}, &errors)[1], "{xa,y}");
  ASSERT_EQ(errors.errors().size(), 1U);
  EXPECT_EQ(errors.errors().front().row, 0U);
  EXPECT_THAT(std::string(errors.errors().front().status.message()), HasSubstr("took more than"));

  const std::vector<FunctionArg> args = {
      {texts, false}, {MakeColumn(kText, {"(?<=a.*)b"}), true}, {MakeColumn(kText, {"g"}), true}};
  for (const auto& [name, rows] : std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"regexp_split_to_table", {"xa", "y"}}, {"regexp_matches", {"{b}"}}}) {
    const bool flags = name == "regexp_matches";
    const TableFunctionDef* function = FunctionRegistry::BuiltIn().FindTable(
        name,
        flags ? std::vector<SqlType>{kText, kText, kText} : std::vector<SqlType>{kText, kText});
    ASSERT_NE(function, nullptr);
    RowErrors row_errors;
    std::vector<uint32_t> parents;
    std::vector<ColumnPtr> columns;
    function->kernel(args, FunctionCallContext{.rows = {.count = 2}, .errors = &row_errors},
                     &parents, &columns);
    EXPECT_EQ(row_errors.errors().size(), 1U);
    EXPECT_EQ(parents, std::vector<uint32_t>(rows.size(), 1));
    EXPECT_EQ(ColumnToStrings(*columns.at(0)), rows);
  }
}

TEST(ExprEvaluatorTest, MessagesQuoteWholeCharacters) {
  const ColumnPtr column = MakeColumn(kText, {"101,é"});
  RowErrors errors;
  Evaluate(CallExpr("to_timestamp", MakeType(TypeId::kTimestampTz), {Text(0u), Text("DSSSSID,é")}),
           {column}, &errors);
  ASSERT_EQ(errors.errors().size(), 1u);
  EXPECT_EQ(errors.errors().front().status.message(), "invalid value \"01,é\" for \"SSSS\"");

  // A time zone's name is cut at 255 bytes.
  const std::string name(254, 'x');
  RowErrors zone_errors;
  Evaluate(CallExpr("timezone", MakeType(TypeId::kTimestamp),
                    {Text(0u), LiteralExpr(MakeType(TypeId::kTimestampTz), "2024-01-01")}),
           {MakeColumn(kText, {name + "é"})}, &zone_errors);
  ASSERT_EQ(zone_errors.errors().size(), 1u);
  EXPECT_EQ(zone_errors.errors().front().status.message(),
            "time zone \"" + name + "\" not recognized");
}

TEST(ExprEvaluatorTest, BatchTimeComesFromTheContext) {
  SqlType type = MakeType(TypeId::kTimestampTz);
  auto evaluator = Compile(FormExpr(Form::BATCH_TIME, type, {}));
  RowErrors errors;
  ColumnPtr value = evaluator->Evaluate(Batch({}, 2), RowSet{.count = 2},
                                        EvalContext{.batch_time_us = 1500000, .errors = &errors});
  EXPECT_THAT(ColumnToStrings(*value),
              ElementsAre("1970-01-01 00:00:01.5+00", "1970-01-01 00:00:01.5+00"));
}

TEST(ExprEvaluatorTest, TextOutlivesTheColumnItWasCutFrom) {
  ColumnPtr source = MakeColumn(kText, {"a text of more than twelve bytes"});
  RowErrors errors;
  auto evaluator = Compile(CallExpr("substring", kText, {Text(0u), Int("3")}));
  ColumnPtr value =
      evaluator->Evaluate(Batch({source}, 1), RowSet{.count = 1}, EvalContext{.errors = &errors});
  source.reset();
  EXPECT_EQ(ValueToString(*value, 0), "text of more than twelve bytes");
}

TEST(ExprEvaluatorTest, CompileNamesWhatIsWrong) {
  const FunctionRegistry& registry = FunctionRegistry::BuiltIn();
  auto unknown = ExprEvaluator::Compile(CallExpr("no_such", kInt32, {Int("1")}), registry);
  EXPECT_EQ(unknown.status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(unknown.status().message()), HasSubstr("no_such(integer)"));
  auto pattern = ExprEvaluator::Compile(CallExpr("~", kBool, {Text(0u), Text("(")}), registry);
  EXPECT_EQ(pattern.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(ExprEvaluator::Compile(FormExpr(Form::NOT, kBool, {}), registry).ok());
  EXPECT_FALSE(ExprEvaluator::Compile(proto::Expr(), registry).ok());
}

TEST(ExprEvaluatorTest, ConstantsAreFolded) {
  const FunctionRegistry& registry = FunctionRegistry::BuiltIn();
  proto::Expr sum = CallExpr("+", kInt32, {Int("1"), Int("2")});
  EXPECT_TRUE(IsConstant(sum));
  EXPECT_FALSE(IsConstant(CallExpr("+", kInt32, {Int("1"), Int(0u)})));
  EXPECT_FALSE(IsConstant(FormExpr(Form::BATCH_TIME, MakeType(TypeId::kTimestampTz), {})));
  auto value = EvaluateConstant(sum, registry);
  ASSERT_TRUE(value.ok()) << value.status();
  EXPECT_THAT(ColumnToStrings(**value), ElementsAre("3"));
  auto failing = EvaluateConstant(CallExpr("/", kInt32, {Int("1"), Int("0")}), registry);
  EXPECT_EQ(failing.status().message(), "division by zero");
}

TEST(ExprEvaluatorTest, KnowsWhatCannotFail) {
  EXPECT_TRUE(Compile(CallExpr("upper", kText, {Text(0u)}))->infallible());
  EXPECT_FALSE(Compile(Inverse(0))->infallible());
  EXPECT_FALSE(Compile(Compare("=", Inverse(0), Int("1")))->infallible());
}

}  // namespace
}  // namespace millrace
