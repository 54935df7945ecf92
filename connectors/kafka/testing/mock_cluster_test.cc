// The demo's path: an embedded cluster, lines at a steady rate, the Kafka source reading them, and
// the Kafka sink writing.
#include "connectors/kafka/testing/mock_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>

#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/steady_time.h"
#include "connectors/all.h"
#include "connectors/kafka/admin/admin.h"
#include "connectors/testing/table_testing.h"

namespace millrace::kafka {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(30);

// One record with each of these timestamps, in milliseconds.
void ProduceAt(const std::string& bootstrap_servers, const std::string& topic,
               const std::vector<int64_t>& timestamps) {
  char reason[256];
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  ASSERT_EQ(rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap_servers.c_str(), reason,
                              sizeof(reason)),
            RD_KAFKA_CONF_OK);
  rd_kafka_t* producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
  ASSERT_NE(producer, nullptr) << reason;
  for (const int64_t timestamp : timestamps) {
    EXPECT_EQ(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_PARTITION(0),
                                RD_KAFKA_V_VALUE(const_cast<char*>("x"), 1),
                                RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                RD_KAFKA_V_TIMESTAMP(timestamp), RD_KAFKA_V_END),
              RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  EXPECT_EQ(rd_kafka_flush(producer, absl::ToInt64Milliseconds(kTimeout)),
            RD_KAFKA_RESP_ERR_NO_ERROR);
  rd_kafka_destroy(producer);
}

// Topic test, and topic out.
proto::Source RawSource(const std::string& bootstrap_servers) {
  proto::Source source = Table({{"value", proto::TYPE_TEXT}},
                               {{"bootstrap.servers", bootstrap_servers}, {"topic", "test"}});
  source.set_connector("kafka");
  source.set_format("raw");
  return source;
}

proto::Sink RawSink(const std::string& bootstrap_servers) {
  proto::Sink sink;
  sink.set_table("out");
  sink.set_connector("kafka");
  sink.set_format("raw");
  (*sink.mutable_options())["bootstrap.servers"] = bootstrap_servers;
  (*sink.mutable_options())["topic"] = "out";
  proto::Field* column = sink.add_columns();
  column->set_name("value");
  column->mutable_type()->set_kind(proto::TYPE_TEXT);
  return sink;
}

TEST(MockKafkaCluster, CarriesLinesFromTheSteadyProducerToTheSource) {
  auto cluster = StartMockKafkaCluster();
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  ASSERT_TRUE((*cluster)->CreateTopic("test", 4).ok());
  auto producer = StartSteadyProducer((*cluster)->bootstrap_servers(), "test", 2000,
                                      [](int64_t i) { return absl::StrCat("line ", i); });
  ASSERT_TRUE(producer.ok()) << producer.status();

  auto registry = BuiltInConnectors();
  const proto::Source source = RawSource((*cluster)->bootstrap_servers());
  const SourceConnector* connector = *registry->Source("kafka");
  ASSERT_TRUE(connector->Validate(source).ok()) << connector->Validate(source);
  SourceContext context{.job_name = "demo"};
  auto enumerator = *connector->CreateEnumerator(source, context);
  auto partitions = enumerator->Discover(kTimeout);
  ASSERT_TRUE(partitions.ok()) << partitions.status();
  ASSERT_EQ(partitions->size(), 4u);

  absl::Time deadline = SteadyNow() + kTimeout;
  while ((*producer)->produced() < 500 && SteadyNow() < deadline) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  ASSERT_TRUE((*producer)->Stop(kTimeout).ok());
  int64_t produced = (*producer)->produced();
  auto ends = enumerator->Ends(*partitions, kTimeout);
  ASSERT_TRUE(ends.ok()) << ends.status();
  auto reader = *connector->CreateReader(source, context);
  std::set<std::string> lines;
  for (const PartitionEnd& end : *ends) {
    ASSERT_TRUE(reader->Assign({end.partition, Offset(0)}).ok());
    for (Offset position(0); position < end.stable_end;) {
      auto chunk = reader->Read(end.partition, end.stable_end, 1000, 0, SteadyNow() + kTimeout);
      ASSERT_TRUE(chunk.ok()) << chunk.status();
      for (size_t row = 0; row < chunk->offsets.size(); ++row) {
        lines.insert(std::string(chunk->batch.column(0)->value<TextView>(row).view()));
      }
      position = chunk->next;
    }
  }
  EXPECT_EQ(static_cast<int64_t>(lines.size()), produced);
  EXPECT_EQ(lines.count("line 0"), 1u);
  // The driver reports progress to the group with the mock, too.
  EXPECT_TRUE(
      enumerator->PublishOffsets({{(*ends)[0].partition, (*ends)[0].stable_end}}, kTimeout).ok());
}

// Opens a session of topic out in the next epoch after that of `context`.
std::unique_ptr<SinkSession> Open(const proto::Sink& sink, SinkContext* context) {
  static const auto& registry = *BuiltInConnectors().release();  // outlives every session
  context->epoch = context->epoch.Next();
  auto session = (*registry.Sink("kafka"))->Open({{.index = 0, .table = &sink}}, *context);
  EXPECT_TRUE(session.ok()) << session.status();
  return session.ok() ? *std::move(session) : nullptr;
}

// The mock only pretends to have transactions, so this proves nothing about them; but a sink must
// work with it.
TEST(MockKafkaCluster, TakesWhatTheSinkWrites) {
  auto cluster = StartMockKafkaCluster();
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  ASSERT_TRUE((*cluster)->CreateTopic("out", 1).ok());
  const proto::Sink sink = RawSink((*cluster)->bootstrap_servers());
  SinkContext context{.incarnation = "demo"};
  for (int64_t batch = 1; batch <= 2; ++batch) {
    const std::unique_ptr<SinkSession> session = Open(sink, &context);
    ASSERT_NE(session, nullptr);
    EXPECT_EQ(session->mark().written, Epoch(batch - 1));
    EXPECT_EQ(session->mark().batch, BatchId(batch - 1));
    auto shard = session->AddShard(0, 0);
    ASSERT_TRUE(shard.ok()) << shard.status();
    auto values = std::make_shared<Column>(MakeType(TypeId::kText), 1);
    values->SetTextCopy(0, absl::StrCat("line ", batch));
    ASSERT_TRUE((*shard)->Write({.id = BatchId(batch)}, Batch({values}, 1)).ok());
    const absl::Status committed = session->Commit(BatchId(batch), SteadyNow() + kTimeout);
    ASSERT_TRUE(committed.ok()) << committed;
    context.marker = session->mark().marker;
    context.committed_batch = context.planned_batch = BatchId(batch);
  }
  std::vector<std::string> lines;
  absl::Status read = ConsumeKafka(
      {{"bootstrap.servers", (*cluster)->bootstrap_servers()}}, {.topic = "out"}, kTimeout,
      [&](const KafkaRecordView& record) {
        lines.emplace_back(record.value.value_or(""));
        return true;
      },
      [] { return false; });
  ASSERT_TRUE(read.ok()) << read;
  EXPECT_EQ(lines, (std::vector<std::string>{"line 1", "line 2"}));
}

// Write must count as librdkafka does, with headers and what the protocol adds: a record that
// Write lets through and the producer refuses would end the job at its commit.
TEST(MockKafkaCluster, WriteRefusesExactlyWhatTheProducerWouldRefuse) {
  auto cluster = StartMockKafkaCluster();
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  ASSERT_TRUE((*cluster)->CreateTopic("out", 1).ok());
  proto::Sink sink = RawSink((*cluster)->bootstrap_servers());
  (*sink.mutable_options())["message.max.bytes"] = "1000";
  proto::Field* column = sink.add_columns();
  column->set_name("_headers");
  column->mutable_type()->set_kind(proto::TYPE_JSONB);
  SinkContext context{.incarnation = "demo"};
  const std::unique_ptr<SinkSession> session = Open(sink, &context);
  ASSERT_NE(session, nullptr);
  auto shard = session->AddShard(0, 0);
  ASSERT_TRUE(shard.ok()) << shard.status();
  // 36 bytes of the protocol; a header of 100 + 200 bytes, whose lengths take 2 bytes each.
  const std::string header =
      absl::StrCat("{\"", std::string(100, 'h'), "\": \"", std::string(200, 'v'), "\"}");
  auto values = std::make_shared<Column>(MakeType(TypeId::kText), 3);
  values->SetTextCopy(0, std::string(660, 'x'));
  values->SetTextCopy(1, std::string(661, 'x'));
  values->SetTextCopy(2, std::string(965, 'x'));
  auto headers = std::make_shared<Column>(MakeType(TypeId::kJsonb), 3);
  headers->SetTextCopy(0, header);
  headers->SetTextCopy(1, header);
  headers->SetNull(2);
  const Batch rows({values, headers}, 3);
  EXPECT_EQ((*shard)->Write({.id = BatchId(1)}, rows).code(), absl::StatusCode::kInvalidArgument);
  std::vector<uint32_t> refused;
  for (const RowError& error : (*shard)->TakeRefused()) {
    EXPECT_THAT(std::string(error.status.message()),
                ::testing::HasSubstr("a record of 1001 bytes"));
    refused.push_back(error.row);
  }
  EXPECT_EQ(refused, (std::vector<uint32_t>{1, 2}));
  EXPECT_EQ(session->held_bytes(), 0);
  const uint32_t first = 0;
  ASSERT_TRUE((*shard)->Write({.id = BatchId(1)}, rows.TakeRows(&first, 1)).ok());
  const absl::Status committed = session->Commit(BatchId(1), SteadyNow() + kTimeout);
  ASSERT_TRUE(committed.ok()) << committed;
  // Rows of output that is visible are refused all the same when the batch runs again.
  EXPECT_FALSE((*shard)->Write({.id = BatchId(1), .visible = session->Terms(0)}, rows).ok());
  EXPECT_EQ((*shard)->TakeRefused().size(), 2u);
}

// A driver that is told to stop took a minute: librdkafka waits for the answers to commits.
TEST(MockKafkaCluster, AnEnumeratorEndsSoonWhileItsCommitIsNotAnswered) {
  auto cluster = StartMockKafkaCluster();
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  ASSERT_TRUE((*cluster)->CreateTopic("test", 1).ok());
  auto registry = BuiltInConnectors();
  auto enumerator =
      *(*registry->Source("kafka"))
           ->CreateEnumerator(RawSource((*cluster)->bootstrap_servers()), {.job_name = "demo"});
  const auto partitions = enumerator->Discover(kTimeout);
  ASSERT_TRUE(partitions.ok()) << partitions.status();
  const std::vector<PartitionOffset> committed = {{(*partitions)[0], Offset(0)}};
  ASSERT_TRUE(enumerator->PublishOffsets(committed, kTimeout).ok());
  ASSERT_TRUE((*cluster)->DelayAnswers(absl::Minutes(10)).ok());
  EXPECT_FALSE(enumerator->PublishOffsets(committed, absl::Milliseconds(100)).ok());
  const absl::Time told = SteadyNow();
  enumerator.reset();
  EXPECT_LT(SteadyNow() - told, absl::Seconds(20));
}

// Nanoseconds where Kafka means milliseconds, and what a clock that was never set writes.
TEST(MockKafkaCluster, ARecordWhoseTimestampIsOutOfRangeIsAnErrorOnlyIfItsTimeIsRead) {
  auto cluster = StartMockKafkaCluster();
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  ASSERT_TRUE((*cluster)->CreateTopic("test", 1).ok());
  const std::vector<int64_t> timestamps = {
      1'700'000'000'000,     1'700'000'000'000'000'000, std::numeric_limits<int64_t>::max(),
      9'223'372'036'854'775, 9'223'372'036'854'776,     -210'866'803'200'001};
  ProduceAt((*cluster)->bootstrap_servers(), "test", timestamps);

  auto registry = BuiltInConnectors();
  const SourceConnector* connector = *registry->Source("kafka");
  for (const char* name : {"value", "_timestamp"}) {
    proto::Source source = RawSource((*cluster)->bootstrap_servers());
    proto::SourceColumn* column = source.mutable_columns(0);
    const bool reads_time = name[0] == '_';
    column->set_name(name);
    column->set_declared(reads_time ? -1 : 0);
    column->mutable_type()->set_kind(reads_time ? proto::TYPE_TIMESTAMPTZ : proto::TYPE_TEXT);
    SourceContext context{.job_name = "demo"};
    auto partitions = (*connector->CreateEnumerator(source, context))->Discover(kTimeout);
    ASSERT_TRUE(partitions.ok()) << partitions.status();
    auto reader = *connector->CreateReader(source, context);
    ASSERT_TRUE(reader->Assign({(*partitions)[0], Offset(0)}).ok());
    std::map<int64_t, std::string> errors;
    std::map<int64_t, std::optional<int64_t>> dead_letter_times;
    const Offset end(static_cast<int64_t>(timestamps.size()));
    for (Offset position(0); position < end;) {
      auto chunk = reader->Read((*partitions)[0], end, 1000, 0, SteadyNow() + kTimeout);
      ASSERT_TRUE(chunk.ok()) << chunk.status();
      for (const RowError& error : chunk->errors) {
        errors[chunk->offsets[error.row]] = std::string(error.status.message());
      }
      for (uint32_t row = 0; row < chunk->offsets.size(); ++row) {
        dead_letter_times[chunk->offsets[row]] = chunk->raw(row).timestamp_us;
        if (reads_time && chunk->offsets[row] == 0) {
          EXPECT_EQ(chunk->batch.column(0)->value<int64_t>(row), 1'700'000'000'000'000);
        }
      }
      EXPECT_LE(chunk->max_timestamp_us, 9'223'372'036'854'775'000);
      position = chunk->next;
    }
    if (!reads_time) {
      EXPECT_THAT(errors, ::testing::IsEmpty());
    } else {
      ASSERT_EQ(errors.size(), 4u);
      EXPECT_THAT(errors[1], ::testing::HasSubstr("1700000000000000000, is out of range"));
      EXPECT_THAT(errors[2], ::testing::HasSubstr("topic test partition 0 offset 2"));
      EXPECT_EQ(errors.count(4), 1u);
      EXPECT_EQ(errors.count(5), 1u) << "before 4714 BC";
    }
    EXPECT_EQ(dead_letter_times[0], 1'700'000'000'000'000);
    EXPECT_EQ(dead_letter_times[1], std::nullopt);
    EXPECT_EQ(dead_letter_times[2], std::nullopt);
    EXPECT_EQ(dead_letter_times[3], 9'223'372'036'854'775'000);
  }
}

}  // namespace
}  // namespace millrace::kafka
