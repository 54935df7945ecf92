// What is particular to the Kafka sink, over a real broker: how records are written, and what a
// transaction is. Claims, fencing and doubt are in kafka_claim_test.cc and kafka_crash_test.cc.
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
#include "tests/contract/sink_life.h"
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

SinkLife LifeOf(const proto::Sink& sink) {
  EXPECT_OK(KafkaSink().Validate(sink));
  return SinkLife(&KafkaSink(), sink);
}

void Write(SinkMember& member, int64_t batch, const std::vector<std::string>& values) {
  EXPECT_OK(member.Write(batch, TextRows({values})));
  EXPECT_OK(member.session().Prepare(BatchId(batch), Soon()));
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
  SinkLife life = LifeOf(sink);
  auto member = life.Open();
  ASSERT_OK(member->shard().Write({.id = BatchId(1), .time_us = 1700000000123000}, rows));
  ASSERT_OK(member->Commit(1));

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
  SinkLife life = LifeOf(sink);
  auto member = life.Open();
  ASSERT_OK(member->Write(1, TextRows({{"a", "b", "c"}, {"21", "foobar", "kafka"}})));
  ASSERT_OK(member->Commit(1));
  std::map<std::string, int32_t> partitions;
  for (const PlainRecord& record : Consume(topic)) {
    partitions[*record.key] = record.partition;
  }
  // org.apache.kafka.common.utils.UtilsTest: murmur2("21") = -973932308, murmur2("foobar") =
  // -790332482; the partition is (hash & 0x7fffffff) % 4.
  EXPECT_EQ(partitions["21"], (-973932308 & 0x7fffffff) % 4);
  EXPECT_EQ(partitions["foobar"], (-790332482 & 0x7fffffff) % 4);
}

// A batch that is written again goes to the same partitions, whichever session has the shard.
TEST(KafkaSink, RecordsWithoutAKeyGoWhereTheirShardAndBatchGo) {
  const std::string topic = NewTopic(3);
  SinkLife life = LifeOf(SinkTable(topic));
  std::map<std::string, std::set<int32_t>> by_value;
  const std::vector<std::vector<uint32_t>> layouts[] = {{{0, 1}}, {{1}, {0}}};
  for (const auto& shards : layouts) {
    const SinkMembers members = life.OpenEpoch(shards);
    for (int64_t batch = 1; batch <= 3; ++batch) {
      for (size_t slot = 0; slot < members.size(); ++slot) {
        for (const uint32_t shard : shards[slot]) {
          const std::string value = absl::StrCat(shard, "/", batch);
          // By the shard itself: what is out counts as if it were not.
          ASSERT_OK(members[slot]->shard(shard).Write({.id = BatchId(batch)},
                                                      TextRows({{value, value}})));
        }
        ASSERT_OK(members[slot]->Commit(batch));
      }
    }
    life.context.planned_batch = BatchId(3);
  }
  for (const PlainRecord& record : Consume(topic)) {
    by_value[*record.value].insert(record.partition);
  }
  EXPECT_EQ(by_value.size(), 6u);
  std::set<int32_t> used;
  for (const auto& [value, partitions] : by_value) {
    EXPECT_EQ(partitions.size(), 1u) << value;
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
  absl::Status status = LifeOf(sink).TryOpenEpoch({{0}}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "transaction.max.timeout.ms")) << status;
}

TEST(KafkaTransactions, SeveralBatchesOfSeveralShardsGoOutInOne) {
  const std::string topic = NewTopic(1);
  SinkLife life = LifeOf(SinkTable(topic));
  const SinkMembers members = life.OpenEpoch({{0, 1}});
  SinkMember& member = *members[0];
  EXPECT_EQ(StableEnd(topic), 0) << "a claim writes nothing to the topic";
  for (int64_t batch = 1; batch <= 3; ++batch) {
    Write(member, batch, {absl::StrCat("batch ", batch)});
  }
  ASSERT_OK(member.Write(3, TextRows({{"of another shard"}}), 1));
  ASSERT_OK(member.Commit(3));
  EXPECT_EQ(member.mark().written, Epoch(1));
  EXPECT_EQ(member.mark().batch, BatchId(3));
  EXPECT_EQ(StableEnd(topic), 5) << "four records and one commit";
  EXPECT_EQ(member.session().held_bytes(), 0);
  Write(member, 4, {"batch 4"});
  ASSERT_OK(member.Commit(4));
  EXPECT_EQ(StableEnd(topic), 7);
  EXPECT_EQ(Values(topic).size(), 5u);
}

// What readers of both topics see belongs together; each commit is one of the log as well.
TEST(KafkaTransactions, TablesThatShareASessionAreCommittedInOneStep) {
  const std::string topics[] = {NewTopic(1), NewTopic(1)};
  const proto::Sink tables[] = {SinkTable(topics[0]), SinkTable(topics[1])};
  EXPECT_FALSE(KafkaSink().SessionKey(tables[0]).empty());
  EXPECT_EQ(KafkaSink().SessionKey(tables[0]), KafkaSink().SessionKey(tables[1]));
  const SinkLife life = LifeOf(tables[0]);  // of which only the context counts
  SinkContext context = life.context;
  context.epoch = Epoch(1);
  context.sink = 2;
  auto session = KafkaSink().Open({{2, &tables[0]}, {5, &tables[1]}}, context);
  ASSERT_OK(session);
  for (const uint32_t sink : {5, 2}) {
    auto shard = (*session)->AddShard(sink, 0);
    ASSERT_OK(shard);
    ASSERT_OK((*shard)->Write({.id = BatchId(1)}, TextRows({{absl::StrCat("of ", sink)}})));
  }
  ASSERT_OK((*session)->Prepare(BatchId(1), Soon()));
  SetFailpointHandler([&](const char* name) {
    if (std::string(name) == "kafka_sink.before_commit") {
      EXPECT_TRUE(Values(topics[0]).empty());
      EXPECT_TRUE(Values(topics[1]).empty());
    }
  });
  ASSERT_OK((*session)->Commit(BatchId(1), Soon()));
  SetFailpointHandler(nullptr);
  for (const std::string& topic : topics) {
    EXPECT_EQ(StableEnd(topic), 2) << "a record and one commit";
  }
  EXPECT_EQ(Values(topics[0]), std::vector<std::string>{"of 2"});
  EXPECT_EQ(Values(topics[1]), std::vector<std::string>{"of 5"});
  const std::string log = "millrace-marks-" + context.job_name;
  EXPECT_EQ(StableEnd(log), 4) << "a claim and a mark, each with its commit";
  EXPECT_FALSE((*session)->AddShard(0, 0).ok()) << "a table of another session";
}

TEST(KafkaTransactions, TablesWithOtherPropertiesHaveASessionOfTheirOwn) {
  const proto::Sink table = SinkTable("a");
  for (const auto& [name, value] :
       std::map<std::string, std::string>{{"transaction.timeout.ms", "1000"},
                                          {"delivery", "at_least_once"},
                                          {"marker_topic", "marks"},
                                          {"bootstrap.servers", "localhost:1"}}) {
    proto::Sink other = table;
    (*other.mutable_options())[name] = value;
    EXPECT_NE(KafkaSink().SessionKey(table), KafkaSink().SessionKey(other)) << name;
  }
  proto::Sink other = table;
  (*other.mutable_options())["topic"] = "b";
  other.set_format("json");
  EXPECT_EQ(KafkaSink().SessionKey(table), KafkaSink().SessionKey(other));
}

TEST(KafkaTransactions, WithoutRowsThereIsNone) {
  const std::string topic = NewTopic(1);
  SinkLife life = LifeOf(SinkTable(topic));
  auto member = life.Open();
  Write(*member, 1, {"one"});
  ASSERT_OK(member->Commit(1));
  const std::string log = "millrace-marks-" + life.context.job_name;
  const int64_t end = StableEnd(log);
  // However old the mark is by batch time.
  member->session().NoteBatch(BatchId(2), kLongAgoUs + absl::ToInt64Microseconds(absl::Hours(99)));
  ASSERT_OK(member->Commit(2));
  EXPECT_EQ(member->mark().batch, BatchId(1));
  EXPECT_EQ(member->session().wake_at_us(), 0);
  EXPECT_EQ(StableEnd(log), end);
  EXPECT_EQ(StableEnd(topic), 2);
}

TEST(KafkaTransactions, AnOpenOneThatTakesTooLongSaysWhatToRaise) {
  std::string topic = NewTopic(1);
  proto::Sink sink = SinkTable(topic);
  (*sink.mutable_options())["transaction.timeout.ms"] = "1000";
  SinkLife life = LifeOf(sink);
  auto member = life.Open();
  Write(*member, 1, {"one"});
  SetFailpointHandler([&](const char* name) {
    if (std::string(name) == "kafka_sink.before_commit") {
      EXPECT_EQ(StableEnd(topic), 2) << "the broker has aborted it";
    }
  });
  absl::Status status = member->Commit(1);
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
  SinkLife life = LifeOf(sink);
  auto member = life.Open();
  Write(*member, 1, {"one", "two", "three", "four", "five"});
  EXPECT_EQ(member->session().held_bytes(), 0);
  Write(*member, 1, {"six"});
  EXPECT_GT(member->session().held_bytes(), 0);
  EXPECT_EQ(StableEnd(topic), 6) << "the broker has aborted it";
  absl::Status status = member->Commit(1);
  EXPECT_EQ(FailureKindOf(status), FailureKind::kTooLarge) << status;
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "rows of batch 1 were in that transaction"))
      << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "raise max_held")) << status;
  EXPECT_EQ(member->Commit(1), status);
  EXPECT_TRUE(Values(topic).empty());
}

// Such a batch cannot be made smaller if another shard has committed it.
TEST(KafkaTransactions, RowsOfABatchThatRunsAgainStayInMemoryWhileThereIsRoom) {
  std::string topic = NewTopic(1);
  proto::Sink sink = SinkTable(topic);
  (*sink.mutable_options())["max_held"] = "200 B";
  SinkLife life = LifeOf(sink);
  life.context.memory = std::make_shared<HeldMemory>(10'000);
  life.context.planned_batch = BatchId(1);
  auto member = life.Open();
  const std::vector<std::string> rows(10, std::string(100, 'x'));
  Write(*member, 1, rows);
  EXPECT_GT(member->session().held_bytes(), 1000);
  for (int i = 0; i < 9; ++i) {
    Write(*member, 1, rows);
  }
  EXPECT_LT(member->session().held_bytes(), 10'000) << "there is no room for all";
  ASSERT_OK(member->Commit(1));
  EXPECT_EQ(Values(topic).size(), 100u);
  Write(*member, 2, rows);
  EXPECT_EQ(member->session().held_bytes(), 0) << "a new batch";
}

// A broker may take minutes for what a large batch still has to send, and a new epoch waits for it.
TEST(KafkaTransactions, RowsStopLeavingWhenTheEpochEnds) {
  std::string topic = NewTopic(1);
  proto::Sink sink = SinkTable(topic);
  (*sink.mutable_options())["max_held"] = "200 B";
  SinkLife life = LifeOf(sink);
  bool ended = false;
  life.context.ended = [&ended] { return ended; };
  auto member = life.Open();
  Write(*member, 1, {"one", "two", "three", "four", "five"});
  EXPECT_EQ(member->session().held_bytes(), 0);
  ended = true;
  absl::Status status = member->Write(1, TextRows({{"six", "seven", "eight", "nine", "ten"}}));
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled) << status;
  EXPECT_FALSE(member->Commit(1).ok());
  EXPECT_TRUE(Values(topic).empty());
}

TEST(KafkaTransactions, AtLeastOnceHidesNothingAndHoldsAll) {
  std::string topic = NewTopic(1);
  proto::Sink sink = SinkTable(topic);
  (*sink.mutable_options())["delivery"] = "at_least_once";
  SinkLife life = LifeOf(sink);
  life.context.memory = std::make_shared<HeldMemory>(1000);
  auto member = life.Open();
  Write(*member, 1, {std::string(600, 'x')});
  EXPECT_EQ(FailureKindOf(member->Write(1, TextRows({{std::string(600, 'y')}}))),
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
  SinkLife life = LifeOf(sink);
  auto member = life.Open();
  Write(*member, 1, {"one"});
  Write(*member, 2, {"two"});
  ASSERT_OK(life.CommitAndJournal(member.get(), 2));
  EXPECT_EQ(member->mark().written, Epoch(0));
  EXPECT_EQ(member->session().wake_at_us(), 0);
  Write(*member, 3, {"three"});
  ASSERT_OK(member->Commit(3));  // which the journal does not hear of
  member = life.Open();
  EXPECT_EQ(member->mark().written, Epoch(0)) << "nobody knows";
  Write(*member, 3, {"three"});
  ASSERT_OK(member->Commit(3));
  EXPECT_EQ(StableEnd(topic), 4) << "records only";
  EXPECT_EQ(Values(topic), (std::vector<std::string>{"one", "two", "three", "three"}));
  EXPECT_TRUE(absl::IsNotFound(
      Admin().DescribeTopic("millrace-marks-" + life.context.job_name, kTimeout).status()))
      << "and no log";
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
  constexpr uint32_t kSlots = 16;
  std::string topic = NewTopic(4);
  SinkLife life = LifeOf(SinkTable(topic));
  life.BeginEpoch();
  std::vector<std::unique_ptr<SinkSession>> sessions(kSlots);
  absl::Time begin = SteadyNow();
  std::vector<std::thread> claims;
  for (uint32_t slot = 0; slot < kSlots; ++slot) {
    claims.emplace_back([&, slot] {
      auto session = life.Claim(life.ContextOf(slot));
      EXPECT_OK(session);
      sessions[slot] = session.ok() ? *std::move(session) : nullptr;
    });
  }
  for (std::thread& claim : claims) {
    claim.join();
  }
  std::cout << kSlots << " places claimed in " << SteadyNow() - begin << "\n";
  ASSERT_NE(sessions[0], nullptr);
  auto shard = sessions[0]->AddShard(0, 0);
  ASSERT_OK(shard);
  std::vector<absl::Duration> times;
  for (int64_t batch = 1; batch <= 200; ++batch) {
    ASSERT_OK((*shard)->Write({.id = BatchId(batch), .time_us = absl::ToUnixMicros(absl::Now())},
                              TextRows({std::vector<std::string>(20, "a record of some bytes")})));
    begin = SteadyNow();
    ASSERT_OK(sessions[0]->Commit(BatchId(batch), Soon()));
    times.push_back(SteadyNow() - begin);
  }
  std::sort(times.begin(), times.end());
  std::cout << "commit of 20 records: p50 " << times[times.size() / 2] << ", p99 "
            << times[times.size() * 99 / 100] << "\n";
  for (const auto& session : sessions) {
    ASSERT_NE(session, nullptr);
    ASSERT_OK(session->Commit(BatchId(201), Soon()));
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
    SinkLife life = LifeOf(sink);
    auto member = life.Open();
    absl::Duration commits;
    for (int64_t batch = 1; batch <= kBatches; ++batch) {
      ASSERT_OK(member->shard().Write(
          {.id = BatchId(batch), .time_us = absl::ToUnixMicros(absl::Now())}, TextRows({values})));
      absl::Time begin = SteadyNow();
      ASSERT_OK(member->Commit(batch));
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
