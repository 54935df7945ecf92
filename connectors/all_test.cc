// Which options of formats each connector takes: one that would mean nothing is refused.
#include "connectors/all.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

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

}  // namespace
}  // namespace millrace
