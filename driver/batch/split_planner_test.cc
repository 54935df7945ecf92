#include "driver/batch/split_planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

namespace millrace {
namespace {

using ::testing::ElementsAre;

TEST(ShareBudgetTest, GivesEverythingWithinTheBudget) {
  const SplitShares shares = ShareBudget({{.lag = 5}, {.lag = 0}, {.lag = -3}, {.lag = 7}}, 12);
  EXPECT_THAT(shares.offsets, ElementsAre(5, 0, 0, 7));
  EXPECT_FALSE(shares.cut_by_budget);
}

TEST(ShareBudgetTest, UsersLimitIsNotACutByTheBudget) {
  const SplitShares shares = ShareBudget({{.lag = 500, .limit = 10}, {.lag = 3, .limit = 10}}, 100);
  EXPECT_THAT(shares.offsets, ElementsAre(10, 3));
  EXPECT_FALSE(shares.cut_by_budget);
}

TEST(ShareBudgetTest, SharesEvenlyAmongEquals) {
  const SplitShares shares =
      ShareBudget({{.lag = 1000}, {.lag = 1000}, {.lag = 1000}, {.lag = 1000}}, 400);
  EXPECT_THAT(shares.offsets, ElementsAre(100, 100, 100, 100));
  EXPECT_TRUE(shares.cut_by_budget);
}

TEST(ShareBudgetTest, SmallPartitionIsNotStarvedByALargeOne) {
  const SplitShares shares = ShareBudget({{.lag = 1'000'000'000}, {.lag = 40}}, 1000);
  EXPECT_EQ(shares.offsets[1], 40);
  EXPECT_EQ(shares.offsets[0], 960);
}

TEST(ShareBudgetTest, LongerBacklogGetsMore) {
  const SplitShares shares = ShareBudget({{.lag = 30'000}, {.lag = 10'000}}, 1000);
  EXPECT_GT(shares.offsets[0], shares.offsets[1] + 200);
}

TEST(ShareBudgetTest, InvariantsHoldForAnyDemand) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 5000; ++round) {
    std::vector<SplitDemand> demands(1 + random() % 9);
    for (SplitDemand& demand : demands) {
      demand.lag = static_cast<int64_t>(random() >> (1 + random() % 63));
      demand.limit = random() % 2 == 0 ? INT64_MAX : static_cast<int64_t>(random() % 1000);
    }
    const int64_t budget = 1 + static_cast<int64_t>(random() % 100'000);
    const SplitShares shares = ShareBudget(demands, budget);
    __int128 demanded = 0;
    int64_t given = 0;
    for (size_t i = 0; i < demands.size(); ++i) {
      const int64_t wanted = std::min(demands[i].lag, demands[i].limit);
      EXPECT_GE(shares.offsets[i], 0);
      EXPECT_LE(shares.offsets[i], wanted);
      demanded += wanted;
      given += shares.offsets[i];
    }
    EXPECT_EQ(given, demanded < budget ? static_cast<int64_t>(demanded) : budget)
        << "round " << round;
    EXPECT_EQ(shares.cut_by_budget, demanded > budget);
  }
}

}  // namespace
}  // namespace millrace
