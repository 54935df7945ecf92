#include "driver/coordinator/assignment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace millrace::driver {
namespace {

using ::testing::ElementsAre;
using Previous = std::vector<std::optional<uint32_t>>;

std::vector<size_t> CountPerMember(const std::vector<uint32_t>& owners, size_t members) {
  std::vector<size_t> counts(members);
  for (const uint32_t owner : owners) {
    ++counts[owner];
  }
  return counts;
}

TEST(AssignStickyTest, SpreadsNeighboursAtFirst) {
  EXPECT_THAT(AssignSticky({1, 1}, Previous(5)), ElementsAre(0, 1, 0, 1, 0));
  EXPECT_THAT(AssignSticky({1}, Previous(2)), ElementsAre(0, 0));
  EXPECT_THAT(AssignSticky({3, 1}, Previous{}), ElementsAre());
}

TEST(AssignStickyTest, FollowsSlots) {
  EXPECT_THAT(CountPerMember(AssignSticky({4, 2, 2}, Previous(16)), 3), ElementsAre(8, 4, 4));
  EXPECT_THAT(CountPerMember(AssignSticky({0, 3}, Previous(8)), 2), ElementsAre(2, 6))
      << "0 slots count as 1";
}

TEST(AssignStickyTest, KeepsEverythingWhenNothingChanged) {
  const Previous previous = {2, 0, 1, 1, 2, 0, 0};
  const std::vector<uint32_t> owners = AssignSticky({2, 2, 2}, previous);
  for (size_t i = 0; i < previous.size(); ++i) {
    EXPECT_EQ(owners[i], *previous[i]) << i;
  }
}

TEST(AssignStickyTest, MovesOnlyItemsOfALostMember) {
  // Member 2 of three is gone: its items have no previous owner.
  const Previous previous = {0, 1, std::nullopt, 0, 1, std::nullopt};
  EXPECT_THAT(AssignSticky({1, 1}, previous), ElementsAre(0, 1, 0, 0, 1, 1));
}

TEST(AssignStickyTest, MovesOnlyWhatAJoiningMemberNeeds) {
  const Previous previous = {0, 0, 0, 1, 1, 1};
  const std::vector<uint32_t> owners = AssignSticky({1, 1, 1}, previous);
  EXPECT_THAT(CountPerMember(owners, 3), ElementsAre(2, 2, 2));
  size_t moved = 0;
  for (size_t i = 0; i < owners.size(); ++i) {
    moved += owners[i] != *previous[i];
  }
  EXPECT_EQ(moved, 2u);
}

TEST(AssignStickyTest, IsBalancedForAnyHistory) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    const size_t members = 1 + random() % 6;
    std::vector<uint32_t> slots(members);
    uint64_t total = 0;
    for (uint32_t& s : slots) {
      s = 1 + random() % 8;
      total += s;
    }
    Previous previous(random() % 40);
    for (auto& member : previous) {
      if (random() % 3 != 0) {
        member = random() % members;
      }
    }
    const std::vector<size_t> counts = CountPerMember(AssignSticky(slots, previous), members);
    for (size_t m = 0; m < members; ++m) {
      const double share =
          static_cast<double>(previous.size()) * slots[m] / static_cast<double>(total);
      EXPECT_LT(std::abs(static_cast<double>(counts[m]) - share), 1.0) << "round " << round;
    }
  }
}

TEST(LeastLoadedTest, CountsPerSlot) {
  EXPECT_EQ(LeastLoaded({1, 1}, {2, 1}), 1u);
  EXPECT_EQ(LeastLoaded({4, 1}, {3, 1}), 0u);
  EXPECT_EQ(LeastLoaded({2, 2}, {1, 1}), 0u);
}

}  // namespace
}  // namespace millrace::driver
