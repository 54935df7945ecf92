#include "executor/state/entries/entry_expiry.h"

#include <gtest/gtest.h>

namespace millrace::executor {
namespace {

TEST(EntryExpiryTest, EntryLivesThroughItsLastMicrosecond) {
  const EntryExpiry expiry(/*ttl_us=*/10);
  EXPECT_FALSE(expiry.Expired(100, 110));
  EXPECT_TRUE(expiry.Expired(100, 111));
}

TEST(EntryExpiryTest, WithoutATimeToLiveNothingExpires) {
  EntryExpiry expiry(/*ttl_us=*/0);
  expiry.Touched(1);
  EXPECT_FALSE(expiry.expires());
  EXPECT_FALSE(expiry.Expired(1, INT64_MAX));
  EXPECT_FALSE(expiry.IsSweepDue(INT64_MAX));
  EXPECT_EQ(expiry.wake_at_us(), 0);
}

TEST(EntryExpiryTest, SweepIsDueOnceTheOldestEntryMayHaveExpired) {
  EntryExpiry expiry(/*ttl_us=*/10);
  EXPECT_EQ(expiry.wake_at_us(), 0) << "there is no entry";
  EXPECT_FALSE(expiry.IsSweepDue(1000));
  expiry.Touched(100);
  expiry.Touched(105);
  EXPECT_EQ(expiry.wake_at_us(), 111);
  EXPECT_FALSE(expiry.IsSweepDue(110));
  EXPECT_TRUE(expiry.IsSweepDue(111));
}

TEST(EntryExpiryTest, PassFindsTheOldestEntryThatIsLeft) {
  EntryExpiry expiry(/*ttl_us=*/10);
  expiry.Touched(100);
  expiry.BeginPass(/*now_us=*/111);
  expiry.Keep(107);
  expiry.Keep(105);
  EXPECT_TRUE(expiry.IsSweepDue(111)) << "the pass is not over";
  expiry.EndPass();
  EXPECT_EQ(expiry.wake_at_us(), 116);
}

TEST(EntryExpiryTest, EntryThatIsTouchedDuringAPassIsNotForgotten) {
  EntryExpiry expiry(/*ttl_us=*/10);
  expiry.Touched(100);
  expiry.BeginPass(/*now_us=*/111);
  expiry.Touched(112);  // behind the place that the pass has reached
  expiry.EndPass();
  EXPECT_LE(expiry.wake_at_us(), 123);
  EXPECT_NE(expiry.wake_at_us(), 0);
}

}  // namespace
}  // namespace millrace::executor
