// What is outside of the driver in a simulation of a job: a Kafka for its sink, a store for
// snapshots, and executors that obey proto/cluster.proto and check that the driver does. Everything
// that goes wrong becomes a GoogleTest failure. Single-threaded.
#ifndef MILLRACE_DRIVER_BATCH_TESTING_SIMULATED_WORLD_H_
#define MILLRACE_DRIVER_BATCH_TESTING_SIMULATED_WORLD_H_

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

#include "driver/batch/testing/simulated_kafka.h"
#include "proto/cluster.pb.h"

namespace millrace {

// Ranges of offsets by partition.
using SimulatedRanges = std::map<std::string, std::pair<int64_t, int64_t>>;

// State of one keyed shard: how far it has counted each partition. Counting refuses gaps and
// repetitions, so that the state after a batch tells whether it was built right.
using SimulatedState = std::map<std::string, int64_t>;

// Where a process of the simulation can be interrupted: what it has just done. The driver's are
// in pairs, before a record is durable, and when it is and the driver has not heard of it.
enum class SimulatedStep {
  kRestored,
  kInitialized,  // the producer of a shard
  kMarkerRead,
  kClaimSent,
  kClaimed,
  kBatchRun,
  kRowsLeft,  // for the open transaction, before the commit
  kCommitTold,
  kProduced,
  kLastMarkerSeen,  // stable, before the next one is sent
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
  kHang,  // and it may go on later, taken for dead
};

struct SimulatedWorld {
  static constexpr uint32_t kShards = 4;

  std::map<std::string, int64_t> produced;  // end per partition
  // By batch: durable plans. A withdrawn batch is planned anew.
  std::map<int64_t, SimulatedRanges> planned;
  std::map<int64_t, int64_t> planned_time;
  std::set<int64_t> ever_planned;   // withdrawn or not
  std::set<int64_t> opened_epochs;  // durably
  int64_t durable_commits = 0;

  SimulatedKafka kafka;
  std::map<uint32_t, int64_t> claimed_by;  // by shard: the highest epoch that has claimed it
  std::map<std::string, std::map<uint32_t, SimulatedState>> store;  // file → states by shard
  std::map<std::string, std::string> marks;                         // in the store, too

  // Splits of a batch as the driver sent them in the epoch that runs it, to all members together:
  // an executor counts what the exchange would bring it.
  std::map<std::pair<int64_t, int64_t>, SimulatedRanges> sent;  // by (epoch, batch)

  // Executors have no memory for the output of a batch of more offsets.
  int64_t largest_batch = INT64_MAX;

  // Asked at each step, and for each commit of a transaction: none = it is answered.
  std::function<SimulatedInterruption(SimulatedStep)> interrupt;
  std::function<std::optional<TransactionalLog::Fate>()> lose_answer;
  // Whether an executor fails to read this file although it is there.
  std::function<bool(const std::string& file)> unreadable;

  // The last batch that is out, by the markers of the shard.
  int64_t MarkerBatch(uint32_t shard) const;
  // Every shard must have the output of every planned batch, in order and once.
  void CheckOutput(bool running_state);
};

// Which keyed shard counts a partition.
uint32_t SimulatedShardOf(const std::string& partition);
uint64_t SimulatedHashOf(const std::string& partition, int64_t begin, int64_t end);

class SimulatedExecutor {
 public:
  SimulatedExecutor(std::string id, bool keeps_state, SimulatedWorld* world)
      : id_(std::move(id)), keeps_state_(keeps_state), world_(*world) {}

  const std::string& id() const { return id_; }

  // Does the next step of what it is in the midst of, or takes the next message.
  void Step();
  void Fail();
  // The stream broke: what was on its way is lost, what may not have been heard is said again.
  void Reconnect();

  // It dies after so many more steps.
  void DieAfter(int64_t steps) { steps_until_death_ = steps; }
  // The step it does is the last one, for good or until it wakes.
  SimulatedInterruption interruption() const { return interruption_; }
  void Wake() { interruption_ = SimulatedInterruption::kNone; }
  // The next snapshot fails.
  void FailNextSnapshot() { fail_snapshot_ = true; }
  // It has another directory where the store should be.
  void SetBlind(bool blind) { blind_ = blind; }
  bool blind() const { return blind_; }

  std::deque<proto::DriverMessage> inbox;
  std::deque<proto::ExecutorMessage> outbox;

 private:
  // A shard of the sink, as connectors/kafka writes it (docs/exactly-once.md §3).
  struct Shard {
    std::unique_ptr<TransactionalLog::Producer> producer;
    int64_t out = 0;   // the last batch that is out
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
  std::set<uint32_t> changed_;  // shards, since the last cut or restore
  std::map<int64_t, std::map<uint32_t, SimulatedState>> prepared_;  // output by batch
  std::deque<proto::ExecutorMessage> unanswered_;
  std::deque<Work> work_;  // before the next message
  bool gave_up_ = false;   // this epoch
  int64_t steps_until_death_ = -1;
  SimulatedInterruption interruption_ = SimulatedInterruption::kNone;
  bool fail_snapshot_ = false;
  bool blind_ = false;
  std::map<std::string, std::string> own_marks_;  // where it is blind
};

}  // namespace millrace

#endif  // MILLRACE_DRIVER_BATCH_TESTING_SIMULATED_WORLD_H_
