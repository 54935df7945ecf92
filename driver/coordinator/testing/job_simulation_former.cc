// Histories that begin with what a version before sessions has left: a journal of its form, output
// of which the last batches are out in some shards only, and writers of its processes that wake
// later.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "driver/coordinator/testing/job_simulation.h"

namespace millrace::driver {
namespace {

constexpr int64_t kEpoch = FormerWriter::kEpoch;

}  // namespace

void JobSimulation::BeginWithFormerVersion() {
  const auto planned = static_cast<int64_t>(1 + Pick(4));
  const int64_t committed = planned - static_cast<int64_t>(Pick(3));
  JournalFormerBatches(planned, std::max<int64_t>(committed, 0));
  WriteFormerOutput(planned, std::max<int64_t>(committed, 0));
  if (Pick(2) == 0) {
    unanswered_ = {1 + Pick(4), RandomFate()};  // the first claims
  }
}

void JobSimulation::JournalFormerBatches(int64_t planned, int64_t committed) {
  const auto append = [this] { return &journal_.emplace_back(); };
  append()->mutable_epoch_started()->set_epoch(kEpoch);
  proto::EpochOpened* const opened = append()->mutable_epoch_opened();
  opened->set_epoch(kEpoch);
  for (const proto::PartitionStart& partition : submitted_.partitions()) {
    world_.ordinals[partition.key().partition()] = partition.ordinal();
  }
  for (const SimulatedShard shard : world_.Shards()) {
    proto::SinkMarker* const marker = opened->add_markers();
    marker->set_sink(shard.sink);
    marker->set_shard(shard.shard);
    marker->set_marker(absl::StrCat("marker of ", TopicOf(shard)));
    world_.former_markers[shard] = marker->marker();
  }
  world_.opened_epochs.insert(kEpoch);
  for (int64_t batch = 1; batch <= planned; ++batch) {
    proto::BatchPlanned* const plan = append()->mutable_batch_planned();
    plan->set_epoch(kEpoch);
    plan->set_batch(batch);
    plan->set_batch_time_us(batch);
    plan->set_parallelism(SimulatedWorld::kShards);
    for (const proto::PartitionStart& partition : submitted_.partitions()) {
      if (partition.ordinal() > 0 && Pick(2) == 0) {
        continue;  // the batch does not read this one
      }
      int64_t& end = world_.produced[partition.key().partition()];
      proto::Split* const split = plan->add_splits();
      *split->mutable_key() = partition.key();
      split->set_ordinal(partition.ordinal());
      split->set_begin(end);
      end += static_cast<int64_t>(1 + Pick(9));
      split->set_end(end);
    }
    NotePlanned(*plan);
  }
  for (int64_t batch = 1; batch <= committed; ++batch) {
    proto::BatchCommittedRecord* const record = append()->mutable_batch_committed();
    record->set_epoch(kEpoch);
    record->set_batch(batch);
    for (const auto& [partition, range] : world_.planned[batch]) {
      proto::SplitReport* const report = record->add_splits();
      report->mutable_key()->set_partition(partition);
      report->set_begin(range.first);
      report->set_end(range.second);
      report->set_records(range.second - range.first);
      report->set_input_hash(SimulatedHashOf(partition, range.first, range.second));
    }
    world_.durable_commits = batch;
  }
}

// Each shard has a writer that has committed the batches up to `committed` or a later one, and a
// writer that wants to commit the rest: it has begun with that, or will begin when it wakes.
void JobSimulation::WriteFormerOutput(int64_t planned, int64_t committed) {
  std::map<SimulatedShard, std::vector<SimulatedRow>> rows;
  std::map<uint32_t, SimulatedState> states;
  for (const auto& [batch, ranges] : world_.planned) {
    if (!running_state_) {
      states.clear();
    }
    for (const auto& [partition, range] : ranges) {
      states[SimulatedShardOf(partition)][partition] = range.second;
      const SimulatedShard lines{kPartitionSink, world_.ordinals[partition]};
      rows[lines].push_back({lines, batch, LinesText(batch, range.first, range.second)});
    }
    for (const SimulatedShard counts : world_.Shards()) {
      if (counts.sink == kKeyedSink && world_.HasRow(counts, ranges)) {
        rows[counts].push_back({counts, batch, CountsText(batch, states[counts.shard])});
      }
    }
  }
  for (const SimulatedShard shard : world_.Shards()) {
    const int64_t out =
        committed + static_cast<int64_t>(Pick(static_cast<uint64_t>(planned - committed) + 1));
    std::vector<SimulatedRow> first = rows[shard];
    std::erase_if(first, [&](const SimulatedRow& row) { return row.batch > out; });
    FormerWriter done(&world_, shard, out, std::move(first));
    while (!done.is_done()) {
      done.Step();
    }
    former_writers_.push_back(
        std::make_unique<FormerWriter>(&world_, shard, planned, std::move(rows[shard])));
    for (uint64_t steps = Pick(8); steps > 0; --steps) {
      former_writers_.back()->Step();
    }
  }
}

void JobSimulation::LetFormerWritersWork() {
  std::erase_if(former_writers_, [](const auto& writer) { return writer->is_done(); });
  if (!former_writers_.empty()) {
    former_writers_[Pick(former_writers_.size())]->Step();
  }
}

}  // namespace millrace::driver
