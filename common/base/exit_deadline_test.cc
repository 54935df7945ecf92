#include "common/base/exit_deadline.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "absl/synchronization/notification.h"

namespace millrace {
namespace {

class ExitDeadlineTest : public ::testing::Test {
 protected:
  ExitDeadlineTest() { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

TEST_F(ExitDeadlineTest, EndsAProcessThatWaitsForWhatNeverComes) {
  EXPECT_EXIT(
      {
        std::fputs("said before", stderr);
        const ExitDeadline deadline(absl::Milliseconds(10), 3);
        absl::Notification never;
        never.WaitForNotification();
      },
      testing::ExitedWithCode(3), "said before");
}

TEST_F(ExitDeadlineTest, AProcessThatGetsThereGoesOn) {
  EXPECT_EXIT(
      {
        {
          const ExitDeadline deadline(absl::Hours(1), 3);
        }
        std::_Exit(0);
      },
      testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace millrace
