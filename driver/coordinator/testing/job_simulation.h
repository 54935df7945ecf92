// A job under virtual time: the state machine against simulated executors, journal, source, sinks,
// snapshots and network, in a seeded random history with losses, joins, zombies, reconnections,
// failures, commits in doubt, batches that are too large, driver crashes and changes of plan. Some
// histories begin with what a version before sessions has left. Checks the rules as the history
// unfolds, and at its end that nothing is lost and nothing comes twice. What goes wrong becomes a
// GoogleTest failure. Single-threaded.
#ifndef MILLRACE_DRIVER_COORDINATOR_TESTING_JOB_SIMULATION_H_
#define MILLRACE_DRIVER_COORDINATOR_TESTING_JOB_SIMULATION_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "driver/coordinator/job_state.h"
#include "driver/coordinator/testing/simulated_executor.h"
#include "driver/coordinator/testing/simulated_former.h"
#include "driver/coordinator/testing/simulated_world.h"

namespace millrace::driver {

// Sanitizers make histories ten times as dear, and find in a few what they find in many.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kFewHistories = true;
#else
inline constexpr bool kFewHistories = false;
#endif

// The process that takes this step is interrupted there.
struct PlannedInterruption {
  SimulatedStep step = {};
  SimulatedInterruption how = SimulatedInterruption::kNone;
  int times = 0;
  int skip = 0;  // this many times it is not interrupted
  // The driver ends too, and the next one withdraws batches that nobody has committed.
  bool new_plan = false;
};

class JobSimulation {
 public:
  static constexpr int kPartitions = 3;  // at first

  JobSimulation(uint64_t seed, bool running_state);

  void InterruptAt(const PlannedInterruption& planned);

  // Takes `steps` random steps, then goes on without new trouble until all output is committed.
  void Run(int steps);

  bool interrupted() const {
    return planned_.times == 0;
  }  // all interruptions that InterruptAt asked for have happened
  int64_t restarts = 0;
  int64_t snapshots = 0;
  int64_t restores = 0;
  int64_t withdrawals = 0;
  int64_t halvings = 0;  // withdrawals of batches that were too large
  int64_t waves = 0;     // commits of more than one batch
  int64_t lost_snapshots = 0;
  int64_t unseen_snapshots = 0;  // snapshots written where the driver does not look, or lost since
  int64_t unseen_stores = 0;     // epochs that an executor without the store could not begin
  int64_t retirements = 0;       // retirements of partitions that then go on
  int64_t doubts = 0;            // commits of output that were not answered
  int64_t entries = 0;           // partitions that entered a running epoch, and of these
  int64_t reopenings = 0;        // the retired ones that were read again
  int64_t orphans = 0;           // claims of places that nobody has
  int64_t visible_shards = 0;    // outputs that were visible when their batch ran again
  int64_t upgrades = 0;          // claims in the form of versions before sessions
  int64_t batches() const { return world_.durable_commits; }

 private:
  uint64_t Pick(uint64_t n) { return random_() % n; }

  void PickGroups();
  void StartDriver(bool settle);
  void Step();
  void Trouble();
  TransactionalLog::Fate RandomFate();
  std::optional<TransactionalLog::Fate> FateOfAnswer();
  void AddExecutor();

  // Removes a file of the newest snapshot, which a new driver then wants. Only a file that the
  // older snapshot does not need.
  void LoseNewestSnapshot();
  void ChangeMemory();

  // Executors that the driver has given up go on: they receive the messages that were on their way
  // to them, and finish the work that they had begun.
  void LetZombiesWork();
  void LetZombieDriverWork();

  // How InterruptAt interrupts this step.
  SimulatedInterruption AtStep(SimulatedStep step);
  // Whether the driver is interrupted at this step; if so, starts a new one.
  bool DriverEndsAt(SimulatedStep step);
  void AfterStep(SimulatedExecutor* executor);
  SimulatedExecutor* RandomExecutor();
  void TellMembers();
  void TellEnds();
  void DeliverToExecutor();
  void DeliverToDriver();
  void MakeDurable(uint64_t records);
  void NoteDurable(const proto::JournalRecord& record);
  void NotePlanned(const proto::BatchPlanned& planned);
  void NoteOpened(const proto::EpochOpened& opened);
  void NoteEntered(const proto::BatchPlanned& planned);
  void NoteWithdrawn(const proto::BatchesAbandoned& abandoned);
  void Produce();
  void Close();
  void AdvanceTime();
  // Lets some of the records vanish from the log of marks that may.
  void CompactMarks();

  // What a version before sessions has left: a journal, rows, and writers that wake later.
  void BeginWithFormerVersion();
  void JournalFormerBatches(int64_t planned, int64_t committed);
  void WriteFormerOutput(int64_t planned, int64_t committed);
  void LetFormerWritersWork();

  // Ends the trouble: all input that was produced must now lead to committed output.
  void Settle();
  bool Settled() const;
  void CheckNothingLostOrTwice();

  void Handle(const JobEvent& event);
  void Take(AppendRecord& append);
  void Take(SendToExecutor& send);
  void NoteSent(const proto::DriverMessage& message);
  void NoteStart(const std::string& member, const proto::StartEpoch& start);
  void CheckRun(const proto::RunBatch& run);
  // `visible` must say exactly which of the member's shards have output of the batch already.
  void CheckVisible(const std::string& member, const proto::RunBatch& run);
  void CheckCommit(const proto::CommitBatch& commit);
  void Take(EpochBegan&) {}
  void Take(BatchDone& done);
  void Take(SnapshotDone&) {}
  void Take(SnapshotFailed&) {}
  void Take(ClockDistrusted&) {}
  // Starts the driver's work on the store, which ends some time later.
  void Take(MarkStore& mark);
  void Take(CheckStoreAnswer& check);
  void Take(CheckSnapshotFiles& check);
  void FinishStoreWork(uint64_t looks);
  void Take(PartitionsRetired& retired) {
    retirements += static_cast<int64_t>(retired.partitions.size());
  }

  // Checks that only a job that was being settled ends; the next driver goes on with it.
  void Take(JobOver& over);
  bool epoch_durable(int64_t epoch) const;

  std::mt19937_64 random_;
  bool running_state_;
  bool memory_changes_ = true;
  proto::JobSubmitted submitted_;
  JobSettings settings_;
  SimulatedWorld world_;
  int64_t now_us_ = 1;
  int next_executor_ = 0;
  bool settling_ = false;
  bool settling_job_ = false;
  bool resume_ = false;
  std::deque<std::function<JobEvent()>> store_work_;
  std::map<std::string, std::unique_ptr<SimulatedExecutor>> executors_;
  std::vector<std::unique_ptr<SimulatedExecutor>> zombies_;
  std::set<std::string> leaving_;
  std::vector<proto::JournalRecord> journal_;
  std::deque<std::pair<int64_t, proto::JournalRecord>> volatile_journal_;
  std::unique_ptr<JobState> state_;
  std::unique_ptr<JobState> zombie_driver_;
  PlannedInterruption planned_;
  std::pair<uint64_t, TransactionalLog::Fate>
      unanswered_;         // how many of the next commits are not answered, and their fate
  bool new_plan_ = false;  // the next driver gets a new plan
  std::vector<std::vector<uint32_t>> groups_;  // of sinks that share sessions
  std::vector<std::unique_ptr<FormerWriter>> former_writers_;
  std::set<std::string> epoch_members_;
  std::map<std::string, std::set<SimulatedShard>> shards_of_;  // by member
  std::map<int64_t, std::set<std::string>> prepared_;
  std::set<int64_t> running_batches_;
  int64_t suppress_until_ = 0;
  int64_t expected_done_ = 1;
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_TESTING_JOB_SIMULATION_H_
