// What is particular to Kafka, over a real broker: where jobs start, what they tell the cluster,
// and trouble.
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/steady_time.h"
#include "connectors/source.h"
#include "tests/contract/kafka_place.h"
#include "tests/contract/sink_life.h"
#include "tests/contract/tables.h"

namespace millrace {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(30);

absl::Time Soon() { return SteadyNow() + kTimeout; }

const SourceConnector& KafkaSource() { return **Connectors().Source("kafka"); }
const SinkConnector& KafkaSink() { return **Connectors().Sink("kafka"); }

proto::Source Table(const std::string& topic, const std::string& start = "earliest") {
  return TextSource(
      "kafka", "raw",
      {{"bootstrap.servers", Broker().bootstrap_servers()}, {"topic", topic}, {"start", start}});
}

std::unique_ptr<SourceEnumerator> Enumerate(const proto::Source& source,
                                            const std::string& job = "job") {
  EXPECT_OK(KafkaSource().Validate(source));
  auto enumerator = KafkaSource().CreateEnumerator(source, SourceContext{.job_name = job});
  EXPECT_OK(enumerator);
  return *std::move(enumerator);
}

std::unique_ptr<SourceReader> Read(const proto::Source& source, const SourceContext& context = {}) {
  auto reader = KafkaSource().CreateReader(source, context);
  EXPECT_OK(reader);
  return *std::move(reader);
}

// Start offsets by partition.
std::map<std::string, int64_t> StartOf(const proto::Source& source) {
  auto enumerator = Enumerate(source);
  auto partitions = enumerator->Discover(kTimeout);
  EXPECT_OK(partitions);
  auto starts = enumerator->ResolveStart(*partitions, kTimeout);
  EXPECT_OK(starts);
  std::map<std::string, int64_t> offsets;
  for (const PartitionOffset& one : *starts) {
    offsets[one.partition] = one.offset.value();
  }
  return offsets;
}

using Offsets = std::map<std::string, int64_t>;

TEST(KafkaStart, EarliestAndLatest) {
  std::string topic = NewTopic(2);
  Produce(topic, 0, {"a", "b", "c"});
  EXPECT_EQ(StartOf(Table(topic)), (Offsets{{topic + "/0", 0}, {topic + "/1", 0}}));
  EXPECT_EQ(StartOf(Table(topic, "latest")), (Offsets{{topic + "/0", 3}, {topic + "/1", 0}}));
}

TEST(KafkaStart, OffsetsMustBeInTheLog) {
  std::string topic = NewTopic(2);
  Produce(topic, 0, {"a", "b", "c"});
  EXPECT_EQ(StartOf(Table(topic, "offsets:0:2")), (Offsets{{topic + "/0", 2}, {topic + "/1", 0}}));
  auto enumerator = Enumerate(Table(topic, "offsets:0:4"));
  absl::Status status = enumerator->ResolveStart({topic + "/0", topic + "/1"}, kTimeout).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_TRUE(
      absl::StrContains(status.message(), topic + "/0 is not in the log, which holds [0, 3)"))
      << status;
}

TEST(KafkaStart, ATimestampFindsTheFirstRecordAsLate) {
  std::string topic = NewTopic(1);
  Produce(topic, 0, {"a", "b"});
  int64_t second = Consume(topic)[1].timestamp_ms;
  int64_t first_at_second = 0;
  for (const PlainRecord& record : Consume(topic)) {
    first_at_second = record.timestamp_ms < second ? record.offset + 1 : first_at_second;
  }
  EXPECT_EQ(StartOf(Table(topic, absl::StrCat("timestamp:", second)))[topic + "/0"],
            first_at_second);
  // Nothing is as late: what comes from now on.
  EXPECT_EQ(StartOf(Table(topic, "timestamp:2100-01-01T00:00:00Z"))[topic + "/0"], 2);
}

TEST(KafkaStart, AGroupGoesOnWhereItStopped) {
  std::string topic = NewTopic(2);
  Produce(topic, 0, {"a", "b", "c"});
  Produce(topic, 1, {"d", "e"});
  proto::Source source = Table(topic, "group");
  (*source.mutable_options())["group"] = "group-of-" + topic;
  EXPECT_EQ(StartOf(source), (Offsets{{topic + "/0", 0}, {topic + "/1", 0}}));
  ASSERT_OK(Enumerate(source)->PublishOffsets(
      {{topic + "/0", Offset(2)}, {topic + "/1", Offset(1)}}, kTimeout));
  EXPECT_EQ(StartOf(source), (Offsets{{topic + "/0", 2}, {topic + "/1", 1}}));
  auto lag = Admin().GroupOffsets("group-of-" + topic, kTimeout);
  ASSERT_OK(lag);
  ASSERT_EQ(lag->size(), 2u);
  EXPECT_EQ((*lag)[0].committed, 2);
  EXPECT_EQ((*lag)[0].stable_end, 3);
  EXPECT_EQ((*lag)[1].committed, 1);
  EXPECT_EQ((*lag)[1].high_watermark, 2);
}

TEST(KafkaGroup, IsCalledAfterTheJob) {
  std::string topic = NewTopic(1);
  Produce(topic, 0, {"a"});
  ASSERT_OK(
      Enumerate(Table(topic), "counts")->PublishOffsets({{topic + "/0", Offset(1)}}, kTimeout));
  auto lag = Admin().GroupOffsets("millrace-counts", kTimeout);
  ASSERT_OK(lag);
  ASSERT_EQ(lag->size(), 1u);
  EXPECT_EQ((*lag)[0].topic, topic);
}

TEST(KafkaTopics, AnUnknownOneListsWhatIsNear) {
  std::string topic = NewTopic(1);
  absl::Status status = Enumerate(Table(topic + "x"))->Discover(kTimeout).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(absl::StrContains(status.message(), "\"" + topic + "x\"")) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "did you mean")) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), topic)) << status;
  // Asking must not have made it.
  EXPECT_EQ(Admin().DescribeTopic(topic + "x", kTimeout).status().code(),
            absl::StatusCode::kNotFound);
}

TEST(KafkaTopics, APatternFindsTopicsThatComeLater) {
  std::string first = NewTopic(1);
  std::string name = absl::StrCat("pattern-", first);
  auto enumerator = Enumerate(Table("/pattern-" + first + ".*/"));
  auto none = enumerator->Discover(kTimeout);
  ASSERT_OK(none);
  EXPECT_TRUE(none->empty());
  ASSERT_OK(Admin().CreateTopic({.name = name + "a", .partitions = 2, .replication = 1}, kTimeout));
  auto found = enumerator->Discover(kTimeout);
  ASSERT_OK(found);
  EXPECT_EQ(*found, (std::vector<PartitionName>{name + "a/0", name + "a/1"}));
}

TEST(KafkaTopics, ADeletedTopicOfAPatternIsGoneAndItsSuccessorIsAnotherPartition) {
  const std::string first = NewTopic(1);
  const std::string name = absl::StrCat("gone-", first);
  const auto create = [&](const std::string& topic) {
    ASSERT_OK(Admin().CreateTopic({.name = topic, .partitions = 1, .replication = 1}, kTimeout));
  };
  create(name + "a");
  create(name + "b");
  auto enumerator = Enumerate(Table("/gone-" + first + ".*/"));
  EXPECT_TRUE(KafkaSource().Traits(Table("/gone-" + first + ".*/")).may_lose_partitions);
  auto names = enumerator->Discover(kTimeout);
  ASSERT_OK(names);
  ASSERT_EQ(names->size(), 2u);
  auto ids = enumerator->Identities(*names, kTimeout);
  ASSERT_OK(ids);
  enumerator->Remember({{(*names)[0], Offset(0), (*ids)[0]}, {(*names)[1], Offset(0), (*ids)[1]}});

  ASSERT_OK(Admin().DeleteTopic(name + "a", kTimeout));
  absl::StatusOr<std::vector<PartitionEnd>> ends;
  const absl::Time deadline = SteadyNow() + kTimeout;
  do {  // a broker may answer from what it knew a moment ago
    ends = enumerator->Ends(*names, kTimeout);
    ASSERT_TRUE(ends.ok() || absl::IsUnavailable(ends.status())) << ends.status();
  } while (SteadyNow() < deadline && (!ends.ok() || (*ends)[0].phase == PartitionPhase::kOpen));
  ASSERT_OK(ends);
  EXPECT_EQ((*ends)[0].phase, PartitionPhase::kGone);
  EXPECT_EQ((*ends)[0].why, "its topic was deleted");
  EXPECT_EQ((*ends)[1].phase, PartitionPhase::kOpen);

  create(name + "a");
  do {
    names = enumerator->Discover(kTimeout);
    ASSERT_OK(names);
  } while (SteadyNow() < deadline && names->size() < 2);
  EXPECT_EQ(*names, (std::vector<PartitionName>{name + "a/0#2", name + "b/0"}));
  Produce(name + "a", 0, {"x"});
  ends = enumerator->Ends({name + "a/0#2"}, kTimeout);
  ASSERT_OK(ends);
  EXPECT_EQ((*ends)[0].stable_end, Offset(1));
}

TEST(KafkaTopics, SelectsWhatTheOptionMeans) {
  const auto selects = [](const std::string& topic, const std::string& partition) {
    return Enumerate(Table(topic))->Selects({.name = partition});
  };
  EXPECT_TRUE(selects("a,b", "b/0"));
  EXPECT_FALSE(selects("a,b", "c/0"));
  EXPECT_TRUE(selects("/c\\..*/", "c.x/3#2"));
  EXPECT_FALSE(selects("/c\\..*/", "d.x/3"));
}

TEST(KafkaEnds, StopAtAnOpenTransaction) {
  std::string topic = NewTopic(1);
  Produce(topic, 0, {"a", "b"});
  auto producer = kafka::NewTransactionalProducer(Broker().bootstrap_servers(), "open-" + topic);
  ASSERT_OK(producer);
  ASSERT_OK((*producer)->Begin());
  ASSERT_OK((*producer)->Send(topic, 0, "hidden"));
  ASSERT_OK((*producer)->Flush());
  auto enumerator = Enumerate(Table(topic));
  auto ends = enumerator->Ends({topic + "/0"}, kTimeout);
  ASSERT_OK(ends);
  EXPECT_EQ((*ends)[0].stable_end.value(), 2);
  EXPECT_EQ((*ends)[0].end.value(), 3);
  proto::Source uncommitted = Table(topic);
  (*uncommitted.mutable_options())["isolation.level"] = "read_uncommitted";
  auto all = Enumerate(uncommitted)->Ends({topic + "/0"}, kTimeout);
  ASSERT_OK(all);
  EXPECT_EQ((*all)[0].stable_end.value(), 3);
  // The job's setting isolation_level says the same where the table is silent.
  SourceContext dirty{.job_name = "job", .read_uncommitted = true};
  auto by_setting = KafkaSource().CreateEnumerator(Table(topic), dirty);
  ASSERT_OK(by_setting);
  all = (*by_setting)->Ends({topic + "/0"}, kTimeout);
  ASSERT_OK(all);
  EXPECT_EQ((*all)[0].stable_end.value(), 3);
  auto reader = Read(Table(topic), dirty);
  ASSERT_OK(reader->Assign({topic + "/0", Offset(0)}));
  auto chunk = reader->Read(topic + "/0", Offset(3), 10, 0, Soon());
  ASSERT_OK(chunk);
  EXPECT_EQ(Texts(chunk->batch), (std::vector<std::string>{"a", "b", "hidden"}));
  proto::Source committed = Table(topic);
  (*committed.mutable_options())["isolation.level"] = "read_committed";
  auto by_table = KafkaSource().CreateEnumerator(committed, dirty);
  ASSERT_OK(by_table);
  ends = (*by_table)->Ends({topic + "/0"}, kTimeout);
  ASSERT_OK(ends);
  EXPECT_EQ((*ends)[0].stable_end.value(), 2);
  ASSERT_OK((*producer)->Commit());
  // The coordinator answers before the marker is in the log.
  absl::Time deadline = Soon();
  do {
    ends = enumerator->Ends({topic + "/0"}, kTimeout);
    ASSERT_OK(ends);
  } while ((*ends)[0].stable_end.value() < 4 && SteadyNow() < deadline);
  EXPECT_EQ((*ends)[0].stable_end.value(), 4) << "the record and the commit marker";
}

TEST(KafkaReader, KnowsAtOnceThatOnlyAControlRecordFollows) {
  std::string topic = NewTopic(1);
  auto producer = kafka::NewTransactionalProducer(Broker().bootstrap_servers(), "tail-" + topic);
  ASSERT_OK(producer);
  std::mutex mutex;
  std::condition_variable woken;
  int64_t fetched = 0;
  SourceReader* raw = nullptr;
  SourceContext context;
  context.on_progress = [&] {
    std::lock_guard<std::mutex> lock(mutex);
    fetched = raw == nullptr ? fetched : raw->FetchedTo()[0].offset.value();
    woken.notify_one();
  };
  auto reader = Read(Table(topic), context);
  {
    std::lock_guard<std::mutex> lock(mutex);
    raw = reader.get();
  }
  ASSERT_OK(reader->Assign({topic + "/0", Offset(0)}));
  std::vector<absl::Duration> waits;
  for (int64_t i = 0; i < 20; ++i) {
    ASSERT_OK((*producer)->Begin());
    ASSERT_OK((*producer)->Send(topic, 0, "x"));
    ASSERT_OK((*producer)->Commit());
    absl::Time committed = SteadyNow();
    int64_t end = 2 * (i + 1);  // a record and a marker each
    std::unique_lock<std::mutex> lock(mutex);
    ASSERT_TRUE(
        woken.wait_for(lock, absl::ToChronoNanoseconds(kTimeout), [&] { return fetched >= end; }));
    waits.push_back(SteadyNow() - committed);
  }
  // Waiting for the end of the partition instead would take fetch.wait.max.ms, 100 ms, every time.
  std::sort(waits.begin(), waits.end());
  EXPECT_LT(waits[waits.size() / 2], absl::Milliseconds(50));
}

TEST(KafkaReader, SaysWhichOffsetsAreLost) {
  std::string topic = NewTopic(1);
  Produce(topic, 0, {"a", "b", "c", "d", "e"});
  ASSERT_OK(Admin().DeleteRecords(topic, 0, 3, kTimeout));
  auto reader = Read(Table(topic));
  ASSERT_OK(reader->Assign({topic + "/0", Offset(1)}));
  absl::Status status = reader->Read(topic + "/0", Offset(5), 10, 0, Soon()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange) << status;
  EXPECT_TRUE(absl::StrContains(status.message(),
                                "topic " + topic + " partition 0: offsets [1, 3) are lost"))
      << status;
  // What is left can be read.
  ASSERT_OK(reader->Assign({topic + "/0", Offset(3)}));
  auto chunk = reader->Read(topic + "/0", Offset(5), 10, 0, Soon());
  ASSERT_OK(chunk);
  EXPECT_EQ(Texts(chunk->batch), (std::vector<std::string>{"d", "e"}));
}

TEST(KafkaReader, NoticesThatItsTopicWasDeleted) {
  std::string topic = NewTopic(1);
  Produce(topic, 0, {"a"});
  auto enumerator = Enumerate(Table(topic));
  auto reader = Read(Table(topic));
  ASSERT_OK(reader->Assign({topic + "/0", Offset(0)}));
  ASSERT_OK(reader->Read(topic + "/0", Offset(1), 10, 0, Soon()));
  ASSERT_OK(Admin().DeleteTopic(topic, kTimeout));
  absl::Status status = reader->Read(topic + "/0", Offset(2), 10, 0, Soon()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), topic)) << status;
  status = enumerator->Ends({topic + "/0"}, kTimeout).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), topic)) << status;
}

TEST(KafkaReader, NamesTheRecordThatIsNotText) {
  std::string topic = NewTopic(1);
  Produce(topic, 0, {"good", "bad \xff", "good again"});
  auto reader = Read(Table(topic));
  ASSERT_OK(reader->Assign({topic + "/0", Offset(0)}));
  auto chunk = reader->Read(topic + "/0", Offset(3), 10, 0, Soon());
  ASSERT_OK(chunk);
  ASSERT_EQ(chunk->errors.size(), 1u);
  EXPECT_EQ(chunk->errors[0].row, 1u);
  EXPECT_TRUE(absl::StrContains(chunk->errors[0].status.message(),
                                "topic " + topic + " partition 0 offset 1"))
      << chunk->errors[0].status;
}

TEST(KafkaReader, TombstonesAreNull) {
  std::string topic = NewTopic(1);
  auto producer = kafka::NewKafkaRecordProducer(
      {{"bootstrap.servers", Broker().bootstrap_servers()}}, topic, kTimeout);
  ASSERT_OK(producer);
  ASSERT_OK((*producer)->Send("k", std::nullopt));
  ASSERT_OK((*producer)->Send("", ""));
  ASSERT_OK((*producer)->Flush(kTimeout));
  auto reader = Read(Table(topic));
  ASSERT_OK(reader->Assign({topic + "/0", Offset(0)}));
  auto chunk = reader->Read(topic + "/0", Offset(2), 10, 0, Soon());
  ASSERT_OK(chunk);
  EXPECT_EQ(Texts(chunk->batch), (std::vector<std::string>{"<null>", ""}));
}

TEST(KafkaTrouble, AnUnreachableBrokerIsNamed) {
  proto::Source source =
      TextSource("kafka", "raw", {{"bootstrap.servers", "127.0.0.1:1"}, {"topic", "t"}});
  absl::Time begin = SteadyNow();
  absl::Status status = Enumerate(source)->Discover(absl::Seconds(2)).status();
  EXPECT_LT(SteadyNow() - begin, absl::Seconds(10));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "bootstrap.servers = '127.0.0.1:1'")) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "Connection refused")) << status;

  proto::Sink sink =
      TextSink("kafka", "raw", {{"bootstrap.servers", "127.0.0.1:1"}, {"topic", "t"}});
  status = KafkaSink().Probe(sink, absl::Seconds(2));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
}

TEST(KafkaChores, DescribeListAndConfigure) {
  std::string topic = NewTopic(2, {{"min.insync.replicas", "1"}, {"retention.ms", "86400000"}});
  Produce(topic, 1, {"a", "b"});
  auto description = Admin().DescribeTopic(topic, kTimeout);
  ASSERT_OK(description);
  ASSERT_EQ(description->partitions.size(), 2u);
  EXPECT_EQ(description->partitions[1].high_watermark, 2);
  EXPECT_EQ(description->partitions[1].replicas, std::vector<int32_t>{1});
  auto config = Admin().TopicConfig(topic, kTimeout);
  ASSERT_OK(config);
  EXPECT_EQ((*config)["retention.ms"], "86400000");
  auto topics = Admin().ListTopics(kTimeout);
  ASSERT_OK(topics);
  EXPECT_TRUE(std::any_of(topics->begin(), topics->end(),
                          [&](const auto& one) { return one.name == topic; }));
  EXPECT_EQ(Admin().CreateTopic({.name = topic}, kTimeout).code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(
      Admin().CreateTopic({.name = "too-many", .partitions = 1, .replication = 3}, kTimeout).code(),
      absl::StatusCode::kInvalidArgument);
}

// Last in the file, since the others would wait for the broker.
TEST(KafkaTrouble, ARestartedBrokerIsWaitedFor) {
  std::string topic = NewTopic(1);
  Produce(topic, 0, {"before"});
  auto enumerator = Enumerate(Table(topic));
  auto reader = Read(Table(topic));
  ASSERT_OK(reader->Assign({topic + "/0", Offset(0)}));
  ASSERT_OK(reader->Read(topic + "/0", Offset(1), 10, 0, Soon()));
  proto::Sink sink = TextSink(
      "kafka", "raw", {{"bootstrap.servers", Broker().bootstrap_servers()}, {"topic", topic}});
  SinkLife life(&KafkaSink(), sink);
  auto member = life.Open();
  ASSERT_OK(member->Write(1, TextRows({{"first"}})));
  ASSERT_OK(member->Commit(1));

  Broker().Kill();
  absl::Status status =
      reader->Read(topic + "/0", Offset(3), 10, 0, SteadyNow() + absl::Milliseconds(200)).status();
  // The record "first" may have been fetched before the end of the broker.
  EXPECT_TRUE(status.ok() || absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status))
      << status;
  ASSERT_OK(member->Write(2, TextRows({{"second"}})));
  status = member->session().Commit(BatchId(2), SteadyNow() + absl::Milliseconds(200));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_EQ(enumerator->Ends({topic + "/0"}, absl::Milliseconds(200)).status().code(),
            absl::StatusCode::kUnavailable);

  ASSERT_OK(Broker().Restart());
  ASSERT_OK(member->Commit(2));
  // "second" may have been tried twice, and what was aborted is in the log as well.
  const int64_t end = StableEnd(topic);
  auto ends = enumerator->Ends({topic + "/0"}, kTimeout);
  ASSERT_OK(ends);
  EXPECT_EQ((*ends)[0].stable_end.value(), end);
  ASSERT_OK(reader->Assign({topic + "/0", Offset(0)}));
  auto chunk = reader->Read(topic + "/0", Offset(end), 10, 0, Soon());
  ASSERT_OK(chunk);
  EXPECT_EQ(Texts(chunk->batch), (std::vector<std::string>{"before", "first", "second"}));
}

}  // namespace
}  // namespace millrace
