#include "executor/epoch/task_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <vector>

#include "absl/synchronization/barrier.h"
#include "absl/synchronization/notification.h"

namespace millrace::executor {
namespace {

TEST(TaskPoolTest, UrgentTasksFirstThenThoseThatStoodAside) {
  std::vector<std::string> order;
  absl::Notification go;
  {
    TaskPool pool("test", 1);
    pool.Submit([&] { go.WaitForNotification(); });
    pool.Submit([&] { order.push_back("back"); });
    pool.Submit([&] { order.push_back("front"); }, QueuePlace::kFront);
    pool.Submit([&] { order.push_back("urgent 1"); }, QueuePlace::kUrgent);
    pool.Submit([&] { order.push_back("urgent 2"); }, QueuePlace::kUrgent);
    EXPECT_EQ(pool.urgent(), 2u);
    go.Notify();
  }
  EXPECT_THAT(order, testing::ElementsAre("urgent 1", "urgent 2", "front", "back"));
}

TEST(TaskPoolTest, AsManyTasksAtATimeAsThreads) {
  // Each waits for the others: with fewer threads this would never end.
  auto* barrier = new absl::Barrier(4);
  {
    TaskPool pool("test", 4);
    for (int i = 0; i < 4; ++i) {
      pool.Submit([barrier] {
        if (barrier->Block()) {
          delete barrier;
        }
      });
    }
  }
}

TEST(TaskPoolTest, RunsAllBeforeItEnds) {
  std::atomic<int> ran = 0;
  {
    TaskPool pool("test", 2);
    for (int i = 0; i < 1000; ++i) {
      pool.Submit([&] { ++ran; });
    }
  }
  EXPECT_EQ(ran, 1000);
}

}  // namespace
}  // namespace millrace::executor
