#include "driver/event_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <vector>

namespace millrace::driver {
namespace {

using ::testing::ElementsAre;

TEST(EventLoopTest, RunsInOrderAndAnswersCalls) {
  EventLoop loop(Clock::Real());
  std::vector<int> order;
  loop.Post([&] { order.push_back(1); });
  loop.Post([&] {
    loop.Post([&] { order.push_back(3); });
    order.push_back(2);
  });
  loop.Call([&] { return 0; });
  EXPECT_EQ(loop.Call([&] { return order; }).value(), (std::vector<int>{1, 2, 3}));
}

TEST(EventLoopTest, TimersRunInTheOrderOfTheirTimes) {
  EventLoop loop(Clock::Real());
  const int64_t now_us = loop.NowUs();
  std::vector<int> order;
  absl::Mutex mutex;
  absl::CondVar done;
  loop.PostAt(now_us + 3000, [&] {
    absl::MutexLock lock(&mutex);
    order.push_back(2);
    done.Signal();
  });
  loop.PostAt(now_us + 1000, [&] {
    absl::MutexLock lock(&mutex);
    order.push_back(1);
  });
  absl::MutexLock lock(&mutex);
  while (order.size() < 2) {
    done.Wait(&mutex);
  }
  EXPECT_THAT(order, ElementsAre(1, 2));
  EXPECT_GE(loop.NowUs(), now_us + 3000);
}

TEST(EventLoopTest, TimerThatIsTakenBackNeverRunsAndHoldsNothing) {
  EventLoop loop(Clock::Real());
  auto held = std::make_shared<int>(0);
  const EventLoop::TimerId timer = loop.PostAt(loop.NowUs() + 60'000'000, [held] { ++*held; });
  loop.Cancel(timer);
  EXPECT_EQ(held.use_count(), 1);
  loop.Cancel(timer);
}

TEST(EventLoopTest, StopRunsWhatIsQueuedAndRefusesMore) {
  EventLoop loop(Clock::Real());
  std::atomic<int> ran = 0;
  for (int i = 0; i < 100; ++i) {
    loop.Post([&] { ++ran; });
  }
  loop.PostAt(loop.NowUs() + 60'000'000, [&] { ran = -1; });
  loop.Stop();
  EXPECT_EQ(ran, 100);
  EXPECT_FALSE(loop.Post([] {}));
  EXPECT_FALSE(loop.Call([] { return 1; }).has_value());
}

}  // namespace
}  // namespace millrace::driver
