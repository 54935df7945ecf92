#include "driver/coordinator/testing/job_simulation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <variant>

#include "absl/strings/str_cat.h"

namespace millrace::driver {
namespace {

SimulatedStep After(SimulatedStep before) {
  return static_cast<SimulatedStep>(static_cast<int>(before) + 1);
}

std::optional<SimulatedStep> StepBefore(const proto::JournalRecord& record) {
  switch (record.record_case()) {
    case proto::JournalRecord::kEpochStarted:
      return SimulatedStep::kBeforeEpochStarted;
    case proto::JournalRecord::kEpochOpened:
      return SimulatedStep::kBeforeEpochOpened;
    case proto::JournalRecord::kBatchPlanned:
      return SimulatedStep::kBeforeBatchPlanned;
    case proto::JournalRecord::kBatchCommitted:
      return SimulatedStep::kBeforeBatchCommitted;
    case proto::JournalRecord::kSnapshotCompleted:
      return SimulatedStep::kBeforeSnapshotCompleted;
    case proto::JournalRecord::kSnapshotDropped:
      return SimulatedStep::kBeforeSnapshotDropped;
    case proto::JournalRecord::kBatchesAbandoned:
      return SimulatedStep::kBeforeBatchesAbandoned;
    case proto::JournalRecord::kJobEnded:
      return SimulatedStep::kBeforeJobEnded;
    default:
      return std::nullopt;
  }
}

}  // namespace

JobSimulation::JobSimulation(uint64_t seed, bool running_state)
    : random_(seed), running_state_(running_state) {
  submitted_.set_job_id("job");
  submitted_.set_name("job");
  submitted_.set_incarnation("inc");
  submitted_.mutable_plan()->add_sources()->set_table("t");
  submitted_.mutable_plan()->add_sinks()->set_table("counts");
  submitted_.mutable_plan()->mutable_sinks(kKeyedSink)->set_keyed(true);
  submitted_.mutable_plan()->add_sinks()->set_table("lines");
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
  if (seed % 6 == 0) {
    // There is always too little memory for most batches: the job must end in spite of that.
    memory_changes_ = false;
    world_.largest_batch = static_cast<int64_t>(10 + seed / 6 % 40);
  }
  world_.interrupt = [this](SimulatedStep step) { return AtStep(step); };
  world_.lose_answer = [this] { return FateOfAnswer(); };
  world_.unreadable = [this](const std::string&) { return !settling_ && Pick(40) == 0; };
  for (int32_t partition = 0; partition < kMarkPartitions && seed % 4 == 0; ++partition) {
    world_.kafka.CompactAlways(MarkTopic(partition));
  }
  PickGroups();
  if (seed % 3 == 1) {
    BeginWithFormerVersion();
  }
  StartDriver(/*settle=*/false);
}

// Both sinks share a session of each executor, or have one each.
void JobSimulation::PickGroups() {
  groups_ = {{kKeyedSink, kPartitionSink}};
  if (Pick(2) == 0) {
    groups_ = {{kKeyedSink}, {kPartitionSink}};
  }
}

void JobSimulation::InterruptAt(const PlannedInterruption& planned) { planned_ = planned; }

SimulatedInterruption JobSimulation::AtStep(SimulatedStep step) {
  doubts += step == SimulatedStep::kCommitInDoubt ? 1 : 0;
  orphans += step == SimulatedStep::kOrphanClaimed ? 1 : 0;
  upgrades += step == SimulatedStep::kFormerClaimed ? 1 : 0;
  if (step != planned_.step || planned_.times == 0 || planned_.skip-- > 0) {
    return SimulatedInterruption::kNone;
  }
  planned_.skip = 0;
  --planned_.times;
  new_plan_ = planned_.new_plan;
  return planned_.how;
}

void JobSimulation::Run(int steps) {
  for (int step = 0; step < steps && !::testing::Test::HasFatalFailure(); ++step) {
    Step();
  }
  Settle();
  CheckNothingLostOrTwice();
}

void JobSimulation::StartDriver(bool settle) {
  JobHistory history(submitted_);
  for (const proto::JournalRecord& record : journal_) {
    ASSERT_TRUE(history.Apply(record).ok()) << history.Apply(record);
  }
  volatile_journal_.clear();
  store_work_.clear();
  JobStateOptions options;
  options.max_same_failures = 1'000'000;
  options.max_backoff_us = 1'000'000;
  options.first_exclusion_us = 20'000;
  options.max_exclusion_us = 1'000'000;
  options.settle = settle;
  options.operators.emplace_back().set_name("counts/aggregate-1");
  options.session_groups = groups_;
  settling_job_ = settle;
  state_ = std::make_unique<JobState>(std::move(history), settings_, options);
  expected_done_ = state_->history().last_committed().value() + 1;
  running_batches_.clear();
  // What the old driver sent may still arrive; what executors sent to it is lost.
  for (auto& [id, executor] : executors_) {
    executor->outbox.clear();
  }
  TellMembers();
  if (settling_) {
    TellEnds();
  }
}

void JobSimulation::Step() {
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
      FinishStoreWork(Pick(4));  // store work is as fast as the journal, most often
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
      } else if (Pick(12) == 0) {
        Close();
      } else if (Pick(4) == 0) {
        CompactMarks();
      }
  }
}

void JobSimulation::Trouble() {
  const uint64_t kind = Pick(23);
  if (kind < 3 && executors_.size() < 4) {
    AddExecutor();
  } else if (executors_.empty()) {
    return;
  } else if (kind == 19 || kind == 20) {
    ChangeMemory();
  } else if (kind < 5) {
    // The driver loses this executor, which may only be asleep.
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
    RandomExecutor()->DieAfter(static_cast<int64_t>(Pick(16)));
  } else if (kind == 11) {
    RandomExecutor()->FailNextSnapshot();
  } else if (kind == 12 || kind == 22) {
    LoseNewestSnapshot();
  } else if (kind > 18) {
    // An executor mounts the store, or loses it: before an epoch or in the middle of one.
    SimulatedExecutor* executor = RandomExecutor();
    executor->SetBlind(!executor->blind() && Pick(3) > 0);
  } else if (kind == 13 || kind > 15) {
    ++restarts;
    MakeDurable(Pick(4));  // the new driver withdraws what is planned and not committed
    StartDriver(/*settle=*/true);
  } else if (kind == 14) {
    unanswered_ = {1 + Pick(6), RandomFate()};
  } else if (kind == 15) {
    world_.kafka.PassTime(absl::Minutes(2));
  }
}

TransactionalLog::Fate JobSimulation::RandomFate() {
  return Pick(2) == 0 ? TransactionalLog::Fate::kCarriedOut : TransactionalLog::Fate::kLost;
}

// One commit goes unanswered, or several in a row while the broker hangs or is dead.
std::optional<TransactionalLog::Fate> JobSimulation::FateOfAnswer() {
  if (unanswered_.first > 0) {
    --unanswered_.first;
    return unanswered_.second;
  }
  return Pick(50) == 0 ? std::make_optional(RandomFate()) : std::nullopt;
}

void JobSimulation::AddExecutor() {
  const std::string id = absl::StrCat("x", next_executor_++);
  executors_[id] = std::make_unique<SimulatedExecutor>(id, running_state_, &world_);
  TellMembers();
}

// A batch that is committed in part may then need more memory than there is: it must wait until
// there is enough.
void JobSimulation::ChangeMemory() {
  if (memory_changes_) {
    world_.largest_batch = Pick(2) == 0 ? INT64_MAX : static_cast<int64_t>(10 + Pick(60));
  }
}

void JobSimulation::LetZombiesWork() {
  if (Pick(3) != 0) {
    return;
  }
  if (zombie_driver_ != nullptr && Pick(4) == 0) {
    LetZombieDriverWork();
  }
  if (Pick(4) == 0) {
    LetFormerWritersWork();
  }
  if (!zombies_.empty()) {
    const auto zombie = zombies_.begin() + static_cast<long>(Pick(zombies_.size()));
    for (uint64_t steps = 1 + Pick(8); steps > 0; --steps) {
      (*zombie)->Wake();
      (*zombie)->Step();
      if ((*zombie)->interruption() != SimulatedInterruption::kNone) {
        break;
      }
    }
    if ((*zombie)->interruption() == SimulatedInterruption::kCrash) {
      zombies_.erase(zombie);
    }
  }
}

// Lets a driver work that was replaced and does not know it. It has only the executors that have
// not gone to its successor, and learns of the successor when it next looks at its journal.
void JobSimulation::LetZombieDriverWork() {
  const Moment now{now_us_, 1'000'000'000 + now_us_};
  std::vector<JobEvent> events = {TimerFired{}};
  for (const auto& executor : zombies_) {
    for (proto::ExecutorMessage& message : executor->outbox) {
      events.push_back(ExecutorReported{ExecutorId(executor->id()), std::move(message)});
    }
    executor->outbox.clear();
  }
  const bool heard = Pick(3) == 0;
  if (heard) {
    events.push_back(JournalFailed{absl::AbortedError("another one drives")});
  }
  for (const JobEvent& event : events) {
    for (JobAction& action : zombie_driver_->Handle(event, now)) {
      if (auto* send = std::get_if<SendToExecutor>(&action)) {
        NoteSent(send->message);
        const auto to = std::find_if(zombies_.begin(), zombies_.end(), [&](const auto& executor) {
          return executor->id() == send->to.value();
        });
        if (to != zombies_.end()) {
          (*to)->inbox.push_back(std::move(send->message));
        }
      }
    }
  }
  if (heard) {
    zombie_driver_.reset();
  }
}

SimulatedExecutor* JobSimulation::RandomExecutor() {
  return std::next(executors_.begin(), static_cast<long>(Pick(executors_.size())))->second.get();
}

void JobSimulation::TellMembers() {
  MembersChanged event;
  for (const auto& [id, executor] : executors_) {
    event.members.push_back({ExecutorId(id), id, "", 1, false, leaving_.contains(id)});
  }
  Handle(event);
}

void JobSimulation::TellEnds() {
  for (const auto& [partition, end] : world_.produced) {
    Handle(PartitionsDiscovered{0, {{partition, 0}}});
    Handle(EndsKnown{0, {{partition, end, end}}});
  }
}

void JobSimulation::DeliverToExecutor() {
  if (executors_.empty()) {
    return;
  }
  SimulatedExecutor* executor = RandomExecutor();
  for (uint64_t steps = 1 + Pick(8); steps > 0; --steps) {
    executor->Step();
    if (executor->interruption() != SimulatedInterruption::kNone) {
      AfterStep(executor);
      return;
    }
  }
}

// The driver takes this executor for dead.
void JobSimulation::AfterStep(SimulatedExecutor* executor) {
  auto gone = executors_.extract(executor->id());
  if (executor->interruption() == SimulatedInterruption::kHang) {
    zombies_.push_back(std::move(gone.mapped()));
  }
  if (std::exchange(new_plan_, false)) {
    StartDriver(/*settle=*/true);
  } else {
    TellMembers();
  }
}

void JobSimulation::DeliverToDriver() {
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
    unseen_stores += message.epoch_failed().store_unseen() ? 1 : 0;
    Handle(ExecutorReported{ExecutorId(executor->id()), std::move(message)});
  }
}

bool JobSimulation::DriverEndsAt(SimulatedStep step) {
  const SimulatedInterruption interruption = AtStep(step);
  if (interruption == SimulatedInterruption::kNone) {
    return false;
  }
  if (interruption == SimulatedInterruption::kHang) {
    zombie_driver_ = std::move(state_);
    for (auto executor = executors_.begin(); executor != executors_.end();) {
      const auto one = executor++;
      if (Pick(2) == 0) {  // stays with the old driver
        zombies_.push_back(std::move(executors_.extract(one).mapped()));
      }
    }
  }
  StartDriver(std::exchange(new_plan_, false) || settling_job_);
  return true;
}

void JobSimulation::MakeDurable(uint64_t records) {
  for (; records > 0 && !volatile_journal_.empty(); --records) {
    const auto [id, record] = volatile_journal_.front();
    const std::optional<SimulatedStep> before = StepBefore(record);
    if (before.has_value() && DriverEndsAt(*before)) {
      return;
    }
    volatile_journal_.pop_front();
    journal_.push_back(record);
    NoteDurable(record);
    if (before.has_value() && DriverEndsAt(After(*before))) {
      return;
    }
    Handle(RecordDurable{id});
  }
}

void JobSimulation::NoteDurable(const proto::JournalRecord& record) {
  if (record.has_batch_planned()) {
    NotePlanned(record.batch_planned());
  } else if (record.has_batch_committed()) {
    world_.durable_commits = std::max(world_.durable_commits, record.batch_committed().batch());
  } else if (record.has_epoch_opened()) {
    NoteOpened(record.epoch_opened());
  } else if (record.has_snapshot_completed()) {
    ++snapshots;
    const proto::Snapshot& snapshot = record.snapshot_completed().snapshot();
    ASSERT_LE(snapshot.batch(), world_.durable_commits)
        << "a snapshot counts before its batch is committed";
    for (const proto::SnapshotFile& file : snapshot.layers(snapshot.layers_size() - 1).files()) {
      ASSERT_TRUE(world_.store.contains(file.name()))
          << file.name() << " is journaled, and nobody has seen it";
    }
  } else if (record.has_snapshot_dropped()) {
    ASSERT_GT(lost_snapshots, 0) << "given up although all its files are there: "
                                 << record.snapshot_dropped().reason();
  } else if (record.has_batches_abandoned()) {
    NoteWithdrawn(record.batches_abandoned());
  }
}

void JobSimulation::NotePlanned(const proto::BatchPlanned& planned) {
  ASSERT_FALSE(world_.planned.contains(planned.batch()))
      << "batch " << planned.batch() << " is planned twice";
  world_.ever_planned.insert(planned.batch());
  auto& ranges = world_.planned[planned.batch()];
  for (const proto::Split& split : planned.splits()) {
    ranges[split.key().partition()] = {split.begin(), split.end()};
    world_.ordinals[split.key().partition()] = split.ordinal();
  }
  world_.planned_time[planned.batch()] = planned.batch_time_us();
  NoteEntered(planned);
}

void JobSimulation::Produce() {
  auto partition =
      std::next(world_.produced.begin(), static_cast<long>(Pick(world_.produced.size())));
  partition->second += static_cast<int64_t>(1 + Pick(50));
  Handle(PartitionsDiscovered{0, {{partition->first, 0}}});
  Handle(EndsKnown{0, {{partition->first, partition->second, partition->second}}});
}

// Closes a partition: it seems that nothing more will come, and the next record proves that wrong.
void JobSimulation::Close() {
  const auto partition =
      std::next(world_.produced.begin(), static_cast<long>(Pick(world_.produced.size())));
  Handle(EndsKnown{0,
                   {{.partition = partition->first,
                     .stable_end = partition->second,
                     .high_watermark = partition->second,
                     .closed = true,
                     .why = "it is old"}}});
}

void JobSimulation::AdvanceTime() {
  const int64_t wakeup = state_->next_wakeup_us();
  const int64_t before_us = now_us_;
  now_us_ += static_cast<int64_t>(Pick(4'000));
  // Deadlines of a minute are rarely met: messages are faster than that.
  const bool soon = wakeup != JobState::kNever && wakeup - now_us_ < 2'000'000;
  if (soon ? Pick(2) == 0 : wakeup != JobState::kNever && !settling_ && Pick(100) == 0) {
    now_us_ = std::max(now_us_, wakeup);
  }
  world_.kafka.PassTime(absl::Microseconds(now_us_ - before_us));
  Handle(TimerFired{});
}

void JobSimulation::Handle(const JobEvent& event) {
  // The wall clock jumps back and forth, the monotonic clock does not.
  const Moment now{now_us_, 1'000'000'000 + now_us_ - static_cast<int64_t>(Pick(50'000))};
  for (JobAction& action : state_->Handle(event, now)) {
    std::visit([this](auto& a) { Take(a); }, action);
  }
  if (std::exchange(resume_, false)) {
    PickGroups();  // the new plan may have other ones
    StartDriver(/*settle=*/false);
  }
}

void JobSimulation::Take(AppendRecord& append) {
  volatile_journal_.emplace_back(append.id, std::move(append.record));
}

void JobSimulation::Take(SendToExecutor& send) {
  if (send.message.has_run_batch()) {
    CheckRun(send.message.run_batch());
    CheckVisible(send.to.value(), send.message.run_batch());
  } else if (send.message.has_commit_batch()) {
    CheckCommit(send.message.commit_batch());
  } else if (send.message.has_start_epoch()) {
    NoteStart(send.to.value(), send.message.start_epoch());
  }
  NoteSent(send.message);
  const auto executor = executors_.find(send.to.value());
  if (executor != executors_.end()) {
    executor->second->inbox.push_back(std::move(send.message));
  }
}

void JobSimulation::NoteSent(const proto::DriverMessage& message) {
  if (message.has_run_batch()) {
    const proto::RunBatch& run = message.run_batch();
    SimulatedRanges& sent = world_.sent[{run.epoch(), run.batch()}];
    for (const proto::Split& split : run.splits()) {
      sent[split.key().partition()] = {split.begin(), split.end()};
    }
  }
}

void JobSimulation::CheckRun(const proto::RunBatch& run) {
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

void JobSimulation::CheckCommit(const proto::CommitBatch& commit) {
  ASSERT_TRUE(world_.planned.contains(commit.batch()))
      << commit.batch() << " commits before its plan is durable";
  ASSERT_EQ(prepared_[commit.batch()], epoch_members_)
      << commit.batch() << " commits before all have prepared";
  ASSERT_GT(commit.batch(), suppress_until_) << "suppressed batches are never committed";
  waves += commit.batch() > state_->history().last_committed().value() + 1 ? 1 : 0;
}

void JobSimulation::Take(BatchDone& done) {
  ASSERT_EQ(done.batch.value(), expected_done_)
      << "batches are done in order, each once per driver";
  ++expected_done_;
  ASSERT_LE(done.batch.value(), world_.durable_commits) << "shown before the journal knew";
}

void JobSimulation::Take(JobOver& over) {
  ASSERT_TRUE(settling_job_ && over.how == proto::JobEnded::STOPPED) << "ended: " << over.message;
  ASSERT_EQ(state_->history().last_planned(), state_->history().last_committed())
      << "settled with a batch in doubt";
  resume_ = true;
}

bool JobSimulation::epoch_durable(int64_t epoch) const {
  return std::any_of(journal_.begin(), journal_.end(), [&](const proto::JournalRecord& record) {
    return record.has_epoch_started() && record.epoch_started().epoch() == epoch;
  });
}

}  // namespace millrace::driver
