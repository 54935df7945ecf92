#include "driver/executors/executor_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace millrace::driver {
namespace {

using ::testing::ElementsAre;

class FakeLink : public ExecutorLink {
 public:
  void Send(proto::DriverMessage message) override { sent.push_back(std::move(message)); }
  void Close() override { closed = true; }
  int64_t last_heard_us() const override { return heard_us; }

  std::vector<proto::DriverMessage> sent;
  bool closed = false;
  int64_t heard_us = 0;
};

class ExecutorDirectoryTest : public ::testing::Test {
 protected:
  ExecutorDirectoryTest()
      : directory_("driver", absl::Milliseconds(500), absl::Seconds(2),
                   {[this] { ++changes_; },
                    [this](const ExecutorId& id) { back_.push_back(id.value()); }}) {}

  std::shared_ptr<FakeLink> Connect(const std::string& id) {
    proto::Register registration;
    registration.set_executor_id(id);
    registration.set_name("name-" + id);
    registration.set_slots(3);
    registration.set_protocol(1);
    auto link = std::make_shared<FakeLink>();
    directory_.Connected(registration, link);
    return link;
  }

  int changes_ = 0;
  std::vector<std::string> back_;
  ExecutorDirectory directory_;
};

TEST_F(ExecutorDirectoryTest, RegistersAndAnswers) {
  const auto link = Connect("a");
  ASSERT_EQ(link->sent.size(), 1u);
  EXPECT_EQ(link->sent[0].registered().heartbeat_timeout_ms(), 2000);
  EXPECT_EQ(changes_, 1);
  EXPECT_EQ(directory_.TotalSlots(), 3u);
  EXPECT_EQ(directory_.NameOf(ExecutorId("a")), "name-a");
  ASSERT_EQ(directory_.Members().members.size(), 1u);
  EXPECT_FALSE(directory_.Members().members[0].away);
}

TEST_F(ExecutorDirectoryTest, TellsItsTermAndThatItLives) {
  directory_.SetTerm(7);
  const auto link = Connect("a");
  EXPECT_EQ(link->sent[0].registered().driver_term(), 7);
  const auto away = Connect("b");
  directory_.Disconnected(ExecutorId("b"), away.get(), 0);
  directory_.SayAlive();
  ASSERT_EQ(link->sent.size(), 2u);
  EXPECT_TRUE(link->sent[1].has_alive());
  EXPECT_EQ(away->sent.size(), 1u);
}

TEST_F(ExecutorDirectoryTest, RetiredDriverAnswersNobody) {
  const auto before = Connect("a");
  directory_.Retire();
  EXPECT_TRUE(before->closed);
  const auto after = Connect("b");
  EXPECT_TRUE(after->closed);
  EXPECT_TRUE(after->sent.empty()) << "neither registered nor rejected: it looks elsewhere";
}

TEST_F(ExecutorDirectoryTest, BrokenStreamHasAGrace) {
  const auto first = Connect("a");
  directory_.Disconnected(ExecutorId("a"), first.get(), 1'000'000);
  ASSERT_EQ(directory_.Members().members.size(), 1u);
  EXPECT_TRUE(directory_.Members().members[0].away);
  directory_.CheckTimeouts(1'499'999);
  EXPECT_EQ(directory_.all().size(), 1u);
  const auto second = Connect("a");
  EXPECT_THAT(back_, ElementsAre("a"));
  EXPECT_FALSE(directory_.Members().members[0].away);

  second->heard_us = 5'000'000;
  directory_.Disconnected(ExecutorId("a"), first.get(), 5'000'000);
  EXPECT_FALSE(directory_.Members().members[0].away)
      << "the old stream's end does not concern the new one";
  directory_.Disconnected(ExecutorId("a"), second.get(), 5'000'000);
  directory_.CheckTimeouts(5'500'000);
  EXPECT_TRUE(directory_.all().empty());
}

TEST_F(ExecutorDirectoryTest, SilenceIsLoss) {
  const auto link = Connect("a");
  link->heard_us = 1'000'000;
  directory_.CheckTimeouts(2'900'000);
  EXPECT_EQ(directory_.all().size(), 1u);
  directory_.CheckTimeouts(3'000'000);
  EXPECT_TRUE(directory_.all().empty());
  EXPECT_TRUE(link->closed);
  EXPECT_EQ(changes_, 2);
}

TEST_F(ExecutorDirectoryTest, NewStreamOfALiveExecutorReplacesTheOldOne) {
  const auto first = Connect("a");
  const auto second = Connect("a");
  EXPECT_TRUE(first->closed);
  proto::DriverMessage message;
  message.mutable_stop_epoch();
  directory_.Send(ExecutorId("a"), message);
  EXPECT_EQ(first->sent.size(), 1u);
  EXPECT_EQ(second->sent.size(), 2u);
}

TEST_F(ExecutorDirectoryTest, LeavingEndsWithTheStream) {
  const auto link = Connect("a");
  directory_.OnLeaving(ExecutorId("a"));
  EXPECT_TRUE(directory_.Members().members[0].leaving);
  directory_.Disconnected(ExecutorId("a"), link.get(), 1);
  EXPECT_TRUE(directory_.all().empty()) << "no grace for who said goodbye";
}

TEST_F(ExecutorDirectoryTest, RejectsWhoHasNoIdentity) {
  const auto link = Connect("");
  EXPECT_TRUE(link->sent[0].has_rejected());
  EXPECT_TRUE(link->closed);
  EXPECT_TRUE(directory_.all().empty());
}

// It would commit each shard by itself, and a claim of this version does not stop that.
TEST_F(ExecutorDirectoryTest, RejectsAnExecutorWhoseSinksHaveNoSessions) {
  proto::Register registration;
  registration.set_executor_id("old");
  registration.set_name("host:17");
  registration.set_engine_version("0.9.2");
  registration.set_protocol(0);
  const auto link = std::make_shared<FakeLink>();
  directory_.Connected(registration, link);
  ASSERT_EQ(link->sent.size(), 1u);
  EXPECT_EQ(link->sent[0].rejected().reason(),
            "executor host:17 is of Millrace 0.9.2, which is too old for this driver: start the "
            "same version as the driver's");
  EXPECT_TRUE(link->closed);
  EXPECT_TRUE(directory_.all().empty());
  EXPECT_EQ(changes_, 0);
}

// Joins under a name that was generated for a process, and is lost at once.
TEST_F(ExecutorDirectoryTest, AFlappingExecutorIsKeptFromWorkForAWhile) {
  const auto connect = [this](const std::string& id, const std::string& name) {
    proto::Register registration;
    registration.set_executor_id(id);
    registration.set_name(name);
    registration.set_protocol(1);
    auto link = std::make_shared<FakeLink>();
    link->heard_us = INT64_MAX / 2;
    directory_.Connected(registration, link);
    return link;
  };
  const auto is_away = [this](const std::string& id) {
    for (const auto& member : directory_.Members().members) {
      if (member.id.value() == id) {
        return member.away;
      }
    }
    ADD_FAILURE() << id << " is not a member";
    return false;
  };
  connect("steady", "steady");
  int64_t now_us = 0;
  for (int time = 0; time < FlapRecord::kTimes; ++time) {
    const std::string id = absl::StrCat("flapping-", time);
    const auto link = connect(id, absl::StrCat("host:", 1000 + time));
    EXPECT_FALSE(is_away(id)) << "time " << time;
    now_us += 1'000'000;
    directory_.Disconnected(ExecutorId(id), link.get(), now_us);
    now_us += 1'000'000;
    directory_.CheckTimeouts(now_us);
  }
  connect("again", "host:2000");
  EXPECT_TRUE(is_away("again"));
  EXPECT_FALSE(is_away("steady"));
  const auto neighbour = connect("neighbour", "other:7");
  EXPECT_FALSE(is_away("neighbour"));

  const int changes = changes_;
  directory_.CheckTimeouts(now_us + FlapRecord::kFirstQuarantineUs);
  EXPECT_FALSE(is_away("again")) << "its time is over";
  EXPECT_EQ(changes_, changes + 1);
}

TEST_F(ExecutorDirectoryTest, WhoIsAloneWorksInQuarantineToo) {
  int64_t now_us = 0;
  for (int time = 0; time <= FlapRecord::kTimes; ++time) {
    const auto link = Connect("x");
    link->heard_us = INT64_MAX / 2;
    ASSERT_EQ(directory_.Members().members.size(), 1u);
    EXPECT_FALSE(directory_.Members().members[0].away) << "time " << time;
    now_us += 1'000'000;
    directory_.Disconnected(ExecutorId("x"), link.get(), now_us);
    now_us += 1'000'000;
    directory_.CheckTimeouts(now_us);
  }
}

TEST_F(ExecutorDirectoryTest, AllThatFallSilentWithTheNetworkWorkAgainAtOnce) {
  Connect("beside the driver")->heard_us = INT64_MAX / 2;
  int64_t now_us = 1;
  for (int time = 0; time <= FlapRecord::kTimes; ++time) {
    for (const char* const id : {"x", "y"}) {
      Connect(id)->heard_us = now_us;
    }
    for (const auto& member : directory_.Members().members) {
      EXPECT_FALSE(member.away) << member.name << ", time " << time;
    }
    now_us += 10'000'000;
    directory_.CheckTimeouts(now_us);
    ASSERT_EQ(directory_.all().size(), 1u);
  }
}

TEST(FlapRecordTest, LongerEachTimeAndForgottenInTheEnd) {
  FlapRecord record;
  int64_t now_us = 1;
  EXPECT_EQ(record.QuarantinedUntil("a", now_us), 0);
  for (int time = 0; time < FlapRecord::kTimes; ++time) {
    record.Lost("a", FlapRecord::Loss::kBroken, now_us, now_us);
  }
  EXPECT_EQ(record.QuarantinedUntil("a", now_us), now_us + FlapRecord::kFirstQuarantineUs);
  record.Lost("a", FlapRecord::Loss::kBroken, now_us, now_us);
  EXPECT_EQ(record.QuarantinedUntil("a", now_us), now_us + 2 * FlapRecord::kFirstQuarantineUs);
  for (int time = 0; time < 100; ++time) {
    record.Lost("a", FlapRecord::Loss::kBroken, now_us, now_us);
  }
  EXPECT_EQ(record.QuarantinedUntil("a", now_us), now_us + FlapRecord::kLongestQuarantineUs);
  EXPECT_EQ(record.QuarantinedUntil("b", now_us), 0);
  now_us += FlapRecord::kForgottenUs;
  record.Lost("a", FlapRecord::Loss::kBroken, now_us, now_us);
  EXPECT_EQ(record.QuarantinedUntil("a", now_us), 0) << "the first one again";
}

TEST(FlapRecordTest, WhoLivedLongIsNoFlapper) {
  FlapRecord record;
  for (int64_t day = 1; day < 10; ++day) {
    const int64_t now_us = day * 86'400'000'000;
    record.Lost("a", FlapRecord::Loss::kBroken, now_us - FlapRecord::kSoonUs - 1, now_us);
    EXPECT_EQ(record.QuarantinedUntil("a", now_us), 0);
  }
}

TEST(FlapRecordTest, ExecutorsThatFallSilentTogetherDoNotFlap) {
  FlapRecord record;
  int64_t now_us = 1;
  for (int time = 0; time < 2 * FlapRecord::kTimes; ++time) {
    record.Lost("a", FlapRecord::Loss::kSilent, now_us, now_us);
    record.Lost("b", FlapRecord::Loss::kSilent, now_us, now_us + FlapRecord::kTogetherUs);
    record.Lost("c", FlapRecord::Loss::kSilent, now_us, now_us + FlapRecord::kTogetherUs);
    now_us += 20'000'000;
  }
  for (const char* const name : {"a", "b", "c"}) {
    EXPECT_EQ(record.LossesOf(name), 0) << name;
    EXPECT_EQ(record.QuarantinedUntil(name, now_us), 0) << name;
  }
}

TEST(FlapRecordTest, WhoFallsSilentAloneFlapsWhateverOthersDid) {
  FlapRecord record;
  int64_t now_us = 1;
  for (int time = 0; time < FlapRecord::kTimes; ++time) {
    record.Lost("a", FlapRecord::Loss::kSilent, now_us, now_us);
    record.Lost("b", FlapRecord::Loss::kBroken, now_us, now_us);
    now_us += FlapRecord::kTogetherUs + 1;
    record.Lost("b", FlapRecord::Loss::kSilent, now_us - FlapRecord::kSoonUs - 1, now_us);
    now_us += FlapRecord::kTogetherUs + 1;
  }
  EXPECT_EQ(record.LossesOf("a"), FlapRecord::kTimes);
  EXPECT_EQ(record.LossesOf("b"), FlapRecord::kTimes);
  EXPECT_GT(record.QuarantinedUntil("a", now_us), now_us);
}

}  // namespace
}  // namespace millrace::driver
