// Two hubs in one process over the loopback interface.
#include "executor/shuffle/shuffle_hub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/base/steady_time.h"
#include "common/rpc/rpc.h"
#include "common/rpc/stream_proof.h"

namespace millrace::executor {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const JobId kJob("job");
constexpr absl::Duration kPatience = absl::Seconds(20);

// Keeps the blocks that arrive, with their credit, until the test takes them.
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
  std::string Loss() {
    absl::MutexLock lock(&mutex_);
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
  // Gives the credit of all blocks that have come back.
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

// Does something before it takes what arrives.
class InterruptedInbox : public Inbox {
 public:
  explicit InterruptedInbox(std::function<void()> before) : before_(std::move(before)) {}
  void OnDelivery(ShuffleDelivery delivery) override {
    before_();
    Inbox::OnDelivery(std::move(delivery));
  }

 private:
  const std::function<void()> before_;
};

// Tells that a thread has come here, and holds it up until it may go on.
class Halt {
 public:
  void Pass() {
    come_.Notify();
    go_on_.WaitForNotificationWithTimeout(kPatience);
  }
  bool WaitForThread() { return come_.WaitForNotificationWithTimeout(kPatience); }
  void LetGo() { go_on_.Notify(); }

 private:
  absl::Notification come_;
  absl::Notification go_on_;
};

// One key for all, as far as these tests are not about keys.
ShufflePeer Peer(const std::string& id, const std::string& address) {
  return {.executor_id = id, .address = address, .key_to = "key", .key_from = "key"};
}

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
    options.max_kept_bytes = max_kept_bytes_;
    options.connect_timeout = absl::Seconds(2);
    options.gate = &gate_;
    auto hub = ShuffleHub::Start(options);
    EXPECT_TRUE(hub.ok()) << hub.status();
    return *std::move(hub);
  }

  absl::Duration stall_timeout_ = absl::Minutes(2);
  int64_t max_kept_bytes_ = 1 << 20;
  FlowGate gate_{1 << 20};
  std::shared_ptr<Inbox> a_inbox_ = std::make_shared<Inbox>();
  std::shared_ptr<Inbox> b_inbox_ = std::make_shared<Inbox>();
};

TEST_F(ShuffleHubTest, DeliversInOrder) {
  auto a = Start("a");
  auto b = Start("b");
  b->StartEpoch(kJob, Epoch(1), {Peer("a", a->address())}, b_inbox_);
  auto link = a->StartEpoch(kJob, Epoch(1), {Peer("b", b->address())}, a_inbox_).at(0);
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
  b->StartEpoch(kJob, Epoch(1), {Peer("a", a->address())}, b_inbox_);
  auto link = a->StartEpoch(kJob, Epoch(1), {Peer("b", b->address())}, a_inbox_).at(0);
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
  b->StartEpoch(kJob, Epoch(1), {Peer("a", a->address())}, b_inbox_);
  auto link = a->StartEpoch(kJob, Epoch(1), {Peer("b", b->address())}, a_inbox_).at(0);
  link->SendBlock(kJob, Epoch(1), BatchId(1), Block(std::string(400, 'x')));
  link->SendBlock(kJob, Epoch(1), BatchId(1), Block(std::string(400, 'x')));
  EXPECT_THAT(a_inbox_->WaitForLoss(), HasSubstr("lost executor b at 127.0.0.1"));
  EXPECT_THAT(b_inbox_->WaitForLoss(), HasSubstr("executor a")) << "the receiver hears of it too";
}

TEST_F(ShuffleHubTest, RowsOfAnEpochToComeAreKept) {
  auto a = Start("a");
  auto b = Start("b");
  b->StartEpoch(kJob, Epoch(1), {Peer("a", a->address())}, b_inbox_);
  auto link = a->StartEpoch(kJob, Epoch(1), {Peer("b", b->address())}, a_inbox_).at(0);
  link->SendBlock(kJob, Epoch(1), BatchId(1), Block("first"));
  a->StartEpoch(kJob, Epoch(2), {Peer("b", b->address())}, a_inbox_);
  link->SendBlock(kJob, Epoch(2), BatchId(1), Block("second"));
  a->StartEpoch(kJob, Epoch(3), {Peer("b", b->address())}, a_inbox_);
  link->SendBlock(kJob, Epoch(3), BatchId(1), Block("third"));
  ASSERT_TRUE(b_inbox_->WaitForBlocks(1));
  EXPECT_THAT(b_inbox_->Rows(), ElementsAre("first"));
  auto later = std::make_shared<Inbox>();
  b->StartEpoch(kJob, Epoch(3), {Peer("a", a->address())}, later);
  ASSERT_TRUE(later->WaitForBlocks(1));
  EXPECT_THAT(later->Rows(), ElementsAre("third"));
}

TEST_F(ShuffleHubTest, RowsOfALowerEpochAreDroppedAndTheirCreditReturned) {
  auto a = Start("a");
  auto b = Start("b", /*window=*/100);
  b->StartEpoch(kJob, Epoch(2), {Peer("a", a->address())}, b_inbox_);
  auto link = a->StartEpoch(kJob, Epoch(1), {Peer("b", b->address())}, a_inbox_).at(0);
  for (int i = 0; i < 20; ++i) {
    link->SendBlock(kJob, Epoch(1), BatchId(1), Block(std::string(90, 'x')));
  }
  a->StartEpoch(kJob, Epoch(2), {Peer("b", b->address())}, a_inbox_);
  link->SendBlock(kJob, Epoch(2), BatchId(1), Block("of today"));
  ASSERT_TRUE(b_inbox_->WaitForBlocks(1));
  EXPECT_THAT(b_inbox_->Rows(), ElementsAre("of today"));
}

TEST_F(ShuffleHubTest, NewEpochGetsANewLinkToAPeerThatCameBack) {
  auto a = Start("a");
  auto b = Start("b");
  const std::string address = b->address();
  auto link = a->StartEpoch(kJob, Epoch(1), {Peer("b", address)}, a_inbox_).at(0);
  b->StartEpoch(kJob, Epoch(1), {Peer("a", a->address())}, b_inbox_);
  link->SendEnd(kJob, Epoch(1), BatchId(1), 0, 0);
  ASSERT_TRUE(b_inbox_->WaitForEnds(1));
  b->Shutdown();
  EXPECT_THAT(a_inbox_->WaitForLoss(), HasSubstr("b: lost executor b"));
  auto again = Start("b");
  auto inbox = std::make_shared<Inbox>();
  again->StartEpoch(kJob, Epoch(2), {Peer("a", a->address())}, inbox);
  auto second = a->StartEpoch(kJob, Epoch(2), {Peer("b", again->address())}, a_inbox_).at(0);
  second->SendBlock(kJob, Epoch(2), BatchId(1), Block("hello"));
  ASSERT_TRUE(inbox->WaitForBlocks(1));
}

TEST_F(ShuffleHubTest, EpochsThatAreOverAreForgotten) {
  auto a = Start("a");
  auto b = Start("b");
  constexpr size_t kJobs = 700;
  for (size_t i = 0; i < kJobs; ++i) {
    const JobId job(absl::StrCat("job-", i));
    b->StartEpoch(job, Epoch(1), {Peer("a", a->address())}, b_inbox_);
    const auto link = a->StartEpoch(job, Epoch(1), {Peer("b", b->address())}, a_inbox_).at(0);
    link->SendEnd(job, Epoch(1), BatchId(1), 0, 0);
    ASSERT_TRUE(b_inbox_->WaitForEnds(i + 1));
    EXPECT_EQ(b->remembered().claims, 1u);
    b->StopEpoch(job, Epoch(1));
    a->StopEpoch(job, Epoch(1));
  }
  EXPECT_LT(b->remembered().jobs, kJobs);
  EXPECT_EQ(b->remembered().claims, 0u);
  EXPECT_EQ(a->remembered().links, 1u) << "it lives, and the next epoch will want it";
  EXPECT_EQ(b_inbox_->Loss(), "");
}

TEST_F(ShuffleHubTest, LinksToExecutorsThatAreGoneAreFreed) {
  auto a = Start("a");
  for (int i = 0; i < 5; ++i) {
    const JobId job(absl::StrCat("job-", i));
    const auto inbox = std::make_shared<Inbox>();
    auto gone = Start(absl::StrCat("gone-", i));
    auto link =
        a->StartEpoch(job, Epoch(1), {Peer(absl::StrCat("gone-", i), gone->address())}, inbox)
            .at(0);
    EXPECT_EQ(a->remembered().links, 1u) << "that of the executor before is freed";
    gone.reset();
    ASSERT_NE(inbox->WaitForLoss(), "");
    link.reset();
    a->StopEpoch(job, Epoch(1));
  }
  EXPECT_EQ(a->remembered().links, 0u);
}

// The thread of a broken link may come to tell the hub of its end only when the hub has freed the
// link and made another one to the same peer.
TEST_F(ShuffleHubTest, LateEndOfALinkThatWasFreedIsNotThatOfItsSuccessor) {
  constexpr int64_t kGateBytes = 1 << 20;
  const JobId next_job("next");
  Halt reading;
  Halt writing;
  auto reader = std::make_shared<InterruptedInbox>([&] { reading.Pass(); });
  auto a = Start("a");
  auto b = Start("b");
  b->StartEpoch(kJob, Epoch(1), {Peer("a", a->address())}, reader);
  auto back = b->StartEpoch(next_job, Epoch(1), {Peer("a", a->address())}, b_inbox_).at(0);
  auto link = a->StartEpoch(kJob, Epoch(1), {Peer("b", b->address())}, a_inbox_).at(0);
  // A frame of the next job waits at a, so that a's StartEpoch calls the listener.
  back->SendBlock(next_job, Epoch(1), BatchId(1), Block("early"));
  back->SendBlock(kJob, Epoch(1), BatchId(1), Block("behind it"));
  ASSERT_TRUE(a_inbox_->WaitForBlocks(1));

  // While b does not read, a's thread sends what will make b end the stream, and then stops where
  // it makes room in the gate.
  link->SendBlock(kJob, Epoch(1), BatchId(1), Block("read"));
  ASSERT_TRUE(reading.WaitForThread());
  link->Introduce(kJob, Epoch(1), "a second time");
  gate_.Add(kGateBytes);
  ASSERT_FALSE(gate_.Pass(this, [&] { writing.Pass(); }));
  gate_.Add(-kGateBytes);
  link->SendBlock(kJob, Epoch(1), BatchId(1), Block("stops"));
  ASSERT_TRUE(writing.WaitForThread());
  link->SendBlock(kJob, Epoch(1), BatchId(1), Block("is dropped at the thread's end"));
  reading.LetGo();
  const absl::Time deadline = SteadyNow() + kPatience;
  while (!link->broken()) {
    ASSERT_LT(SteadyNow(), deadline);
  }

  // The hub frees the link, which the listener keeps from being closed.
  const std::weak_ptr<PeerLink> freed = std::exchange(link, nullptr);
  auto later = std::make_shared<InterruptedInbox>([&] { link = freed.lock(); });
  const auto successor = a->StartEpoch(next_job, Epoch(1), {Peer("b", b->address())}, later).at(0);
  ASSERT_NE(link, nullptr);
  ASSERT_NE(link, successor);
  writing.LetGo();
  while (gate_.pending_bytes() > 0) {
    ASSERT_LT(SteadyNow(), deadline);
  }
  EXPECT_EQ(later->Loss(), "");
}

// A process that speaks the protocol by hand.
class Stranger {
 public:
  explicit Stranger(const std::string& address, const std::string& name = "a")
      : stub_(proto::Shuffle::NewStub(
            grpc::CreateChannel(address, grpc::InsecureChannelCredentials()))) {
    SetTimeout(&context_, kPatience);
    stream_ = stub_->Push(&context_);
    proto::ShuffleFrame hello;
    hello.set_sender_id(name);
    Send(hello);
    proto::ShuffleCredit first;
    EXPECT_TRUE(stream_->Read(&first));
    nonce = first.nonce();
    credit = first.bytes();
  }
  ~Stranger() { context_.TryCancel(); }

  void Send(const proto::ShuffleFrame& frame) { stream_->Write(frame); }
  void Prove(const std::string& proof, int64_t epoch = 1) {
    proto::ShuffleFrame frame = Frame(epoch);
    frame.set_proof(proof);
    Send(frame);
  }
  void SendRows(const std::string& rows, int64_t epoch = 1) {
    proto::ShuffleFrame frame = Frame(epoch);
    *frame.add_blocks() = Block(rows);
    Send(frame);
  }
  std::string ProofWith(const std::string& key, int64_t epoch = 1) const {
    return StreamProof(key, nonce, kJob, Epoch(epoch));
  }
  static proto::ShuffleFrame Frame(int64_t epoch) {
    proto::ShuffleFrame frame;
    frame.set_job_id(kJob.value());
    frame.set_epoch(epoch);
    frame.set_batch(1);
    return frame;
  }
  // Waits until the hub has ended the stream.
  grpc::Status End() {
    proto::ShuffleCredit more;
    while (stream_->Read(&more)) {
    }
    return stream_->Finish();
  }

  std::string nonce;
  int64_t credit = 0;

 private:
  grpc::ClientContext context_;
  std::unique_ptr<proto::Shuffle::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<proto::ShuffleFrame, proto::ShuffleCredit>> stream_;
};

class StrangerTest : public ShuffleHubTest {
 protected:
  StrangerTest() : member_(Start("a")), hub_(Start("b", /*window=*/1000)) {
    hub_->StartEpoch(kJob, Epoch(1), {Member()}, b_inbox_);
  }

  // The one member beside the hub, whose process sends nothing itself.
  ShufflePeer Member() const {
    ShufflePeer peer = Peer("a", member_->address());
    peer.key_from = "the key of a";
    return peer;
  }

  std::unique_ptr<ShuffleHub> member_;
  std::unique_ptr<ShuffleHub> hub_;
};

TEST_F(StrangerTest, MemberThatProvesItselfIsHeard) {
  Stranger member(hub_->address());
  member.Prove(member.ProofWith("the key of a"));
  member.SendRows("rows of 10");
  ASSERT_TRUE(b_inbox_->WaitForBlocks(1));
  EXPECT_THAT(b_inbox_->Rows(), ElementsAre("rows of 10"));
}

TEST_F(StrangerTest, NameAloneGivesNoVoice) {
  Stranger unproven(hub_->address());
  unproven.SendRows("forged");
  EXPECT_THAT(unproven.End().error_message(), HasSubstr("before it has proven"));
  Stranger guessing(hub_->address());
  guessing.Prove("guessed");
  EXPECT_EQ(guessing.End().error_code(), grpc::StatusCode::PERMISSION_DENIED);
  Stranger other(hub_->address(), "another");
  other.Prove(other.ProofWith("the key of a"));
  EXPECT_THAT(other.End().error_message(), HasSubstr("no member of epoch 1"));
  // The ends of the strangers' streams did not count as the loss of the member that they named.
  Stranger member(hub_->address());
  member.Prove(member.ProofWith("the key of a"));
  member.SendRows("rows of 10");
  ASSERT_TRUE(b_inbox_->WaitForBlocks(1));
  EXPECT_EQ(b_inbox_->Loss(), "");
}

TEST_F(StrangerTest, ProofOfAnotherStreamOrEpochIsWorthless) {
  Stranger first(hub_->address());
  const std::string overheard = first.ProofWith("the key of a");
  Stranger second(hub_->address());
  ASSERT_NE(first.nonce, second.nonce);
  second.Prove(overheard);
  EXPECT_EQ(second.End().error_code(), grpc::StatusCode::PERMISSION_DENIED);
  first.Prove(first.ProofWith("the key of a", 2), /*epoch=*/1);
  EXPECT_EQ(first.End().error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(StrangerTest, WhatIsSentAheadOfAnEpochIsHeardOnlyFromItsMember) {
  Stranger forger(hub_->address());
  forger.Prove(forger.ProofWith("a guess", 2), 2);
  forger.SendRows("forged", 2);
  Stranger member(hub_->address());
  member.Prove(member.ProofWith("the key of a"));
  member.SendRows("rows of 1");
  ASSERT_TRUE(b_inbox_->WaitForBlocks(1));
  auto later = std::make_shared<Inbox>();
  hub_->StartEpoch(kJob, Epoch(2), {Member()}, later);
  member.Prove(member.ProofWith("the key of a", 2), 2);
  member.SendRows("rows of 2", 2);
  ASSERT_TRUE(later->WaitForBlocks(1));
  EXPECT_THAT(later->Rows(), ElementsAre("rows of 2"));
  forger.SendRows("forged", 2);
  EXPECT_THAT(forger.End().error_message(), HasSubstr("no member of epoch 2"));
}

// Its stream carries other jobs, too.
TEST_F(StrangerTest, MemberOfAnEpochThatWasStoppedHereKeepsItsStream) {
  Stranger member(hub_->address());
  member.Prove(member.ProofWith("the key of a"));
  hub_->StopEpoch(kJob, Epoch(2));
  member.Prove(member.ProofWith("the key of a", 2), 2);
  member.SendRows("of nobody", 2);
  auto later = std::make_shared<Inbox>();
  hub_->StartEpoch(kJob, Epoch(3), {Member()}, later);
  member.Prove(member.ProofWith("the key of a", 3), 3);
  member.SendRows("rows of 3", 3);
  ASSERT_TRUE(later->WaitForBlocks(1));
  EXPECT_THAT(later->Rows(), ElementsAre("rows of 3"));
}

// The entries of a job's earlier epochs must not take with them what is remembered of its latest.
TEST_F(StrangerTest, EpochThatHasJustEndedIsRememberedHoweverManyCameBeforeIt) {
  constexpr int64_t kLast = 600;  // more than the hub remembers
  for (int64_t epoch = 2; epoch < kLast; ++epoch) {
    hub_->StopEpoch(kJob, Epoch(epoch));
  }
  hub_->StartEpoch(kJob, Epoch(kLast), {Member()}, b_inbox_);
  Stranger member(hub_->address());
  member.Prove(member.ProofWith("the key of a", kLast), kLast);
  member.SendRows("in time", kLast);
  ASSERT_TRUE(b_inbox_->WaitForBlocks(1));
  hub_->StopEpoch(kJob, Epoch(kLast));
  member.SendRows("late", kLast);
  auto later = std::make_shared<Inbox>();
  hub_->StartEpoch(kJob, Epoch(kLast + 1), {Member()}, later);
  member.Prove(member.ProofWith("the key of a", kLast + 1), kLast + 1);
  member.SendRows("next", kLast + 1);
  ASSERT_TRUE(later->WaitForBlocks(1)) << "its stream was ended";
  EXPECT_THAT(later->Rows(), ElementsAre("next"));
  EXPECT_THAT(b_inbox_->Rows(), ElementsAre("in time"));
}

TEST_F(StrangerTest, MemberThatTakesASecondNameIsEnded) {
  Stranger member(hub_->address());
  member.Prove(member.ProofWith("the key of a"));
  proto::ShuffleFrame hello;
  hello.set_sender_id("another");
  member.Send(hello);
  EXPECT_THAT(member.End().error_message(), HasSubstr("a second time"));
  EXPECT_THAT(b_inbox_->WaitForLoss(), HasSubstr("a: lost executor a")) << "it was a member";
}

TEST_F(StrangerTest, RowsBeyondTheCreditEndTheStream) {
  Stranger member(hub_->address());
  ASSERT_EQ(member.credit, 1000);
  member.Prove(member.ProofWith("the key of a"));
  for (int i = 0; i < 4;
       ++i) {  // the third overdraws the credit, which is allowed; the fourth may not go
    member.SendRows(std::string(400, 'x'));
  }
  EXPECT_THAT(member.End().error_message(), HasSubstr("beyond its credit"));
  EXPECT_EQ(b_inbox_->Rows().size(), 3u);
}

TEST_F(StrangerTest, RunsCostNoMoreThanTheRowsThatArePaidFor) {
  Stranger member(hub_->address());
  member.Prove(member.ProofWith("the key of a"));
  proto::ShuffleFrame frame = Stranger::Frame(1);
  *frame.add_blocks() = Block("some rows");
  for (int i = 0; i < 100'000; ++i) {
    frame.mutable_blocks(0)->add_runs()->set_rows(1);
  }
  member.Send(frame);
  EXPECT_THAT(member.End().error_message(), HasSubstr("100000 runs of rows in 9 bytes"));
}

TEST_F(StrangerTest, FramesOfEpochsThatNeverBeginAreBounded) {
  max_kept_bytes_ = 10'000;
  auto hub = Start("c");
  Stranger ahead(hub->address());
  ahead.Prove("whatever", 9);
  for (int i = 0; i < 1000; ++i) {
    proto::ShuffleFrame frame = Stranger::Frame(9);
    frame.add_ends()->set_exchange(0);
    ahead.Send(frame);
  }
  EXPECT_THAT(ahead.End().error_message(), HasSubstr("have not begun here"));
}

TEST_F(ShuffleHubTest, PeerThatIsNotThereIsNamed) {
  auto a = Start("a");
  a->StartEpoch(kJob, Epoch(1), {Peer("gone", "127.0.0.1:1")}, a_inbox_);
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
  auto link = a->StartEpoch(kJob, Epoch(1), {Peer("b", b->address())}, a_inbox_).at(0);
  for (int i = 0; i < 20; ++i) {
    link->SendBlock(kJob, Epoch(1), BatchId(1), Block(std::string(90, 'x')));
  }
  a->StopEpoch(kJob, Epoch(1));
  EXPECT_EQ(gate_.pending_bytes(), 0);
}

}  // namespace
}  // namespace millrace::executor
