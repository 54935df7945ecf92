// Runs every call of testdata/calls.txt, whose answers are PostgreSQL's, over constants and over
// columns.
#include <fstream>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "common/base/status.h"
#include "common/expr/expr_evaluator.h"
#include "common/expr/function_registry.h"
#include "common/expr/testing/expr_builder.h"
#include "common/types/text_format.h"
#include "gtest/gtest.h"

namespace millrace {
namespace {

struct Literal {
  SqlType type;
  std::optional<std::string> text;
};

// A line: f(arg, …), arg op arg, op arg, or cast(arg AS type).
struct Line {
  std::string source;
  std::string answer;
  bool rows = false;
  std::string function;
  std::vector<Literal> args;
  SqlType cast_to;
};

SqlType TypeFromText(std::string name) {
  bool array = absl::EndsWith(name, "[]");
  if (array) {
    name.resize(name.size() - 2);
  }
  int precision = 0;
  int scale = 0;
  if (size_t open = name.find('('); open != std::string::npos) {
    EXPECT_EQ(std::sscanf(name.c_str() + open, "(%d,%d)", &precision, &scale), 2) << name;
    name.resize(open);
  }
  absl::StatusOr<SqlType> type = TypeByName(name);
  EXPECT_TRUE(type.ok()) << name;
  if (array) {
    return SqlType{.id = TypeId::kArray, .element = type->id};
  }
  type->precision = precision;
  type->scale = scale;
  return *type;
}

class LineReader {
 public:
  explicit LineReader(std::string_view text) : text_(text) {}

  Line Read() {
    Line line;
    line.rows = Take("rows of ");
    Take("pg_catalog.");
    if (AtLiteral()) {
      line.args.push_back(ReadLiteral());
      line.function = ReadOperator();
      line.args.push_back(ReadLiteral());
    } else if (absl::ascii_isalpha(static_cast<unsigned char>(text_[0]))) {
      line.function = ReadUntil("(");
      bool cast = line.function == "cast";
      while (!Take(")")) {
        line.args.push_back(ReadLiteral());
        if (cast) {
          EXPECT_TRUE(Take(" AS "));
          line.cast_to = TypeFromText(std::string(text_.substr(0, text_.size() - 1)));
          text_ = "";
          break;
        }
        Take(", ");
      }
    } else {
      line.function = ReadOperator();
      line.args.push_back(ReadLiteral());
    }
    EXPECT_TRUE(text_.empty()) << text_;
    return line;
  }

 private:
  bool Take(std::string_view prefix) {
    if (!text_.starts_with(prefix)) {
      return false;
    }
    text_.remove_prefix(prefix.size());
    return true;
  }
  bool AtLiteral() const {
    return text_.starts_with("'") || text_.starts_with("E'") || text_.starts_with("NULL::");
  }
  std::string ReadUntil(std::string_view end) {
    std::string read(text_.substr(0, text_.find(end)));
    text_.remove_prefix(read.size() + end.size());
    return read;
  }
  std::string ReadOperator() {
    Take(" ");
    return ReadUntil(" ");
  }
  Literal ReadLiteral() {
    Literal literal;
    if (!Take("NULL")) {
      bool escapes = Take("E");
      EXPECT_TRUE(Take("'")) << text_;
      std::string value;
      while (!text_.starts_with("'") || text_.starts_with("''")) {
        value.push_back(text_[0]);
        text_.remove_prefix(text_[0] == '\'' ? 2 : 1);
      }
      text_.remove_prefix(1);
      literal.text = escapes ? absl::StrReplaceAll(value, {{"\\n", "\n"}}) : value;
    }
    EXPECT_TRUE(Take("::"));
    size_t end = 0;
    while (end < text_.size() && (absl::ascii_isalnum(static_cast<unsigned char>(text_[end])) ||
                                  text_[end] == '[' || text_[end] == ']')) {
      ++end;
    }
    literal.type = TypeFromText(std::string(text_.substr(0, end)));
    text_.remove_prefix(end);
    return literal;
  }

  std::string_view text_;
};

std::vector<Line> ReadLines() {
  std::vector<Line> lines;
  std::ifstream file("common/expr/testdata/calls.txt");
  std::string text;
  while (std::getline(file, text)) {
    size_t arrow = text.find(" => ");
    if (text.empty() || text[0] == '#' || arrow == std::string::npos) {
      continue;
    }
    Line line = LineReader(std::string_view(text).substr(0, arrow)).Read();
    line.source = text.substr(0, arrow);
    line.answer = text.substr(arrow + 4);
    lines.push_back(std::move(line));
  }
  return lines;
}

std::vector<SqlType> TypesOf(const Line& line) {
  std::vector<SqlType> types;
  for (const Literal& arg : line.args) {
    types.push_back(arg.type);
  }
  return types;
}

// Escapes text as the answers in the file are escaped.
std::string Escape(std::string_view text) {
  return absl::StrReplaceAll(ToAbsl(text), {{"\\", "\\\\"}, {"\n", "\\n"}});
}

std::string ErrorText(const absl::Status& status) {
  return absl::StrCat("ERROR: ", status.message());
}

// psql prints booleans as t and f, and so do we.
std::string EvaluateScalar(const Line& line, bool constants, absl::Status* bad_argument) {
  const FunctionRegistry& registry = FunctionRegistry::BuiltIn();
  const ScalarFunction* function = registry.FindScalar(line.function, TypesOf(line), line.cast_to);
  if (function == nullptr) {
    return "no such function";
  }
  std::vector<proto::Expr> args;
  std::vector<ColumnPtr> columns;
  for (const Literal& arg : line.args) {
    // Row 1 is the one that counts; row 0 is NULL.
    auto column = std::make_shared<Column>(arg.type, 2);
    column->SetNull(0);
    if (arg.text.has_value()) {
      *bad_argument = ParseValue(*arg.text, column.get(), 1);
      if (!bad_argument->ok()) {
        return "";
      }
    } else {
      column->SetNull(1);
    }
    proto::Expr literal =
        arg.text.has_value() ? LiteralExpr(arg.type, *arg.text) : NullExpr(arg.type);
    if (arg.type.id == TypeId::kBytea && arg.text.has_value()) {
      literal.mutable_literal()->set_text(std::string(column->value<TextView>(1).view()));
    }
    args.push_back(constants ? literal
                             : ColumnExpr(static_cast<uint32_t>(columns.size()), arg.type));
    columns.push_back(std::move(column));
  }
  SqlType result = line.function == "cast" ? line.cast_to : function->result;
  absl::StatusOr<std::unique_ptr<ExprEvaluator>> evaluator =
      ExprEvaluator::Compile(CallExpr(line.function, result, args), registry);
  if (!evaluator.ok()) {
    return ErrorText(evaluator.status());
  }
  RowErrors errors;
  const uint32_t row = 1;
  ColumnPtr value = (*evaluator)
                        ->Evaluate(Batch(columns, 2), RowSet{.rows = &row, .count = 1},
                                   EvalContext{.errors = &errors});
  if (!errors.empty()) {
    return ErrorText(errors.errors().front().status);
  }
  return Escape(ValueToString(*value, 1));
}

std::string EvaluateRows(const Line& line, bool bound) {
  const TableFunctionDef* function =
      FunctionRegistry::BuiltIn().FindTable(line.function, TypesOf(line));
  if (function == nullptr) {
    return "no such function";
  }
  std::vector<FunctionArg> args;
  std::vector<const Column*> constants;
  for (const Literal& arg : line.args) {
    args.push_back({MakeColumn(arg.type, {arg.text.value_or("NULL")}), true});
    constants.push_back(bound ? args.back().column.get() : nullptr);
  }
  std::shared_ptr<const FunctionState> state;
  if (function->bind) {
    auto made = function->bind(constants);
    if (!made.ok()) {
      return ErrorText(made.status());
    }
    state = *std::move(made);
  }
  std::vector<uint32_t> parents;
  std::vector<ColumnPtr> columns;
  RowErrors errors;
  function->kernel(
      args, FunctionCallContext{.rows = {.count = 1}, .state = state.get(), .errors = &errors},
      &parents, &columns);
  if (!errors.empty()) {
    return ErrorText(errors.errors().front().status);
  }
  EXPECT_EQ(columns.size(), 1u);
  EXPECT_EQ(columns[0]->size(), parents.size());
  std::string text;
  AppendArray(*columns[0], ListView{.begin = 0, .size = static_cast<uint32_t>(parents.size())},
              &text);
  return Escape(text);
}

TEST(CallsTest, AnswersAreThoseOfPostgres) {
  std::vector<Line> lines = ReadLines();
  ASSERT_GT(lines.size(), 600u);
  for (const Line& line : lines) {
    for (bool constants : {true, false}) {
      absl::Status bad_argument;
      std::string answer = line.rows ? EvaluateRows(line, constants)
                                     : EvaluateScalar(line, constants, &bad_argument);
      if (!bad_argument.ok()) {
        answer = ErrorText(bad_argument);
      }
      EXPECT_EQ(answer, line.answer) << line.source << (constants ? "" : " (over columns)");
    }
  }
}

}  // namespace
}  // namespace millrace
