#include <set>

#include "common/base/failure_kind.h"
#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/base/units.h"
#include "common/base/uuid.h"
#include "gtest/gtest.h"

namespace millrace {
namespace {

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
