// Tests records that a topic does not take, with a real broker. As far as that can be known, Write
// refuses the rows; a refusal that only the broker knows ends the transaction, and with it the job
// or the epoch.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/failure_kind.h"
#include "common/base/steady_time.h"
#include "tests/contract/kafka_place.h"
#include "tests/contract/sink_life.h"
#include "tests/contract/tables.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::Duration kTimeout = absl::Seconds(30);

// In format raw, without key and headers, 70 bytes of a batch are not the value's.
constexpr size_t kValueOf1000Bytes = 930;

absl::Time Soon() { return SteadyNow() + kTimeout; }

proto::Sink SinkTable(const std::string& topic) {
  return TextSink("kafka", "raw",
                  {{"bootstrap.servers", Broker().bootstrap_servers()}, {"topic", topic}});
}

SinkLife LifeOf(const proto::Sink& sink) { return SinkLife(*Connectors().Sink("kafka"), sink); }

// The rows that Write refuses, each with a reason that contains `why`; none if it takes all.
std::vector<uint32_t> Refused(SinkMember& member, int64_t batch, const Batch& rows,
                              const std::string& why) {
  const absl::Status status = member.Write(batch, rows);
  std::vector<uint32_t> refused;
  for (const RowError& error : member.shard().TakeRefused()) {
    EXPECT_THAT(std::string(error.status.message()), HasSubstr(why));
    refused.push_back(error.row);
  }
  EXPECT_EQ(status.ok(), refused.empty()) << status;
  return refused;
}

Batch Values(std::vector<std::string> values) { return TextRows({std::move(values)}); }

std::vector<std::string> ValuesIn(const std::string& topic) {
  std::vector<std::string> values;
  for (const PlainRecord& record : Consume(topic)) {
    values.push_back(*record.value);
  }
  return values;
}

// Lowers max.message.bytes to `bytes` and waits until the broker heeds that.
void LowerLimit(const std::string& topic, size_t bytes) {
  ASSERT_OK(Admin().SetTopicConfig(topic, "max.message.bytes", absl::StrCat(bytes), kTimeout));
  const absl::Time deadline = Soon();
  while (true) {
    auto producer = kafka::NewKafkaRecordProducer(
        {{"bootstrap.servers", Broker().bootstrap_servers()}}, topic, kTimeout);
    ASSERT_OK(producer);
    ASSERT_OK((*producer)->Send(std::nullopt, std::string(bytes, 'p')));
    if (!(*producer)->Flush(kTimeout).ok()) {
      return;
    }
    ASSERT_LT(SteadyNow(), deadline);
  }
}

TEST(KafkaRefusals, ARecordLargerThanTheTopicTakesIsRefusedByWrite) {
  const std::string topic = NewTopic(1, {{"max.message.bytes", "1000"}});
  SinkLife life = LifeOf(SinkTable(topic));
  auto member = life.Open();
  const std::string most(kValueOf1000Bytes, 'x');
  EXPECT_THAT(Refused(*member, 1, Values({most, most + "x"}),
                      absl::StrCat("topic ", topic,
                                   ": a record of 1001 bytes is larger than the "
                                   "topic's max.message.bytes, 1000")),
              ElementsAre(1));
  EXPECT_EQ(member->session().held_bytes(), 0);
  EXPECT_THAT(Refused(*member, 1, Values({most}), ""), ElementsAre());
  ASSERT_OK(member->Commit(1));
  EXPECT_EQ(ValuesIn(topic), std::vector<std::string>{most});
}

// The producer must not pack records into a batch that is larger than the topic takes: none of the
// records would be at fault.
TEST(KafkaRefusals, SmallRecordsFitIntoATopicThatTakesLittle) {
  const std::string topic = NewTopic(1, {{"max.message.bytes", "1000"}});
  SinkLife life = LifeOf(SinkTable(topic));
  auto member = life.Open();
  const std::vector<std::string> values(500, std::string(100, 'x'));
  EXPECT_THAT(Refused(*member, 1, Values(values), ""), ElementsAre());
  ASSERT_OK(member->Commit(1));
  EXPECT_EQ(ValuesIn(topic), values);
}

TEST(KafkaRefusals, ARecordWithoutAKeyIsRefusedWhereTheTopicIsCompacted) {
  const std::string topic = NewTopic(1, {{"cleanup.policy", "compact"}});
  proto::Sink sink = SinkTable(topic);
  AddSinkColumn(&sink, "_key", proto::TYPE_TEXT);
  SinkLife life = LifeOf(sink);
  auto member = life.Open();
  auto keys = std::make_shared<Column>(MakeType(TypeId::kText), 2);
  keys->SetTextCopy(0, "k");
  keys->SetNull(1);
  const Batch rows({TextColumn({"a", "b"}), keys}, 2);
  EXPECT_THAT(Refused(*member, 1, rows, "cleanup.policy = compact"), ElementsAre(1));
  const uint32_t first = 0;
  EXPECT_THAT(Refused(*member, 1, rows.TakeRows(&first, 1), ""), ElementsAre());
  ASSERT_OK(member->Commit(1));
}

TEST(KafkaRefusals, ATableWithoutAKeyIsRefusedAtSubmissionWhereTheTopicIsCompacted) {
  const std::string topic = NewTopic(1, {{"cleanup.policy", "compact"}});
  const SinkConnector* kafka = *Connectors().Sink("kafka");
  proto::Sink sink = SinkTable(topic);
  EXPECT_THAT(std::string(kafka->Probe(sink, kTimeout).message()),
              HasSubstr("takes no record without a key"));
  AddSinkColumn(&sink, "_key", proto::TYPE_TEXT);
  EXPECT_OK(kafka->Probe(sink, kTimeout));
}

TEST(KafkaRefusals, ARecordForAPartitionThatTheTopicLacksIsRefused) {
  const std::string topic = NewTopic(2);
  proto::Sink sink = SinkTable(topic);
  AddSinkColumn(&sink, "_partition", proto::TYPE_INT32);
  SinkLife life = LifeOf(sink);
  auto member = life.Open();
  auto partitions = std::make_shared<Column>(MakeType(TypeId::kInt32), 2);
  partitions->mutable_values<int32_t>()[0] = 2;
  partitions->mutable_values<int32_t>()[1] = 1;
  EXPECT_THAT(Refused(*member, 1, Batch({TextColumn({"a", "b"}), partitions}, 2),
                      "_partition is 2, and the topic has 2 partitions"),
              ElementsAre(0));
}

TEST(KafkaRefusals, ALimitThatIsLoweredHoldsFromTheNextEpochOn) {
  const std::string topic = NewTopic(1);
  SinkLife life = LifeOf(SinkTable(topic));
  auto member = life.Open();
  const std::string terms = member->session().Terms(0);
  const std::string large(kValueOf1000Bytes, 'x');
  EXPECT_THAT(Refused(*member, 1, Values({"small", large}), ""), ElementsAre());
  LowerLimit(topic, 999);
  const absl::Status status = member->Commit(1);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_EQ(FailureKindOf(status), FailureKind::kUndecided) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("topic " + topic + " partition 0"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("the batch is run again"));
  EXPECT_EQ(member->mark().batch, BatchId(0));
  EXPECT_EQ(member->session().Terms(0), terms) << "for the session's life";

  member = life.Open();
  EXPECT_NE(member->session().Terms(0), terms);
  EXPECT_THAT(Refused(*member, 1, Values({"small", large}), "max.message.bytes, 999"),
              ElementsAre(1));
  EXPECT_THAT(Refused(*member, 1, Values({"small"}), ""), ElementsAre());
  ASSERT_OK(member->Commit(1));
  EXPECT_EQ(ValuesIn(topic).back(), "small");
}

// Rows of a batch that is out must be judged as they were when they were written: a row that is
// refused only now would be set aside although it is in the topic. Another session has the shard.
TEST(KafkaRefusals, ABatchThatIsOutIsJudgedByTheLimitOfItsEpoch) {
  const std::string topic = NewTopic(1);
  SinkLife life = LifeOf(SinkTable(topic));
  SinkMembers members = life.OpenEpoch({{0}, {1}});
  const std::string large(kValueOf1000Bytes, 'x');
  EXPECT_THAT(Refused(*members[0], 1, Values({large}), ""), ElementsAre());
  ASSERT_OK(members[0]->Commit(1));
  LowerLimit(topic, 999);

  members = life.OpenEpoch({{1}, {0}});
  ASSERT_OK(members[0]->Write(1, Values({"small"}), 1));
  EXPECT_FALSE(members[0]->Write(1, Values({large}), 1).ok()) << "that shard has not written";
  members[0]->shard(1).TakeRefused();
  EXPECT_THAT(Refused(*members[1], 1, Values({large}), ""), ElementsAre());

  members = life.OpenEpoch({{0, 1}});
  EXPECT_THAT(Refused(*members[0], 1, Values({large}), ""), ElementsAre()) << "still";
  ASSERT_OK(members[0]->Write(1, Values({"small"}), 1));
  ASSERT_OK(members[0]->Commit(1));
  life.Journal({members[0].get()}, 1);
  EXPECT_THAT(Refused(*members[0], 2, Values({large}), "max.message.bytes, 999"), ElementsAre(0));
  const std::vector<std::string> values = ValuesIn(topic);
  EXPECT_EQ(std::count(values.begin(), values.end(), large), 1);
  EXPECT_EQ(values.back(), "small");
}

// The record is in the table of failed records already, and must not be in the topic as well.
TEST(KafkaRefusals, ABatchOfWhichAllWasRefusedIsJudgedByTheLimitOfItsEpoch) {
  const std::string topic = NewTopic(1, {{"max.message.bytes", "999"}});
  SinkLife life = LifeOf(SinkTable(topic));
  auto member = life.Open();
  const std::string large(kValueOf1000Bytes, 'x');
  EXPECT_THAT(Refused(*member, 1, Values({large}), "max.message.bytes, 999"), ElementsAre(0));
  ASSERT_OK(member->Commit(1));
  EXPECT_EQ(member->mark().batch, BatchId(1)) << "a mark without rows";
  ASSERT_OK(Admin().SetTopicConfig(topic, "max.message.bytes", "2000", kTimeout));

  member = life.Open();
  EXPECT_EQ(member->mark().batch, BatchId(1));
  EXPECT_THAT(Refused(*member, 1, Values({large}), "max.message.bytes, 999"), ElementsAre(0));
  ASSERT_OK(member->Commit(1));
  EXPECT_TRUE(ValuesIn(topic).empty());
}

// Each table of a session has limits of its own.
TEST(KafkaRefusals, TablesOfASessionAreJudgedByTheirOwnTopics) {
  const std::string little = NewTopic(1, {{"max.message.bytes", "1000"}});
  const std::string much = NewTopic(1);
  const proto::Sink tables[] = {SinkTable(little), SinkTable(much)};
  const SinkLife life = LifeOf(tables[0]);  // of which only the context counts
  SinkContext context = life.context;
  context.epoch = Epoch(1);
  auto session = (*Connectors().Sink("kafka"))->Open({{0, &tables[0]}, {1, &tables[1]}}, context);
  ASSERT_OK(session);
  EXPECT_NE((*session)->Terms(0), (*session)->Terms(1));
  const std::string large(2000, 'x');
  for (uint32_t sink = 0; sink < 2; ++sink) {
    auto shard = (*session)->AddShard(sink, 0);
    ASSERT_OK(shard);
    EXPECT_EQ((*shard)->Write({.id = BatchId(1)}, Values({large})).ok(), sink == 1);
    EXPECT_EQ((*shard)->TakeRefused().size(), sink == 0 ? 1u : 0u);
  }
  ASSERT_OK((*session)->Commit(BatchId(1), Soon()));
  EXPECT_TRUE(ValuesIn(little).empty());
  EXPECT_EQ(ValuesIn(much), std::vector<std::string>{large});
}

// Only the broker sees how large a record is after compression.
TEST(KafkaRefusals, OfCompressedRecordsTheBrokerDecides) {
  const std::string topic = NewTopic(1, {{"max.message.bytes", "1000"}});
  proto::Sink sink = SinkTable(topic);
  (*sink.mutable_options())["compression.type"] = "gzip";
  SinkLife life = LifeOf(sink);
  auto member = life.Open();
  const std::string fits(5000, 'x');
  EXPECT_THAT(Refused(*member, 1, Values({fits}), ""), ElementsAre());
  ASSERT_OK(member->Commit(1));
  std::string noise;
  for (uint64_t bits = 1; noise.size() < 5000; bits = bits * 6364136223846793005 + 1) {
    noise += absl::StrCat(bits);
  }
  EXPECT_THAT(Refused(*member, 2, Values({noise}), ""), ElementsAre());
  const absl::Status status = member->Commit(2);
  EXPECT_EQ(FailureKindOf(status), FailureKind::kCertain) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("raise its max.message.bytes"));
  EXPECT_EQ(ValuesIn(topic), std::vector<std::string>{fits});
}

}  // namespace
}  // namespace millrace
