// A session of simulated executors: what connectors/kafka does in a place (docs/exactly-once.md
// §3), one step at a time. It checks what its commits make visible. What goes wrong becomes a
// GoogleTest failure. Single-threaded.
#ifndef MILLRACE_DRIVER_COORDINATOR_TESTING_SIMULATED_SESSION_H_
#define MILLRACE_DRIVER_COORDINATOR_TESTING_SIMULATED_SESSION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "driver/coordinator/testing/simulated_world.h"
#include "proto/cluster.pb.h"

namespace millrace::driver {

class SimulatedSession {
 public:
  // Begins the claim. `known`: the place, and what the journal knows of it. An orphan only claims:
  // it has no rows to write. Batches up to `committed` are out. `world` must outlive the session.
  SimulatedSession(SimulatedWorld* world, int64_t epoch, const proto::SessionMark& known,
                   bool orphan, int64_t committed);

  // Whether a claim or a commit takes more steps.
  bool is_at_work() const { return phase_ != Phase::kIdle; }
  // Takes the next one. An error is why the session can do nothing any more. REQUIRES:
  // is_at_work().
  absl::StatusOr<SimulatedStep> Step();

  bool is_orphan() const { return orphan_; }
  // The first batch that is not committed.
  int64_t next_batch() const { return through_ + 1; }
  // What the claim found, or the last commit made.
  proto::SessionMark mark() const;

  // Passes rows on to the open transaction: of a large batch, before its commit. REQUIRES: they are
  // of next_batch(), and the session is not at work.
  void LetLeave(std::vector<SimulatedRow> rows);
  // Begins to commit all batches up to `through`; `rows`: those of these batches that have not
  // left. Without any rows, there is nothing to do.
  void Commit(int64_t through, std::vector<SimulatedRow> rows);

 private:
  // A claim goes from kInit to kReadLog, and a commit from kProduce to kEndCommit; from there, if
  // its answer is lost, through another claim.
  enum class Phase {
    kInit,
    kSendClaim,
    kEndClaim,
    kReadLog,
    kProduce,
    kSendMark,
    kEndCommit,
    kIdle,
  };

  SimulatedStep Init();
  SimulatedStep SendClaim();
  SimulatedStep EndClaim();
  absl::StatusOr<SimulatedStep> ReadLog();
  SimulatedStep ProduceRows();
  SimulatedStep SendMark();
  absl::StatusOr<SimulatedStep> EndCommit();

  void Begin();
  void Produce(const std::string& topic, const TransactionalLog::Record& record);
  void Produce(const std::vector<SimulatedRow>& rows);
  absl::Status EndTransaction();
  void TakeMarks(const FoundMarks& found);
  absl::StatusOr<SimulatedStep> ResolveDoubt();
  void FinishCommit();
  void CheckCommit(bool answered) const;

  SimulatedWorld& world_;
  const int64_t epoch_;
  const SimulatedPlace place_;
  const bool orphan_;
  const int32_t partition_;  // of the log of marks

  Phase phase_ = Phase::kInit;
  std::unique_ptr<TransactionalLog::Producer> producer_;
  SimulatedMark mark_;
  int64_t read_from_ = 0;      // the offset of the record that says mark_, or else of the claim
  int64_t claim_offset_ = -1;  // of the last claim
  int64_t through_ = 0;        // this session has nothing more to write up to this batch
  // The commit that is under way, in doubt or not; 0 = there is none.
  int64_t committing_ = 0;
  std::vector<SimulatedRow> rows_;
  std::vector<SimulatedRow> left_;  // rows that are in the open transaction only
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_TESTING_SIMULATED_SESSION_H_
