// common/expr/testdata/expressions.txt, PostgreSQL's answers to expressions, through parser,
// binder, planner and a job: a test per line `expression => answer`.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "client/local_engine.h"
#include "connectors/memory/memory_tables.h"
#include "tests/harness/job_results.h"

namespace millrace {
namespace {

struct Expression {
  int line = 0;
  std::string sql;
  std::string answer;  // NULL, "ERROR: …", or the text with \\ and \n escaped
};

std::vector<Expression> ReadExpressions() {
  std::ifstream file("common/expr/testdata/expressions.txt");
  std::vector<Expression> expressions;
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    const size_t arrow = line.find(" => ");
    if (!line.empty() && line[0] != '#' && arrow != std::string::npos) {
      expressions.push_back({number, line.substr(0, arrow), line.substr(arrow + 4)});
    }
  }
  EXPECT_GT(expressions.size(), 100u) << "the file is not what it was";
  return expressions;
}

class ExpressionsTest : public testing::TestWithParam<Expression> {
 protected:
  static void SetUpTestSuite() {
    auto engine = client::LocalEngine::Start({.slots = 1});
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = engine->release();
    std::ofstream(testing::TempDir() + "/one.csv") << "1\n";
  }
  static void TearDownTestSuite() {
    delete engine_;
    engine_ = nullptr;
  }

  // The one row of a job that selects the expression as text.
  static absl::StatusOr<WeightedRows> Evaluate(const std::string& expression) {
    memory::MemoryTables::Global().Drop("answer");
    const auto table = memory::MemoryTables::Global().Table("answer");
    const auto run = RunJob(
        *engine_, absl::StrCat("SET batch_duration = '0';\n"
                               "CREATE TABLE one (n int) WITH (connector = 'file', path = '",
                               testing::TempDir(),
                               "/one.csv', format = 'csv');\n"
                               "CREATE TABLE answer (value text) WITH (connector = 'memory');\n"
                               "INSERT INTO answer SELECT (",
                               expression, ")::text FROM one;\n"));
    if (!run.ok()) {
      return run.status();
    }
    WeightedRows rows;
    for (const memory::MemoryTable::Committed& committed : table->committed()) {
      AddBatch(committed.rows, &rows);
    }
    return rows;
  }

  static client::LocalEngine* engine_;
};
client::LocalEngine* ExpressionsTest::engine_ = nullptr;

// The answers that are right: psql prints booleans as t and f, their cast to text is true and
// false.
std::vector<std::string> AllowedRows(const std::string& answer) {
  if (answer == "NULL") {
    return {"\\N"};
  }
  // What the file escapes is escaped in rows too; a tab only there.
  std::vector<std::string> allowed = {absl::StrReplaceAll(answer, {{"\t", "\\t"}, {"\r", "\\r"}})};
  if (answer == "t" || answer == "f") {
    allowed.emplace_back(answer == "t" ? "true" : "false");
  }
  return allowed;
}

// Where this engine refuses what PostgreSQL does, or refuses it in other words: what it says.
const std::map<std::string, std::string>& OwnRefusals() {
  static const auto* const kRefusals = new std::map<std::string, std::string>{
      {"INTERVAL '1-2' YEAR TO MONTH", "interval type with fields or precision is not supported"},
      {"string_to_array('1,2,3', ',')::int[]", "cannot cast type text[] to integer[]"},
      {"'abc' COLLATE \"C\" < 'abd'", "COLLATE is not supported"},
      {"'b' = ANY ('{a,b}')", "is not supported"},
      {"'a' + 'b'", "operator unknown + unknown is not unique"},
      {"CASE WHEN 1 THEN 2 END", "argument of CASE WHEN must be type boolean, not type integer"},
  };
  return *kRefusals;
}

TEST_P(ExpressionsTest, GivesPostgresAnswer) {
  ASSERT_NE(engine_, nullptr);
  const Expression& expression = GetParam();
  const auto rows = Evaluate(expression.sql);
  if (const auto refusal = OwnRefusals().find(expression.sql); refusal != OwnRefusals().end()) {
    ASSERT_FALSE(rows.ok()) << expression.sql << " works: take it off the list";
    EXPECT_TRUE(absl::StrContains(rows.status().message(), refusal->second)) << rows.status();
    return;
  }
  if (absl::StartsWith(expression.answer, "ERROR: ")) {
    ASSERT_FALSE(rows.ok()) << expression.sql << " should fail: " << expression.answer;
    EXPECT_TRUE(
        absl::StrContains(rows.status().message(), absl::StripPrefix(expression.answer, "ERROR: ")))
        << expression.sql << "\nexpected " << expression.answer << "\n"
        << rows.status().message();
    return;
  }
  ASSERT_TRUE(rows.ok()) << expression.sql << "\n" << rows.status().message();
  ASSERT_EQ(rows->size(), 1u) << expression.sql;
  const std::vector<std::string> allowed = AllowedRows(expression.answer);
  EXPECT_TRUE(rows->begin()->first == allowed.front() || rows->begin()->first == allowed.back())
      << expression.sql << "\nexpected " << expression.answer << "\n     got "
      << rows->begin()->first;
}

// So that a failed test shows its expression instead of its bytes.
void PrintTo(const Expression& expression, std::ostream* out) { *out << expression.sql; }

INSTANTIATE_TEST_SUITE_P(File, ExpressionsTest, testing::ValuesIn(ReadExpressions()),
                         [](const auto& info) {
                           return "line_" + std::to_string(info.param.line);
                         });

}  // namespace
}  // namespace millrace
