// Two members, of which this executor is the second; it owns shards 1 and 3 of four. Stage 0, a
// source, feeds exchange 0, which stages 1 and 2 read; stage 1 feeds exchange 1, which stage 3
// reads. The shards only write down what reaches them.
#include "executor/epoch/shard_deliveries.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace millrace::executor {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

EpochLayout Layout() {
  EpochLayout layout;
  layout.first_batch = BatchId(5);
  layout.stages.resize(4);
  layout.stages[0].source = 0;
  layout.stages[0].feeds = {0};
  layout.stages[1].exchange = 0;
  layout.stages[1].feeds = {1};
  layout.stages[2].exchange = 0;
  layout.stages[3].exchange = 1;
  layout.exchanges = {{.feeders = {0}, .readers = {1, 2}}, {.feeders = {1}, .readers = {3}}};
  layout.members.resize(2);
  layout.members[0].executor_id = "other";
  layout.members[1].executor_id = "self";
  layout.self = 1;
  layout.shard_owner = {0, 1, 0, 1};
  layout.own_shards = {1, 3};
  return layout;
}

// Keeps what reaches it, as "encoded rows" or "end".
class KeptInput : public ShardInput {
 public:
  void Deliver(ShuffleBlock block) override {
    absl::MutexLock lock(&mutex_);
    got_.push_back(block.encoded);
    blocks_.push_back(std::move(block));
  }
  void EndInput() override {
    absl::MutexLock lock(&mutex_);
    got_.push_back("end");
  }

  std::vector<std::string> got() {
    absl::MutexLock lock(&mutex_);
    return got_;
  }

 private:
  absl::Mutex mutex_;
  std::vector<std::string> got_ ABSL_GUARDED_BY(mutex_);
  std::vector<ShuffleBlock> blocks_ ABSL_GUARDED_BY(mutex_);  // with their credit
};

// Keeps the failures of an epoch.
class KeptFailures : public TaskHost {
 public:
  bool Spawn(std::function<void()>, QueuePlace) override { return false; }
  bool SpawnBlocking(std::function<void()>) override { return false; }
  bool SpawnReport(std::function<void()>) override { return false; }
  bool ended() const override { return false; }
  void Fail(BatchId batch, const absl::Status& status) override {
    absl::MutexLock lock(&mutex_);
    failures_.push_back(absl::StrCat(batch.value(), ": ", status.ToString()));
  }
  void UnitEnded(const std::shared_ptr<BatchRun>&, uint32_t) override {}

  std::vector<std::string> failures() {
    absl::MutexLock lock(&mutex_);
    return failures_;
  }

 private:
  absl::Mutex mutex_;
  std::vector<std::string> failures_ ABSL_GUARDED_BY(mutex_);
};

class ShardDeliveriesTest : public ::testing::Test {
 protected:
  ShardDeliveriesTest() { Make(Layout()); }

  void Make(EpochLayout layout) {
    deliveries_.reset();
    layout_ = std::move(layout);
    ShardDeliveries::Shards shards(layout_.stages.size());
    for (size_t stage = 1; stage < shards.size(); ++stage) {
      shards[stage].resize(layout_.shard_count());
      for (const uint32_t shard : layout_.own_shards) {
        shards[stage][shard] = &inputs_[stage][shard];
      }
    }
    deliveries_ = std::make_unique<ShardDeliveries>(&layout_, &host_, std::move(shards));
  }

  std::shared_ptr<BatchRun> Begin(int64_t batch) {
    proto::RunBatch message;
    message.set_batch(batch);
    auto run = std::make_shared<BatchRun>(layout_, message, 0);
    deliveries_->BeginBatch(run);
    return run;
  }
  static ShuffleDelivery From(const std::string& sender, int64_t batch) {
    return {.sender_id = sender, .batch = BatchId(batch)};
  }
  static ShuffleBlock Block(uint32_t exchange, uint32_t shard, std::string rows) {
    ShuffleBlock block{.exchange = exchange, .shard = shard};
    block.encoded = std::move(rows);
    return block;
  }
  void Rows(int64_t batch, uint32_t exchange, uint32_t shard, std::string rows) {
    ShuffleDelivery delivery = From("other", batch);
    delivery.blocks.push_back(Block(exchange, shard, std::move(rows)));
    deliveries_->OnDelivery(std::move(delivery));
  }
  void End(int64_t batch, uint32_t exchange, uint64_t blocks) {
    ShuffleDelivery delivery = From("other", batch);
    delivery.ends.push_back({.exchange = exchange, .blocks = blocks});
    deliveries_->OnDelivery(std::move(delivery));
  }

  EpochLayout layout_;
  KeptFailures host_;
  KeptInput inputs_[4][4];  // by stage and shard
  std::unique_ptr<ShardDeliveries> deliveries_;
};

TEST_F(ShardDeliveriesTest, RowsReachTheirShardInEachStageThatReadsTheExchange) {
  Begin(5);
  Rows(5, 0, 1, "a");
  deliveries_->DeliverLocal(Block(0, 3, "b"));
  Rows(5, 1, 3, "c");
  EXPECT_THAT(inputs_[1][1].got(), ElementsAre("a"));
  EXPECT_THAT(inputs_[2][1].got(), ElementsAre("a"));
  EXPECT_THAT(inputs_[1][3].got(), ElementsAre("b"));
  EXPECT_THAT(inputs_[2][3].got(), ElementsAre("b"));
  EXPECT_THAT(inputs_[3][3].got(), ElementsAre("c"));
  EXPECT_THAT(inputs_[3][1].got(), IsEmpty());
  EXPECT_THAT(host_.failures(), IsEmpty());
}

TEST_F(ShardDeliveriesTest, ShardsEndWhenAllMembersHaveEndedTheExchange) {
  const std::shared_ptr<BatchRun> run = Begin(5);
  Rows(5, 0, 1, "a");
  End(5, 0, 1);
  EXPECT_THAT(inputs_[1][1].got(), ElementsAre("a"));
  deliveries_->EndLocal(run, 0);
  EXPECT_THAT(inputs_[1][1].got(), ElementsAre("a", "end"));
  EXPECT_THAT(inputs_[1][3].got(), ElementsAre("end"));
  EXPECT_THAT(inputs_[2][1].got(), ElementsAre("a", "end"));
  EXPECT_THAT(inputs_[3][1].got(), IsEmpty()) << "of another exchange";
  EXPECT_THAT(host_.failures(), IsEmpty());
}

TEST_F(ShardDeliveriesTest, RowsOfTheNextBatchWaitUntilItBegins) {
  Rows(5, 0, 1, "before the first batch");
  EXPECT_THAT(inputs_[1][1].got(), IsEmpty());
  Begin(5);
  Rows(6, 0, 1, "early");
  End(6, 0, 1);
  Rows(5, 0, 1, "in time");
  EXPECT_THAT(inputs_[1][1].got(), ElementsAre("before the first batch", "in time"));
  deliveries_->EndLocal(Begin(6), 0);
  EXPECT_THAT(inputs_[1][1].got(),
              ElementsAre("before the first batch", "in time", "early", "end"));
  EXPECT_THAT(host_.failures(), IsEmpty());
}

TEST_F(ShardDeliveriesTest, NobodyIsTwoBatchesAhead) {
  Rows(6, 0, 1, "a");
  EXPECT_THAT(host_.failures(),
              ElementsAre("0: ABORTED: rows of batch 6 from executor other before batch 5 has "
                          "begun"));
  Begin(5);
  EXPECT_THAT(inputs_[1][1].got(), IsEmpty());
}

TEST_F(ShardDeliveriesTest, RowsOfABatchThatIsOverFailTheEpoch) {
  Begin(5);
  Begin(6);
  Rows(5, 0, 1, "a");
  EXPECT_THAT(host_.failures(),
              ElementsAre("6: INTERNAL: unexpected rows of batch 5 from executor other"));
  EXPECT_THAT(inputs_[1][1].got(), IsEmpty());
}

TEST_F(ShardDeliveriesTest, MemberWithoutShardsDoesNotWaitForTheEndsOfABatch) {
  EpochLayout layout = Layout();
  layout.shard_owner = {0, 0, 0, 0};
  layout.own_shards.clear();
  Make(std::move(layout));
  Begin(5);
  Begin(6);
  End(5, 0, 0);
  EXPECT_THAT(host_.failures(), IsEmpty());
}

TEST_F(ShardDeliveriesTest, RowsOfAStrangerFailTheEpoch) {
  Begin(5);
  deliveries_->OnDelivery(From("stranger", 5));
  EXPECT_THAT(host_.failures(), ElementsAre(HasSubstr("unexpected rows of batch 5 from executor "
                                                      "stranger")));
}

TEST_F(ShardDeliveriesTest, RowsForWhatIsNotHereFailTheEpoch) {
  Begin(5);
  Rows(5, 7, 1, "a");
  Rows(5, 0, 2, "of the other member");
  Rows(5, 0, 9, "a");
  End(5, 7, 0);
  EXPECT_THAT(
      host_.failures(),
      ElementsAre("5: ABORTED: rows for exchange 7, which is not here, from executor other",
                  "5: ABORTED: rows for shard 2, which is not here, from executor other",
                  "5: ABORTED: rows for shard 9, which is not here, from executor other",
                  "5: ABORTED: rows for exchange 7, which is not here, from executor other"));
  EXPECT_THAT(inputs_[1][1].got(), IsEmpty());
}

TEST_F(ShardDeliveriesTest, LostBlockFailsTheEpochAndEndsNoShard) {
  const std::shared_ptr<BatchRun> run = Begin(5);
  Rows(5, 0, 1, "a");
  End(5, 0, 2);
  deliveries_->EndLocal(run, 0);
  EXPECT_THAT(host_.failures(), ElementsAre(HasSubstr("other sent 2 blocks of batch 5")));
  EXPECT_THAT(inputs_[1][1].got(), ElementsAre("a"));
}

TEST_F(ShardDeliveriesTest, RowsAfterTheirSendersEndFailTheEpoch) {
  Begin(5);
  End(5, 0, 0);
  Rows(5, 0, 1, "a");
  EXPECT_THAT(host_.failures(), ElementsAre(HasSubstr("other goes on after the end of its rows")));
  EXPECT_THAT(inputs_[1][1].got(), IsEmpty());
}

TEST_F(ShardDeliveriesTest, CreditOfRowsThatStillWaitAtTheEndIsGivenBack) {
  int given_back = 0;
  ShuffleDelivery delivery = From("other", 5);
  delivery.blocks.push_back(Block(0, 1, "a"));
  delivery.blocks.back().credit = CreditHold([&] { ++given_back; });
  deliveries_->OnDelivery(std::move(delivery));
  EXPECT_EQ(given_back, 0);
  deliveries_.reset();
  EXPECT_EQ(given_back, 1);
}

// A sender's rows must not overtake those that wait for a batch which just begins.
TEST_F(ShardDeliveriesTest, RowsOfASenderStayInOrderWhileBatchesBegin) {
  constexpr int64_t kBatches = 200;
  constexpr int kBlocks = 5;
  std::vector<std::string> sent;
  for (int64_t batch = 5; batch < 5 + kBatches; ++batch) {
    std::thread sender([this, batch] {
      for (int block = 0; block < kBlocks; ++block) {
        Rows(batch, 0, 1, absl::StrCat(batch, "/", block));
      }
      End(batch, 0, kBlocks);
    });
    const std::shared_ptr<BatchRun> run = Begin(batch);
    sender.join();
    deliveries_->EndLocal(run, 0);
    for (int block = 0; block < kBlocks; ++block) {
      sent.push_back(absl::StrCat(batch, "/", block));
    }
    sent.push_back("end");
  }
  EXPECT_EQ(inputs_[1][1].got(), sent);
  EXPECT_EQ(inputs_[2][1].got(), sent);
  EXPECT_THAT(host_.failures(), IsEmpty());
}

}  // namespace
}  // namespace millrace::executor
