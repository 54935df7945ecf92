#include "executor/epoch/blocking_lanes.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

namespace millrace::executor {
namespace {

// Tasks that tell when they have begun, and then hang.
class Hanging {
 public:
  ~Hanging() { Release(); }

  void SubmitTo(BlockingLanes::Lane* lane, int tasks) {
    for (int i = 0; i < tasks; ++i) {
      lane->Submit([this] {
        absl::MutexLock lock(&mutex_);
        ++begun_;
        mutex_.Await(absl::Condition(&released_));
        ++ended_;
      });
    }
  }
  void Release() {
    absl::MutexLock lock(&mutex_);
    released_ = true;
  }
  bool WaitUntilBegun(int tasks) { return WaitUntil(&begun_, tasks); }
  bool WaitUntilEnded(int tasks) { return WaitUntil(&ended_, tasks); }
  int begun() {
    absl::MutexLock lock(&mutex_);
    return begun_;
  }

 private:
  bool WaitUntil(const int* count, int tasks) {
    const auto reached = [count, tasks] { return *count >= tasks; };
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&reached), absl::Seconds(20));
  }

  absl::Mutex mutex_;
  int begun_ = 0;
  int ended_ = 0;
  bool released_ = false;
};

// Runs a task behind all tasks that were submitted to the lane before and may run.
void RunOne(BlockingLanes::Lane* lane) {
  auto done = std::make_shared<absl::Notification>();
  lane->Submit([done] { done->Notify(); });
  EXPECT_TRUE(done->WaitForNotificationWithTimeout(absl::Seconds(20)));
}

TEST(BlockingLanesTest, ALaneThatHangsLeavesThreadsToOthers) {
  Hanging hanging;
  BlockingLanes lanes(8);
  const auto hung = lanes.NewLane({.most = 6, .reserved = 2});
  const auto other = lanes.NewLane({.most = 6, .reserved = 2});
  hanging.SubmitTo(hung.get(), 100);
  ASSERT_TRUE(hanging.WaitUntilBegun(6));
  for (int i = 0; i < 50; ++i) {
    RunOne(other.get());
  }
  EXPECT_EQ(hanging.begun(), 6) << "its quota";
  hanging.Release();
  EXPECT_TRUE(hanging.WaitUntilEnded(100));
}

TEST(BlockingLanesTest, EveryLaneHasItsReserveWhenAllOthersHang) {
  Hanging hanging;
  Hanging also_there;
  BlockingLanes lanes(8);
  std::vector<std::shared_ptr<BlockingLanes::Lane>> hung;
  for (int i = 0; i < 10; ++i) {
    hung.push_back(lanes.NewLane({.most = 6, .reserved = 2}));
    hanging.SubmitTo(hung.back().get(), 20);
  }
  const auto other = lanes.NewLane({.most = 6, .reserved = 2});
  also_there.SubmitTo(other.get(), 1);
  ASSERT_TRUE(also_there.WaitUntilBegun(1));
  RunOne(other.get());
  EXPECT_LE(hanging.begun(), 8 + 2 * 10) << "threads are bounded";
  also_there.Release();
  hanging.Release();
  EXPECT_TRUE(hanging.WaitUntilEnded(200));
}

TEST(BlockingLanesTest, WhatWaitsInALaneRunsInOrder) {
  std::string order;
  absl::BlockingCounter left(9);
  Hanging hanging;
  BlockingLanes lanes(1);
  const auto lane = lanes.NewLane({.most = 1, .reserved = 1});
  hanging.SubmitTo(lane.get(), 1);
  ASSERT_TRUE(hanging.WaitUntilBegun(1));
  for (char name = 'a'; name <= 'i'; ++name) {
    lane->Submit([&, name] {
      order.push_back(name);
      left.DecrementCount();
    });
  }
  hanging.Release();
  left.Wait();
  EXPECT_EQ(order, "abcdefghi");
}

TEST(BlockingLanesTest, EndsAfterWhatWasSubmitted) {
  std::atomic<int> ran = 0;
  {
    BlockingLanes lanes(2);
    const auto lane = lanes.NewLane({.most = 2, .reserved = 1});
    for (int i = 0; i < 100; ++i) {
      lane->Submit([&ran] { ++ran; });
    }
    // A task may submit, too.
    auto* const raw = lane.get();
    lane->Submit([&ran, raw] { raw->Submit([&ran] { ++ran; }); });
  }
  EXPECT_EQ(ran, 101);
}

}  // namespace
}  // namespace millrace::executor
