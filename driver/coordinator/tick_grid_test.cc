#include "driver/coordinator/tick_grid.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace millrace::driver {
namespace {

constexpr int64_t kDurationUs = 100;
constexpr int64_t kStartUs = 1030;

TEST(TickGridTest, AJobWithNothingToDoHasNoTick) {
  TickGrid grid(kDurationUs, 0);
  grid.Start(kStartUs);
  EXPECT_EQ(grid.DueUs(kNeverUs), kNeverUs);
  grid.NoteInput(kStartUs);
  EXPECT_EQ(grid.DueUs(kNeverUs), kStartUs) << "the first tick is the start";
  grid.Planned(kStartUs, /*backlog=*/false, kStartUs);
  EXPECT_EQ(grid.DueUs(kNeverUs), kNeverUs);
  grid.NoteInput(kStartUs + 1);
  grid.Start(5000);
  EXPECT_FALSE(grid.HasInput()) << "the next epoch looks anew";
}

TEST(TickGridTest, InputAndWishesWaitForTheirTick) {
  struct Case {
    std::string name;
    int64_t batch_duration_us;
    std::optional<int64_t> input_us;  // all behind the start
    int64_t wake_us;
    int64_t due_us;
  };
  // The first batch was planned at the start.
  const std::vector<Case> cases = {
      {"input before the next tick", kDurationUs, 10, kNeverUs, 100},
      {"input at a tick", kDurationUs, 200, kNeverUs, 200},
      {"input behind a tick", kDurationUs, 201, kNeverUs, 300},
      {"a wish", kDurationUs, std::nullopt, 555, 600},
      {"an overdue wish", kDurationUs, std::nullopt, -7, 100},
      {"the earlier of both", kDurationUs, 450, 130, 200},
      {"no grid", 0, 10, kNeverUs, 20},
      {"no grid, later input", 0, 33, kNeverUs, 33},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    TickGrid grid(c.batch_duration_us, 20);
    grid.Start(kStartUs);
    grid.Planned(kStartUs, /*backlog=*/false, kStartUs);
    if (c.input_us.has_value()) {
      grid.NoteInput(kStartUs + *c.input_us);
    }
    EXPECT_EQ(grid.DueUs(c.wake_us == kNeverUs ? kNeverUs : kStartUs + c.wake_us),
              kStartUs + c.due_us);
  }
}

TEST(TickGridTest, ABacklogIsPlannedAtOnce) {
  for (const int64_t batch_duration_us : {kDurationUs, int64_t{0}}) {
    TickGrid grid(batch_duration_us, 20);
    grid.Start(kStartUs);
    grid.Planned(kStartUs, /*backlog=*/true, kStartUs + 5);
    EXPECT_TRUE(grid.HasInput());
    EXPECT_EQ(grid.DueUs(kNeverUs), kStartUs + 5);
  }
}

TEST(TickGridTest, MissedTicksAreNotMadeUpFor) {
  TickGrid grid(kDurationUs, 0);
  grid.Start(kStartUs);
  grid.Planned(kStartUs, /*backlog=*/false, kStartUs + 250);
  grid.NoteInput(kStartUs + 250);
  EXPECT_EQ(grid.DueUs(kNeverUs), kStartUs + 300);
}

}  // namespace
}  // namespace millrace::driver
