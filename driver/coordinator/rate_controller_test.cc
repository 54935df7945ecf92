#include "driver/coordinator/rate_controller.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace millrace::driver {
namespace {

constexpr int64_t kSecond = 1'000'000;

// A machine that needs `overhead_us` per batch and handles `rate` records per second.
struct Machine {
  double rate;
  int64_t overhead_us = 2'000;
  int64_t Time(int64_t records) const {
    return overhead_us + static_cast<int64_t>(static_cast<double>(records) / rate * kSecond);
  }
};

TEST(RateControllerTest, FirstBatchIsBounded) {
  RateController controller(10 * kSecond);
  EXPECT_EQ(controller.Budget(1), 64 << 10);
  EXPECT_EQ(controller.Budget(4), 4 * (64 << 10));
}

TEST(RateControllerTest, ConvergesFromAnyBacklogWithinEightBatches) {
  for (const double rate : {2e3, 5e4, 1.2e6, 2e7}) {
    for (const int64_t target : {kSecond / 5, 2 * kSecond}) {
      const Machine machine{rate};
      RateController controller(target);
      int64_t elapsed = 0;
      for (int batch = 0; batch < 8; ++batch) {
        const int64_t budget = controller.Budget(4);
        elapsed = machine.Time(budget);
        controller.OnBatch(budget, budget, elapsed);
      }
      EXPECT_GT(elapsed, target * 8 / 10) << "rate " << rate << " target " << target;
      EXPECT_LT(elapsed, target * 13 / 10) << "rate " << rate << " target " << target;
    }
  }
}

TEST(RateControllerTest, GrowsAtMostFourfold) {
  RateController controller(10 * kSecond);
  int64_t budget = controller.Budget(1);
  for (int batch = 0; batch < 5; ++batch) {
    controller.OnBatch(budget, budget, 1);
    const int64_t next = controller.Budget(1);
    EXPECT_LE(next, budget * 4);
    EXPECT_GT(next, budget);
    budget = next;
  }
}

TEST(RateControllerTest, SmallBatchesSayNothingAboutTheLimit) {
  RateController controller(kSecond / 100);
  const int64_t first = controller.Budget(4);
  for (int batch = 0; batch < 1000; ++batch) {
    controller.OnBatch(controller.Budget(4), 10, 5'000);
  }
  EXPECT_EQ(controller.Budget(4), first);
}

TEST(RateControllerTest, HiccupsOfTinyBatchesLeaveRoomForTheNextOnes) {
  RateController controller(kSecond / 100);
  for (int batch = 0; batch < 50; ++batch) {
    controller.OnBatch(controller.Budget(4), 10, 300'000);
  }
  EXPECT_GE(controller.Budget(4), 400);
}

TEST(RateControllerTest, HalvesDownToOneOffsetAndGrowsAgain) {
  RateController controller(10 * kSecond);
  for (int64_t planned = controller.Budget(4); planned > 1; planned = controller.Budget(4)) {
    controller.OnTooLarge(planned);
    EXPECT_EQ(controller.Budget(4), planned / 2) << "also below one per partition";
  }
  EXPECT_EQ(controller.Budget(4), 1);
  for (int batch = 0; batch < 100; ++batch) {
    const int64_t budget = controller.Budget(4);
    controller.OnBatch(budget, budget, 1'000);
    EXPECT_LE(controller.Budget(4), budget + std::max<int64_t>(budget / 4, 1));
  }
  EXPECT_GT(controller.Budget(4), 100'000) << "one bad place does not slow a job down for good";
}

TEST(RateControllerTest, SmallBatchesDoNotRaiseTheCeiling) {
  RateController controller(10 * kSecond);
  controller.OnTooLarge(1000);
  for (int batch = 0; batch < 100; ++batch) {
    controller.OnBatch(controller.Budget(1), 10, 1'000);
  }
  EXPECT_EQ(controller.Budget(1), 500);
}

}  // namespace
}  // namespace millrace::driver
