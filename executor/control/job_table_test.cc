#include "executor/control/job_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "executor/epoch/job_epoch.h"
#include "proto/cluster.pb.h"

namespace millrace::executor {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int64_t kStops = 1100;  // more than the table remembers

// Keeps what is sent to the driver.
class KeptMessages : public DriverSink {
 public:
  void Send(uint64_t /*session*/, std::shared_ptr<const proto::ExecutorMessage> message) override {
    sent.push_back(std::move(message));
  }
  void WaitForRoom() override {}
  void ProgressChanged() override {}

  std::vector<std::shared_ptr<const proto::ExecutorMessage>> sent;
};

class JobTableTest : public ::testing::Test {
 protected:
  void Stop(const std::string& job, int64_t epoch) {
    proto::DriverMessage message;
    message.mutable_stop_epoch()->set_job_id(job);
    message.mutable_stop_epoch()->set_epoch(epoch);
    table_.OnMessage(/*session=*/1, message);
  }
  // Starts an epoch without members, which the table refuses unless it knows that it is over.
  void Start(const std::string& job, int64_t epoch) {
    proto::DriverMessage message;
    message.mutable_start_epoch()->set_job_id(job);
    message.mutable_start_epoch()->set_epoch(epoch);
    table_.OnMessage(/*session=*/1, message);
  }

  JobRuntime runtime_;
  KeptMessages driver_;
  JobTable table_{&runtime_, &driver_};
};

TEST_F(JobTableTest, EpochThatWasJustStoppedIsRememberedHoweverManyCameBeforeIt) {
  for (int64_t epoch = 1; epoch <= kStops; ++epoch) {
    Stop("job", epoch);
  }
  driver_.sent.clear();
  Start("job", kStops);
  EXPECT_THAT(driver_.sent, IsEmpty());
}

TEST_F(JobTableTest, StopThatIsAskedForAgainAndAgainPushesNoOtherJobOut) {
  Stop("other", 5);
  for (int64_t time = 1; time <= kStops; ++time) {
    Stop("job", 1);
  }
  EXPECT_THAT(driver_.sent, SizeIs(kStops + 1)) << "each is answered";
  driver_.sent.clear();
  Start("other", 5);
  Start("job", 1);
  EXPECT_THAT(driver_.sent, IsEmpty());
}

TEST_F(JobTableTest, OldestJobsAreForgotten) {
  for (int64_t job = 1; job <= kStops; ++job) {
    Stop(std::to_string(job), 1);
  }
  driver_.sent.clear();
  Start(std::to_string(kStops), 1);
  EXPECT_THAT(driver_.sent, IsEmpty());
  Start("1", 1);
  ASSERT_THAT(driver_.sent, SizeIs(1));
  EXPECT_TRUE(driver_.sent[0]->has_epoch_failed());
}

}  // namespace
}  // namespace millrace::executor
