// What connectors share: options, secrets, the input hash, numbered partitions.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "connectors/shared/numbered_rows.h"
#include "connectors/shared/options.h"
#include "connectors/shared/record_hash.h"
#include "connectors/shared/secrets.h"

namespace millrace {
namespace {

OptionMap Options(const std::vector<std::pair<std::string, std::string>>& options) {
  OptionMap map;
  for (const auto& [name, value] : options) {
    map[name] = value;
  }
  return map;
}

TEST(NearNames, FindsTyposAndPartsOfNames) {
  std::vector<std::string> names = {"topic", "start", "bootstrap.servers", "group"};
  EXPECT_EQ(NearNames("topik", names), std::vector<std::string>{"topic"});
  EXPECT_EQ(NearNames("servers", names), std::vector<std::string>{"bootstrap.servers"});
  EXPECT_EQ(NearNames("Topic", names), std::vector<std::string>{"topic"});
  EXPECT_TRUE(NearNames("zzzzzzz", names).empty());
}

TEST(CheckOptionNames, ListsWhatIsAllowed) {
  EXPECT_TRUE(CheckOptionNames(Options({{"path", "x"}, {"format", "raw"}, {"on_error", "skip"}}),
                               "file", {"path"})
                  .ok());
  EXPECT_TRUE(CheckOptionNames(Options({{"path.word", "x"}}), "file", {"path.<column>"}).ok());
  EXPECT_FALSE(CheckOptionNames(Options({{"path.", "x"}}), "file", {"path.<column>"}).ok());
  EXPECT_EQ(CheckOptionNames(Options({{"pth", "x"}}), "file", {"path", "follow"}).message(),
            "connector file has no option \"pth\"; did you mean path? Allowed: follow, path");
  EXPECT_EQ(CheckOptionNames(Options({{"x", "y"}}), "print", {}).message(),
            "connector print has no option \"x\"; it has none");
}

TEST(Options, AreReadWithTheirBounds) {
  OptionMap options =
      Options({{"n", "12"}, {"bad", "12x"}, {"f", "0.5"}, {"on", "Yes"}, {"c", "b"}});
  EXPECT_EQ(*IntOption(options, "n", 0, 0, 12), 12);
  EXPECT_EQ(*IntOption(options, "absent", 7, 0, 12), 7);
  EXPECT_EQ(IntOption(options, "n", 0, 0, 11).status().message(),
            "option n = '12': allowed is an integer from 0 to 11");
  EXPECT_FALSE(IntOption(options, "bad", 0, 0, 100).ok());
  EXPECT_EQ(*DoubleOption(options, "f", 0, 0, 1), 0.5);
  EXPECT_TRUE(*BoolOption(options, "on", false));
  EXPECT_FALSE(BoolOption(options, "n", false).ok());
  EXPECT_EQ(*ChoiceOption(options, "c", "a", {"a", "b"}), "b");
  EXPECT_EQ(ChoiceOption(options, "n", "a", {"a", "b"}).status().message(),
            "option n = '12': allowed is one of a, b");
}

TEST(Secrets, AreReadFromEnvironmentAndFiles) {
  setenv("MILLRACE_TEST_SECRET", "s3cret", 1);
  std::string path = std::string(std::getenv("TEST_TMPDIR")) + "/secret";
  std::ofstream(path) << "from file\n";
  EXPECT_EQ(*ResolveSecrets("plain"), "plain");
  EXPECT_EQ(*ResolveSecrets("a ${env:MILLRACE_TEST_SECRET} b ${file:" + path + "}"),
            "a s3cret b from file");
  EXPECT_TRUE(absl::StrContains(ResolveSecrets("${env:MILLRACE_NOT_THERE}").status().message(),
                                "MILLRACE_NOT_THERE"));
  EXPECT_EQ(ResolveSecrets("${file:/no/such/file}").status().code(), absl::StatusCode::kNotFound);
  const std::string fifo = path + "-fifo";
  ASSERT_TRUE(mkfifo(fifo.c_str(), 0600) == 0 || errno == EEXIST);
  for (const std::string& endless : {fifo, std::string("/dev/zero")}) {  // would never be read
    EXPECT_TRUE(absl::StrContains(ResolveSecrets("${file:" + endless + "}").status().message(),
                                  "not a regular file"));
  }
  EXPECT_EQ(ResolveSecrets("${vault:x}").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(HasSecretReference("x ${env:A}"));
  EXPECT_FALSE(HasSecretReference("x $A"));
}

TEST(RecordHash, IsAFoldOverRecords) {
  RecordHash whole(0);
  whole.Add(1, {}, "a");
  whole.Add(2, "k", "b");
  RecordHash first(0);
  first.Add(1, {}, "a");
  RecordHash second(first.value());
  second.Add(2, "k", "b");
  EXPECT_EQ(whole.value(), second.value());
}

TEST(RecordHash, SeesEveryPartOfARecord) {
  auto hash = [](int64_t offset, std::string_view key, std::string_view value) {
    RecordHash one(0);
    one.Add(offset, key, value);
    return one.value();
  };
  std::string_view none;
  std::vector<uint64_t> hashes = {hash(1, none, "a"),  hash(2, none, "a"), hash(1, none, "b"),
                                  hash(1, "a", "a"),   hash(1, "", "a"),   hash(1, none, ""),
                                  hash(1, none, none), hash(1, "a", none)};
  std::sort(hashes.begin(), hashes.end());
  EXPECT_EQ(std::unique(hashes.begin(), hashes.end()), hashes.end());
  // The hash depends on order, although offsets never come out of order.
  RecordHash ab(0);
  ab.Add(1, none, "a");
  ab.Add(1, none, "b");
  RecordHash ba(0);
  ba.Add(1, none, "b");
  ba.Add(1, none, "a");
  EXPECT_NE(ab.value(), ba.value());
}

TEST(NumberedRows, APartitionIsKnownByItsNumber) {
  EXPECT_EQ(*PartitionNumber("memory/12", "memory"), 12u);
  EXPECT_EQ(*PartitionNumber("memory/1", "memory", 2), 1u);
  EXPECT_EQ(PartitionNumber("memory/2", "memory", 2).status().message(),
            "there is no partition \"memory/2\"; there are 2; the first is memory/0");
  for (const char* name : {"memory", "memory/", "memory/-1", "memory/x", "topic/1", "memory/1#2"}) {
    EXPECT_EQ(PartitionNumber(name, "memory").status().code(), absl::StatusCode::kNotFound) << name;
  }
}

TEST(ReadPositions, AnUnassignedPartitionHasNone) {
  ReadPositions positions;
  EXPECT_EQ(positions.Get("memory/0").status().message(), "partition memory/0 is not assigned");
  positions.Assign({"memory/0", Offset(7)});
  positions.Set("memory/0", Offset(9));
  EXPECT_EQ(*positions.Get("memory/0"), 9);
  positions.Unassign("memory/0");
  positions.Set("memory/0", Offset(11));
  EXPECT_TRUE(positions.All().empty());
}

}  // namespace
}  // namespace millrace
