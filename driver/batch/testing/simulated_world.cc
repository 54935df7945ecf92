#include "driver/batch/testing/simulated_world.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace millrace {
namespace {

// Of what an executor keeps to say again.
constexpr size_t kUnanswered = 80;

}  // namespace

uint32_t SimulatedShardOf(const std::string& partition) {
  return static_cast<uint32_t>(partition.back()) % SimulatedWorld::kShards;
}

uint64_t SimulatedHashOf(const std::string& partition, int64_t begin, int64_t end) {
  uint64_t hash = static_cast<uint64_t>(begin) * 0x9e3779b97f4a7c15ULL ^ static_cast<uint64_t>(end);
  for (const char c : partition) {
    hash = hash * 31 + static_cast<uint64_t>(c);
  }
  return hash;
}

void SimulatedExecutor::Receive(const proto::DriverMessage& message) {
  if (message.has_start_epoch()) {
    if (message.start_epoch().epoch() > epoch_) {
      Start(message.start_epoch());
    }
  } else if (message.has_run_batch() && message.run_batch().epoch() == epoch_) {
    Run(message.run_batch());
  } else if (message.has_commit_batch() && message.commit_batch().epoch() == epoch_) {
    Commit(message.commit_batch().batch());
  } else if (message.has_take_snapshot() && message.take_snapshot().epoch() == epoch_) {
    TakeSnapshot(message.take_snapshot());
  } else if (message.has_stop_epoch() && message.stop_epoch().epoch() == epoch_) {
    unanswered_.clear();
    outbox.clear();
    proto::ExecutorMessage stopped;
    stopped.mutable_epoch_stopped()->set_epoch(epoch_);
    Answer(std::move(stopped));
  }
}

void SimulatedExecutor::Start(const proto::StartEpoch& start) {
  epoch_ = start.epoch();
  suppress_until_ = start.suppress_until();
  next_run_ = start.first_batch();
  committed_through_ = start.suppress_until();
  last_cut_ = start.restore().batch();
  positions_.clear();
  for (const auto& owner : start.assignment().partitions()) {
    positions_[owner.start().key().partition()] = owner.start().offset();
  }
  own_shards_.clear();
  for (int shard = 0; shard < start.assignment().shard_owner_size(); ++shard) {
    const auto owner = static_cast<int>(start.assignment().shard_owner(shard));
    if (start.assignment().members(owner).executor_id() == id_) {
      own_shards_.push_back(static_cast<uint32_t>(shard));
    }
  }
  states_.clear();
  changed_.clear();
  prepared_.clear();
  unanswered_.clear();
  if (!Restore(start)) {
    return;
  }
  proto::ExecutorMessage ready;
  ready.mutable_epoch_ready()->set_epoch(epoch_);
  Claim(ready.mutable_epoch_ready());
  if (ready.epoch_ready().markers_size() == static_cast<int>(own_shards_.size())) {
    Answer(std::move(ready));
  }
}

bool SimulatedExecutor::Restore(const proto::StartEpoch& start) {
  for (const proto::SnapshotLayer& layer : start.restore().layers()) {
    for (const proto::SnapshotFile& file : layer.files()) {
      const auto found = world_.store.find(file.name());
      if (found == world_.store.end()) {
        GiveUp(absl::StrCat(file.name(), " is gone"), /*restore_failed=*/true);
        return false;
      }
      for (const auto& [shard, state] : found->second) {
        states_[shard] = state;
      }
    }
  }
  std::erase_if(states_, [this](const auto& entry) {
    return std::find(own_shards_.begin(), own_shards_.end(), entry.first) == own_shards_.end();
  });
  return true;
}

void SimulatedExecutor::Claim(proto::EpochReady* ready) {
  for (const uint32_t shard : own_shards_) {
    SimulatedSinkShard& sink = world_.sink[shard];
    tokens_[shard] = sink.owner_token = world_.next_token++;
    if (sink.marker_epoch > epoch_) {
      GiveUp("a higher epoch has claimed the shard", /*restore_failed=*/false);
      return;
    }
    sink.marker_epoch = epoch_;
    proto::SinkMarker* marker = ready->add_markers();
    marker->set_shard(shard);
    marker->set_batch(sink.marker_batch);
    marker->set_marker(absl::StrCat(epoch_, ":", sink.marker_batch));
  }
}

void SimulatedExecutor::Run(const proto::RunBatch& run) {
  if (run.batch() < next_run_) {
    return;  // sent again after a reconnection
  }
  ASSERT_EQ(run.batch(), next_run_) << "batches come in order";
  ++next_run_;
  for (const proto::PartitionStart& found : run.new_partitions()) {
    positions_[found.key().partition()] = found.offset();
  }
  proto::ExecutorMessage message;
  proto::BatchPrepared* prepared = message.mutable_batch_prepared();
  prepared->set_epoch(epoch_);
  prepared->set_batch(run.batch());
  for (const proto::Split& split : run.splits()) {
    const std::string& name = split.key().partition();
    ASSERT_TRUE(positions_.contains(name)) << name << " was never introduced to " << id_;
    ASSERT_EQ(split.begin(), positions_[name]) << "ranges of a partition are contiguous";
    positions_[name] = split.end();
    proto::SplitReport* report = prepared->add_splits();
    *report->mutable_key() = split.key();
    report->set_records(split.end() - split.begin());
    report->set_input_hash(SimulatedHashOf(name, split.begin(), split.end()));
  }
  Count(run);
  Answer(std::move(message));
}

void SimulatedExecutor::Count(const proto::RunBatch& run) {
  if (!keeps_state_) {
    states_.clear();
  }
  for (const auto& [partition, range] : world_.sent[{epoch_, run.batch()}]) {
    const uint32_t shard = SimulatedShardOf(partition);
    if (std::find(own_shards_.begin(), own_shards_.end(), shard) == own_shards_.end()) {
      continue;
    }
    int64_t& counted = states_[shard][partition];
    if (keeps_state_) {
      ASSERT_EQ(counted, range.first) << partition << " in batch " << run.batch() << " on shard "
                                      << shard << " of " << id_ << ": state was lost or is too new";
    }
    counted = range.second;
    changed_.insert(shard);
  }
  for (const uint32_t shard : own_shards_) {
    prepared_[run.batch()][shard] = states_[shard];
  }
}

void SimulatedExecutor::Commit(int64_t through) {
  if (through > committed_through_) {
    ASSERT_LT(through, next_run_) << "committed before it was run";
    ASSERT_GT(through, suppress_until_) << "suppressed batches are never committed";
    ASSERT_TRUE(world_.opened_epochs.contains(epoch_))
        << "epoch " << epoch_ << " commits before its claims are durable";
    for (int64_t batch = committed_through_ + 1; batch <= through; ++batch) {
      ASSERT_TRUE(world_.planned.contains(batch))
          << "batch " << batch << " commits before its plan is durable";
    }
  }
  for (const uint32_t shard : own_shards_) {
    if (shards_until_death_ == 0) {
      dead_ = true;
      return;
    }
    --shards_until_death_;
    SimulatedSinkShard& sink = world_.sink[shard];
    if (sink.owner_token != tokens_[shard]) {
      GiveUp("fenced", /*restore_failed=*/false);
      return;
    }
    for (int64_t batch = std::max(sink.marker_batch, committed_through_) + 1; batch <= through;
         ++batch) {
      const bool first = sink.output.emplace(batch, prepared_[batch][shard]).second;
      ASSERT_TRUE(first) << "batch " << batch << " of shard " << shard << " is out twice";
    }
    sink.marker_batch = std::max(sink.marker_batch, through);
  }
  committed_through_ = std::max(committed_through_, through);
  proto::ExecutorMessage message;
  message.mutable_batch_committed()->set_epoch(epoch_);
  message.mutable_batch_committed()->set_batch(through);
  for (const uint32_t shard : own_shards_) {
    proto::SinkMarker* marker = message.mutable_batch_committed()->add_markers();
    marker->set_shard(shard);
    marker->set_batch(through);
    marker->set_marker(absl::StrCat(epoch_, ":", through));
  }
  Answer(std::move(message));
}

void SimulatedExecutor::TakeSnapshot(const proto::TakeSnapshot& take) {
  if (take.batch() <= last_cut_) {
    return;  // sent again after a reconnection
  }
  last_cut_ = take.batch();
  ASSERT_EQ(take.batch(), next_run_ - 1) << "a cut that is not between two batches";
  proto::ExecutorMessage message;
  proto::SnapshotWritten* written = message.mutable_snapshot_written();
  written->set_epoch(epoch_);
  written->set_batch(take.batch());
  if (fail_snapshot_) {
    fail_snapshot_ = false;
    written->set_error("no space left");
  } else {
    const std::string name = absl::StrCat("e", epoch_, "-b", take.batch(), "-", id_);
    std::map<uint32_t, SimulatedState> file;
    for (const uint32_t shard : own_shards_) {
      if (take.full() || changed_.contains(shard)) {
        file[shard] = states_[shard];
      }
    }
    world_.store[name] = file;
    written->mutable_file()->set_name(name);
    written->mutable_file()->set_bytes(file.size());
  }
  changed_.clear();  // also where it failed: the driver must ask for a full one
  Answer(std::move(message));
}

void SimulatedExecutor::Fail() { GiveUp("simulated", /*restore_failed=*/false); }

void SimulatedExecutor::GiveUp(const std::string& why, bool restore_failed) {
  proto::ExecutorMessage message;
  proto::EpochFailed* failed = message.mutable_epoch_failed();
  failed->set_epoch(epoch_);
  failed->set_message(why);
  failed->set_code(static_cast<int32_t>(absl::StatusCode::kAborted));
  failed->set_retryable(!restore_failed);
  failed->set_restore_failed(restore_failed);
  outbox.push_back(std::move(message));
}

void SimulatedExecutor::Reconnect() { outbox.assign(unanswered_.begin(), unanswered_.end()); }

void SimulatedExecutor::Answer(proto::ExecutorMessage message) {
  outbox.push_back(message);
  unanswered_.push_back(std::move(message));
  if (unanswered_.size() > kUnanswered) {
    unanswered_.pop_front();
  }
}

}  // namespace millrace
