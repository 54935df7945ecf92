// Every step of the simulated executors and driver × every way to be interrupted at it, each in a
// few short random histories (testing/job_simulation.h).
#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "driver/coordinator/testing/job_simulation.h"

namespace millrace::driver {
namespace {

using Interruption = std::pair<std::string, PlannedInterruption>;

class JobStepTest : public testing::TestWithParam<std::tuple<size_t, Interruption>> {};

TEST_P(JobStepTest, LosesNothing) {
  PlannedInterruption planned = std::get<1>(GetParam()).second;
  planned.step = static_cast<SimulatedStep>(std::get<0>(GetParam()));
  constexpr uint64_t kPatience = 100;  // few histories come to a rare step several times
  constexpr int kInterruptions = kFewHistories ? 1 : 8;
  constexpr uint64_t kEnough = 1000;  // histories, if one of them was interrupted
  constexpr uint64_t kMost = 10'000;
  int interrupted = 0;
  uint64_t last_seed = 0;
  for (uint64_t seed = 1;
       seed <= (interrupted == 0 ? kMost : kEnough) && interrupted < kInterruptions; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    JobSimulation simulation(seed, /*running_state=*/seed % 4 != 0);
    planned.skip = seed - last_seed > kPatience ? 0 : interrupted % 4;
    simulation.InterruptAt(planned);
    simulation.Run(600 * planned.times);
    ASSERT_FALSE(HasFailure());
    if (simulation.interrupted()) {
      ++interrupted;
      last_seed = seed;
    }
  }
  EXPECT_GT(interrupted, 0) << "no history comes to this step";
}

INSTANTIATE_TEST_SUITE_P(
    All, JobStepTest,
    testing::Combine(
        testing::Range<size_t>(0, kSimulatedSteps),
        testing::Values(
            Interruption{"Crash", {.how = SimulatedInterruption::kCrash, .times = 1}},
            Interruption{"CrashTwice", {.how = SimulatedInterruption::kCrash, .times = 2}},
            Interruption{"Hang", {.how = SimulatedInterruption::kHang, .times = 1}},
            Interruption{"HangBeforeANewPlan",
                         {.how = SimulatedInterruption::kHang, .times = 1, .new_plan = true}})),
    [](const auto& info) {
      return SimulatedStepName(static_cast<SimulatedStep>(std::get<0>(info.param))) +
             std::get<1>(info.param).first;
    });

}  // namespace
}  // namespace millrace::driver
