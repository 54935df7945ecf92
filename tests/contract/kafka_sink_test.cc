// What is particular to the Kafka sink, over a real broker: how records are written, and what a
// transaction is. Claims, fencing and doubt are in kafka_claim_test.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <set>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/failpoint.h"
#include "common/base/failure_kind.h"
#include "common/base/steady_time.h"
#include "connectors/source.h"
#include "tests/contract/kafka_place.h"
#include "tests/contract/tables.h"

namespace millrace {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(30);
constexpr int64_t kLongAgoUs = 1700000000000000;

absl::Time Soon() { return SteadyNow() + kTimeout; }

const SourceConnector& KafkaSource() { return **Connectors().Source("kafka"); }
const SinkConnector& KafkaSink() { return **Connectors().Sink("kafka"); }

proto::Source Table(const std::string& topic) {
  return TextSource("kafka", "raw",
                    {{"bootstrap.servers", Broker().bootstrap_servers()},
                     {"topic", topic},
                     {"start", "earliest"}});
}

std::unique_ptr<SourceReader> Read(const proto::Source& source) {
  auto reader = KafkaSource().CreateReader(source, {});
  EXPECT_OK(reader);
  return *std::move(reader);
}

proto::Sink SinkTable(const std::string& topic) {
  return TextSink("kafka", "raw",
                  {{"bootstrap.servers", Broker().bootstrap_servers()}, {"topic", topic}});
}

std::unique_ptr<SinkWriter> Open(const proto::Sink& sink, const SinkContext& context) {
  EXPECT_OK(KafkaSink().Validate(sink));
  auto writer = KafkaSink().CreateWriter(sink, context);
  EXPECT_OK(writer);
  return *std::move(writer);
}

void Write(SinkWriter& writer, int64_t batch, const std::vector<std::string>& values,
           int64_t time_us) {
  EXPECT_OK(writer.Write(BatchId(batch), time_us, TextRows({values})));
  EXPECT_OK(writer.Prepare(BatchId(batch), Soon()));
}

std::vector<std::string> Values(const std::string& topic) {
  std::vector<std::string> values;
  for (const PlainRecord& record : Consume(topic)) {
    values.push_back(*record.value);
  }
  return values;
}

// A name twice, a value that is no text, and none.
constexpr char kHeaders[] = R"([{"key": "a", "value": "é1"}, {"key": "a", "value": "2"}, )"
                            R"({"key": "b", "bytes": "\\xff00"}, {"key": "none", "value": null}])";

// One row with its metadata columns through a sink and back.
TEST(KafkaSink, WritesKeyHeadersPartitionAndTime) {
  std::string topic = NewTopic(3);
  proto::Sink sink = SinkTable(topic);
  AddSinkColumn(&sink, "_key", proto::TYPE_TEXT);
  AddSinkColumn(&sink, "_partition", proto::TYPE_INT32);
  AddSinkColumn(&sink, "_headers", proto::TYPE_JSONB);
  ASSERT_OK(KafkaSink().Validate(sink));
  auto partition = std::make_shared<Column>(MakeType(TypeId::kInt32), 1);
  partition->mutable_values<int32_t>()[0] = 2;
  auto headers = std::make_shared<Column>(MakeType(TypeId::kJsonb), 1);
  headers->SetTextCopy(0, kHeaders);
  Batch rows({TextColumn({"v"}), TextColumn({"k"}), partition, headers}, 1);
  auto writer = KafkaSink().CreateWriter(sink, NewShard());
  ASSERT_OK(writer);
  ASSERT_OK((*writer)->Write(BatchId(1), 1700000000123000, rows));
  ASSERT_OK((*writer)->Commit(BatchId(1), Soon()));

  proto::Source source = Table(topic);
  source.clear_columns();
  for (const auto& [name, type] : KafkaSource().MetadataColumns()) {
    proto::SourceColumn* column = source.add_columns();
    column->set_name(name);
    TypeToProto(type, column->mutable_type());
    column->set_declared(-1);
  }
  auto reader = Read(source);
  ASSERT_OK(reader->Assign({topic + "/2", Offset(0)}));
  auto chunk = reader->Read(topic + "/2", Offset(1), 10, 0, Soon());
  ASSERT_OK(chunk);
  ASSERT_TRUE(chunk->errors.empty()) << chunk->errors[0].status;
  std::map<std::string, const Column*> columns;
  for (int i = 0; i < source.columns_size(); ++i) {
    columns[source.columns(i).name()] = chunk->batch.column(static_cast<size_t>(i)).get();
  }
  EXPECT_EQ(columns["_topic"]->value<TextView>(0).view(), topic);
  EXPECT_EQ(columns["_partition"]->value<int32_t>(0), 2);
  EXPECT_EQ(columns["_offset"]->value<int64_t>(0), 0);
  EXPECT_EQ(columns["_timestamp"]->value<int64_t>(0), 1700000000123000);
  EXPECT_EQ(columns["_key"]->value<TextView>(0).view(), "k");
  EXPECT_EQ(columns["_headers"]->value<TextView>(0).view(), kHeaders);
}

TEST(KafkaSink, PartitionsAsJavaDoes) {
  std::string topic = NewTopic(4);
  proto::Sink sink = SinkTable(topic);
  AddSinkColumn(&sink, "_key", proto::TYPE_TEXT);
  auto writer = KafkaSink().CreateWriter(sink, NewShard());
  ASSERT_OK(writer);
  ASSERT_OK(
      (*writer)->Write(BatchId(1), 0, TextRows({{"a", "b", "c"}, {"21", "foobar", "kafka"}})));
  ASSERT_OK((*writer)->Commit(BatchId(1), Soon()));
  std::map<std::string, int32_t> partitions;
  for (const PlainRecord& record : Consume(topic)) {
    partitions[*record.key] = record.partition;
  }
  // org.apache.kafka.common.utils.UtilsTest: murmur2("21") = -973932308, murmur2("foobar") =
  // -790332482; the partition is (hash & 0x7fffffff) % 4.
  EXPECT_EQ(partitions["21"], (-973932308 & 0x7fffffff) % 4);
  EXPECT_EQ(partitions["foobar"], (-790332482 & 0x7fffffff) % 4);
}

TEST(KafkaSink, RecordsWithoutAKeyGoWhereTheirBatchGoes) {
  std::string topic = NewTopic(3);
  proto::Sink sink = SinkTable(topic);
  std::map<int64_t, std::set<int32_t>> by_batch;
  for (int round = 0; round < 2; ++round) {  // a replay writes to the same partitions
    auto writer = KafkaSink().CreateWriter(sink, NewShard(1));
    ASSERT_OK(writer);
    for (int64_t batch = 1; batch <= 3; ++batch) {
      ASSERT_OK((*writer)->Write(BatchId(batch), 0,
                                 TextRows({{absl::StrCat(batch), absl::StrCat(batch)}})));
      ASSERT_OK((*writer)->Commit(BatchId(batch), Soon()));
    }
  }
  for (const PlainRecord& record : Consume(topic)) {
    by_batch[record.value->at(0)].insert(record.partition);
  }
  std::set<int32_t> used;
  for (const auto& [batch, partitions] : by_batch) {
    EXPECT_EQ(partitions.size(), 1u) << batch;
    used.insert(*partitions.begin());
  }
  EXPECT_EQ(used.size(), 3u);
}

TEST(KafkaSink, AnUnknownTopicIsRefusedAtSubmission) {
  absl::Status status = KafkaSink().Probe(SinkTable("no-such-topic"), kTimeout);
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "no-such-topic")) << status;
}

// Each value is right by itself.
TEST(KafkaSink, PropertiesThatDoNotGoTogetherAreRefusedAtSubmission) {
  proto::Sink sink = SinkTable(NewTopic(1));
  EXPECT_OK(KafkaSink().Probe(sink, kTimeout));
  (*sink.mutable_options())["acks"] = "1";
  EXPECT_OK(KafkaSink().Validate(sink));
  absl::Status status = KafkaSink().Probe(sink, kTimeout);
  EXPECT_FALSE(status.ok());
  EXPECT_TRUE(absl::StrContains(status.message(), "acks")) << status;
}

// It was tried again for ever, since a fatal error of a producer may not be one of the next.
TEST(KafkaTransactions, ATimeoutThatTheBrokerDoesNotAllowIsAnErrorOfTheScript) {
  proto::Sink sink = SinkTable(NewTopic(1));
  (*sink.mutable_options())["transaction.timeout.ms"] = "2000000000";
  EXPECT_OK(KafkaSink().Validate(sink));
  absl::Status status = KafkaSink().CreateWriter(sink, NewShard()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "transaction.max.timeout.ms")) << status;
}

TEST(KafkaTransactions, SeveralBatchesGoOutInOne) {
  std::string topic = NewTopic(1);
  auto writer = Open(SinkTable(topic), NewShard());
  EXPECT_EQ(StableEnd(topic), 0) << "a claim writes nothing to the topic";
  for (int64_t batch = 1; batch <= 3; ++batch) {
    Write(*writer, batch, {absl::StrCat("batch ", batch)}, kLongAgoUs);
  }
  auto marker = writer->Commit(BatchId(3), Soon());
  ASSERT_OK(marker);
  EXPECT_TRUE(absl::StartsWith(*marker, "1:3:")) << *marker;
  EXPECT_EQ(StableEnd(topic), 4) << "three records and one commit";
  EXPECT_EQ(writer->held_bytes(), 0);
  Write(*writer, 4, {"batch 4"}, kLongAgoUs);
  ASSERT_OK(writer->Commit(BatchId(4), Soon()));
  EXPECT_EQ(StableEnd(topic), 6);
  EXPECT_EQ(Values(topic), (std::vector<std::string>{"batch 1", "batch 2", "batch 3", "batch 4"}));
}

// Old by batch time: what this machine's clock says plays no part.
TEST(KafkaTransactions, WithoutRowsThereIsNoneUntilTheMarkerIsOld) {
  const int64_t hour_us = absl::ToInt64Microseconds(absl::Hours(1));
  std::string topic = NewTopic(1);
  auto writer = Open(SinkTable(topic), NewShard());
  Write(*writer, 1, {"one"}, kLongAgoUs);
  ASSERT_OK(writer->Commit(BatchId(1), Soon()));
  EXPECT_EQ(writer->wake_at_us(), kLongAgoUs + hour_us);
  writer->NoteBatch(BatchId(2), kLongAgoUs + hour_us - 1);
  auto marker = writer->Commit(BatchId(2), Soon());
  ASSERT_OK(marker);
  EXPECT_TRUE(absl::StartsWith(*marker, "1:1:")) << *marker;
  EXPECT_EQ(writer->committed(), BatchId(2));

  Write(*writer, 3, {"three"}, kLongAgoUs + hour_us);
  ASSERT_OK(writer->Commit(BatchId(3), Soon()));
  EXPECT_EQ(writer->wake_at_us(), kLongAgoUs + 2 * hour_us);
  writer->NoteBatch(BatchId(4), kLongAgoUs + 2 * hour_us);
  marker = writer->Commit(BatchId(4), Soon());
  ASSERT_OK(marker);
  EXPECT_TRUE(absl::StartsWith(*marker, "1:4:")) << *marker;
  EXPECT_EQ(writer->wake_at_us(), kLongAgoUs + 3 * hour_us);
  EXPECT_EQ(StableEnd(topic), 4) << "two records with their commits";
}

TEST(KafkaTransactions, AnOpenOneThatTakesTooLongSaysWhatToRaise) {
  std::string topic = NewTopic(1);
  proto::Sink sink = SinkTable(topic);
  (*sink.mutable_options())["transaction.timeout.ms"] = "1000";
  auto writer = Open(sink, NewShard());
  Write(*writer, 1, {"one"}, kLongAgoUs);
  SetFailpointHandler([&](const char* name) {
    if (std::string(name) == "kafka_sink.before_commit") {
      EXPECT_EQ(StableEnd(topic), 2) << "the broker has aborted it";
    }
  });
  absl::Status status = writer->Commit(BatchId(1), Soon()).status();
  SetFailpointHandler(nullptr);
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "transaction.timeout.ms, 1000; raise it"))
      << status;
  EXPECT_TRUE(Values(topic).empty());
}

// Rows that have left are nowhere else, the others must not be committed without them, and the same
// batch would take as long again.
TEST(KafkaTransactions, ABatchWhoseRowsAreInOneForTooLongIsMadeSmaller) {
  std::string topic = NewTopic(1);
  proto::Sink sink = SinkTable(topic);
  (*sink.mutable_options())["transaction.timeout.ms"] = "1000";
  (*sink.mutable_options())["max_held"] = "200 B";
  auto writer = Open(sink, NewShard());
  Write(*writer, 1, {"one", "two", "three", "four", "five"}, kLongAgoUs);
  EXPECT_EQ(writer->held_bytes(), 0);
  Write(*writer, 1, {"six"}, kLongAgoUs);
  EXPECT_GT(writer->held_bytes(), 0);
  EXPECT_EQ(StableEnd(topic), 6) << "the broker has aborted it";
  absl::Status status = writer->Commit(BatchId(1), Soon()).status();
  EXPECT_EQ(FailureKindOf(status), FailureKind::kTooLarge) << status;
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "rows of batch 1 were in that transaction"))
      << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "raise max_held")) << status;
  EXPECT_EQ(writer->Commit(BatchId(1), Soon()).status(), status);
  EXPECT_TRUE(Values(topic).empty());
}

// Such a batch cannot be made smaller if another shard has committed it.
TEST(KafkaTransactions, RowsOfABatchThatRunsAgainStayInMemoryWhileThereIsRoom) {
  std::string topic = NewTopic(1);
  proto::Sink sink = SinkTable(topic);
  (*sink.mutable_options())["max_held"] = "200 B";
  SinkContext context = NewShard();
  context.memory = std::make_shared<HeldMemory>(10'000);
  context.planned_batch = BatchId(1);
  auto writer = Open(sink, context);
  const std::vector<std::string> rows(10, std::string(100, 'x'));
  Write(*writer, 1, rows, kLongAgoUs);
  EXPECT_GT(writer->held_bytes(), 1000);
  for (int i = 0; i < 9; ++i) {
    Write(*writer, 1, rows, kLongAgoUs);
  }
  EXPECT_LT(writer->held_bytes(), 10'000) << "there is no room for all";
  ASSERT_OK(writer->Commit(BatchId(1), Soon()));
  EXPECT_EQ(Values(topic).size(), 100u);
  Write(*writer, 2, rows, kLongAgoUs);
  EXPECT_EQ(writer->held_bytes(), 0) << "a new batch";
}

// A broker may take minutes for what a large batch still has to send, and a new epoch waits for it.
TEST(KafkaTransactions, RowsStopLeavingWhenTheEpochEnds) {
  std::string topic = NewTopic(1);
  proto::Sink sink = SinkTable(topic);
  (*sink.mutable_options())["max_held"] = "200 B";
  SinkContext context = NewShard();
  bool ended = false;
  context.ended = [&ended] { return ended; };
  auto writer = Open(sink, context);
  Write(*writer, 1, {"one", "two", "three", "four", "five"}, kLongAgoUs);
  EXPECT_EQ(writer->held_bytes(), 0);
  ended = true;
  absl::Status status =
      writer->Write(BatchId(1), kLongAgoUs, TextRows({{"six", "seven", "eight", "nine", "ten"}}));
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled) << status;
  EXPECT_FALSE(writer->Commit(BatchId(1), Soon()).ok());
  EXPECT_TRUE(Values(topic).empty());
}

TEST(KafkaTransactions, AtLeastOnceHidesNothingAndHoldsAll) {
  std::string topic = NewTopic(1);
  proto::Sink sink = SinkTable(topic);
  (*sink.mutable_options())["delivery"] = "at_least_once";
  SinkContext context = NewShard();
  context.memory = std::make_shared<HeldMemory>(1000);
  auto writer = Open(sink, context);
  Write(*writer, 1, {std::string(600, 'x')}, kLongAgoUs);
  EXPECT_EQ(
      FailureKindOf(writer->Write(BatchId(1), kLongAgoUs, TextRows({{std::string(600, 'y')}}))),
      FailureKind::kTooLarge);
  EXPECT_TRUE(Values(topic).empty());
  (*sink.mutable_options())["max_held"] = "1 MiB";
  absl::Status status = KafkaSink().Validate(sink);
  EXPECT_TRUE(absl::StrContains(status.message(), "option max_held")) << status;
}

TEST(KafkaTransactions, AtLeastOnceHasNone) {
  std::string topic = NewTopic(1);
  proto::Sink sink = SinkTable(topic);
  (*sink.mutable_options())["delivery"] = "at_least_once";
  SinkContext context = NewShard();
  auto writer = Open(sink, context);
  Write(*writer, 1, {"one"}, kLongAgoUs);
  Write(*writer, 2, {"two"}, kLongAgoUs);
  auto marker = writer->Commit(BatchId(2), Soon());
  ASSERT_OK(marker);
  EXPECT_EQ(*marker, "2");
  EXPECT_EQ(writer->wake_at_us(), 0);
  context.epoch = Epoch(2);
  context.marker = *marker;
  context.committed_batch = context.planned_batch = BatchId(2);
  writer = Open(sink, context);
  EXPECT_EQ(writer->committed(), BatchId(2));
  Write(*writer, 2, {"two"}, kLongAgoUs);
  Write(*writer, 3, {"three"}, kLongAgoUs);
  ASSERT_OK(writer->Commit(BatchId(3), Soon()));
  EXPECT_EQ(StableEnd(topic), 3) << "records only";
  EXPECT_EQ(Values(topic), (std::vector<std::string>{"one", "two", "three"}));
}

TEST(KafkaSink, SaysWhatItsOptionsMayHold) {
  for (const auto& [name, value] : std::map<std::string, std::string>{
           {"delivery", "twice"}, {"on_lost_marker", "maybe"}, {"marker_topic", "a,b"}}) {
    proto::Sink sink = SinkTable("t");
    (*sink.mutable_options())[name] = value;
    absl::Status status = KafkaSink().Validate(sink);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), name)) << status;
  }
}

// No assertion on times: for whoever reads the log.
TEST(KafkaTransactions, TimesOfClaimsAndCommits) {
  std::string topic = NewTopic(4);
  std::vector<std::unique_ptr<SinkWriter>> writers(16);
  SinkContext job = NewShard();
  absl::Time begin = SteadyNow();
  std::vector<std::thread> claims;
  for (uint32_t shard = 0; shard < writers.size(); ++shard) {
    claims.emplace_back([&, shard] {
      SinkContext context = job;
      context.shard = shard;
      writers[shard] = Open(SinkTable(topic), context);
    });
  }
  for (std::thread& claim : claims) {
    claim.join();
  }
  std::cout << "16 shards claimed in " << SteadyNow() - begin << "\n";
  std::vector<absl::Duration> times;
  for (int64_t batch = 1; batch <= 200; ++batch) {
    Write(*writers[0], batch, std::vector<std::string>(20, "a record of some bytes"),
          absl::ToUnixMicros(absl::Now()));
    begin = SteadyNow();
    ASSERT_OK(writers[0]->Commit(BatchId(batch), Soon()));
    times.push_back(SteadyNow() - begin);
  }
  std::sort(times.begin(), times.end());
  std::cout << "commit of 20 records: p50 " << times[times.size() / 2] << ", p99 "
            << times[times.size() * 99 / 100] << "\n";
  for (const auto& writer : writers) {
    ASSERT_NE(writer, nullptr);
    ASSERT_OK(writer->Commit(BatchId(201), Soon()));
  }
  EXPECT_EQ(Values(topic).size(), 4000u);
}

TEST(KafkaTransactions, ThroughputWithAndWithout) {
  constexpr int64_t kBatches = 30;
  constexpr size_t kRecords = 20000;
  const std::vector<std::string> values(kRecords, std::string(100, 'x'));
  for (const std::string delivery : {"at_least_once", "exactly_once"}) {
    std::string topic = NewTopic(4);
    proto::Sink sink = SinkTable(topic);
    (*sink.mutable_options())["delivery"] = delivery;
    auto writer = Open(sink, NewShard());
    absl::Duration commits;
    for (int64_t batch = 1; batch <= kBatches; ++batch) {
      Write(*writer, batch, values, absl::ToUnixMicros(absl::Now()));
      absl::Time begin = SteadyNow();
      ASSERT_OK(writer->Commit(BatchId(batch), Soon()));
      commits += SteadyNow() - begin;
    }
    std::cout << delivery << ": " << commits / kBatches << " per commit of " << kRecords
              << " records\n";
    int64_t records = 0;
    for (int32_t partition = 0; partition < 4; ++partition) {
      records += StableEnd(topic, partition);
    }
    EXPECT_EQ(records, kBatches * static_cast<int64_t>(kRecords) +
                           (delivery == "exactly_once" ? kBatches : 0));
  }
}

}  // namespace
}  // namespace millrace
