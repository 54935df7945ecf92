#include "driver/coordinator/sticky_owners.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace millrace::driver {
namespace {

using ::testing::ElementsAre;

std::vector<OwnerCandidate> RedBlue() {
  return {{.id = ExecutorId("red")}, {.id = ExecutorId("blue")}};
}

std::vector<OwnerCandidate> BlueRed() {
  return {{.id = ExecutorId("blue")}, {.id = ExecutorId("red")}};
}

TEST(StickyOwnersTest, ItemsStayWithAnExecutorWhateverItsPlaceAmongTheMembers) {
  StickyOwners owners;
  EXPECT_THAT(owners.Assign({0, 1, 2, 3}, 4, RedBlue()), ElementsAre(0, 1, 0, 1));
  EXPECT_THAT(owners.Assign({0, 1, 2, 3}, 4, BlueRed()), ElementsAre(1, 0, 1, 0));
}

TEST(StickyOwnersTest, ItemsThatAreLeftOutAreRemembered) {
  StickyOwners owners;
  owners.Assign({0, 1}, 2, RedBlue());
  EXPECT_THAT(owners.Assign({1}, 2, RedBlue()), ElementsAre(1));
  EXPECT_THAT(owners.Assign({0, 1}, 2, BlueRed()), ElementsAre(1, 0));
}

TEST(StickyOwnersTest, ItemsThatCameDuringTheEpochStayToo) {
  StickyOwners owners;
  owners.Assign({0, 1}, 2, RedBlue());
  owners.Set(2, ExecutorId("blue"));
  owners.Set(3, ExecutorId("red"));
  EXPECT_THAT(owners.Assign({0, 1, 2, 3}, 4, RedBlue()), ElementsAre(0, 1, 1, 0));
}

}  // namespace
}  // namespace millrace::driver
