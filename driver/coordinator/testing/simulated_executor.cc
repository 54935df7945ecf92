#include "driver/coordinator/testing/simulated_executor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace millrace::driver {
namespace {

// How many unanswered messages an executor keeps to send again.
constexpr size_t kUnanswered = 80;

}  // namespace

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

// ---- The beginning of an epoch ----

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
  states_.clear();
  changed_.clear();
  prepared_.clear();
  unanswered_.clear();
  TakePlaces(start);
  if (!FindMark(start)) {
    return;
  }
  // Claims come first, since readers wait for them.
  work_.push_back([this] { StepFormerClaims(); });
  work_.push_back([this] { StepSessions(); });
  work_.push_back([this, start] { Restore(start); });
  work_.push_back([this, mark = start.store_mark()] { BecomeReady(mark); });
}

void SimulatedExecutor::TakePlaces(const proto::StartEpoch& start) {
  const proto::Assignment& assignment = start.assignment();
  const auto self =
      std::find_if(assignment.members().begin(), assignment.members().end(),
                   [this](const auto& member) { return member.executor_id() == id_; });
  ASSERT_NE(self, assignment.members().end()) << id_ << " is told of an epoch of others";
  slot_ = static_cast<uint32_t>(self - assignment.members().begin());
  own_shards_.clear();
  for (int shard = 0; shard < assignment.shard_owner_size(); ++shard) {
    if (assignment.shard_owner(shard) == slot_) {
      own_shards_.insert(static_cast<uint32_t>(shard));
    }
  }
  group_of_.clear();
  std::set<SimulatedPlace> own;
  for (const proto::SinkGroup& group : start.groups()) {
    own.insert({group.sinks(0), slot_});
    for (const uint32_t sink : group.sinks()) {
      group_of_[sink] = group.sinks(0);
    }
  }
  ASSERT_EQ(group_of_.size(), static_cast<size_t>(start.plan().sinks_size()));
  former_claims_.clear();
  for (const proto::SinkMarker& former : start.former_shards()) {
    former_claims_.emplace_back(&world_, epoch_, SimulatedShard{former.sink(), former.shard()});
  }
  sessions_.clear();
  last_step_ = {};
  for (const proto::SessionMark& known : start.sessions()) {
    const SimulatedPlace place{known.group(), known.slot()};
    const bool orphan = !own.contains(place);
    ASSERT_TRUE(
        sessions_.try_emplace(place, &world_, epoch_, known, orphan, suppress_until_).second)
        << Text(place) << " is claimed twice";
  }
  for (const SimulatedPlace place : own) {
    ASSERT_TRUE(sessions_.contains(place)) << Text(place) << " is not claimed";
  }
}

bool SimulatedExecutor::FindMark(const proto::StartEpoch& start) {
  const bool found = !blind_ && world_.marks.contains(start.store_mark());
  if (!found && !start.store_mark().empty()) {
    GiveUp("the driver's mark is not there", Fault::kStore);
    return false;
  }
  return true;
}

void SimulatedExecutor::Restore(const proto::StartEpoch& start) {
  for (const proto::SnapshotLayer& layer : start.restore().layers()) {
    for (const proto::SnapshotFile& file : layer.files()) {
      const auto found = world_.store.find(file.name());
      if (found == world_.store.end() || world_.unreadable(file.name())) {
        GiveUp(absl::StrCat(file.name(), " is gone"), Fault::kRestore);
        return;
      }
      for (const auto& [shard, state] : found->second) {
        states_[shard] = state;
      }
    }
  }
  std::erase_if(states_, [this](const auto& entry) { return !own_shards_.contains(entry.first); });
  Reached(SimulatedStep::kRestored);
}

void SimulatedExecutor::BecomeReady(const std::string& store_mark) {
  proto::ExecutorMessage message;
  proto::EpochReady* ready = message.mutable_epoch_ready();
  ready->set_epoch(epoch_);
  if (!store_mark.empty()) {
    ready->set_store_mark_nonce(world_.marks[store_mark]);
    proto::StoreMark* answer = ready->mutable_store_answer();
    answer->set_name(absl::StrCat(store_mark, "-", id_));
    answer->set_nonce(id_);
    // The store may have gone since the executor read the mark.
    (blind_ ? own_marks_ : world_.marks)[answer->name()] = answer->nonce();
  }
  for (const auto& [place, session] : sessions_) {
    proto::SessionMark* found = ready->add_sessions();
    *found = session.mark();
    for (const auto& [sink, group] : group_of_) {
      if (!session.is_orphan() && group == place.group) {
        proto::SinkTerms* terms = found->add_terms();
        terms->set_sink(sink);
        terms->set_terms(SimulatedTerms(epoch_, sink));
      }
    }
  }
  for (const FormerClaim& claim : former_claims_) {
    proto::SinkMarker* former = ready->add_former_shards();
    former->set_sink(claim.shard().sink);
    former->set_shard(claim.shard().shard);
    former->set_batch(claim.batch());
  }
  Answer(std::move(message));
}

// ---- Claims and commits ----

void SimulatedExecutor::StepFormerClaims() {
  const auto next = std::find_if(former_claims_.begin(), former_claims_.end(),
                                 [](const FormerClaim& claim) { return !claim.is_done(); });
  if (next != former_claims_.end()) {
    DoNext([this] { StepFormerClaims(); });
    Take(next->Step());
  }
}

void SimulatedExecutor::StepSessions() {
  const auto is_at_work = [](const auto& entry) { return entry.second.is_at_work(); };
  auto next = std::find_if(sessions_.upper_bound(last_step_), sessions_.end(), is_at_work);
  if (next == sessions_.end()) {
    next = std::find_if(sessions_.begin(), sessions_.end(), is_at_work);
  }
  if (next == sessions_.end()) {
    return;
  }
  last_step_ = next->first;
  DoNext([this] { StepSessions(); });
  Take(next->second.Step());
}

void SimulatedExecutor::Take(const absl::StatusOr<SimulatedStep>& step) {
  if (!step.ok()) {
    GiveUp(std::string(step.status().message()));
    return;
  }
  const bool waits = *step == SimulatedStep::kLogAwaited || *step == SimulatedStep::kClaimInDoubt;
  if (waits && IsReplaced()) {
    gave_up_ = true;
    work_.clear();
    return;
  }
  Reached(*step);
}

bool SimulatedExecutor::IsReplaced() const {
  return std::any_of(inbox.begin(), inbox.end(), [this](const proto::DriverMessage& message) {
    return message.start_epoch().epoch() > epoch_;
  });
}

std::vector<SimulatedPlace> SimulatedExecutor::OwnPlaces() const {
  std::vector<SimulatedPlace> places;
  for (const auto& [place, session] : sessions_) {
    if (!session.is_orphan()) {
      places.push_back(place);
    }
  }
  return places;
}

std::vector<SimulatedRow> SimulatedExecutor::TakeRows(
    SimulatedPlace place, int64_t batch, const std::function<bool(SimulatedShard)>& wanted) {
  std::vector<SimulatedRow> taken;
  std::erase_if(prepared_[batch], [&](auto& entry) {
    const bool takes = group_of_.at(entry.first.sink) == place.group && wanted(entry.first);
    if (takes) {
      taken.push_back(std::move(entry.second));
    }
    return takes;
  });
  return taken;
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
  work_.push_back([this, through] { CommitSessions(through); });
  work_.push_back([this] { StepSessions(); });
  work_.push_back([this, through] {
    committed_through_ = std::max(committed_through_, through);
    proto::ExecutorMessage message;
    message.mutable_batch_committed()->set_epoch(epoch_);
    message.mutable_batch_committed()->set_batch(through);
    for (const SimulatedPlace place : OwnPlaces()) {
      *message.mutable_batch_committed()->add_sessions() = sessions_.at(place).mark();
    }
    Answer(std::move(message));
  });
}

void SimulatedExecutor::CommitSessions(int64_t through) {
  for (const SimulatedPlace place : OwnPlaces()) {
    std::vector<SimulatedRow> rows;
    for (int64_t batch = sessions_.at(place).next_batch(); batch <= through; ++batch) {
      const std::vector<SimulatedRow> taken =
          TakeRows(place, batch, [](SimulatedShard) { return true; });
      rows.insert(rows.end(), taken.begin(), taken.end());
    }
    sessions_.at(place).Commit(through, std::move(rows));
  }
}

// Only rows of the first batch that is not committed may leave; those of later ones are held.
void SimulatedExecutor::LetRowsLeave(SimulatedPlace place, int64_t batch) {
  if (sessions_.at(place).next_batch() != batch) {
    return;
  }
  std::vector<SimulatedRow> rows = TakeRows(place, batch, [&](SimulatedShard shard) {
    return (epoch_ + batch + shard.sink + shard.shard) % 3 == 0;
  });
  if (!rows.empty()) {
    sessions_.at(place).LetLeave(std::move(rows));
    Reached(SimulatedStep::kRowsLeft);
  }
}

// ---- Batches ----

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
  proto::ExecutorMessage message;
  message.mutable_batch_prepared()->set_epoch(epoch_);
  message.mutable_batch_prepared()->set_batch(run.batch());
  Read(run, message.mutable_batch_prepared());
  Count(run);
  if (run.batch() <= suppress_until_) {
    prepared_.erase(run.batch());
  }
  for (const proto::VisibleShards& visible : run.visible()) {
    for (const uint32_t shard : visible.shards()) {
      prepared_[run.batch()].erase({visible.sink(), shard});
    }
  }
  Reached(SimulatedStep::kBatchRun);
  for (const SimulatedPlace place : OwnPlaces()) {
    // Some batches are large, in some of the epochs that run them.
    work_.push_back([this, place, batch = run.batch()] { LetRowsLeave(place, batch); });
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

// Reads the own splits, and writes the rows of their partitions.
void SimulatedExecutor::Read(const proto::RunBatch& run, proto::BatchPrepared* prepared) {
  for (const proto::PartitionKey& retired : run.retired_partitions()) {
    positions_.erase(retired.partition());
  }
  for (const proto::PartitionStart& found : run.new_partitions()) {
    positions_[found.key().partition()] = found.offset();
  }
  for (const proto::Split& split : run.splits()) {
    const std::string& name = split.key().partition();
    ASSERT_TRUE(positions_.contains(name)) << name << " was never introduced to " << id_;
    ASSERT_EQ(split.begin(), positions_[name]) << "ranges of a partition are contiguous";
    positions_[name] = split.end();
    proto::SplitReport* report = prepared->add_splits();
    *report->mutable_key() = split.key();
    report->set_records(split.end() - split.begin());
    report->set_input_hash(SimulatedHashOf(name, split.begin(), split.end()));
    const SimulatedShard shard{kPartitionSink, split.ordinal()};
    prepared_[run.batch()][shard] = {shard, run.batch(),
                                     LinesText(run.batch(), split.begin(), split.end())};
  }
}

// Counts what the exchange brings to the own keyed shards, and writes the rows of those that have
// changed.
void SimulatedExecutor::Count(const proto::RunBatch& run) {
  if (!keeps_state_) {
    states_.clear();
  }
  std::set<uint32_t> counted_shards;
  for (const auto& [partition, range] : world_.sent[{epoch_, run.batch()}]) {
    const uint32_t shard = SimulatedShardOf(partition);
    if (!own_shards_.contains(shard)) {
      continue;
    }
    int64_t& counted = states_[shard][partition];
    if (keeps_state_) {
      ASSERT_EQ(counted, range.first) << partition << " in batch " << run.batch() << " on shard "
                                      << shard << " of " << id_ << ": state was lost or is too new";
    }
    counted = range.second;
    changed_.insert(shard);
    counted_shards.insert(shard);
  }
  for (const uint32_t shard : counted_shards) {
    const SimulatedShard written{kKeyedSink, shard};
    prepared_[run.batch()][written] = {written, run.batch(),
                                       CountsText(run.batch(), states_[shard])};
  }
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

// ---- Answers ----

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
