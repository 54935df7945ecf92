// The SQL cases of tests/logic/cases on a local engine, a test per query.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "client/local_engine.h"
#include "tests/logic/slt_file.h"
#include "tests/logic/slt_runner.h"

namespace millrace {
namespace {

struct Case {
  std::shared_ptr<const SltFile> file;
  std::string file_name;
  size_t query = 0;
};

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

std::vector<Case> AllCases() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator("tests/logic/cases")) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<Case> cases;
  for (const auto& path : paths) {
    auto file = ParseSlt(ReadFile(path));
    if (!file.ok()) {
      ADD_FAILURE() << path << ": " << file.status();
      continue;
    }
    const auto shared = std::make_shared<const SltFile>(*std::move(file));
    for (size_t i = 0; i < shared->queries.size(); ++i) {
      cases.push_back({shared, path.stem().string(), i});
    }
  }
  return cases;
}

class SltTest : public testing::TestWithParam<Case> {
 protected:
  static void SetUpTestSuite() {
    auto engine = client::LocalEngine::Start({.slots = 2});
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = engine->release();
  }
  static void TearDownTestSuite() {
    delete engine_;
    engine_ = nullptr;
  }
  static client::LocalEngine* engine_;
};
client::LocalEngine* SltTest::engine_ = nullptr;

TEST_P(SltTest, GivesWhatPostgresGives) {
  ASSERT_NE(engine_, nullptr);
  const SltQuery& query = GetParam().file->queries[GetParam().query];
  const std::string directory = testing::TempDir() + "/" + GetParam().file_name;
  std::filesystem::create_directories(directory);
  SltRunner runner(engine_, GetParam().file.get(), directory);
  const absl::Status status = runner.Run(query);
  EXPECT_TRUE(status.ok()) << GetParam().file_name << ".slt:" << query.line << "\n"
                           << query.sql << "\n"
                           << status.message();
}

// So that a failed test shows its query instead of its bytes.
void PrintTo(const Case& test, std::ostream* out) { *out << test.file->queries[test.query].sql; }

INSTANTIATE_TEST_SUITE_P(Cases, SltTest, testing::ValuesIn(AllCases()), [](const auto& info) {
  return info.param.file_name + "_line_" +
         std::to_string(info.param.file->queries[info.param.query].line);
});

// The reader of the files themselves.
TEST(SltFileTest, ReadsTablesStatementsAndQueries) {
  const auto file = ParseSlt(
      "# comment\n"
      "table t (a int, b text)\n1,x\n,\n"
      "\n"
      "# before the view\nquery (n bigint)\nSELECT count(*)\nFROM t\n----\n2\n"
      "\n"
      "statement ok\nCREATE VIEW v AS SELECT a FROM t\n"
      "\n"
      "statement error line 1, .*nothing\nSELECT nothing FROM v\n"
      "\n\n"
      "query (a int) error division by zero\nSELECT 1 / a FROM v\n");
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(file->tables.size(), 1u);
  EXPECT_EQ(file->tables[0].name, "t");
  EXPECT_EQ(file->tables[0].columns, "(a int, b text)");
  EXPECT_EQ(file->tables[0].csv, "1,x\n,\n");
  ASSERT_EQ(file->queries.size(), 3u);
  EXPECT_EQ(file->queries[0].sql, "SELECT count(*)\nFROM t");
  EXPECT_EQ(file->queries[0].rows, std::vector<std::string>{"2"});
  EXPECT_EQ(file->queries[0].line, 7);
  EXPECT_EQ(file->queries[0].statements, 0u);
  EXPECT_EQ(file->queries[1].statements, 1u);
  EXPECT_TRUE(file->queries[1].refused);
  EXPECT_EQ(file->queries[1].error, "line 1, .*nothing");
  EXPECT_EQ(file->queries[2].columns, "(a int)");
  EXPECT_EQ(file->queries[2].error, "division by zero");
}

TEST(SltFileTest, NamesTheLineItDoesNotUnderstand) {
  const auto file = ParseSlt("table t (a int)\n\nqurey (a int)\nSELECT a FROM t\n");
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.status().message(), "line 3: not understood: qurey (a int)");
}

}  // namespace
}  // namespace millrace
