// What is outside of the driver in a simulation of a job: sinks with markers that fence like
// Kafka's transactions, a store for snapshots, and executors that obey proto/cluster.proto and
// check that the driver does. Everything that goes wrong becomes a GoogleTest failure.
// Single-threaded.
#ifndef MILLRACE_DRIVER_BATCH_TESTING_SIMULATED_WORLD_H_
#define MILLRACE_DRIVER_BATCH_TESTING_SIMULATED_WORLD_H_

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "proto/cluster.pb.h"

namespace millrace {

// Ranges of offsets by partition.
using SimulatedRanges = std::map<std::string, std::pair<int64_t, int64_t>>;

// State of one keyed shard: how far it has counted each partition. Counting refuses gaps and
// repetitions, so that the state after a batch tells whether it was built right.
using SimulatedState = std::map<std::string, int64_t>;

// One shard of the sink. As in Kafka, the last claim owns it, whatever its epoch; what keeps a
// zombie out is that it reads a higher epoch in the marker.
struct SimulatedSinkShard {
  int64_t owner_token = 0;  // of the last claim
  int64_t marker_epoch = 0;
  int64_t marker_batch = 0;
  std::map<int64_t, SimulatedState> output;  // by batch: the state after it
};

struct SimulatedWorld {
  static constexpr uint32_t kShards = 4;

  std::map<std::string, int64_t> produced;  // end per partition
  // By batch: durable plans. A withdrawn batch is planned anew.
  std::map<int64_t, SimulatedRanges> planned;
  std::map<int64_t, int64_t> planned_time;
  std::set<int64_t> opened_epochs;  // durably
  int64_t durable_commits = 0;

  SimulatedSinkShard sink[kShards];
  int64_t next_token = 1;
  std::map<std::string, std::map<uint32_t, SimulatedState>> store;  // file → states by shard

  // Splits of a batch as the driver sent them in the epoch that runs it, to all members together:
  // an executor counts what the exchange would bring it.
  std::map<std::pair<int64_t, int64_t>, SimulatedRanges> sent;  // by (epoch, batch)
};

// Which keyed shard counts a partition.
uint32_t SimulatedShardOf(const std::string& partition);
uint64_t SimulatedHashOf(const std::string& partition, int64_t begin, int64_t end);

class SimulatedExecutor {
 public:
  SimulatedExecutor(std::string id, bool keeps_state, SimulatedWorld* world)
      : id_(std::move(id)), keeps_state_(keeps_state), world_(*world) {}

  const std::string& id() const { return id_; }

  void Receive(const proto::DriverMessage& message);
  void Fail();
  // The stream broke: what was on its way is lost, what may not have been heard is said again.
  void Reconnect();

  // The next commit ends after so many shards, as if the process had died; then dead() is true.
  void DieInCommitAfter(int shards) { shards_until_death_ = shards; }
  bool dead() const { return dead_; }
  // The next snapshot fails.
  void FailNextSnapshot() { fail_snapshot_ = true; }

  std::deque<proto::DriverMessage> inbox;
  std::deque<proto::ExecutorMessage> outbox;

 private:
  void Start(const proto::StartEpoch& start);
  bool Restore(const proto::StartEpoch& start);
  void Claim(proto::EpochReady* ready);
  void Run(const proto::RunBatch& run);
  void Count(const proto::RunBatch& run);
  void Commit(int64_t through);
  void TakeSnapshot(const proto::TakeSnapshot& take);
  void GiveUp(const std::string& why, bool restore_failed);
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
  std::map<uint32_t, int64_t> tokens_;  // of its claims
  std::map<uint32_t, SimulatedState> states_;
  std::set<uint32_t> changed_;  // shards, since the last cut or restore
  std::map<int64_t, std::map<uint32_t, SimulatedState>> prepared_;  // output by batch
  std::deque<proto::ExecutorMessage> unanswered_;
  int shards_until_death_ = -1;
  bool dead_ = false;
  bool fail_snapshot_ = false;
};

}  // namespace millrace

#endif  // MILLRACE_DRIVER_BATCH_TESTING_SIMULATED_WORLD_H_
