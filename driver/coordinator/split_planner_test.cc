#include "driver/coordinator/split_planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

namespace millrace::driver {
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

TEST(CutToBytesTest, OnePartitionWithAllOfTheBacklogIsCutByItsOwnersBytes) {
  const std::vector<SplitDemand> demands = {{.lag = 300'000, .owner = 0, .bytes_per_offset = 4096},
                                            {.lag = 5, .owner = 0, .bytes_per_offset = 4096},
                                            {.lag = 5, .owner = 1, .bytes_per_offset = 4096},
                                            {.lag = 0, .owner = 1, .bytes_per_offset = 4096}};
  const SplitShares shares =
      CutToBytes(demands, {64 << 20, 64 << 20}, ShareBudget(demands, 1'000'000));
  EXPECT_TRUE(shares.cut_by_budget);
  EXPECT_EQ(shares.offsets[0], (64 << 20) / 4096 - 5);
  EXPECT_EQ(shares.offsets[1], 5);
  EXPECT_EQ(shares.offsets[2], 5);
}

TEST(CutToBytesTest, ARecordLargerThanTheBudgetIsReadAlone) {
  const std::vector<SplitDemand> demands = {{.lag = 9, .owner = 0, .bytes_per_offset = 1e9},
                                            {.lag = 7, .owner = 0, .bytes_per_offset = 1e9}};
  EXPECT_THAT(CutToBytes(demands, {1 << 20}, ShareBudget(demands, 100)).offsets, ElementsAre(1, 0));
}

TEST(CutToBytesTest, NoOwnerReadsMoreThanItMay) {
  std::mt19937_64 random(12);
  for (int round = 0; round < 5000; ++round) {
    std::vector<SplitDemand> demands(1 + random() % 9);
    const size_t owners = 1 + random() % 3;
    for (SplitDemand& demand : demands) {
      demand.lag = static_cast<int64_t>(random() >> (1 + random() % 63));
      demand.owner = static_cast<uint32_t>(random() % owners);
      demand.bytes_per_offset = static_cast<double>(random() >> (24 + random() % 40)) / 16;
    }
    std::vector<int64_t> bytes(owners);
    for (int64_t& limit : bytes) {
      limit = 1 + static_cast<int64_t>(random() % (1 << 26));
    }
    const SplitShares before = ShareBudget(demands, 1 + static_cast<int64_t>(random() % 100'000));
    const SplitShares after = CutToBytes(demands, bytes, before);
    std::vector<double> read(owners);
    std::vector<int64_t> offsets(owners);
    std::vector<int64_t> offsets_before(owners);
    for (size_t i = 0; i < demands.size(); ++i) {
      EXPECT_LE(after.offsets[i], before.offsets[i]);
      EXPECT_GE(after.offsets[i], 0);
      const uint32_t owner = demands[i].owner;
      read[owner] += static_cast<double>(after.offsets[i]) * demands[i].bytes_per_offset;
      offsets[owner] += after.offsets[i];
      offsets_before[owner] += before.offsets[i];
    }
    for (size_t owner = 0; owner < owners; ++owner) {
      EXPECT_TRUE(read[owner] <= static_cast<double>(bytes[owner]) || offsets[owner] == 1)
          << "round " << round;
      EXPECT_EQ(offsets[owner] > 0, offsets_before[owner] > 0) << "round " << round;
    }
  }
}

}  // namespace
}  // namespace millrace::driver
