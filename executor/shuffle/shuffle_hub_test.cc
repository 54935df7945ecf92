// Two hubs in one process over the loopback interface.
#include "executor/shuffle/shuffle_hub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const JobId kJob("job");
constexpr absl::Duration kPatience = absl::Seconds(20);

// Keeps what arrives, credit included, until the test takes it.
class Inbox : public ShuffleListener {
 public:
  void OnDelivery(ShuffleDelivery delivery) override {
    absl::MutexLock lock(&mutex_);
    for (ShuffleBlock& block : delivery.blocks) {
      blocks_.push_back(std::move(block));
    }
    for (const ShuffleEnd& end : delivery.ends) {
      ends_.push_back(end);
    }
  }
  void OnPeerLost(const std::string& executor_id, const absl::Status& status) override {
    absl::MutexLock lock(&mutex_);
    lost_ = absl::StrCat(executor_id, ": ", status.message());
  }

  bool WaitForBlocks(size_t count) {
    std::pair<Inbox*, size_t> want(this, count);
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(
        absl::Condition(
            +[](std::pair<Inbox*, size_t>* wanted) ABSL_NO_THREAD_SAFETY_ANALYSIS {
              return wanted->first->blocks_.size() >= wanted->second;
            },
            &want),
        kPatience);
  }
  bool WaitForEnds(size_t count) {
    std::pair<Inbox*, size_t> want(this, count);
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(
        absl::Condition(
            +[](std::pair<Inbox*, size_t>* wanted) ABSL_NO_THREAD_SAFETY_ANALYSIS {
              return wanted->first->ends_.size() >= wanted->second;
            },
            &want),
        kPatience);
  }
  std::string WaitForLoss() {
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(
        absl::Condition(+[](std::string* lost) { return !lost->empty(); }, &lost_), kPatience);
    return lost_;
  }
  std::vector<std::string> Rows() {
    std::vector<std::string> rows;
    absl::MutexLock lock(&mutex_);
    rows.reserve(blocks_.size());
    for (const ShuffleBlock& block : blocks_) {
      rows.push_back(block.encoded.substr(0, 10));
    }
    return rows;
  }
  // Gives the credit of all that has come back.
  size_t Apply() {
    std::vector<ShuffleBlock> applied;
    absl::MutexLock lock(&mutex_);
    applied.swap(blocks_);
    return applied.size();
  }

 private:
  absl::Mutex mutex_;
  std::vector<ShuffleBlock> blocks_ ABSL_GUARDED_BY(mutex_);
  std::vector<ShuffleEnd> ends_ ABSL_GUARDED_BY(mutex_);
  std::string lost_ ABSL_GUARDED_BY(mutex_);
};

proto::ShuffleFrame::Block Block(const std::string& rows) {
  proto::ShuffleFrame::Block block;
  block.set_rows(rows);
  return block;
}

class ShuffleHubTest : public ::testing::Test {
 protected:
  std::unique_ptr<ShuffleHub> Start(const std::string& id, int64_t window = 1 << 20) {
    ShuffleHubOptions options;
    options.executor_id = id;
    options.listen_address = "127.0.0.1:0";
    options.window_bytes = window;
    options.stall_timeout = stall_timeout_;
    options.connect_timeout = absl::Seconds(2);
    options.gate = &gate_;
    auto hub = ShuffleHub::Start(options);
    EXPECT_TRUE(hub.ok()) << hub.status();
    return *std::move(hub);
  }

  absl::Duration stall_timeout_ = absl::Minutes(2);
  FlowGate gate_{1 << 20};
  std::shared_ptr<Inbox> a_inbox_ = std::make_shared<Inbox>();
  std::shared_ptr<Inbox> b_inbox_ = std::make_shared<Inbox>();
};

TEST_F(ShuffleHubTest, DeliversInOrder) {
  auto a = Start("a");
  auto b = Start("b");
  b->StartEpoch(kJob, Epoch(1), {{"a", a->address()}}, b_inbox_);
  auto link = a->StartEpoch(kJob, Epoch(1), {{"b", b->address()}}, a_inbox_).at(0);
  std::vector<std::string> expected;
  for (int i = 0; i < 100; ++i) {
    expected.push_back(absl::StrCat("rows-", i));
    link->SendBlock(kJob, Epoch(1), BatchId(1), Block(expected.back()));
  }
  link->SendEnd(kJob, Epoch(1), BatchId(1), 0, 100);
  ASSERT_TRUE(b_inbox_->WaitForEnds(1));
  EXPECT_EQ(b_inbox_->Rows(), expected);
  b_inbox_->Apply();
  EXPECT_EQ(gate_.pending_bytes(), 0);
}

TEST_F(ShuffleHubTest, SendsNoMoreThanTheCredit) {
  auto a = Start("a");
  auto b = Start("b", /*window=*/1000);
  b->StartEpoch(kJob, Epoch(1), {{"a", a->address()}}, b_inbox_);
  auto link = a->StartEpoch(kJob, Epoch(1), {{"b", b->address()}}, a_inbox_).at(0);
  for (int i = 0; i < 50; ++i) {
    link->SendBlock(kJob, Epoch(1), BatchId(1), Block(std::string(400, 'x')));
  }
  link->SendEnd(kJob, Epoch(1), BatchId(1), 0, 50);
  // Credit is 1,000: the third block overdraws it, the fourth waits.
  ASSERT_TRUE(b_inbox_->WaitForBlocks(3));
  EXPECT_EQ(b_inbox_->Rows().size(), 3u);
  EXPECT_EQ(link->sent_bytes(), 1200);
  EXPECT_EQ(gate_.pending_bytes(), 47 * 400);
  size_t applied = 0;
  while (applied < 50) {
    ASSERT_TRUE(b_inbox_->WaitForBlocks(1));
    applied += b_inbox_->Apply();
  }
  EXPECT_TRUE(b_inbox_->WaitForEnds(1));
}

TEST_F(ShuffleHubTest, PeerThatTakesNothingIsGivenUp) {
  stall_timeout_ = absl::Milliseconds(50);
  auto a = Start("a");
  auto b = Start("b", /*window=*/100);
  b->StartEpoch(kJob, Epoch(1), {{"a", a->address()}}, b_inbox_);
  auto link = a->StartEpoch(kJob, Epoch(1), {{"b", b->address()}}, a_inbox_).at(0);
  link->SendBlock(kJob, Epoch(1), BatchId(1), Block(std::string(400, 'x')));
  link->SendBlock(kJob, Epoch(1), BatchId(1), Block(std::string(400, 'x')));
  EXPECT_THAT(a_inbox_->WaitForLoss(), HasSubstr("lost executor b at 127.0.0.1"));
  EXPECT_THAT(b_inbox_->WaitForLoss(), HasSubstr("executor a")) << "the receiver hears of it too";
}

TEST_F(ShuffleHubTest, RowsOfAnEpochToComeAreKept) {
  auto a = Start("a");
  auto b = Start("b");
  b->StartEpoch(kJob, Epoch(1), {{"a", a->address()}}, b_inbox_);
  auto link = a->StartEpoch(kJob, Epoch(3), {{"b", b->address()}}, a_inbox_).at(0);
  link->SendBlock(kJob, Epoch(2), BatchId(1), Block("second"));
  link->SendBlock(kJob, Epoch(3), BatchId(1), Block("third"));
  link->SendBlock(kJob, Epoch(1), BatchId(1), Block("first"));
  ASSERT_TRUE(b_inbox_->WaitForBlocks(1));
  EXPECT_THAT(b_inbox_->Rows(), ElementsAre("first"));
  auto later = std::make_shared<Inbox>();
  b->StartEpoch(kJob, Epoch(3), {{"a", a->address()}}, later);
  EXPECT_THAT(later->Rows(), ElementsAre("third"));
}

TEST_F(ShuffleHubTest, RowsOfALowerEpochAreDroppedAndTheirCreditReturned) {
  auto a = Start("a");
  auto b = Start("b", /*window=*/100);
  b->StartEpoch(kJob, Epoch(2), {{"a", a->address()}}, b_inbox_);
  auto link = a->StartEpoch(kJob, Epoch(1), {{"b", b->address()}}, a_inbox_).at(0);
  for (int i = 0; i < 20; ++i) {
    link->SendBlock(kJob, Epoch(1), BatchId(1), Block(std::string(90, 'x')));
  }
  link->SendBlock(kJob, Epoch(2), BatchId(1), Block("of today"));
  ASSERT_TRUE(b_inbox_->WaitForBlocks(1));
  EXPECT_THAT(b_inbox_->Rows(), ElementsAre("of today"));
}

TEST_F(ShuffleHubTest, NewEpochGetsANewLinkToAPeerThatCameBack) {
  auto a = Start("a");
  auto b = Start("b");
  const std::string address = b->address();
  auto link = a->StartEpoch(kJob, Epoch(1), {{"b", address}}, a_inbox_).at(0);
  b->StartEpoch(kJob, Epoch(1), {{"a", a->address()}}, b_inbox_);
  link->SendEnd(kJob, Epoch(1), BatchId(1), 0, 0);
  ASSERT_TRUE(b_inbox_->WaitForEnds(1));
  b->Shutdown();
  EXPECT_THAT(a_inbox_->WaitForLoss(), HasSubstr("b: lost executor b"));
  auto again = Start("b");
  auto inbox = std::make_shared<Inbox>();
  again->StartEpoch(kJob, Epoch(2), {{"a", a->address()}}, inbox);
  auto second = a->StartEpoch(kJob, Epoch(2), {{"b", again->address()}}, a_inbox_).at(0);
  second->SendBlock(kJob, Epoch(2), BatchId(1), Block("hello"));
  ASSERT_TRUE(inbox->WaitForBlocks(1));
}

TEST_F(ShuffleHubTest, PeerThatIsNotThereIsNamed) {
  auto a = Start("a");
  a->StartEpoch(kJob, Epoch(1), {{"gone", "127.0.0.1:1"}}, a_inbox_);
  EXPECT_THAT(a_inbox_->WaitForLoss(), HasSubstr("lost executor gone at 127.0.0.1:1"));
}

TEST_F(ShuffleHubTest, PortInUseIsNamed) {
  auto a = Start("a");
  ShuffleHubOptions options;
  options.executor_id = "b";
  options.listen_address = a->address();
  options.gate = &gate_;
  auto b = ShuffleHub::Start(options);
  ASSERT_FALSE(b.ok());
  EXPECT_THAT(std::string(b.status().message()), HasSubstr(a->address()));
}

TEST_F(ShuffleHubTest, StoppedEpochReleasesWhatWaitsForThePeer) {
  auto a = Start("a");
  auto b = Start("b", /*window=*/100);
  auto link = a->StartEpoch(kJob, Epoch(1), {{"b", b->address()}}, a_inbox_).at(0);
  for (int i = 0; i < 20; ++i) {
    link->SendBlock(kJob, Epoch(1), BatchId(1), Block(std::string(90, 'x')));
  }
  a->StopEpoch(kJob, Epoch(1));
  EXPECT_EQ(gate_.pending_bytes(), 0);
}

}  // namespace
}  // namespace millrace
