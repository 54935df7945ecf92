// Shards that a version before sessions has written, over a real broker: their batches are found,
// what a process of that version has left open ends, and it gives up. Such a version kept a mark
// for each shard, as the metadata of offsets that a group of the shard's own had in three
// partitions of an empty topic, chosen by the epoch.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/steady_time.h"
#include "tests/contract/kafka_life.h"

namespace millrace {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(30);
constexpr char kMarkerTopic[] = "millrace-markers";
constexpr int32_t kMarkerPartitions = 48;
constexpr char kLimits[] = "1048588:0:1";  // what the topic took then

// The partitions for an epoch's marks: one for each of its last three digits to the base 16.
std::vector<int32_t> PartitionsOf(int64_t epoch) {
  return {static_cast<int32_t>(epoch % 16), static_cast<int32_t>(16 + epoch / 16 % 16),
          static_cast<int32_t>(32 + epoch / 256 % 16)};
}

class KafkaFormer : public KafkaLife {
 protected:
  static void SetUpTestSuite() {
    ASSERT_OK(Admin().CreateTopic(
        {.name = kMarkerTopic, .partitions = kMarkerPartitions, .replication = 1}, kTimeout));
  }

  KafkaFormer() {
    // The former epochs were up to 5.
    for (int epoch = 1; epoch <= 5; ++epoch) {
      life_.BeginEpoch();
    }
  }

  std::string ShardName(uint32_t shard) const {
    return absl::StrCat("millrace-", life_.context.incarnation, "-", life_.context.sink, "-",
                        shard);
  }
  std::string MarkOf(int64_t epoch, int64_t batch) const {
    return absl::StrCat("1:", life_.context.incarnation, ":", epoch, ":", batch);
  }
  // The journal's copy of it.
  static std::string JournaledMark(int64_t epoch, int64_t batch) {
    return absl::StrCat(epoch, ":", batch, ":", kLimits);
  }

  std::unique_ptr<kafka::TransactionalProducer> OpenFormer(uint32_t shard) const {
    auto producer = kafka::NewTransactionalProducer(Broker().bootstrap_servers(), ShardName(shard));
    EXPECT_OK(producer);
    return *std::move(producer);
  }
  // Up to the commit. A claim has no value.
  void Prepare(kafka::TransactionalProducer& former, uint32_t shard, int64_t epoch, int64_t batch,
               const std::optional<std::string>& value) const {
    ASSERT_OK(former.Begin());
    if (value.has_value()) {
      ASSERT_OK(former.Send(topic_, 0, *value));
    }
    for (const int32_t partition : PartitionsOf(epoch)) {
      ASSERT_OK(
          former.SendOffset(ShardName(shard), {kMarkerTopic, partition}, MarkOf(epoch, batch)));
    }
    ASSERT_OK(former.Flush());
  }
  void CommitFormer(kafka::TransactionalProducer& former, uint32_t shard, int64_t epoch,
                    int64_t batch, const std::optional<std::string>& value) const {
    Prepare(former, shard, epoch, batch, value);
    ASSERT_OK(former.Commit());
  }
  // The marks that the epoch has left in its partitions. Waits for transactions that are ending.
  std::vector<std::string> MarksOf(uint32_t shard, int64_t epoch) const {
    std::vector<std::string> marks;
    for (const int32_t partition : PartitionsOf(epoch)) {
      auto found = kafka::ReadOffsetMetadata(Broker().bootstrap_servers(), ShardName(shard),
                                             {kMarkerTopic, partition}, /*stable=*/true, kTimeout);
      EXPECT_OK(found);
      if (found.ok() && found->has_value()) {
        marks.push_back(**found);
      }
    }
    return marks;
  }
  // As after offsets.retention.minutes.
  void ExpireMarks(uint32_t shard, int64_t epoch) const {
    ASSERT_EQ(MarksOf(shard, epoch).size(), 3u);  // they have all come
    ASSERT_OK(Admin().DeleteGroup(ShardName(shard), kTimeout));
  }

  absl::StatusOr<BatchId> ClaimFormer(uint32_t shard, const std::string& journaled) const {
    SinkContext context = life_.context;
    context.epoch = Epoch(6);
    context.shard = shard;
    context.marker = journaled;
    return (*Connectors().Sink("kafka"))->ClaimFormerShard(life_.table, context);
  }
};

TEST_F(KafkaFormer, AClaimFindsTheLastBatchAndEndsWhatIsOpen) {
  auto former = OpenFormer(0);
  CommitFormer(*former, 0, 4, 1, "one");
  CommitFormer(*former, 0, 5, 1, std::nullopt);
  CommitFormer(*former, 0, 5, 2, "two");
  Prepare(*former, 0, 5, 3, "never committed");
  life_.context.committed_batch = BatchId(1);
  life_.context.planned_batch = BatchId(3);
  const auto claimed = ClaimFormer(0, JournaledMark(5, 1));
  ASSERT_OK(claimed);
  EXPECT_EQ(*claimed, BatchId(2));
  EXPECT_EQ(Visible(), (Strings{"one", "two"}));
  EXPECT_EQ(former->Commit().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(Visible(), (Strings{"one", "two"}));
}

// It reads the marks of all partitions before it writes, and gives up if one has a higher epoch.
TEST_F(KafkaFormer, AProcessThatWakesAndClaimsFindsAHigherEpoch) {
  auto former = OpenFormer(0);
  CommitFormer(*former, 0, 5, 1, "one");
  life_.context.committed_batch = life_.context.planned_batch = BatchId(1);
  ASSERT_OK(ClaimFormer(0, JournaledMark(5, 1)));
  former = OpenFormer(0);
  EXPECT_EQ(MarksOf(0, 6), Strings(3, MarkOf(6, 1)));
  // Nor does that stop the job, whose sessions have other names.
  auto member = life_.Open();
  WriteAndCommit(*member, 2, "two");
  EXPECT_EQ(Visible(), (Strings{"one", "two"}));
}

TEST_F(KafkaFormer, AShardThatWasClaimedByAHigherEpochIsRefused) {
  auto former = OpenFormer(0);
  CommitFormer(*former, 0, 7, 0, std::nullopt);
  EXPECT_EQ(ClaimFormer(0, JournaledMark(5, 0)).status().code(), absl::StatusCode::kAborted);
}

TEST_F(KafkaFormer, AShardThatHasNeverBeenClaimedHasWrittenNothing) {
  life_.context.planned_batch = BatchId(1);
  const auto claimed = ClaimFormer(0, "");
  ASSERT_OK(claimed);
  EXPECT_EQ(*claimed, BatchId(0));
}

TEST_F(KafkaFormer, AnExpiredMarkMattersOnlyIfABatchIsInDoubt) {
  auto former = OpenFormer(0);
  CommitFormer(*former, 0, 5, 1, "one");
  former.reset();
  ExpireMarks(0, 5);
  life_.context.committed_batch = life_.context.planned_batch = BatchId(1);
  auto claimed = ClaimFormer(0, JournaledMark(5, 1));
  ASSERT_OK(claimed);
  EXPECT_EQ(*claimed, BatchId(1));

  ExpireMarks(0, 6);
  life_.context.planned_batch = BatchId(2);
  claimed = ClaimFormer(0, JournaledMark(5, 1));
  EXPECT_EQ(claimed.status().code(), absl::StatusCode::kFailedPrecondition) << claimed.status();
  EXPECT_TRUE(absl::StrContains(claimed.status().message(), "on_lost_marker")) << claimed.status();
  for (const auto& [word, batch] :
       std::map<std::string, int64_t>{{"not_written", 1}, {"written", 2}}) {
    SetOption("on_lost_marker", word);
    claimed = ClaimFormer(0, JournaledMark(5, 1));
    ASSERT_OK(claimed);
    EXPECT_EQ(*claimed, BatchId(batch)) << word;
    ExpireMarks(0, 6);
  }
}

TEST_F(KafkaFormer, RefusesAMarkOfTheFuture) {
  auto former = OpenFormer(0);
  CommitFormer(*former, 0, 5, 2, "two");
  life_.context.planned_batch = BatchId(1);
  const absl::Status status = ClaimFormer(0, JournaledMark(5, 0)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "batch 2 is out")) << status;
}

// The whole way: one shard has committed a batch that the other has not, and the journal has not
// heard of it.
TEST_F(KafkaFormer, ABatchThatOneShardHasCommittedIsWrittenByTheOtherOnly) {
  auto zero = OpenFormer(0);
  auto one = OpenFormer(1);
  CommitFormer(*zero, 0, 5, 1, "of 0");
  CommitFormer(*one, 1, 5, 0, std::nullopt);
  Prepare(*one, 1, 5, 1, "of 1, never committed");
  life_.context.planned_batch = BatchId(1);
  const std::string terms = JournaledMark(5, 0);
  const auto claimed_zero = ClaimFormer(0, terms);
  const auto claimed_one = ClaimFormer(1, terms);
  ASSERT_OK(claimed_zero);
  ASSERT_OK(claimed_one);
  EXPECT_EQ(*claimed_zero, BatchId(1));
  EXPECT_EQ(*claimed_one, BatchId(0));

  SinkMembers members = life_.OpenEpoch({{0, 1}});
  EXPECT_EQ(members[0]->mark().written, Epoch(0)) << "no session has";
  // Rows are judged by what the topic took then, and the terms of that version say so.
  ASSERT_OK(members[0]->shard(0).Write({.id = BatchId(1), .visible = terms}, TextRows({{"of 0"}})));
  const std::string little = absl::StrCat(5, ":", 0, ":1000:0:1");
  const absl::Status refused = members[0]->shard(0).Write({.id = BatchId(1), .visible = little},
                                                          TextRows({{std::string(2000, 'x')}}));
  EXPECT_EQ(members[0]->shard(0).TakeRefused().size(), 1u) << refused;
  Write(*members[0], 1, "of 1", 1);
  Commit(*members[0], 1);
  EXPECT_EQ(Visible(), (Strings{"of 0", "of 1"}));
}

}  // namespace
}  // namespace millrace
