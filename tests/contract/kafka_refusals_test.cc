// Tests records that a topic does not take, with a real broker. As far as that can be known, Write
// refuses the rows; a refusal that only the broker knows ends the transaction, and with it the job
// or the epoch.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/failure_kind.h"
#include "common/base/steady_time.h"
#include "tests/contract/kafka_place.h"
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

std::unique_ptr<SinkWriter> Open(const proto::Sink& sink, const SinkContext& context) {
  auto writer = (*Connectors().Sink("kafka"))->CreateWriter(sink, context);
  EXPECT_OK(writer);
  return *std::move(writer);
}

// The rows that Write refuses, each with a reason that contains `why`; none if it takes all.
std::vector<uint32_t> Refused(SinkWriter* writer, int64_t batch, const Batch& rows,
                              const std::string& why) {
  const absl::Status status = writer->Write(BatchId(batch), absl::ToUnixMicros(absl::Now()), rows);
  std::vector<uint32_t> refused;
  for (const RowError& error : writer->TakeRefused()) {
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
  auto writer = Open(SinkTable(topic), NewShard());
  const std::string most(kValueOf1000Bytes, 'x');
  EXPECT_THAT(Refused(writer.get(), 1, Values({most, most + "x"}),
                      absl::StrCat("topic ", topic,
                                   ": a record of 1001 bytes is larger than the "
                                   "topic's max.message.bytes, 1000")),
              ElementsAre(1));
  EXPECT_EQ(writer->held_bytes(), 0);
  EXPECT_THAT(Refused(writer.get(), 1, Values({most}), ""), ElementsAre());
  ASSERT_OK(writer->Commit(BatchId(1), Soon()));
  EXPECT_EQ(ValuesIn(topic), std::vector<std::string>{most});
}

// The producer must not pack records into a batch that is larger than the topic takes: none of the
// records would be at fault.
TEST(KafkaRefusals, SmallRecordsFitIntoATopicThatTakesLittle) {
  const std::string topic = NewTopic(1, {{"max.message.bytes", "1000"}});
  auto writer = Open(SinkTable(topic), NewShard());
  const std::vector<std::string> values(500, std::string(100, 'x'));
  EXPECT_THAT(Refused(writer.get(), 1, Values(values), ""), ElementsAre());
  ASSERT_OK(writer->Commit(BatchId(1), Soon()));
  EXPECT_EQ(ValuesIn(topic), values);
}

TEST(KafkaRefusals, ARecordWithoutAKeyIsRefusedWhereTheTopicIsCompacted) {
  const std::string topic = NewTopic(1, {{"cleanup.policy", "compact"}});
  proto::Sink sink = SinkTable(topic);
  AddSinkColumn(&sink, "_key", proto::TYPE_TEXT);
  auto writer = Open(sink, NewShard());
  auto keys = std::make_shared<Column>(MakeType(TypeId::kText), 2);
  keys->SetTextCopy(0, "k");
  keys->SetNull(1);
  const Batch rows({TextColumn({"a", "b"}), keys}, 2);
  EXPECT_THAT(Refused(writer.get(), 1, rows, "cleanup.policy = compact"), ElementsAre(1));
  const uint32_t first = 0;
  EXPECT_THAT(Refused(writer.get(), 1, rows.TakeRows(&first, 1), ""), ElementsAre());
  ASSERT_OK(writer->Commit(BatchId(1), Soon()));
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
  auto writer = Open(sink, NewShard());
  auto partitions = std::make_shared<Column>(MakeType(TypeId::kInt32), 2);
  partitions->mutable_values<int32_t>()[0] = 2;
  partitions->mutable_values<int32_t>()[1] = 1;
  EXPECT_THAT(Refused(writer.get(), 1, Batch({TextColumn({"a", "b"}), partitions}, 2),
                      "_partition is 2, and the topic has 2 partitions"),
              ElementsAre(0));
}

TEST(KafkaRefusals, ALimitThatIsLoweredHoldsFromTheNextEpochOn) {
  const std::string topic = NewTopic(1);
  SinkContext context = NewShard();
  auto writer = Open(SinkTable(topic), context);
  const std::string large(kValueOf1000Bytes, 'x');
  EXPECT_THAT(Refused(writer.get(), 1, Values({"small", large}), ""), ElementsAre());
  LowerLimit(topic, 999);
  const absl::Status status = writer->Commit(BatchId(1), Soon()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_EQ(FailureKindOf(status), FailureKind::kUndecided) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("topic " + topic + " partition 0"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("the batch is run again"));
  EXPECT_EQ(writer->committed(), BatchId(0));

  context.marker = writer->marker();
  context.epoch = Epoch(2);
  context.planned_batch = BatchId(1);
  writer = Open(SinkTable(topic), context);
  EXPECT_THAT(Refused(writer.get(), 1, Values({"small", large}), "max.message.bytes, 999"),
              ElementsAre(1));
  EXPECT_THAT(Refused(writer.get(), 1, Values({"small"}), ""), ElementsAre());
  ASSERT_OK(writer->Commit(BatchId(1), Soon()));
  EXPECT_EQ(ValuesIn(topic).back(), "small");
}

// Rows of a committed batch must be judged as they were when they were written: a row that is
// refused only now would be set aside although it is in the topic.
TEST(KafkaRefusals, ABatchThatIsOutIsJudgedByTheLimitOfItsEpoch) {
  const std::string topic = NewTopic(1);
  SinkContext context = NewShard();
  auto writer = Open(SinkTable(topic), context);
  // The claim's marker, which is in the journal before any commit.
  context.marker = writer->marker();
  const std::string large(kValueOf1000Bytes, 'x');
  EXPECT_THAT(Refused(writer.get(), 1, Values({large}), ""), ElementsAre());
  ASSERT_OK(writer->Commit(BatchId(1), Soon()));
  LowerLimit(topic, 999);

  context.epoch = Epoch(2);
  context.planned_batch = BatchId(1);
  writer = Open(SinkTable(topic), context);
  EXPECT_EQ(writer->committed(), BatchId(1));
  EXPECT_THAT(Refused(writer.get(), 1, Values({large}), ""), ElementsAre());

  context.marker = writer->marker();
  context.epoch = Epoch(3);
  context.committed_batch = BatchId(1);
  writer = Open(SinkTable(topic), context);
  EXPECT_THAT(Refused(writer.get(), 2, Values({large}), "max.message.bytes, 999"), ElementsAre(0));
}

// The record is in the table of failed records already, and must not be in the topic as well.
TEST(KafkaRefusals, ABatchOfWhichAllWasRefusedIsJudgedByTheLimitOfItsEpoch) {
  const std::string topic = NewTopic(1, {{"max.message.bytes", "999"}});
  SinkContext context = NewShard();
  // The claim's marker must be young: an old one would be renewed with the batch anyway.
  context.batch_time_us = absl::ToUnixMicros(absl::Now());
  auto writer = Open(SinkTable(topic), context);
  context.marker = writer->marker();
  const std::string large(kValueOf1000Bytes, 'x');
  EXPECT_THAT(Refused(writer.get(), 1, Values({large}), "max.message.bytes, 999"), ElementsAre(0));
  ASSERT_OK(writer->Commit(BatchId(1), Soon()));
  ASSERT_OK(Admin().SetTopicConfig(topic, "max.message.bytes", "2000", kTimeout));

  context.epoch = Epoch(2);
  context.planned_batch = BatchId(1);
  writer = Open(SinkTable(topic), context);
  EXPECT_EQ(writer->committed(), BatchId(1));
  EXPECT_THAT(Refused(writer.get(), 1, Values({large}), "max.message.bytes, 999"), ElementsAre(0));
  ASSERT_OK(writer->Commit(BatchId(1), Soon()));
  EXPECT_TRUE(ValuesIn(topic).empty());
}

// Only the broker sees how large a record is after compression.
TEST(KafkaRefusals, OfCompressedRecordsTheBrokerDecides) {
  const std::string topic = NewTopic(1, {{"max.message.bytes", "1000"}});
  proto::Sink sink = SinkTable(topic);
  (*sink.mutable_options())["compression.type"] = "gzip";
  auto writer = Open(sink, NewShard());
  const std::string fits(5000, 'x');
  EXPECT_THAT(Refused(writer.get(), 1, Values({fits}), ""), ElementsAre());
  ASSERT_OK(writer->Commit(BatchId(1), Soon()));
  std::string noise;
  for (uint64_t bits = 1; noise.size() < 5000; bits = bits * 6364136223846793005 + 1) {
    noise += absl::StrCat(bits);
  }
  EXPECT_THAT(Refused(writer.get(), 2, Values({noise}), ""), ElementsAre());
  const absl::Status status = writer->Commit(BatchId(2), Soon()).status();
  EXPECT_EQ(FailureKindOf(status), FailureKind::kCertain) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("raise its max.message.bytes"));
  EXPECT_EQ(ValuesIn(topic), std::vector<std::string>{fits});
}

}  // namespace
}  // namespace millrace
