// Driver, executors and a mock Kafka in one process: what the sanitizers can see of the whole path.
// Results are compared with a plain loop over the same lines.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/local_engine.h"
#include "connectors/kafka/admin/admin.h"
#include "connectors/kafka/testing/mock_cluster.h"
#include "tests/harness/job_results.h"

namespace millrace {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kTimeout = absl::Seconds(60);
constexpr int kPartitions = 4;

std::vector<std::string> MakeLines(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::string> lines;
  for (size_t i = 0; i < count; ++i) {
    std::string line;
    for (uint32_t words = 1 + random() % 8; words > 0; --words) {
      absl::StrAppend(&line, line.empty() ? "" : " ", "word", random() % 50);
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

// The reference: "word\tcount" with weight 1.
WeightedRows CountWords(const std::vector<std::string>& lines) {
  std::map<std::string, int64_t> counts;
  for (const std::string& line : lines) {
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      ++counts[word];
    }
  }
  WeightedRows rows;
  for (const auto& [word, count] : counts) {
    rows[absl::StrCat(word, "\t", count)] = 1;
  }
  return rows;
}

class InProcessTest : public testing::Test {
 protected:
  InProcessTest() {
    auto kafka = kafka::StartMockKafkaCluster();
    EXPECT_TRUE(kafka.ok()) << kafka.status();
    kafka_ = *std::move(kafka);
    const absl::Status created = kafka_->CreateTopic("lines", kPartitions);
    EXPECT_TRUE(created.ok()) << created;
  }

  void Produce(const std::vector<std::string>& lines) {
    auto producer = kafka::NewKafkaRecordProducer(
        {{"bootstrap.servers", kafka_->bootstrap_servers()}}, "lines", kTimeout);
    ASSERT_TRUE(producer.ok()) << producer.status();
    for (const std::string& line : lines) {
      ASSERT_TRUE((*producer)->Send(std::nullopt, line, next_partition_++ % kPartitions).ok());
    }
    const absl::Status flushed = (*producer)->Flush(kTimeout);
    ASSERT_TRUE(flushed.ok()) << flushed;
  }

  std::string Script(const std::string& group_by = "word", const std::string& settings = "") {
    return absl::StrCat(
        settings,
        "SET batch_duration = '20 ms';\n"
        "CREATE TABLE lines (value text) WITH (connector = 'kafka', \"bootstrap.servers\" = '",
        kafka_->bootstrap_servers(),
        "', topic = 'lines', format = 'raw');\n"
        "CREATE TABLE counts (word text, count bigint) WITH (connector = 'print');\n"
        "INSERT INTO counts SELECT word, count(*) FROM lines, "
        "regexp_split_to_table(value, '\\s+') AS word GROUP BY ",
        group_by, ";\n");
  }

  static std::unique_ptr<client::LocalEngine> StartEngine(
      const client::LocalEngineOptions& options) {
    auto engine = client::LocalEngine::Start(options);
    EXPECT_TRUE(engine.ok()) << engine.status();
    return engine.ok() ? *std::move(engine) : nullptr;
  }

  std::unique_ptr<kafka::MockKafkaCluster> kafka_;
  int next_partition_ = 0;
};

// A job that goes on: its rows are gathered by a thread of their own until it ends.
class RunningJob {
 public:
  RunningJob(client::LocalEngine& engine, const std::string& script, const std::string& name)
      : engine_(engine), name_(name) {
    proto::SubmitRequest request;
    request.set_sql(script);
    request.set_name(name);
    const auto submitted = engine.client().Submit(request);
    EXPECT_TRUE(submitted.ok()) << submitted.status();
    if (submitted.ok()) {
      follower_ = std::thread([this] { Follow(); });
    }
  }
  ~RunningJob() {
    if (follower_.joinable()) {
      Stop();
    }
  }

  int64_t records() const {
    const auto job = engine_.client().Show(name_);
    return job.ok() ? job->summary().records() : -1;
  }
  void WaitForRecords(int64_t count) {
    const absl::Status reached =
        WaitUntil([&] { return records() >= count; }, kTimeout, absl::StrCat(count, " records"));
    EXPECT_TRUE(reached.ok()) << reached << "; it has " << records();
  }
  // Drains; everything that was shown, summed up.
  WeightedRows Stop() {
    const auto stopped = engine_.client().Stop(name_, /*cancel=*/false);
    EXPECT_TRUE(stopped.ok()) << stopped.status();
    if (follower_.joinable()) {
      follower_.join();
    }
    EXPECT_EQ(phase_, proto::PHASE_STOPPED);
    return rows_;
  }

 private:
  void Follow() {
    proto::ResultsRequest request;
    request.set_name(name_);
    request.set_follow(true);
    const absl::Status followed =
        engine_.client().Results(request, [this](const proto::BatchResults& results) {
          phase_ = results.phase() == proto::PHASE_UNKNOWN ? phase_ : results.phase();
          return AddRows(results, &rows_).ok();
        });
    EXPECT_TRUE(followed.ok()) << followed;
  }

  client::LocalEngine& engine_;
  std::string name_;
  WeightedRows rows_;
  proto::JobPhase phase_ = proto::PHASE_UNKNOWN;
  std::thread follower_;
};

// Print shows new values only: the last count of each word is what was shown last, and the largest.
WeightedRows LargestCounts(const WeightedRows& shown) {
  std::map<std::string, int64_t> largest;
  for (const auto& [row, weight] : shown) {
    const size_t tab = row.find('\t');
    int64_t& count = largest[row.substr(0, tab)];
    count = std::max(count, static_cast<int64_t>(std::stoll(row.substr(tab + 1))));
  }
  WeightedRows rows;
  for (const auto& [word, count] : largest) {
    rows[absl::StrCat(word, "\t", count)] = 1;
  }
  return rows;
}

TEST_F(InProcessTest, WordCountEqualsAPlainLoopOnOneTwoAndThreeExecutors) {
  const std::vector<std::string> lines = MakeLines(2000, 1);
  Produce(lines);
  for (uint32_t executors = 1; executors <= 3; ++executors) {
    const auto engine = StartEngine({.slots = 2, .executors = executors});
    ASSERT_NE(engine, nullptr);
    const auto rows = RunJob(*engine, Script());
    ASSERT_TRUE(rows.ok()) << rows.status();
    EXPECT_EQ(LargestCounts(*rows), CountWords(lines)) << executors << " executors";
  }
}

TEST_F(InProcessTest, CountsPerBatchAddUpToTheWhole) {
  const std::vector<std::string> lines = MakeLines(1000, 2);
  const auto engine = StartEngine({.slots = 2});
  ASSERT_NE(engine, nullptr);
  RunningJob job(*engine, Script("word, batch_time()"), "words");
  for (size_t begin = 0; begin < lines.size(); begin += 250) {
    Produce({lines.begin() + static_cast<ptrdiff_t>(begin),
             lines.begin() + static_cast<ptrdiff_t>(begin + 250)});
    job.WaitForRecords(static_cast<int64_t>(begin) + 250);
  }
  std::map<std::string, int64_t> sums;
  for (const auto& [row, weight] : job.Stop()) {
    const size_t tab = row.find('\t');
    sums[row.substr(0, tab)] += weight * std::stoll(row.substr(tab + 1));
  }
  WeightedRows rows;
  for (const auto& [word, count] : sums) {
    rows[absl::StrCat(word, "\t", count)] = 1;
  }
  EXPECT_EQ(rows, CountWords(lines));
}

TEST_F(InProcessTest, ExecutorsThatComeAndGoChangeNoResult) {
  const std::vector<std::string> lines = MakeLines(3000, 3);
  const auto engine = StartEngine({.slots = 2, .executors = 2});
  ASSERT_NE(engine, nullptr);
  RunningJob job(*engine, Script(), "words");
  Produce({lines.begin(), lines.begin() + 1000});
  job.WaitForRecords(1000);
  ASSERT_TRUE(engine->AddExecutor().ok());
  Produce({lines.begin() + 1000, lines.begin() + 2000});
  engine->KillExecutor();
  Produce({lines.begin() + 2000, lines.end()});
  job.WaitForRecords(3000);
  EXPECT_EQ(LargestCounts(job.Stop()), CountWords(lines));
}

// A message that is not UTF-8 is refused by whoever receives it, so that its job stands still.
TEST_F(InProcessTest, RowErrorsAboutNonAsciiTextEndTheirJobOrTheirRow) {
  const auto engine = StartEngine({.slots = 2});
  ASSERT_NE(engine, nullptr);
  Produce({"c3a9", "é", "zz", "c3"});
  for (const std::string& decode :
       {std::string("decode(value, 'hex')"), std::string("('\\x' || value)::bytea")}) {
    const auto script = [&](const std::string& on_error) {
      return absl::StrCat(
          "CREATE TABLE lines (value text) WITH (connector = 'kafka', \"bootstrap.servers\" = '",
          kafka_->bootstrap_servers(), "', topic = 'lines', format = 'raw', on_error = '", on_error,
          "');\nCREATE TABLE failed (error text) WITH (connector = 'print');\n"
          "CREATE TABLE shown (bytes bytea) WITH (connector = 'print');\n"
          "INSERT INTO shown SELECT ",
          decode, " FROM lines;\n");
    };
    const auto failed = RunJob(*engine, script("fail"));
    EXPECT_EQ(failed.status().code(), absl::StatusCode::kAborted) << failed.status();
    EXPECT_THAT(failed.status().message(), HasSubstr("invalid hexadecimal digit"));
    const auto skipped = RunJob(*engine, script("skip"));
    ASSERT_TRUE(skipped.ok()) << skipped.status();
    EXPECT_EQ(skipped->size(), 2u);
    const auto kept = RunJob(*engine, script("table:failed"));
    ASSERT_TRUE(kept.ok()) << kept.status();
    EXPECT_EQ(kept->size(), 4u);
  }
}

TEST_F(InProcessTest, TwoJobsAtOnceReadTheSameTopic) {
  const std::vector<std::string> lines = MakeLines(1000, 4);
  const auto engine = StartEngine({.slots = 2, .executors = 2});
  ASSERT_NE(engine, nullptr);
  RunningJob first(*engine, Script(), "first");
  RunningJob second(*engine, Script(), "second");
  Produce(lines);
  first.WaitForRecords(1000);
  second.WaitForRecords(1000);
  EXPECT_EQ(LargestCounts(first.Stop()), CountWords(lines));
  EXPECT_EQ(LargestCounts(second.Stop()), CountWords(lines));
}

TEST_F(InProcessTest, AJobGoesOnFromItsJournalInANewEngine) {
  const std::vector<std::string> lines = MakeLines(2000, 5);
  const std::string directory = testing::TempDir() + "/journal";
  std::filesystem::remove_all(directory);
  WeightedRows shown;
  for (int half = 0; half < 2; ++half) {
    const auto engine = StartEngine({.directory = directory, .slots = 2});
    ASSERT_NE(engine, nullptr);
    Produce({lines.begin() + half * 1000, lines.begin() + (half + 1) * 1000});
    RunningJob job(*engine, Script(), "words");
    const absl::Status read = WaitUntil(
        [&] {
          const auto lag = engine->client().Lag("words");
          int64_t committed = 0;
          for (int i = 0; lag.ok() && i < lag->partitions_size(); ++i) {
            committed += lag->partitions(i).committed();
          }
          return committed == (half + 1) * 1000;
        },
        kTimeout, "everything is committed");
    ASSERT_TRUE(read.ok()) << read;
    for (const auto& [row, weight] : job.Stop()) {
      shown[row] += weight;
    }
  }
  EXPECT_EQ(LargestCounts(shown), CountWords(lines));
}

TEST_F(InProcessTest, AnErrorInARowFailsTheJobAndNamesTheRecord) {
  Produce({"7", "0"});
  const auto engine = StartEngine({.slots = 2});
  ASSERT_NE(engine, nullptr);
  const std::string script = absl::StrReplaceAll(
      Script(),
      {{"SELECT word, count(*)", "SELECT word, 10 / word::bigint"}, {" GROUP BY word", ""}});
  const auto rows = RunJob(*engine, script);
  ASSERT_FALSE(rows.ok());
  const std::string message(rows.status().message());
  EXPECT_NE(message.find("division by zero"), std::string::npos) << message;
  EXPECT_NE(message.find("table \"lines\", record at offset 0 of partition lines/1"),
            std::string::npos)
      << message;
}

}  // namespace
}  // namespace millrace
