// Sessions in a simulated history: what the journal says of them, and whether the driver tells
// executors exactly what is visible.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "driver/coordinator/testing/job_simulation.h"

namespace millrace::driver {

void JobSimulation::NoteOpened(const proto::EpochOpened& opened) {
  ASSERT_TRUE(world_.opened_epochs.insert(opened.epoch()).second);
  ASSERT_TRUE(opened.has_sessions());
  world_.opened[opened.epoch()] = opened.sessions();
  world_.CheckVisible(opened.sessions());
}

// Partitions that enter a running epoch join the session of the member that gets them.
void JobSimulation::NoteEntered(const proto::BatchPlanned& planned) {
  ASSERT_EQ(planned.new_slots_size(), planned.new_partitions_size());
  auto* const slots = world_.opened[planned.epoch()].mutable_partition_slot();
  for (int i = 0; i < planned.new_slots_size(); ++i) {
    const auto ordinal = static_cast<int>(planned.new_partitions(i).ordinal());
    ++entries;
    reopenings += ordinal < slots->size() ? 1 : 0;
    slots->Resize(std::max(slots->size(), ordinal + 1), 0);
    slots->Set(ordinal, planned.new_slots(i) + 1);
  }
}

void JobSimulation::NoteWithdrawn(const proto::BatchesAbandoned& abandoned) {
  ++withdrawals;
  halvings += settling_job_ ? 0 : 1;
  const int64_t first = abandoned.batch();
  for (const SimulatedShard shard : world_.Shards()) {
    ASSERT_TRUE(world_.WritersOf(shard, first).empty())
        << TopicOf(shard) << ": batches from " << first
        << " on are withdrawn although some are out";
  }
  world_.planned.erase(world_.planned.lower_bound(first), world_.planned.end());
}

void JobSimulation::NoteStart(const std::string& member, const proto::StartEpoch& start) {
  epoch_members_.clear();
  prepared_.clear();
  running_batches_.clear();
  suppress_until_ = start.suppress_until();
  restores += start.has_restore() ? 1 : 0;
  std::set<SimulatedShard>& shards = shards_of_[member];
  shards.clear();
  for (const auto& one : start.assignment().members()) {
    epoch_members_.insert(one.executor_id());
  }
  for (int shard = 0; shard < start.assignment().shard_owner_size(); ++shard) {
    const auto owner = static_cast<int>(start.assignment().shard_owner(shard));
    if (start.assignment().members(owner).executor_id() == member) {
      shards.insert({kKeyedSink, static_cast<uint32_t>(shard)});
    }
  }
  for (const proto::PartitionStart& partition : start.assignment().partitions()) {
    shards.insert({kPartitionSink, partition.ordinal()});
  }
}

void JobSimulation::CheckVisible(const std::string& member, const proto::RunBatch& run) {
  for (const proto::PartitionStart& partition : run.new_partitions()) {
    shards_of_[member].insert({kPartitionSink, partition.ordinal()});
  }
  if (run.batch() <= suppress_until_) {
    return;  // writes nothing
  }
  std::map<SimulatedShard, std::string> told;  // terms
  for (const proto::VisibleShards& visible : run.visible()) {
    for (const uint32_t shard : visible.shards()) {
      const SimulatedShard named{visible.sink(), shard};
      ASSERT_TRUE(told.emplace(named, visible.terms()).second) << TopicOf(named) << " twice";
      ASSERT_TRUE(shards_of_[member].contains(named)) << TopicOf(named) << " is another member's";
      ++visible_shards;
    }
  }
  const auto planned = world_.planned.find(run.batch());
  for (const SimulatedShard shard : shards_of_[member]) {
    const std::optional<SimulatedWriter> writer = world_.WriterOf(shard, run.batch());
    // Output of this epoch may be out when the batch is sent again after a reconnection.
    const bool out = writer.has_value() && writer->epoch < run.epoch();
    const bool has_row = planned == world_.planned.end() || world_.HasRow(shard, planned->second);
    if (out) {
      ASSERT_TRUE(told.contains(shard))
          << TopicOf(shard) << ": batch " << run.batch() << " is out, and nobody says so";
      ASSERT_EQ(told[shard], world_.TermsOf(shard, *writer))
          << TopicOf(shard) << ", batch " << run.batch();
    } else if (has_row) {
      ASSERT_FALSE(told.contains(shard))
          << TopicOf(shard) << ": batch " << run.batch() << " is not out";
    }
  }
}

void JobSimulation::CompactMarks() {
  for (int32_t partition = 0; partition < kMarkPartitions; ++partition) {
    world_.kafka.Compact(MarkTopic(partition), [this] { return Pick(2) == 0; });
  }
}

}  // namespace millrace::driver
