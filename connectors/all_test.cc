// What the built-in connectors take and are capable of: an option of a format that would mean
// nothing is refused; the traits say what the engine relies on.
#include "connectors/all.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "connectors/plan_access.h"

namespace millrace {
namespace {

constexpr std::pair<const char*, const char*> kFormatOptions[] = {
    {"raw", "header"},      {"raw", "key.format"},     {"raw", "timestamp_unit"},
    {"json", "header"},     {"json", "key.format"},    {"json", "timestamp_unit"},
    {"json", "path.value"}, {"json", "null_string"},   {"csv", "header"},
    {"csv", "key.format"},  {"csv", "delimiter"},      {"csv", "null_string"},
    {"csv", "path.value"},  {"csv", "timestamp_unit"},
};

// The options of formats that the connector knows, as "format option".
template <typename Validate>
std::set<std::string> Known(const Validate& validate) {
  std::set<std::string> known;
  for (const auto& [format, option] : kFormatOptions) {
    const absl::Status status = validate(format, option);
    const std::string unknown = absl::StrCat("has no option \"", option, "\"");
    if (!absl::StrContains(status.message(), unknown)) {
      known.insert(absl::StrCat(format, " ", option));
    }
  }
  return known;
}

std::set<std::string> KnownToSource(const std::string& connector) {
  const auto registry = BuiltInConnectors();
  return Known([&](const char* format, const char* option) {
    proto::Source source;
    source.set_table("t");
    source.set_format(format);
    (*source.mutable_options())[option] = "x";
    const auto found = registry->Source(connector);
    return found.ok() ? (*found)->Validate(source) : found.status();
  });
}

std::set<std::string> KnownToSink(const std::string& connector) {
  const auto registry = BuiltInConnectors();
  return Known([&](const char* format, const char* option) {
    proto::Sink sink;
    sink.set_table("t");
    sink.set_format(format);
    (*sink.mutable_options())[option] = "x";
    const auto found = registry->Sink(connector);
    return found.ok() ? (*found)->Validate(sink) : found.status();
  });
}

using Names = std::set<std::string>;

TEST(FormatOptions, OfMessagesHaveKeysAndNoHeader) {
  EXPECT_EQ(KnownToSource("kafka"), (Names{"csv delimiter", "csv null_string", "json key.format",
                                           "json path.value", "json timestamp_unit"}));
  EXPECT_EQ(KnownToSink("kafka"),
            (Names{"csv delimiter", "csv null_string", "json key.format", "json path.value"}));
}

TEST(FormatOptions, OfFilesHaveAHeaderAndNoKeys) {
  EXPECT_EQ(KnownToSource("file"), (Names{"csv delimiter", "csv header", "csv null_string",
                                          "json path.value", "json timestamp_unit"}));
  EXPECT_EQ(KnownToSink("file"),
            (Names{"csv delimiter", "csv header", "csv null_string", "json path.value"}));
}

SourceTraits TraitsOf(const std::string& connector,
                      const std::map<std::string, std::string>& options) {
  proto::Source source;
  source.mutable_options()->insert(options.begin(), options.end());
  return (*BuiltInConnectors()->Source(connector))->Traits(source);
}

TEST(SourceTraits, FollowTheOptionsOfTheTable) {
  EXPECT_TRUE(TraitsOf("file", {{"path", "/d"}}).bounded);
  EXPECT_FALSE(TraitsOf("file", {{"path", "/d"}, {"follow", "true"}}).bounded);
  EXPECT_TRUE(TraitsOf("generator", {{"rows", "9"}}).bounded);
  EXPECT_FALSE(TraitsOf("generator", {}).bounded);
  EXPECT_FALSE(TraitsOf("generator", {{"rows", "9"}, {"rows_per_second", "1"}}).bounded);
  EXPECT_FALSE(TraitsOf("memory", {}).bounded);
  EXPECT_TRUE(TraitsOf("memory", {{"bounded", "true"}}).bounded);
  EXPECT_FALSE(TraitsOf("kafka", {{"topic", "t"}}).bounded);

  EXPECT_TRUE(TraitsOf("kafka", {{"topic", "/t.*/"}}).may_lose_partitions);
  EXPECT_FALSE(TraitsOf("kafka", {{"topic", "t"}}).may_lose_partitions);
  EXPECT_TRUE(TraitsOf("file", {}).may_lose_partitions);

  EXPECT_FALSE(TraitsOf("generator", {}).keeps_records);
  for (const char* connector : {"file", "kafka", "memory"}) {
    EXPECT_TRUE(TraitsOf(connector, {}).keeps_records) << connector;
  }
}

TEST(SourceTraits, SayNothingThatWrongOptionsDoNotSay) {
  EXPECT_FALSE(TraitsOf("file", {{"follow", "perhaps"}}).bounded);
  EXPECT_FALSE(TraitsOf("generator", {{"rows", "many"}}).bounded);
  EXPECT_FALSE(TraitsOf("memory", {{"bounded", "perhaps"}}).bounded);
  EXPECT_FALSE(TraitsOf("kafka", {}).may_lose_partitions);
  EXPECT_EQ(TraitsOf("file", {{"follow", "perhaps"}}).path_option, "path")
      << "a plan's paths are checked before its other options are";
}

TEST(PlanAccess, ChecksPathsOfFilesAndSecretsOfAll) {
  const auto registry = BuiltInConnectors(*AccessPolicy::Confined("millrace-driver", {}, {}));
  proto::JobPlan plan;
  proto::Source* source = plan.add_sources();
  source->set_connector("kafka");
  (*source->mutable_options())["path"] = "/anywhere";  // means nothing to Kafka
  proto::Sink* sink = plan.add_sinks();
  sink->set_connector("print");
  EXPECT_TRUE(CheckPlanAccess(*registry, plan).ok());

  source->set_connector("file");
  EXPECT_TRUE(absl::IsPermissionDenied(CheckPlanAccess(*registry, plan)));
  source->set_connector("generator");
  sink->set_connector("file");
  (*sink->mutable_options())["path"] = "/anywhere";
  EXPECT_TRUE(absl::IsPermissionDenied(CheckPlanAccess(*registry, plan)));

  sink->set_connector("print");
  (*source->mutable_options())["path"] = "${env:HOME}";
  EXPECT_TRUE(absl::IsPermissionDenied(CheckPlanAccess(*registry, plan)));
  source->set_connector("unknown");
  EXPECT_TRUE(absl::IsPermissionDenied(CheckPlanAccess(*registry, plan)));
}

TEST(ShowsRows, IsTrueOfAPlanWithASinkThatIsGathered) {
  const auto registry = BuiltInConnectors();
  proto::JobPlan plan;
  EXPECT_FALSE(registry->ShowsRows(plan));
  plan.add_sinks()->set_connector("kafka");
  plan.add_sinks()->set_connector("unknown");
  EXPECT_FALSE(registry->ShowsRows(plan));
  plan.add_sinks()->set_connector("print");
  EXPECT_TRUE(registry->ShowsRows(plan));
}

}  // namespace
}  // namespace millrace
