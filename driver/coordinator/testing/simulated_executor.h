// Executors in a simulation of a job: they obey proto/cluster.proto and check that the driver does.
// What goes wrong becomes a GoogleTest failure. Single-threaded.
#ifndef MILLRACE_DRIVER_COORDINATOR_TESTING_SIMULATED_EXECUTOR_H_
#define MILLRACE_DRIVER_COORDINATOR_TESTING_SIMULATED_EXECUTOR_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "driver/coordinator/testing/simulated_former.h"
#include "driver/coordinator/testing/simulated_session.h"
#include "driver/coordinator/testing/simulated_world.h"
#include "proto/cluster.pb.h"

namespace millrace::driver {

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
  using Work = std::function<void()>;
  using Rows = std::map<SimulatedShard, SimulatedRow>;

  void Receive(const proto::DriverMessage& message);
  void Start(const proto::StartEpoch& start);
  void TakePlaces(const proto::StartEpoch& start);
  bool FindMark(const proto::StartEpoch& start);
  void Restore(const proto::StartEpoch& start);
  void BecomeReady(const std::string& store_mark);

  void Run(const proto::RunBatch& run);
  bool IsTooLarge(const proto::RunBatch& run) const;
  void Read(const proto::RunBatch& run, proto::BatchPrepared* prepared);
  void Count(const proto::RunBatch& run);
  void TakeSnapshot(const proto::TakeSnapshot& take);

  // Takes the next step of a claim of a former shard, and after the last one of each: of the
  // claims or commits of the sessions, in turns. Goes on until all are at rest.
  void StepFormerClaims();
  void StepSessions();
  void Take(const absl::StatusOr<SimulatedStep>& step);
  // Whether the executor is told of a higher epoch, for which it leaves what it waits for.
  bool IsReplaced() const;
  // The own sessions of this epoch.
  std::vector<SimulatedPlace> OwnPlaces() const;
  // Takes out the rows of a batch that the session writes.
  std::vector<SimulatedRow> TakeRows(SimulatedPlace place, int64_t batch,
                                     const std::function<bool(SimulatedShard)>& wanted);
  void LetRowsLeave(SimulatedPlace place, int64_t batch);
  void Commit(const proto::CommitBatch& commit);
  void CommitSessions(int64_t through);

  void DoNext(Work work) { work_.push_front(std::move(work)); }
  void Reached(SimulatedStep step);
  enum class Fault { kNone, kRestore, kStore };
  void GiveUp(const std::string& why, Fault fault = Fault::kNone);
  void GiveUp(proto::EpochFailed failed);
  void Answer(proto::ExecutorMessage message);

  const std::string id_;
  const bool keeps_state_;
  SimulatedWorld& world_;

  int64_t epoch_ = 0;
  uint32_t slot_ = 0;
  int64_t suppress_until_ = 0;
  int64_t next_run_ = 1;
  int64_t committed_through_ = 0;
  int64_t last_cut_ = 0;
  std::map<std::string, int64_t> positions_;
  std::set<uint32_t> own_shards_;          // keyed ones
  std::map<uint32_t, uint32_t> group_of_;  // by sink
  std::vector<FormerClaim> former_claims_;
  std::map<SimulatedPlace, SimulatedSession> sessions_;
  SimulatedPlace last_step_;  // the session that took it
  std::map<uint32_t, SimulatedState> states_;
  std::set<uint32_t> changed_;        // shards that changed since the last cut or restore
  std::map<int64_t, Rows> prepared_;  // output that is held for the commit, by batch
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

#endif  // MILLRACE_DRIVER_COORDINATOR_TESTING_SIMULATED_EXECUTOR_H_
