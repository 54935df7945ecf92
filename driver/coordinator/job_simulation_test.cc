// A job through seeded random histories (testing/job_simulation.h).
#include "driver/coordinator/testing/job_simulation.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <tuple>

#include "absl/strings/str_cat.h"

namespace millrace::driver {
namespace {

constexpr int kParts = 4;  // of the histories, each a test of its own, so that they can be sharded
constexpr uint64_t kSeedsOfPart = kFewHistories ? 25 : 250;

// Whether the job has running state, and which part of the histories it goes through.
class JobSimulationTest : public ::testing::TestWithParam<std::tuple<bool, int>> {};

TEST_P(JobSimulationTest, LosesNothing) {
  const auto [running_state, part] = GetParam();
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
  int64_t entries = 0;
  int64_t reopenings = 0;
  int64_t orphans = 0;
  int64_t visible_shards = 0;
  int64_t upgrades = 0;
  int64_t unseen_stores = 0;
  int64_t unseen_snapshots = 0;
  const uint64_t first = 1 + static_cast<uint64_t>(part) * kSeedsOfPart;
  for (uint64_t seed = first; seed < first + kSeedsOfPart; ++seed) {
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
    entries += simulation.entries;
    reopenings += simulation.reopenings;
    orphans += simulation.orphans;
    visible_shards += simulation.visible_shards;
    upgrades += simulation.upgrades;
    unseen_stores += simulation.unseen_stores;
    unseen_snapshots += simulation.unseen_snapshots;
    if (::testing::Test::HasFailure()) {
      return;
    }
  }
  if (kFewHistories) {
    return;
  }
  // Checks that the histories were not idle.
  EXPECT_GT(batches, 2500);
  EXPECT_GT(driver_crashes, 125);
  EXPECT_GT(waves, 25);
  EXPECT_GT(withdrawals, 5);
  EXPECT_GT(retirements, 125);
  EXPECT_GT(halvings, 125);
  EXPECT_GT(doubts, 125);
  EXPECT_GT(entries - reopenings, 25);
  EXPECT_GT(reopenings, 125);
  EXPECT_GT(orphans, 125);
  EXPECT_GT(visible_shards, 125);
  EXPECT_GT(upgrades, 125);
  if (running_state) {
    EXPECT_GT(snapshots, 250);
    EXPECT_GT(restores, 125);
    EXPECT_GT(lost_snapshots, 5);
    EXPECT_GT(unseen_stores, 25);
    EXPECT_GT(unseen_snapshots, 25);
  }
}

INSTANTIATE_TEST_SUITE_P(Stateless, JobSimulationTest,
                         ::testing::Combine(::testing::Values(false), ::testing::Range(0, kParts)));
INSTANTIATE_TEST_SUITE_P(RunningState, JobSimulationTest,
                         ::testing::Combine(::testing::Values(true), ::testing::Range(0, kParts)));

}  // namespace
}  // namespace millrace::driver
