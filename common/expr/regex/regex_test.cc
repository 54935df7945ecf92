#include "common/expr/regex/regex.h"

#include <atomic>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "common/expr/regex/byte_splitter.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string ErrorOf(std::string_view pattern, const RegexOptions& options = {}) {
  auto regex = Regex::Compile(pattern, options, /*groups=*/true);
  return regex.ok() ? "" : std::string(regex.status().message());
}

bool IsForRe2(std::string_view pattern) { return TranslateAre(pattern, false).ok(); }

TEST(RegexTest, LeavesToPostgresWhatRe2WouldDoDifferently) {
  for (const char* pattern : {"a(?=b)", "(?<!a)b", "(a)\\1", "\\ya", "\\mfoo\\M", "[[:<:]]foo",
                              "a*?b*", "(ab)+?", "(?n)a", "***=a", "[[.a.]]"}) {
    EXPECT_FALSE(IsForRe2(pattern)) << pattern;
    EXPECT_EQ(ErrorOf(pattern), "") << pattern;
  }
  EXPECT_TRUE(IsForRe2("(a|ab)(c|bcd)(d*)"));
  for (const char* pattern : {"(a|ab)(c|bcd)(d*)", "((a)|b)*", "(a*)*"}) {
    EXPECT_TRUE(TranslateAre(pattern, false)->groups_differ) << pattern;
  }
  for (const char* pattern : {"(foo|bar)=(\\d+)", "(a|)b", "(\\w+)-(\\w+)?"}) {
    EXPECT_FALSE(TranslateAre(pattern, false)->groups_differ) << pattern;
  }
}

TEST(RegexTest, PerlOnlySyntaxIsAnErrorAsInPostgres) {
  EXPECT_EQ(ErrorOf("\\pL"), "invalid regular expression: invalid escape \\ sequence");
  EXPECT_EQ(ErrorOf("\\z"), "invalid regular expression: invalid escape \\ sequence");
  EXPECT_EQ(ErrorOf("(?P<x>a)"), "invalid regular expression: invalid embedded option");
  EXPECT_EQ(ErrorOf("a++"), "invalid regular expression: quantifier operand invalid");
  EXPECT_EQ(ErrorOf("(?=(a)\\1)"), "invalid regular expression: invalid backreference number");
}

std::string Repeat(std::string_view text, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) {
    out += text;
  }
  return out;
}

// Each pattern goes through the rest of the value at each place of it, or for each way to divide
// it.
TEST(RegexTest, AValueThatTakesTooLongIsAnErrorOfThatValue) {
  for (const auto& [pattern, text] : std::vector<std::pair<std::string, std::string>>{
           {"(?=.*x)a", Repeat("a", 20'000)},
           {"(?<=a.*)b", Repeat("ab", 20'000)},
           {"(.+)(.+)(.+)\\3\\2\\1x?$", Repeat("ab", 300) + "c"},
           {"\\m(\\w+)\\M.*\\m\\1\\M", Repeat("the quick brown fox ", 5'000)}}) {
    auto regex = Regex::Compile(pattern, {}, /*groups=*/true);
    ASSERT_TRUE(regex.ok()) << regex.status();
    std::vector<Regex::Span> spans(1);
    const absl::Status status = ForEachMatch(**regex, text, 0, &spans,
                                             [](const std::vector<Regex::Span>&) { return true; });
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << pattern << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(" steps on this value of "));
    // The next value has a budget of its own.
    EXPECT_EQ(*(*regex)->Contains("abcb x"), *(*regex)->Contains("abcb x"));
  }
}

TEST(RegexTest, ALongValueMayTakeWhatItsLengthTakes) {
  auto regex = Regex::Compile("\\mfoo\\M", {}, /*groups=*/false);
  ASSERT_TRUE(regex.ok()) << regex.status();
  std::vector<Regex::Span> spans(1);
  int matches = 0;
  const std::string text = Repeat("foo food ", 200'000);
  EXPECT_TRUE(ForEachMatch(**regex, text, 0, &spans, [&](const std::vector<Regex::Span>&) {
                return ++matches > 0;
              }).ok());
  EXPECT_EQ(matches, 200'000);
}

TEST(RegexTest, PatternsThatDoNotFitAreRefused) {
  EXPECT_THAT(ErrorOf("(((a{1,100}){1,100}){1,100})\\1"), HasSubstr("is too complex"));
  EXPECT_THAT(ErrorOf("(\\w{1,255}){1,255}\\1"), HasSubstr("is too complex"));
  EXPECT_THAT(ErrorOf("(a)\\1" + Repeat("(?:", 100'000) + Repeat(")", 100'000)),
              HasSubstr("too complex"));
  EXPECT_LT(ErrorOf("(a)\\1{1,99}" + Repeat("(b{1,250}\\1){1,200}", 1'000)).size(), 400U);
}

TEST(RegexTest, PlacesAreBytesAlsoBehindLongerCharacters) {
  auto regex = Regex::Compile("(\\w)\\1", {}, /*groups=*/true);
  ASSERT_TRUE(regex.ok()) << regex.status();
  std::vector<Regex::Span> spans(2);
  std::vector<std::string> found;
  const std::string text = "äöö 😀 éé\xff tt";
  EXPECT_TRUE(ForEachMatch(**regex, text, 0, &spans, [&](const std::vector<Regex::Span>& match) {
                found.push_back(text.substr(match[0].begin, match[0].end - match[0].begin));
                return true;
              }).ok());
  EXPECT_THAT(found, ElementsAre("öö", "éé", "tt"));
}

// One compiled pattern serves all threads of an executor.
TEST(RegexTest, ThreadsShareAPattern) {
  auto regex = Regex::Compile("(?i)\\m([[:alpha:]]+)\\M(?=.*\\m\\d+$)|(ß)\\2", {}, /*groups=*/true);
  ASSERT_TRUE(regex.ok()) << regex.status();
  std::vector<std::thread> threads;
  std::atomic<int> matches = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        EXPECT_TRUE(Regex::Compile("\\m[[:upper:]]\\M", {}, false).ok());
        std::vector<Regex::Span> spans(3);
        EXPECT_TRUE(ForEachMatch(**regex, "Größe ǅ ßß 漢字 17", 0, &spans,
                                 [&](const std::vector<Regex::Span>&) { return ++matches > 0; })
                        .ok());
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(matches, 4 * 200 * 4);
}

std::vector<std::string> Pieces(const Regex& regex, std::string_view text) {
  std::vector<std::string> pieces;
  EXPECT_TRUE(ForEachPiece(regex, text, [&pieces](std::string_view piece) {
                pieces.emplace_back(piece);
              }).ok());
  return pieces;
}

TEST(RegexTest, SplitsAsPostgresDoes) {
  auto spaces = Regex::Compile("\\s+", {}, false);
  ASSERT_TRUE(spaces.ok());
  EXPECT_THAT(Pieces(**spaces, " a  b "), ElementsAre("", "a", "b", ""));
  auto empty = Regex::Compile("", {}, false);
  ASSERT_TRUE(empty.ok());
  EXPECT_THAT(Pieces(**empty, "aäb"), ElementsAre("a", "ä", "b"));
}

TEST(RegexTest, KnowsPlainSeparators) {
  for (const char* pattern :
       {"\\s+", "\\s", " ", ",", "[ ,]+", "[,;]", "[[:space:]]+", "\\.", "\\d+"}) {
    auto regex = Regex::Compile(pattern, {}, false);
    ASSERT_TRUE(regex.ok()) << pattern;
    EXPECT_TRUE((*regex)->separator().has_value()) << pattern;
  }
  for (const char* pattern :
       {"", "ab", "a*", "a+?", "a{2}", "\\s*", "[^a]", "ä", ".", "\\W+", "a|b", "(,)", "^", ", "}) {
    auto regex = Regex::Compile(pattern, {}, false);
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
    auto regex = Regex::Compile(pattern, {}, false);
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
