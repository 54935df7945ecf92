// In a program of its own, because it sets the clock of the whole program.
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/base/testing/stepped_clock.h"
#include "common/rpc/rpc.h"
#include "executor/control/driver_link.h"
#include "executor/testing/fake_driver.h"

namespace millrace::executor {
namespace {

constexpr char kId[] = "e";

bool IsHeartbeat(const proto::ExecutorMessage& message) { return message.has_heartbeat(); }

TEST(DriverLinkClockTest, AnExecutorWhoseClockIsSetBackSendsHeartbeats) {
  FakeDriver driver;
  DriverLinkOptions options;
  options.drivers.push_back({driver.address(), CreateChannel(driver.address())});
  options.registration.set_executor_id(kId);
  options.on_registered = [](uint64_t, const proto::Registered&) {};
  options.on_message = [](uint64_t, proto::DriverMessage) {};
  options.heartbeat = [] { return proto::Heartbeat(); };
  options.take_progress = [] { return std::vector<proto::SourceProgress>(); };
  options.on_end = [](const absl::Status&) {};
  DriverLink link(std::move(options));
  link.Start();
  driver.WaitForExecutor(kId);
  ASSERT_TRUE(driver.Wait(kId, &IsHeartbeat).has_value());
  StepWallClock(-absl::Hours(1));
  // The first may have been on its way before the step.
  for (int beat = 0; beat < 5; ++beat) {
    ASSERT_TRUE(driver.Wait(kId, &IsHeartbeat).has_value()) << "after " << beat;
  }
  EXPECT_EQ(driver.Registrations(kId), 1);
}

}  // namespace
}  // namespace millrace::executor
