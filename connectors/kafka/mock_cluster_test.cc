// The demo's path: an embedded cluster, lines at a steady rate, the Kafka source reading them, and
// the Kafka sink writing.
#include "connectors/kafka/mock_cluster.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "connectors/all.h"
#include "connectors/kafka/admin.h"

namespace millrace {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(30);

TEST(MockKafkaCluster, CarriesLinesFromTheSteadyProducerToTheSource) {
  auto cluster = StartMockKafkaCluster();
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  ASSERT_TRUE((*cluster)->CreateTopic("test", 4).ok());
  auto producer = StartSteadyProducer((*cluster)->bootstrap_servers(), "test", 2000,
                                      [](int64_t i) { return absl::StrCat("line ", i); });
  ASSERT_TRUE(producer.ok()) << producer.status();

  auto registry = BuiltInConnectors();
  proto::Source source;
  source.set_table("lines");
  source.set_connector("kafka");
  source.set_format("raw");
  (*source.mutable_options())["bootstrap.servers"] = (*cluster)->bootstrap_servers();
  (*source.mutable_options())["topic"] = "test";
  proto::Field* declared = source.add_declared();
  declared->set_name("value");
  declared->mutable_type()->set_kind(proto::TYPE_TEXT);
  proto::SourceColumn* column = source.add_columns();
  column->set_name("value");
  column->mutable_type()->set_kind(proto::TYPE_TEXT);
  const SourceConnector* connector = *registry->Source("kafka");
  ASSERT_TRUE(connector->Validate(source).ok()) << connector->Validate(source);
  SourceContext context{.job_name = "demo"};
  auto enumerator = *connector->CreateEnumerator(source, context);
  auto partitions = enumerator->Discover(kTimeout);
  ASSERT_TRUE(partitions.ok()) << partitions.status();
  ASSERT_EQ(partitions->size(), 4u);

  absl::Time deadline = absl::Now() + kTimeout;
  while ((*producer)->produced() < 500 && absl::Now() < deadline) {
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
      auto chunk = reader->Read(end.partition, end.stable_end, 1000, 0, absl::Now() + kTimeout);
      ASSERT_TRUE(chunk.ok()) << chunk.status();
      for (size_t row = 0; row < chunk->offsets.size(); ++row) {
        lines.insert(std::string(chunk->batch.column(0)->value<TextView>(row).view()));
      }
      position = chunk->next;
    }
  }
  EXPECT_EQ(static_cast<int64_t>(lines.size()), produced);
  EXPECT_EQ(lines.count("line 0"), 1u);
  // The driver reports progress to the group, also here.
  EXPECT_TRUE(
      enumerator->PublishOffsets({{(*ends)[0].partition, (*ends)[0].stable_end}}, kTimeout).ok());
}

// No oracle of transactions, which the mock only plays: but a sink must be able to work with it.
TEST(MockKafkaCluster, TakesWhatTheSinkWrites) {
  auto cluster = StartMockKafkaCluster();
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  ASSERT_TRUE((*cluster)->CreateTopic("out", 1).ok());
  auto registry = BuiltInConnectors();
  proto::Sink sink;
  sink.set_table("out");
  sink.set_connector("kafka");
  sink.set_format("raw");
  (*sink.mutable_options())["bootstrap.servers"] = (*cluster)->bootstrap_servers();
  (*sink.mutable_options())["topic"] = "out";
  proto::Field* column = sink.add_columns();
  column->set_name("value");
  column->mutable_type()->set_kind(proto::TYPE_TEXT);
  const SinkConnector* connector = *registry->Sink("kafka");
  SinkContext context{.incarnation = "demo"};
  for (int64_t batch = 1; batch <= 2; ++batch) {
    context.epoch = Epoch(batch);
    auto writer = connector->CreateWriter(sink, context);
    ASSERT_TRUE(writer.ok()) << writer.status();
    EXPECT_EQ((*writer)->committed(), BatchId(batch - 1));
    auto values = std::make_shared<Column>(MakeType(TypeId::kText), 1);
    values->SetTextCopy(0, absl::StrCat("line ", batch));
    ASSERT_TRUE((*writer)->Write(BatchId(batch), 0, Batch({values}, 1)).ok());
    auto marker = (*writer)->Commit(BatchId(batch), absl::Now() + kTimeout);
    ASSERT_TRUE(marker.ok()) << marker.status();
    context.marker = *marker;
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

}  // namespace
}  // namespace millrace
