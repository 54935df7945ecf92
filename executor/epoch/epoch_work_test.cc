#include "executor/epoch/epoch_work.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace millrace::executor {
namespace {

TEST(EpochWorkTest, IsOverWhenTheLastTokenIsDroppedAfterTheEnd) {
  int over = 0;
  EpochWork work;
  EXPECT_EQ(work.Take(), nullptr) << "before it begins";
  work.Begin([&] { ++over; });
  EpochWork::Token task = work.Take();
  ASSERT_NE(task, nullptr);
  task.reset();
  EXPECT_EQ(over, 0) << "without tasks, but not at its end";
  task = work.Take();
  work.End().reset();
  EXPECT_EQ(work.Take(), nullptr);
  EXPECT_EQ(over, 0) << "a task is still there";
  task.reset();
  EXPECT_EQ(over, 1);
}

TEST(EpochWorkTest, WhoEndsItMayHoldItUntilHeIsDone) {
  int over = 0;
  EpochWork work;
  work.Begin([&] { ++over; });
  EpochWork::Token last = work.End();
  EXPECT_EQ(work.End(), nullptr) << "it ends once";
  EXPECT_EQ(over, 0);
  last.reset();
  EXPECT_EQ(over, 1);
}

TEST(EpochWorkTest, WorkThatHasNotBegunHasNoEnd) {
  EpochWork work;
  EXPECT_EQ(work.End(), nullptr);
  int over = 0;
  work.Begin([&] { ++over; });
  EXPECT_NE(work.Take(), nullptr);
  EXPECT_EQ(over, 0);
  work.End().reset();
  EXPECT_EQ(over, 1);
}

// What an epoch does: its parts go when nobody can use them any more.
TEST(EpochWorkTest, PartsStayWhileSomebodyHasAToken) {
  for (int round = 0; round < 200; ++round) {
    EpochWork work;
    auto part = std::make_unique<int>(round);
    std::atomic<bool> over = false;
    work.Begin([&] {
      part.reset();
      over = true;
    });
    std::vector<std::thread> tasks;
    for (int i = 0; i < 3; ++i) {
      tasks.emplace_back([&] {
        while (const EpochWork::Token token = work.Take()) {
          EXPECT_EQ(*part, round);
        }
      });
    }
    work.End().reset();
    for (std::thread& task : tasks) {
      task.join();
    }
    EXPECT_TRUE(over);
    EXPECT_EQ(part, nullptr);
  }
}

}  // namespace
}  // namespace millrace::executor
