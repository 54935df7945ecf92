// What versions before sessions have left behind, in a history that begins with it: each shard had
// a producer of its own, and a group whose offsets say what is out. A new version claims such a
// shard once in that form (SinkConnector::ClaimFormerShard), and processes of the old one may wake
// later. What goes wrong becomes a GoogleTest failure. Single-threaded.
#ifndef MILLRACE_DRIVER_COORDINATOR_TESTING_SIMULATED_FORMER_H_
#define MILLRACE_DRIVER_COORDINATOR_TESTING_SIMULATED_FORMER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "driver/coordinator/testing/simulated_world.h"

namespace millrace::driver {

// A claim of a shard as those versions made it, one step at a time.
class FormerClaim {
 public:
  FormerClaim(SimulatedWorld* world, int64_t epoch, SimulatedShard shard)
      : world_(*world), epoch_(epoch), shard_(shard) {}

  bool is_done() const { return phase_ == Phase::kDone; }
  // An error is why the claim fails. REQUIRES: not is_done().
  absl::StatusOr<SimulatedStep> Step();

  SimulatedShard shard() const { return shard_; }
  // Once the claim is done: the last batch that is out, and the producer that now has the shard.
  int64_t batch() const { return batch_; }
  TransactionalLog::Producer& producer() const { return *producer_; }

  // Sends a marker into the transaction, as claims and commits do.
  absl::Status SendMarker(int64_t batch) const;

 private:
  enum class Phase { kInit, kReadMarker, kSendMarker, kEnd, kDone };

  SimulatedStep Init();
  absl::StatusOr<SimulatedStep> ReadMarker();
  absl::StatusOr<SimulatedStep> Send();
  absl::StatusOr<SimulatedStep> End();

  SimulatedWorld& world_;
  const int64_t epoch_;
  const SimulatedShard shard_;
  Phase phase_ = Phase::kInit;
  std::unique_ptr<TransactionalLog::Producer> producer_;
  int64_t batch_ = 0;
};

// The writer of a shard in a process of such a version: it claims the shard, and commits these rows
// in one transaction.
class FormerWriter {
 public:
  // `rows`: of the shard's batches up to `through`, in ascending order.
  FormerWriter(SimulatedWorld* world, SimulatedShard shard, int64_t through,
               std::vector<SimulatedRow> rows)
      : world_(*world), claim_(world, kEpoch, shard), through_(through), rows_(std::move(rows)) {}

  static constexpr int64_t kEpoch = 1;

  // Whether it has committed its rows, or given up.
  bool is_done() const { return phase_ == Phase::kDone; }
  void Step();

 private:
  enum class Phase { kClaim, kProduce, kSendMarker, kCommit, kDone };

  SimulatedWorld& world_;
  FormerClaim claim_;
  const int64_t through_;
  const std::vector<SimulatedRow> rows_;
  Phase phase_ = Phase::kClaim;
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_TESTING_SIMULATED_FORMER_H_
