#include "common/config/settings.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace millrace {
namespace {

using ::testing::HasSubstr;

TEST(JobSettingsTest, DefaultsSurviveTheMap) {
  JobSettings defaults;
  absl::StatusOr<JobSettings> back = JobSettings::FromMap(defaults.ToMap());
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->ToMap(), defaults.ToMap());
  EXPECT_EQ(back->batch_duration, absl::Seconds(2));
  EXPECT_EQ(defaults.ToMap().size(), DescribeSettings().size());
}

TEST(JobSettingsTest, SetsEachKindOfValue) {
  JobSettings settings;
  EXPECT_TRUE(settings.Set("job_name", "counts").ok());
  EXPECT_TRUE(settings.Set("batch_duration", "10 ms").ok());
  EXPECT_TRUE(settings.Set("parallelism", "8").ok());
  EXPECT_TRUE(settings.Set("max_rate_per_partition", "5000").ok());
  EXPECT_TRUE(settings.Set("isolation_level", "read_uncommitted").ok());
  EXPECT_EQ(settings.job_name, "counts");
  EXPECT_EQ(settings.batch_duration, absl::Milliseconds(10));
  EXPECT_EQ(settings.parallelism, 8u);
  EXPECT_EQ(settings.max_rate_per_partition, 5000);
  EXPECT_EQ(settings.isolation_level, "read_uncommitted");
  absl::StatusOr<JobSettings> back = JobSettings::FromMap(settings.ToMap());
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->ToMap(), settings.ToMap());
}

TEST(JobSettingsTest, AWrongNameListsTheSettings) {
  JobSettings settings;
  absl::Status status = settings.Set("batch_durration", "2 s");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("batch_durration"));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("batch_duration, commit_interval, parallelism"));
}

TEST(JobSettingsTest, AWrongValueSaysTheAllowedOnesAndChangesNothing) {
  JobSettings settings;
  absl::Status status = settings.Set("isolation_level", "serializable");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("read_committed or read_uncommitted"));
  EXPECT_EQ(settings.isolation_level, "read_committed");
  EXPECT_FALSE(settings.Set("parallelism", "-1").ok());
  EXPECT_FALSE(settings.Set("parallelism", "8x").ok());
  EXPECT_FALSE(settings.Set("parallelism", "4097").ok());
  EXPECT_FALSE(settings.Set("key_groups", "0").ok());
  EXPECT_FALSE(settings.Set("batch_duration", "2 parsecs").ok());
  EXPECT_FALSE(settings.Set("state_backend", "disk").ok());
  EXPECT_EQ(settings.state_backend, "memory");
}

TEST(JobSettingsTest, TimeZonesAreThoseOfTheSystemsDataInAnyCase) {
  JobSettings settings;
  EXPECT_EQ(settings.timezone, "UTC");
  EXPECT_TRUE(settings.Set("timezone", "europe/BERLIN").ok());
  EXPECT_EQ(settings.timezone, "Europe/Berlin");
  EXPECT_TRUE(settings.Set("timezone", "2").ok());
  EXPECT_EQ(settings.timezone, "<+02:00:00>-02:00:00") << "east, unlike POSIX";
  for (const char* name : {"Europe/Atlantis", "../../etc/passwd", "/etc/localtime", "localtime",
                           "right/UTC", "zone.tab", "", "Europe", "Europe/", "200"}) {
    EXPECT_FALSE(settings.Set("timezone", name).ok()) << name;
  }
}

TEST(JobSettingsTest, UnknownNamesInAPlanAreRefused) {
  EXPECT_FALSE(JobSettings::FromMap({{"from_the_future", "1"}}).ok());
}

// A setting that nothing uses is refused, and yet plans in present journals, which have its
// default, can be read.
TEST(JobSettingsTest, SettingsOfEventTimeAreRefusedUntilSomethingHeedsThem) {
  JobSettings settings;
  for (const char* name : {"idle_timeout", "max_future", "max_drift"}) {
    const absl::Status status = settings.Set(name, "10 s");
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented) << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr(name));
  }
  EXPECT_TRUE(JobSettings::FromMap({{"idle_timeout", "10 s"}, {"max_future", "1 h"}}).ok());
}

TEST(JobSettingsTest, TargetBatchTimeFollowsTheBatchDuration) {
  JobSettings settings;
  EXPECT_EQ(settings.EffectiveTargetBatchTime(), absl::Seconds(2));
  settings.batch_duration = absl::ZeroDuration();
  EXPECT_EQ(settings.EffectiveTargetBatchTime(), absl::Seconds(1));
  settings.target_batch_time = absl::Milliseconds(300);
  EXPECT_EQ(settings.EffectiveTargetBatchTime(), absl::Milliseconds(300));
}

}  // namespace
}  // namespace millrace
