#include <set>
#include <string>

#include "absl/status/status.h"
#include "common/base/excerpt.h"
#include "common/base/failure_kind.h"
#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/base/units.h"
#include "common/base/utf8.h"
#include "common/base/uuid.h"
#include "gtest/gtest.h"

namespace millrace {
namespace {

TEST(ExcerptTest, ShortTextStaysAsItIs) {
  EXPECT_EQ(Excerpt("short"), "short");
  EXPECT_EQ(Excerpt(std::string(kMaxMessageBytes, 'x')), std::string(kMaxMessageBytes, 'x'));
}

TEST(ExcerptTest, LongTextKeepsBeginningAndEndAndSaysWhatIsMissing) {
  const std::string text = "invalid input: \"" + std::string(8 << 20, 'x') + "\" at line 7";
  const std::string cut = Excerpt(text);
  EXPECT_LE(cut.size(), kMaxMessageBytes);
  EXPECT_EQ(cut.substr(0, 20), text.substr(0, 20));
  EXPECT_EQ(cut.substr(cut.size() - 11), "\" at line 7");
  const size_t begin = cut.find("… (") + std::string("… (").size();
  const size_t left_out = std::stoull(cut.substr(begin));
  const size_t kept = cut.size() - (std::string("… (").size() + std::to_string(left_out).size() +
                                    std::string(" bytes left out) …").size());
  EXPECT_EQ(left_out + kept, text.size());
}

TEST(ExcerptTest, CharactersAreNotCut) {
  for (size_t shift = 0; shift < 4; ++shift) {
    std::string text(shift, 'a');
    for (int i = 0; i < 2000; ++i) {
      text += "€";
    }
    const std::string cut = Excerpt(text, 100);
    EXPECT_LE(cut.size(), 100u);
    const std::string head = cut.substr(0, cut.find("… ("));
    EXPECT_EQ((head.size() - shift) % 3, 0u) << cut;
    const std::string tail = cut.substr(cut.rfind(" …") + 4);
    EXPECT_EQ(tail.size() % 3, 0u) << cut;
  }
}

TEST(ExcerptTest, BytesThatAreNotUtf8AreEscaped) {
  EXPECT_EQ(Excerpt("\xC3"), "\\xc3");
  EXPECT_EQ(Excerpt("é\xC3\xA9\xFFz"), "éé\\xffz");
  EXPECT_TRUE(IsUtf8(Excerpt(std::string(5000, '\xFF'))));
  EXPECT_LE(Excerpt(std::string(5000, '\xFF')).size(), kMaxMessageBytes);
  EXPECT_EQ(WithExcerpt(absl::AbortedError("\"\xC3\"")), absl::AbortedError("\"\\xc3\""));
}

TEST(Utf8Test, RefusesWhatProtocolBuffersRefuse) {
  for (const char* const text :
       {"", "a", "é", "漢", "😀", "\xED\x9F\xBF", "\xEE\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(IsUtf8(text)) << EscapeInvalidUtf8(text);
  }
  for (const char* const text :
       {"\x80", "\xC3", "\xC3z", "\xC0\xAF", "\xE0\x9F\xBF", "\xE6\xBC", "\xED\xA0\x80",
        "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80"}) {
    EXPECT_FALSE(IsUtf8(text)) << EscapeInvalidUtf8(text);
  }
}

TEST(ExcerptTest, StatusKeepsItsCode) {
  const absl::Status cut = WithExcerpt(absl::AbortedError(std::string(1 << 20, 'x')));
  EXPECT_TRUE(absl::IsAborted(cut));
  EXPECT_LE(cut.message().size(), kMaxMessageBytes);
  EXPECT_TRUE(WithExcerpt(absl::OkStatus()).ok());
}

TEST(UnitsTest, ParsesDurationsAsPeopleWriteThem) {
  EXPECT_EQ(*ParseDuration("2 s"), absl::Seconds(2));
  EXPECT_EQ(*ParseDuration("10ms"), absl::Milliseconds(10));
  EXPECT_EQ(*ParseDuration(" 1.5 min "), absl::Seconds(90));
  EXPECT_EQ(*ParseDuration("0"), absl::ZeroDuration());
}

TEST(UnitsTest, RefusesDurationsWithoutUnitAndNegativeOnes) {
  EXPECT_FALSE(ParseDuration("2").ok());
  EXPECT_FALSE(ParseDuration("-1 s").ok());
  EXPECT_FALSE(ParseDuration("soon").ok());
  EXPECT_FALSE(ParseDuration("").ok());
  EXPECT_NE(ParseDuration("3 parsec").status().message().find("ms, s, min"),
            absl::string_view::npos);
}

TEST(UnitsTest, FormattedDurationsReadBack) {
  for (int64_t us : {0LL, 1LL, 999LL, 1000LL, 1500000LL, 3600000000LL, 86400000000LL, 90000000LL}) {
    absl::Duration duration = absl::Microseconds(us);
    EXPECT_EQ(*ParseDuration(DurationToString(duration)), duration) << DurationToString(duration);
  }
}

TEST(UnitsTest, ParsesAndFormatsBytes) {
  EXPECT_EQ(*ParseBytes("64 MiB"), 64 << 20);
  EXPECT_EQ(*ParseBytes("1kB"), 1000);
  EXPECT_EQ(*ParseBytes("17"), 17);
  EXPECT_FALSE(ParseBytes("1 furlong").ok());
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
}

TEST(FailureKindTest, FollowsFromTheCodeUnlessTheErrorSaysOtherwise) {
  EXPECT_EQ(FailureKindOf(absl::UnavailableError("broker away")), FailureKind::kEnvironment);
  EXPECT_EQ(FailureKindOf(absl::DeadlineExceededError("slow")), FailureKind::kEnvironment);
  EXPECT_EQ(FailureKindOf(absl::AbortedError("fenced")), FailureKind::kUndecided);
  EXPECT_EQ(FailureKindOf(absl::InternalError("odd")), FailureKind::kUndecided);
  EXPECT_EQ(FailureKindOf(absl::InvalidArgumentError("bad record")), FailureKind::kCertain);
  EXPECT_EQ(FailureKindOf(absl::ResourceExhaustedError("too many rows")), FailureKind::kCertain);
}

TEST(FailureKindTest, StaysWithAnErrorThatIsPassedOn) {
  const absl::Status full = WithFailureKind(absl::ResourceExhaustedError("no space left on device"),
                                            FailureKind::kEnvironment);
  EXPECT_EQ(FailureKindOf(Annotate(Annotate(full, "writing"), "table out")),
            FailureKind::kEnvironment);
}

TEST(UuidTest, IsVersion4AndDiffers) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    std::string uuid = NewUuid();
    ASSERT_EQ(uuid.size(), 36u);
    EXPECT_EQ(uuid[14], '4');
    EXPECT_TRUE(seen.insert(uuid).second);
  }
}

}  // namespace
}  // namespace millrace
