// The world outside of the driver in a simulation of a job: a Kafka for its sinks, a store for
// snapshots, and what the executors there have made visible. Everything that goes wrong becomes a
// GoogleTest failure. Single-threaded.
#ifndef MILLRACE_DRIVER_COORDINATOR_TESTING_SIMULATED_WORLD_H_
#define MILLRACE_DRIVER_COORDINATOR_TESTING_SIMULATED_WORLD_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "driver/coordinator/testing/simulated_kafka.h"
#include "proto/journal.pb.h"

namespace millrace::driver {

// Ranges of offsets by partition.
using SimulatedRanges = std::map<std::string, std::pair<int64_t, int64_t>>;

// The state of one keyed shard: how far it has counted each partition. Counting fails on gaps and
// repetitions, so that the state after a batch shows whether it was built right.
using SimulatedState = std::map<std::string, int64_t>;

// The steps after which a process of the simulation can be interrupted. The driver's steps come in
// pairs: before a record is durable, and when it is durable and the driver has not heard of that.
enum class SimulatedStep {
  kFormerInitialized,  // the producer of a shard of a version before sessions is initialized
  kFormerMarkerRead,
  kFormerClaimSent,
  kFormerClaimInDoubt,
  kFormerClaimed,
  kInitialized,  // the producer of a place is initialized
  kClaimSent,
  kClaimInDoubt,  // not answered or fenced: it begins again
  kClaimed,       // the claim is in the log, which is not read yet
  kLogAwaited,    // an open transaction keeps the log from being read
  kLogRead,
  kOrphanClaimed,  // a place that nobody has is claimed, and dropped
  kRestored,
  kBatchRun,
  kRowsLeft,  // for the open transaction, before the commit
  kCommitTold,
  kProduced,
  kMarkSent,
  kCommitInDoubt,
  kDoubtResolved,
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

// The sinks of the job: one behind an exchange, whose shards are keyed shards, and one before it,
// whose shards are partitions by their ordinals.
inline constexpr uint32_t kKeyedSink = 0;
inline constexpr uint32_t kPartitionSink = 1;

struct SimulatedShard {
  uint32_t sink = 0;
  uint32_t shard = 0;
  friend auto operator<=>(const SimulatedShard&, const SimulatedShard&) = default;
};
// The topic that has the shard's output.
std::string TopicOf(SimulatedShard shard);

// Where a session writes: a slot of a group of sinks.
struct SimulatedPlace {
  uint32_t group = 0;
  uint32_t slot = 0;
  friend auto operator<=>(const SimulatedPlace&, const SimulatedPlace&) = default;
};
std::string Text(SimulatedPlace place);

// Who wrote a row. No place: a version before sessions.
struct SimulatedWriter {
  int64_t epoch = 0;
  std::optional<SimulatedPlace> place;
  friend bool operator==(const SimulatedWriter&, const SimulatedWriter&) = default;
};

// What a shard writes for a batch: one row, or none if the batch has no input for it.
struct SimulatedRow {
  SimulatedShard shard;
  int64_t batch = 0;
  std::string text;
};
// The row as a record: its value is the same whoever writes it, its key tells who did.
TransactionalLog::Record RecordOf(const SimulatedRow& row, const SimulatedWriter& writer);

// In epoch `written`, a place has written all batches up to this one.
struct SimulatedMark {
  int64_t written = 0;
  int64_t batch = 0;
  friend auto operator<=>(const SimulatedMark&, const SimulatedMark&) = default;
};

// The log of marks (docs/exactly-once.md §3).
inline constexpr int32_t kMarkPartitions = 2;
std::string MarkTopic(int32_t partition);
TransactionalLog::Record ClaimRecord(SimulatedPlace place, int64_t epoch);
TransactionalLog::Record OutRecord(SimulatedPlace place, const SimulatedMark& mark);

// What records of the log say about a place.
struct FoundMarks {
  int64_t claim = 0;  // the highest epoch that has claimed it
  std::optional<SimulatedMark> out;
  int64_t out_offset = -1;
};
FoundMarks FindMarks(const std::vector<TransactionalLog::PlacedRecord>& records,
                     SimulatedPlace place);

// By what the sessions of an epoch judge the rows of a sink.
std::string SimulatedTerms(int64_t epoch, uint32_t sink);

// Broker time after which it aborts a transaction; long, as time goes in a history.
inline constexpr absl::Duration kTransactionTimeout = absl::Seconds(1);

struct SimulatedWorld {
  static constexpr uint32_t kShards = 4;

  std::map<std::string, int64_t> produced;  // the end of each partition
  // Durable plans by batch. A withdrawn batch is planned anew.
  std::map<int64_t, SimulatedRanges> planned;
  std::map<int64_t, int64_t> planned_time;
  std::map<std::string, uint32_t> ordinals;  // of the partitions in durable plans
  std::set<int64_t> ever_planned;            // planned batches, including withdrawn ones
  std::set<int64_t> opened_epochs;           // epochs that are durably open
  // Who writes what in them, including partitions that entered later.
  std::map<int64_t, proto::OpenedSessions> opened;
  int64_t durable_commits = 0;

  SimulatedKafka kafka;
  // The highest epoch that has claimed each place, and each shard as versions before sessions do.
  std::map<SimulatedPlace, int64_t> claimed_by;
  std::map<SimulatedShard, int64_t> former_claimed_by;
  std::map<SimulatedShard, std::string> former_markers;  // the last ones that the journal has
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

  // All shards of the job's sinks.
  std::vector<SimulatedShard> Shards() const;
  // Whether a batch that reads these ranges has a row for the shard.
  bool HasRow(SimulatedShard shard, const SimulatedRanges& ranges) const;
  // Who has written the shard's rows of batches from `first` on, by batch, as readers will see them
  // once open transactions are aborted.
  std::map<int64_t, SimulatedWriter> WritersOf(SimulatedShard shard, int64_t first) const;
  std::optional<SimulatedWriter> WriterOf(SimulatedShard shard, int64_t batch) const;
  // By what this writer has judged the shard's rows.
  std::string TermsOf(SimulatedShard shard, const SimulatedWriter& writer) const;
  // What the log says about the place, as readers will see it once open transactions are aborted.
  FoundMarks MarksOf(SimulatedPlace place) const;
  // The place through which the shard is written in an epoch, if the journal says so.
  std::optional<SimulatedPlace> PlaceOf(int64_t epoch, SimulatedShard shard) const;

  // Every shard must have the output of every planned batch, in order and once.
  void CheckOutput(bool running_state);
  // What is visible beyond the last committed batch must be what `opened` says.
  void CheckVisible(const proto::OpenedSessions& opened) const;
};

// The output of a keyed shard, and of a partition.
std::string CountsText(int64_t batch, const SimulatedState& state);
std::string LinesText(int64_t batch, int64_t begin, int64_t end);

// The keyed shard that counts a partition.
uint32_t SimulatedShardOf(const std::string& partition);
uint64_t SimulatedHashOf(const std::string& partition, int64_t begin, int64_t end);

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_TESTING_SIMULATED_WORLD_H_
