// Jobs from Kafka to Kafka whose input or output is much more than an executor may hold: batches
// fit into --memory, and nothing is lost or twice. A real broker, since the mock keeps 5 MB of a
// partition and has no real transactions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/local_engine.h"
#include "connectors/kafka/admin/admin.h"
#include "tests/harness/job_results.h"
#include "tests/harness/kafka_broker.h"

namespace millrace {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kTimeout = absl::Seconds(60);
constexpr int64_t kMemoryBytes = 8 << 20;  // half of it for what sinks hold
constexpr char kAtLeastOnce[] = ", delivery = 'at_least_once'";

class MemoryTest : public testing::Test {
 protected:
  MemoryTest() : in_(Fresh("in")), out_(Fresh("out")) {
    auto admin = kafka::KafkaAdmin::Create(Properties());
    EXPECT_TRUE(admin.ok()) << admin.status();
    for (const std::string& topic : {in_, out_}) {
      const absl::Status created = (*admin)->CreateTopic(
          {.name = topic, .partitions = 4, .config = {{"max.message.bytes", "50000000"}}},
          kTimeout);
      EXPECT_TRUE(created.ok()) << created;
    }
    auto engine = client::LocalEngine::Start({.slots = 2, .memory_bytes = kMemoryBytes});
    EXPECT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }

  static kafka::KafkaProperties Properties() {
    return {{"bootstrap.servers", KafkaBroker::Shared().bootstrap_servers()}};
  }
  static std::string Fresh(const std::string& stem) {
    static int next = 0;
    return absl::StrCat(stem, next++);
  }

  // All into one of the four partitions. `record` gives the value of each.
  template <typename Record>
  void Produce(int64_t count, const Record& record) {
    auto producer = kafka::NewKafkaRecordProducer(Properties(), in_, kTimeout);
    ASSERT_TRUE(producer.ok()) << producer.status();
    for (int64_t i = 0; i < count; ++i) {
      ASSERT_TRUE((*producer)->Send(std::nullopt, record(i), 2).ok());
    }
    const absl::Status flushed = (*producer)->Flush(kTimeout);
    ASSERT_TRUE(flushed.ok()) << flushed;
  }

  std::string Script(const std::string& query, const std::string& out_options = "") const {
    const std::string options =
        absl::StrCat("connector = 'kafka', format = 'raw', \"bootstrap.servers\" = '",
                     KafkaBroker::Shared().bootstrap_servers(), "', topic = '");
    return absl::StrCat("SET batch_duration = '20 ms';\nCREATE TABLE \"in\" (value text) WITH (",
                        options, in_, "');\nCREATE TABLE \"out\" (value text) WITH (", options,
                        out_, "', \"message.max.bytes\" = '50000000'", out_options,
                        ");\nINSERT INTO \"out\" ", query, ";\n");
  }

  // How often each value came out; what a value is longer than its number is left out.
  std::map<int64_t, int64_t> Output() const {
    std::map<int64_t, int64_t> times;
    const absl::Status read = kafka::ConsumeKafka(
        Properties(), {.topic = out_}, kTimeout,
        [&](const kafka::KafkaRecordView& record) {
          ++times[std::atoll(std::string(record.value.value_or("-1").substr(0, 8)).c_str())];
          return true;
        },
        [] { return false; });
    EXPECT_TRUE(read.ok()) << read;
    return times;
  }

  void ExpectEachOnce(int64_t count) const {
    const std::map<int64_t, int64_t> output = Output();
    EXPECT_EQ(static_cast<int64_t>(output.size()), count);
    for (const auto& [number, times] : output) {
      ASSERT_EQ(times, 1) << "record " << number;
    }
  }

  const std::string in_;
  const std::string out_;
  std::unique_ptr<client::LocalEngine> engine_;
};

// A number of eight digits, and so many bytes more.
std::string Numbered(int64_t number, size_t bytes) {
  std::string text = absl::StrCat(number);
  return std::string(8 - text.size(), '0') + text + std::string(bytes, '.');
}

TEST_F(MemoryTest, ABacklogInOnePartitionGoesThroughInBatchesThatFit) {
  constexpr int64_t kRecords = 5000;  // 20 MB
  Produce(kRecords, [](int64_t i) { return Numbered(i, 4000); });
  const auto ran = RunJob(*engine_, Script("SELECT value FROM \"in\""));
  ASSERT_TRUE(ran.ok()) << ran.status();
  ExpectEachOnce(kRecords);
}

// Without transactions nothing hides rows before their commit.
TEST_F(MemoryTest, RecordsThatBecomeAThousandTimesAsLargeAreTakenInSmallerBatches) {
  constexpr int64_t kRecords = 300;  // 30 MB of output
  Produce(kRecords, [](int64_t i) { return Numbered(i, 92); });
  const auto ran = RunJob(*engine_, Script("SELECT repeat(value, 1000) FROM \"in\"", kAtLeastOnce));
  ASSERT_TRUE(ran.ok()) << ran.status();
  EXPECT_EQ(Output().size(), static_cast<size_t>(kRecords));
  const auto jobs = engine_->client().List();
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  EXPECT_GT(jobs->jobs(0).restarts(), 0);
}

// The output of one batch is many times the memory for it, and yet the batch need not be made
// smaller.
TEST_F(MemoryTest, ABatchThatBecomesMuchLargerThanMemoryIsCommittedAsPlanned) {
  constexpr int64_t kRecords = 300;  // 30 MB of output, in the first batch
  Produce(kRecords, [](int64_t i) { return Numbered(i, 92); });
  const auto ran = RunJob(*engine_, Script("SELECT repeat(value, 1000) FROM \"in\""));
  ASSERT_TRUE(ran.ok()) << ran.status();
  ExpectEachOnce(kRecords);
  const auto jobs = engine_->client().List();
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  ASSERT_EQ(jobs->jobs().size(), 1);
  EXPECT_EQ(jobs->jobs(0).restarts(), 0) << jobs->jobs(0).message();
}

TEST_F(MemoryTest, FewLargeRecordsAmongManySmallOnes) {
  constexpr int64_t kRecords = 2000;
  Produce(kRecords, [](int64_t i) { return Numbered(i, i % 100 == 50 ? 900'000 : 10); });
  const auto ran = RunJob(*engine_, Script("SELECT value FROM \"in\""));
  ASSERT_TRUE(ran.ok()) << ran.status();
  ExpectEachOnce(kRecords);
}

TEST_F(MemoryTest, ARecordThatNeedsTooMuchAloneIsNamed) {
  Produce(10, [](int64_t i) { return i == 7 ? Numbered(i, 92) : Numbered(i, 0); });
  const auto ran =
      RunJob(*engine_,
             Script("SELECT CASE WHEN length(value) > 50 THEN repeat(value, 100000) ELSE value END "
                    "FROM \"in\"",
                    kAtLeastOnce));
  ASSERT_EQ(ran.status().code(), absl::StatusCode::kAborted) << ran.status();
  const std::string message(ran.status().message());
  EXPECT_THAT(message, HasSubstr(absl::StrCat("offset 7 of partition ", in_, "/2")));
  EXPECT_THAT(message, HasSubstr("table \"in\""));
  EXPECT_THAT(message, HasSubstr("--memory"));
  EXPECT_LE(Output().size(), 7u) << "nothing beyond it";
}

}  // namespace
}  // namespace millrace
