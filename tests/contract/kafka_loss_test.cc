// Offsets that are gone, over a real broker: what is a loss, what only looks like one, and what it
// is called.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/steady_time.h"
#include "connectors/source.h"
#include "tests/contract/kafka_place.h"
#include "tests/contract/tables.h"

namespace millrace {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(30);

using Values = std::vector<std::string>;

const SourceConnector& KafkaSource() { return **Connectors().Source("kafka"); }

proto::Source Table(const std::string& topic, const std::string& on_data_loss) {
  return TextSource("kafka", "raw",
                    {{"bootstrap.servers", Broker().bootstrap_servers()},
                     {"topic", topic},
                     {"on_data_loss", on_data_loss}});
}

// A topic of one partition and a reader of it.
class KafkaLoss : public testing::Test {
 protected:
  void Read(const std::string& on_data_loss, int64_t offset) {
    const proto::Source source = Table(topic_, on_data_loss);
    ASSERT_OK(KafkaSource().Validate(source));
    auto reader = KafkaSource().CreateReader(source, SourceContext());
    ASSERT_OK(reader);
    reader_ = *std::move(reader);
    ASSERT_OK(reader_->Assign({partition_, Offset(offset)}));
  }
  absl::StatusOr<SourceChunk> ReadTo(int64_t end) {
    return reader_->Read(partition_, Offset(end), 100, 0, SteadyNow() + kTimeout);
  }
  // Reads to `end` and expects no loss on the way.
  Values ReadAllTo(int64_t end) {
    Values values;
    for (Offset next; next < Offset(end);) {
      auto chunk = ReadTo(end);
      EXPECT_OK(chunk);
      if (!chunk.ok()) {
        break;
      }
      EXPECT_EQ(chunk->lost_begin, chunk->lost_end);
      const Values more = Texts(chunk->batch);
      values.insert(values.end(), more.begin(), more.end());
      next = chunk->next;
    }
    return values;
  }
  void ExpectLost(int64_t read_to, int64_t begin, int64_t end) {
    auto chunk = ReadTo(read_to);
    ASSERT_OK(chunk);
    EXPECT_EQ(chunk->lost_begin, Offset(begin));
    EXPECT_EQ(chunk->lost_end, Offset(end));
    EXPECT_EQ(chunk->next, Offset(end));
    EXPECT_TRUE(chunk->offsets.empty());
  }
  void MoveLogStart(int64_t offset) {
    ASSERT_OK(Admin().DeleteRecords(topic_, 0, offset, kTimeout));
  }
  // `values` in a transaction, which takes an offset of its own at the end.
  void Transact(const Values& values, bool commit) {
    auto producer = kafka::NewTransactionalProducer(Broker().bootstrap_servers(), "tx-" + topic_);
    ASSERT_OK(producer);
    ASSERT_OK((*producer)->Begin());
    for (const std::string& value : values) {
      ASSERT_OK((*producer)->Send(topic_, 0, value));
    }
    ASSERT_OK((*producer)->Flush());
    ASSERT_OK(commit ? (*producer)->Commit() : (*producer)->Abort());
  }

  const std::string topic_ = NewTopic(1);
  const PartitionName partition_ = topic_ + "/0";
  std::unique_ptr<SourceReader> reader_;
};

TEST_F(KafkaLoss, SkipGoesOnAtTheLogStartAndSaysWhatIsLost) {
  Produce(topic_, 0, {"a", "b", "c", "d", "e", "f"});
  MoveLogStart(4);
  Read("skip", 1);
  ExpectLost(6, 1, 4);
  EXPECT_EQ(ReadAllTo(6), (Values{"e", "f"}));
}

TEST_F(KafkaLoss, EachSplitOfALostRangeReportsItsPart) {
  Produce(topic_, 0, {"a", "b", "c", "d", "e", "f"});
  MoveLogStart(5);
  Read("skip", 0);
  ExpectLost(2, 0, 2);
  ExpectLost(4, 2, 4);
  ExpectLost(6, 4, 5);
  EXPECT_EQ(ReadAllTo(6), Values{"f"});
}

TEST_F(KafkaLoss, AllThatThereWasMayBeLost) {
  Produce(topic_, 0, {"a", "b", "c"});
  MoveLogStart(3);
  Read("skip", 1);
  ExpectLost(3, 1, 3);
  Produce(topic_, 0, {"d"});
  EXPECT_EQ(ReadAllTo(4), Values{"d"});
}

TEST_F(KafkaLoss, FailNamesTopicPartitionRangeAndTheWayOut) {
  Produce(topic_, 0, {"a", "b", "c", "d"});
  MoveLogStart(3);
  Read("fail", 1);
  for (int i = 0; i < 2; ++i) {  // asking again changes nothing
    const absl::Status status = ReadTo(4).status();
    EXPECT_TRUE(absl::IsOutOfRange(status)) << status;
    for (const std::string& words :
         {absl::StrCat("topic ", topic_, " partition 0: offsets [1, 3) are lost"),
          std::string("on_data_loss = 'skip'")}) {
      EXPECT_TRUE(absl::StrContains(status.message(), words)) << status;
    }
  }
}

TEST_F(KafkaLoss, ALogStartAtThePositionIsNone) {
  Produce(topic_, 0, {"a", "b", "c", "d"});
  MoveLogStart(2);
  Read("fail", 2);
  EXPECT_EQ(ReadAllTo(4), (Values{"c", "d"}));
  // Nor one that overtakes what has been read, in an empty log.
  MoveLogStart(4);
  Produce(topic_, 0, {"e"});
  EXPECT_EQ(ReadAllTo(5), Values{"e"});
}

TEST_F(KafkaLoss, ControlRecordsAndAbortedTransactionsAreNone) {
  Transact({"a"}, true);        // 0, marker 1
  Transact({"b", "c"}, false);  // 2, 3, marker 4
  Transact({"d"}, true);        // 5, marker 6
  Read("fail", 0);
  EXPECT_EQ(ReadAllTo(7), (Values{"a", "d"}));
  // All is read, the last marker too: the log may begin behind it.
  MoveLogStart(7);
  Produce(topic_, 0, {"e"});
  EXPECT_EQ(ReadAllTo(8), Values{"e"});
}

TEST_F(KafkaLoss, AnOffsetBehindTheEndIsATruncatedLog) {
  Produce(topic_, 0, {"a", "b", "c"});
  for (const char* on_data_loss : {"fail", "skip"}) {
    Read(on_data_loss, 7);
    const absl::Status status = ReadTo(9).status();
    EXPECT_TRUE(absl::IsOutOfRange(status)) << status;
    EXPECT_TRUE(
        absl::StrContains(status.message(), absl::StrCat("topic ", topic_,
                                                         " partition 0: offsets up to 7 have been "
                                                         "read, but the log now ends at 3")))
        << status;
  }
}

TEST_F(KafkaLoss, ATopicThatIsMadeAnewHasAnotherId) {
  auto enumerator = KafkaSource().CreateEnumerator(Table(topic_, "fail"), SourceContext());
  ASSERT_OK(enumerator);
  const auto before = (*enumerator)->Identities({partition_}, kTimeout);
  ASSERT_OK(before);
  EXPECT_FALSE((*before)[0].empty());
  const auto again = (*enumerator)->Identities({partition_}, kTimeout);
  ASSERT_OK(again);
  EXPECT_EQ(*again, *before);
  ASSERT_OK(Admin().DeleteTopic(topic_, kTimeout));
  ASSERT_OK(Admin().CreateTopic({.name = topic_, .partitions = 1}, kTimeout));
  const auto after = (*enumerator)->Identities({partition_}, kTimeout);
  ASSERT_OK(after);
  EXPECT_NE(*after, *before);
  const absl::Status status = CheckIdentity(partition_, (*before)[0], (*after)[0]);
  EXPECT_TRUE(absl::StrContains(
      status.message(), absl::StrCat("deleted and created again (id ", (*before)[0], " → ")))
      << status;
}

TEST_F(KafkaLoss, OnDataLossIsCheckedAtSubmission) {
  const absl::Status status = KafkaSource().Validate(Table(topic_, "ignore"));
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "on_data_loss")) << status;
}

}  // namespace
}  // namespace millrace
