// The state machine against simulated executors, journal, source, sinks, snapshots and network
// under virtual time: seeded random histories with losses, joins, zombies, reconnections, failures,
// driver crashes and changes of plan, each checked against the rules as it unfolds and, in the end,
// for nothing lost and nothing twice.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "driver/batch/job_state.h"
#include "driver/batch/testing/simulated_world.h"

namespace millrace {
namespace {

constexpr int kPartitions = 3;

class Simulation {
 public:
  Simulation(uint64_t seed, bool running_state) : random_(seed), running_state_(running_state) {
    submitted_.set_job_id("job");
    submitted_.set_name("job");
    submitted_.set_incarnation("inc");
    submitted_.mutable_plan()->add_sources()->set_table("t");
    submitted_.mutable_plan()->add_sinks()->set_table("out");
    submitted_.mutable_plan()->set_parallelism(SimulatedWorld::kShards);
    submitted_.mutable_plan()->set_running_state(running_state);
    submitted_.set_snapshot_location("store");
    for (int p = 0; p < kPartitions; ++p) {
      proto::PartitionStart* start = submitted_.add_partitions();
      start->mutable_key()->set_partition(absl::StrCat("t/", p));
      start->set_offset(0);
      start->set_ordinal(static_cast<uint32_t>(p));
      world_.produced[absl::StrCat("t/", p)] = 0;
    }
    settings_.batch_duration = absl::Milliseconds(static_cast<int64_t>(random_() % 2 * 10));
    settings_.checkpoint_interval = absl::Milliseconds(static_cast<int64_t>(5 + random_() % 40));
    StartDriver(/*settle=*/false);
  }

  void Run(int steps) {
    for (int step = 0; step < steps && !::testing::Test::HasFatalFailure(); ++step) {
      Step();
    }
    Settle();
    CheckNothingLostOrTwice();
  }

  int64_t restarts = 0;
  int64_t snapshots = 0;
  int64_t restores = 0;
  int64_t withdrawals = 0;
  int64_t waves = 0;  // commits of more than one batch
  int64_t lost_snapshots = 0;
  int64_t batches() const { return world_.durable_commits; }

 private:
  uint64_t Pick(uint64_t n) { return random_() % n; }

  void StartDriver(bool settle) {
    JobHistory history(submitted_);
    for (const proto::JournalRecord& record : journal_) {
      ASSERT_TRUE(history.Apply(record).ok()) << history.Apply(record);
    }
    volatile_journal_.clear();
    JobStateOptions options;
    options.max_failures = 1'000'000;
    options.max_backoff_us = 1'000'000;
    options.settle = settle;
    options.operators.emplace_back().set_name("counts/aggregate-1");
    settling_job_ = settle;
    state_ = std::make_unique<JobState>(std::move(history), settings_, options);
    expected_done_ = state_->history().last_committed().value() + 1;
    running_batches_.clear();
    // What the old driver had sent may still arrive; what was said to it is lost.
    for (auto& [id, executor] : executors_) {
      executor->outbox.clear();
    }
    TellMembers();
    if (settling_) {
      TellEnds();
    }
  }

  void Step() {
    switch (Pick(20)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
      case 5:
        DeliverToExecutor();
        LetZombiesWork();
        return;
      case 6:
      case 7:
      case 8:
      case 9:
      case 10:
        DeliverToDriver();
        return;
      case 11:
      case 12:
      case 13:
        MakeDurable(1 + Pick(3));
        return;
      case 14:
      case 15:
        Produce();
        return;
      case 16:
      case 17:
        AdvanceTime();
        return;
      default:
        if (Pick(12) == 0) {
          Trouble();
        }
    }
  }

  void Trouble() {
    const uint64_t kind = Pick(14);
    if (kind < 3 && executors_.size() < 4) {
      AddExecutor();
    } else if (executors_.empty()) {
      return;
    } else if (kind < 5) {
      // Lost for the driver, but it may only be asleep.
      auto lost = executors_.extract(RandomExecutor()->id());
      zombies_.push_back(std::move(lost.mapped()));
      TellMembers();
    } else if (kind == 5) {
      SimulatedExecutor* executor = RandomExecutor();
      executor->inbox.clear();
      executor->Reconnect();
      Handle(MemberReconnected{ExecutorId(executor->id())});
    } else if (kind == 6) {
      RandomExecutor()->Fail();
    } else if (kind == 7) {
      if (world_.produced.size() < 8) {
        world_.produced[absl::StrCat("t/", world_.produced.size())] = 0;
      }
    } else if (kind == 8) {
      ++restarts;
      StartDriver(/*settle=*/false);
    } else if (kind == 9) {
      leaving_.insert(RandomExecutor()->id());
      TellMembers();
    } else if (kind == 10) {
      RandomExecutor()->DieInCommitAfter(static_cast<int>(Pick(4)));
    } else if (kind == 11) {
      RandomExecutor()->FailNextSnapshot();
    } else if (kind == 12) {
      LoseNewestSnapshot();
    } else if (kind == 13) {
      ++restarts;
      StartDriver(/*settle=*/true);
    }
  }

  void AddExecutor() {
    const std::string id = absl::StrCat("x", next_executor_++);
    executors_[id] = std::make_unique<SimulatedExecutor>(id, running_state_, &world_);
    TellMembers();
  }

  // A file of the newest snapshot is gone when a new driver wants it. Only where the older one does
  // not need it.
  void LoseNewestSnapshot() {
    const std::deque<proto::Snapshot>& kept = state_->history().snapshots();
    if (kept.empty() || kept.size() == 1) {
      return;
    }
    const proto::SnapshotLayer& last = kept.back().layers(kept.back().layers_size() - 1);
    const bool shared = std::any_of(kept.front().layers().begin(), kept.front().layers().end(),
                                    [&](const auto& l) { return l.batch() == last.batch(); });
    if (!shared && last.files_size() > 0) {
      world_.store.erase(last.files(0).name());
      ++lost_snapshots;
      StartDriver(/*settle=*/false);
    }
  }

  // Messages that were on their way to an executor when the driver gave it up.
  void LetZombiesWork() {
    if (zombies_.empty() || Pick(3) != 0) {
      return;
    }
    SimulatedExecutor& zombie = *zombies_[Pick(zombies_.size())];
    if (!zombie.inbox.empty()) {
      const proto::DriverMessage message = std::move(zombie.inbox.front());
      zombie.inbox.pop_front();
      zombie.Receive(message);
    }
  }

  SimulatedExecutor* RandomExecutor() {
    return std::next(executors_.begin(), static_cast<long>(Pick(executors_.size())))->second.get();
  }

  void TellMembers() {
    MembersChanged event;
    for (const auto& [id, executor] : executors_) {
      event.members.push_back({ExecutorId(id), id, "", 1, false, leaving_.contains(id)});
    }
    Handle(event);
  }

  void TellEnds() {
    for (const auto& [partition, end] : world_.produced) {
      Handle(PartitionsDiscovered{0, {{partition, 0}}});
      Handle(EndsKnown{0, {{partition, end, end}}});
    }
  }

  void DeliverToExecutor() {
    if (executors_.empty()) {
      return;
    }
    SimulatedExecutor* executor = RandomExecutor();
    if (!executor->inbox.empty()) {
      const proto::DriverMessage message = std::move(executor->inbox.front());
      executor->inbox.pop_front();
      executor->Receive(message);
      if (executor->dead()) {
        executors_.erase(executor->id());
        TellMembers();
      }
    }
  }

  void DeliverToDriver() {
    if (executors_.empty()) {
      return;
    }
    SimulatedExecutor* executor = RandomExecutor();
    if (!executor->outbox.empty()) {
      proto::ExecutorMessage message = std::move(executor->outbox.front());
      executor->outbox.pop_front();
      if (message.has_batch_prepared() &&
          message.batch_prepared().epoch() == state_->epoch().value()) {
        prepared_[message.batch_prepared().batch()].insert(executor->id());
      }
      Handle(ExecutorReported{ExecutorId(executor->id()), std::move(message)});
    }
  }

  void MakeDurable(uint64_t records) {
    for (; records > 0 && !volatile_journal_.empty(); --records) {
      const auto [id, record] = volatile_journal_.front();
      volatile_journal_.pop_front();
      journal_.push_back(record);
      NoteDurable(record);
      Handle(RecordDurable{id});
    }
  }

  void NoteDurable(const proto::JournalRecord& record) {
    if (record.has_batch_planned()) {
      NotePlanned(record.batch_planned());
    } else if (record.has_batch_committed()) {
      world_.durable_commits = std::max(world_.durable_commits, record.batch_committed().batch());
    } else if (record.has_epoch_opened()) {
      world_.opened_epochs.insert(record.epoch_opened().epoch());
    } else if (record.has_snapshot_completed()) {
      ++snapshots;
      ASSERT_LE(record.snapshot_completed().snapshot().batch(), world_.durable_commits)
          << "a snapshot counts before its batch is committed";
    } else if (record.has_batches_abandoned()) {
      ++withdrawals;
      const int64_t first = record.batches_abandoned().batch();
      for (const SimulatedSinkShard& shard : world_.sink) {
        ASSERT_LT(shard.marker_batch, first) << "withdrawn although it is out";
      }
      world_.planned.erase(world_.planned.lower_bound(first), world_.planned.end());
    }
  }

  void NotePlanned(const proto::BatchPlanned& planned) {
    ASSERT_FALSE(world_.planned.contains(planned.batch()))
        << "batch " << planned.batch() << " is planned twice";
    auto& ranges = world_.planned[planned.batch()];
    for (const proto::Split& split : planned.splits()) {
      ranges[split.key().partition()] = {split.begin(), split.end()};
    }
    world_.planned_time[planned.batch()] = planned.batch_time_us();
  }

  void Produce() {
    auto partition =
        std::next(world_.produced.begin(), static_cast<long>(Pick(world_.produced.size())));
    partition->second += static_cast<int64_t>(1 + Pick(50));
    Handle(PartitionsDiscovered{0, {{partition->first, 0}}});
    Handle(EndsKnown{0, {{partition->first, partition->second, partition->second}}});
  }

  void AdvanceTime() {
    const int64_t wakeup = state_->next_wakeup_us();
    now_us_ += static_cast<int64_t>(Pick(4'000));
    // Deadlines of a minute are rarely met: messages are faster than that.
    const bool soon = wakeup != JobState::kNever && wakeup - now_us_ < 2'000'000;
    if (soon ? Pick(2) == 0 : wakeup != JobState::kNever && !settling_ && Pick(100) == 0) {
      now_us_ = std::max(now_us_, wakeup);
    }
    Handle(TimerFired{});
  }

  // The trouble is over: everything that was produced must come out.
  void Settle() {
    settling_ = true;
    TellEnds();
    for (int round = 0; round < 40'000 && !Settled(); ++round) {
      if (std::all_of(executors_.begin(), executors_.end(),
                      [this](const auto& executor) { return leaving_.contains(executor.first); })) {
        AddExecutor();  // the last one that stays may have died in a commit
      }
      DeliverToExecutor();
      DeliverToDriver();
      MakeDurable(1);
      AdvanceTime();
      if (::testing::Test::HasFatalFailure()) {
        return;
      }
    }
    EXPECT_TRUE(Settled()) << "stuck in phase " << state_->phase() << ": " << state_->message();
  }

  bool Settled() const {
    return !settling_job_ && state_->LagRecords() == 0 &&
           state_->history().last_committed() == state_->history().last_planned() &&
           state_->Partitions().size() >= kPartitions && volatile_journal_.empty();
  }

  void CheckNothingLostOrTwice() {
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
    CheckOutput();
  }

  // What a plain loop over the plans gives after each batch, of every shard and exactly once.
  void CheckOutput() {
    std::map<uint32_t, SimulatedState> states;
    for (const auto& [batch, ranges] : world_.planned) {
      if (!running_state_) {
        states.clear();
      }
      for (const auto& [partition, range] : ranges) {
        states[SimulatedShardOf(partition)][partition] = range.second;
      }
      for (uint32_t shard = 0; shard < SimulatedWorld::kShards; ++shard) {
        const auto output = world_.sink[shard].output.find(batch);
        ASSERT_NE(output, world_.sink[shard].output.end())
            << "batch " << batch << " of shard " << shard << " is lost";
        ASSERT_EQ(output->second, states[shard]) << "batch " << batch << " of shard " << shard;
      }
    }
  }

  void Handle(const JobEvent& event) {
    // The wall clock steps about, the monotonic one does not.
    const Moment now{now_us_, 1'000'000'000 + now_us_ - static_cast<int64_t>(Pick(50'000))};
    for (JobAction& action : state_->Handle(event, now)) {
      std::visit([this](auto& a) { Take(a); }, action);
    }
    if (std::exchange(resume_, false)) {
      StartDriver(/*settle=*/false);
    }
  }

  void Take(AppendRecord& append) {
    volatile_journal_.emplace_back(append.id, std::move(append.record));
  }

  void Take(SendToExecutor& send) {
    const auto executor = executors_.find(send.to.value());
    if (send.message.has_run_batch()) {
      CheckRun(send.message.run_batch());
      SimulatedRanges& sent =
          world_.sent[{send.message.run_batch().epoch(), send.message.run_batch().batch()}];
      for (const proto::Split& split : send.message.run_batch().splits()) {
        sent[split.key().partition()] = {split.begin(), split.end()};
      }
    } else if (send.message.has_commit_batch()) {
      CheckCommit(send.message.commit_batch());
    } else if (send.message.has_start_epoch()) {
      epoch_members_.clear();
      for (const auto& member : send.message.start_epoch().assignment().members()) {
        epoch_members_.insert(member.executor_id());
      }
      prepared_.clear();
      running_batches_.clear();
      suppress_until_ = send.message.start_epoch().suppress_until();
      restores += send.message.start_epoch().has_restore() ? 1 : 0;
    }
    if (executor != executors_.end()) {
      executor->second->inbox.push_back(std::move(send.message));
    }
  }

  void CheckRun(const proto::RunBatch& run) {
    ASSERT_TRUE(epoch_durable(run.epoch())) << "an epoch at work that the journal does not know";
    running_batches_.insert(run.batch());
    for (const int64_t batch : running_batches_) {
      if (batch < run.batch()) {
        ASSERT_EQ(prepared_[batch], epoch_members_)
            << run.batch() << " runs before " << batch << " is prepared";
      }
    }
    int64_t in_flight = 0;
    for (const int64_t batch : running_batches_) {
      in_flight += batch > suppress_until_ && batch > state_->history().last_committed().value();
    }
    ASSERT_LE(in_flight, 64) << "pipeline too deep";
  }

  void CheckCommit(const proto::CommitBatch& commit) {
    ASSERT_TRUE(world_.planned.contains(commit.batch()))
        << commit.batch() << " commits before its plan is durable";
    ASSERT_EQ(prepared_[commit.batch()], epoch_members_)
        << commit.batch() << " commits before all have prepared";
    ASSERT_GT(commit.batch(), suppress_until_) << "suppressed batches are never committed";
    waves += commit.batch() > state_->history().last_committed().value() + 1 ? 1 : 0;
  }

  void Take(EpochBegan&) {}

  void Take(BatchDone& done) {
    ASSERT_EQ(done.batch.value(), expected_done_)
        << "batches are done in order, each once per driver";
    ++expected_done_;
    ASSERT_LE(done.batch.value(), world_.durable_commits) << "shown before the journal knew";
  }

  void Take(SnapshotDone&) {}
  void Take(SnapshotFailed&) {}

  // Only a job that was settled may end, and the next driver goes on with it.
  void Take(JobOver& over) {
    ASSERT_TRUE(settling_job_ && over.how == proto::JobEnded::STOPPED) << "ended: " << over.message;
    ASSERT_EQ(state_->history().last_planned(), state_->history().last_committed())
        << "settled with a batch in doubt";
    resume_ = true;
  }

  bool epoch_durable(int64_t epoch) const {
    return std::any_of(journal_.begin(), journal_.end(), [&](const proto::JournalRecord& record) {
      return record.has_epoch_started() && record.epoch_started().epoch() == epoch;
    });
  }

  std::mt19937_64 random_;
  bool running_state_;
  proto::JobSubmitted submitted_;
  JobSettings settings_;
  SimulatedWorld world_;
  int64_t now_us_ = 1;
  int next_executor_ = 0;
  bool settling_ = false;
  bool settling_job_ = false;
  bool resume_ = false;
  std::map<std::string, std::unique_ptr<SimulatedExecutor>> executors_;
  std::vector<std::unique_ptr<SimulatedExecutor>> zombies_;
  std::set<std::string> leaving_;
  std::vector<proto::JournalRecord> journal_;
  std::deque<std::pair<int64_t, proto::JournalRecord>> volatile_journal_;
  std::unique_ptr<JobState> state_;
  std::set<std::string> epoch_members_;
  std::map<int64_t, std::set<std::string>> prepared_;
  std::set<int64_t> running_batches_;
  int64_t suppress_until_ = 0;
  int64_t expected_done_ = 1;
};

void RunSeeds(bool running_state) {
  int64_t batches = 0;
  int64_t driver_crashes = 0;
  int64_t snapshots = 0;
  int64_t restores = 0;
  int64_t withdrawals = 0;
  int64_t waves = 0;
  int64_t lost_snapshots = 0;
  for (uint64_t seed = 1; seed <= 1000; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Simulation simulation(seed, running_state);
    simulation.Run(1500);
    batches += simulation.batches();
    driver_crashes += simulation.restarts;
    snapshots += simulation.snapshots;
    restores += simulation.restores;
    withdrawals += simulation.withdrawals;
    waves += simulation.waves;
    lost_snapshots += simulation.lost_snapshots;
    if (::testing::Test::HasFailure()) {
      return;
    }
  }
  // The histories were not idle ones.
  EXPECT_GT(batches, 1000 * 10);
  EXPECT_GT(driver_crashes, 500);
  EXPECT_GT(waves, 100);
  EXPECT_GT(withdrawals, 20);
  if (running_state) {
    EXPECT_GT(snapshots, 1000);
    EXPECT_GT(restores, 500);
    EXPECT_GT(lost_snapshots, 20);
  }
}

TEST(JobSimulationTest, StatelessJobLosesNothing) { RunSeeds(false); }
TEST(JobSimulationTest, JobWithRunningStateLosesNothing) { RunSeeds(true); }

}  // namespace
}  // namespace millrace
