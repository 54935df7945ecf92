// on_error = 'table:NAME' along the whole path in one process: what cannot be used is set aside
// once, with all that is known of it, and nothing else is missing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/local_engine.h"
#include "connectors/kafka/admin/admin.h"
#include "connectors/kafka/testing/mock_cluster.h"
#include "connectors/memory/memory_tables.h"
#include "tests/harness/job_results.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr absl::Duration kTimeout = absl::Seconds(60);

struct Record {
  std::optional<std::string> key;
  std::optional<std::string> value;
};

class PoisonTest : public testing::Test {
 protected:
  PoisonTest() {
    auto kafka = kafka::StartMockKafkaCluster();
    EXPECT_TRUE(kafka.ok()) << kafka.status();
    kafka_ = *std::move(kafka);
    const absl::Status created = kafka_->CreateTopic("events", 2);
    EXPECT_TRUE(created.ok()) << created;
    memory::MemoryTables::Global().Drop(dead_);
  }

  void Produce(int32_t partition, const std::vector<Record>& records) {
    auto producer = kafka::NewKafkaRecordProducer(
        {{"bootstrap.servers", kafka_->bootstrap_servers()}}, "events", kTimeout);
    ASSERT_TRUE(producer.ok()) << producer.status();
    for (const Record& record : records) {
      ASSERT_TRUE((*producer)->Send(record.key, record.value, partition).ok());
    }
    const absl::Status flushed = (*producer)->Flush(kTimeout);
    ASSERT_TRUE(flushed.ok()) << flushed;
  }

  // Numbers from the topic, failed records into a memory table with `columns`, and the INSERTs.
  std::string Script(const std::string& columns, const std::string& inserts,
                     const std::string& on_error = "table:dead") {
    return absl::StrCat(
        "SET batch_duration = '20 ms';\n"
        "CREATE TABLE events (n bigint) WITH (connector = 'kafka', \"bootstrap.servers\" = '",
        kafka_->bootstrap_servers(), "', topic = 'events', format = 'json', on_error = '", on_error,
        "');\n", "CREATE TABLE dead (", columns, ") WITH (connector = 'memory', \"table\" = '",
        dead_, "');\n", "CREATE TABLE shown (n bigint) WITH (connector = 'print');\n", inserts);
  }

  // A table "out" of a new topic, whose records may have 2,000 bytes.
  std::string SmallTopic(const std::string& topic) {
    const absl::Status created = kafka_->CreateTopic(topic, 1);
    EXPECT_TRUE(created.ok()) << created;
    return absl::StrCat(
        "CREATE TABLE \"out\" (value text) WITH (connector = 'kafka', "
        "\"bootstrap.servers\" = '",
        kafka_->bootstrap_servers(), "', topic = '", topic,
        "', format = 'raw', \"message.max.bytes\" = '2000');\n");
  }

  std::vector<std::string> ValuesOf(const std::string& topic) {
    std::vector<std::string> values;
    const absl::Status read = kafka::ConsumeKafka(
        {{"bootstrap.servers", kafka_->bootstrap_servers()}}, {.topic = topic}, kTimeout,
        [&](const kafka::KafkaRecordView& record) {
          values.emplace_back(record.value.value_or("NULL"));
          return true;
        },
        [] { return false; });
    EXPECT_TRUE(read.ok()) << read;
    return values;
  }

  // Rows of the error table in the order of their commit, one shard after another.
  std::vector<std::string> Dead() const {
    std::map<uint32_t, std::vector<std::string>> by_shard;
    for (const memory::MemoryTable::Committed& committed :
         memory::MemoryTables::Global().Table(dead_)->committed()) {
      for (size_t i = 0; i < committed.rows.row_count(); ++i) {
        const uint32_t row = committed.rows.rows()[i];
        WeightedRows one;
        AddBatch(committed.rows.TakeRows(&row, 1), &one);
        by_shard[committed.shard].push_back(one.begin()->first);
      }
    }
    std::vector<std::string> rows;
    for (const auto& [shard, lines] : by_shard) {
      rows.insert(rows.end(), lines.begin(), lines.end());
    }
    return rows;
  }

  static std::unique_ptr<client::LocalEngine> StartEngine(
      const client::LocalEngineOptions& options) {
    auto engine = client::LocalEngine::Start(options);
    EXPECT_TRUE(engine.ok()) << engine.status();
    return engine.ok() ? *std::move(engine) : nullptr;
  }

  // Of this test alone.
  const std::string dead_ = testing::UnitTest::GetInstance()->current_test_info()->name();
  std::unique_ptr<kafka::MockKafkaCluster> kafka_;
};

TEST_F(PoisonTest, GarbageAndFailedExpressionsAreSetAsideWithAllThatIsKnown) {
  Produce(0, {{"a", "{\"n\": 5}"}, {"b", "{\"n\": 5"}, {std::nullopt, "{\"n\": 0}"}});
  Produce(1, {{"d", "no\tJSON \xff"}, {"e", "{\"n\": 2}"}});
  const auto engine = StartEngine({.slots = 2});
  ASSERT_NE(engine, nullptr);
  const auto rows =
      RunJob(*engine, Script("topic text, partition int, \"offset\" bigint, key text, value bytea",
                             "INSERT INTO shown SELECT 10 / n FROM events"));
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(*rows, (WeightedRows{{"2", 1}, {"5", 1}}));
  EXPECT_THAT(Dead(), ElementsAre("events\t0\t1\tb\t\\\\x7b226e223a2035",
                                  "events\t0\t2\t\\N\t\\\\x7b226e223a20307d",
                                  "events\t1\t0\td\t\\\\x6e6f094a534f4e20ff"));
}

TEST_F(PoisonTest, ErrorsReadAsTheJobWouldTellThem) {
  Produce(0, {{std::nullopt, "{\"n\": 0}"}, {std::nullopt, "[]"}});
  const auto engine = StartEngine({.slots = 2});
  ASSERT_NE(engine, nullptr);
  const auto rows = RunJob(*engine, Script("error text, \"timestamp\" timestamptz",
                                           "INSERT INTO shown SELECT 10 / n FROM events"));
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_THAT(*rows, IsEmpty());
  EXPECT_THAT(Dead(), ElementsAre(testing::AllOf(
                                      HasSubstr("table \"events\", record at offset 0 of partition "
                                                "events/0: division by zero\t20"),
                                      HasSubstr("+00")),
                                  HasSubstr("record at offset 1 of partition events/0")));
}

TEST_F(PoisonTest, ARecordThatFailsInTwoQueriesIsSetAsideOnceAndStaysInAThird) {
  Produce(0, {{std::nullopt, "{\"n\": 0}"}, {std::nullopt, "{\"n\": 10}"}});
  const auto engine = StartEngine({.slots = 2});
  ASSERT_NE(engine, nullptr);
  const auto rows = RunJob(*engine, Script("\"offset\" bigint",
                                           "INSERT INTO shown SELECT 10 / n FROM events;\n"
                                           "INSERT INTO shown SELECT 20 / n FROM events;\n"
                                           "INSERT INTO shown SELECT n + 100 FROM events;\n"));
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(*rows, (WeightedRows{{"1", 1}, {"2", 1}, {"100", 1}, {"110", 1}}));
  EXPECT_THAT(Dead(), ElementsAre("0"));
  const auto jobs = engine->client().List();
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  EXPECT_EQ(jobs->jobs(0).skipped_records(), 1);
}

TEST_F(PoisonTest, BehindAnExchangeThereIsNoRecordToSetAside) {
  Produce(0, {{std::nullopt, "{\"n\": 1}"}});
  const auto engine = StartEngine({.slots = 2});
  ASSERT_NE(engine, nullptr);
  const std::string insert = "INSERT INTO shown SELECT 10 / (count(*) - 1) FROM events GROUP BY n";
  const auto failed = RunJob(*engine, Script("error text", insert));
  EXPECT_TRUE(absl::StrContains(failed.status().message(), "division by zero")) << failed.status();
  const auto skipped = RunJob(*engine, Script("error text", insert, "skip"));
  EXPECT_TRUE(skipped.ok()) << skipped.status();
}

// Whatever a record is, words about it are short: in the table of failed records, whose own records
// would otherwise be too large wherever this one was, in the job's message and in the journal.
TEST_F(PoisonTest, ALongRecordIsNotRepeatedByItsError) {
  const std::string value = std::string(900'000, 'x');
  Produce(0, {{std::nullopt, "{\"n\": \"" + value + "\"}"}});
  const auto engine = StartEngine({.slots = 2});
  ASSERT_NE(engine, nullptr);
  const std::string insert = "INSERT INTO shown SELECT n FROM events";
  const auto set_aside = RunJob(*engine, Script("error text", insert));
  ASSERT_TRUE(set_aside.ok()) << set_aside.status();
  ASSERT_EQ(Dead().size(), 1u);
  EXPECT_LE(Dead()[0].size(), 2048u);
  EXPECT_THAT(Dead()[0], testing::AllOf(HasSubstr("record at offset 0 of partition events/0"),
                                        HasSubstr("bytes left out")));
  const auto failed = RunJob(*engine, Script("error text", insert, "fail"));
  ASSERT_FALSE(failed.ok());
  EXPECT_LE(failed.status().message().size(), 2200u);
  EXPECT_TRUE(absl::StrContains(failed.status().message(), "bytes left out")) << failed.status();
  const auto jobs = engine->client().List();
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  EXPECT_LE(jobs->ByteSizeLong(), 16u << 10);
}

// Whatever keeps a row out of its sink, the record that it was made of has failed, with all of its
// rows.
TEST_F(PoisonTest, ARowThatItsSinkCannotTakeFollowsOnError) {
  Produce(0, {{std::nullopt, "{\"n\": 2}"},
              {std::nullopt, "{\"n\": 2500}"},
              {std::nullopt, "{\"n\": 3}"}});
  const auto engine = StartEngine({.slots = 2});
  ASSERT_NE(engine, nullptr);
  const std::string insert =
      "INSERT INTO \"out\" SELECT repeat('x', m::int) FROM events, unnest(ARRAY[n, 1]) AS m";
  const auto said = testing::AllOf(HasSubstr("record at offset 1 of partition events/0"),
                                   HasSubstr("a record of 2536 bytes is larger"),
                                   HasSubstr("message.max.bytes, 2000"));
  const auto set_aside =
      RunJob(*engine, Script("error text, \"offset\" bigint", SmallTopic("one") + insert));
  ASSERT_TRUE(set_aside.ok()) << set_aside.status();
  EXPECT_THAT(ValuesOf("one"), ElementsAre("xx", "x", "xxx", "x"));
  EXPECT_THAT(Dead(), ElementsAre(testing::AllOf(said, HasSubstr("topic one"))));
  const auto skipped = RunJob(*engine, Script("error text", SmallTopic("two") + insert, "skip"));
  ASSERT_TRUE(skipped.ok()) << skipped.status();
  EXPECT_THAT(ValuesOf("two"), ElementsAre("xx", "x", "xxx", "x"));
  const auto failed = RunJob(*engine, Script("error text", SmallTopic("three") + insert, "fail"));
  EXPECT_THAT(std::string(failed.status().message()), said);
  EXPECT_THAT(ValuesOf("three"), IsEmpty());
}

TEST_F(PoisonTest, ARowForNoPartitionFollowsOnError) {
  Produce(0, {{std::nullopt, "{\"n\": 0}"}, {std::nullopt, "{\"n\": -7}"}});
  const auto engine = StartEngine({.slots = 2});
  ASSERT_NE(engine, nullptr);
  const auto set_aside =
      RunJob(*engine, Script("error text", SmallTopic("one") +
                                               "INSERT INTO \"out\" (value, _partition) SELECT "
                                               "n::text, n::int FROM events"));
  ASSERT_TRUE(set_aside.ok()) << set_aside.status();
  EXPECT_THAT(ValuesOf("one"), ElementsAre("0"));
  EXPECT_THAT(Dead(), ElementsAre(HasSubstr("_partition is -7")));
}

// If the job went on, the record would be lost.
TEST_F(PoisonTest, AFailedRecordThatItsTableCannotTakeEndsTheJob) {
  Produce(0, {{std::nullopt, std::string(3000, '{')}});
  const auto engine = StartEngine({.slots = 2});
  ASSERT_NE(engine, nullptr);
  const auto failed = RunJob(
      *engine, absl::StrCat("SET batch_duration = '20 ms';\n"
                            "CREATE TABLE events (n bigint) WITH (connector = 'kafka', "
                            "\"bootstrap.servers\" = '",
                            kafka_->bootstrap_servers(),
                            "', topic = 'events', format = 'json', on_error = 'table:out');\n"
                            "CREATE TABLE shown (n bigint) WITH (connector = 'print');\n",
                            SmallTopic("one"), "INSERT INTO shown SELECT n FROM events"));
  EXPECT_THAT(std::string(failed.status().message()),
              testing::AllOf(HasSubstr("the table of failed records, \"out\", cannot take one"),
                             HasSubstr("message.max.bytes, 2000"),
                             HasSubstr("record at offset 0 of partition events/0")));
}

// The killed executor's batches run again on the other one.
TEST_F(PoisonTest, AnExecutorThatDiesDoublesNoFailedRecord) {
  const auto engine = StartEngine({.slots = 2, .executors = 2});
  ASSERT_NE(engine, nullptr);
  proto::SubmitRequest request;
  request.set_sql(
      Script("partition int, \"offset\" bigint", "INSERT INTO shown SELECT 10 / n FROM events"));
  request.set_name("poisoned");
  const auto submitted = engine->client().Submit(request);
  ASSERT_TRUE(submitted.ok()) << submitted.status();
  std::vector<std::string> expected;
  for (int round = 0; round < 20; ++round) {
    for (int partition = 0; partition < 2; ++partition) {
      Produce(partition, {{std::nullopt, "{\"n\": 1}"}, {std::nullopt, "garbage"}});
    }
    if (round == 10) {
      engine->KillExecutor();
    }
  }
  for (int partition = 0; partition < 2; ++partition) {
    for (int round = 0; round < 20; ++round) {
      expected.push_back(absl::StrCat(partition, "\t", 2 * round + 1));
    }
  }
  const absl::Status all =
      WaitUntil([&] { return Dead().size() >= expected.size(); }, kTimeout, "all failed records");
  EXPECT_TRUE(all.ok()) << all;
  const auto stopped = engine->client().Stop("poisoned", /*cancel=*/false);
  EXPECT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_EQ(Dead(), expected);
}

}  // namespace
}  // namespace millrace
