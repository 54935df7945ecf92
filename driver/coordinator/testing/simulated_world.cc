#include "driver/coordinator/testing/simulated_world.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace millrace::driver {
namespace {

// How many unanswered messages an executor keeps to send again.
constexpr size_t kUnanswered = 80;

constexpr absl::Duration kTransactionTimeout = absl::Minutes(1);

std::string NameOf(uint32_t shard) { return absl::StrCat("shard-", shard); }

// A record of the output: the state after a batch.
std::string Text(int64_t batch, const SimulatedState& state) {
  std::string text = absl::StrCat(batch);
  for (const auto& [partition, counted] : state) {
    absl::StrAppend(&text, " ", partition, "=", counted);
  }
  return text;
}

// "epoch:batch"
struct Marker {
  int64_t epoch = 0;
  int64_t batch = 0;
  friend auto operator<=>(const Marker&, const Marker&) = default;
};
// Each epoch has its own partition: a zombie may discard an offset that another producer has set
// for the same one (TransactionalLog).
int32_t PartitionOf(int64_t epoch) { return static_cast<int32_t>(epoch); }

std::string Text(const Marker& marker) { return absl::StrCat(marker.epoch, ":", marker.batch); }
Marker Parse(const std::string& text) {
  Marker marker;
  const size_t colon = text.find(':');
  EXPECT_TRUE(absl::SimpleAtoi(text.substr(0, colon), &marker.epoch) &&
              absl::SimpleAtoi(text.substr(colon + 1), &marker.batch))
      << text;
  return marker;
}
Marker Last(const std::map<int32_t, std::string>& by_partition) {
  Marker last;
  for (const auto& [partition, text] : by_partition) {
    last = std::max(last, Parse(text));
  }
  return last;
}

}  // namespace

std::string SimulatedStepName(SimulatedStep step) {
  static constexpr const char* kNames[] = {
      "Restored",
      "Initialized",
      "MarkerRead",
      "ClaimSent",
      "Claimed",
      "BatchRun",
      "RowsLeft",
      "CommitTold",
      "Produced",
      "LastMarkerSeen",
      "MarkerSent",
      "ClaimInDoubt",
      "CommitInDoubt",
      "Committed",
      "SnapshotCut",
      "SnapshotWritten",
      "BeforeEpochStarted",
      "EpochStarted",
      "BeforeEpochOpened",
      "EpochOpened",
      "BeforeBatchPlanned",
      "BatchPlanned",
      "BeforeBatchCommitted",
      "BatchCommitted",
      "BeforeSnapshotCompleted",
      "SnapshotCompleted",
      "BeforeSnapshotDropped",
      "SnapshotDropped",
      "BeforeBatchesAbandoned",
      "BatchesAbandoned",
      "BeforeJobEnded",
      "JobEnded",
  };
  static_assert(std::size(kNames) == kSimulatedSteps);
  return kNames[static_cast<size_t>(step)];
}

int64_t SimulatedWorld::MarkerBatch(uint32_t shard) const {
  return Last(kafka.CommittedOffsets(NameOf(shard))).batch;
}

void SimulatedWorld::CheckOutput(bool running_state) {
  std::map<uint32_t, SimulatedState> states;
  std::map<uint32_t, std::vector<std::string>> expected;
  for (const auto& [batch, ranges] : planned) {
    if (!running_state) {
      states.clear();
    }
    for (const auto& [partition, range] : ranges) {
      states[SimulatedShardOf(partition)][partition] = range.second;
    }
    for (uint32_t shard = 0; shard < kShards; ++shard) {
      expected[shard].push_back(Text(batch, states[shard]));
    }
  }
  for (uint32_t shard = 0; shard < kShards; ++shard) {
    const auto output = kafka.ReadCommitted(NameOf(shard));
    ASSERT_TRUE(output.ok()) << output.status();
    ASSERT_EQ(*output, expected[shard]) << NameOf(shard) << ": batches are lost, twice or wrong";
  }
}

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

void SimulatedExecutor::Step() {
  if (!work_.empty()) {
    const Work work = std::move(work_.front());
    work_.pop_front();
    work();
  } else if (!inbox.empty()) {
    const proto::DriverMessage message = std::move(inbox.front());
    inbox.pop_front();
    Receive(message);
  }
}

void SimulatedExecutor::Reached(SimulatedStep step) {
  if (gave_up_) {
    return;
  }
  interruption_ = world_.interrupt(step);
  if (steps_until_death_ >= 0 && steps_until_death_-- == 0) {
    interruption_ = SimulatedInterruption::kCrash;
  }
}

void SimulatedExecutor::DoNext(std::vector<Work> work) {
  work_.insert(work_.begin(), work.begin(), work.end());
}

void SimulatedExecutor::Receive(const proto::DriverMessage& message) {
  if (message.has_start_epoch()) {
    if (message.start_epoch().epoch() > epoch_) {
      Start(message.start_epoch());
    }
  } else if (gave_up_) {
    return;
  } else if (message.has_run_batch() && message.run_batch().epoch() == epoch_) {
    Run(message.run_batch());
  } else if (message.has_commit_batch() && message.commit_batch().epoch() == epoch_) {
    Commit(message.commit_batch());
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
  gave_up_ = false;
  suppress_until_ = start.suppress_until();
  next_run_ = start.first_batch();
  committed_through_ = start.suppress_until();
  last_cut_ = start.restore().batch();
  positions_.clear();
  for (const proto::PartitionStart& partition : start.assignment().partitions()) {
    if (!partition.sinks_only()) {
      positions_[partition.key().partition()] = partition.offset();
    }
  }
  own_shards_.clear();
  for (int shard = 0; shard < start.assignment().shard_owner_size(); ++shard) {
    const auto owner = static_cast<int>(start.assignment().shard_owner(shard));
    if (start.assignment().members(owner).executor_id() == id_) {
      own_shards_.push_back(static_cast<uint32_t>(shard));
    }
  }
  shards_.clear();
  states_.clear();
  changed_.clear();
  prepared_.clear();
  unanswered_.clear();
  if (!FindMark(start) || !Restore(start)) {
    return;
  }
  Reached(SimulatedStep::kRestored);
  for (const uint32_t shard : own_shards_) {
    work_.push_back([this, shard] { Claim(shard); });
  }
  work_.push_back([this, mark = start.store_mark()] {
    proto::ExecutorMessage ready;
    ready.mutable_epoch_ready()->set_epoch(epoch_);
    if (!mark.empty()) {
      ready.mutable_epoch_ready()->set_store_mark_nonce(world_.marks[mark]);
      proto::StoreMark* answer = ready.mutable_epoch_ready()->mutable_store_answer();
      answer->set_name(absl::StrCat(mark, "-", id_));
      answer->set_nonce(id_);
      // The store may have gone since the executor read the mark.
      (blind_ ? own_marks_ : world_.marks)[answer->name()] = answer->nonce();
    }
    for (const uint32_t shard : own_shards_) {
      *ready.mutable_epoch_ready()->add_markers() = MarkerOf(shard);
    }
    Answer(std::move(ready));
  });
}

bool SimulatedExecutor::FindMark(const proto::StartEpoch& start) {
  const bool found = !blind_ && world_.marks.contains(start.store_mark());
  if (!found && !start.store_mark().empty()) {
    GiveUp("the driver's mark is not there", Fault::kStore);
    return false;
  }
  return true;
}

bool SimulatedExecutor::Restore(const proto::StartEpoch& start) {
  for (const proto::SnapshotLayer& layer : start.restore().layers()) {
    for (const proto::SnapshotFile& file : layer.files()) {
      const auto found = world_.store.find(file.name());
      if (found == world_.store.end() || world_.unreadable(file.name())) {
        GiveUp(absl::StrCat(file.name(), " is gone"), Fault::kRestore);
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

void SimulatedExecutor::Claim(uint32_t shard) {
  DoNext({[=, this] { Init(shard); }, [=, this] { ReadMarker(shard); },
          [=, this] {
            const absl::Status begun = shards_[shard].producer->Begin();
            ASSERT_TRUE(begun.ok()) << begun;
            SendMarker(shard, shards_[shard].out);
            Reached(SimulatedStep::kClaimSent);
          },
          [=, this] { EndTransaction(shard, shards_[shard].out, [=, this] { Claim(shard); }); }});
}

void SimulatedExecutor::Init(uint32_t shard) {
  shards_[shard].producer = world_.kafka.NewProducer(NameOf(shard), kTransactionTimeout);
  const absl::Status status = shards_[shard].producer->Init();
  ASSERT_TRUE(status.ok()) << status;
  Reached(SimulatedStep::kInitialized);
}

// The batch of the shard's last marker; nothing if the executor gives up.
std::optional<int64_t> SimulatedExecutor::LastMarker(uint32_t shard) {
  const auto found = world_.kafka.ReadOffsets(NameOf(shard));
  if (!found.ok()) {
    // Another executor has taken the shard meanwhile, and writes to it.
    GiveUp(std::string(found.status().message()));
    return std::nullopt;
  }
  const Marker last = Last(*found);
  if (last.epoch > epoch_) {
    GiveUp("a higher epoch has claimed the shard");
    return std::nullopt;
  }
  return last.batch;
}

void SimulatedExecutor::ReadMarker(uint32_t shard) {
  if (const std::optional<int64_t> batch = LastMarker(shard); batch.has_value()) {
    ASSERT_GE(*batch, suppress_until_) << "the journal knows a later batch to be out";
    shards_[shard].out = *batch;
    Reached(SimulatedStep::kMarkerRead);
  }
}

void SimulatedExecutor::AwaitMarker(uint32_t shard) {
  if (LastMarker(shard).has_value()) {
    Reached(SimulatedStep::kLastMarkerSeen);
  }
}

void SimulatedExecutor::SendMarker(uint32_t shard, int64_t batch) {
  const absl::Status sent = shards_[shard].producer->SendOffset(
      {NameOf(shard), PartitionOf(epoch_)}, Text(Marker{epoch_, batch}));
  if (!sent.ok()) {
    GiveUp("fenced");
  }
}

// Commits the transaction. If the answer is lost, the next Init finds the outcome by the marker.
void SimulatedExecutor::EndTransaction(uint32_t shard, int64_t through, const Work& again) {
  const bool claims = through == shards_[shard].out;
  if (const std::optional<TransactionalLog::Fate> fate = world_.lose_answer(); fate.has_value()) {
    shards_[shard].producer->LoseAnswerOfCommit(*fate);
  }
  const auto before = world_.kafka.CommittedOffsets(NameOf(shard));
  const absl::Status status = shards_[shard].producer->Commit();
  int64_t& claimed_by = world_.claimed_by[shard];
  ASSERT_TRUE(epoch_ >= claimed_by || world_.kafka.CommittedOffsets(NameOf(shard)) == before)
      << NameOf(shard) << ": " << id_ << " has written although epoch " << claimed_by
      << " has claimed it";
  if (absl::IsUnavailable(status)) {
    DoNext({again});
    Reached(claims ? SimulatedStep::kClaimInDoubt : SimulatedStep::kCommitInDoubt);
  } else if (!status.ok()) {
    GiveUp("fenced");
  } else {
    const auto markers = world_.kafka.CommittedOffsets(NameOf(shard));
    ASSERT_EQ(Last(markers), (Marker{epoch_, through}))
        << NameOf(shard) << ": output without marker";
    shards_[shard].out = through;
    claimed_by = epoch_;
    Reached(claims ? SimulatedStep::kClaimed : SimulatedStep::kCommitted);
  }
}

proto::SinkMarker SimulatedExecutor::MarkerOf(uint32_t shard) const {
  const int64_t batch = shards_.at(shard).out;
  proto::SinkMarker marker;
  marker.set_shard(shard);
  marker.set_batch(batch);
  marker.set_marker(Text(Marker{epoch_, batch}));
  return marker;
}

void SimulatedExecutor::Run(const proto::RunBatch& run) {
  if (run.batch() < next_run_) {
    return;  // sent again after a reconnection
  }
  ASSERT_EQ(run.batch(), next_run_) << "batches come in order";
  if (IsTooLarge(run)) {
    proto::EpochFailed failed;
    failed.set_batch(run.batch());
    failed.set_code(static_cast<int32_t>(absl::StatusCode::kResourceExhausted));
    failed.set_kind(proto::FAILURE_TOO_LARGE);
    GiveUp(std::move(failed));
    return;
  }
  ++next_run_;
  for (const proto::PartitionKey& retired : run.retired_partitions()) {
    positions_.erase(retired.partition());
  }
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
  Reached(SimulatedStep::kBatchRun);
  for (const uint32_t shard : own_shards_) {
    // Some batches are large, in some of the epochs that run them.
    if ((epoch_ + run.batch() + shard) % 3 == 0 && run.batch() > suppress_until_) {
      work_.push_back([this, shard, batch = run.batch()] { LetRowsLeave(shard, batch); });
    }
  }
  work_.push_back([this, message] { Answer(message); });
}

// In the simulation, only output takes memory.
bool SimulatedExecutor::IsTooLarge(const proto::RunBatch& run) const {
  int64_t offsets = 0;
  for (const auto& [partition, range] : world_.sent[{epoch_, run.batch()}]) {
    offsets += range.second - range.first;
  }
  return run.batch() > suppress_until_ && offsets > world_.largest_batch;
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

void SimulatedExecutor::Commit(const proto::CommitBatch& commit) {
  const int64_t through = commit.batch();
  if (through > committed_through_) {
    ASSERT_LT(through, next_run_) << "committed before it was run";
    ASSERT_GT(through, suppress_until_) << "suppressed batches are never committed";
    ASSERT_TRUE(world_.opened_epochs.contains(epoch_))
        << "epoch " << epoch_ << " commits before its claims are durable";
    for (int64_t batch = committed_through_ + 1; batch <= through; ++batch) {
      ASSERT_TRUE(world_.ever_planned.contains(batch))
          << "batch " << batch << " commits before its plan is durable";
    }
  }
  Reached(SimulatedStep::kCommitTold);
  for (const uint32_t shard : own_shards_) {
    work_.push_back([=, this] { CommitShard(shard, through); });
  }
  work_.push_back([=, this] {
    committed_through_ = std::max(committed_through_, through);
    proto::ExecutorMessage message;
    message.mutable_batch_committed()->set_epoch(epoch_);
    message.mutable_batch_committed()->set_batch(through);
    for (const uint32_t shard : own_shards_) {
      *message.mutable_batch_committed()->add_markers() = MarkerOf(shard);
    }
    Answer(std::move(message));
  });
}

void SimulatedExecutor::CommitShard(uint32_t shard, int64_t through) {
  if (through <= shards_[shard].out) {
    return;
  }
  if (!prepared_[shards_[shard].out + 1].contains(shard) && shards_[shard].left == 0) {
    GiveUp("rows were in a transaction that is not out, and nowhere else");
    return;
  }
  DoNext({[=, this] { Produce(shard, through); }, [=, this] { AwaitMarker(shard); },
          [=, this] {
            SendMarker(shard, through);
            Reached(SimulatedStep::kMarkerSent);
          },
          [=, this] {
            EndTransaction(shard, through, [=, this] {
              DoNext({[=, this] { Init(shard); }, [=, this] { ReadMarker(shard); },
                      [=, this] { CommitShard(shard, through); }});
            });
          }});
}

// Only rows of the first batch that is not committed may leave; those of later ones are held.
void SimulatedExecutor::LetRowsLeave(uint32_t shard, int64_t batch) {
  if (shards_[shard].out != batch - 1) {
    return;
  }
  absl::Status status = shards_[shard].producer->Begin();
  ASSERT_TRUE(status.ok()) << status;
  status = shards_[shard].producer->Produce(NameOf(shard), Text(batch, prepared_[batch][shard]));
  ASSERT_TRUE(status.ok()) << status;
  prepared_[batch].erase(shard);
  shards_[shard].left = batch;
  Reached(SimulatedStep::kRowsLeft);
}

void SimulatedExecutor::Produce(uint32_t shard, int64_t through) {
  TransactionalLog::Producer& producer = *shards_[shard].producer;
  const int64_t left = std::exchange(shards_[shard].left, 0);
  absl::Status status = left > 0 ? absl::OkStatus() : producer.Begin();
  ASSERT_TRUE(status.ok()) << status;
  for (int64_t batch = std::max(shards_[shard].out, left) + 1; batch <= through; ++batch) {
    status = producer.Produce(NameOf(shard), Text(batch, prepared_[batch][shard]));
    ASSERT_TRUE(status.ok()) << status;
  }
  Reached(SimulatedStep::kProduced);
}

void SimulatedExecutor::TakeSnapshot(const proto::TakeSnapshot& take) {
  if (take.batch() <= last_cut_) {
    return;  // sent again after a reconnection
  }
  last_cut_ = take.batch();
  ASSERT_EQ(take.batch(), next_run_ - 1) << "a cut that is not between two batches";
  const std::string name = absl::StrCat("e", epoch_, "-b", take.batch(), "-", id_);
  proto::ExecutorMessage message;
  proto::SnapshotWritten* written = message.mutable_snapshot_written();
  written->set_epoch(epoch_);
  written->set_batch(take.batch());
  std::map<uint32_t, SimulatedState> file;
  if (std::exchange(fail_snapshot_, false)) {
    written->set_error("no space left");
  } else {
    for (const uint32_t shard : own_shards_) {
      if (take.full() || changed_.contains(shard)) {
        file[shard] = states_[shard];
      }
    }
    written->mutable_file()->set_name(name);
    written->mutable_file()->set_bytes(file.size());
  }
  changed_.clear();  // also when the cut fails: the driver must then ask for a full snapshot
  Reached(SimulatedStep::kSnapshotCut);
  work_.push_back([this, message, file] {
    if (message.snapshot_written().has_file() && !blind_) {
      world_.store[message.snapshot_written().file().name()] = file;
    }
    Reached(SimulatedStep::kSnapshotWritten);
  });
  work_.push_back([this, message] { Answer(message); });
}

void SimulatedExecutor::Fail() { GiveUp("simulated"); }

void SimulatedExecutor::GiveUp(const std::string& why, Fault fault) {
  proto::EpochFailed failed;
  failed.set_message(why);
  failed.set_code(static_cast<int32_t>(absl::StatusCode::kAborted));
  failed.set_retryable(fault != Fault::kRestore);
  failed.set_restore_failed(fault == Fault::kRestore);
  failed.set_store_unseen(fault == Fault::kStore);
  GiveUp(std::move(failed));
}

void SimulatedExecutor::GiveUp(proto::EpochFailed failed) {
  proto::ExecutorMessage message;
  failed.set_epoch(epoch_);
  *message.mutable_epoch_failed() = std::move(failed);
  Answer(std::move(message));
  gave_up_ = true;
  work_.clear();
}

void SimulatedExecutor::Reconnect() { outbox.assign(unanswered_.begin(), unanswered_.end()); }

void SimulatedExecutor::Answer(proto::ExecutorMessage message) {
  outbox.push_back(message);
  unanswered_.push_back(std::move(message));
  if (unanswered_.size() > kUnanswered) {
    unanswered_.pop_front();
  }
}

}  // namespace millrace::driver
