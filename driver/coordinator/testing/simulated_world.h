// The world outside of the driver in a simulation of a job: a Kafka for its sink, a store for
// snapshots, and executors that obey proto/cluster.proto and check that the driver does. Everything
// that goes wrong becomes a GoogleTest failure. Single-threaded.
#ifndef MILLRACE_DRIVER_COORDINATOR_TESTING_SIMULATED_WORLD_H_
#define MILLRACE_DRIVER_COORDINATOR_TESTING_SIMULATED_WORLD_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "driver/coordinator/testing/simulated_kafka.h"
#include "proto/cluster.pb.h"

namespace millrace::driver {

// Ranges of offsets by partition.
using SimulatedRanges = std::map<std::string, std::pair<int64_t, int64_t>>;

// The state of one keyed shard: how far it has counted each partition. Counting fails on gaps and
// repetitions, so that the state after a batch shows whether it was built right.
using SimulatedState = std::map<std::string, int64_t>;

// The steps after which a process of the simulation can be interrupted. The driver's steps come in
// pairs: before a record is durable, and when it is durable and the driver has not heard of that.
enum class SimulatedStep {
  kRestored,
  kInitialized,  // the producer of a shard is initialized
  kMarkerRead,
  kClaimSent,
  kClaimed,
  kBatchRun,
  kRowsLeft,  // for the open transaction, before the commit
  kCommitTold,
  kProduced,
  kLastMarkerSeen,  // read stably, before the next marker is sent
  kMarkerSent,
  kClaimInDoubt,
  kCommitInDoubt,
  kCommitted,
  kSnapshotCut,
  kSnapshotWritten,
  kBeforeEpochStarted,
  kEpochStarted,
  kBeforeEpochOpened,
  kEpochOpened,
  kBeforeBatchPlanned,
  kBatchPlanned,
  kBeforeBatchCommitted,
  kBatchCommitted,
  kBeforeSnapshotCompleted,
  kSnapshotCompleted,
  kBeforeSnapshotDropped,
  kSnapshotDropped,
  kBeforeBatchesAbandoned,
  kBatchesAbandoned,
  kBeforeJobEnded,
  kJobEnded,
};
constexpr auto kSimulatedSteps = static_cast<size_t>(SimulatedStep::kJobEnded) + 1;
std::string SimulatedStepName(SimulatedStep step);

enum class SimulatedInterruption {
  kNone,
  kCrash,
  kHang,  // the process stops, is taken for dead, and may go on later
};

struct SimulatedWorld {
  static constexpr uint32_t kShards = 4;

  std::map<std::string, int64_t> produced;  // the end of each partition
  // Durable plans by batch. A withdrawn batch is planned anew.
  std::map<int64_t, SimulatedRanges> planned;
  std::map<int64_t, int64_t> planned_time;
  std::set<int64_t> ever_planned;   // planned batches, including withdrawn ones
  std::set<int64_t> opened_epochs;  // epochs that are durably open
  int64_t durable_commits = 0;

  SimulatedKafka kafka;
  std::map<uint32_t, int64_t> claimed_by;  // the highest epoch that has claimed each shard
  std::map<std::string, std::map<uint32_t, SimulatedState>> store;  // file → states by shard
  std::map<std::string, std::string> marks;                         // marks in the store

  // Splits of a batch as the driver sent them in the epoch that runs it, to all members together:
  // an executor counts what the exchange would bring it.
  std::map<std::pair<int64_t, int64_t>, SimulatedRanges> sent;  // by (epoch, batch)

  // The largest number of offsets of a batch whose output fits into an executor's memory.
  int64_t largest_batch = INT64_MAX;

  // Called at each step, and for each commit of a transaction; none = the commit is answered.
  std::function<SimulatedInterruption(SimulatedStep)> interrupt;
  std::function<std::optional<TransactionalLog::Fate>()> lose_answer;
  // Whether an executor fails to read this file although it is there.
  std::function<bool(const std::string& file)> unreadable;

  // The last committed batch of the shard, by its markers.
  int64_t MarkerBatch(uint32_t shard) const;
  // Every shard must have the output of every planned batch, in order and once.
  void CheckOutput(bool running_state);
};

// The keyed shard that counts a partition.
uint32_t SimulatedShardOf(const std::string& partition);
uint64_t SimulatedHashOf(const std::string& partition, int64_t begin, int64_t end);

class SimulatedExecutor {
 public:
  SimulatedExecutor(std::string id, bool keeps_state, SimulatedWorld* world)
      : id_(std::move(id)), keeps_state_(keeps_state), world_(*world) {}

  const std::string& id() const { return id_; }

  // Takes the next step of the work that it has begun, or else the next message.
  void Step();
  void Fail();
  // The stream broke and is back: messages on their way are lost, and the executor sends again what
  // the driver may not have received.
  void Reconnect();

  // Dies after this many more steps.
  void DieAfter(int64_t steps) { steps_until_death_ = steps; }
  // How the executor was interrupted: whether it is dead, or asleep.
  SimulatedInterruption interruption() const { return interruption_; }
  void Wake() { interruption_ = SimulatedInterruption::kNone; }
  // Lets the next snapshot fail.
  void FailNextSnapshot() { fail_snapshot_ = true; }
  // Whether the executor sees another directory in place of the store.
  void SetBlind(bool blind) { blind_ = blind; }
  bool blind() const { return blind_; }

  std::deque<proto::DriverMessage> inbox;
  std::deque<proto::ExecutorMessage> outbox;

 private:
  // A shard of the sink, as connectors/kafka writes it (docs/exactly-once.md §3).
  struct Shard {
    std::unique_ptr<TransactionalLog::Producer> producer;
    int64_t out = 0;   // the last committed batch
    int64_t left = 0;  // the batch whose rows are in the open transaction only; 0 = none
  };
  using Work = std::function<void()>;

  void Receive(const proto::DriverMessage& message);
  void Start(const proto::StartEpoch& start);
  bool Restore(const proto::StartEpoch& start);
  void Run(const proto::RunBatch& run);
  bool IsTooLarge(const proto::RunBatch& run) const;
  void Count(const proto::RunBatch& run);
  void TakeSnapshot(const proto::TakeSnapshot& take);

  void Claim(uint32_t shard);
  void Init(uint32_t shard);
  void ReadMarker(uint32_t shard);
  std::optional<int64_t> LastMarker(uint32_t shard);
  void AwaitMarker(uint32_t shard);
  void SendMarker(uint32_t shard, int64_t batch);
  void Commit(const proto::CommitBatch& commit);
  void CommitShard(uint32_t shard, int64_t through);
  void LetRowsLeave(uint32_t shard, int64_t batch);
  void Produce(uint32_t shard, int64_t through);
  void EndTransaction(uint32_t shard, int64_t through, const Work& again);
  proto::SinkMarker MarkerOf(uint32_t shard) const;

  void DoNext(std::vector<Work> work);
  void Reached(SimulatedStep step);
  bool FindMark(const proto::StartEpoch& start);
  enum class Fault { kNone, kRestore, kStore };
  void GiveUp(const std::string& why, Fault fault = Fault::kNone);
  void GiveUp(proto::EpochFailed failed);
  void Answer(proto::ExecutorMessage message);

  const std::string id_;
  const bool keeps_state_;
  SimulatedWorld& world_;

  int64_t epoch_ = 0;
  int64_t suppress_until_ = 0;
  int64_t next_run_ = 1;
  int64_t committed_through_ = 0;
  int64_t last_cut_ = 0;
  std::map<std::string, int64_t> positions_;
  std::vector<uint32_t> own_shards_;
  std::map<uint32_t, Shard> shards_;
  std::map<uint32_t, SimulatedState> states_;
  std::set<uint32_t> changed_;  // shards that changed since the last cut or restore
  // Output that is not committed, by batch.
  std::map<int64_t, std::map<uint32_t, SimulatedState>> prepared_;
  std::deque<proto::ExecutorMessage> unanswered_;
  std::deque<Work> work_;  // work to do before the next message
  bool gave_up_ = false;   // it has given up the present epoch
  int64_t steps_until_death_ = -1;
  SimulatedInterruption interruption_ = SimulatedInterruption::kNone;
  bool fail_snapshot_ = false;
  bool blind_ = false;
  std::map<std::string, std::string> own_marks_;  // the directory that it sees while it is blind
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_TESTING_SIMULATED_WORLD_H_
