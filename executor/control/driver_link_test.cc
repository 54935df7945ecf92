#include "executor/control/driver_link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "absl/synchronization/notification.h"
#include "common/base/steady_time.h"
#include "common/rpc/rpc.h"
#include "executor/testing/fake_driver.h"

namespace millrace::executor {
namespace {

constexpr char kId[] = "e";

bool IsHeartbeat(const proto::ExecutorMessage& message) { return message.has_heartbeat(); }

class DriverLinkTest : public ::testing::Test {
 protected:
  DriverLinkOptions Options(const std::vector<std::string>& addresses) {
    DriverLinkOptions options;
    for (const std::string& address : addresses) {
      options.drivers.push_back({address, CreateChannel(address)});
    }
    options.registration.set_executor_id(kId);
    options.on_registered = [this](uint64_t, const proto::Registered& registered) {
      absl::MutexLock lock(&mutex_);
      terms_.push_back(registered.driver_term());
    };
    options.on_message = [](uint64_t, proto::DriverMessage) {};
    options.heartbeat = [] { return proto::Heartbeat(); };
    options.take_progress = [] { return std::vector<proto::SourceProgress>(); };
    options.on_end = [](const absl::Status&) {};
    return options;
  }
  void Start(DriverLinkOptions options) {
    link_ = std::make_unique<DriverLink>(std::move(options));
    link_->Start();
  }
  std::vector<int64_t> terms() {
    absl::MutexLock lock(&mutex_);
    return terms_;
  }
  // Waits until the link has registered with this many drivers.
  void UntilFollowed(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto reached = [&] { return terms_.size() >= count; };
    ASSERT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&reached), absl::Seconds(20)));
  }

  absl::Mutex mutex_;
  std::vector<int64_t> terms_;  // of the drivers it registered with
  std::unique_ptr<DriverLink> link_;
};

TEST_F(DriverLinkTest, PassesOverAnAddressWhereNobodyListens) {
  FakeDriver driver;
  // Port 1 of the loopback interface: reserved, nobody listens there.
  Start(Options({"127.0.0.1:1", driver.address()}));
  EXPECT_TRUE(link_->WaitUntilRegistered(absl::Seconds(20)).ok());
  driver.WaitForExecutor(kId);
}

TEST_F(DriverLinkTest, LeavesADriverThatIsSilent) {
  FakeDriver hung;
  FakeDriver standby;
  hung.set_heartbeat_timeout(absl::Milliseconds(300));
  Start(Options({hung.address(), standby.address()}));
  hung.WaitForExecutor(kId);
  const absl::Time start = SteadyNow();
  standby.WaitForExecutor(kId);
  EXPECT_GE(SteadyNow() - start, absl::Milliseconds(200));
  EXPECT_TRUE(standby.Wait(kId, &IsHeartbeat).has_value());
}

TEST_F(DriverLinkTest, StaysWithADriverThatSaysThatItLives) {
  FakeDriver driver;
  FakeDriver standby;
  driver.set_heartbeat_timeout(absl::Milliseconds(500));
  Start(Options({driver.address(), standby.address()}));
  driver.WaitForExecutor(kId);
  // The executor sends a heartbeat every 50 ms: thirty take three times the silence that would be
  // too long.
  proto::DriverMessage alive;
  alive.mutable_alive();
  for (int beat = 0; beat < 30; ++beat) {
    ASSERT_TRUE(driver.Wait(kId, &IsHeartbeat).has_value());
    driver.Send(kId, alive);
  }
  EXPECT_EQ(driver.Registrations(kId), 1);
  EXPECT_EQ(standby.Registrations(kId), 0);
}

TEST_F(DriverLinkTest, MessageThatTakesLongToHandleIsNotSilence) {
  FakeDriver driver;
  driver.set_heartbeat_timeout(absl::Milliseconds(100));
  DriverLinkOptions options = Options({driver.address()});
  absl::Notification handled;
  options.on_message = [&](uint64_t, proto::DriverMessage) {
    // Three times the silence that would be too long.
    for (int beat = 0; beat < 6; ++beat) {
      driver.Wait(kId, &IsHeartbeat);
    }
    handled.Notify();
  };
  Start(std::move(options));
  driver.WaitForExecutor(kId);
  proto::DriverMessage message;
  message.mutable_run_batch();
  driver.Send(kId, message);
  ASSERT_TRUE(handled.WaitForNotificationWithTimeout(absl::Seconds(20)));
  EXPECT_EQ(driver.Registrations(kId), 1);
}

TEST_F(DriverLinkTest, RefusesADriverThatWasReplaced) {
  FakeDriver old;
  auto successor = std::make_unique<FakeDriver>();
  old.set_term(4);
  old.set_heartbeat_timeout(absl::Milliseconds(100));
  successor->set_term(5);
  Start(Options({old.address(), successor->address()}));
  UntilFollowed(2);
  ASSERT_EQ(terms(), std::vector<int64_t>({4, 5}));

  // The old driver wakes up, and the successor cannot be reached.
  const int64_t registrations = old.Registrations(kId);
  successor.reset();
  const absl::Time deadline = SteadyNow() + absl::Seconds(20);
  while (old.Registrations(kId) < registrations + 2) {
    ASSERT_LT(SteadyNow(), deadline);
    old.WaitForMessages(deadline);
  }
  EXPECT_EQ(terms(), std::vector<int64_t>({4, 5})) << "not followed again";

  old.set_term(6);
  UntilFollowed(3);
  EXPECT_EQ(terms().back(), 6) << "it has taken over again";
}

TEST_F(DriverLinkTest, LowerTermIsTakenInTheLongRun) {
  FakeDriver old;
  FakeDriver other;
  old.set_term(4);
  other.set_term(2);  // the term of a directory that was created anew
  old.set_heartbeat_timeout(absl::Milliseconds(100));
  DriverLinkOptions options = Options({old.address(), other.address()});
  options.replaced_grace = absl::Milliseconds(50);
  Start(std::move(options));
  other.WaitForExecutor(kId);
  EXPECT_TRUE(other.Wait(kId, &IsHeartbeat).has_value());
}

}  // namespace
}  // namespace millrace::executor
