#include "common/expr/regex/regex.h"

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "common/expr/regex/byte_splitter.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string ErrorOf(std::string_view pattern, bool groups = false) {
  auto regex = Regex::Compile(pattern, /*ignore_case=*/false, groups);
  return regex.ok() ? "" : std::string(regex.status().message());
}

TEST(RegexTest, RefusesWhatTheEngineWouldDoDifferently) {
  EXPECT_THAT(ErrorOf("a(?=b)"), HasSubstr("look-ahead and look-behind are not supported"));
  EXPECT_THAT(ErrorOf("(?<!a)b"), HasSubstr("look-ahead and look-behind are not supported"));
  EXPECT_THAT(ErrorOf("(a)\\1"), HasSubstr("back references are not supported"));
  EXPECT_THAT(ErrorOf("\\ya"), HasSubstr("word boundaries"));
  EXPECT_THAT(ErrorOf("\\mfoo\\M"), HasSubstr("word boundaries"));
  EXPECT_THAT(ErrorOf("[[:<:]]foo"), HasSubstr("word boundaries"));
  EXPECT_THAT(ErrorOf("a*?b*"), HasSubstr("non-greedy"));
  EXPECT_THAT(ErrorOf("(ab)+?"), HasSubstr("non-greedy"));
  EXPECT_THAT(ErrorOf("(?n)a"), HasSubstr("embedded options"));
  EXPECT_THAT(ErrorOf("***=a"), HasSubstr("directors"));
  EXPECT_THAT(ErrorOf("[[.a.]]"), HasSubstr("collating elements"));
}

TEST(RegexTest, PerlOnlySyntaxIsAnErrorAsInPostgres) {
  EXPECT_EQ(ErrorOf("\\pL"), "invalid regular expression: invalid escape \\ sequence");
  EXPECT_EQ(ErrorOf("\\z"), "invalid regular expression: invalid escape \\ sequence");
  EXPECT_EQ(ErrorOf("(?P<x>a)"),
            "regular expression \"(?P<x>a)\": embedded options like P are not supported");
  EXPECT_EQ(ErrorOf("a++"), "invalid regular expression: quantifier operand invalid");
}

TEST(RegexTest, GroupsAreRefusedOnlyWhereTheyCouldDiffer) {
  EXPECT_EQ(ErrorOf("(foo|bar)=(\\d+)", true), "");
  EXPECT_EQ(ErrorOf("(a|)b", true), "");
  EXPECT_EQ(ErrorOf("(\\w+)-(\\w+)?", true), "");
  EXPECT_THAT(ErrorOf("(a|ab)(c|bcd)(d*)", true), HasSubstr("groups are not supported"));
  EXPECT_THAT(ErrorOf("((a)|b)*", true), HasSubstr("groups are not supported"));
  EXPECT_THAT(ErrorOf("(a*)*", true), HasSubstr("groups are not supported"));
  // Without a look at the groups the match is the same in both engines.
  EXPECT_EQ(ErrorOf("(a|ab)(c|bcd)(d*)", false), "");
}

std::vector<std::string> Pieces(const Regex& regex, std::string_view text) {
  std::vector<std::string> pieces;
  ForEachPiece(regex, text, [&pieces](std::string_view piece) { pieces.emplace_back(piece); });
  return pieces;
}

TEST(RegexTest, SplitsAsPostgresDoes) {
  auto spaces = Regex::Compile("\\s+", false, false);
  ASSERT_TRUE(spaces.ok());
  EXPECT_THAT(Pieces(**spaces, " a  b "), ElementsAre("", "a", "b", ""));
  auto empty = Regex::Compile("", false, false);
  ASSERT_TRUE(empty.ok());
  EXPECT_THAT(Pieces(**empty, "aäb"), ElementsAre("a", "ä", "b"));
}

TEST(RegexTest, KnowsPlainSeparators) {
  for (const char* pattern :
       {"\\s+", "\\s", " ", ",", "[ ,]+", "[,;]", "[[:space:]]+", "\\.", "\\d+"}) {
    auto regex = Regex::Compile(pattern, false, false);
    ASSERT_TRUE(regex.ok()) << pattern;
    EXPECT_TRUE((*regex)->separator().has_value()) << pattern;
  }
  for (const char* pattern :
       {"", "ab", "a*", "a+?", "a{2}", "\\s*", "[^a]", "ä", ".", "\\W+", "a|b", "(,)", "^", ", "}) {
    auto regex = Regex::Compile(pattern, false, false);
    ASSERT_TRUE(regex.ok()) << pattern;
    EXPECT_FALSE((*regex)->separator().has_value()) << pattern;
  }
}

std::vector<std::string> SplitWith(const ByteSplitter& splitter, std::string_view text) {
  std::vector<TextView> views(splitter.CountPieces(text));
  TextView* end = splitter.Split(text, views.data());
  EXPECT_EQ(end, views.data() + views.size());
  std::vector<std::string> pieces;
  for (const TextView& view : views) {
    pieces.emplace_back(view.view());
  }
  return pieces;
}

// The fast paths against the regular expression itself, on texts of every length up to a few
// blocks.
TEST(ByteSplitterTest, AgreesWithTheRegularExpression) {
  std::mt19937 random(7);
  const std::string_view alphabet = "aaaabcdef  \t,,\n\xc3\xa4";
  for (const char* pattern : {"\\s+", "\\s", "[ ,]+", ","}) {
    auto regex = Regex::Compile(pattern, false, false);
    ASSERT_TRUE(regex.ok());
    ByteSplitter fast(*(*regex)->separator());
    ByteSplitter portable(*(*regex)->separator());
    portable.UsePortableCode();
    for (size_t size = 0; size < 300; ++size) {
      std::string text;
      while (text.size() < size) {
        char c = alphabet[random() % alphabet.size()];
        text += c == '\xc3' || c == '\xa4' ? "\xc3\xa4" : std::string(1, c);
      }
      std::vector<std::string> expected = Pieces(**regex, text);
      EXPECT_EQ(SplitWith(fast, text), expected) << pattern << " on '" << text << "'";
      EXPECT_EQ(SplitWith(portable, text), expected) << pattern << " on '" << text << "'";
    }
  }
}

}  // namespace
}  // namespace millrace
