// A job through seeded random histories (testing/job_simulation.h).
#include "driver/batch/testing/job_simulation.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace millrace {
namespace {

void RunSeeds(bool running_state) {
  int64_t batches = 0;
  int64_t driver_crashes = 0;
  int64_t snapshots = 0;
  int64_t restores = 0;
  int64_t withdrawals = 0;
  int64_t halvings = 0;
  int64_t waves = 0;
  int64_t lost_snapshots = 0;
  int64_t retirements = 0;
  int64_t doubts = 0;
  int64_t unseen_stores = 0;
  int64_t unseen_snapshots = 0;
  for (uint64_t seed = 1; seed <= 1000; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    JobSimulation simulation(seed, running_state);
    simulation.Run(1800);
    batches += simulation.batches();
    driver_crashes += simulation.restarts;
    snapshots += simulation.snapshots;
    restores += simulation.restores;
    withdrawals += simulation.withdrawals;
    halvings += simulation.halvings;
    waves += simulation.waves;
    lost_snapshots += simulation.lost_snapshots;
    retirements += simulation.retirements;
    doubts += simulation.doubts;
    unseen_stores += simulation.unseen_stores;
    unseen_snapshots += simulation.unseen_snapshots;
    if (::testing::Test::HasFailure()) {
      return;
    }
  }
  // Checks that the histories were not idle.
  EXPECT_GT(batches, 1000 * 10);
  EXPECT_GT(driver_crashes, 500);
  EXPECT_GT(waves, 100);
  EXPECT_GT(withdrawals, 20);
  EXPECT_GT(retirements, 500);
  EXPECT_GT(halvings, 500);
  EXPECT_GT(doubts, 500);
  if (running_state) {
    EXPECT_GT(snapshots, 1000);
    EXPECT_GT(restores, 500);
    EXPECT_GT(lost_snapshots, 20);
    EXPECT_GT(unseen_stores, 100);
    EXPECT_GT(unseen_snapshots, 100);
  }
}

TEST(JobSimulationTest, StatelessJobLosesNothing) { RunSeeds(false); }
TEST(JobSimulationTest, JobWithRunningStateLosesNothing) { RunSeeds(true); }

}  // namespace
}  // namespace millrace
