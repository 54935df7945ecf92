// The end of a simulated history: the trouble is over, all output must be committed, and it is
// compared with the input.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "driver/coordinator/testing/job_simulation.h"

namespace millrace::driver {

void JobSimulation::Settle() {
  settling_ = true;
  for (auto& [id, executor] : executors_) {
    executor->SetBlind(false);
  }
  if (memory_changes_) {
    world_.largest_batch = INT64_MAX;
  }
  TellEnds();
  for (int round = 0; round < 40'000 && !Settled(); ++round) {
    if (std::all_of(executors_.begin(), executors_.end(),
                    [this](const auto& executor) { return leaving_.contains(executor.first); })) {
      AddExecutor();
    }
    DeliverToExecutor();
    LetZombiesWork();  // they have a finite amount of work
    DeliverToDriver();
    MakeDurable(1);
    FinishStoreWork(1);
    AdvanceTime();
    if (::testing::Test::HasFatalFailure()) {
      return;
    }
  }
  EXPECT_TRUE(Settled()) << "stuck in phase " << state_->phase() << ": " << state_->message();
}

bool JobSimulation::Settled() const {
  return !settling_job_ && state_->LagRecords() == 0 &&
         state_->history().last_committed() == state_->history().last_planned() &&
         state_->Partitions().size() >= kPartitions && volatile_journal_.empty();
}

void JobSimulation::CheckNothingLostOrTwice() {
  std::map<std::string, int64_t> read;
  int64_t last_time = 0;
  int64_t expected = 1;
  for (const auto& [batch, ranges] : world_.planned) {
    ASSERT_EQ(batch, expected++) << "batches have no gaps";
    ASSERT_GT(world_.planned_time[batch], last_time) << "batch time grows";
    last_time = world_.planned_time[batch];
    for (const auto& [partition, range] : ranges) {
      ASSERT_EQ(range.first, read[partition]) << partition << " in batch " << batch;
      ASSERT_GT(range.second, range.first);
      read[partition] = range.second;
    }
  }
  for (const auto& [partition, end] : world_.produced) {
    EXPECT_EQ(read[partition], end) << partition;
  }
  EXPECT_EQ(world_.durable_commits, expected - 1);
  world_.CheckOutput(running_state_);
}

}  // namespace millrace::driver
