// The state machine against simulated executors, journal, source and network under virtual time:
// seeded random histories with losses, joins, reconnections, failures and driver crashes, each
// checked against the rules as it unfolds and, in the end, for nothing lost and nothing twice.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "driver/batch/job_state.h"

namespace millrace {
namespace {

constexpr int kPartitions = 3;

uint64_t HashOf(const std::string& partition, int64_t begin, int64_t end) {
  uint64_t hash = static_cast<uint64_t>(begin) * 0x9e3779b97f4a7c15ULL ^ static_cast<uint64_t>(end);
  for (const char c : partition) {
    hash = hash * 31 + static_cast<uint64_t>(c);
  }
  return hash;
}

// What the outside world has seen of one partition: each offset's commits.
struct World {
  std::map<std::string, int64_t> produced;  // end per partition
  std::map<int64_t, std::map<std::string, std::pair<int64_t, int64_t>>>
      planned;  // durable plans by batch
  std::map<int64_t, int64_t> planned_time;
  int64_t durable_commits = 0;
};

// An executor that obeys the protocol of proto/cluster.proto and checks that the driver does.
class FakeExecutor {
 public:
  explicit FakeExecutor(std::string id) : id_(std::move(id)) {}

  const std::string& id() const { return id_; }
  bool slow_to_answer = false;

  void Receive(const proto::DriverMessage& message, const World& world) {
    if (message.has_start_epoch()) {
      const proto::StartEpoch& start = message.start_epoch();
      if (start.epoch() > epoch_) {
        epoch_ = start.epoch();
        suppress_until_ = start.suppress_until();
        next_run_ = start.first_batch();
        next_commit_ = std::max(start.first_batch(), start.suppress_until() + 1);
        positions_.clear();
        for (const auto& owner : start.assignment().partitions()) {
          positions_[owner.start().key().partition()] = owner.start().offset();
        }
        unanswered_.clear();
        proto::ExecutorMessage ready;
        ready.mutable_epoch_ready()->set_epoch(epoch_);
        Answer(std::move(ready));
      }
    } else if (message.has_run_batch() && message.run_batch().epoch() == epoch_) {
      Run(message.run_batch());
    } else if (message.has_commit_batch() && message.commit_batch().epoch() == epoch_) {
      Commit(message.commit_batch().batch(), world);
    } else if (message.has_stop_epoch() && message.stop_epoch().epoch() == epoch_) {
      unanswered_.clear();
      outbox.clear();
    }
  }

  void Fail() {
    proto::ExecutorMessage message;
    message.mutable_epoch_failed()->set_epoch(epoch_);
    message.mutable_epoch_failed()->set_message("simulated");
    message.mutable_epoch_failed()->set_retryable(true);
    outbox.push_back(std::move(message));
  }

  // The stream broke: what was on its way is lost, what may not have been heard is said again.
  void Reconnect() { outbox.assign(unanswered_.begin(), unanswered_.end()); }

  std::deque<proto::DriverMessage> inbox;
  std::deque<proto::ExecutorMessage> outbox;

 private:
  void Run(const proto::RunBatch& run) {
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
      report->set_input_hash(HashOf(name, split.begin(), split.end()));
    }
    Answer(std::move(message));
  }

  void Commit(int64_t batch, const World& world) {
    if (batch < next_commit_) {
      return;
    }
    ASSERT_EQ(batch, next_commit_) << "commits come in order, none for suppressed batches";
    ASSERT_LT(batch, next_run_) << "committed before it was run";
    ASSERT_TRUE(world.planned.contains(batch))
        << "batch " << batch << " commits before its plan is durable";
    ++next_commit_;
    proto::ExecutorMessage message;
    message.mutable_batch_committed()->set_epoch(epoch_);
    message.mutable_batch_committed()->set_batch(batch);
    Answer(std::move(message));
  }

  void Answer(proto::ExecutorMessage message) {
    outbox.push_back(message);
    unanswered_.push_back(std::move(message));
    if (unanswered_.size() > 6) {
      unanswered_.pop_front();
    }
  }

  std::string id_;
  int64_t epoch_ = 0;
  int64_t suppress_until_ = 0;
  int64_t next_run_ = 1;
  int64_t next_commit_ = 1;
  std::map<std::string, int64_t> positions_;
  std::deque<proto::ExecutorMessage> unanswered_;
};

class Simulation {
 public:
  Simulation(uint64_t seed, bool running_state) : random_(seed), running_state_(running_state) {
    submitted_.set_job_id("job");
    submitted_.set_name("job");
    submitted_.set_incarnation("inc");
    submitted_.mutable_plan()->add_sources()->set_table("t");
    submitted_.mutable_plan()->set_parallelism(4);
    submitted_.mutable_plan()->set_running_state(running_state);
    for (int p = 0; p < kPartitions; ++p) {
      proto::PartitionStart* start = submitted_.add_partitions();
      start->mutable_key()->set_partition(absl::StrCat("t/", p));
      start->set_offset(0);
      start->set_ordinal(static_cast<uint32_t>(p));
      world_.produced[absl::StrCat("t/", p)] = 0;
    }
    settings_.batch_duration = absl::Milliseconds(static_cast<int64_t>(random_() % 2 * 10));
    StartDriver();
  }

  void Run(int steps) {
    for (int step = 0; step < steps && !::testing::Test::HasFatalFailure(); ++step) {
      Step();
    }
    Settle();
    CheckNothingLostOrTwice();
  }

  int64_t restarts = 0;
  int64_t batches() const { return world_.durable_commits; }

 private:
  uint64_t Pick(uint64_t n) { return random_() % n; }

  void StartDriver() {
    JobHistory history(submitted_);
    for (const proto::JournalRecord& record : journal_) {
      ASSERT_TRUE(history.Apply(record).ok()) << history.Apply(record);
    }
    volatile_journal_.clear();
    JobStateOptions options;
    options.max_failures = 1'000'000;
    options.max_backoff_us = 1'000'000;
    state_ = std::make_unique<JobState>(std::move(history), settings_, options);
    expected_done_ = state_->history().last_committed().value() + 1;
    running_batches_.clear();
    for (auto& [id, executor] : executors_) {
      executor->inbox.clear();
      executor->outbox.clear();
    }
    TellMembers();
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
    const uint64_t kind = Pick(10);
    if (kind < 3 && executors_.size() < 4) {
      const std::string id = absl::StrCat("x", next_executor_++);
      executors_[id] = std::make_unique<FakeExecutor>(id);
      TellMembers();
    } else if (kind < 5 && !executors_.empty()) {
      executors_.erase(RandomExecutor()->id());
      TellMembers();
    } else if (kind == 5 && !executors_.empty()) {
      FakeExecutor* executor = RandomExecutor();
      executor->inbox.clear();
      executor->Reconnect();
      Handle(MemberReconnected{ExecutorId(executor->id())});
    } else if (kind == 6 && !executors_.empty()) {
      RandomExecutor()->Fail();
    } else if (kind == 7) {
      const std::string name = absl::StrCat("t/", world_.produced.size());
      if (world_.produced.size() < 8) {
        world_.produced[name] = 0;
      }
    } else if (kind == 9 && !executors_.empty()) {
      leaving_.insert(RandomExecutor()->id());
      TellMembers();
    } else if (kind == 8) {
      ++restarts;
      StartDriver();
    }
  }

  FakeExecutor* RandomExecutor() {
    return std::next(executors_.begin(), static_cast<long>(Pick(executors_.size())))->second.get();
  }

  void TellMembers() {
    MembersChanged event;
    for (const auto& [id, executor] : executors_) {
      event.members.push_back({ExecutorId(id), id, "", 1, false, leaving_.contains(id)});
    }
    Handle(event);
  }

  void DeliverToExecutor() {
    if (executors_.empty()) {
      return;
    }
    FakeExecutor* executor = RandomExecutor();
    if (!executor->inbox.empty()) {
      const proto::DriverMessage message = std::move(executor->inbox.front());
      executor->inbox.pop_front();
      executor->Receive(message, world_);
    }
  }

  void DeliverToDriver() {
    if (executors_.empty()) {
      return;
    }
    FakeExecutor* executor = RandomExecutor();
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
      if (record.has_batch_planned()) {
        NotePlanned(record.batch_planned());
      } else if (record.has_batch_committed()) {
        world_.durable_commits = std::max(world_.durable_commits, record.batch_committed().batch());
      }
      Handle(RecordDurable{id});
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
    if (std::all_of(executors_.begin(), executors_.end(),
                    [this](const auto& executor) { return leaving_.contains(executor.first); })) {
      executors_["last"] = std::make_unique<FakeExecutor>("last");
      TellMembers();
    }
    for (const auto& [partition, end] : world_.produced) {
      Handle(PartitionsDiscovered{0, {{partition, 0}}});
      Handle(EndsKnown{0, {{partition, end, end}}});
    }
    for (int round = 0; round < 20'000 && !Settled(); ++round) {
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
    return state_->LagRecords() == 0 &&
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
  }

  void Handle(const JobEvent& event) {
    // The wall clock steps about, the monotonic one does not.
    const Moment now{now_us_, 1'000'000'000 + now_us_ - static_cast<int64_t>(Pick(50'000))};
    for (JobAction& action : state_->Handle(event, now)) {
      std::visit([this](auto& a) { Take(a); }, action);
    }
  }

  void Take(AppendRecord& append) {
    volatile_journal_.emplace_back(append.id, std::move(append.record));
  }

  void Take(SendToExecutor& send) {
    const auto executor = executors_.find(send.to.value());
    if (send.message.has_run_batch()) {
      CheckRun(send.message.run_batch());
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
    ASSERT_LE(in_flight, 3) << "pipeline too deep";
  }

  void CheckCommit(const proto::CommitBatch& commit) {
    ASSERT_TRUE(world_.planned.contains(commit.batch()))
        << commit.batch() << " commits before its plan is durable";
    ASSERT_EQ(prepared_[commit.batch()], epoch_members_)
        << commit.batch() << " commits before all have prepared";
    ASSERT_GT(commit.batch(), suppress_until_) << "suppressed batches are never committed";
  }

  void Take(EpochBegan&) {}

  void Take(BatchDone& done) {
    ASSERT_EQ(done.batch.value(), expected_done_)
        << "batches are done in order, each once per driver";
    ++expected_done_;
    ASSERT_LE(done.batch.value(), world_.durable_commits) << "shown before the journal knew";
  }

  void Take(JobOver& over) { FAIL() << "ended: " << over.message; }

  bool epoch_durable(int64_t epoch) const {
    return std::any_of(journal_.begin(), journal_.end(), [&](const proto::JournalRecord& record) {
      return record.has_epoch_started() && record.epoch_started().epoch() == epoch;
    });
  }

  std::mt19937_64 random_;
  bool running_state_;
  proto::JobSubmitted submitted_;
  JobSettings settings_;
  World world_;
  int64_t now_us_ = 1;
  int next_executor_ = 0;
  bool settling_ = false;
  std::map<std::string, std::unique_ptr<FakeExecutor>> executors_;
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
  for (uint64_t seed = 1; seed <= 1000; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Simulation simulation(seed, running_state);
    simulation.Run(1500);
    batches += simulation.batches();
    driver_crashes += simulation.restarts;
    if (::testing::Test::HasFailure()) {
      return;
    }
  }
  // The histories were not idle ones.
  EXPECT_GT(batches, 1000 * 10);
  EXPECT_GT(driver_crashes, 1000);
}

TEST(JobSimulationTest, StatelessJobLosesNothing) { RunSeeds(false); }
TEST(JobSimulationTest, JobWithRunningStateLosesNothing) { RunSeeds(true); }

}  // namespace
}  // namespace millrace
