#include "executor/shuffle/flow_gate.h"

#include <gtest/gtest.h>

#include <optional>
#include <utility>

namespace millrace::executor {
namespace {

TEST(FlowGateTest, OpensAgainAtHalfTheLimit) {
  FlowGate gate(100);
  int owner = 0;
  int resumed = 0;
  EXPECT_TRUE(gate.Pass(&owner, [&] { ++resumed; }));
  gate.Add(99);
  EXPECT_TRUE(gate.Pass(&owner, [&] { ++resumed; }));
  gate.Add(1);
  EXPECT_FALSE(gate.Pass(&owner, [&] { ++resumed; }));
  gate.Release(49);
  EXPECT_EQ(resumed, 0);
  gate.Release(1);
  EXPECT_EQ(resumed, 1);
  gate.Release(50);
  EXPECT_EQ(resumed, 1) << "once";
  EXPECT_EQ(gate.pending_bytes(), 0);
}

TEST(FlowGateTest, CancelLetsOnlyItsOwnerGo) {
  FlowGate gate(10);
  int a = 0;
  int b = 0;
  int resumed_a = 0;
  int resumed_b = 0;
  gate.Add(10);
  EXPECT_FALSE(gate.Pass(&a, [&] { ++resumed_a; }));
  EXPECT_FALSE(gate.Pass(&b, [&] { ++resumed_b; }));
  gate.Cancel(&a);
  EXPECT_EQ(resumed_a, 1);
  EXPECT_EQ(resumed_b, 0);
  gate.Release(10);
  EXPECT_EQ(resumed_b, 1);
}

TEST(FlowGateTest, HoldReleasesOnceWhereverItIsMoved) {
  FlowGate gate(10);
  {
    FlowHold first(&gate, 7);
    FlowHold second = std::move(first);
    EXPECT_EQ(gate.pending_bytes(), 7);
    FlowHold third;
    third = std::move(second);
    EXPECT_EQ(gate.pending_bytes(), 7);
  }
  EXPECT_EQ(gate.pending_bytes(), 0);
}

}  // namespace
}  // namespace millrace::executor
