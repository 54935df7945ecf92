#include "sql/parse/source_text.h"

#include <gtest/gtest.h>

#include <string>

#include "plan/logical/sql_error.h"

namespace millrace::sql {
namespace {

TEST(SourceTextTest, CountsLinesAndCharactersFromOne) {
  const SourceText source("ab\nçd\n");
  EXPECT_EQ(source.Locate(0).line, 1);
  EXPECT_EQ(source.Locate(0).column, 1);
  EXPECT_EQ(source.Locate(3).line, 2);
  EXPECT_EQ(source.Locate(3).column, 1);
  EXPECT_EQ(source.Locate(5).column, 2) << "ç is two bytes and one character";
  EXPECT_EQ(source.ByteOfCharacter(4), 5);
  EXPECT_EQ(source.ByteOfCharacter(100), 7);
}

TEST(SourceTextTest, DrawsTheCaretUnderTabsAndAtTheEnd) {
  EXPECT_EQ(SourceText("\tx y").Render(3, "bad"), "line 1, column 4: bad\n  \tx y\n  \t  ^");
  EXPECT_EQ(SourceText("SELECT").Render(6, "more"), "line 1, column 7: more\n  SELECT\n        ^");
  EXPECT_EQ(SourceText("SELECT").Render(-1, "no place"), "no place");
}

TEST(SourceTextTest, CutsLongLinesAroundTheCaret) {
  const std::string text = std::string(200, 'a') + "X" + std::string(200, 'b');
  const std::string rendered = SourceText(text).Render(200, "here");
  EXPECT_EQ(rendered, "line 1, column 201: here\n  ..." + std::string(80, 'a') + "X" +
                          std::string(59, 'b') + "...\n  " + std::string(83, ' ') + "^");
}

TEST(SourceTextTest, FindsKeywordsAsWords) {
  const SourceText source("SELECT ordered FROM t Order BY x");
  EXPECT_EQ(source.KeywordBefore(31, "order"), 22);
  EXPECT_EQ(source.KeywordAfter(0, 32, "from"), 15);
  EXPECT_FALSE(source.KeywordAfter(0, 10, "from").has_value());
  EXPECT_EQ(source.KeywordBefore(3, "with"), 3) << "the place itself when there is none";
}

TEST(SourceTextTest, SkipsCommentsBetweenStatements) {
  const SourceText source("; -- one\n /* two */ SET");
  EXPECT_EQ(source.SkipBlanks(0), 20);
  EXPECT_EQ(SourceText("-- only").SkipBlanks(0), 7);
}

TEST(SourceTextTest, RendersThePositionOfAStatus) {
  const SourceText source("a\nb");
  const absl::Status status = source.Render(plan::WithPosition(plan::ErrorAt(2, "bad"), 0));
  EXPECT_EQ(status.message(), "line 2, column 1: bad\n  b\n  ^") << "the innermost position counts";
  EXPECT_TRUE(source.Render(absl::OkStatus()).ok());
}

}  // namespace
}  // namespace millrace::sql
